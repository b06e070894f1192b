"""Robust fits: the same as SciPy's and scikit-learn's, stationary to the last digits, for matrices of any kind and rank."""

import tracemalloc

import numpy as np
import pytest
from interpreter import output
from scipy import sparse
from scipy.optimize import least_squares, linprog
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import fastlec
from fastlec import _robust_losses, robust, robust_fit, robust_lstsq

LOSSES = ("huber", "cauchy", "tukey", "l1")
SMOOTH = LOSSES[:3]
FORMS = {"array": np.asarray, "sparse": sparse.csc_array, "operator": aslinearoperator}


def outliers(m=200, n=4, share=0.15, seed=0):
    """A, y = A x + noise of deviation 0.5 with some values far off, and x."""
    rng = np.random.default_rng(seed)
    A, x = rng.normal(size=(m, n)), rng.normal(size=n)
    y = A @ x + 0.5 * rng.normal(size=m)
    wrong = rng.random(m) < share
    y[wrong] += rng.normal(20, 30, wrong.sum())
    return A, y, x


def scipy_fit(A, y, loss, scale):
    return scipy_curve(lambda x: A @ x - y, lambda x: A.copy(), np.zeros(A.shape[1]), loss, scale)


def scipy_curve(residual, jac, x, loss, scale):
    """It ends for want of change, a little before the optimum; so it begins anew from near there, and its best counts."""
    found, settings = [], {"loss": loss, "f_scale": scale, "xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-14, "max_nfev": 2000}
    for shift in (0, 0, 1e-3, 1e-2, 1e-4):
        found.append(least_squares(residual, np.asarray(x) * (1 + shift), jac, **settings))
        x = found[-1].x
    return min(found, key=lambda end: end.optimality)


def sum_of_sizes(A, y):
    """The least sum |A x - y|, as a linear program in x and both parts of the residuals."""
    m, n = A.shape
    cost = np.r_[np.zeros(n), np.ones(2 * m)]
    bounds = [(None, None)] * n + [(0, None)] * (2 * m)
    return linprog(cost, A_eq=np.c_[A, -np.eye(m), np.eye(m)], b_eq=y, bounds=bounds).fun


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", ["mad", 0.4])
@pytest.mark.parametrize("loss", ["huber", "cauchy"])
def test_the_same_as_scipy(loss, scale, form):
    A, y, _ = outliers()
    found = robust_lstsq(FORMS[form](A), y, loss=loss, scale=scale)
    peer = scipy_fit(A, y, loss, found.scale)
    np.testing.assert_allclose(found.x, peer.x, rtol=0, atol=1e-8)
    assert found.cost == pytest.approx(peer.cost, rel=1e-12)
    assert found.converged
    assert scale == "mad" or found.scale == scale


@pytest.mark.parametrize("seed", range(3))
def test_the_same_as_scikit_learn_at_its_scale(seed):
    linear_model = pytest.importorskip("sklearn.linear_model")
    A, y, _ = outliers(2000, 8, seed=seed)
    peer = linear_model.HuberRegressor(alpha=0, fit_intercept=False, tol=1e-8, max_iter=1000).fit(A, y)
    found = robust_lstsq(A, y, scale=peer.epsilon * peer.scale_)
    np.testing.assert_allclose(found.x, peer.coef_, rtol=0, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", LOSSES)
def test_stationarity_by_the_formula(loss, form):
    """A' psi = 0 for psi that is the derivative of the loss; of the absolute values, a subgradient."""
    A, y, _ = outliers(seed=1)
    found = robust_lstsq(FORMS[form](A), y, loss=loss)
    r = A @ found.x - y
    cosines = np.abs(A.T @ found.psi) / np.linalg.norm(A, axis=0) / np.linalg.norm(found.psi)
    assert cosines.max() <= 1e-10
    assert found.stationarity <= 1e-10
    if loss == "l1":
        apart = np.abs(r) > 1e-12
        np.testing.assert_array_equal(found.psi[apart], np.sign(r[apart]))
        assert np.abs(found.psi).max() <= 1
        assert (~apart).sum() == 4  # a vertex
    else:
        np.testing.assert_allclose(found.psi, found.weights * r / found.scale, rtol=1e-12, atol=1e-14)
        z = (r / found.scale) ** 2
        weights = {"huber": np.minimum(1, z**-0.5), "cauchy": 1 / (1 + z), "tukey": np.maximum(1 - z, 0) ** 2}
        np.testing.assert_allclose(found.weights, weights[loss], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("loss", SMOOTH)
def test_reweighted_least_squares_stays_where_it_is(loss, scale):
    A, y, _ = outliers(seed=2)
    found = robust_lstsq(A, y, loss=loss, scale=scale)
    root = np.sqrt(found.weights)
    again = np.linalg.lstsq(root[:, None] * A, root * y)[0]
    np.testing.assert_allclose(again, found.x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_outliers_do_not_matter(loss):
    A, y, x = outliers(1000, 4, 0.2)
    plain = np.linalg.lstsq(A, y)[0]
    found = robust_lstsq(A, y, loss=loss)
    assert np.abs(found.x - x).max() < 0.1 < np.abs(plain - x).max()
    wrong = np.abs(A @ x - y) > 10
    assert found.weights[wrong].max() < 0.5 < np.median(found.weights[~wrong])


@pytest.mark.parametrize("size", [1e8, 1e14, 1e20, 1e37, 1e160, 1e300])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", LOSSES)
def test_outliers_of_any_size(loss, form, size):
    """How far they are does not matter: the weights and the cost are those of the data as given."""
    A, y, x = outliers(300, 3)
    wrong = np.abs(A @ x - y) > 10
    sign = np.sign(y - A @ x)
    near = robust_lstsq(A, np.where(wrong, sign * 1e5, y), loss=loss)
    far = np.where(wrong, sign * size, y)
    found = robust_lstsq(FORMS[form](A), far, loss=loss)
    assert found.converged
    np.testing.assert_allclose(found.x, near.x, rtol=0, atol=1e-5)  # by cauchy, 1e5 scales still matter a little
    assert found.scale == pytest.approx(near.scale, rel=1e-5)
    np.testing.assert_allclose(found.weights[wrong], 0, atol=1e-6)
    if loss == "huber":
        np.testing.assert_allclose(found.weights[wrong], found.scale / size, rtol=1e-6)
        assert found.cost == pytest.approx(found.scale * size * wrong.sum(), rel=1e-5)
        for more in ({"x0": np.zeros(3)}, {"scale": found.scale}):
            np.testing.assert_allclose(robust_lstsq(FORMS[form](A), far, **more).x, found.x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_data_far_beyond_most_that_are_no_outliers(loss):
    """Ten rows have A and y that are 1e9 times as large as the others; the fit to all goes there."""
    A, y, x = outliers(200, 3, share=0.1)
    A[:10] *= 1e9
    y[:10] = A[:10] @ x
    seen = []
    found = robust_lstsq(A, y, loss=loss, scale=1.0, callback=lambda number, *_: seen.append(number))
    assert found.converged
    assert seen == list(range(1, len(found.history) + 1))
    np.testing.assert_allclose(found.x, x, rtol=0, atol=1e-7)
    assert found.weights[:10].min() > 0.9


@pytest.mark.parametrize("form", ["array", "sparse"])
@pytest.mark.parametrize("size", [1.0, 1e20])
@pytest.mark.parametrize("loss", ["huber", "l1"])
def test_most_of_the_data_are_zero(loss, size, form):
    A, y, _ = outliers(300, 2)
    y[:] = 0
    y[:3] = size
    found = robust_lstsq(FORMS[form](A), y, loss=loss)
    assert found.converged
    assert found.scale == 0
    np.testing.assert_allclose(found.x / size, 0, atol=0 if loss == "huber" else 1e-20)


def test_an_exact_fit_of_data_that_are_mostly_zero():
    A, _, _ = outliers(300, 2)
    A[100:, 0] = 0  # x[0] is known from a third of the rows
    y = A @ [1.0, 0]
    y[-40:] += np.random.default_rng(0).normal(size=40)
    found = robust_lstsq(A, y)
    assert found.scale == 0
    np.testing.assert_allclose(found.x, [1, 0], rtol=0, atol=1e-9)


def test_rows_of_weight_zero_have_no_size():
    A, y, _ = outliers(60, 3)
    weight = np.ones(60)
    weight[:40] = 0
    expected = robust_lstsq(A[40:], y[40:])
    y[:40] = 1e20
    found = robust_lstsq(A, y, sample_weight=weight)
    assert found.converged
    np.testing.assert_allclose(found.x, expected.x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss", SMOOTH)
def test_monomials(loss):
    """Columns of condition 4e9: round-off is said where it is what is left."""
    t = np.linspace(0, 1, 200)
    A, y = np.vander(t, 14), np.sin(6 * t) + 0.01 * np.random.default_rng(0).normal(size=200)
    y[::9] += 1
    found = robust_lstsq(A, y, loss=loss)
    good = robust_lstsq(np.linalg.qr(A)[0], y, loss=loss, scale=found.scale)
    assert found.converged
    assert found.stationarity <= 1e-10 or found.message.endswith("the round-off of the residuals")
    assert found.cost == pytest.approx(good.cost, rel=1e-10)


@pytest.mark.parametrize("rotated", [False, True])
def test_operators_of_columns_in_any_units(rotated):
    """Those that hardly count beside the others count in the stationarity."""
    rng = np.random.default_rng(0)
    A, y, _ = outliers(400, 6)
    A = A * np.logspace(0, -5.5 if rotated else -8, 6)
    if rotated:
        A = A @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    expected, found = robust_lstsq(A, y), robust_lstsq(aslinearoperator(A), y)
    assert found.converged
    np.testing.assert_allclose(A @ found.x, A @ expected.x, rtol=0, atol=1e-5)
    if not rotated:
        np.testing.assert_allclose(found.x, expected.x, rtol=1e-6)


@pytest.mark.parametrize("form", ["sparse", "operator"])
@pytest.mark.parametrize("loss", ["cauchy", "tukey"])
def test_products_converge_like_factorizations(loss, form):
    rng = np.random.default_rng(0)
    A = sparse.csr_array(rng.random((1500, 100)) * (rng.random((1500, 100)) < 0.05))
    y = A @ rng.normal(size=100) + 0.1 * rng.normal(size=1500)
    y[:100] += 10
    expected = robust_lstsq(A.toarray(), y, loss=loss, scale=0.2)
    found = robust_lstsq(A if form == "sparse" else aslinearoperator(A), y, loss=loss, scale=0.2)
    assert found.converged
    assert found.n_iter <= expected.n_iter + 10
    np.testing.assert_allclose(found.x, expected.x, rtol=0, atol=1e-9)


def test_no_residual_within_the_scale():
    A, y, _ = outliers()
    found = robust_lstsq(A, y, loss="tukey", scale=0.1, x0=np.full(4, 1e5))
    assert not found.converged
    assert found.message == "0 iterations, not converged: no residual is within the scale"


def test_a_scale_settles_in_a_few_steps():
    A, y, _ = outliers(20_000, 20)
    one_sided = y + 30.0 * (np.arange(20_000) % 7 == 0)
    found = robust_lstsq(np.c_[A, np.ones(20_000)], one_sided)
    assert found.converged
    assert found.n_iter <= 15
    r = np.abs(np.c_[A, np.ones(20_000)] @ found.x - one_sided)
    assert found.scale == pytest.approx(1.345 * 1.4826 * np.median(r), rel=2e-6)


@pytest.mark.parametrize("m", range(3, 12))
def test_of_a_handful_of_points_all_is_said(m):
    """A scale that has not settled is no fit that has converged."""
    for seed in range(20):
        rng = np.random.default_rng(100 * m + seed)
        A, y = np.c_[rng.normal(size=m), np.ones(m)], rng.standard_cauchy(m)
        found = robust_lstsq(A, y)
        if found.converged and found.scale:
            assert found.scale == pytest.approx(1.345 * 1.4826 * np.median(np.abs(A @ found.x - y)), rel=1e-4)
        elif not found.converged:
            assert found.message.endswith("the scale has not settled")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("integers", [False, True])
def test_least_absolute_residuals_are_the_least(integers, seed):
    rng = np.random.default_rng(seed)
    A, y, _ = outliers(60, 4, seed=seed)
    if integers:  # many residuals are zero at once: a degenerate vertex
        A, y = rng.integers(-3, 4, A.shape), rng.integers(-4, 5, len(y))
    found = robust_lstsq(A, y, loss="l1")
    assert found.cost == pytest.approx(sum_of_sizes(A, y), rel=1e-9)
    assert found.converged


def test_the_median_is_a_least_absolute_fit():
    found = robust_lstsq(np.ones((5, 1)), [3.0, 1, 4, 1, 500], loss="l1")
    assert found.x == pytest.approx([3])
    found = robust_lstsq(np.ones((4, 1)), [0.0, 1, 2, 30], loss="l1")  # any number from 1 to 2
    assert 1 <= found.x[0] <= 2
    assert found.cost == 31


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_count_rows(loss, form):
    A, y, _ = outliers(60, 3, seed=3)
    weight = np.random.default_rng(0).integers(0, 4, 60)
    once = robust_lstsq(FORMS[form](A), y, loss=loss, sample_weight=weight)
    repeated = robust_lstsq(np.repeat(A, weight, axis=0), np.repeat(y, weight), loss=loss)
    assert once.scale == pytest.approx(repeated.scale, rel=1e-5)
    np.testing.assert_allclose(once.x, repeated.x, rtol=0, atol=1e-6)
    assert once.cost == pytest.approx(repeated.cost, rel=1e-4)
    assert once.converged


@pytest.mark.parametrize("loss", LOSSES)
def test_the_scale_is_that_of_the_residuals(loss):
    """Of the fit itself or, where the loss has several minima, of the one by huber; given as a number it gives the same fit."""
    A, y, _ = outliers(seed=4)
    tuning = {"l1": 1.0} | {name: row.tuning for name, row in _robust_losses.LOSSES.items()}
    found = robust_lstsq(A, y, loss=loss)
    x = robust_lstsq(A, y).x if loss != "huber" else found.x
    assert found.scale == pytest.approx(tuning[loss] * 1.4826 * np.median(np.abs(A @ x - y)), rel=1e-5)
    np.testing.assert_allclose(robust_lstsq(A, y, loss=loss, scale=found.scale).x, found.x, rtol=0, atol=1e-8)
    if loss == "huber":
        wide = robust_lstsq(A, y, tuning=3)
        assert wide.scale == pytest.approx(3 * 1.4826 * np.median(np.abs(A @ wide.x - y)), rel=1e-5)


@pytest.mark.parametrize("loss", SMOOTH)
def test_tunings_have_95_percent_of_the_efficiency(loss):
    """E[psi']^2 / E[psi^2] under Gaussian noise of deviation 1."""
    row = _robust_losses.LOSSES[loss]
    t = np.linspace(-12, 12, 200_001)
    density = np.exp(-t * t / 2)
    _, w, curvature = row.terms(np.abs(t) / row.tuning)
    efficiency = (curvature @ density) ** 2 / ((w * t) ** 2 @ density) / density.sum()
    assert efficiency == pytest.approx(0.95, abs=1e-3)


@pytest.mark.parametrize("loss", SMOOTH)
def test_losses_have_their_derivatives(loss):
    t, h = np.array([0.01, 0.4, 0.95, 1.05, 3, 50]), 1e-6
    terms = _robust_losses.LOSSES[loss].terms
    rho, w, curvature = terms(t)
    np.testing.assert_allclose((terms(t + h)[0] - terms(t - h)[0]) / (4 * h), w * t, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(((t + h) * terms(t + h)[1] - (t - h) * terms(t - h)[1]) / (2 * h), curvature, atol=1e-8)
    assert (rho >= 0).all()
    assert (curvature <= w + 1e-15).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_fit_that_most_points_lie_on(loss, form):
    A, y, x = outliers(50, 3)
    y = A @ x
    y[:15] += np.random.default_rng(0).normal(0, 100, 15)
    found = robust_lstsq(FORMS[form](A), y, loss=loss)
    np.testing.assert_allclose(found.x, x, rtol=0, atol=1e-10)
    assert found.converged
    assert found.scale == 0
    assert found.weights[:15].max() < 1e-9
    np.testing.assert_array_equal(found.weights[15:], 1)
    if loss != "l1":
        assert "goes through 35 of 50 points" in found.message


@pytest.mark.parametrize("factor", [1e-300, 1, 1e300])
@pytest.mark.parametrize("loss", LOSSES)
def test_only_ratios_of_weights_matter(loss, factor):
    A, y, _ = outliers(40, 3)
    weight = np.random.default_rng(0).random(40)
    found, scaled = (robust_lstsq(A, y, loss=loss, sample_weight=w) for w in (weight, factor * weight))
    np.testing.assert_allclose(scaled.x, found.x, rtol=0, atol=1e-9)
    assert scaled.converged
    alone = robust_lstsq(A, y, loss=loss, sample_weight=np.eye(40)[3])
    assert (alone.scale, alone.converged) == (0, True)
    assert alone.weights[3] == 1
    assert alone.weights.sum() < 1 + 1e-6


@pytest.mark.parametrize("loss", LOSSES)
def test_no_residuals_at_all(loss):
    A, y, _ = outliers(5, 5)
    for matrix, values in ((A, y), (A[:2], y[:2]), (A, 0 * y), (0 * A, 0 * y), (A[:1, :1], y[:1])):
        found = robust_lstsq(matrix, values, loss=loss)
        np.testing.assert_allclose(matrix @ found.x, values, atol=1e-10)
        assert found.converged
        assert found.scale == 0
        least = np.linalg.lstsq(matrix, values)[0]
        np.testing.assert_allclose(found.x, least, atol=1e-8)  # of the least norm where m < n


@pytest.mark.parametrize("loss", LOSSES)
def test_dependent_columns(loss):
    """The residuals are those of the columns without the last, x has the least norm."""
    A, y, _ = outliers(100, 3)
    full = robust_lstsq(A, y, loss=loss)
    found = robust_lstsq(np.c_[A, A[:, 0] - 2 * A[:, 1]], y, loss=loss)
    null = np.array([1.0, -2, 0, -1])
    assert abs(found.x @ null) < 1e-10
    np.testing.assert_allclose(found.x[:3] + found.x[3] * null[:3], full.x, rtol=0, atol=1e-7)
    assert found.converged
    multiplied = robust_lstsq(sparse.csr_array(np.c_[A, A[:, 0] - 2 * A[:, 1]]), y, loss=loss)
    assert multiplied.cost == pytest.approx(found.cost, rel=1e-4)
    assert multiplied.converged


@pytest.mark.parametrize("form", ["array", "sparse"])
@pytest.mark.parametrize("loss", LOSSES)
def test_columns_in_any_units(loss, form):
    A, y, _ = outliers(100, 3)
    units = np.array([1e-7, 1, 1e9])
    found, scaled = (robust_lstsq(FORMS[form](matrix), y, loss=loss) for matrix in (A, A * units))
    np.testing.assert_allclose(scaled.x * units, found.x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss", ["huber", "cauchy", "l1"])
def test_the_condition_is_not_squared(loss):
    """Columns of condition 1e9, of which A' A loses all digits: the fit is that by their orthonormal basis, as far as the digits of
    A say what they span."""
    rng = np.random.default_rng(0)
    Q, y = np.linalg.qr(rng.normal(size=(300, 6)))[0], rng.standard_cauchy(300)
    T = np.linalg.qr(rng.normal(size=(6, 6)))[0] * np.logspace(0, -9, 6) @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert np.linalg.cond(Q @ T) > 1e8
    good, found = (robust_lstsq(A, y, loss=loss, scale=2.0) for A in (Q, Q @ T))
    np.testing.assert_allclose(Q @ T @ found.x, Q @ good.x, rtol=0, atol=1e-6)
    assert found.cost == pytest.approx(good.cost, rel=1e-9)


def test_no_part_depends_on_how_an_array_is_read(tmp_path):
    A, y, _ = outliers(20_000, 11)
    expected = robust_lstsq(A, y).x
    np.save(tmp_path / "A.npy", A)
    wide = np.zeros((20_000, 22))
    wide[:, ::2] = A
    for same in (
        np.asfortranarray(A), wide[:, ::2], A[::-1][::-1], A.astype(">f8"), np.load(tmp_path / "A.npy", mmap_mode="r"), A.tolist()
    ):  # fmt: skip
        np.testing.assert_allclose(robust_lstsq(same, y).x, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", SMOOTH)
def test_an_array_is_not_copied(loss):
    A, y, _ = outliers(30_000, 60)
    for same in (A, np.asfortranarray(A), np.repeat(A, 2, axis=1)[:, ::2]):
        tracemalloc.start()
        robust_lstsq(same, y, loss=loss)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < A.nbytes / 2


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_number_of_threads(dtype, loss):
    A, y, _ = outliers(30_000, 9)
    found = []
    for threads in (1, 2, 3):
        fastlec.set_num_threads(threads)
        found.append(robust_lstsq(A.astype(dtype), y.astype(dtype), loss=loss, sample_weight=np.ones(30_000)))
    fastlec.set_num_threads(None)
    for other in found[1:]:
        for name in ("x", "weights", "psi"):
            assert getattr(other, name).tobytes() == getattr(found[0], name).tobytes()
        assert (other.cost, other.n_iter) == (found[0].cost, found[0].n_iter)


def test_robust_fits_wait_until_they_are_asked_for():
    loaded = set(output("import sys, fastlec; fastlec.Objective; print(*sys.modules)").split())
    assert not {"fastlec.robust", "fastlec.least_squares", "scipy"} & loaded


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [(("f4", "f4"), "f4"), (("f2", "f2"), "f4"), (("f4", "f8"), "f8"), (("i4", "i2"), "f8"), ((">f4", "f4"), "f4")],
)  # fmt: skip
@pytest.mark.parametrize("loss", LOSSES)
def test_dtypes(loss, dtypes, expected):
    A, y, _ = outliers(100, 3)
    A, y = (10 * A).astype(dtypes[0]), (10 * y).astype(dtypes[1])
    found = robust_lstsq(A, y, loss=loss)
    assert found.x.dtype == expected
    exact = robust_lstsq(A.astype(float), y.astype(float), loss=loss)
    np.testing.assert_array_equal(found.x, exact.x.astype(expected))  # all is computed in float64


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.coo_array, sparse.dok_array, sparse.bsr_array])
@pytest.mark.parametrize("dtype", ["i1", "?", "f4", "f8"])
@pytest.mark.parametrize("loss", ["huber", "l1"])
def test_sparse_matrices_of_any_format(loss, dtype, make):
    A, y, _ = outliers(100, 3)
    A = (100 * (A > 0) + 20 * A).clip(-128, 127).astype(dtype)  # of i1 the squares are no i1
    found, expected = robust_lstsq(make(A), y, loss=loss), robust_lstsq(A, y, loss=loss)
    assert found.converged
    np.testing.assert_allclose(A @ found.x.astype(float), A @ expected.x.astype(float), rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_given_is_changed(loss, form):
    A, y, _ = outliers(80, 3)
    weight, x0 = np.ones(80), np.zeros(3)
    kept = [a.copy() for a in (A, y, weight, x0)]
    for a in (A, y, weight, x0):
        a.flags.writeable = False
    robust_lstsq(FORMS[form](A), y, loss=loss, sample_weight=weight, x0=x0)
    for a, b in zip((A, y, weight, x0), kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_start_leads_to_the_minimum_near_it():
    """Two lines that are as good as each other: by default the fit is between; from near one of them tukey finds that one."""
    t = np.linspace(-1, 1, 100)
    A, y = t[:, None], np.where(np.arange(100) % 2, 5 * t, -5 * t)
    for slope in (5, -5):
        assert robust_lstsq(A, y, loss="tukey", scale=0.5, x0=[0.9 * slope]).x == pytest.approx([slope], abs=0.05)
    assert robust_lstsq(A, y, loss="huber", x0=[4.0]).x == pytest.approx(robust_lstsq(A, y).x, abs=1e-6)


def test_callbacks_and_what_ends_a_fit():
    A, y, _ = outliers()
    seen = []
    found = robust_lstsq(A, y, scale=0.1, callback=lambda *told: seen.append(told))
    assert [number for number, _, _ in seen] == list(range(1, found.n_iter + 1))
    assert seen[-1][2] == found.cost
    np.testing.assert_array_equal(seen[-1][1], found.x)
    assert [entry.cost for entry in found.history] == [cost for _, _, cost in seen]

    def stop(iteration, x, cost):
        x[:] = np.nan  # a copy
        if iteration == 2:
            raise StopIteration

    ended = robust_lstsq(A, y, scale=0.1, callback=stop)
    assert ended.message == "2 iterations, not converged: stopped by callback"
    np.testing.assert_array_equal(ended.x, seen[1][1])
    cut = robust_lstsq(A, y, scale=0.1, max_iter=2)
    assert not cut.converged
    assert cut.message.startswith("2 iterations, not converged: stationarity ")


A, Y, _ = outliers(20, 3)
NAN = A.copy()
NAN[7, 1] = np.nan
IMAGINARY = LinearOperator(A.shape, matvec=lambda v: A @ v * 1j, rmatvec=lambda u: A.T @ u, dtype=float)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"A": NAN}, ValueError, r"^A\[7, 1\] is nan as float64; expected finite numbers"),
        ({"A": sparse.csr_array(NAN)}, ValueError, r"^A.data\[22\] is nan"),
        ({"A": A[0]}, ValueError, r"^A has shape \(3,\); expected \(m, n\), neither of them 0"),
        ({"A": A[:0]}, ValueError, r"^A has shape \(0, 3\); expected \(m, n\)"),
        ({"A": A + 0j}, TypeError, "^A has dtype complex128"),
        ({"A": sparse.csr_array(A + 0j)}, TypeError, "^A has dtype complex128"),
        ({"A": A.astype(str)}, TypeError, "^A has dtype <U"),
        ({"A": np.ma.masked_array(A)}, TypeError, "^A is a masked array"),
        ({"A": None}, ValueError, r"^A has shape \(\); expected"),
        ({"A": [[1, 2], [3]]}, ValueError, "^A is no rectangular array"),
        ({"y": Y[:5]}, ValueError, r"^y has shape \(5,\); expected \(20,\) to match A of shape \(20, 3\)"),
        ({"y": Y[:, None]}, ValueError, r"^y has shape \(20, 1\); expected \(20,\)"),
        ({"y": Y + np.inf}, ValueError, r"^y\[0\] is inf"),
        ({"y": Y.astype(complex)}, TypeError, "^y has dtype complex128"),
        ({"loss": "lad"}, ValueError, "^loss is 'lad'; expected one of huber, cauchy, tukey, l1"),
        ({"loss": None}, ValueError, "^loss is None; expected one of"),
        ({"scale": 0}, ValueError, "^scale is 0; expected a number > 0"),
        ({"scale": -1.0}, ValueError, "^scale is -1.0; expected a finite number >= 0"),
        ({"scale": np.nan}, ValueError, "^scale is nan"),
        ({"scale": "iqr"}, ValueError, "^scale is 'iqr'; expected \"mad\" or a number > 0"),
        ({"scale": None}, TypeError, "^scale is None; expected a number"),
        ({"scale": [1.0, 2.0]}, TypeError, r"^scale is \[1.0, 2.0\]; expected a number"),
        ({"scale": True}, TypeError, "^scale is True; expected a number"),
        ({"tuning": 0}, ValueError, "^tuning is 0"),
        ({"tuning": 1e-300}, ValueError, r"^tuning is 1e-300; expected a number from 1e-06 to 1e\+06"),
        ({"tuning": 1e300}, ValueError, r"^tuning is 1e\+300"),
        ({"A": np.float32(1e-30 * A), "y": np.float32(1e20 * Y)}, ValueError, "^x is up to .* expected A or y in float64"),
        ({"A": LinearOperator((20, 3), matvec=lambda v: A @ v)}, TypeError, "^A has no rmatvec; expected an operator with both"),
        ({"A": aslinearoperator(NAN)}, ValueError, "^A times a vector of finite numbers is not finite"),
        ({"A": IMAGINARY}, TypeError, "^A times a vector has dtype complex128; expected real numbers"),
        ({"sample_weight": Y}, ValueError, "^sample_weight has values from .* expected finite weights >= 0"),
        ({"sample_weight": [1.0]}, ValueError, r"^sample_weight has shape \(1,\); expected \(20,\)"),
        ({"x0": [1.0]}, ValueError, r"^x0 has shape \(1,\); expected \(3,\)"),
        ({"x0": [1.0, np.nan, 0]}, ValueError, r"^x0\[1\] is nan"),
        ({"tol": -1}, ValueError, "^tol is -1"),
        ({"max_iter": 1.5}, TypeError, "^max_iter is 1.5; expected an integer"),
        ({"callback": 3}, TypeError, "^callback is 3; expected a function"),
        ({"scale": 1e200}, ValueError, r"^scale is 1e\+200; expected a number from 1e-50 to 1e\+50"),
        ({"A": 1e200 * A}, ValueError, "^A is too large: float64 does not hold its squares"),
        ({"A": 1e200 * A[:2], "y": Y[:2]}, ValueError, "^A is too large"),
        ({"A": 1e-200 * A}, ValueError, "^A is too small: float64 does not hold its squares"),
        ({"A": 1e200 * sparse.csr_array(A)}, ValueError, "^A is too large"),
        ({"y": 1e-200 * Y}, ValueError, "^y is too small"),
        ({"y": 1e200 * Y}, ValueError, "^y is too large"),
        ({"y": 1e100 * Y}, ValueError, r"^y is too large: the scale is "),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(arguments, error, match):
    with pytest.raises(error, match=match):
        robust_lstsq(**{"A": A, "y": Y} | arguments)


@pytest.mark.parametrize("weight", [lambda m: None, np.ones])
def test_mad(weight):
    r = np.array([3.0, -1, 4, 1, -5, 9, 2])
    assert robust.mad(r, weight(7)) == 1.4826 * 3
    assert robust.mad(r[:6], weight(6)) == 1.4826 * 3.5


# nonlinear ------------------------------------------------------------------------------------------------------------------------


def decay(m=150, seed=0):
    """residual and jac of a exp(-b t) + c, with outliers on one side, and (a, b, c)."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 3, m)
    y = 2 * np.exp(-1.3 * t) + 0.3 + 0.02 * rng.normal(size=m)
    y[::7] += 2 * rng.random(len(y[::7]))

    def residual(x):
        return x[0] * np.exp(-x[1] * t) + x[2] - y

    def jac(x):
        return np.stack([np.exp(-x[1] * t), -x[0] * t * np.exp(-x[1] * t), np.ones(m)], axis=1)

    return residual, jac, np.array([2, 1.3, 0.3])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", ["mad", 0.05])
@pytest.mark.parametrize("loss", SMOOTH)
def test_a_curve_through_outliers(loss, scale, form):
    residual, jac, x = decay()
    found = robust_fit(residual, lambda x: FORMS[form](jac(x)), [1.0, 1, 0], loss=loss, scale=scale)
    assert found.converged
    assert found.stationarity <= 1e-10
    assert np.abs(found.x - x).max() < 0.05
    psi, J = found.psi, jac(found.x)
    assert np.abs(J.T @ psi).max() <= 1e-9 * np.linalg.norm(J) * np.linalg.norm(psi)
    if loss != "tukey":
        peer = scipy_curve(residual, jac, [1.0, 1, 0], loss, found.scale)
        np.testing.assert_allclose(found.x, peer.x, rtol=0, atol=1e-8)
        assert found.cost == pytest.approx(peer.cost, rel=1e-12)


def test_a_linear_problem_is_one_of_the_nonlinear():
    A, y, _ = outliers()
    for loss in SMOOTH:
        linear = robust_lstsq(A, y, loss=loss, scale=0.7)
        found = robust_fit(lambda x: A @ x - y, lambda x: A, np.zeros(4), loss=loss, scale=0.7)
        np.testing.assert_allclose(found.x, linear.x, rtol=0, atol=1e-8)
        assert found.cost == pytest.approx(linear.cost, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_sample_weights_of_a_nonlinear_fit(form):
    residual, jac, _ = decay(60)
    weight = np.random.default_rng(0).integers(0, 4, 60)
    once = robust_fit(residual, lambda x: FORMS[form](jac(x)), [1.0, 1, 0], sample_weight=weight, scale=0.1)
    repeated = robust_fit(
        lambda x: np.repeat(residual(x), weight), lambda x: np.repeat(jac(x), weight, axis=0), [1.0, 1, 0], scale=0.1
    )
    np.testing.assert_allclose(once.x, repeated.x, rtol=0, atol=1e-8)
    assert once.cost == pytest.approx(repeated.cost, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_fitted_through_outliers(dtype):
    """JacMV and JacTMV of its layers alone; from the same start, least squares follow the outliers."""
    rng = np.random.default_rng(0)
    X = np.linspace(-2, 2, 120, dtype=dtype)[:, None]
    clean = np.sin(2 * X)
    y = clean + 0.02 * rng.normal(size=X.shape)
    y[5::10] += 3
    net = fastlec.Network([fastlec.Dense(1, 8, rng=0, dtype=dtype), fastlec.Dense(8, 1, "identity", rng=1, dtype=dtype)])
    f = fastlec.Objective(net, fastlec.MeanSquaredError(), X, y)
    start = net.theta.copy()
    found = robust_fit(f.residuals, f.jacobian, start, loss="cauchy", max_iter=60)
    assert found.x.dtype == dtype
    assert np.abs(net.with_theta(found.x)(X) - clean).max() < 0.1
    plain = least_squares(f.residuals, start.astype(float), f.jacobian, tr_solver="lsmr", max_nfev=60)
    assert np.abs(net.with_theta(plain.x.astype(dtype))(X) - clean).max() > 0.2
    assert set(np.argsort(found.weights)[:12]) == set(range(5, 120, 10))
    np.testing.assert_array_equal(net.theta, start)


def test_a_network_through_its_linearization():
    """residual and Jacobian made by hand, as for outputs and losses of one's own, end where those of an Objective do."""
    rng = np.random.default_rng(0)
    net = fastlec.Network([fastlec.Dense(2, 2, rng=0), fastlec.Dense(2, 1, "identity", rng=1)])
    X = rng.normal(size=(300, 2))
    y = net.with_theta(1.2 * net.theta)(X) + 0.1 * rng.normal(size=(300, 1))
    y[rng.random(300) < 0.1] += 4

    def residual(theta):
        return (net.with_theta(theta)(X) - y).ravel()

    def jac(theta):
        return net.with_theta(theta).linearize(X)[1].operator("theta")

    found = robust_fit(residual, jac, net.theta, loss="cauchy", scale=0.2, tol=1e-6)
    explicit = robust_fit(residual, lambda x: jac(x) @ np.eye(net.n_params), net.theta, loss="cauchy", scale=0.2, tol=1e-6)
    assert found.converged
    assert explicit.converged
    assert found.cost == pytest.approx(explicit.cost, rel=1e-6)
    np.testing.assert_allclose(residual(found.x), residual(explicit.x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("loss", SMOOTH)
def test_no_point_is_evaluated_twice(loss):
    residual, jac, _ = decay()
    seen = {"residual": [], "jac": []}

    def told(name, function):
        def call(x):
            seen[name].append(x.tobytes())
            return function(x)

        return call

    found = robust_fit(told("residual", residual), told("jac", jac), [1.0, 1, 0], loss=loss)
    assert len(seen["residual"]) <= found.n_iter + 3
    assert len(set(seen["jac"])) >= len(seen["jac"]) - 2  # where a fit ends with a step that is not taken, the next begins anew


def test_a_float32_start():
    residual, jac, x = decay()
    seen = set()

    def single(x):
        seen.add(x.dtype)
        return residual(x)

    found = robust_fit(single, jac, np.float32([1, 1, 0]))
    assert found.converged
    assert found.x.dtype == np.float32
    assert seen == {np.dtype(np.float32)}
    assert np.abs(found.x - x).max() < 0.05


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("start", [(1, 1), (1, -12), (1, -3), (100, 2)])
@pytest.mark.parametrize("loss", SMOOTH)
def test_a_curve_from_a_far_start(loss, start, dtype):
    t = np.linspace(0, 3, 60, dtype=dtype)
    y = (2 * np.exp(-1.3 * t) + 0.02 * np.random.default_rng(0).normal(size=60)).astype(dtype)
    y[::7] += 2

    def residual(x):
        with np.errstate(over="ignore"):
            return x[0] * np.exp(-x[1] * t) - y

    def jac(x):
        return np.stack([np.exp(-x[1] * t), -x[0] * t * np.exp(-x[1] * t)], axis=1)

    found = robust_fit(residual, jac, np.array(start, dtype), loss=loss)
    assert found.converged
    assert 0.01 < found.scale < 0.2
    assert np.abs(found.x - [2, 1.3]).max() < 0.02


@pytest.mark.parametrize("size", [1e14, 1e20, 1e140])
@pytest.mark.parametrize("loss", SMOOTH)
def test_what_far_outliers_do_to_a_curve_is_said(loss, size):
    """Of the model, their residuals have no digit."""
    t = np.linspace(0, 3, 60)
    y = 2 * np.exp(-1.3 * t) + 0.02 * np.random.default_rng(0).normal(size=60)
    y[::7] = size
    found = robust_fit(
        lambda x: x[0] * np.exp(-x[1] * t) - y,
        lambda x: np.stack([np.exp(-x[1] * t), -x[0] * t * np.exp(-x[1] * t)], axis=1),
        [1.0, 1.0],
        loss=loss,
    )
    assert not found.converged
    assert found.message.endswith(("the scale has not settled", "no step lowers the cost any more"))


@pytest.mark.parametrize("loss", ["cauchy", "tukey"])
def test_the_loss_that_is_wanted_has_half_of_the_iterations(loss):
    """A network whose fit by huber alone would take all of them."""
    rng = np.random.default_rng(0)
    X = np.linspace(-2, 2, 50)[:, None]
    y = np.sin(2 * X) + 0.02 * rng.normal(size=X.shape)
    y[::7] += 4
    net = fastlec.Network([fastlec.Dense(1, 4, rng=0), fastlec.Dense(4, 1, "identity", rng=1)])
    f = fastlec.Objective(net, fastlec.MeanSquaredError(), X, y)
    found = robust_fit(f.residuals, f.jacobian, net.theta, loss=loss, max_iter=40)
    z = (f.residuals(found.x) / found.scale) ** 2
    np.testing.assert_allclose(
        found.weights, 1 / (1 + z) if loss == "cauchy" else np.maximum(1 - z, 0) ** 2, rtol=1e-9, atol=1e-12
    )
    assert found.message.startswith("40 iterations, not converged: stationarity ")
    assert found.history[-1].cost == found.cost < found.history[20].cost  # by the loss that is wanted, from half of them on


def test_tukey_from_where_no_residual_is_small():
    """There its gradient is zero, which is no fit."""
    residual, jac, x = decay()
    assert np.abs(residual([3.0, 1, 3])).min() > 0.5
    found = robust_fit(residual, jac, [3.0, 1, 3], loss="tukey", scale=0.1)
    assert found.converged
    assert np.abs(found.x - x).max() < 0.05


def test_a_curve_that_most_points_lie_on():
    t = np.linspace(0, 2, 30)
    y = 3 * np.exp(-2 * t)
    y[3::6] += np.random.default_rng(0).normal(size=5)

    def residual(x):
        return x[0] * np.exp(-x[1] * t) - y

    def jac(x):
        return np.stack([np.exp(-x[1] * t), -x[0] * t * np.exp(-x[1] * t)], axis=1)

    for loss in SMOOTH:
        found = robust_fit(residual, jac, [1.0, 1], loss=loss)
        np.testing.assert_allclose(found.x, [3, 2], rtol=0, atol=1e-9)
        assert found.scale == 0
        assert found.converged


R, J, _ = decay(10)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"residual": 3}, TypeError, "^residual is 3; expected a function"),
        ({"jac": None}, TypeError, "^jac is None; expected a function"),
        ({"x0": [[1.0]]}, ValueError, r"^x0 has shape \(1, 1\); expected \(n,\)"),
        ({"x0": []}, ValueError, r"^x0 has shape \(0,\)"),
        ({"x0": 1.0}, ValueError, r"^x0 has shape \(\)"),
        ({"x0": ["a"]}, TypeError, "^x0 has dtype <U1"),
        ({"x0": [1.0, np.inf, 0]}, ValueError, r"^x0\[1\] is inf"),
        ({"loss": "l1"}, ValueError, "^loss is 'l1'; expected one of huber, cauchy, tukey"),
        ({"scale": 0.0}, ValueError, "^scale is 0"),
        ({"damping": -1}, ValueError, "^damping is -1"),
        ({"damping": 1e300}, ValueError, r"^damping is 1e\+300; expected a number from 0 to 1e\+50"),
        ({"residual": lambda x: 1e160 * R(x)}, ValueError, r"^residual\(x0\) is too large"),
        ({"residual": lambda x: 1e-160 * R(x)}, ValueError, r"^residual\(x0\) is too small"),
        ({"residual": lambda x: 1e90 * R(x)}, ValueError, r"^residual\(x\) is too large: the scale is .*e\+8"),
        ({"jac": lambda x: 1e160 * J(x)}, ValueError, r"^jac\(x\) is too large"),
        ({"jac": lambda x: sparse.csr_array(1e160 * J(x))}, ValueError, r"^jac\(x\) is too large"),
        ({"jac": lambda x: aslinearoperator(1e-160 * J(x))}, ValueError, r"^jac\(x\) is too small"),
        ({"jac": lambda x: aslinearoperator(np.nan * J(x))}, ValueError, r"^jac\(x\) times a vector of finite"),
        ({"residual": lambda x: R(x)[:, None]}, ValueError, r"^residual\(x\) has shape \(10, 1\); expected \(m,\)"),
        ({"residual": lambda x: R(x) + 0j}, TypeError, r"^residual\(x\) has dtype complex128"),
        ({"residual": lambda x: R(x) + np.nan}, ValueError, r"^residual\(x0\)\[0\] is nan"),
        ({"residual": lambda x: None}, TypeError, r"^residual\(x\) has dtype object"),
        ({"jac": lambda x: J(x).T}, ValueError, r"^jac\(x\) has shape \(3, 10\); expected \(10, 3\) to match residual\(x\) and x"),
        ({"jac": lambda x: J(x) * np.inf}, ValueError, r"^jac\(x\)\[0, 0\] is"),
        ({"sample_weight": [1.0]}, ValueError, r"^sample_weight has shape \(1,\); expected \(10,\)"),
        ({"callback": 1}, TypeError, "^callback is 1"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value encountered in multiply")
def test_nonlinear_arguments_that_cannot_be(arguments, error, match):
    with pytest.raises(error, match=match):
        robust_fit(**{"residual": R, "jac": J, "x0": [1.0, 1, 0]} | arguments)


def test_operators_without_a_dtype_of_their_own():
    A, y, _ = outliers()
    operator = LinearOperator(A.shape, matvec=lambda v: A @ v, rmatvec=lambda u: A.T @ u)
    np.testing.assert_allclose(robust_lstsq(operator, y).x, robust_lstsq(A, y).x, atol=1e-6)


def test_repr_is_short():
    found = fastlec.robust_lstsq(np.ones((1001, 1)), np.arange(1001.0), loss="l1")
    assert len(repr(found)) < 300
    assert repr(found).startswith("RobustFit(x=array([500.]), scale=")
