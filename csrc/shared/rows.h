/* rows.h: how long rows and columns are worked on: softmax and cross-entropy. */
#ifndef FL_ROWS_H
#define FL_ROWS_H

enum {
    FL_SHORT_ROW = 40,     /* rows up to this long are worked on transposed, many at a time */
    FL_LONG_ROW = 1 << 20, /* longer rows are cut into parts, so that no block takes long */
    FL_ROW_PART = 1 << 16, /* elements of such a part */
    FL_WIDE = 4            /* 64-byte vectors of independent problems that are worked on together, at most */
};

#endif
