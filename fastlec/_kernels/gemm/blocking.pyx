# cython: freethreading_compatible=True
"""How a product of matrices is cut: by the problem and the instruction set alone, so that every team computes the same.

C (m, n) = A (m, k) B (k, n). The numbers below were found by timing, on Zen 4 with AVX-512 and two cores where no comment says
otherwise. Those of panels first were found on Sapphire Rapids held to AVX2, one thread: with 6 rows in a tile it reaches 75 to 90 %
of the FMA peak from 64 x 256 x 256 on, rows first with B packed 60 to 75 %.
"""

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport blocks, up

cdef enum:
    DOTS_COLS = 16          # columns of C up to which dot products with B's columns in place are faster than packing B
    DOTS_ROWS = 32          # rows of C up to which dot products are faster
    DOTS_DEPTH = 64         # products in a sum from which on dot products are faster
    PACK_A_FROM = 512       # bytes of a row of a block of C that pay for packing the rows of A
    # 2^18 took 1.7 times as long for 10 x 60000 by 60000 x 784 in float32, 2.5 in float64 on Sapphire Rapids held to AVX2, 1.5 and
    # 1.3 with AVX-512; 2^16 takes as long as 2^17.
    STRIP_BYTES = 1 << 17   # of B in a strip: one is used from L2 while the next is fetched
    PACK_B_ROWS = 48        # rows of C that pay for packing B
    PACK_B_FROM = 1 << 15   # bytes of B that L1 holds, and that are then not worth packing
    FEW_ROWS = 144          # rows of C that are worth packing B in each block, as it is read
    FEW_COLS_BYTES = 512    # bytes of a row of C in a block, then
    PANELS_BYTES = 1024     # bytes of a row of C in a block that pay for packing its rows of A once more
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
    a time. dots : dot products of A's rows and B's columns, both in place. pack_a, pack_b : which of the two are packed.
    panels_first : a block's rows meet one panel of B after the other; else a tile's rows all panels. few_rows : a block has all
    rows; then B is packed by blocks and A before, else, panels first, A by blocks and B before. keep : whether the sums of a block
    wait for the epilogue in scratch as a whole. why : the reason in words.
    """


cdef fl_int even_cols(fl_int n, fl_int tile, fl_int size) noexcept:
    """Columns of a block whose rows are short enough for L2, all blocks about as wide."""
    cdef fl_int cols = up(n, tile)
    if cols * size > COLS_BYTES:
        cols = up(blocks(cols, blocks(cols * size, COLS_BYTES)), tile)
    return cols


cdef fl_int even_rows(fl_int m, fl_int k, fl_int cols, fl_int size) noexcept:
    """Rows of a block of about BLOCK_MACS multiplications, all blocks about as high."""
    cdef fl_int rows = min(max(<fl_int>(BLOCK_MACS / (<double>cols * max(k, 1))), FL_TILE_ROWS), MOST_ROWS), count
    if <double>k * cols * size > PANEL_BYTES:   # B comes from L3 or memory for each block: let it serve many rows
        rows = max(rows, min(m // 4, MOST_ROWS))
    count = m // rows
    if count >= 4 * EVEN:                       # an odd number of blocks does not matter: whole tiles
        return rows // FL_TILE_ROWS * FL_TILE_ROWS
    if count > 1:
        return up(blocks(m, count - count % (EVEN if count >= EVEN else 4 if count >= 4 else 2)), 4)
    return m


cpdef Blocking choose_blocking(fl_int m, fl_int n, fl_int k, bint by_row, bint by_column, fl_int size, bint plain, fl_int packs,
                               fl_int depth):
    """The blocking of a product with elements of `size` bytes. by_row : A lies in C order. by_column : B lies in Fortran order.
    plain : nothing but the sums is stored. packs : the rows of a tile if packing pays wherever A and B lie (`gemm_packs`), else 0.
    depth : `gemm_depth` of the instruction set's facts."""
    cdef Blocking b = Blocking.__new__(Blocking)
    cdef fl_int tile = FL_TILE_BYTES // size, cols = even_cols(n, tile, size), count
    b.dots = by_row and by_column and k >= DOTS_DEPTH and (n <= DOTS_COLS or m <= DOTS_ROWS)
    by_column = by_column and (b.dots or n > 1)     # a single column lies either way

    if b.dots:
        b.why = "B's columns in place: few rows or columns"
    elif by_column:
        b.pack_b, b.why = True, "B packed: it lies by columns"
    elif n > cols and n * size % 2048 == 0 and m >= PACK_B_ROWS:
        b.pack_b, b.why = True, "B packed: its rows fall into the same few sets of the caches"
    elif packs and m >= PACK_B_ROWS and <double>k * n * size > PACK_B_FROM:
        b.pack_b, b.why = True, "B packed: it is read more than once and L1 does not hold it"
    else:
        b.why = "B in place"

    b.panels_first = packs and b.pack_b and m >= PACK_B_ROWS and <double>k * n * size > PACK_B_FROM
    b.few_rows = m <= FEW_ROWS
    if b.panels_first and b.few_rows:
        b.rows = m
        while cols * size > FEW_COLS_BYTES and blocks(n, cols) < FEW_BLOCKS:
            cols = up(blocks(cols, 2), tile)
        b.cols = cols
    elif b.panels_first:
        b.rows = up(blocks(m, blocks(m, MOST_ROWS)), packs)
        while cols * size > PANELS_BYTES and blocks(m, b.rows) * blocks(n, cols) < EVEN:
            cols = up(blocks(cols, 2), tile)
        b.cols = cols
    elif b.dots and m <= DOTS_ROWS:
        b.rows, b.cols = m, min(cols, max(up(<fl_int>(BLOCK_MACS / (<double>m * k)), tile), tile))
    else:
        b.rows, b.cols = even_rows(m, k, cols, size), cols
    count = blocks(m, b.rows) * blocks(n, b.cols)

    b.parts = 1
    if plain and not b.dots and count < FEW_BLOCKS and k >= 4 * SPLIT_DEPTH:
        b.parts = min(blocks(k, SPLIT_DEPTH), MOST_PARTS)
        b.why += f", the depth in {b.parts} parts"

    b.strip = depth
    if b.panels_first:
        b.strip = blocks(max(k, 1), blocks(max(k, 1), depth))
    elif m <= FL_TILE_ROWS and not by_column:   # each row of B is used once: a strip of them waits in L2
        b.strip = min(depth, max(STRIP_BYTES // (cols * size), 32))
    b.keep = k > b.strip or (not b.panels_first and b.rows * b.cols * size <= KEEP_BYTES)
    # A row of A is read by many tiles. Its columns are read in place, unless they all fall into the same few sets of L1.
    b.pack_a = b.panels_first or (min(b.cols, n) * size >= PACK_A_FROM and (by_row or (k > depth and m * size % 1024 == 0)))
    return b
