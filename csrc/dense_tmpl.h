/* dense_tmpl.h: what surrounds the matrix products of a dense layer: bias, activation, residual, the derivative sigma' (which
 * follows from the output y = sigma(z), so z is not kept), the optimizer's step. */

/* sigma'(z) where y = sigma(z): 1 - y^2, y (1 - y), or 1 where y > 0. NaN where y is. */
FL_INLINE vec FL_FN(slope_of)(vec y, const int op)
{
    switch (op) {
    case FL_TANH: return 1 - y * y;
    case FL_SIGMOID: return y - y * y;
    case FL_RELU: return FL_FN(relu_derivative)(y);
    default: return vset(1);
    }
}

FL_INLINE vec FL_FN(activate)(vec z, const int op)
{
    vec derivative;
    switch (op) {
    case FL_TANH: return vtanh(z, &derivative);
    case FL_SIGMOID: return vsigmoid(z, &derivative);
    case FL_RELU: return vmax(vset(0), z);
    default: return z;
    }
}

/* A rectangle of C, `rows` x `cols` at (i, j), from the product z, which may be C itself. op and op2 are constants. */
FL_INLINE void FL_FN(finish_range)(const fl_gemm_job *job, const real *z, fl_int ldz, fl_int i, fl_int rows, fl_int j, fl_int cols,
                                   const int op, const int op2)
{
    const real *bias = job->bias ? (const real *)job->bias + j : NULL;
    for (fl_int q = 0; q < rows; q++) {
        real *c = (real *)job->c + (i + q) * job->ldc + j;
        const real *zq = z + q * ldz;
        const real *r = job->r ? (const real *)job->r + (i + q) * job->ldr + j : NULL;
        const real *y = op2 != FL_IDENTITY ? (const real *)job->y + (i + q) * job->ldy + j : NULL;
        for (fl_int v = 0; v < cols; v += VL) {
            const fl_int left = cols - v < VL ? cols - v : VL;
            vec x = vload_n(zq + v, left, 0);
            if (job->accumulate) x += vload_n(c + v, left, 0);
            if (bias) x += vload_n(bias + v, left, 0);
            x = FL_FN(activate)(x, op);
            if (r) x += vload_n(r + v, left, 0);
            if (op2 != FL_IDENTITY) x *= FL_FN(slope_of)(vload_n(y + v, left, 0), op2);
            vstore_n(c + v, x, left);
        }
    }
}

/* The same as a gradient of the parameters C. */
FL_INLINE void FL_FN(finish_update)(const fl_gemm_job *job, const real *z, fl_int ldz, fl_int i, fl_int rows, fl_int j, fl_int cols)
{
    const FL_FN(stepper) step = FL_FN(stepper_of)(job->update);
    for (fl_int q = 0; q < rows; q++) FL_FN(update_row)(&step, (real *)job->c + (i + q) * job->ldc + j, z + q * ldz, cols);
}

/* C, whose gradient is the product of a column (elements a_row apart) and a row: without a tile between. */
FL_INLINE void FL_FN(outer_update)(const fl_gemm_job *job, fl_int i, fl_int rows, fl_int j, fl_int cols, const int rule)
{
    const FL_FN(stepper) step = FL_FN(stepper_of)(job->update);
    const real *a = (const real *)job->a + i * job->a_row, *b = (const real *)job->b + j;
    for (fl_int q = 0; q < rows; q++) {
        real *c = (real *)job->c + (i + q) * job->ldc + j;
        const vec aq = vset(a[q * job->a_row]);
        fl_int v = 0;
        for (; v + VL <= cols; v += VL) FL_FN(update_vector)(&step, c + v, aq * vload(b + v), VL, rule, 0);
        if (v < cols) FL_FN(update_vector)(&step, c + v, aq * vload_n(b + v, cols - v, 0), cols - v, rule, 1);
    }
}

static void FL_FN(gemm_outer_update)(const fl_gemm_job *job, fl_int i, fl_int rows, fl_int j, fl_int cols)
{
    if (job->update->rule == FL_ADAM) FL_FN(outer_update)(job, i, rows, j, cols, FL_ADAM);
    else if (job->update->s) FL_FN(outer_update)(job, i, rows, j, cols, FL_MOMENTUM);
    else FL_FN(outer_update)(job, i, rows, j, cols, FL_SGD);
}

FL_INTERLEAVED static void FL_FN(gemm_finish)(const fl_gemm_job *job, const real *z, fl_int ldz, fl_int i, fl_int rows, fl_int j,
                                              fl_int cols)
{
    if (job->update) {
        FL_FN(finish_update)(job, z, ldz, i, rows, j, cols);
        return;
    }
    if (job->y) { /* derivatives follow no activation */
        switch (job->op2) {
        case FL_TANH: FL_FN(finish_range)(job, z, ldz, i, rows, j, cols, FL_IDENTITY, FL_TANH); return;
        case FL_SIGMOID: FL_FN(finish_range)(job, z, ldz, i, rows, j, cols, FL_IDENTITY, FL_SIGMOID); return;
        case FL_RELU: FL_FN(finish_range)(job, z, ldz, i, rows, j, cols, FL_IDENTITY, FL_RELU); return;
        default: break;
        }
    }
    switch (job->op) {
    case FL_TANH: FL_FN(finish_range)(job, z, ldz, i, rows, j, cols, FL_TANH, FL_IDENTITY); break;
    case FL_SIGMOID: FL_FN(finish_range)(job, z, ldz, i, rows, j, cols, FL_SIGMOID, FL_IDENTITY); break;
    case FL_RELU: FL_FN(finish_range)(job, z, ldz, i, rows, j, cols, FL_RELU, FL_IDENTITY); break;
    default: FL_FN(finish_range)(job, z, ldz, i, rows, j, cols, FL_IDENTITY, FL_IDENTITY); break;
    }
}

#undef SLOPE_WIDE
#define SLOPE_WIDE 4

/* `wide` registers of columns of the rows from..to, the last one of `left` lanes. Sums of runs of 128 rows are added to the
 * total: long sums lose less so. */
FL_INLINE void FL_FN(slope_columns)(const fl_slope_job *job, fl_int from, fl_int to, fl_int j, fl_int left, real *total, const int op,
                                    const int wide)
{
    const fl_int n = job->n;
    const real *v = (const real *)job->v + j, *y = op == FL_IDENTITY ? NULL : (const real *)job->y + j;
    real *g = job->g ? (real *)job->g + j : NULL;
    vec sum[SLOPE_WIDE];
    for (int w = 0; w < wide; w++) sum[w] = vset(0);
    for (fl_int i = from; i < to;) {
        vec run[SLOPE_WIDE];
        for (int w = 0; w < wide; w++) run[w] = vset(0);
        for (fl_int end = i + 128 < to ? i + 128 : to; i < end; i++)
            for (int w = 0; w < wide; w++) {
                const fl_int at = i * n + w * VL;
                vec d = wide > 1 ? vload(v + at) : vload_n(v + at, left, 0);
                if (op != FL_IDENTITY) d *= FL_FN(slope_of)(wide > 1 ? vload(y + at) : vload_n(y + at, left, 0), op);
                if (g && wide > 1) vstore(g + at, d);
                else if (g) vstore_n(g + at, d, left);
                run[w] += d;
            }
        for (int w = 0; w < wide; w++) sum[w] += run[w];
    }
    for (int w = 0; w < wide; w++) vstore(total + w * VL, sum[w]);
}

FL_INLINE void FL_FN(slope_range)(const fl_slope_job *job, fl_int i, fl_int to, fl_int from, fl_int end, real *out, const int op)
{
    FL_FN(stepper) step;
    if (job->update) step = FL_FN(stepper_of)(job->update);
    for (fl_int j = from, here; j < end; j += here) {
        real total[SLOPE_WIDE * VL];
        here = end - j >= SLOPE_WIDE * VL ? SLOPE_WIDE * VL : end - j < VL ? end - j : VL;
        if (here > VL) FL_FN(slope_columns)(job, i, to, j, VL, total, op, SLOPE_WIDE);
        else FL_FN(slope_columns)(job, i, to, j, here, total, op, 1);
        if (out && job->update) FL_FN(update_row)(&step, out + j, total, here);
        else if (out) memcpy(out + j, total, (size_t)here * sizeof(real));
    }
}

static void FL_FN(slope)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_slope_job *job = (const fl_slope_job *)head;
    const fl_int across = (job->n + job->cols - 1) / job->cols, part = block / across;
    const fl_int i = part * job->rows, to = i + job->rows < job->m ? i + job->rows : job->m;
    const fl_int from = block % across * job->cols, end = from + job->cols < job->n ? from + job->cols : job->n;
    real *out = job->total ? (real *)job->total + part * job->n : NULL;
    (void)scratch;
    switch (job->y ? job->op : FL_IDENTITY) {
    case FL_TANH: FL_FN(slope_range)(job, i, to, from, end, out, FL_TANH); break;
    case FL_SIGMOID: FL_FN(slope_range)(job, i, to, from, end, out, FL_SIGMOID); break;
    case FL_RELU: FL_FN(slope_range)(job, i, to, from, end, out, FL_RELU); break;
    default: FL_FN(slope_range)(job, i, to, from, end, out, FL_IDENTITY); break;
    }
}
