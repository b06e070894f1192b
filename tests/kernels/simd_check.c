/* simd_check.c: runs every function of csrc/simd's vocabulary against scalar code, for the dtype and instruction set that it is
 * compiled for: all lanes, all lengths of tails, NaN, infinities, zeros of both signs, subnormal numbers. Pages around the arrays
 * that must not be touched are guarded. Prints what differs; the exit status is the number of functions that do. */
#include "simd/simd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int failures;
static real *page, *page_end; /* of a page between two that may not be touched */

static real random_real(void)
{
    static const real specials[] = {
        0, (real)-0.0, 1, -1, (real)0.5, REAL_MIN, -REAL_MIN / 4, REAL_MAX, -REAL_MAX, (real)INFINITY, -(real)INFINITY, (real)NAN};
    if (rand() % 4 == 0) return specials[rand() % (int)(sizeof specials / sizeof *specials)];
    return (real)(rand() % 2000 - 1000) / (real)(rand() % 64 + 1);
}

static int same(real a, real b) /* bit by bit, or both NaN */ { return (a != a && b != b) || !memcmp(&a, &b, sizeof a); }

static void compare(const char *what, const real *got, const real *wanted, fl_int n)
{
    for (fl_int i = 0; i < n; i++)
        if (!same(got[i], wanted[i])) {
            printf("%s: lane %d is %g; expected %g\n", what, (int)i, (double)got[i], (double)wanted[i]);
            failures++;
            return;
        }
}

static void compare_vec(const char *what, vec got, const real *wanted)
{
    real lanes[VL];
    vstore(lanes, got);
    compare(what, lanes, wanted, VL);
}

static void guard(void)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    char *all = mmap(NULL, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + size, size, PROT_READ | PROT_WRITE)) exit(99);
    page = (real *)(all + size);
    page_end = (real *)(all + 2 * size);
}

static __attribute__((noinline)) void check_memory(void)
{
    real wanted[VL], got[2 * VL], a[VL];
    for (fl_int i = 0; i < VL; i++) a[i] = random_real();
    compare_vec("vload", vload(a), a);
    for (fl_int i = 0; i < VL; i++) wanted[i] = 7;
    compare_vec("vset", vset(7), wanted);
    for (fl_int n = 0; n <= VL; n++) {
        memcpy(page_end - n, a, (size_t)n * sizeof *a);
        for (fl_int i = 0; i < VL; i++) wanted[i] = i < n ? a[i] : 3;
        compare_vec("vload_n", vload_n(page_end - n, n, 3), wanted);
        for (fl_int i = 0; i < 2 * VL; i++) got[i] = 5;
        vstore_n(got, vload(a), n);
        for (fl_int i = 0; i < VL; i++) wanted[i] = i < n ? a[i] : 5;
        compare("vstore_n", got, wanted, VL);
        vstore_n(page_end - n, vload(a), n);
        compare("vstore_n at the end of a page", page_end - n, a, n);
    }
    for (fl_int lo = 0; lo <= VL; lo++)
        for (fl_int hi = lo; hi <= VL; hi++) {
            const vrange range = vrange_of(lo, hi);
            for (fl_int i = 0; i < VL; i++) wanted[i] = i >= lo && i < hi ? a[i] : 0;
            memcpy(page_end - (hi - lo), a + lo, (size_t)(hi - lo) * sizeof *a);
            compare_vec("vload_range at the end of a page", vload_range(page_end - hi, range), wanted);
            memcpy(page, a + lo, (size_t)(hi - lo) * sizeof *a);
            compare_vec("vload_range at the start of a page", vload_range(page - lo, range), wanted);
        }
    vstream(page, vload(a));
    vstream_end();
    compare("vstream", page, a, VL);
}

static vec chosen(vmask m) { return vselect(m, vset(1), vset(2)); }

static __attribute__((noinline)) void check_lanes(void)
{
    real a[VL], b[VL], wanted[VL];
    for (fl_int i = 0; i < VL; i++) {
        a[i] = random_real();
        b[i] = rand() % 4 ? random_real() : a[i];
    }
    const vec va = vload(a), vb = vload(b);
#define CHECK(what, value)                 \
    do {                                   \
        for (fl_int i = 0; i < VL; i++) {  \
            const real x = a[i], y = b[i]; \
            (void)y;                       \
            wanted[i] = value;             \
        }                                  \
        compare_vec(#what, what, wanted);  \
    } while (0)
    CHECK(vmax(va, vb), x > y ? x : y);
    CHECK(vmin(va, vb), x < y ? x : y);
    CHECK(vsqrt(va), (real)(FL_IS_F32 ? sqrtf((float)x) : sqrt((double)x)));
    CHECK(chosen(vequal(va, vb)), x == y ? 1 : 2);
    CHECK(chosen(vbelow(va, vb)), x < y ? 1 : 2);
    CHECK(chosen(vbeyond(va, vb)), !(x <= y) ? 1 : 2);
    CHECK(chosen(vnegative(vabs(va) * vset(-1))), x == x ? 1 : wanted[i]);
    CHECK(chosen(vequal(va, vb) & vnegative(vset(-1))), x == y ? 1 : 2);
    CHECK(chosen(vequal(va, vb) | vbelow(va, vb)), x <= y ? 1 : 2);
    CHECK(chosen(~vbelow(va, vb)), !(x < y) ? 1 : 2);
    CHECK(vselect(vbelow(va, vb), va, vb), x < y ? x : y);
    CHECK(vabs(va), (real)fabs((double)x));
    CHECK(vminus_abs(va), (real)-fabs((double)x));
    CHECK(vcopysign(vabs(va), vb), (real)copysign(fabs((double)x), (double)y));
}

static __attribute__((noinline)) void check_ldexp(void)
{
    real x[VL], n[VL], wanted[VL];
    for (fl_int i = 0; i < VL; i++) {
        x[i] = 1 + (real)(rand() % 1000) / 1001;
        n[i] = (real)(rand() % (4 * REAL_BIAS - 1) - 2 * REAL_BIAS);
        wanted[i] = FL_IS_F32 ? (real)ldexpf((float)x[i], (int)n[i]) : (real)ldexp((double)x[i], (int)n[i]);
    }
    compare_vec("vldexp", vldexp(vload(x), vload(n)), wanted);
}

static __attribute__((noinline)) void check_square_lost(void)
{
    const int steps = FL_IS_F32 ? 1 << 13 : 1 << 30; /* of numbers with halves short enough that nothing is rounded */
    real x[VL], square[VL], wanted[VL];
    for (fl_int i = 0; i < VL; i++) {
        x[i] = 1 + (real)(rand() % steps) / (real)steps;
        square[i] = x[i] * x[i];
        wanted[i] = FL_IS_F32 ? (real)fmaf((float)x[i], (float)x[i], (float)-square[i])
                              : (real)fma((double)x[i], (double)x[i], (double)-square[i]);
    }
    compare_vec("vsquare_lost", vsquare_lost(vload(x), vload(square)), wanted);
}

static __attribute__((noinline)) void check_sums(void)
{
    real a[4][VL], sums[4], got[5] = {0, 0, 0, 0, 9}, top;
    for (int k = 0; k < 4; k++) {
        sums[k] = 0;
        for (fl_int i = 0; i < VL; i++) sums[k] += a[k][i] = (real)(rand() % 2001 - 1000); /* exact in any order */
    }
    vsum4(got, vload(a[0]), vload(a[1]), vload(a[2]), vload(a[3]));
    compare("vsum4", got, sums, 4);
    if (got[4] != 9) failures++, puts("vsum4 writes a fifth sum");
    for (int k = 0; k < 4; k++) {
        got[k] = vsum(vload(a[k]));
        top = a[k][0];
        for (fl_int i = 1; i < VL; i++) top = a[k][i] > top ? a[k][i] : top;
        got[4] = vtop(vload(a[k]));
        compare("vtop", got + 4, &top, 1);
    }
    compare("vsum", got, sums, 4);
    for (fl_int i = 0; i < VL; i++) { /* a special value in each lane */
        a[0][i] = (real)INFINITY, a[1][i] = (real)NAN;
        sums[0] = (real)INFINITY, sums[1] = (real)NAN;
        got[0] = vsum(vload(a[0])), got[1] = vsum(vload(a[1]));
        compare("vsum of specials", got, sums, 2);
        got[0] = vtop(vload(a[0]));
        compare("vtop of infinity", got, sums, 1);
        a[0][i] = a[1][i] = 0;
    }
}

static void count(real *a, fl_int n)
{
    for (fl_int i = 0; i < n; i++) a[i] = (real)i;
}

static __attribute__((noinline)) void check_permutations(void)
{
    const fl_int parts = VL / QUAD, step = QUAD + 3;
    real memory[VL * (QUAD + 3)], wanted[VL * VL], got[VL * VL];
    vec v[VL], w[2];

    count(memory, VL * step);
    for (fl_int i = 0; i < VL; i++) wanted[i] = memory[i / QUAD * step + i % QUAD];
    const fl_int extent = (parts - 1) * step + QUAD;
    memcpy(page_end - extent, memory, (size_t)extent * sizeof *memory);
    compare_vec("vgather128", vgather128(page_end - extent, step), wanted);
    for (fl_int i = 0; i < extent; i++) page_end[i - extent] = wanted[i] = -1;
    for (fl_int i = 0; i < VL; i++) wanted[i / QUAD * step + i % QUAD] = (real)i;
    count(got, VL);
    vscatter128(page_end - extent, step, vload(got));
    compare("vscatter128", page_end - extent, wanted, extent);

    for (fl_int i = 0; i < QUAD; i++) {
        for (fl_int l = 0; l < VL; l++)
            got[l] = (real)(i * VL + l), wanted[i * VL + l] = (real)(l % QUAD * VL + l / QUAD * QUAD + i);
        v[i] = vload(got);
    }
    vtranspose128(v);
    for (fl_int i = 0; i < QUAD; i++) compare_vec("vtranspose128", v[i], wanted + i * VL);

    count(got, VL * VL);
    for (fl_int i = 0; i < VL; i++) {
        v[i] = vload(got + i * VL);
        for (fl_int l = 0; l < VL; l++) wanted[i * VL + l] = (real)(l * VL + i);
    }
    vtranspose(v);
    for (fl_int i = 0; i < VL; i++) compare_vec("vtranspose", v[i], wanted + i * VL);

    for (fl_int l = 0; l < VL; l++) wanted[l] = (real)(2 * l), wanted[VL + l] = (real)(2 * l + 1);
    vunzip(vload(got), vload(got + VL), w, w + 1);
    compare_vec("vunzip, even", w[0], wanted);
    compare_vec("vunzip, odd", w[1], wanted + VL);
    vzip(w[0], w[1], w, w + 1);
    compare_vec("vzip, first", w[0], got);
    compare_vec("vzip, second", w[1], got + VL);
    compare_vec("vnext", vnext(vload(got), vload(got + VL)), got + 1);

    vec four[4];
    real line[4 * VL];
    count(line, 4 * VL);
    for (fl_int i = 0; i < 4; i++) four[i] = vload(line + i * VL);
    vdeinterleave4(four);
    for (fl_int i = 0; i < 4; i++) {
        for (fl_int l = 0; l < VL; l++) wanted[l] = (real)(4 * l + i);
        compare_vec("vdeinterleave4", four[i], wanted);
    }
    vinterleave4(four);
    for (fl_int i = 0; i < 4; i++) compare_vec("vinterleave4", four[i], line + i * VL);

#if FL_IS_F32
    for (int span = 4; span <= 6; span += 2) {
        const fl_int ld = VL / 4 + 1;
        real spread[8 * (VL + 1)], expected[8 * (VL + 1)];
        for (fl_int i = 0; i < span * ld; i++) spread[i] = expected[i] = -1;
        for (fl_int b = 0; b < span; b++)
            for (fl_int q = 0; q < VL / 4; q++) expected[b * ld + q] = (real)(4 * q + b);
        if (span == 4) vspread4(spread, ld, vload(got), vload(got + VL), 4);
        else vspread4(spread, ld, vload(got), vload(got + VL), 6);
        compare("vspread4", spread, expected, span * ld);
    }
#endif

    real table[16] __attribute__((aligned(64)));
    bits numbers[VL];
    ivec which;
    count(table, 16);
    for (fl_int i = 0; i < VL; i++) {
        numbers[i] = (bits)(rand() - 1000);
        wanted[i] = (real)(numbers[i] & 15);
    }
    memcpy(&which, numbers, sizeof which);
    compare_vec("vlookup", vlookup(table, which), wanted);
}

int main(void)
{
    guard();
    for (int round = 0; round < 200; round++) {
        check_memory();
        check_lanes();
        check_ldexp();
        check_square_lost();
        check_sums();
        check_permutations();
        if (failures) return failures < 99 ? failures : 98;
    }
    return 0;
}
