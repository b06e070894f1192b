"""Sample weights in losses, objectives of networks and training steps: against the reference, and what weights mean."""

import re

import cases
import nets
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastlec
from fastlec import (
    SGD,
    Adam,
    Dense,
    MeanSquaredError,
    Network,
    Objective,
    SoftmaxCrossEntropy,
    _check,
    reference,
    training_step,
)
from fastlec.training import objective as objective_module

pytestmark = pytest.mark.filterwarnings("ignore:net ends with")  # networks here end in any activation, whatever the loss

CROSS, SQUARES = SoftmaxCrossEntropy(), MeanSquaredError()
losses = pytest.mark.parametrize("loss", [CROSS, SQUARES], ids=repr)
every = pytest.mark.parametrize("layers", (nets.PLANNED | nets.OWN).values(), ids=nets.PLANNED | nets.OWN)
SHAPES = [(1, 1), (3, 10), (17, 3), (65, 17), (300, 40), (5, 1000), (20_001, 3)]


class Own:
    """A loss of the user's own, in NumPy."""

    def __init__(self, loss):
        self.targets, self._loss = loss.targets, loss

    def value_and_gradient(self, output, y, sample_weight=None):
        function = reference.softmax_cross_entropy if self._loss is CROSS else reference.mean_squared_error
        return function(output, y, sample_weight)


class Unweighted(Own):
    def value_and_gradient(self, output, y):
        return super().value_and_gradient(output, y)

    def hessian_mv(self, output, y, v):
        return self._loss.hessian_mv(output, y, v)


def case(loss, shape, dtype, rng, rows=False):
    """(output, y, weights); rows: of probabilities."""
    output, weight = (3 * rng.standard_normal(shape)).astype(dtype), rng.uniform(0, 2, shape[0]) * (rng.random(shape[0]) < 0.8)
    weight[-1] = 1
    if loss is SQUARES:
        return output, rng.standard_normal(shape).astype(dtype), weight
    y = rng.dirichlet(np.ones(shape[1]), shape[0]).astype(dtype) if rows else rng.integers(0, shape[1], shape[0])
    return output, y, weight


def problem(loss, m, dtype, rng):
    """(X, y, weights) for networks of 5 features and 3 outputs."""
    _, y, weight = case(loss, (m, 3), dtype, rng)
    return rng.standard_normal((m, 5)).astype(dtype), y, weight


def repeated(m, rng):
    """(integer weights, the rows as often as they say)."""
    weight = rng.integers(0, 4, m)
    weight[0] = 2
    return weight, np.repeat(np.arange(m), weight)


# --- losses ----------------------------------------------------------------------------------------------------------


@cases.parametrize("shape", SHAPES)
def test_squares_agree_with_the_reference(shape, isa, dtype, threads, rng, frozen):
    """Roundings of the difference, its products with weight and scale, and the weight's share, here and there; of the sum, n."""
    output, y, weight = frozen(*case(SQUARES, shape, dtype, rng))
    loss, gradient = SQUARES.value_and_gradient(output, y, weight)
    eps = float(np.finfo(dtype).eps)
    expected, expected_gradient = reference.mean_squared_error(output, y, weight)
    assert type(loss) is float
    assert SQUARES.value(output, y, weight) == loss
    assert_allclose(loss, expected, rtol=8 * eps + 2 * np.sqrt(output.size) * np.finfo(np.float64).eps)
    assert_allclose(gradient, expected_gradient, rtol=8 * eps)
    assert gradient.dtype == dtype


@pytest.mark.parametrize("rows", [False, True], ids=["labels", "probabilities"])
@cases.parametrize("shape", SHAPES)
def test_cross_entropy_is_the_function(shape, rows, isa, dtype, rng, frozen):
    """The bits of fastlec.softmax_cross_entropy, whose accuracy its own tests show."""
    output, y, weight = frozen(*case(CROSS, shape, dtype, rng, rows))
    loss, gradient = CROSS.value_and_gradient(output, y, weight)
    expected, expected_gradient = fastlec.softmax_cross_entropy(output, y, sample_weight=weight)
    assert CROSS.value(output, y, weight) == loss == expected
    assert_array_equal(gradient, expected_gradient, strict=True)


@losses
def test_images_and_vectors(loss, dtype, rng):
    """Samples of any axes have a weight each."""
    if loss is CROSS:
        shapes = [(6, 4)]
    else:
        shapes = [(6,), (6, 1), (2, 3, 4, 5)]
    for shape in shapes:
        output, y, weight = case(loss, shape, dtype, rng)
        value, gradient = loss.value_and_gradient(output, y, weight)
        each = np.array([loss.value(output[i : i + 1], y[i : i + 1]) for i in range(len(y))])
        assert_allclose(value, np.average(each, weights=weight), rtol=8 * np.finfo(dtype).eps)
        assert gradient.shape == shape


@losses
def test_weights_are_repetitions(loss, isa, dtype, rng):
    output, y, _ = case(loss, (40, 5), dtype, rng)
    weight, rows = repeated(40, rng)
    v = rng.standard_normal((40, 5)).astype(dtype)
    eps = float(np.finfo(dtype).eps)
    value, gradient = loss.value_and_gradient(output, y, weight)
    expected, each = loss.value_and_gradient(output[rows], y[rows])
    summed, products = np.zeros((2, 40, 5))
    np.add.at(summed, rows, each)
    np.add.at(products, rows, loss.hessian_mv(output[rows], y[rows], v[rows]))
    assert_allclose(value, expected, rtol=16 * eps)
    assert_allclose(gradient, summed, rtol=0, atol=16 * eps * np.abs(summed).max())
    assert_allclose(loss.hessian_mv(output, y, v, weight), products, rtol=0, atol=16 * eps * np.abs(products).max())


@losses
def test_equal_weights_change_no_bit(loss, isa, dtype, rng):
    output, y, _ = case(loss, (70, 5), dtype, rng)
    value, gradient = loss.value_and_gradient(output, y)
    for weight in (1, 2.0, 2.0**-1060, 2.0**1000):
        found, g = loss.value_and_gradient(output, y, np.full(70, weight))
        if loss is SQUARES and dtype == np.float64:  # where products with a weight are rounded before they are added
            assert_allclose(found, value, rtol=1e-15)
        else:
            assert found == value
        assert_array_equal(g, gradient)


@losses
@pytest.mark.parametrize("scale", [1e300, 1e-300, 5e-324, 1e-100])
def test_only_ratios_of_weights_count(scale, loss, isa, dtype, rng):
    output, y, _ = case(loss, (70, 5), dtype, rng)
    weight, _ = repeated(70, rng)
    eps = float(np.finfo(dtype).eps)
    value, gradient = loss.value_and_gradient(output, y, weight)
    share = (weight / weight.sum())[:, None]
    size = 8 * eps * (share if loss is CROSS else np.abs(gradient))  # p - 1 may be far less than 1
    found, g = loss.value_and_gradient(output, y, weight * scale)
    assert_allclose(found, value, rtol=16 * eps)
    assert (np.abs(g - gradient) <= size).all()
    far = weight * 1e300
    far[weight == 0] = 1e-300
    found, g = loss.value_and_gradient(output, y, far)
    assert_allclose(found, value, rtol=16 * eps)
    assert (np.abs(g - gradient) <= size).all()


@losses
@pytest.mark.parametrize("junk", [np.nan, np.inf])
@pytest.mark.parametrize("n", [5, 200])
def test_samples_of_weight_0_do_not_count(n, junk, loss, isa, dtype, rng):
    output, y, _ = case(loss, (41, n), dtype, rng)
    weight = np.ones(41)
    weight[[5, 17, 40]] = 0
    kept = weight > 0
    spoilt = output.copy()
    spoilt[~kept, 1] = junk
    value, gradient = loss.value_and_gradient(spoilt, y, weight)
    expected, g = loss.value_and_gradient(output[kept], y[kept])
    eps = float(np.finfo(dtype).eps)
    assert_allclose(value, expected, rtol=8 * eps + 2 * np.sqrt(output.size) * np.finfo(np.float64).eps)
    assert_allclose(gradient[kept], g, rtol=8 * eps)
    assert (loss.value_and_gradient(output, y, weight)[1][~kept] == 0).all()
    spoilt[0, 1] = junk
    assert not np.isfinite(loss.value(spoilt, y, weight))


@losses
@cases.layouts
def test_any_layout_gives_the_same_bits(layout, loss, dtype, rng):
    output, y, weight = case(loss, (23, 6), dtype, rng)
    value, gradient = loss.value_and_gradient(output, y, weight)
    found = loss.value_and_gradient(output, y, layout(weight))
    assert found[0] == value
    assert_array_equal(found[1], gradient)
    assert loss.value(output, y, weight.tolist()) == value
    v = output[::-1].copy()
    assert_array_equal(loss.hessian_mv(output, y, v, layout(weight)), loss.hessian_mv(output, y, v, weight))


@pytest.mark.parametrize("m", [1, 255, 256, 257, 100_000])
def test_weights_of_mean_1(m, rng):
    weight = rng.random(m)
    expected = weight * (m / weight.sum())
    for scale in (1, 2.0**-1000, 2.0**1000):  # subnormal numbers would have lost digits
        assert_allclose(_check.mean_weights(weight * scale, m), expected, rtol=4e-15)
    assert_allclose(_check.mean_weights(weight.astype(np.float32), m), expected, rtol=2e-7)


# --- objectives ------------------------------------------------------------------------------------------------------


@losses
@every
def test_an_objective_of_repetitions(layers, loss, rng):
    net = nets.network(layers, np.float64, rng)
    X, y, _ = problem(loss, 30, np.float64, rng)
    weight, rows = repeated(30, rng)
    f, g = Objective(net, loss, X, y, sample_weight=weight), Objective(net, loss, X[rows], y[rows])
    theta, v = net.theta.copy(), rng.standard_normal(net.n_params)
    value, gradient = f.value_and_gradient(theta)
    expected, each = g.value_and_gradient(theta)
    assert_allclose([value, f.value(theta)], expected, rtol=1e-14)
    for found, right in ((gradient, each), (f.gauss_newton_mv(theta, v), g.gauss_newton_mv(theta, v))):
        assert_allclose(found, right, rtol=0, atol=1e-13 * np.abs(right).max())


@losses
@every
def test_parts_and_batches(layers, loss, dtype, rng, monkeypatch):
    """Parts add up, also those whose weights are all 0; a batch is the objective of those samples alone."""
    net = nets.network(layers, dtype, rng)
    X, y, weight = problem(loss, 150, dtype, rng)
    weight[:70] = 0
    theta, v = net.theta.copy(), rng.standard_normal(net.n_params).astype(dtype)
    whole = Objective(net, loss, X, y, sample_weight=weight)
    own = Objective(net, Own(loss), X, y, sample_weight=weight)
    monkeypatch.setattr(objective_module, "PART_VALUES", 1)
    parts, own_parts = (Objective(net, each, X, y, sample_weight=weight) for each in (loss, Own(loss)))
    value, gradient = whole.value_and_gradient(theta)
    eps, product = float(np.finfo(dtype).eps), whole.gauss_newton_mv(theta, v)
    for f in (parts, own, own_parts):
        assert_allclose([f.value(theta), f.value_and_gradient(theta)[0]], value, rtol=64 * eps)
        assert_allclose(f.gradient(theta), gradient, rtol=0, atol=64 * eps * np.abs(gradient).max())
    assert_allclose(parts.gauss_newton_mv(theta, v), product, rtol=0, atol=64 * eps * np.abs(product).max())
    for batch in (slice(60, 140), slice(None, None, -3), rng.permutation(150)[:120], [71, 149, -1], weight > 0):
        for f in (whole, parts):
            rows = np.arange(150)[batch]
            alone = Objective(net, loss, X[rows], y[rows], sample_weight=f.sample_weight[rows])
            alone._part = f._part
            assert f.value(theta, batch) == alone.value(theta)
            assert_array_equal(f.gradient(theta, batch), alone.gradient(theta))
    with pytest.raises(ValueError, match=r"^sample_weight\[batch\] has values from 0.0 to 0.0"):
        whole.value(theta, slice(0, 70))


@every
def test_residuals(layers, dtype, rng):
    """F = ||r||^2 / 2, J' r is its gradient and J' J the Gauss-Newton matrix; operators take columns."""
    net = nets.network(layers, dtype, rng)
    X, y, weight = problem(SQUARES, 20, dtype, rng)
    f, theta = Objective(net, SQUARES, X, y, sample_weight=weight), net.theta.copy()
    v, eps = rng.standard_normal(f.n_params).astype(dtype), float(np.finfo(dtype).eps)
    r, J = f.residuals(theta), f.jacobian(theta)
    assert r.dtype == J.dtype == dtype
    assert_allclose(r.astype(float) @ r / 2, f.value(theta), rtol=32 * eps)
    gradient, product = f.gradient(theta), f.gauss_newton_mv(theta, v)
    assert_allclose(J.rmatvec(r), gradient, rtol=0, atol=64 * eps * np.abs(gradient).max())
    assert_allclose(J.T @ (J @ v), product, rtol=0, atol=64 * eps * np.abs(product).max())
    assert_array_equal(J.matvec(v[:, None])[:, 0], J @ v)
    assert_array_equal(J.rmatvec(r[:, None])[:, 0], J.rmatvec(r))


def test_weights_of_an_objective_stay(rng):
    net, (X, y, weight) = Network([Dense(5, 3, "identity", rng=0)]), problem(CROSS, 20, np.float64, rng)
    given = weight.copy()
    f = Objective(net, CROSS, X, y, sample_weight=given)
    value = f.value(net.theta)
    given[:] = 1
    assert f.value(net.theta) == value
    assert_allclose(f.sample_weight, weight / weight.mean(), rtol=1e-15)
    with pytest.raises(ValueError, match="read-only"):
        f.sample_weight[0] = 1
    with pytest.raises(AttributeError, match="make a new Objective"):
        f.sample_weight = None
    assert Objective(net, CROSS, X, y).sample_weight is None


# --- steps -----------------------------------------------------------------------------------------------------------


@losses
@every
def test_a_step_goes_along_the_gradient_of_the_weighted_mean(layers, loss, isa, dtype, rng):
    """And gives the loss before it; a loss in Python does the same."""
    X, y, weight = problem(loss, 23, dtype, rng)
    eps = float(np.finfo(dtype).eps)
    for each in (loss, Own(loss)):
        net = nets.network(layers, dtype, np.random.default_rng(1))
        value, gradient = Objective(net, each, X, y, sample_weight=weight).value_and_gradient(net.theta)
        step, before = training_step(net, each, SGD(0.5), 23), net.theta.copy()
        assert_allclose(step(X, y, weight), value, rtol=32 * eps)
        size = np.abs(before).max() + np.abs(gradient).max()
        assert_allclose(net.theta, before - 0.5 * gradient, rtol=0, atol=64 * eps * size)


@losses
def test_unweighted_and_weighted_steps_take_turns(loss, dtype, rng):
    """Each has a plan of its own; equal weights are as good as none; samples may be lists."""
    X, y, weight = problem(loss, 12, dtype, rng)
    one, two = (nets.network(nets.PLANNED["dense"], dtype, np.random.default_rng(1)) for _ in range(2))
    first, second = (training_step(net, loss, Adam(0.01), 12) for net in (one, two))
    for w, same in (
        (None, np.ones(12)),
        (weight, 4 * weight),
        (np.full(12, 3), None),
        (None, None),
        (weight[::-1], weight[::-1]),
    ):
        assert_allclose(first(X, y, w), second(X.tolist(), y, same), rtol=1e-14)
    assert_allclose(one.theta, two.theta, rtol=0, atol=8 * np.finfo(dtype).eps * np.abs(one.theta).max())


# --- what cannot be --------------------------------------------------------------------------------------------------

Z = np.zeros((4, 3))
BAD = {
    "too few": ([1.0], ValueError, "sample_weight has shape (1,); expected (4,), one weight for each sample"),
    "one for all": (1.0, ValueError, "sample_weight has shape (); expected (4,)"),
    "a column": (np.ones((4, 1)), ValueError, "sample_weight has shape (4, 1); expected (4,)"),
    "negative": (
        [1, 1, -1, 1],
        ValueError,
        "sample_weight has values from -1.0 to 1.0; expected finite weights >= 0, not all 0",
    ),
    "zero": (np.zeros(4), ValueError, "sample_weight has values from 0.0 to 0.0"),
    "NaN": ([1, np.nan, 1, 1], ValueError, "sample_weight has values from nan"),
    "infinite": ([1, np.inf, 1, 1], ValueError, "sample_weight has values from 1.0 to inf"),
    "complex": (np.ones(4) + 0j, TypeError, "sample_weight has dtype complex128"),
    "text": (["a"] * 4, TypeError, "sample_weight has dtype"),
    "objects": (np.array([1, None, 1, 1]), TypeError, "sample_weight has dtype object"),
}


@losses
@pytest.mark.parametrize(("weight", "error", "match"), BAD.values(), ids=BAD)
def test_bad_weights(weight, error, match, loss):
    y, net = (np.zeros(4, int) if loss is CROSS else Z), Network([Dense(2, 3, "identity", rng=0)])
    before, step = net.theta.copy(), training_step(net, loss, SGD(0.1), 8)
    for call in (
        lambda: loss.value(Z, y, weight),
        lambda: loss.value_and_gradient(Z, y, sample_weight=weight),
        lambda: loss.hessian_mv(Z, y, Z, weight),
        lambda: Objective(net, loss, Z[:, :2], y, sample_weight=weight),
        lambda: step(Z[:, :2], y, weight),
        lambda: fastlec.fit(net, Z[:, :2], y, sample_weight=weight, loss=loss),
        lambda: fastlec.fit(net, Z[:, :2], y, validation=(Z[:, :2], y, weight), loss=loss),
    ):
        with pytest.raises(error, match=f"^(validation: )?{re.escape(match)}") as caught:
            call()
        assert caught.type is error
    assert_array_equal(net.theta, before)


def test_weights_of_no_samples():
    empty, step = np.empty((0, 3)), training_step(Network([Dense(3, 3, rng=0)]), SQUARES, SGD(0.1), 8)
    for loss, y in ((CROSS, np.empty(0, int)), (SQUARES, empty)):
        with pytest.raises(ValueError, match=r"^output has shape"):
            loss.value(empty, y, np.empty(0))
    with pytest.raises(ValueError, match=r"^sample_weight has shape \(0,\); expected at least one weight"):
        SQUARES.hessian_mv(empty, empty, empty, np.empty(0))
    with pytest.raises(ValueError, match=r"^output is a number; expected an array of samples"):
        SQUARES.value(1.0, 2.0, np.ones(1))
    for X in (empty, 1.0):
        with pytest.raises(ValueError, match=r"^X has shape"):
            step(X, empty, np.empty(0))


def test_a_loss_that_takes_no_weights(rng):
    """It is refused by name before anything is changed; with weights that its value or product lacks it does what it can."""
    X, y, weight = problem(SQUARES, 10, np.float64, rng)
    net, loss = Network([Dense(5, 3, "identity", rng=0)]), Unweighted(SQUARES)
    before, step = net.theta.copy(), training_step(net, loss, SGD(0.1), 10)
    match = "is given, and loss is a Unweighted, whose value_and_gradient takes no sample_weight"
    for name, call in (
        ("sample_weight", lambda: Objective(net, loss, X, y, sample_weight=weight)),
        ("sample_weight", lambda: step(X, y, weight)),
        ("sample_weight", lambda: fastlec.fit(net, X, y, loss=loss, sample_weight=weight)),
        ("class_weight", lambda: fastlec.fit(net, X, y, loss=loss, class_weight="balanced")),
        ("validation: sample_weight", lambda: fastlec.fit(net, X, y, loss=loss, validation=(X, y, weight))),
    ):
        with pytest.raises(TypeError, match=f"^{name} {match}"):
            call()
    assert_array_equal(net.theta, before)
    assert step(X, y) == loss.value_and_gradient(net.with_theta(before)(X), y)[0]

    class Partly(Own):
        value, hessian_mv = (lambda self, output, y: 0.0), Unweighted.hessian_mv

    f = Objective(net, Partly(SQUARES), X, y, sample_weight=weight)
    assert f.value(before) == f.value_and_gradient(before)[0] > 0
    with pytest.raises(
        TypeError, match=r"^sample_weight is given, and loss is a Partly, whose hessian_mv takes no sample_weight"
    ):
        f.gauss_newton_mv(before, before)
