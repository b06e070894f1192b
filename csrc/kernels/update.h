/* update.h: the job of update.c. */
#ifndef FL_UPDATE_H
#define FL_UPDATE_H

#include "fl.h"
#include "shared/rules.h"

/* The optimizer's step for n parameters w with gradient g. */
typedef struct {
    fl_job head;
    const fl_update *update;
    void *w;
    const void *g;
    fl_int n, per_block;
} fl_update_job;

#endif
