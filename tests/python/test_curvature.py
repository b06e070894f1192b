"""fastlec.curvature and what Objective has of it, against explicit Jacobians."""

import math

import numpy as np
import pytest
from curved import NETS, close, every, jacobian, losses, made, objective_of
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import fastlec
from fastlec import Activation, BatchNorm, Dense, MeanSquaredError, Network, Objective, curvature
from fastlec.layers import _factors as factors
from fastlec.training import matrices

pytestmark = pytest.mark.filterwarnings("ignore:net ends with")  # networks here end in any activation, whatever the loss


# --- Gram matrices ---------------------------------------------------------------------------------------------------


@every
def test_the_gram_matrix_is_that_of_the_jacobian(name, isa, threads, dtype):
    net, x = made(name, dtype)
    K = curvature.gram(net, x)
    J = jacobian(net, x).reshape(-1, net.n_params)
    close(K, J @ J.T, dtype)
    assert K.dtype == np.float64
    assert_array_equal(K, K.T)


@every
@pytest.mark.parametrize("cost", [True, False])
def test_the_ways_of_convolutions_agree(name, cost, monkeypatch):
    net, x = made(name)
    monkeypatch.setattr(factors, "_by_positions", lambda factor: cost)
    monkeypatch.setattr(factors, "BLOCK_ROWS", 9)
    monkeypatch.setattr(factors, "CHUNK_BYTES", 2000)
    J = jacobian(net, x).reshape(-1, net.n_params)
    K = curvature.gram(net, x)
    close(K, J @ J.T)
    assert_array_equal(K, K.T)


@every
def test_gram_matrices_of_some_parameters_add_up(name):
    net, x = made(name)
    jac = net.linearize(x)[1]
    names = list(net.params)
    close(sum(jac.gram(own) for own in names), jac.gram())
    close(jac.gram(tuple(names[:2])), jac.gram(names[0]) + jac.gram(names[1]))
    close(jac.gram("theta"), jac.gram())


@pytest.mark.parametrize("m", [1, 31, 67])
def test_gram_matrices_of_any_number_of_samples(m, isa):
    net, x = made("dense", m=m)
    J = jacobian(net, x).reshape(-1, net.n_params)
    close(curvature.gram(net, x), J @ J.T)


def test_gram_matrices_have_the_same_bits_with_any_number_of_threads(isa):
    net, x = made("images", m=67)
    before, found = fastlec.get_num_threads(), []
    try:
        for k in (1, 2):
            fastlec.set_num_threads(k)
            found.append(curvature.gram(net, x))
    finally:
        fastlec.set_num_threads(before)
    assert_array_equal(*found)


@every
def test_products_with_gram_matrices(name, dtype):
    net, x = made(name, dtype)
    K = curvature.gram_operator(net, x)
    close(K @ np.eye(K.shape[1], dtype=dtype), curvature.gram(net, x), dtype)
    v = np.linspace(-1, 1, len(x) * math.prod(net.output_shape(x.shape[1:])), dtype=dtype)
    close(K @ v, curvature.gram(net, x) @ v, dtype)
    close(K.T @ v, K @ v, dtype)
    assert K.dtype == dtype
    names = list(net.params)[:2]
    close(curvature.gram_operator(net, x, names) @ v, curvature.gram(net, x, names) @ v, dtype)


def test_products_with_gram_matrices_of_samples_that_depend_on_each_other(rng):
    net, x = Network([Dense(5, 4), BatchNorm(4, training=True)], rng=0), rng.standard_normal((7, 5))
    J = net.linearize(x)[1].matrix("theta")
    close(curvature.gram_operator(net, x) @ np.eye(28), J @ J.T)
    assert curvature.gram_operator(made("dense")[0], x[:0]).shape == (0, 0)
    assert_array_equal(curvature.gram_operator(Network([Activation("tanh")]), x) @ np.ones(35), np.zeros(35))
    with pytest.raises(ValueError, match=r"^there is no variable '3.W'"):
        curvature.gram_operator(net, x, "3.W")
    with pytest.raises(TypeError, match=r"^layer is a int; expected a layer or network"):
        curvature.gram_operator(3, x)


def test_gram_matrices_of_nothing():
    net, x = made("dense")
    assert curvature.gram(net, x[:0]).shape == (0, 0)
    assert_array_equal(curvature.gram(Network([fastlec.Activation("tanh")]), x[:2]), np.zeros((10, 10)))
    assert_array_equal(net.linearize(x[:2])[1].gram(()), np.zeros((6, 6)))


def test_a_sample_that_is_not_finite_spoils_its_own_rows_alone():
    net, x = made("residual")
    expected = curvature.gram(net, x)
    x[2] = np.nan
    K = curvature.gram(net, x)
    own = np.arange(len(K)) // 3 == 2
    assert np.isnan(K[own][:, own]).all()
    close(K[~own][:, ~own], expected[~own][:, ~own])


def test_gram_refuses():
    net, x = made("dense")
    with pytest.raises(ValueError, match=r"^wrt has 'x'"):
        curvature.gram(net, x, "x")
    with pytest.raises(ValueError, match=r"^there is no variable '3.W'"):
        curvature.gram(net, x, "3.W")
    with pytest.raises(ValueError, match=r"^wrt has names of the same parameters"):
        curvature.gram(net, x, ("theta", "0.W"))
    with pytest.raises(TypeError, match=r"^layer is a int; expected a layer or network"):
        curvature.gram(3, x)
    with pytest.raises(ValueError, match="depend on several samples"):
        curvature.gram(Network([Dense(5, 4), BatchNorm(4, training=True)], rng=0), x)
    with pytest.raises(MemoryError, match=r"^a Gram matrix of 3000000 rows"):
        curvature.gram(Network([Dense(1, 1)], rng=0), np.zeros((3_000_000, 1)))


# --- Gauss-Newton matrices -------------------------------------------------------------------------------------------


def products(f, theta, batch=None):
    at = f.at(theta, batch)
    return at.gauss_newton_operator() @ np.eye(f.n_params)


@losses
@pytest.mark.parametrize("name", [name for name in NETS if name not in {"inference norm", "image outputs"}])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gauss_newton_matrix_is_what_products_are_with(name, loss, weighted):
    f = objective_of(name, loss, weighted, l2=0.1)
    theta = f.net.theta
    expected = products(f, theta)
    close(f.gauss_newton_matrix(theta), expected)
    close(f.gauss_newton_diagonal(theta), np.diagonal(expected))
    assert_array_equal(f.gauss_newton_matrix(theta), f.gauss_newton_matrix(theta).T)
    batch = [1, 4, 0, 4, 7]
    expected = products(f, theta, batch)
    close(f.gauss_newton_matrix(theta, batch), expected)
    close(f.gauss_newton_diagonal(theta, batch), np.diagonal(expected))


def test_the_gauss_newton_matrix_on_all_instruction_sets(isa, threads, dtype):
    f = objective_of("residual", "classes", dtype=dtype)
    found = f.gauss_newton_matrix(f.net.theta)
    assert found.dtype == dtype
    close(found, products(f, f.net.theta), dtype)


def test_the_gauss_newton_matrix_of_image_outputs_and_of_batch_statistics():
    f = objective_of("image outputs", "squares")
    close(f.gauss_newton_matrix(f.net.theta), products(f, f.net.theta))
    net = Network([Dense(5, 4), BatchNorm(4, training=True), Dense(4, 2)], rng=0)
    rng = np.random.default_rng(0)
    f = Objective(net, MeanSquaredError(), rng.standard_normal((9, 5)), rng.random((9, 2)), l2=0.1)
    expected = products(f, net.theta)
    close(f.gauss_newton_matrix(net.theta), expected)
    close(f.gauss_newton_diagonal(net.theta), np.diagonal(expected))


@pytest.mark.parametrize("name", ["dense", "own"])
def test_sums_over_samples_have_penalties_once(name):
    f = objective_of(name, "squares", True, l2=0.3)
    theta, n = f.net.theta, f.n_params
    penalty = f._penalties[0].matrix()
    for batch, m in ((None, 9), ([1, 4, 0, 4, 7], 5)):
        expected = m * (f.gauss_newton_matrix(theta, batch) - penalty) + penalty
        close(f.gauss_newton_matrix(theta, batch, reduction="sum"), expected)
        close(f.gauss_newton_diagonal(theta, batch, reduction="sum"), np.diagonal(expected))
        close(f.gauss_newton_operator(theta, 0.5, batch=batch, reduction="sum") @ np.eye(n), expected + 0.5 * np.eye(n))
        hessian = f.hessian_operator(theta, batch=batch) @ np.eye(n)
        close(f.hessian_operator(theta, batch=batch, reduction="sum") @ np.eye(n), m * (hessian - penalty) + penalty)
    for function in (f.gauss_newton_matrix, f.gauss_newton_diagonal, f.gauss_newton_operator, f.hessian_operator):
        with pytest.raises(ValueError, match=r"^reduction is 'max'; expected one of mean, sum"):
            function(theta, reduction="max")


@pytest.mark.parametrize("name", ["dense", "images", "own"])
def test_the_gauss_newton_matrix_by_parts_and_by_some_parameters(name, monkeypatch):
    f = objective_of(name, "squares", True, m=70, l2=0.2)
    theta, expected = f.net.theta, products(f, f.net.theta)
    names, at, end = (list(f.net.params)[-1], next(iter(f.net.params))), {}, 0
    for own, a in f.net.params.items():
        at[own] = np.arange(end, end + a.size)
        end += a.size
    which = np.concatenate([at[own] for own in names])
    f._part = 64  # two parts
    monkeypatch.setattr(factors, "CHUNK_BYTES", 3000)
    monkeypatch.setattr(matrices, "PRODUCTS", 5)
    close(f.gauss_newton_matrix(theta), expected)
    close(f.gauss_newton_matrix(theta, wrt=names), expected[np.ix_(which, which)])
    close(f.gauss_newton_diagonal(theta, wrt=names), np.diagonal(expected)[which])
    assert f.gauss_newton_matrix(theta, wrt=()).shape == (0, 0)


def test_matrices_refuse():
    f = objective_of("dense", "squares")
    with pytest.raises(ValueError, match=r"^there is no parameter 'W'; expected some of 0.W, "):
        f.gauss_newton_matrix(f.net.theta, wrt="W")
    with pytest.raises(ValueError, match=r"^theta has shape \(3,\)"):
        f.gauss_newton_matrix(np.zeros(3))
    with pytest.raises(ValueError, match=r"^batch does not select"):
        f.gauss_newton_diagonal(f.net.theta, [100])
    net = Network([Dense(1000, 1000), Dense(1000, 1, bias=False)], rng=0)
    large = Objective(net, MeanSquaredError(), np.zeros((2, 1000)), np.zeros(2))
    with pytest.raises(MemoryError, match=r"^matrices of 1002000 parameters"):
        large.gauss_newton_matrix(net.theta)

    class Own:
        def targets(self, y, shape, dtype):
            return np.asarray(y, dtype)

        def value_and_gradient(self, output, y):
            return float(((output - y) ** 2).sum()) / 2, output - y

    g = Objective(f.net, Own(), f.X, f.y)
    for method in (g.gauss_newton_matrix, g.gauss_newton_diagonal):
        with pytest.raises(TypeError, match=r"^loss is a Own, which has no hessian_mv"):
            method(g.net.theta)


# --- Kronecker factors, empirical Fisher -----------------------------------------------------------------------------


def blocks_of(f, matrix):
    found, end = {}, 0
    for name, a in f.net.params.items():
        own = slice(end, end + a.size)
        found[name] = matrix[own, own]
        end += a.size
    return found


@pytest.mark.parametrize("fisher_type", ["type-2", "empirical"])
@pytest.mark.parametrize("name", ["dense", "residual", "own"])
def test_kronecker_factors_of_one_sample_are_exact(name, fisher_type):
    f = objective_of(name, "squares", m=1)
    found = curvature.kronecker_factors(f, f.net.theta, fisher_type=fisher_type)
    whole = f.gauss_newton_matrix(f.net.theta) if fisher_type == "type-2" else curvature.empirical_fisher(f, f.net.theta)
    expected = blocks_of(f, whole)
    assert list(found) == list(expected)
    for own, (A, B) in found.items():
        close(np.kron(B, A), expected[own])


@pytest.mark.parametrize("fisher_type", ["type-2", "empirical"])
def test_kronecker_factors_of_many_samples(fisher_type):
    f = objective_of("dense", "classes", True)
    theta, weight = f.net.theta, f.sample_weight
    batch = None
    found = curvature.kronecker_factors(f, theta, fisher_type=fisher_type)
    whole = f.gauss_newton_matrix(theta) if fisher_type == "type-2" else curvature.empirical_fisher(f, theta)
    exact = blocks_of(f, whole)
    values = [f.X, *f.net.activations(f.X)]
    for i in range(3):
        A, B = found[f"{i}.W"]
        close(A, (values[i].T * weight) @ values[i] / len(f.X))
        if f"{i}.b" in found:
            assert_array_equal(found[f"{i}.b"][1], B)
            close(B, exact[f"{i}.b"])
    total = curvature.kronecker_factors(f, theta, fisher_type=fisher_type, reduction="sum", batch=batch)
    for own, (A, B) in total.items():
        assert_array_equal(A, found[own][0])
        close(B, 9 * found[own][1])
    f._part = 16
    g = objective_of("dense", "classes", True, m=40)
    one = curvature.kronecker_factors(g, theta, fisher_type=fisher_type)
    g._part = 16
    for own, pair in curvature.kronecker_factors(g, theta, fisher_type=fisher_type).items():
        for a, b in zip(pair, one[own], strict=True):
            close(a, b)


def test_kronecker_factors_of_convolutions_are_means_and_sums_over_positions():
    f = objective_of("images", "squares", m=4)
    A, B = curvature.kronecker_factors(f, f.net.theta)["0.W"]
    seen = fastlec.im2col(f.X, 3)
    close(A, np.einsum("iap,ibp->ab", seen, seen) / seen.shape[2] / 4)
    first = Network(f.net.layers[1:])
    z = f.net.layers[0](f.X)
    y, jac = first.linearize(z)
    expected = np.zeros((3, 3))
    for c in range(y.shape[1]):
        unit = np.zeros_like(y)
        unit[:, c] = 1
        g = jac.tmv(unit, "x")["x"] * (1 - z * z)
        expected += np.einsum("iapq,ibpq->ab", g, g) * 2 / y.size
    close(B, expected)


@pytest.mark.parametrize("name", ["dense", "images", "residual", "own"])
def test_products_with_kronecker_factors(name, rng):
    f = objective_of(name, "squares", True)
    options = {"fisher_type": "empirical", "reduction": "sum", "batch": [3, 1, 8]}
    for some in ({}, options):
        K = curvature.kronecker_operator(f, f.net.theta, **some)
        blocks = [np.kron(B, A) for A, B in curvature.kronecker_factors(f, f.net.theta, **some).values()]
        expected = sparse.block_diag(blocks).toarray()
        close(K @ np.eye(f.n_params), expected)
        v = rng.standard_normal(f.n_params)
        close(K @ v, expected @ v)
        close(K.T @ v, expected @ v)


def test_kronecker_factors_refuse():
    f = objective_of("groups", "squares")
    for function in (curvature.kronecker_factors, curvature.kronecker_operator):
        with pytest.raises(ValueError, match=r"^0.W: a convolution in groups has no Kronecker factors; expected one group"):
            function(f, f.net.theta)
    f = objective_of("dense", "squares")
    with pytest.raises(ValueError, match=r"^fisher_type is 'mc'; expected one of type-2, empirical"):
        curvature.kronecker_factors(f, f.net.theta, fisher_type="mc")
    with pytest.raises(ValueError, match=r"^reduction is 'max'; expected one of mean, sum"):
        curvature.kronecker_factors(f, f.net.theta, reduction="max")
    net = Network([Dense(5, 4), BatchNorm(4, training=True)], rng=0)
    g = Objective(net, MeanSquaredError(), np.eye(5), np.zeros((5, 4)))
    for function in (curvature.kronecker_factors, curvature.empirical_fisher):
        with pytest.raises(ValueError, match="depend on several samples"):
            function(g, net.theta)


@losses
@pytest.mark.parametrize("name", ["dense", "images", "strides", "own"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_empirical_fisher_matrix_and_its_products(name, loss, weighted):
    f = objective_of(name, loss, weighted, l2=0.3)
    theta, rng = f.net.theta, np.random.default_rng(5)
    for batch in (None, [0, 2, 3, 8, 2]):
        G, weight = f.sample_gradients(theta, batch), f._select(batch)[2]
        weight = np.ones(len(G)) if weight is None else weight
        G[weight > 0] /= np.sqrt(weight[weight > 0])[:, None]
        expected = G.T @ G / len(G)
        close(curvature.empirical_fisher(f, theta, batch=batch), expected)
        close(curvature.empirical_fisher(f, theta, batch=batch, reduction="sum"), len(G) * expected)
        A = curvature.empirical_fisher_operator(f, theta, batch=batch)
        V = rng.standard_normal((f.n_params, 3))
        close(A @ V, expected @ V)
        close(A @ V[:, 0], expected @ V[:, 0])
        close(curvature.empirical_fisher_operator(f, theta, batch=batch, reduction="sum").T @ V, len(G) * expected @ V)


# --- estimates -------------------------------------------------------------------------------------------------------


def decaying(n=120):
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    return Q * 0.5 ** np.arange(n) @ Q.T


@pytest.mark.parametrize("form", [np.asarray, aslinearoperator, sparse.csr_array])
def test_traces_and_diagonals(form):
    A = decaying()
    trace, n = np.trace(A), len(A)
    for seed in range(3):
        rough = curvature.hutchinson_trace(form(A), 400, rng=seed)
        assert abs(rough - trace) < 6 * math.sqrt(2 / 400) * np.linalg.norm(A)
        assert abs(curvature.hutchpp_trace(form(A), 60, rng=seed) - trace) < 1e-4
        diagonal = curvature.hutchinson_diag(form(A), 1000, rng=seed)
        assert diagonal.shape == (n,)
        assert (abs(diagonal - np.diagonal(A)) < 7 * np.linalg.norm(A, axis=1) / math.sqrt(1000)).all()
    assert curvature.hutchinson_trace(A, 3, rng=1) == curvature.hutchinson_trace(A, 3, rng=np.random.default_rng(1))
    assert curvature.hutchpp_trace(np.eye(2), 300, rng=0) == pytest.approx(2)


@pytest.mark.parametrize("n", [1, 2, 19, 20, 120])
def test_extreme_eigenvalues(n):
    A = decaying(n) - 0.25 * np.eye(n)
    values = np.linalg.eigvalsh(A)
    found = curvature.extreme_eigenvalues(A, rng=0)
    assert_allclose(found, [values[0], values[-1]], rtol=0, atol=1e-7 * abs(values).max())
    assert curvature.extreme_eigenvalues(aslinearoperator(A), rng=0) == found


def test_estimates_of_an_objective():
    f = objective_of("residual", "classes", m=30)
    H = f.hessian_operator(f.net.theta)
    whole = H @ np.eye(f.n_params)
    values = np.linalg.eigvalsh((whole + whole.T) / 2)
    assert_allclose(curvature.extreme_eigenvalues(H, rng=0), [values[0], values[-1]], rtol=0, atol=1e-8 * abs(values).max())
    G = f.gauss_newton_operator(f.net.theta)  # singular
    assert abs(curvature.extreme_eigenvalues(G, rng=0)[0]) < 1e-8 * abs(values).max()


def test_estimates_refuse():
    for function in (curvature.hutchinson_trace, curvature.hutchpp_trace, curvature.hutchinson_diag):
        with pytest.raises(ValueError, match=r"^A has shape \(2, 3\); expected a square"):
            function(np.zeros((2, 3)), 6)
        with pytest.raises(ValueError, match=r"^num_matvecs is 0; expected at least"):
            function(np.eye(2), 0)
        with pytest.raises(TypeError, match=r"^A has dtype complex128"):
            function(1j * np.eye(2), 6)
        with pytest.raises(ValueError, match=r"^rng is -1"):
            function(np.eye(2), 6, rng=-1)
        with pytest.raises(ValueError, match=r"^A has shape \(\); expected a square"):
            function("ab", 6)
        with pytest.raises(ValueError, match=r"^A has shape \(2, 2, 2\); expected a square"):
            function(np.zeros((2, 2, 2)), 6)
        assert function([[1, 0], [0, 1]], 6, rng=0) is not None
    with pytest.raises(ValueError, match=r"^tol is -1.0; expected a finite number >= 0"):
        curvature.extreme_eigenvalues(np.eye(30), tol=-1)
    for n in (3, 30):
        with pytest.raises(ValueError, match=r"^A( times a vector)?\[.*\] is nan.*; expected finite numbers"):
            curvature.extreme_eigenvalues(np.full((n, n), np.nan))


@pytest.mark.parametrize("value", [0.0, -0.3, 7.0])
def test_a_single_eigenvalue(value):
    assert_allclose(curvature.extreme_eigenvalues(value * np.eye(30), rng=0), [value, value], rtol=1e-14)


def test_other_things_than_objectives_are_refused():
    net, _ = made("dense")
    for function in (
        curvature.kronecker_factors,
        curvature.kronecker_operator,
        curvature.empirical_fisher,
        curvature.empirical_fisher_operator,
        curvature.laplace,
    ):
        with pytest.raises(TypeError, match=r"^f is a Network; expected an Objective"):
            function(net, net.theta)
