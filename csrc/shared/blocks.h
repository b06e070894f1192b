/* blocks.h: how work is divided: integers. */
#ifndef FL_BLOCKS_H
#define FL_BLOCKS_H

#include "fl.h"
#include "unit.h"

FL_INLINE fl_int fl_min(fl_int a, fl_int b) { return a < b ? a : b; }
FL_INLINE fl_int fl_max(fl_int a, fl_int b) { return a > b ? a : b; }

/* For n >= 0: the number of pieces of `size` that n needs, and the size of these together. */
FL_INLINE fl_int ceil_div(fl_int n, fl_int size) { return (n + size - 1) / size; }
FL_INLINE fl_int round_up(fl_int n, fl_int size) { return ceil_div(n, size) * size; }

/* The size of the pieces of n, as equal as can be, none larger than most. */
FL_INLINE fl_int even_piece(fl_int n, fl_int most) { return ceil_div(n, ceil_div(n, most)); }

#endif
