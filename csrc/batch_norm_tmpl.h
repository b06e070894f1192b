/* batch_norm_tmpl.h: batch normalisation (Ioffe and Szegedy 2015) and its derivative; fl_batch_norm_job and fl_batch_norm_channels_job in
 * fl.h say what each kernel gives. Sums over a piece of a plane are made in registers, side by side; pieces are added in double,
 * in their order. x is taken relative to a centre near its mean before anything else, so a large mean costs no digits. */

#undef NORM_WIDE
#define NORM_WIDE 4

/* A piece of a plane: where it begins in x, how many pixels it has, its channel. */
typedef struct {
    fl_int at, n, channel, number; /* number: of its plane's pieces */
} FL_FN(piece);

FL_INLINE FL_FN(piece) FL_FN(piece_of)(const fl_batch_norm_job *job, fl_int unit)
{
    const fl_int plane = unit / job->pieces, number = unit % job->pieces, from = number * job->piece;
    const fl_int n = job->pixels - from < job->piece ? job->pixels - from : job->piece;
    return (FL_FN(piece)){plane * job->pixels + from, n, plane % job->c, number};
}

/* The piece after this one: without divisions. */
FL_INLINE void FL_FN(next_piece)(const fl_batch_norm_job *job, FL_FN(piece) *p)
{
    p->at += p->n;
    if (++p->number == job->pieces) {
        p->number = 0;
        if (++p->channel == job->c) p->channel = 0;
    }
    const fl_int left = job->pixels - p->number * job->piece;
    p->n = left < job->piece ? left : job->piece;
}

FL_INLINE double FL_FN(norm_total)(const vec *s) { return (double)vsum((s[0] + s[1]) + (s[2] + s[3])); }

/* mean_and_squares: the mean of x and the sum of squared deviations from it, by the corrected two-pass formula (Chan, Golub and
 * LeVeque 1983): the first mean need only be near. */
FL_INLINE void FL_FN(piece_moments)(const real *x, fl_int n, double *mean_and_squares)
{
    vec sum[NORM_WIDE] = {{0}}, off[NORM_WIDE] = {{0}}, squares[NORM_WIDE] = {{0}};
    fl_int i = 0;
    for (; i + NORM_WIDE * VL <= n; i += NORM_WIDE * VL)
        for (int w = 0; w < NORM_WIDE; w++) sum[w] += vload(x + i + w * VL);
    for (; i < n; i += VL) sum[0] += vload_n(x + i, n - i < VL ? n - i : VL, 0);
    const real near = (real)(FL_FN(norm_total)(sum) / (double)n);
    for (i = 0; i + NORM_WIDE * VL <= n; i += NORM_WIDE * VL)
        for (int w = 0; w < NORM_WIDE; w++) {
            const vec d = vload(x + i + w * VL) - near;
            off[w] += d;
            squares[w] += d * d;
        }
    for (; i < n; i += VL) {
        const vec d = vload_n(x + i, n - i < VL ? n - i : VL, near) - near;
        off[0] += d;
        squares[0] += d * d;
    }
    const double rest = FL_FN(norm_total)(off), square = FL_FN(norm_total)(squares) - rest * rest / (double)n;
    mean_and_squares[0] = (double)near + rest / (double)n;
    mean_and_squares[1] = square < 0 ? 0 : square;
}

static void FL_FN(batch_norm_moments)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_job *job = (const fl_batch_norm_job *)head;
    const fl_int from = block * job->per_block, to = from + job->per_block < job->units ? from + job->per_block : job->units;
    FL_FN(piece) p = FL_FN(piece_of)(job, from);
    (void)scratch;
    for (fl_int unit = from; unit < to; unit++, FL_FN(next_piece)(job, &p))
        FL_FN(piece_moments)((const real *)job->x + p.at, p.n, job->partial + 2 * unit);
}

static void FL_FN(batch_norm_sums)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_job *job = (const fl_batch_norm_job *)head;
    const fl_int from = block * job->per_block, to = from + job->per_block < job->units ? from + job->per_block : job->units;
    FL_FN(piece) p = FL_FN(piece_of)(job, from);
    (void)scratch;
    for (fl_int unit = from; unit < to; unit++, FL_FN(next_piece)(job, &p)) {
        const real *x = (const real *)job->x + p.at, *v = (const real *)job->v + p.at, centre = (real)job->moments[p.channel];
        vec sum[NORM_WIDE] = {{0}}, product[NORM_WIDE] = {{0}};
        fl_int i = 0;
        for (; i + NORM_WIDE * VL <= p.n; i += NORM_WIDE * VL)
            for (int w = 0; w < NORM_WIDE; w++) {
                const vec a = vload(v + i + w * VL);
                sum[w] += a;
                product[w] += a * (vload(x + i + w * VL) - centre);
            }
        for (; i < p.n; i += VL) {
            const fl_int left = p.n - i < VL ? p.n - i : VL;
            const vec a = vload_n(v + i, left, 0);
            sum[0] += a;
            product[0] += a * (vload_n(x + i, left, centre) - centre);
        }
        job->partial[2 * unit] = FL_FN(norm_total)(sum);
        job->partial[2 * unit + 1] = FL_FN(norm_total)(product);
    }
}

/* has_v, has_x and op are constants at every call. */
FL_INLINE void FL_FN(norm_map_range)(const fl_batch_norm_job *job, fl_int from, fl_int to, const int has_v, const int has_x,
                                     const int op)
{
    FL_FN(piece) p = FL_FN(piece_of)(job, from);
    for (fl_int unit = from; unit < to; unit++, FL_FN(next_piece)(job, &p)) {
        const double *factors = job->factors + p.channel;
        const vec of_v = vset((real)factors[0]), of_x = vset((real)factors[job->c]), plus = vset((real)factors[2 * job->c]);
        const vec centre = vset((real)job->moments[p.channel]);
        const real *v = has_v ? (const real *)job->v + p.at : NULL, *x = has_x ? (const real *)job->x + p.at : NULL;
        const real *below = op != FL_IDENTITY ? (const real *)job->below + p.at : NULL;
        real *out = (real *)job->out + p.at;
#define FL_NORM_MAP(load, store)                                        \
    do {                                                                \
        vec y = plus;                                                   \
        if (has_x) y += of_x * (load(x) - centre);                      \
        if (has_v) y += of_v * load(v);                                 \
        if (op != FL_IDENTITY) y *= FL_FN(slope_of)(load(below), op);   \
        store(y);                                                       \
    } while (0)
#define FL_WHOLE(a) vload(a + i)
#define FL_STORE_WHOLE(y) vstore(out + i, y)
#define FL_PART(a) vload_n(a + i, p.n - i, 0)
#define FL_STORE_PART(y) vstore_n(out + i, y, p.n - i)
        fl_int i = 0;
        for (; i + VL <= p.n; i += VL) FL_NORM_MAP(FL_WHOLE, FL_STORE_WHOLE);
        if (i < p.n) FL_NORM_MAP(FL_PART, FL_STORE_PART);
#undef FL_NORM_MAP
#undef FL_WHOLE
#undef FL_STORE_WHOLE
#undef FL_PART
#undef FL_STORE_PART
    }
}

static void FL_FN(batch_norm_map)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_job *job = (const fl_batch_norm_job *)head;
    const fl_int from = block * job->per_block, to = from + job->per_block < job->units ? from + job->per_block : job->units;
    const int op = job->below ? job->op : FL_IDENTITY;
    (void)scratch;
    assert(job->v || op == FL_IDENTITY); /* what has an activation below it is J' v */
#define FL_NORM_CASE(op)                                              \
    case op:                                                          \
        if (job->x) FL_FN(norm_map_range)(job, from, to, 1, 1, op);   \
        else FL_FN(norm_map_range)(job, from, to, 1, 0, op);          \
        break;
    if (!job->v && job->x) FL_FN(norm_map_range)(job, from, to, 0, 1, FL_IDENTITY);
    else if (!job->v) FL_FN(norm_map_range)(job, from, to, 0, 0, FL_IDENTITY);
    else
        switch (op) {
            FL_NORM_CASE(FL_TANH)
            FL_NORM_CASE(FL_SIGMOID)
            FL_NORM_CASE(FL_RELU)
            FL_NORM_CASE(FL_IDENTITY)
        }
#undef FL_NORM_CASE
}

/* The blocks of channels: a few side by side, for each addition of a sum waits for the one before. */
static void FL_FN(batch_norm_forward)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_channels_job *job = (const fl_batch_norm_channels_job *)head;
    const fl_int k = block * FL_NORM_CHANNELS, here = job->c - k < FL_NORM_CHANNELS ? job->c - k : FL_NORM_CHANNELS;
    const fl_int last = job->pixels - (job->pieces - 1) * job->piece; /* pixels of a plane's last piece */
    const double count = (double)job->n * (double)job->pixels;
    double mean[FL_NORM_CHANNELS], var[FL_NORM_CHANNELS], rest[FL_NORM_CHANNELS] = {0}, squares[FL_NORM_CHANNELS] = {0};
    (void)scratch;
    for (fl_int q = 0; q < here; q++) {
        mean[q] = job->partial ? job->partial[2 * (k + q) * job->pieces] : (double)((const real *)job->running_mean)[k + q];
        var[q] = job->partial ? 0 : (double)((const real *)job->running_var)[k + q];
    }
    if (job->partial) { /* the mean first, relative to that of the first piece; then what the pieces' means deviate from it */
        for (fl_int i = 0; i < job->n; i++)
            for (fl_int q = 0; q < here; q++) {
                const double *part = job->partial + 2 * (i * job->c + k + q) * job->pieces;
                for (fl_int j = 0; j < job->pieces; j++)
                    rest[q] += (double)(j + 1 < job->pieces ? job->piece : last) * (part[2 * j] - mean[q]);
            }
        for (fl_int q = 0; q < here; q++) mean[q] += rest[q] / count;
        for (fl_int i = 0; i < job->n; i++)
            for (fl_int q = 0; q < here; q++) {
                const double *part = job->partial + 2 * (i * job->c + k + q) * job->pieces;
                for (fl_int j = 0; j < job->pieces; j++) {
                    const double d = part[2 * j] - mean[q];
                    squares[q] += part[2 * j + 1] + (double)(j + 1 < job->pieces ? job->piece : last) * (d * d);
                }
            }
        for (fl_int q = 0; q < here; q++) var[q] = squares[q] / count;
    }
    for (fl_int q = 0; q < here; q++) {
        const double scale = (double)((const real *)job->gamma)[k + q] / sqrt(var[q] + job->eps);
        job->moments[k + q] = mean[q];
        job->moments[job->c + k + q] = var[q];
        job->factors[k + q] = 0;
        job->factors[job->c + k + q] = scale;
        job->factors[2 * job->c + k + q] = (double)((const real *)job->beta)[k + q] - scale * (mean[q] - (double)(real)mean[q]);
    }
}

/* With z = (x - mean) / sqrt(var + eps), s = gamma / sqrt(var + eps), and sums over a channel's `count` values:
 *   J' v by beta = sum v, by gamma = sum v z; by x = s v, and in batch form s (v - sum v / count - z sum v z / count);
 *   J v = what that is for v, the direction of x, + z dgamma + dbeta: by x the Jacobian of a channel is symmetric. */
static void FL_FN(batch_norm_derivative)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_channels_job *job = (const fl_batch_norm_channels_job *)head;
    const fl_int k = block * FL_NORM_CHANNELS, here = job->c - k < FL_NORM_CHANNELS ? job->c - k : FL_NORM_CHANNELS;
    const double count = (double)job->n * (double)job->pixels;
    double sum[FL_NORM_CHANNELS] = {0}, product[FL_NORM_CHANNELS] = {0};
    real by_gamma[FL_NORM_CHANNELS], by_beta[FL_NORM_CHANNELS];
    (void)scratch;
    for (fl_int i = 0; job->partial && i < job->n; i++)
        for (fl_int q = 0; q < here; q++) {
            const double *part = job->partial + 2 * (i * job->c + k + q) * job->pieces;
            for (fl_int j = 0; j < job->pieces; j++) {
                sum[q] += part[2 * j];
                product[q] += part[2 * j + 1];
            }
        }
    for (fl_int q = 0; q < here; q++) {
        const double inverse = 1 / sqrt(job->moments[job->c + k + q] + job->eps), mean = job->moments[k + q];
        const double beyond = mean - (double)(real)mean; /* of the mean, beyond the centre */
        const double scale = (double)((const real *)job->gamma)[k + q] * inverse;
        double of_x = job->dgamma ? inverse * (double)((const real *)job->dgamma)[k + q] : 0;
        double plus = job->dbeta ? (double)((const real *)job->dbeta)[k + q] : 0;
        product[q] = inverse * (product[q] - beyond * sum[q]);
        if (job->batch && job->partial) {
            of_x -= scale * inverse * product[q] / count;
            plus -= scale * sum[q] / count;
        }
        job->factors[k + q] = scale;
        job->factors[job->c + k + q] = of_x;
        job->factors[2 * job->c + k + q] = plus - of_x * beyond;
        by_gamma[q] = (real)product[q];
        by_beta[q] = (real)sum[q];
    }
    if (job->update) { /* gamma may change only now */
        const FL_FN(stepper) step = FL_FN(stepper_of)(job->update);
        if (job->total_gamma) FL_FN(update_row)(&step, (real *)job->total_gamma + k, by_gamma, here);
        if (job->total_beta) FL_FN(update_row)(&step, (real *)job->total_beta + k, by_beta, here);
    } else {
        if (job->total_gamma) memcpy((real *)job->total_gamma + k, by_gamma, (size_t)here * sizeof(real));
        if (job->total_beta) memcpy((real *)job->total_beta + k, by_beta, (size_t)here * sizeof(real));
    }
}

/* The variance of the population, not of the sample: times count / (count - 1), where there are two values or more. */
static void FL_FN(batch_norm_running)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_channels_job *job = (const fl_batch_norm_channels_job *)head;
    const fl_int k = block * FL_NORM_CHANNELS, to = job->c - k < FL_NORM_CHANNELS ? job->c : k + FL_NORM_CHANNELS;
    const double count = (double)job->n * (double)job->pixels, unbiased = count > 1 ? count / (count - 1) : 1;
    real *mean = job->running_mean, *var = job->running_var;
    (void)scratch;
    for (fl_int q = k; q < to; q++) {
        mean[q] = (real)((1 - job->momentum) * (double)mean[q] + job->momentum * job->moments[q]);
        var[q] = (real)((1 - job->momentum) * (double)var[q] + job->momentum * unbiased * job->moments[job->c + q]);
    }
}
