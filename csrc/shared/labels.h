/* labels.h: labels of samples. */
#ifndef FL_LABELS_H
#define FL_LABELS_H

#include "simd/simd.h"

/* The class of sample i of n classes, -1 for a label that is none. Read once: another thread may be writing it. */
FL_INLINE fl_int label_of(const int64_t *labels, fl_int i, fl_int n)
{
    const int64_t label = *(const volatile int64_t *)(labels + i);
    return (uint64_t)label < (uint64_t)n ? (fl_int)label : -1;
}

#endif
