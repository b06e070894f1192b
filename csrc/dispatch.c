/* dispatch.c: which tables there are, and which of them this CPU can run. Compiled with baseline flags only. */
#include "fl.h"

#include <string.h>

extern const fl_table fl_table_base;
#ifdef FL_X86
extern const fl_table fl_table_avx2, fl_table_avx512;
#endif

const fl_table *const fl_tables[] = {
#ifdef FL_X86
    &fl_table_avx512,
    &fl_table_avx2,
#endif
    &fl_table_base,
    NULL,
};

const fl_table *fl_active = &fl_table_base;

/* avx2 stands for x86-64-v3 and avx512 for x86-64-v4. The level names are unknown to older compilers, so the features that
 * tell the levels apart are asked for one by one; the builtin also checks that the system saves the registers. */
int fl_runs_here(const fl_table *table)
{
#ifdef FL_X86
    __builtin_cpu_init();
    if (!strcmp(table->isa, "base")) return 1;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi")
        || !__builtin_cpu_supports("bmi2"))
        return 0;
    if (!strcmp(table->isa, "avx2")) return 1;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
           && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    return !strcmp(table->isa, "base");
#endif
}
