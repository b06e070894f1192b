/* fl.h: the contract between the C kernels and their callers.
 *
 * A kernel call is a job: a plain struct whose first member is an fl_job. The caller fills it, looks the block function
 * up in a table (table.h), and runs every block once, in any order and on any thread. Kernels compute; they never fail, allocate,
 * start threads or know Python. The structs of the jobs stand beside the kernels: kernels/<family>.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef FL_H
#define FL_H

#include <stddef.h>
#include <stdint.h>

typedef ptrdiff_t fl_int;
typedef struct fl_job fl_job;

/* Computes one block of the job. scratch: the job's scratch bytes, 64-byte aligned, this thread's own, uninitialised. */
typedef void (*fl_block_fn)(const fl_job *job, fl_int block, void *scratch);

struct fl_job {
    fl_block_fn run;
    fl_int n_blocks;  /* depends on the problem alone, never on the team: results are the same for every team */
    double work;      /* estimated nanoseconds of all blocks on one core */
    size_t scratch;   /* bytes that one thread needs */
    fl_block_fn then; /* of a conditional job, whose run is the kernel `conditional`: what runs if *flag == wanted */
    const int *flag;
    int wanted;
};

#endif
