"""Over-fitting, regularization and L-curves (lecture 1): fastlec.regression."""

import copy
from contextlib import suppress

import mpmath
import numpy as np
import pytest
from inverse_problems import PROBLEMS, noisy_samples
from numpy.polynomial import Chebyshev, Polynomial

from fastlec import regression
from fastlec.regression import (
    PolynomialBasis,
    fit_polynomials,
    generate_true_model,
    l_curve_corner,
    oracle,
    polynomial_basis,
    ridge_path,
    true_basis,
    truncated_svd_path,
)

KINDS = ("monomial", "chebyshev", "fourier")
X = np.linspace(0.01, 1.01, 101)  # the lecture's points
POINTS = {
    "even": X,
    "chebyshev": np.cos(np.pi * (np.arange(101) + 0.5) / 101),
    "random": np.random.default_rng(0).random(101),
    "far": 1e6 + X,
    "large": 1e300 * X,
    "small": 1e-312 * np.arange(101),
    "repeated": np.repeat(np.linspace(-1, 1, 101), 2),
}


def exact_columns(x, degree, new, kind):
    """The orthonormal polynomials on x, at the points x and at ``new``, in 120 digits."""
    with mpmath.workdps(120):
        low, high = mpmath.mpf(float(min(x))), mpmath.mpf(float(max(x)))

        def variable(x):
            u = [(mpmath.mpf(float(value)) - low) / (high - low) for value in x]
            return np.array([mpmath.cospi(value) if kind == "fourier" else 2 * value - 1 for value in u])

        t, s = variable(x), variable(new)
        columns = [np.array([1 / mpmath.sqrt(len(t))] * len(t))], [np.array([1 / mpmath.sqrt(len(t))] * len(s))]
        beside = mpmath.mpf(0)
        for k in range(degree):
            q = columns[0][k]
            diagonal = q @ (t * q)
            on, off = ((v - diagonal) * c[k] - beside * (c[k - 1] if k else 0) for v, c in zip((t, s), columns, strict=True))
            beside = mpmath.sqrt(on @ on)
            columns[0].append(on / beside)
            columns[1].append(off / beside)
        return [np.stack(c, axis=1).astype(float) for c in columns]


# --- bases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("x", POINTS.values(), ids=POINTS)
def test_columns_are_orthonormal_to_degree_100(x, kind):
    Q = polynomial_basis(x, 100, kind)
    assert Q.shape == (len(x), 101)
    assert np.abs(Q.T @ Q - np.eye(101)).max() < 1e-12


@pytest.mark.parametrize(
    ("points", "kind"),
    [("even", "monomial"), ("even", "fourier"), ("chebyshev", "chebyshev"), ("random", "monomial"), ("far", "monomial")],
)
def test_columns_are_polynomials_of_their_degree_everywhere(points, kind):
    """At the points to 1e-12 of 1, between them to 1e-10 of the column's maximum: from degree 40 on evenly spaced points a column
    is far larger between the outer points than at any of them."""
    x = POINTS[points]
    new = np.linspace(x.min(), x.max(), 331)
    on, off = exact_columns(x, 100, new, kind)
    basis = PolynomialBasis(x, 100, kind)
    np.testing.assert_allclose(basis.Q, on, atol=1e-12)
    assert (np.abs(basis.evaluate(new) - off) <= 1e-10 * np.abs(off).max(axis=0)).all()


def test_the_vandermonde_matrix_would_not_do():
    """What the lecture's program does: it is this that column k of degree k must be better than."""
    on, _ = exact_columns(X, 50, X[:1], "monomial")
    by_qr = np.abs(np.linalg.qr(np.vander(X, 51, increasing=True))[0])
    assert np.abs(by_qr[:, 15] - np.abs(on[:, 15])).max() < 1e-4
    assert np.abs(by_qr[:, 30] - np.abs(on[:, 30])).max() > 0.1
    np.testing.assert_allclose(polynomial_basis(X, 50), on, atol=1e-12)


def test_low_degrees_are_those_of_a_qr_factorization():
    Q = polynomial_basis(X, 6)
    by_qr, R = np.linalg.qr(np.vander(X, 7, increasing=True))
    np.testing.assert_allclose(Q, by_qr * np.sign(np.diag(R)), atol=1e-11)
    cosines = np.cos(np.pi * np.arange(7) * np.linspace(0, 1, 101)[:, None])
    by_qr, R = np.linalg.qr(cosines)
    np.testing.assert_allclose(polynomial_basis(X, 6, "fourier"), by_qr * np.sign(np.diag(R)), atol=1e-14)


def test_monomials_and_chebyshev_polynomials_have_the_same_orthonormal_basis():
    np.testing.assert_array_equal(polynomial_basis(X, 100), polynomial_basis(X, 100, "chebyshev"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_points_of_the_sample_have_the_values_of_Q(kind, rng):
    x = rng.permutation(np.repeat(X, 2))
    basis = PolynomialBasis(x, 100, kind)
    np.testing.assert_array_equal(basis.evaluate(x[::-3]), basis.Q[::-3])
    np.testing.assert_allclose(basis.Q * np.sqrt(2), PolynomialBasis(X, 100, kind).evaluate(x), rtol=0, atol=1e-12)


def test_coefficients_are_those_of_the_kinds_own_functions(rng):
    c, new = rng.normal(size=13), np.linspace(0.0, 1.1, 40)
    for kind in KINDS:
        basis = PolynomialBasis(X, 12, kind)
        alpha, low = basis.coefficients(c), basis.domain[0]
        own = {
            "monomial": Polynomial(alpha),
            "chebyshev": Chebyshev(alpha, domain=basis.domain),
            "fourier": lambda x, alpha=alpha, low=low: np.cos(np.pi * np.outer(x - low, np.arange(13))) @ alpha,
        }
        expected = basis.evaluate(new) @ c
        np.testing.assert_allclose(own[kind](new), expected, rtol=0, atol=1e-8 * np.abs(expected).max())
        np.testing.assert_allclose(basis.coefficients(c[:3]), PolynomialBasis(X, 2, kind).coefficients(c[:3]), rtol=1e-12)


def test_single_points_and_degree_zero():
    for kind in KINDS:
        assert polynomial_basis([7], 0, kind).tolist() == [[1.0]]
        np.testing.assert_allclose(PolynomialBasis([7, 7, 7, 7], 0, kind).evaluate([1.0, 7.0]), 0.5)
        np.testing.assert_allclose(PolynomialBasis([2, 5], 0, kind).coefficients([np.sqrt(2)]), [1.0])


@pytest.mark.parametrize("view", [lambda x: x[::-2], lambda x: x.astype(">f8"), lambda x: x.astype(np.int64), np.float32, list])
def test_any_form_of_points(view, frozen):
    x = view(frozen(np.arange(1.0, 42.0)))
    before = np.array(x)
    Q = polynomial_basis(x, 5)
    assert Q.dtype == (np.float32 if getattr(x, "dtype", None) == np.float32 else np.float64)
    np.testing.assert_allclose(Q, polynomial_basis(np.array(x, float), 5), rtol=0, atol=1e-7 if Q.dtype == np.float32 else 0)
    assert PolynomialBasis(x, 5).evaluate(np.float32([2, 3])).dtype == np.float32
    np.testing.assert_array_equal(x, before)
    assert polynomial_basis(np.float16([1, 2]), 1).dtype == np.float32


def test_a_basis_stays_as_it_was_made():
    x = np.arange(5.0)
    basis = PolynomialBasis(x, 2)
    with pytest.raises(ValueError, match="read-only"):
        basis.Q[0, 0] = 1
    with pytest.raises(AttributeError, match="make a new PolynomialBasis"):
        basis.Q = None
    x[:] = 0
    np.testing.assert_array_equal(basis.x, np.arange(5.0))
    polynomial_basis(x + np.arange(5), 2)[:] = 0  # the caller's own
    assert repr(copy.deepcopy(basis)) == "PolynomialBasis(5 points in [0, 4], degree=2, kind='monomial')"


@pytest.mark.parametrize(
    ("error", "text", "x", "degree", "kind"),
    [
        (ValueError, r"x has shape \(0,\); expected \(n,\), not empty", [], 0, "monomial"),
        (ValueError, r"x has shape \(\)", 3.0, 0, "monomial"),
        (ValueError, r"x has shape \(2, 2\)", np.ones((2, 2)), 0, "monomial"),
        (ValueError, r"x\[1\] is nan", [0, np.nan], 1, "monomial"),
        (ValueError, r"x\[0\] is inf", [np.inf, 0], 1, "monomial"),
        (TypeError, "x has dtype complex128", [1j, 2], 1, "monomial"),
        (TypeError, "x has dtype <U1", ["a"], 0, "monomial"),
        (TypeError, "x is a masked array", np.ma.ones(3), 0, "monomial"),
        (ValueError, "degree is 2; expected less than 2, the number of points in x", [0, 1], 2, "monomial"),
        (ValueError, "x has 2 points that float64 tells apart; expected more than degree, 2", [0, 1, 1], 2, "monomial"),
        (ValueError, "x has 2 points that float64 tells apart", [0, 1e-30, 1], 2, "chebyshev"),
        (ValueError, "x has 2 points that float64 tells apart", [0, 1e-9, 1], 2, "fourier"),
        (ValueError, "x has points that are too close to each other", [0, 1e-9, 1, 2], 3, "monomial"),
        (ValueError, "degree is -1; expected at least 0", [0, 1], -1, "monomial"),
        (TypeError, "degree is 1.5; expected an integer", [0, 1], 1.5, "monomial"),
        (ValueError, "degree is 1000000", [0, 1], 10**40, "monomial"),
        (ValueError, "kind is 'legendre'; expected one of monomial, chebyshev, fourier", [0, 1], 1, "legendre"),
        (ValueError, "kind is None", [0, 1], 1, None),
    ],
)
def test_bad_arguments_of_a_basis(error, text, x, degree, kind):
    with pytest.raises(error, match=text):
        polynomial_basis(x, degree, kind)


def test_bad_arguments_of_its_methods():
    basis = PolynomialBasis([0, 1, 2], 2)
    with pytest.raises(ValueError, match=r"x\[1\] is 1e\+300; expected a point nearer to \[0.0, 2.0\], column 2 is too large"):
        basis.evaluate([0, 1e300])
    with pytest.raises(ValueError, match=r"x\[0\] is nan"):
        basis.evaluate([np.nan])
    with pytest.raises(ValueError, match=r"c has shape \(4,\); expected at most 3 coefficients"):
        basis.coefficients(np.ones(4))
    with pytest.raises(ValueError, match="c has coefficients by monomial functions that are too large"):
        PolynomialBasis([0, 1e-300, 2e-300], 2).coefficients([1, 1, 1])


# --- the noisy sample ------------------------------------------------------------------------------------------------


def test_the_sample_is_that_of_the_lecture():
    A, y_true, y_noisy = generate_true_model(X, rng=3)
    np.testing.assert_array_equal(A, np.stack([X, np.sin(10 * X), np.exp(2 * X)], axis=1))
    np.testing.assert_array_equal(A, true_basis(X))
    np.testing.assert_allclose(y_true, 0.3 * X + np.sin(10 * X) + 0.5 * np.exp(2 * X), rtol=1e-15)
    noise = np.concatenate([generate_true_model(X, rng=seed).y_noisy - y_true for seed in range(100)])
    assert abs(noise.mean()) < 4 * 0.5 / 100
    assert noise.std() == pytest.approx(0.5, rel=0.04)
    np.testing.assert_array_equal(generate_true_model(X, rng=3).y_noisy, y_noisy)
    assert {a.dtype.name for a in generate_true_model(X.astype(np.float32), rng=0)} == {"float32"}


def test_the_oracle_finds_alpha_better_from_more_samples():
    np.testing.assert_allclose(oracle(X, generate_true_model(X, noise=0).y_true), [0.3, 1, 0.5], atol=1e-12)
    errors = []
    for n in (20, 80, 320, 1280):
        x = np.linspace(0.01, 1.01, n)
        found = [oracle(x, generate_true_model(x, rng=seed).y_noisy) for seed in range(100)]
        errors.append(np.mean([(true_basis(X) @ (alpha - [0.3, 1, 0.5])) ** 2 for alpha in found]))
    np.testing.assert_allclose(errors, errors[-1] * np.array([64, 16, 4, 1]), rtol=0.5)


@pytest.mark.parametrize(
    ("text", "call"),
    [
        (r"x has values up to 400; expected less", lambda: true_basis([1, 400])),
        (r"alpha has shape \(2,\); expected \(3,\)", lambda: generate_true_model(X, [1, 2])),
        (r"noise is -1.0", lambda: generate_true_model(X, noise=-1)),
        (r"rng is 'seed'", lambda: generate_true_model(X, rng="seed")),
        (r"y_noisy has shape \(2,\); expected \(3,\) to match x", lambda: oracle([1, 2, 3], [1, 2])),
        (r"x has 3 points with 2 independent rows", lambda: oracle([1, 2, 2], [1, 2, 3])),
        (r"y_noisy has values up to 1e\+308; expected less", lambda: oracle(X, 1e308 * np.sign(X - 0.5))),
        (
            r"y_noisy has values up to 1e\+38; .*float32",
            lambda: oracle(X.astype("f4"), np.float32(1e38) * np.sign(X - 0.5).astype("f4")),
        ),
        (r"noise is 1e\+308; expected less", lambda: generate_true_model(X, noise=1e308, rng=0)),
        (r"alpha has values up to 1e\+308; expected less", lambda: generate_true_model(X, [1e308] * 3)),
        (r"noise is 1e\+39; .*float32", lambda: generate_true_model(X.astype(np.float32), noise=1e39, rng=0)),
    ],
)
def test_bad_arguments_of_the_sample(text, call):
    with pytest.raises((TypeError, ValueError), match=text):
        call()


# --- fits by degree --------------------------------------------------------------------------------------------------


def test_fits_are_least_squares_fits(rng):
    y = rng.normal(size=101)
    fits = fit_polynomials(X, y, [0, 3, 8])
    for k, mse in zip(fits.degrees, fits.train_mse, strict=True):
        expected = Polynomial.fit(X, y, k)
        np.testing.assert_allclose(fits.predict(X, k), expected(X), atol=1e-12)
        np.testing.assert_allclose(fits.alpha(k), expected.convert().coef, rtol=1e-6)
        assert mse == pytest.approx(np.mean((y - expected(X)) ** 2), rel=1e-12)
        new = np.linspace(-0.2, 1.2, 20)
        np.testing.assert_allclose(fits.predict(new, k), expected(new), rtol=1e-9)
    np.testing.assert_allclose(fits.predict(X, 5), Polynomial.fit(X, y, 5)(X), atol=1e-12)  # any degree between
    np.testing.assert_array_equal(fits.predict(X), fits.predict(X, fits.corner))


def test_cross_validation_in_closed_form_is_that_by_refitting():
    y = generate_true_model(X, rng=0).y_noisy
    fits = fit_polynomials(X, y)
    for k in (0, 1, 5, 15, 25):
        errors = []
        for i in range(101):
            rest = np.arange(101) != i
            basis = PolynomialBasis(X[rest], k)
            errors.append(y[i] - basis.evaluate(X[i : i + 1])[0] @ (basis.Q.T @ y[rest]))
        assert fits.loo[k] == pytest.approx(np.mean(np.square(errors)), rel=1e-9)
        Q = polynomial_basis(X, k)
        assert fits.gcv[k] == pytest.approx(np.mean(((y - Q @ (Q.T @ y)) / (1 - np.trace(Q @ Q.T) / 101)) ** 2), rel=1e-12)
    assert np.isinf(fits.loo[100])
    assert np.isinf(fits.gcv[100])
    assert not np.isnan([fits.loo, fits.gcv, fits.train_mse]).any()


def test_train_and_test_error_by_degree():
    """Figure 2: the train error falls to nothing, the test error falls and rises again."""
    y_true = generate_true_model(X).y_true
    rng = np.random.default_rng(0)
    y, y_test = (generate_true_model(X, rng=rng).y_noisy for _ in range(2))
    fits = fit_polynomials(X, y, y_test=y_test)
    assert (np.diff(fits.train_mse) < 0).all()
    assert fits.train_mse[100] < 1e-25
    assert fits.test_mse[0] > 2 * fits.test_mse.min() < fits.test_mse[100] * 1.2
    predicted = fits.predict(X, 20)
    assert fits.test_mse[20] == pytest.approx(np.mean((predicted - y_test) ** 2), rel=1e-12)
    new = np.linspace(0.1, 0.9, 17)
    elsewhere = fit_polynomials(X, y, [4, 20], x_test=new, y_test=np.zeros(17))
    np.testing.assert_allclose(elsewhere.test_mse, [np.mean(fits.predict(new, k) ** 2) for k in (4, 20)], rtol=1e-10)
    assert fit_polynomials(X, y_true, [1]).test_mse is None


# points, noise; the degree of the least expected test error is 5 to 8, by the median of samples
SAMPLES = {"lecture": (101, 0.5), "little noise": (101, 0.1), "much noise": (101, 2.0), "few": (31, 0.5), "many": (1001, 0.5)}


def fitted(n, noise, seed):
    """Fits to a sample like the lecture's: with the expected test error, and on a test set as the lecture's program makes it."""
    x, rng = np.linspace(0.01, 1.01, n), np.random.default_rng(seed)
    _, y_true, y = generate_true_model(x, noise=noise, rng=rng)
    y_test = generate_true_model(x, noise=noise, rng=rng).y_noisy
    return tuple(fit_polynomials(x, y, range(26), y_test=values) for values in (y_true, y_test))


def test_the_corner_of_the_training_curve_is_near_the_least_test_error():
    """Within two degrees of it. What is best on a test set as small and noisy as the sample is chance in part: the degree of the
    least expected error is within two of that for 70 to 80 of 100 samples."""
    grid = np.linspace(0.01, 1.01, 1001)
    fine, repeated = generate_true_model(grid).y_true, np.tile(X, 100)
    near, near_best, ratios = [], [], []
    for seed in range(100):
        expected, literal = fitted(*SAMPLES["lecture"], seed)
        y, corner = expected.basis.Q @ expected.coefficients, expected.corner
        between = fit_polynomials(X, y, range(26), x_test=grid, y_test=fine)
        many = generate_true_model(repeated, rng=seed + 1000).y_noisy
        many = fit_polynomials(X, y, range(26), x_test=repeated, y_test=many)
        best = [int(np.argmin(fits.test_mse)) for fits in (expected, between, many, literal)]
        near.append([abs(corner - degree) <= 2 for degree in best])
        near_best.append(abs(best[0] - best[-1]) <= 2)
        ratios.append(literal.test_mse[corner] / literal.test_mse.min())
    assert (np.sum(near, axis=0) >= [90, 90, 90, 65]).all()
    assert 70 <= np.sum(near_best) <= 85
    assert np.mean(ratios) < 1.05


def test_the_corner_follows_noise_and_number_of_samples_better_than_any_degree():
    """An answer that is always the same comes near the best degree for some of these kinds of samples, the corner for all."""
    near, constant = [], []
    for n, noise in SAMPLES.values():
        found = [fitted(n, noise, seed)[0] for seed in range(100)]
        best = np.array([np.argmin(fits.test_mse) for fits in found])
        near.append(np.mean(np.abs([fits.corner for fits in found] - best) <= 2))
        constant.append(np.mean(np.abs(np.arange(26)[:, None] - best) <= 2, axis=1))
    assert min(near) >= 0.8
    assert min(near) > np.min(constant, axis=0).max() + 0.1
    assert np.mean(near) > np.mean(constant, axis=0).max() + 0.01


def test_the_corner_of_what_fits_exactly():
    for scale in (1.0, 1e200, 1e-200):
        assert fit_polynomials(X, scale * (1 - X**3)).corner == 3
    assert fit_polynomials(X, np.zeros(101)).corner == 0
    assert fit_polynomials(X, np.cos(5 * np.pi * (X - 0.01)), kind="fourier").corner == 5


def test_fits_without_a_corner():
    """From so few points that the criterion compares no degrees."""
    for x, degrees in (([1, 2], None), ([1, 2, 3, 4], None), (X, [5])):
        fits = fit_polynomials(x, np.sin(x), degrees)
        assert fits.corner is None
        fits.predict(x, 1)
        for method in (fits.alpha, lambda fits=fits: fits.predict([1.0])):
            with pytest.raises(ValueError, match=r"degree is None; expected one up to .*, for these"):
                method()
    assert fit_polynomials([1, 2, 3, 4, 5], [1, 2, 3, 4, 6]).corner is not None


def test_repeated_points_and_samples_in_any_order(rng):
    x = np.repeat(np.arange(6.0), 3)
    y = rng.normal(size=18)
    fits = fit_polynomials(x, y)
    assert fits.degrees.tolist() == [0, 1, 2, 3, 4, 5]
    assert fits.train_mse[5] == pytest.approx(y.reshape(6, 3).var(axis=1).mean(), rel=1e-12)
    order = rng.permutation(18)
    np.testing.assert_allclose(fit_polynomials(x[order], y[order]).loo, fits.loo, rtol=1e-12)


@pytest.mark.parametrize(
    ("error", "text", "arguments", "options"),
    [
        (ValueError, r"y has shape \(3,\); expected \(2,\) to match x of shape \(2,\)", ([0, 1], [0, 1, 2]), {}),
        (ValueError, r"y\[1\] is nan", ([0, 1], [0, np.nan]), {}),
        (TypeError, "y has dtype object", ([0, 1], [None, 1]), {}),
        (TypeError, "degrees is 1; expected several integers", ([0, 1], [0, 1], 1), {}),
        (ValueError, "degrees is empty", ([0, 1], [0, 1], []), {}),
        (ValueError, "degrees has 1 after 1; expected integers that increase", ([0, 1, 2], [0, 1, 2], [1, 1]), {}),
        (TypeError, r"degrees\[0\] is 0.5", ([0, 1], [0, 1], [0.5]), {}),
        (ValueError, "degree is 2; expected less than 2", ([0, 1], [0, 1], [2]), {}),
        (ValueError, "kind is 'hermite'", ([0, 1], [0, 1]), {"kind": "hermite"}),
        (ValueError, "x_test is given without y_test", ([0, 1], [0, 1]), {"x_test": [0.5]}),
        (ValueError, r"y_test has shape \(1,\); expected \(2,\)", ([0, 1], [0, 1]), {"y_test": [0.5]}),
        (ValueError, r"y_test has shape \(1,\); expected \(3,\)", ([0, 1], [0, 1]), {"x_test": [0, 1, 2], "y_test": [0.5]}),
        (ValueError, r"x_test\[0\] is inf", ([0, 1], [0, 1]), {"x_test": [np.inf], "y_test": [0.5]}),
        (ValueError, r"x_test\[0\] is 1e\+300; expected a point nearer", (X, X), {"x_test": [1e300], "y_test": [1]}),
        (ValueError, "x_test has points so far from x", (X, X, [9]), {"x_test": [1e25], "y_test": [1]}),
        (ValueError, r"y has values up to 1e\+308; expected less", (X, np.full(101, 1e308)), {}),
    ],
)
def test_bad_arguments_of_fits(error, text, arguments, options):
    with pytest.raises(error, match=text):
        fit_polynomials(*arguments, **options)


def test_degrees_that_were_not_fitted():
    fits = fit_polynomials(X, X, [1, 3])
    with pytest.raises(ValueError, match="degree is 4; expected at most 3"):
        fits.predict(X, 4)
    with pytest.raises(TypeError, match="degree is 'two'"):
        fits.alpha("two")


# --- regularization paths --------------------------------------------------------------------------------------------


def shaw_samples(noise):
    """A, the solution, and 100 right sides."""
    A, x = PROBLEMS["shaw"]
    return A, x, noisy_samples(A, x, noise, 100)


@pytest.mark.parametrize("shape", [(30, 7), (7, 30), (12, 12)])
def test_ridge_is_that_of_the_normal_equations(shape, rng):
    A, y = rng.normal(size=shape), rng.normal(size=shape[0])
    lambdas = np.array([10.0, 0.1, 1e-3])
    path = ridge_path(A, y, lambdas)
    for i, value in enumerate(lambdas):
        inverse = np.linalg.inv(A.T @ A + value * np.eye(shape[1]))
        x, hat = inverse @ A.T @ y, A @ inverse @ A.T
        np.testing.assert_allclose(path.coefficients[i], x, rtol=1e-8, atol=1e-10)
        assert path.residual_norms[i] == pytest.approx(np.linalg.norm(A @ x - y), rel=1e-8, abs=1e-9)
        assert path.train_mse[i] == pytest.approx(path.residual_norms[i] ** 2 / shape[0], rel=1e-12)
        assert path.solution_norms[i] == pytest.approx(np.linalg.norm(x), rel=1e-8)
        assert path.degrees_of_freedom[i] == pytest.approx(np.trace(hat), rel=1e-8)
        assert path.gcv[i] == pytest.approx(path.train_mse[i] / (1 - np.trace(hat) / shape[0]) ** 2, rel=1e-4)
    new, target = rng.normal(size=(5, shape[1])), rng.normal(size=5)
    np.testing.assert_allclose(path.mse(new, target), [np.mean((new @ x - target) ** 2) for x in path.coefficients], rtol=1e-12)


def test_ridge_is_that_of_scikit_learn(rng):
    linear_model = pytest.importorskip("sklearn.linear_model")
    A, y = rng.normal(size=(40, 6)), rng.normal(size=40)
    for alpha, x in zip([0.1, 5.0], ridge_path(A, y, [0.1, 5.0]).coefficients, strict=True):
        np.testing.assert_allclose(x, linear_model.Ridge(alpha, fit_intercept=False).fit(A, y).coef_, rtol=1e-9)


def test_leave_one_out_of_ridge_is_that_by_refitting(rng, monkeypatch):
    A, y = rng.normal(size=(25, 8)), rng.normal(size=25)
    lambdas = [0.0, 0.5, 20.0]
    found = ridge_path(A, y, lambdas).loo
    for value, loo in zip(lambdas, found, strict=True):
        errors = []
        for i in range(25):
            rest = np.arange(25) != i
            errors.append(A[i] @ ridge_path(A[rest], y[rest], [value]).coefficients[0] - y[i])
        assert loo == pytest.approx(np.mean(np.square(errors)), rel=1e-10)
    monkeypatch.setattr("fastlec._check.PART_VALUES", 30)  # samples in blocks
    np.testing.assert_allclose(ridge_path(A, y, lambdas).loo, found, rtol=1e-14)


def test_truncated_svd_takes_the_largest_singular_values(rng):
    A, y = rng.normal(size=(20, 6)), rng.normal(size=20)
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    path = truncated_svd_path(A, y)
    assert path.parameters.tolist() == [1, 2, 3, 4, 5, 6]
    for k, x in zip(path.parameters, path.coefficients, strict=True):
        expected = Vt[:k].T @ (U[:, :k].T @ y / s[:k])
        np.testing.assert_allclose(x, expected, rtol=1e-12)
        assert path.residual_norms[k - 1] == pytest.approx(np.linalg.norm(A @ x - y), rel=1e-12)
        leverage = np.sum(U[:, :k] ** 2, axis=1)
        assert path.loo[k - 1] == pytest.approx(np.mean(((A @ x - y) / (1 - leverage)) ** 2), rel=1e-11)
    np.testing.assert_allclose(path.coefficients[-1], np.linalg.lstsq(A, y)[0], rtol=1e-10)
    assert path.least_residual_norm == pytest.approx(path.residual_norms[-1], rel=1e-12)
    assert truncated_svd_path(A, y, [0, 3]).solution_norms[0] == 0


def test_components_below_rounding_are_left_out(rng):
    A = np.outer(np.ones(8), [1.0, 2.0, 3.0])
    y = rng.normal(size=8)
    for path in (truncated_svd_path(A, y), ridge_path(A, y, [0.0])):
        assert path.singular_values.size == 1
        np.testing.assert_allclose(path.coefficients[-1], np.linalg.pinv(A) @ y, rtol=1e-12)


def test_paths_of_float32_and_of_any_scale(rng, frozen):
    A, y = frozen(rng.normal(size=(30, 5)), rng.normal(size=30))
    path = ridge_path(A, y, [0.1, 1.0])
    single = ridge_path(A.astype(np.float32), y.astype(np.float32), [0.1, 1.0])
    assert (single.coefficients.dtype, single.loo.dtype) == (np.float32, np.float64)
    for name in ("coefficients", "residual_norms", "solution_norms", "loo", "gcv"):
        np.testing.assert_allclose(getattr(single, name), getattr(path, name), rtol=2e-5, atol=1e-6)
    assert ridge_path(A.astype(np.float32), y, [1.0]).coefficients.dtype == np.float64
    assert ridge_path([[1, 2], [3, 5]], [1, 2], [1]).coefficients.dtype == np.float64
    with np.errstate(all="raise", under="ignore"):
        for size in (1e250, 1e-250):
            np.testing.assert_allclose(ridge_path(A, size * y, [0.1, 1.0]).coefficients, size * path.coefficients, rtol=1e-12)
        np.testing.assert_allclose(ridge_path(1e90 * A, y, [1e179, 1e180]).residual_norms, path.residual_norms, rtol=1e-12)


def test_errors_that_float64_does_not_hold_are_infinite(rng):
    A, y = rng.normal(size=(30, 5)), rng.normal(size=30)
    with np.errstate(all="raise"):
        path = ridge_path(A, 1e250 * y, [1.0])
        assert [*path.mse(A, 1e250 * y), *path.train_mse, *path.loo, *path.gcv] == [np.inf] * 4
        assert np.isinf(ridge_path(A, y).mse(1e300 * A, y)).all()
        assert np.isinf(fit_polynomials(X, 1e250 * X).train_mse[0])
        assert np.isinf(fit_polynomials(X, X, [1], x_test=[1], y_test=[1e200]).test_mse[0])
        assert fit_polynomials(X, np.zeros(101), [1], y_test=np.full(101, 3.0)).test_mse[0] == 9
        single = ridge_path(A.astype(np.float32), np.float32(1e25) * y.astype(np.float32), [1.0])
    assert single.mse(A.astype(np.float32), np.zeros(30, np.float32))[0] == pytest.approx(
        1e50 * np.mean((A @ ridge_path(A, y, [1.0]).coefficients[0]) ** 2), rel=1e-4
    )


@pytest.mark.parametrize("path", [ridge_path, truncated_svd_path])
@pytest.mark.parametrize(
    ("error", "text", "A", "y"),
    [
        (ValueError, r"A has shape \(3,\)", np.ones(3), np.ones(3)),
        (ValueError, r"A has shape \(0, 2\)", np.ones((0, 2)), np.ones(0)),
        (ValueError, r"A\[1, 0\] is nan", [[1, 2], [np.nan, 1]], [1, 2]),
        (TypeError, "A has dtype complex128", np.eye(2) * 1j, [1, 2]),
        (ValueError, r"y has shape \(3,\); expected \(2,\) to match A of shape \(2, 2\)", np.eye(2), [1, 2, 3]),
        (ValueError, r"y\[0\] is inf", np.eye(2), [np.inf, 2]),
        (ValueError, "A has the largest singular value 0; expected 1e-100 to 1e", np.zeros((2, 2)), [1, 2]),
        (ValueError, r"A has the largest singular value 1e\+200", 1e200 * np.eye(2), [1, 2]),
    ],
)
def test_bad_systems(path, error, text, A, y):
    with pytest.raises(error, match=text):
        path(A, y)


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ValueError, "lambdas has -1.0; expected numbers >= 0", lambda: ridge_path(np.eye(2), [1, 2], [1, -1])),
        (ValueError, r"lambdas\[0\] is nan", lambda: ridge_path(np.eye(2), [1, 2], [np.nan])),
        (ValueError, r"lambdas has shape \(\)", lambda: ridge_path(np.eye(2), [1, 2], 1.0)),
        (ValueError, r"ranks\[1\] is 3; expected at most 2", lambda: truncated_svd_path(np.eye(2), [1, 2], [1, 3])),
        (TypeError, r"ranks\[0\] is 1.5", lambda: truncated_svd_path(np.eye(2), [1, 2], [1.5])),
        (TypeError, r"ranks is 1; expected several integers", lambda: truncated_svd_path(np.eye(2), [1, 2], 1)),
        (
            ValueError,
            r"A has shape \(2, 3\); expected \(2, 2\)",
            lambda: ridge_path(np.eye(2), [1, 2]).mse(np.ones((2, 3)), [1, 2]),
        ),
        (ValueError, r"y has shape \(1,\); expected \(2,\)", lambda: ridge_path(np.eye(2), [1, 2]).mse(np.eye(2), [1])),
        (
            ValueError,
            r"y has values up to 1e\+38; .*float32",
            lambda: ridge_path(np.eye(2, dtype="f4") / 9, np.float32([1e38, 0]), [0]),
        ),
        (ValueError, r"y has values up to 1e\+308; .*float64", lambda: truncated_svd_path(np.eye(2) / 9, [1e308, 0])),
    ],
)
def test_bad_parameters(error, text, call):
    with pytest.raises(error, match=text):
        call()


# --- corners of L-curves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ridge_path, truncated_svd_path])
def test_the_corner_is_near_the_best_solution(path):
    """Where the solution is known: its error at the corner is at most twice the least one for at least 90 of 100 samples."""
    A, x, samples = shaw_samples(0.05)
    ratios = []
    for y in samples:
        found = path(A, y)
        errors = np.linalg.norm(found.coefficients - x, axis=1)
        ratios.append(errors[l_curve_corner(found).index] / errors.min())
    assert np.mean(np.array(ratios) <= 2) >= 0.9
    assert np.median(ratios) <= 1.2


# medians of error at the corner / least error, for 1 % and 0.1 % of noise: what they are, but for the luck of 20 samples. The
# smoother the solution, the less the L-curve regularizes: its corner goes to 0 with the noise faster than the best parameter.
RATIOS = {"shaw": (1.3, 2), "phillips": (6, 25), "heat": (3, 15), "gravity": (4.5, 8), "deriv2": (1.2, 1.3)}


@pytest.mark.parametrize("path", [ridge_path, truncated_svd_path])
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_corner_of_other_problems(name, path):
    A, x = PROBLEMS[name]
    for noise, most in zip((0.01, 0.001), RATIOS[name], strict=True):
        ratios, by_gcv = [], []
        for y in noisy_samples(A, x, noise, 20):
            found = path(A, y)
            errors = np.linalg.norm(found.coefficients - x, axis=1)
            by_gcv.append(errors[np.argmin(found.gcv)] / errors.min())
            with suppress(ValueError):
                ratios.append(errors[l_curve_corner(found).index] / errors.min())
        assert len(ratios) >= 18
        assert np.median(ratios) < most
        assert np.median(by_gcv) < 2.2  # better for most samples, though not for all


def test_the_corner_at_the_rounding_end_is_not_taken():
    """heat has a second corner, far sharper, where all but three of 64 components pass."""
    A, x = PROBLEMS["heat"]
    for y in noisy_samples(A, x, 0.01, 20):
        assert ridge_path(A, y, [l_curve_corner(ridge_path(A, y)).parameter]).degrees_of_freedom[0] < 45
    exact = A @ x
    for path in (ridge_path, truncated_svd_path):
        with pytest.raises(ValueError, match="path has no corner"):
            l_curve_corner(path(A, exact))


def test_the_corner_where_all_but_one_component_must_pass(rng):
    """A square system with one singular value that is small: it is right that 11 of 12 degrees of freedom are used."""
    A = np.diag([1.0] * 11 + [1e-6])
    path = ridge_path(A, A @ np.ones(12) + 0.01 * rng.normal(size=12))
    assert path.degrees_of_freedom[l_curve_corner(path).index] == pytest.approx(11, abs=0.1)


def test_ranks_without_a_solution_are_no_corner():
    A, _, samples = shaw_samples(0.05)
    corner = l_curve_corner(truncated_svd_path(A, samples[0]))
    assert l_curve_corner(truncated_svd_path(A, samples[0], range(21))) == (corner.index + 1, *corner[1:])


def test_regularization_by_the_corner_is_as_good_as_the_right_degree():
    """All degrees of the lecture's sample at once, degree k penalized by (k + 1)^4."""
    y_true = generate_true_model(X).y_true
    A = polynomial_basis(X, 100) / np.arange(1, 102) ** 2.0
    errors, least = [], []
    for seed in range(50):
        path = ridge_path(A, generate_true_model(X, rng=seed).y_noisy)
        mse = path.mse(A, y_true)
        errors.append(mse[l_curve_corner(path).index])
        least.append(mse.min())
    assert np.mean(errors) < 1.4 * np.mean(least)
    assert np.mean(errors) < 0.2 * 0.25  # that of least squares, all noise: 0.5^2


def test_the_corner_has_the_largest_curvature():
    """By differences of the curve itself."""
    A, _, samples = shaw_samples(0.01)
    corner = l_curve_corner(ridge_path(A, samples[0]))
    steps = np.linspace(-1, 1, 2001)
    path = ridge_path(A, samples[0], corner.parameter * np.exp(steps))
    x, y = np.log(path.residual_norms), np.log(path.solution_norms)
    x1, y1 = (np.gradient(a, steps) for a in (x, y))
    curvature = (x1 * np.gradient(y1, steps) - y1 * np.gradient(x1, steps)) / (x1**2 + y1**2) ** 1.5
    assert abs(steps[2 + np.argmax(curvature[2:-2])]) < 0.01
    assert corner.residual_norm == pytest.approx(path.residual_norms[1000], rel=1e-9)
    assert corner.solution_norm == pytest.approx(path.solution_norms[1000], rel=1e-9)


def test_the_corner_does_not_depend_on_units_or_order():
    A, _, samples = shaw_samples(0.05)
    y = samples[0]
    corner = l_curve_corner(ridge_path(A, y))
    for scale in (1e-40, 1e40):
        assert l_curve_corner(ridge_path(scale * A, y)).parameter == pytest.approx(scale**2 * corner.parameter, rel=1e-4)
        assert l_curve_corner(ridge_path(A, 1e200 * scale * y)).parameter == pytest.approx(corner.parameter, rel=1e-4)
    path = ridge_path(A, y)
    backwards = l_curve_corner(ridge_path(A, y, [*path.parameters[::-1], 0.0]))
    assert backwards == (199 - corner.index, *corner[1:])
    points = l_curve_corner(path.residual_norms, path.solution_norms)
    assert l_curve_corner(path.residual_norms[::-1], path.solution_norms[::-1]).index == 199 - points.index
    assert points.residual_norm == path.residual_norms[points.index]


def test_lambdas_far_beyond_the_singular_values_are_no_corner():
    A, _, samples = shaw_samples(0.05)
    near = l_curve_corner(ridge_path(A, samples[0]))
    far = l_curve_corner(ridge_path(A, samples[0], [1e-300, 1e300, *ridge_path(A, samples[0]).parameters]))
    assert far == (near.index + 2, *near[1:])
    with pytest.raises(ValueError, match="path has no corner"):
        l_curve_corner(ridge_path(np.eye(2), [1, 2], [1e-300, 1e-299, 1e-298]))


def test_the_corner_of_points_that_form_an_L():
    rho, eta = np.r_[np.full(10, 1.0), np.geomspace(1.1, 100, 10)], np.r_[np.geomspace(1e3, 2, 10), np.full(10, 1.0)]
    assert l_curve_corner(rho, eta).index in (9, 10)


@pytest.mark.parametrize(
    ("error", "text", "arguments"),
    [
        (ValueError, "path has 2 points; expected 3 or more", ([1, 2], [2, 1])),
        (ValueError, r"solution_norms\[2\] is 0.0; expected a norm > 0", ([1, 2, 3], [2, 1, 0])),
        (ValueError, r"path\[1\] is -2.0; expected a norm > 0", ([1, -2, 3], [2, 1, 1])),
        (ValueError, r"solution_norms has shape \(2,\); expected \(3,\)", ([1, 2, 3], [2, 1])),
        (ValueError, r"path\[0\] is nan", ([np.nan, 2, 3], [3, 2, 1])),
        (TypeError, "solution_norms is None", ([1, 2, 3],)),
        (TypeError, "path has dtype", ("path", [1, 2])),
        (ValueError, "path has no corner", ([1, 10, 100], [100, 10, 1])),
        (ValueError, "path has no corner", ([1, 9, 10], [10, 9, 1])),
        (TypeError, "solution_norms is given with a path", (ridge_path(np.eye(2), [1, 2]), [1, 2])),
        (ValueError, "path has 1 different lambdas > 0; expected 3 or more", (ridge_path(np.eye(2), [1, 2], [0, 1]),)),
        (ValueError, "path has projections that are all 0; expected some", (ridge_path([[1.0], [0.0]], [0, 1]),)),
        (ValueError, "path has projections that are all 0", (truncated_svd_path([[1.0], [0.0]], [0, 1]),)),
        (ValueError, "path has no corner", (ridge_path(np.ones((5, 1)), [1, 2, 3, 4, 6.0]),)),
        (ValueError, "path has no corner", (truncated_svd_path(np.ones((5, 1)), [1, 2, 3, 4, 6.0]),)),
    ],
)
def test_bad_arguments_of_the_corner(error, text, arguments):
    with pytest.raises(error, match=text):
        l_curve_corner(*arguments)


def test_public_names():
    assert set(regression.__all__) >= {"polynomial_basis", "fit_polynomials", "ridge_path", "l_curve_corner"}
