/* kmeans.h: the jobs of kmeans.c and kmeans_distances.c. Samples are rows of x (m, n), row stride ldx. Where shift is given, they
 * count as x * scale - shift, which is near 0 and of moderate size; scale is a power of two. */
#ifndef FL_KMEANS_H
#define FL_KMEANS_H

#include "fl.h"

typedef struct {
    const void *x;
    fl_int ldx, m, n;
    const void *shift; /* (n,) or NULL: x counts as it is */
    double scale;
    const double *weight; /* (m,) or NULL for ones */
} fl_samples;

/* Bounds of the distances of each sample, by which most need not be computed (Ding et al. 2015, "Yinyang K-means": one group is
 * Hamerly's algorithm). Groups are `chunk` columns each. */
typedef struct {
    void *upper;             /* (m,): of the distance to the sample's center */
    void *lower;             /* (m, groups): of those to a group's other centers */
    const void *drift;       /* (k,): how far each center has moved, rounded up */
    const void *group_drift; /* (groups,): the largest of the group */
    const int32_t *group;    /* (k,): of each center */
    double reach;            /* the largest |c|, or |c - mean| + |mean| */
    double error;            /* of a computed squared distance, in units of (|x| + reach)^2, at most */
    fl_int groups;           /* 0: no bounds */
    int fresh;               /* the bounds are made; else they hold for where the centers were */
} fl_kmeans_bounds;

/* Labels of the samples by the centers' scores <x, c> + bias, of which the largest is that of the nearest center, and sums of the
 * samples of each cluster. Each block adds to sums of its own.
 *
 * Scores lose fewer digits if samples and centers are measured from the samples' mean. Without a shift, centers alone are: the
 * packed ones are c - mean, and their bias has <mean, mean - c> more. */
typedef struct {
    fl_job head;
    fl_samples samples;
    fl_int k, per_block;
    int assign;          /* labels are found, else taken */
    const void *centers; /* (k, n) */
    const void *panels;  /* the centers, packed by gemm_pack as columns */
    const void *bias;    /* (columns,): -|c|^2 / 2 or as above, -infinity beyond k */
    const void *minus;   /* (columns,): minus the center's number. Of equal scores that of the lowest number counts */
    fl_int columns;      /* k rounded up to the width of a panel */
    fl_int chunk;        /* columns whose scores wait in scratch, whole panels */
    fl_int strip, depth; /* samples, and features of a sum, at a time */
    int32_t *labels;     /* (m,), in and out */
    double *sums;        /* (n_blocks, k * n + k): sums of w x, then of w; or NULL */
    int first;           /* the sums are set, else added to */
    int64_t *changes;    /* (n_blocks,): labels that have changed, added to */
    fl_kmeans_bounds bounds;
    const void *squares; /* (m,): |x|^2, or |x - mean|^2; for bounds and for */
    /* kmeans_seed, whose sums are (n_blocks, k), of w times the squared distances to each candidate: */
    void *nearest;      /* (m,): the squared distances to the nearest center, which are lowered if `assign` */
    double noise;       /* of squared distances, in units of |x|^2 + */
    double mean_square; /* this */
} fl_kmeans_job;

/* Squared distances of the samples to the centers of their labels, from differences, in double. */
typedef struct {
    fl_job head;
    fl_samples samples;
    fl_int per_block;
    const void *centers;   /* (k, n) */
    const int32_t *labels; /* (m,) */
    double *distance;      /* (m,) or NULL */
    double *totals;        /* (n_blocks,): sums of w times the distances */
} fl_distances_job;

/* Column sums, the sum of squares and the largest |x * scale|, of x as it counts, whether or not there is a shift; and |x|^2. */
typedef struct {
    fl_job head;
    fl_samples samples;
    fl_int per_block;
    double *sums;  /* (n_blocks, n + 2) */
    void *squares; /* (m,) */
} fl_moments_job;

#endif
