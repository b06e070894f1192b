"""fastlec.reference against scipy.special, numbers worked by hand, mpmath, and finite differences of itself."""

import mpmath
import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

from fastlec import reference

EPS = np.finfo(np.float64).eps
# A handful of correctly rounded operations, each worth at most one eps of relative error.
FEW_EPS = 8 * EPS
# Central differences with step h = eps^(1/3): truncation h^2 and round-off eps / h both about 4e-11, times O(1) derivatives.
STEP = EPS ** (1 / 3)
DIFFERENCE = 1e-8

RNG_SEED = 20240


def central_difference(f, x):
    """The Jacobian of f at x, shape f(x).shape + x.shape, one entry of x at a time."""
    x = np.array(x, dtype=np.float64)
    columns = []
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = STEP
        columns.append((np.asarray(f(x + step)) - np.asarray(f(x - step))) / (2 * STEP))
    return np.stack(columns, axis=-1).reshape(*np.shape(f(x)), *x.shape)


@pytest.fixture
def rng():
    return np.random.default_rng(RNG_SEED)


# --- softmax family --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0, 1e4])
def test_softmax_family_agrees_with_scipy(rng, axis, scale):
    x = scale * rng.standard_normal((3, 4, 5))
    tolerance = {"rtol": FEW_EPS, "atol": FEW_EPS * scale}
    assert_allclose(reference.softmax(x, axis=axis), scipy.special.softmax(x, axis=axis), rtol=64 * EPS)
    assert_allclose(reference.log_softmax(x, axis=axis), scipy.special.log_softmax(x, axis=axis), **tolerance)
    assert_allclose(reference.logsumexp(x, axis=axis), scipy.special.logsumexp(x, axis=axis), **tolerance)


@pytest.mark.parametrize("axis", [None, (0, 1), (2, 0), (0, 1, 2), -2, ()])
def test_logsumexp_axes(rng, axis):
    x = rng.standard_normal((3, 4, 5))
    expected = x if axis == () else scipy.special.logsumexp(x, axis=axis)
    assert_allclose(reference.logsumexp(x, axis=axis), expected, rtol=FEW_EPS)


SPECIAL_ROWS = [
    [np.inf, 1.0, 2.0],
    [np.inf, np.inf, 2.0],
    [np.inf, -np.inf, 2.0],
    [-np.inf, -np.inf, -np.inf],
    [-np.inf, 0.0, 1.0],
    [np.nan, 0.0, 1.0],
    [0.0, np.nan, np.inf],
    [-np.inf, np.nan, -np.inf],
    [800.0, -800.0, 0.0],
    [1e308, -1e308, 1e308],
    [5e-324, -5e-324, 0.0],
]


@pytest.mark.parametrize("row", SPECIAL_ROWS, ids=str)
def test_softmax_family_special_values_as_scipy_and_silent(row):
    with np.errstate(all="ignore"):
        expected = scipy.special.softmax(row), scipy.special.log_softmax(row), scipy.special.logsumexp(row)
    assert_allclose(reference.softmax(row), expected[0], rtol=FEW_EPS)
    assert_allclose(reference.log_softmax(row), expected[1], rtol=FEW_EPS, atol=FEW_EPS)
    assert_allclose(reference.logsumexp(row), expected[2], rtol=FEW_EPS, atol=FEW_EPS)


def test_logsumexp_of_nothing_is_log_zero():
    assert reference.logsumexp([]) == -np.inf
    assert_array_equal(reference.logsumexp(np.zeros((2, 0))), [-np.inf, -np.inf])
    assert reference.logsumexp(np.zeros((0, 2))).shape == (0,)
    assert reference.softmax(np.zeros((2, 0))).shape == (2, 0)


def test_softmax_by_hand():
    # exp(log 1), exp(log 2), exp(log 5) over their sum 8.
    x = np.log([1.0, 2.0, 5.0])
    assert_allclose(reference.softmax(x), [1 / 8, 2 / 8, 5 / 8], rtol=FEW_EPS)
    assert_allclose(reference.log_softmax(x), np.log([1 / 8, 2 / 8, 5 / 8]), rtol=FEW_EPS)
    assert_allclose(reference.logsumexp(x), np.log(8.0), rtol=FEW_EPS)


@pytest.mark.parametrize(
    "x", [[0.0, -40.0], [-1e-17, -45.0], [30.0, -30.0, -31.0], [1000.0, 960.0], [-3.0, -0.051], [1e-9, -20.0]], ids=str
)
def test_softmax_family_against_mpmath(x):
    with mpmath.workdps(60):
        exact = mpmath.log(mpmath.fsum(mpmath.exp(t) for t in x))
        lse, log_p = float(exact), [float(mpmath.mpf(t) - exact) for t in x]
        p = [float(mpmath.exp(mpmath.mpf(t) - exact)) for t in x]
    # The two terms of top + log1p(...) may cancel (the last but one case), which costs an eps of the top.
    assert_allclose(reference.logsumexp(x), lse, rtol=FEW_EPS, atol=EPS * abs(max(x)))
    assert_allclose(reference.log_softmax(x), log_p, rtol=FEW_EPS, atol=0)  # log1p keeps even log p near 0
    assert_allclose(reference.softmax(x), p, rtol=64 * EPS, atol=0)


def test_integers_and_float32_compute_in_float64():
    assert reference.softmax(np.array([1, 2], dtype=np.int8)).dtype == np.float64
    assert reference.tanh(np.float32([1.0])).dtype == np.float64


# --- cross-entropy ---------------------------------------------------------------------------------------------------


def test_cross_entropy_by_hand():
    logits = np.log([[1.0, 3.0], [1.0, 1.0]])  # P = (1/4, 3/4), (1/2, 1/2)
    loss, gradient = reference.softmax_cross_entropy(logits, [0, 1])
    assert_allclose(loss, (np.log(4) + np.log(2)) / 2, rtol=FEW_EPS)
    assert_allclose(gradient, [[-3 / 8, 3 / 8], [1 / 4, -1 / 4]], rtol=FEW_EPS)
    loss, gradient = reference.softmax_cross_entropy(logits, [0, 1], sample_weight=[3.0, 1.0])
    assert_allclose(loss, (3 * np.log(4) + np.log(2)) / 4, rtol=FEW_EPS)
    assert_allclose(gradient, [[-9 / 16, 9 / 16], [1 / 8, -1 / 8]], rtol=FEW_EPS)


def test_cross_entropy_probability_rows(rng):
    logits = rng.standard_normal((6, 4))
    labels = rng.integers(0, 4, 6)
    one_hot = np.eye(4)[labels]
    by_label, by_row = (reference.softmax_cross_entropy(logits, y) for y in (labels, one_hot))
    assert by_label[0] == by_row[0]
    assert_array_equal(by_label[1], by_row[1])
    c = rng.dirichlet(np.ones(4), 6)
    assert_allclose(
        reference.softmax_cross_entropy(logits, c)[0], -(c * scipy.special.log_softmax(logits, 1)).sum(1).mean(), rtol=FEW_EPS
    )


def test_cross_entropy_of_an_impossible_class_that_is_not_asked_for():
    logits = [[-np.inf, 0.0, 0.0]]
    assert_allclose(reference.softmax_cross_entropy(logits, [1])[0], np.log(2), rtol=FEW_EPS)
    assert reference.softmax_cross_entropy(logits, [0])[0] == np.inf


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_gradient(rng, soft, weighted):
    logits = 2 * rng.standard_normal((5, 3))
    labels = rng.dirichlet(np.ones(3), 5) if soft else rng.integers(0, 3, 5)
    weight = rng.uniform(0, 2, 5) if weighted else None
    numeric = central_difference(lambda z: reference.softmax_cross_entropy(z, labels, weight)[0], logits)
    assert_allclose(reference.softmax_cross_entropy(logits, labels, weight)[1], numeric, atol=DIFFERENCE)


# --- activations -----------------------------------------------------------------------------------------------------

POINTS = [-745.0, -40.0, -20.0, -1.0, -1e-5, -1e-300, 0.0, 5e-324, 1e-9, 0.3, 2.0, 19.0, 37.0, 350.0, 709.0]


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (reference.tanh, mpmath.tanh),
        (reference.tanh_derivative, lambda t: 1 / mpmath.cosh(t) ** 2),
        (reference.sigmoid, lambda t: 1 / (1 + mpmath.exp(-t))),
        (reference.sigmoid_derivative, lambda t: mpmath.exp(-t) / (1 + mpmath.exp(-t)) ** 2),
    ],
)
def test_activations_against_mpmath(function, exact):
    with mpmath.workdps(700):
        expected = [float(exact(mpmath.mpf(t))) for t in POINTS]
    # The smallest results are subnormal: they are right to one spacing, which atol allows.
    assert_allclose(function(np.array(POINTS)), expected, rtol=FEW_EPS, atol=5e-324)


def test_activations_special_values():
    x = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    assert_array_equal(reference.tanh(x), [np.nan, 1, -1, 0, 0])
    assert_array_equal(reference.sigmoid(x), [np.nan, 1, 0, 0.5, 0.5])
    assert_array_equal(reference.relu(x), [np.nan, np.inf, 0, 0, 0])
    assert_array_equal(reference.tanh_derivative(x), [np.nan, 0, 0, 1, 1])
    assert_array_equal(reference.sigmoid_derivative(x), [np.nan, 0, 0, 0.25, 0.25])
    assert_array_equal(reference.relu_derivative(x), [np.nan, 1, 0, 0, 0])
    assert_array_equal(reference.identity(x), x)
    assert_array_equal(reference.identity_derivative(x), np.ones(5))


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
def test_value_and_derivative(rng, activation):
    x = rng.uniform(0.1, 2, 12) * rng.choice([-1, 1], 12)
    y, dy = reference.value_and_derivative(x, activation)
    numeric = np.diag(central_difference(lambda t: reference.value_and_derivative(t, activation)[0], x))
    assert_allclose(dy, numeric, atol=DIFFERENCE)
    assert_array_equal(y, getattr(reference, activation)(x))


# --- softmax and logistic regression ---------------------------------------------------------------------------------


def softmax_problem(rng, fit_bias, reduced, weighted, l2=0.3, m=9, n=4, n_classes=3):
    """(theta, v, X, y, options): two random points of the parameter space and a problem that uses every option asked for."""
    n_params = (n_classes - reduced) * (n + fit_bias)
    options = {"fit_bias": fit_bias, "reduced": reduced, "l2": l2, "sample_weight": rng.uniform(0, 2, m) if weighted else None}
    theta, v = rng.standard_normal((2, n_params))
    return theta, v, rng.standard_normal((m, n)), rng.integers(0, n_classes, m), options | {"n_classes": n_classes}


options_of_softmax = pytest.mark.parametrize(
    ("fit_bias", "reduced", "weighted"),
    [(b, r, w) for b in (False, True) for r in (False, True) for w in (False, True)],
)


@options_of_softmax
def test_softmax_regression_derivatives(rng, fit_bias, reduced, weighted):
    theta, v, X, y, options = softmax_problem(rng, fit_bias, reduced, weighted)
    gradient = reference.softmax_regression_gradient(theta, X, y, **options)
    hessian = reference.softmax_regression_hessian(theta, X, y, **options)

    def value(theta, X=X):
        return reference.softmax_regression_value(theta, X, y, **options)

    assert_allclose(gradient, central_difference(value, theta), atol=DIFFERENCE)
    numeric = central_difference(lambda t: reference.softmax_regression_gradient(t, X, y, **options), theta)
    assert_allclose(hessian, numeric, atol=DIFFERENCE)
    assert_allclose(reference.softmax_regression_hessian_mv(theta, v, X, y, **options), hessian @ v, rtol=1e-12, atol=1e-13)
    numeric = central_difference(lambda Z: value(theta, Z), X)
    assert_allclose(reference.softmax_regression_data_gradient(theta, X, y, **options), numeric, atol=DIFFERENCE)


@pytest.mark.parametrize("fit_bias", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_logistic_regression_derivatives(rng, fit_bias, weighted):
    X, y = rng.standard_normal((9, 4)), rng.integers(0, 2, 9)
    theta, v = rng.standard_normal((2, 4 + fit_bias))
    options = {"fit_bias": fit_bias, "l2": 0.3, "sample_weight": rng.uniform(0, 2, 9) if weighted else None}
    hessian = reference.logistic_regression_hessian(theta, X, y, **options)

    def value(theta, X=X):
        return reference.logistic_regression_value(theta, X, y, **options)

    gradient = reference.logistic_regression_gradient(theta, X, y, **options)
    assert_allclose(gradient, central_difference(value, theta), atol=DIFFERENCE)
    numeric = central_difference(lambda t: reference.logistic_regression_gradient(t, X, y, **options), theta)
    assert_allclose(hessian, numeric, atol=DIFFERENCE)
    assert_allclose(reference.logistic_regression_hessian_mv(theta, v, X, y, **options), hessian @ v, rtol=1e-12, atol=1e-13)
    numeric = central_difference(lambda Z: value(theta, Z), X)
    assert_allclose(reference.logistic_regression_data_gradient(theta, X, y, **options), numeric, atol=DIFFERENCE)


@pytest.mark.parametrize("fit_bias", [False, True])
def test_logistic_is_reduced_softmax_of_two_classes(rng, fit_bias):
    """Remark 2: (3) is (10) with a second weight vector of zero; there y = 1 comes first, so the labels are swapped."""
    X, y = rng.standard_normal((9, 4)), rng.integers(0, 2, 9)
    theta, v = rng.standard_normal((2, 4 + fit_bias))
    weight = rng.uniform(0, 2, 9)
    logistic = {"fit_bias": fit_bias, "l2": 0.2, "sample_weight": weight}
    softmax = logistic | {"n_classes": 2, "reduced": True}
    for name, points in [
        ("value", (theta,)),
        ("gradient", (theta,)),
        ("hessian", (theta,)),
        ("hessian_mv", (theta, v)),
        ("data_gradient", (theta,)),
    ]:
        a = getattr(reference, f"logistic_regression_{name}")(*points, X, y, **logistic)
        b = getattr(reference, f"softmax_regression_{name}")(*points, X, 1 - y, **softmax)
        assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    assert_allclose(
        reference.logistic_regression_predict_proba(theta, X),
        reference.softmax_regression_predict_proba(theta, X, 2, fit_bias=fit_bias, reduced=True)[:, 0],
        rtol=1e-12,
    )


def test_softmax_regression_by_hand():
    """One feature, two classes, theta = (W; b) = (log 3, 0; 0, 0), x = 1: P = (3/4, 1/4)."""
    theta, X = np.array([np.log(3.0), 0.0, 0.0, 0.0]), [[1.0]]
    assert_allclose(reference.softmax_regression_predict_proba(theta, X, 2), [[3 / 4, 1 / 4]], rtol=FEW_EPS)
    value = reference.softmax_regression_value(theta, X, [1], l2=2.0)
    assert_allclose(value, np.log(4) + np.log(3) ** 2, rtol=FEW_EPS)
    gradient = reference.softmax_regression_gradient(theta, X, [1], l2=2.0)
    assert_allclose(gradient, [3 / 4 + 2 * np.log(3), -3 / 4, 3 / 4, -3 / 4], rtol=FEW_EPS)
    pq = 3 / 16  # p (1 - p) = 3/4 * 1/4: every 2x2 block is pq [[1, -1], [-1, 1]], the penalty sits on W alone
    block = pq * np.array([[1.0, -1.0], [-1.0, 1.0]])
    expected = np.block([[block + 2 * np.eye(2), block], [block, block]])
    assert_allclose(reference.softmax_regression_hessian(theta, X, [1], l2=2.0), expected, rtol=FEW_EPS)
    assert_allclose(reference.softmax_regression_data_gradient(theta, X, [1]), [[3 / 4 * np.log(3)]], rtol=FEW_EPS)


def test_shifting_all_classes_changes_nothing(rng):
    """Remark 2's redundancy: adding one vector to every class's weights leaves F, and so H times that shift is 0."""
    theta, _, X, y, options = softmax_problem(rng, fit_bias=True, reduced=False, weighted=True, l2=0.0)
    shift = np.concatenate([np.tile(rng.standard_normal(4), 3), np.full(3, 0.7)])
    a, b = (reference.softmax_regression_value(t, X, y, **options) for t in (theta, theta + shift))
    assert_allclose(a, b, rtol=64 * EPS)
    assert_allclose(reference.softmax_regression_hessian_mv(theta, shift, X, y, **options), 0, atol=64 * EPS)


def test_weight_of_two_is_the_sample_twice(rng):
    theta, _, X, y, options = softmax_problem(rng, fit_bias=True, reduced=False, weighted=False)
    weight = np.ones(9)
    weight[4] = 2
    twice = np.append(np.arange(9), 4)
    weighted = options | {"sample_weight": weight}
    for name in ("value", "gradient", "hessian"):
        function = getattr(reference, f"softmax_regression_{name}")
        assert_allclose(
            function(theta, X, y, **weighted), function(theta, X[twice], y[twice], **options), rtol=1e-12, atol=1e-14
        )


# --- layers ----------------------------------------------------------------------------------------------------------

LAYERS = ["dense", "residual", "projected_residual"]
ACTIVATIONS = ["tanh", "sigmoid", "relu", "identity"]
each_layer = pytest.mark.parametrize("kind", LAYERS)
each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
each_bias = pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])


def layer_problem(rng, kind, bias=True, m=3):
    """The variables of a layer by name, x first and then in the order of its arguments; sizes that no two axes share."""
    n, k, hidden = 4, 2, 5
    shapes = {
        "dense": {"W": (k, n), "b": (k,)},
        "residual": {"W1": (hidden, n), "b": (hidden,), "W2": (n, hidden)},
        "projected_residual": {"W1": (k, n), "b": (k,), "W2": (k, n)},
    }[kind]
    variables = {name: rng.standard_normal(shape) for name, shape in {"x": (m, n), **shapes}.items()}
    return variables if bias else variables | {"b": None}


def functions(kind):
    return [getattr(reference, kind + suffix) for suffix in ("", "_jac_mv", "_jac_tmv", "_jacobian")]


@each_bias
@each_activation
@each_layer
def test_layer_derivatives(rng, kind, activation, bias):
    """The Kronecker formulas against differences; JacMV and JacTMV against the Kronecker formulas."""
    f, jac_mv, jac_tmv, jacobian = functions(kind)
    at = layer_problem(rng, kind, bias)
    y = f(*at.values(), activation)
    v = rng.standard_normal(y.shape)
    products = jac_tmv(v, *at.values(), activation)
    names = [name for name, value in at.items() if value is not None]
    assert list(products) == [name for name in ("x", "W", "W1", "b", "W2") if name in names]
    together, directions = 0, {}
    for name in names:
        numeric = central_difference(lambda value, name=name: f(*(at | {name: value}).values(), activation), at[name])
        J = jacobian(*at.values(), activation, name)
        assert J.shape == (y.size, at[name].size)
        assert_allclose(J, numeric.reshape(J.shape), atol=DIFFERENCE)
        d = rng.standard_normal(at[name].shape)
        dy = jac_mv(*at.values(), activation, **{f"d{name}": d})
        assert_allclose(dy.ravel(), J @ d.ravel(), rtol=1e-12, atol=1e-13)
        assert products[name].shape == at[name].shape
        assert_allclose(products[name].ravel(), J.T @ v.ravel(), rtol=1e-12, atol=1e-13)
        together, directions = together + dy, directions | {f"d{name}": d}
    assert_allclose(jac_mv(*at.values(), activation, **directions), together, rtol=1e-12, atol=1e-13)
    assert_array_equal(jac_mv(*at.values(), activation), np.zeros(y.shape))


def test_dense_by_hand():
    """z = (2 - 1, -2 - 1) = (1, -3) and relu: y = (1, 0); the second unit is off in every derivative."""
    x, W, b = [[1.0, 2.0]], [[0.0, 1.0], [4.0, -3.0]], [-1.0, -1.0]
    assert_array_equal(reference.dense(x, W, b, "relu"), [[1, 0]])
    assert_array_equal(reference.dense(x, W, b, "identity"), [[1, -3]])
    assert_array_equal(reference.dense(x, W, None, "identity"), [[2, -2]])
    products = reference.dense_jac_tmv([[10.0, 100.0]], x, W, b, "relu")
    assert_array_equal(products["x"], [[0, 10]])
    assert_array_equal(products["W"], [[10, 20], [0, 0]])
    assert_array_equal(products["b"], [10, 0])
    assert_array_equal(reference.dense_jacobian(x, W, b, "identity", "W"), [[1, 2, 0, 0], [0, 0, 1, 2]])
    assert_array_equal(reference.dense_jacobian(x, W, b, "relu", "x"), [[0, 1], [0, 0]])


def test_residual_layers_by_hand():
    """z = 2 x + 1 = 3 and identity: x + 5 z = 16 (eq. 22), 5 x + z = 8 (eq. 23)."""
    one = {"x": [[1.0]], "W1": [[2.0]], "b": [1.0], "W2": [[5.0]]}
    assert reference.residual(*one.values(), "identity") == 16
    assert reference.projected_residual(*one.values(), "identity") == 8
    slopes = {name: float(g.item()) for name, g in reference.residual_jac_tmv([[1.0]], *one.values(), "identity").items()}
    assert slopes == {"x": 11, "W1": 5, "b": 5, "W2": 3}
    products = reference.projected_residual_jac_tmv([[1.0]], *one.values(), "identity")
    assert {name: float(g.item()) for name, g in products.items()} == {"x": 7, "W1": 1, "b": 1, "W2": 1}


def test_kronecker_jacobian_is_the_lectures_with_its_columns_moved(rng):
    """The lecture's vec stacks columns, Y = W X: its Jacobian X' kron I times vec(dW) is vec(dW X)."""
    at, dW = layer_problem(rng, "dense"), rng.standard_normal((2, 4))
    lecture = np.kron(at["x"], np.eye(2)) @ dW.ravel(order="F")
    assert_allclose(lecture, (dW @ at["x"].T).ravel(order="F"), rtol=1e-12)
    J = reference.dense_jacobian(*at.values(), "identity", "W")
    assert_allclose(J @ dW.ravel(), lecture, rtol=1e-12)


@each_layer
def test_layers_compute_single_precision_in_float64(rng, kind):
    f, jac_mv, jac_tmv, jacobian = functions(kind)
    single = {name: value.astype(np.float32) for name, value in layer_problem(rng, kind).items()}
    double = {name: value.astype(np.float64) for name, value in single.items()}
    y = f(*single.values(), "tanh")
    directions = {f"d{name}": value for name, value in single.items()}
    assert_array_equal(y, f(*double.values(), "tanh"))
    dy = jac_mv(*single.values(), "tanh", **directions)
    assert_array_equal(dy, jac_mv(*double.values(), "tanh", **{f"d{name}": value for name, value in double.items()}))
    v = y.astype(np.float32)
    products = jac_tmv(v, *single.values(), "tanh")
    for name, g in jac_tmv(v.astype(np.float64), *double.values(), "tanh").items():
        assert products[name].dtype == np.float64
        assert_array_equal(products[name], g)
        assert_array_equal(jacobian(*single.values(), "tanh", name), jacobian(*double.values(), "tanh", name))


def test_mean_squared_error(rng):
    loss, gradient = reference.mean_squared_error([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 4.0]])
    assert loss == (0 + 4 + 9 + 0) / 4
    assert_array_equal(gradient, [[0, 1], [1.5, 0]])
    assert reference.mean_squared_error([[1.0], [2.0]], [3.0, 2.0])[0] == 2
    output, y = rng.standard_normal((2, 5, 3))
    numeric = central_difference(lambda output: reference.mean_squared_error(output, y)[0], output)
    assert_allclose(reference.mean_squared_error(output, y)[1], numeric, atol=DIFFERENCE)


def test_inputs_are_not_modified(rng):
    theta, v, X, y, options = softmax_problem(rng, fit_bias=True, reduced=True, weighted=True)
    for array in (theta, v, X, y, options["sample_weight"]):
        array.flags.writeable = False
    reference.softmax_regression_hessian_mv(theta, v, X, y, **options)
    reference.softmax_regression_gradient(theta, X, y, **options)
    for function in (
        reference.softmax,
        reference.log_softmax,
        reference.logsumexp,
        reference.sigmoid,
        reference.relu,
        reference.identity,
    ):
        result = function(X)
        assert result.flags.writeable
        assert not np.shares_memory(result, X)


@each_layer
def test_layers_do_not_modify_or_return_their_inputs(rng, kind):
    at = layer_problem(rng, kind)
    for value in at.values():
        value.flags.writeable = False
    f, jac_mv, jac_tmv, jacobian = functions(kind)
    y = f(*at.values(), "identity")
    y.flags.writeable = False
    results = [y, jac_mv(*at.values(), "identity", dx=at["x"], db=at["b"]), jacobian(*at.values(), "identity", "x")]
    results += jac_tmv(y, *at.values(), "identity").values()
    for result in results:
        assert not any(np.shares_memory(result, value) for value in at.values())
    assert not any(np.shares_memory(result, y) for result in results[1:])
