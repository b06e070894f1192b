"""MeanAbsoluteError, Huber, BinaryCrossEntropy, label smoothing, labels that do not count: against fastlec.reference and PyTorch,
in training steps and objectives."""

import copy
import pickle
import re

import cases
import nets
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastlec
from fastlec import (
    SGD,
    BinaryCrossEntropy,
    Dense,
    Huber,
    MeanAbsoluteError,
    Network,
    Objective,
    SoftmaxCrossEntropy,
    fit,
    reference,
    training_step,
)
from fastlec.testing import gradient_test, jacobian_test, transpose_test

K = 4
PER_OUTPUT = BinaryCrossEntropy(pos_weight=(0.5, 1.0, 2.0, 7.0))
ELEMENTWISE = [MeanAbsoluteError(), Huber(), Huber(0.25), BinaryCrossEntropy(), BinaryCrossEntropy(pos_weight=3.0), PER_OUTPUT]
SMOOTH = [SoftmaxCrossEntropy(0.1), SoftmaxCrossEntropy(0.3, ignore_index=1), SoftmaxCrossEntropy(ignore_index=-100)]
every = pytest.mark.parametrize("loss", ELEMENTWISE + SMOOTH, ids=repr)
SHAPES = [(1, K), (3, K), (300, K), (17, 2, 2)]


def case(loss, shape, dtype, rng):
    """(output, y)."""
    output = (3 * rng.standard_normal(shape)).astype(dtype)
    if isinstance(loss, SoftmaxCrossEntropy):
        y = rng.integers(0, shape[1], shape[0])
        y[1::3] = loss.ignore_index if loss.ignore_index is not None else y[1::3]
        y[0] = 2
        return output, y
    if isinstance(loss, BinaryCrossEntropy):
        return output, np.round(rng.uniform(-0.5, 1.5, shape).clip(0, 1), 2).astype(dtype)  # 0 and 1 among them
    return output, rng.standard_normal(shape).astype(dtype)


def expected_of(loss, output, y, weight=None):
    if isinstance(loss, SoftmaxCrossEntropy):
        n = output.shape[1]
        counts = np.ones(len(y)) if loss.ignore_index is None else (y != loss.ignore_index).astype(float)
        rows = (1 - loss.label_smoothing) * np.eye(n)[np.where(counts > 0, y, 0)] + loss.label_smoothing / n
        return reference.softmax_cross_entropy(output, rows, counts if weight is None else counts * weight)
    if isinstance(loss, BinaryCrossEntropy):
        pos_weight = np.array(1.0 if loss.pos_weight is None else loss.pos_weight)
        pos_weight = pos_weight.reshape(output.shape[1:]) if pos_weight.ndim else pos_weight
        return reference.binary_cross_entropy(output, y, pos_weight, weight)
    if isinstance(loss, Huber):
        return reference.huber(output, y, loss.delta, weight)
    return reference.mean_absolute_error(output, y, weight)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@every
@cases.parametrize("shape", SHAPES)
def test_losses_agree_with_the_reference(shape, loss, weighted, isa, dtype, rng, frozen):
    """A few roundings of each element; many add up in float64."""
    if isinstance(loss, SoftmaxCrossEntropy) and len(shape) > 2:
        return
    output, y = frozen(*case(loss, shape, dtype, rng))
    weight = rng.uniform(0.5, 2, shape[0]) if weighted else None
    value, gradient = loss.value_and_gradient(output, y, weight)
    expected, expected_gradient = expected_of(loss, output, y, weight)
    assert type(value) is float
    assert loss.value(output, y, weight) == value
    assert_allclose(value, expected, rtol=32 * np.finfo(dtype).eps)
    assert gradient.dtype == dtype
    assert_allclose(gradient, expected_gradient, rtol=0, atol=16 * np.finfo(dtype).eps * np.abs(expected_gradient).max())


@every
def test_teams_agree_bit_by_bit(loss, isa, dtype, threads, rng):
    output, y = case(loss, (20_000, K), dtype, rng)
    value, gradient = loss.value_and_gradient(output, y)
    fastlec.set_num_threads(1)
    again = loss.value_and_gradient(output, y)
    assert again[0] == value
    assert_array_equal(again[1], gradient)


@every
@cases.layouts
def test_any_layout_gives_the_same_bits(layout, loss, dtype, rng):
    output, y = case(loss, (23, K), dtype, rng)
    value, gradient = loss.value_and_gradient(output, y)
    v = rng.standard_normal((23, K)).astype(dtype)
    product = loss.hessian_mv(output, y, v)
    found = loss.value_and_gradient(layout(output), layout(y))
    assert found[0] == value
    assert_array_equal(found[1], gradient, strict=True)
    assert_array_equal(loss.hessian_mv(layout(output), layout(y), layout(v)), product, strict=True)


@every
@cases.writeable_layouts
def test_gradients_over_the_output(layout, loss, dtype, rng):
    output, y = case(loss, (23, K), dtype, rng)
    value, gradient = loss.value_and_gradient(output, y)
    own = layout(output)
    assert loss.value_and_gradient(own, y, grad_out=own)[0] == value
    assert_array_equal(own, gradient)


@every
def test_derivatives(loss, rng):
    """The lecture's tests: of the gradient, of the Hessian as its Jacobian, of its symmetry; residuals far from kinks."""
    output, y = case(loss, (8, K), np.float64, rng)
    if isinstance(loss, Huber | MeanAbsoluteError):
        output = y + rng.choice([-3, -0.5, -0.1, 0.1, 0.5, 3], y.shape)
    if isinstance(loss, MeanAbsoluteError):
        assert not loss.hessian_mv(output, y, output).any()

    def gradient(z):
        return loss.value_and_gradient(z, y)[1]

    def product(z, v):
        return loss.hessian_mv(z, y, v)

    gradient_test(lambda z: loss.value(z, y), gradient, output, rng=1).assert_passed()
    if not isinstance(loss, MeanAbsoluteError):
        transpose_test(product, product, output, rng=3).assert_passed()
    if isinstance(loss, Huber | MeanAbsoluteError):  # piecewise constant
        v, step = rng.standard_normal(output.shape), 1e-3
        assert_allclose(
            product(output, v), (gradient(output + step * v) - gradient(output - step * v)) / (2 * step), atol=1e-12
        )
    else:
        jacobian_test(gradient, product, output, rng=2).assert_passed()


def test_binary_cross_entropy_of_any_logit(isa, dtype):
    """No cancellation, no overflow: sure and right costs exp(-|z|), sure and wrong |z|; infinity too."""
    z = np.array([[50.0, -50.0, 80.0, -80.0, 1e30, -1e30, np.inf, -np.inf]]).T.astype(dtype)
    loss, eps = BinaryCrossEntropy(), float(np.finfo(dtype).eps)
    y = (z > 0).astype(dtype)
    for i in range(len(z)):
        for t in (y[i : i + 1], 1 - y[i : i + 1]):
            right = t[0, 0] == y[i, 0]
            value, gradient = loss.value_and_gradient(z[i : i + 1], t)
            small = np.exp(-np.abs(float(z[i, 0])))
            assert value == pytest.approx(small if right else abs(float(z[i, 0])), rel=4 * eps)
            assert gradient[0, 0] == pytest.approx((1 - 2 * t[0, 0]) * (small if right else 1.0), rel=4 * eps)


@every
def test_nan_is_seen(loss, isa, dtype, rng):
    output, y = case(loss, (41, K), dtype, rng)
    output[18, 3], y[18] = np.nan, 0
    assert np.isnan(loss.value(output, y))
    gradient = loss.value_and_gradient(output, y)[1]
    assert np.isnan(gradient[18, 3])
    assert np.isfinite(np.delete(gradient, 18, axis=0)).all()


def test_pytorch_says_the_same(dtype, rng):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    x, t = rng.standard_normal((2, 9, K)).astype(dtype)
    p, rows = rng.random((9, K)).astype(dtype), rng.dirichlet(np.ones(K), 9).astype(dtype)
    labels = np.array([0, 1, 2, 3, -1, 0, -1, 2, 2])
    tensor = torch.tensor
    pairs = [
        (Huber(0.5), t, lambda z: F.huber_loss(z, tensor(t), delta=0.5)),
        (MeanAbsoluteError(), t, lambda z: F.l1_loss(z, tensor(t))),
        (
            PER_OUTPUT,
            p,
            lambda z: F.binary_cross_entropy_with_logits(z, tensor(p), pos_weight=tensor(PER_OUTPUT.pos_weight).to(z)),
        ),
        (
            SoftmaxCrossEntropy(0.2, -1),
            labels,
            lambda z: F.cross_entropy(z, tensor(labels), label_smoothing=0.2, ignore_index=-1),
        ),
        (SoftmaxCrossEntropy(0.2), rows, lambda z: F.cross_entropy(z, tensor(rows), label_smoothing=0.2)),
    ]
    for loss, y, function in pairs:
        z = tensor(x, requires_grad=True)
        value = function(z)
        value.backward()
        found, gradient = loss.value_and_gradient(x, y)
        assert found == pytest.approx(value.item(), rel=8 * float(np.finfo(dtype).eps))
        assert_allclose(gradient, z.grad.numpy(), rtol=0, atol=4 * np.finfo(dtype).eps)


# --- training ---------------------------------------------------------------------------------------------------------


def problem(loss, dtype, rng, m=30):
    _, y = case(loss, (m, K), dtype, rng)
    net = Network([Dense(5, 6, dtype=dtype, rng=1), Dense(6, K, "identity", dtype=dtype, rng=2)])
    return net, rng.standard_normal((m, 5)).astype(dtype), y


@pytest.mark.parametrize("own", [False, True], ids=["planned", "by layers"])
@every
def test_a_step_follows_the_gradient(loss, own, dtype, rng):
    """Planned, and where a layer is the user's own; of the samples that count."""
    net, X, y = problem(loss, dtype, rng)
    net = Network([nets.Same(), *net.layers]) if own else net
    output, jac = net.linearize(X)
    value, v = expected_of(loss, output, y)
    theta = net.theta - 0.5 * jac.tmv(v.astype(dtype), "theta")["theta"]
    assert training_step(net, loss, SGD(0.5), len(X))(X, y) == pytest.approx(value, rel=100 * float(np.finfo(dtype).eps))
    assert_allclose(net.theta, theta, rtol=0, atol=100 * np.finfo(dtype).eps)


@every
def test_objectives(loss, rng):
    """Value and gradient, and a batch's, and Gauss-Newton products, which are symmetric."""
    net, X, y = problem(loss, np.float64, rng)
    f = Objective(net, loss, X, y)
    value, gradient = f.value_and_gradient(net.theta)
    output, jac = net.linearize(X)
    expected, v = expected_of(loss, output, y)
    assert value == pytest.approx(expected, rel=1e-13)
    assert f.value(net.theta) == pytest.approx(expected, rel=1e-13)
    assert_allclose(gradient, jac.tmv(v, "theta")["theta"], rtol=0, atol=1e-14)
    rows = slice(0, 7)
    assert f.value(net.theta, rows) == pytest.approx(expected_of(loss, output[rows], y[rows])[0], rel=1e-13)
    a, b = rng.standard_normal((2, net.n_params))
    assert f.gauss_newton_mv(net.theta, a) @ b == pytest.approx(f.gauss_newton_mv(net.theta, b) @ a, rel=1e-11, abs=1e-14)


@every
def test_training_goes_on_to_the_same_bits(loss, tmp_path, rng):
    """Checkpoints; and one of another loss is refused."""

    def trained(epochs, path, loss=loss):
        net, X, y = problem(loss, np.float64, np.random.default_rng(0))
        return net.theta, fit(net, X, y, loss=loss, epochs=epochs, batch_size=7, validation=0.3, checkpoint=path)

    whole, history = trained(4, tmp_path / "whole.npz")
    trained(2, tmp_path / "parts.npz")
    theta, again = trained(4, tmp_path / "parts.npz")
    assert_array_equal(theta, whole)
    assert again.train_loss == history.train_loss
    other = {MeanAbsoluteError: Huber(3.0), Huber: Huber(3.0), BinaryCrossEntropy: BinaryCrossEntropy(9.0)}
    with pytest.raises(fastlec.io.ModelError, match="its loss is"):
        trained(4, tmp_path / "parts.npz", other.get(type(loss), SoftmaxCrossEntropy(0.9, getattr(loss, "ignore_index", None))))


def test_fit_leaves_out_what_does_not_count(dtype, rng):
    """As if those samples were not there, with weights and in what is set aside."""
    loss = SoftmaxCrossEntropy(ignore_index=7)
    _, X, y = problem(SMOOTH[0], dtype, rng, 60)
    y[::4] = 7
    weight, found = rng.uniform(0.5, 2, 60), []
    for keep in (slice(None), y != 7):
        net, _, _ = problem(SMOOTH[0], dtype, np.random.default_rng(1))
        history = fit(
            net, X[keep], y[keep], loss=loss, sample_weight=weight[keep], epochs=3, class_weight="balanced", validation=0.2
        )
        found.append((net.theta, history.train_loss, history.val_loss, history.val_accuracy))
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b, rtol=100 * np.finfo(dtype).eps, atol=100 * np.finfo(dtype).eps)  # weights are rounded twice
    net, _, _ = problem(SMOOTH[0], dtype, rng)
    with pytest.raises(ValueError, match=r"^y holds no sample that counts for SoftmaxCrossEntropy\(ignore_index=7\); expected"):
        fit(net, X, np.full(60, 7), loss=loss)
    with pytest.raises(ValueError, match=r"^y holds no sample that counts"):
        training_step(net, loss, SGD(0.1), 60)(X, np.full(60, 7))
    with pytest.raises(ValueError, match=r"^y holds no sample that counts"):
        loss.value(X[:, :K], np.full(60, 7))


def test_one_output_tells_two_classes_apart(rng):
    """Accuracies, class weights, and samples set aside by class."""
    X = rng.standard_normal((200, 2))
    y = (X[:, 0] > X[:, 1]).astype(int)
    net = Network([Dense(2, 1, "identity", rng=0)])
    history = fit(net, X, y, loss=BinaryCrossEntropy(), optimizer=SGD(1.0), epochs=20, validation=0.2, class_weight="balanced")
    assert history.train_accuracy[-1] > 0.95
    assert all(type(share) is float for share in history.train_accuracy + history.val_accuracy)
    assert history.val_accuracy[-1] > 0.9
    several = Network([Dense(2, 2, "identity", rng=0)])
    history = fit(several, X, np.stack([y, 1 - y], axis=1), loss=BinaryCrossEntropy(), epochs=2)
    assert not history.train_accuracy
    with pytest.warns(UserWarning, match="takes them for logits"):
        training_step(Network([Dense(2, 1, "sigmoid", rng=0)]), BinaryCrossEntropy(), SGD(0.1), 5)


# --- settings ---------------------------------------------------------------------------------------------------------

Z, Y = np.zeros((4, 3)), np.array([0, 2, 1, 2])
REFUSED = {
    "delta 0": (lambda: Huber(0), ValueError, "delta is 0; expected a number > 0"),
    "delta text": (lambda: Huber("a"), TypeError, "delta is 'a'; expected a number"),
    "pos_weight negative": (lambda: BinaryCrossEntropy(-1), ValueError, "pos_weight is -1; expected a finite number >= 0"),
    "pos_weight matrix": (lambda: BinaryCrossEntropy([[1.0]]), ValueError, "pos_weight is [[1.0]]; expected"),
    "pos_weight text": (lambda: BinaryCrossEntropy("a"), TypeError, "pos_weight has dtype"),
    "pos_weights": (lambda: PER_OUTPUT.value(Z, Z), ValueError, "pos_weight has 4 numbers; expected 3, one for each output"),
    "beyond 1": (lambda: BinaryCrossEntropy().value(Z, Z + 2), ValueError, "y has values from 2.0 to 2.0; expected 0 to 1"),
    "NaN": (lambda: BinaryCrossEntropy().value(Z, Z * np.nan), ValueError, "y has values from nan to nan; expected 0 to 1"),
    "smoothing": (lambda: SoftmaxCrossEntropy(1.5), ValueError, "label_smoothing is 1.5; expected a number from 0 to 1"),
    "ignored": (lambda: SoftmaxCrossEntropy(0, 1.5), TypeError, "ignore_index is 1.5; expected an integer"),
    "other labels": (lambda: SMOOTH[2].value(Z, Y - 1), ValueError, "y has values from -1 to 1; expected 0 to 2"),
    "floats": (lambda: SMOOTH[2].value(Z, Y / 2), TypeError, "y has dtype float64; expected integers"),
}


@pytest.mark.parametrize(("call", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_settings(call, error, match):
    with pytest.raises(error, match=f"^{re.escape(match)}") as caught:
        call()
    assert caught.type is error


@every
def test_settings_stay(loss):
    """They are told, and cannot be changed; copies and pickles are equal."""
    for name in ("delta", "pos_weight", "label_smoothing", "reduction"):
        with pytest.raises(AttributeError):
            setattr(loss, name, 1.0)
    for again in (copy.copy(loss), copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert repr(again) == repr(loss)
    assert repr(SMOOTH[1]) == "SoftmaxCrossEntropy(label_smoothing=0.3, ignore_index=1)"
