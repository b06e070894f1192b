/* curvature.c: derivatives of what comes back through activations, softmax cross-entropy and normalisations: the parts of exact
 * Hessian products that are no matrix products (Pearlmutter 1994, "Fast exact multiplication by the Hessian"). */
#include "kernels/curvature.h"
#include "shared/activate.h"
#include "shared/blocks.h"

/* phi(z) (2 - z^2), phi the normal density. */
FL_INLINE vec gelu_second(vec z)
{
    const vec t = vmin(vset(GELU_MOST), vabs(z));
    return vexp_nonpositive(t * t * (real)-0.5) * (2 - t * t) * (real)0.39894228040143267794;
}

/* Of x sigmoid(z), slope and curve the derivatives of z: with s = sigmoid(z), from e = exp(-|z|), s (1 - s) (2 slope + x (curve +
 * (1 - 2 s) slope^2)). */
FL_INLINE vec gated_second(vec x, vec z, vec slope, vec curve)
{
    const vec e = vexp_nonpositive(vminus_abs(z)), share = 1 / (1 + e), tilt = vcopysign((1 - e) * share, z);
    return e * share * share * (2 * slope + x * (curve - tilt * slope * slope));
}

FL_INLINE vec silu_second(vec z)
{
    const vec x = vmin(vset(SILU_MOST), vmax(vset(-SILU_MOST), z));
    return gated_second(x, x, vset(1), vset(0));
}

FL_INLINE vec gelu_tanh_second(vec z)
{
    const real c = (real)1.5957691216057307117, cubic = (real)0.071354816272600248774; /* as in vgelu_tanh */
    const vec x = vmin(vset(GELU_TANH_MOST), vmax(vset(-GELU_TANH_MOST), z)), square = x * x;
    return gated_second(x, x * (square * cubic + c), square * (3 * cubic) + c, x * (6 * cubic));
}

FL_INLINE vec elu_second(vec y) { return vselect(vbelow(vset(0), y), vset(0), vset(1)); }

#define FL_SECOND_CASE(NAME, name, of, value, derivative, second, ...) \
    case FL_##NAME: return second;

static __attribute__((noinline)) vec second_apart(vec kept, int number)
{
    switch (number) {
        FL_EACH_ACTIVATION_APART(FL_SECOND_CASE)
    default: return vset(0);
    }
}

/* The derivative of sigma' by what is kept. */
FL_INLINE vec activation_second(vec kept, const sigma *s, const int activation)
{
    switch (activation) {
        FL_EACH_ACTIVATION_INLINE(FL_SECOND_CASE)
    default: return second_apart(kept, s->number);
    }
}

FL_INLINE void curve_range(const fl_curve_job *job, fl_int from, fl_int to, const int activation)
{
    const real *v = job->v, *dv = job->dv, *of = job->of, *dof = job->dof;
    const sigma s = {job->activation, vset((real)job->alpha)};
    real *out = job->out;
    for (fl_int i = from; i < to; i += VL) {
        const fl_int left = fl_min(to - i, VL);
        const vec kept = vload_n(of + i, left, 0);
        vec sum = vload_n(v + i, left, 0) * (activation_second(kept, &s, activation) * vload_n(dof + i, left, 0));
        if (dv) sum += activation_derivative(kept, &s, activation) * vload_n(dv + i, left, 0);
        vstore_n(out + i, sum, left);
    }
}

void FL_ENTRY(curve)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_curve_job *job = (const fl_curve_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->n);
    (void)scratch;
    FL_WITH_ACTIVATION(job->activation, curve_range(job, from, to, activation))
}

void FL_ENTRY(curve_softmax)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_curve_softmax_job *job = (const fl_curve_softmax_job *)head;
    const fl_int n = job->n, from = block * job->per_block, to = fl_min(from + job->per_block, job->m);
    (void)scratch;
    for (fl_int i = from; i < to; i++) {
        const real *x = (const real *)job->x + i * n, *u = (const real *)job->u + i * n;
        real *out = (real *)job->out + i * n, most = x[0];
        double factor = job->scale * (job->weight ? job->weight[i] : 1), targets = 0;
        vec sum = vset(0), product = vset(0), e = vset(0);
        for (fl_int j = 1; j < n; j++) most = x[j] > most ? x[j] : most;
        for (fl_int j = 0; j < n; j += VL) {
            const fl_int left = fl_min(n - j, VL);
            const vec a = vload_n(x + j, left, -REAL_INF);
            const vmask none = vequal(a, vset(-REAL_INF)); /* where exp would underflow, which takes AVX-512 some 200 cycles */
            e = vselect(none, vset(0), vexp(vselect(none, vset(most), a) - vset(most)));
            sum += e;
            product += e * vload_n(u + j, left, 0);
            if (n > VL) vstore_n(out + j, e, left);
        }
        const real total = vsum(sum), mean = vsum(product) / total;
        if (job->targets) {
            const real *t = (const real *)job->targets + i * n;
            for (fl_int j = 0; j < n; j++) targets += (double)t[j];
            factor *= job->share * targets + job->floor;
        }
        for (fl_int j = 0; j < n; j += VL) {
            const fl_int left = fl_min(n - j, VL);
            if (n > VL) e = vload_n(out + j, left, 0);
            vstore_n(out + j, vset((real)(factor / (double)total)) * (e * (vload_n(u + j, left, 0) - vset(mean))), left);
        }
    }
}

/* Of one group: everything in double, which these few numbers take without being the slowest part of a product. */
static void curve_group(const fl_curve_norm_job *job, fl_int group)
{
    const fl_int inner = job->inner, step = job->groups * inner, first = group * inner;
    const real *x = (const real *)job->x + first, *v = (const real *)job->v + first, *gamma = job->gamma, *dgamma = job->dgamma;
    const real *dx = job->dx ? (const real *)job->dx + first : NULL, *dv = job->dv ? (const real *)job->dv + first : NULL;
    const int fixed = job->mean != NULL;
    const double count = (double)(job->outer * inner), near = (double)x[0];
    double mean = 0, var = 0, dx_mean = 0, dx_z = 0, w_mean = 0, w_z = 0, dw_mean = 0, dw_z = 0, w_dz = 0;
#define EACH                                                     \
    for (fl_int i = 0, k = 0; i < job->outer; i++, k = i * step) \
        for (fl_int j = 0; j < inner; j++, k++)
#define AT(array, instead) ((array) ? (double)(array)[k] : (instead))
#define OF(array, instead) ((array) ? (double)(array)[job->by_group ? group : j] : (instead))
#define Z ((AT(x, 0) - mean) * inverse)
#define DZ (fixed ? AT(dx, 0) * inverse : (AT(dx, 0) - dx_mean - z * dx_z) * inverse)
    if (fixed) mean = (double)((const real *)job->mean)[group], var = (double)((const real *)job->variance)[group];
    else {
        EACH mean += (double)x[k] - near;
        mean = near + mean / count;
        EACH var += ((double)x[k] - mean) * ((double)x[k] - mean);
        var /= count;
    }
    const double inverse = 1 / __builtin_sqrt(var + job->eps);
    if (!fixed) {
        if (dx) {
            EACH dx_mean += AT(dx, 0), dx_z += AT(dx, 0) * Z;
            dx_mean /= count, dx_z /= count;
        }
        EACH
        {
            const double z = Z, w = OF(gamma, 1) * AT(v, 0), dw = OF(gamma, 1) * AT(dv, 0) + OF(dgamma, 0) * AT(v, 0);
            w_mean += w, w_z += w * z, dw_mean += dw, dw_z += dw * z, w_dz += w * DZ;
        }
        w_mean /= count, w_z /= count, dw_mean /= count, dw_z /= count, w_dz /= count;
    }
    const double rate = dx_z * inverse; /* of sqrt(var + eps), relative to it */
    EACH
    {
        const double z = Z, dz = DZ, w = OF(gamma, 1) * AT(v, 0), dw = OF(gamma, 1) * AT(dv, 0) + OF(dgamma, 0) * AT(v, 0);
        const double through = fixed ? dw : dw - dw_mean - z * (dw_z + w_dz) - dz * w_z - rate * (w - w_mean - z * w_z);
        if (job->out) ((real *)job->out)[first + k] = (real)(through * inverse);
        if (job->products) ((real *)job->products)[first + k] = (real)(AT(dv, 0) * z + AT(v, 0) * dz);
    }
#undef EACH
#undef AT
#undef OF
#undef Z
#undef DZ
}

void FL_ENTRY(curve_norm)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_curve_norm_job *job = (const fl_curve_norm_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->groups);
    (void)scratch;
    if (job->outer * job->inner > 0)
        for (fl_int group = from; group < to; group++) curve_group(job, group);
}
