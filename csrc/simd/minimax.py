"""Print the polynomial coefficients of math.h and smooth.h: python csrc/simd/minimax.py (needs mpmath).

Each polynomial p minimises max |p(t) - f(t)| / w(t) on an interval, found by Remez exchange at 60 digits; a ratio of two nearly
minimises the largest relative error.
"""

from mpmath import cos, erf, erfc, exp, factorial, log, lu_solve, matrix, mp, mpf, pi, qr_solve, sqrt

mp.dps = 60


def remez(f, w, lo, hi, degree, rounds=12, grid=2000):
    """Coefficients, lowest order first, and the largest weighted error."""
    lo, hi = mpf(lo), mpf(hi)

    def chebyshev(k, n):
        return (lo + hi) / 2 - (hi - lo) / 2 * cos(pi * k / n)

    points = [chebyshev(k + mpf(1) / 2, degree + 2) for k in range(degree + 2)]
    sample = [chebyshev(k + mpf(1) / 2, grid) for k in range(grid)]
    for _ in range(rounds):
        a = matrix(degree + 2, degree + 2)
        b = matrix(degree + 2, 1)
        for i, t in enumerate(points):
            for j in range(degree + 1):
                a[i, j] = t**j
            a[i, degree + 1] = (-1) ** i * w(t)
            b[i] = f(t)
        c = lu_solve(a, b)
        error = [(sum(c[j] * t**j for j in range(degree + 1)) - f(t)) / w(t) for t in sample]
        points, best = [], 0
        for i in range(1, grid + 1):  # one extremum for each run of equal signs
            if i == grid or error[i] * error[best] < 0:
                points.append(sample[best])
                best = i if i < grid else best
            elif abs(error[i]) > abs(error[best]):
                best = i
        if len(points) != degree + 2:
            break
    return [c[j] for j in range(degree + 1)], max(abs(e) for e in error)


def show(title, f, w, lo, hi, degree, digits):
    coefficients, error = remez(f, w, lo, hi, degree)
    print(f"{title}, degree {degree}: relative error 2^{float(log(error, 2)):.1f}")
    print("   ", ", ".join(mp.nstr(c, digits) for c in coefficients))


def ratio(f, t, above, below, rounds=40):
    """Coefficients of two polynomials of these degrees, the second's first one 1, and the largest relative error of their ratio at
    the points t: least squares, each time relative to the denominator before, its weights times the errors (Lawson)."""
    values = [f(x) for x in t]
    weights, under, best = [mpf(1)] * len(t), [mpf(1)] * len(t), (mpf("inf"), None, None)
    for round in range(rounds):
        a, b = matrix(len(t), above + below + 1), matrix(len(t), 1)
        for i, x in enumerate(t):
            b[i] = sqrt(weights[i]) / under[i]
            for j in range(above + 1):
                a[i, j] = x**j / values[i] * b[i]
            for j in range(1, below + 1):
                a[i, above + j] = -(x**j) * b[i]
        c = list(qr_solve(a, b)[0])
        p, q = c[: above + 1], [mpf(1), *c[above + 1 :]]
        under = [sum(c * x**j for j, c in enumerate(q)) for x in t]
        errors = [abs(sum(c * x**j for j, c in enumerate(p)) / d / y - 1) for x, d, y in zip(t, under, values, strict=True)]
        best = min(best, (max(errors), p, q), key=lambda found: found[0])
        if round > 5:  # the denominator has settled
            weights = [w * (e / max(errors)) + mpf(10) ** -12 for w, e in zip(weights, errors, strict=True)]
            weights = [w * len(t) / sum(weights) for w in weights]
    return best


def show_ratio(title, f, t, above, below, digits):
    error, *both = ratio(f, t, above, below)
    print(f"{title}, degrees {above} and {below}: relative error 2^{float(log(error, 2)):.1f}")
    for coefficients in both:
        print("   ", ", ".join(mp.nstr(c, digits) for c in coefficients))


half_ln2 = log(2) / 2 * mpf("1.0005")
s_max = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2


def q(r):
    """expm1(r) = r + r^2 q(r)."""
    return sum(r**k / factorial(k + 2) for k in range(30))


def relative_to_exp(r):
    return 1 / max(abs(r), mpf("0.002")) ** 2


def relative_to_expm1(r):
    """But finite at 0."""
    return (1 + r * q(r)) / max(abs(r), mpf("0.002"))


def p(z):
    """log((1 + s) / (1 - s)) = 2 s + s z p(z), z = s^2."""
    return (log((1 + sqrt(z)) / (1 - sqrt(z))) / sqrt(z) - 2) / z


def normal_ratio(t):
    """exp(t^2 / 2) Phi(-t), Phi the normal distribution."""
    return exp(t * t / 2) * erfc(t / sqrt(mpf(2))) / 2


def of_share(at, s):
    """The t of which s is (t - at) / (t + at)."""
    return at * (1 + s) / (1 - s)


def normal_tail(at):
    """Of s: (t + at) times normal_ratio(t)."""
    return lambda s: (of_share(at, s) + at) * normal_ratio(of_share(at, s))


def erf_ratio(z):
    """Of z = x^2: erf(x) / x, of whose first coefficient smooth.h takes 1."""
    return erf(sqrt(z)) / sqrt(z)


def show_table(precision):
    """2^(j/16), to two bits less than a float has so that tanh's 1 - 2^(j/16) / 4 is exact, and what that leaves of it."""
    upper, lower = [], []
    for j in range(16):
        exact = mpf(2) ** (mpf(j) / 16)
        with mp.workprec(precision - 2):
            rounded = +exact
        with mp.workprec(precision):
            rest = +((exact - rounded) / rounded) if j else mpf(0)
        upper.append(float(rounded).hex())
        lower.append(float(rest).hex())
    print(f"table, {precision} bits:\n    {', '.join(upper)}\n    {', '.join(lower)}")


if __name__ == "__main__":
    for digits, degree in ((10, 4), (20, 9)):
        show("expm1", q, relative_to_expm1, -half_ln2, half_ln2, degree, digits)
    for digits, degree in ((10, 1), (20, 4)):
        show("exp beside the table", q, relative_to_exp, -half_ln2 / 16, half_ln2 / 16, degree, digits)
        show("expm1 beside the table", q, relative_to_expm1, -half_ln2 / 16, half_ln2 / 16, degree + 1, digits)
    for digits, degree in ((10, 2), (20, 7)):
        show("log", p, lambda z: 1 / z, mpf("1e-9"), s_max, degree, digits)
    at, most = mpf("3.5"), mpf("14.7")
    shares = [((1 + cos(pi * (k + mpf(1) / 2) / 120)) / 2 * 2 * most / (most + at)) - 1 for k in range(120)]
    show_ratio("tail", normal_ratio, [of_share(at, s) for s in shares], 4, 5, 10)
    at, most = mpf(5), mpf("38.7")
    show("tail", normal_tail(at), normal_tail(at), -1, (most - at) / (most + at), 21, 20)
    for digits, degree in ((10, 5), (20, 10)):
        show("erf", erf_ratio, erf_ratio, mpf("1e-9"), mpf("0.75") ** 2, degree, digits)
    show_table(24)
    show_table(53)
