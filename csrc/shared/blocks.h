/* blocks.h: how work is divided. */
#ifndef FL_BLOCKS_H
#define FL_BLOCKS_H

#include "fl.h"
#include "unit.h"

/* n in pieces as equal as can be, none larger than most. */
FL_INLINE fl_int even_piece(fl_int n, fl_int most)
{
    const fl_int pieces = (n + most - 1) / most;
    return (n + pieces - 1) / pieces;
}

#endif
