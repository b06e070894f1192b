/* softmax.h: the jobs of softmax.c. */
#ifndef FL_SOFTMAX_H
#define FL_SOFTMAX_H

#include "fl.h"
#include "shared/rows.h"

/* y[i,:] or y[:,i] = softmax, log-softmax or (one number each) log-sum-exp.
 * Long ones are cut into parts and computed by three jobs, from the columns' fields alone (rows have inner = 1): softmax_part,
 * softmax_join and, but for FL_LOGSUMEXP, softmax_last. */
enum { FL_SOFTMAX, FL_LOG_SOFTMAX, FL_LOGSUMEXP };

typedef struct {
    fl_job head;
    int mode;
    int stream;            /* y is too large for the caches: write past them */
    const void *x;         /* rows: (m, n), row stride ldx. columns: (outer, n, inner), C order, reduced over n */
    void *y;               /* as x; FL_LOGSUMEXP: rows (m,), columns (outer, inner). May be x itself */
    fl_int m, n, ldx, ldy; /* rows */
    fl_int outer, inner;   /* columns */
    fl_int per_block;      /* rows: rows of a block. columns: vectors of 64 bytes along inner */
    fl_int parts, part;    /* of each column, and elements of one; the last may have fewer */
    void *partial;         /* (2, outer, parts, inner): what is passed on from job to job */
} fl_softmax_job;

#endif
