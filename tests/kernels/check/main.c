/* main.c: runs every kernel of every table that this CPU has, for the dtype FL_DTYPE, beside that of the base table, on seeded
 * numbers of odd sizes, with NaN and infinities where kernels promise something for them. Results are the same bit by bit where
 * kernels only move, select or add in a fixed order; else they differ by so many units of rounding of the largest number, as each
 * check says. Each kernel is then left out once, which the check must notice.
 *
 * Prints what differs, and a line for each table; the exit status is 0 if nothing does. */
#include "check.h"
#include "convolutions.h"
#include "dense.h"
#include "images.h"

static const struct {
    const char *name;
    void (*run)(void);
} checks[] = {
    {"map", check_map},
    {"softmax", check_softmax},
    {"long softmax", check_softmax_parts},
    {"cross-entropy", check_xent},
    {"long cross-entropy", check_xent_parts},
    {"linear", check_linear},
    {"sums", check_sums},
    {"gemm", check_gemm},
    {"gemm_dots", check_gemm_dots},
    {"slope", check_slope},
    {"update", check_update},
    {"residuals", check_residuals},
    {"smooth", check_smooth},
    {"curvature", check_curvature},
    {"outer", check_outer},
    {"layer_norm", check_layer_norm},
    {"dropout", check_dropout},
    {"conditional", check_conditional},
    {"kmeans", check_kmeans},
    {"im2col", check_im2col},
    {"pool", check_pool},
    {"stencil", check_stencil},
    {"channels", check_channels},
    {"batch_norm", check_batch_norm},
    {"conv", check_conv},
    {"conv_images", check_conv_images},
    {"conv_weights", check_conv_weights},
    {"depthwise", check_depthwise},
    {"winograd", check_winograd},
    {"winograd_weights", check_winograd_weights},
};

static const char *const names[] = {
#define FL_KERNEL(name) #name,
#include "kernels.def"
#undef FL_KERNEL
};

static double number(const finding *f, fl_int i)
{
    return f->kind == REALS ? (double)((const real *)f->data)[i] : ((const double *)f->data)[i];
}

/* Whether the two agree; says where they don't. */
static int agree(const char *check, const finding *wanted, const finding *got, int loud)
{
    if (strcmp(wanted->name, got->name) != 0 || wanted->n != got->n) {
        printf("%s %s: %s (%d) beside %s (%d)\n", table->isa, check, got->name, (int)got->n, wanted->name, (int)wanted->n);
        return 0;
    }
    if (got->kind == BYTES) {
        if (!memcmp(wanted->data, got->data, (size_t)got->n)) return 1;
        if (loud) printf("%s %s: %s differ\n", table->isa, check, got->name);
        return 0;
    }
    double largest = 0;
    for (fl_int i = 0; i < got->n; i++) {
        const double size = fabs(number(wanted, i));
        if (size > largest && size < (double)INFINITY) largest = size;
    }
    const double most = got->ulps * (FL_IS_F32 ? (double)FLT_EPSILON : DBL_EPSILON) * largest;
    for (fl_int i = 0; i < got->n; i++) {
        const double a = number(wanted, i), b = number(got, i);
        if ((a != a && b != b) || (a == b && (got->ulps > 0 || !signbit(a) == !signbit(b))) || fabs(a - b) <= most) continue;
        if (loud)
            printf("%s %s: %s[%d of %d] is %.9g beside %.9g, largest %.3g, off by %.3g units\n", table->isa, check, got->name,
                   (int)i, (int)got->n, b, a, largest, fabs(a - b) / largest / (FL_IS_F32 ? (double)FLT_EPSILON : DBL_EPSILON));
        return 0;
    }
    return 1;
}

static void run_with(const fl_table *with, fl_int check, int leave_out)
{
    now = with != &fl_table_base;
    n_findings[now] = 0;
    table = with;
    lanes = with->facts.vector_bytes / SIZE;
    omitted = leave_out;
    state = (uint64_t)check;
    memset(used, 0, sizeof used);
    checks[check].run();
}

/* How many findings of the table differ from those of the base table. */
static int differences(fl_int check, int loud)
{
    int count = n_findings[0] != n_findings[1];
    for (int i = 0; i < n_findings[1] && !count; i++) count += !agree(checks[check].name, &findings[0][i], &findings[1][i], loud);
    return count;
}

int main(void)
{
    int failures = 0, tables = 0;
    for (const fl_table *const *t = fl_tables; *t != &fl_table_base; t++) {
        int kernels = 0, results = 0;
        unsigned char seen[FL_KERNELS] = {0};
        if (!fl_runs_here(*t)) continue;
        tables++;
        for (fl_int c = 0; c < COUNT(checks); c++) {
            unsigned char mine[FL_KERNELS];
            run_with(&fl_table_base, c, -1);
            run_with(*t, c, -1);
            failures += differences(c, 1);
            results += n_findings[1];
            memcpy(mine, used, sizeof mine);
            for (int k = 0; k < FL_KERNELS; k++) {
                seen[k] |= mine[k];
                if (!mine[k]) continue;
                run_with(*t, c, k);
                if (differences(c, 0)) continue;
                printf("%s %s: nothing changes without %s\n", (*t)->isa, checks[c].name, names[k]);
                failures++;
            }
            if (!release()) {
                printf("%s %s: written beside an array\n", (*t)->isa, checks[c].name);
                failures++;
            }
        }
        for (int k = 0; k < FL_KERNELS; k++) {
            kernels += seen[k];
            if (!seen[k]) printf("%s: no check of %s\n", (*t)->isa, names[k]), failures++;
        }
        printf("%s %s: %d kernels, %d results\n", (*t)->isa, FL_STRING(FL_DTYPE), kernels, results);
    }
    if (!tables) puts("no table but base");
    return failures != 0;
}
