/* team.h: what the job runner needs of OpenMP and the operating system. Included by runner.pyx alone. Never sets anything of
 * the process: no omp_set_num_threads, no environment. */
#ifndef FL_TEAM_H
#define FL_TEAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif
#if defined __unix__ || defined __APPLE__
#include <pthread.h>
#include <unistd.h>
#endif

#ifdef _OPENMP
#define FL_OPENMP _OPENMP
static int fl_omp_max_threads(void) { return omp_get_max_threads(); }
static int fl_omp_in_parallel(void) { return omp_in_parallel(); }
static void fl_barrier(void) /* for all threads of the region */
{
#pragma omp barrier
}
#else
#define FL_OPENMP 0
static int fl_omp_max_threads(void) { return 1; }
static int fl_omp_in_parallel(void) { return 0; }
static void fl_barrier(void) {}
#endif

static atomic_int fl_team_taken; /* one Python thread at a time has the team; the others compute alone */
static atomic_int fl_team_ran;   /* libgomp's threads exist: a forked child does not have them and must not wait for them */
static atomic_int fl_forked;

static int fl_team_take(void)
{
    int nobody = 0;
    return atomic_compare_exchange_strong(&fl_team_taken, &nobody, 1);
}

static void fl_team_give(void)
{
    atomic_store(&fl_team_ran, 1);
    atomic_store(&fl_team_taken, 0);
}

static int fl_is_forked(void) { return atomic_load(&fl_forked); }

static void fl_after_fork_in_child(void)
{
    /* a thread that was inside a region is gone with its parent's memory: the team counts as having run */
    if (atomic_load(&fl_team_ran) || atomic_load(&fl_team_taken)) atomic_store(&fl_forked, 1);
    atomic_store(&fl_team_taken, 0);
}

static void fl_team_init(void)
{
#if defined __unix__ || defined __APPLE__
    pthread_atfork(NULL, NULL, fl_after_fork_in_child);
#endif
}

/* The CPUs that this process may run on now. */
static int fl_cpus(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) return CPU_COUNT(&set);
#endif
#if defined __unix__ || defined __APPLE__
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
#else
    return 1;
#endif
}

static double fl_now(void) /* seconds */
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int fl_shared_get(const int *number) { return __atomic_load_n(number, __ATOMIC_RELAXED); }
static void fl_shared_set(int *number, int value) { __atomic_store_n(number, value, __ATOMIC_RELAXED); }

/* *next, which becomes one more, if it is below end; else -1. */
static ptrdiff_t fl_take_below(ptrdiff_t *next, ptrdiff_t end)
{
    ptrdiff_t taken = __atomic_load_n(next, __ATOMIC_RELAXED);
    while (taken < end)
        if (__atomic_compare_exchange_n(next, &taken, taken + 1, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return taken;
    return -1;
}

#endif
