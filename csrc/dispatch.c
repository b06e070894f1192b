/* dispatch.c: which tables there are, and which of them this CPU can run. Compiled with baseline flags only. */
#include "table.h"

#define FL_ISA_ROW(name, runs) extern const fl_table fl_table_##name;
#include "isas.def"
#undef FL_ISA_ROW

const fl_table *const fl_tables[] = {
#define FL_ISA_ROW(name, runs) &fl_table_##name,
#include "isas.def"
#undef FL_ISA_ROW
    NULL,
};

const fl_table *fl_active = &fl_table_base;

#define FL_HAS(feature) __builtin_cpu_supports(feature)
#define FL_HAS_V3 (FL_HAS("avx2") && FL_HAS("fma") && FL_HAS("bmi") && FL_HAS("bmi2"))

int fl_runs_here(const fl_table *table)
{
#ifdef FL_X86
    __builtin_cpu_init();
#endif
#define FL_ISA_ROW(name, runs) \
    if (table == &fl_table_##name) return runs;
#include "isas.def"
#undef FL_ISA_ROW
    return 0;
}
