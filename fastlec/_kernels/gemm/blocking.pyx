# cython: freethreading_compatible=True
"""How a product of matrices is cut: by the problem and the instruction set alone, so that every team computes the same.

C (m, n) = A (m, k) B (k, n). The numbers below were found by timing, on Zen 4 with AVX-512 and two cores where no comment says
otherwise.
"""

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport blocks, up

cdef enum:
    DOTS_COLS = 16          # columns of C up to which dot products with B's columns in place are faster than packing B
    DOTS_ROWS = 32          # rows of C up to which dot products are faster
    DOTS_DEPTH = 64         # products in a sum from which on dot products are faster
    PACK_A_FROM = 512       # bytes of a row of a block of C that pay for packing the rows of A
    STRIP_BYTES = 1 << 18   # of B in a strip: one is used from L2 while the next is fetched
    PACK_B_ROWS = 48        # rows of C that pay for packing B
    # Tiles of 6 rows read B twice as often as those of 12. Packing took products of 512 and 1024 on Zen 4 held to AVX2 from 70 and
    # 50 % of the speed of 256 to 95 %; with a smaller C it cost up to 15 %.
    PACK_B_OUT = 3 << 16    # bytes of C from which on packing B pays wherever it lies, if tiles have 6 rows
    PACK_B_FROM = 1 << 15   # bytes of B that L1 holds, and that are then not worth packing
    MOST_ROWS = 96          # rows of C in a block, so that what it reads of A stays in L2
    COLS_BYTES = 4096       # bytes of a row of C in a block, so that a strip of B stays in L2
    PANEL_BYTES = 1 << 19   # bytes of a block's B that stay in L2 as a whole
    KEEP_BYTES = 1 << 14    # bytes of a block of C that stay in L1 until the epilogue reads them
    EVEN = 8                # few blocks come in about a multiple of 8, which keeps teams of 2, 4 and 8 busy to the end
    SPLIT_DEPTH = 1024      # least depth of a part, where C is so small that only the depth can be shared out
    MOST_PARTS = 64
    FEW_BLOCKS = 16         # blocks below which the depth is shared out

cdef double BLOCK_MACS = 3e5    # multiplications in a block: about 5 us


cdef class Blocking:
    """rows, cols : of C in a block. parts : of the depth, each summed by blocks of its own. strip : of the depth that is summed at
    a time. dots : dot products of A's rows and B's columns, both in place. pack_a, pack_b : which of the two are packed. keep :
    whether the sums of a block wait for the epilogue in scratch as a whole. why : the reason in words.
    """


cpdef Blocking choose_blocking(fl_int m, fl_int n, fl_int k, bint by_row, bint by_column, fl_int size, bint plain, bint packs):
    """The blocking of a product with elements of `size` bytes. by_row : A lies in C order. by_column : B lies in Fortran order.
    plain : nothing but the sums is stored. packs : `gemm_packs` of the instruction set's facts."""
    cdef Blocking b = Blocking.__new__(Blocking)
    cdef fl_int tile = FL_TILE_BYTES // size, depth = FL_DEPTH_BYTES // size, rows, cols, count, down, across
    b.dots = by_row and by_column and k >= DOTS_DEPTH and (n <= DOTS_COLS or m <= DOTS_ROWS)
    by_column = by_column and (b.dots or n > 1)     # a single column lies either way

    cols = up(n, tile)
    if cols * size > COLS_BYTES:
        cols = up(blocks(cols, blocks(cols * size, COLS_BYTES)), tile)
    rows = min(max(<fl_int>(BLOCK_MACS / (<double>cols * max(k, 1))), FL_TILE_ROWS), MOST_ROWS)
    if <double>k * cols * size > PANEL_BYTES:   # B comes from L3 or memory for each block: let it serve many rows
        rows = max(rows, min(m // 4, MOST_ROWS))
    count = m // rows
    if count >= 4 * EVEN:                       # an odd number of blocks does not matter: whole tiles
        rows = rows // FL_TILE_ROWS * FL_TILE_ROWS
    elif count > 1:
        rows = up(blocks(m, count - count % (EVEN if count >= EVEN else 4 if count >= 4 else 2)), 4)
    else:
        rows = m
    if b.dots and m <= DOTS_ROWS:
        rows = m
        cols = min(cols, max(up(<fl_int>(BLOCK_MACS / (<double>m * k)), tile), tile))
    b.rows, b.cols = rows, cols
    down, across = blocks(m, rows), blocks(n, cols)

    b.parts = 1
    if plain and not b.dots and down * across < FEW_BLOCKS and k >= 4 * SPLIT_DEPTH:
        b.parts = min(blocks(k, SPLIT_DEPTH), MOST_PARTS)

    if b.dots:
        b.why = "B's columns in place: few rows or columns"
    elif by_column:
        b.pack_b, b.why = True, "B packed: it lies by columns"
    elif across > 1 and n * size % 2048 == 0 and m >= PACK_B_ROWS:
        b.pack_b, b.why = True, "B packed: its rows fall into the same few sets of the caches"
    elif packs and m >= PACK_B_ROWS and <double>m * n * size >= PACK_B_OUT and <double>k * n * size > PACK_B_FROM:
        b.pack_b, b.why = True, "B packed: it is read more than once and L1 does not hold it"
    else:
        b.why = "B in place"
    if b.parts > 1:
        b.why += f", the depth in {b.parts} parts"

    b.strip = depth
    if m <= FL_TILE_ROWS and not by_column:     # each row of B is used once: a strip of them waits in L2
        b.strip = min(depth, max(STRIP_BYTES // (cols * size), 32))
    b.keep = k > b.strip or rows * cols * size <= KEEP_BYTES
    # A row of A is read by many tiles. Its columns are read in place, unless they all fall into the same few sets of L1.
    b.pack_a = min(cols, n) * size >= PACK_A_FROM and (by_row or (k > depth and m * size % 1024 == 0))
    return b
