# Bounds of blocks, found by timing on Zen 4 where a comment says no more; images' kernels beside convolutions share them.
cdef enum:
    SCRATCH = 1 << 18       # bytes of planes that stay in L2 beside what is read of the weights
    MOST_SCRATCH = 8 << 20  # bytes of a job's scratch for each thread, where it has a choice
    MOST_PARTIAL = 64 << 20  # bytes of sums over parts of the images
    ENOUGH = 8              # blocks that keep teams of 2, 4 and 8 busy
    ELEMENTS = 1 << 14      # elements of an elementwise block: some microseconds of work
    LEAST_MACS = 400000     # multiplications of a block that is worth its share of copying: about 7 us
    MOST_MACS = 300000000   # multiplications of a block that can still be interrupted in time: about 6 ms
