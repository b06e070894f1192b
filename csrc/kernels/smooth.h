/* smooth.h: the job of smooth.c. */
#ifndef FL_SMOOTH_H
#define FL_SMOOTH_H

#include "fl.h"

/* out[i,:] = floor + share * target_i, the target of sample i being 1 at its label and 0 elsewhere, or a row of probabilities. A
 * label outside [0, n), which may change at any time, is no class's. */
typedef struct {
    fl_job head;
    const int64_t *labels; /* (m,); or NULL, and then */
    const void *targets;   /* (m, n), C order */
    void *out;             /* (m, n), C order */
    double share, floor;
    fl_int m, n, per_block;
} fl_smooth_job;

#endif
