"""What every public function says to arguments that it cannot take."""

import re
from fractions import Fraction

import cases
import numpy as np
import pytest
from cases import ALONG_AXIS
from numpy.exceptions import AxisError

import fastlec
from fastlec import LogisticObjective, SoftmaxObjective, _check
from fastlec.course import models

MAPS = (*cases.MAPS, lambda x, **options: fastlec.value_and_derivative(x, "tanh", **options))
ids = [f.__name__.replace("<lambda>", "value_and_derivative") for f in ALONG_AXIS + MAPS]
reduction = pytest.mark.parametrize("function", ALONG_AXIS, ids=ids[:3])
elementwise = pytest.mark.parametrize("function", MAPS, ids=ids[3:])
function = pytest.mark.parametrize("function", ALONG_AXIS + MAPS, ids=ids)

NOT_REAL = {
    "complex64": np.ones((3, 4), np.complex64),
    "complex128": np.ones((3, 4), complex),
    "object": np.ones((3, 4), object),
    "<U": np.full((3, 4), "1"),
    "|S": np.full((3, 4), b"1"),
    "longdouble": np.ones((3, 4), np.longdouble),
    "datetime64": np.zeros((3, 4), "M8[s]"),
    "structured": np.zeros((3, 4), [("a", "f8")]),
    "None": None,
    "string": "text",
    "dict": {"a": 1},
}


class Thing:
    """A value that means nothing to fastlec, with one name in every process."""

    def __repr__(self):
        return "Thing()"


not_real = pytest.mark.parametrize("x", NOT_REAL.values(), ids=NOT_REAL)
RAGGED = [[1.0, 2.0], [3.0]]
HUGE = 10**400  # no float64
X = np.arange(12.0).reshape(4, 3)
Y = np.array([0, 1, 2, 1])
THETA = np.zeros(12)


class RequiresGrad:
    requires_grad = True


def refuses(error, match, function, *args, **options):
    with pytest.raises(error, match=match) as caught:
        function(*args, **options)
    assert caught.type is error


# --- functions on arrays ---------------------------------------------------------------------------------------------


@function
@not_real
def test_dtypes_that_do_not_compute(function, x):
    refuses(TypeError, r"^x has dtype .*expected float32, float64, float16, bfloat16, an integer type or bool", function, x)


@function
def test_no_array_at_all(function):
    refuses(ValueError, "^x is no rectangular array", function, RAGGED)
    refuses(TypeError, "^x is a tensor that requires grad", function, RequiresGrad())
    with pytest.raises(TypeError):
        function()


@reduction
@pytest.mark.parametrize("axis", [2, -3, 10**6, 2**70, -(2**70), (0, 2), (-3,)], ids=str)
@pytest.mark.parametrize("x", [X, X.astype(np.float32).T, X.tolist()], ids=["plain", "transposed", "list"])
def test_axis_out_of_range(function, axis, x):
    refuses(AxisError, "axis", function, x, axis=axis)


@reduction
def test_axis_of_a_scalar(function):
    for axis in (-1, 0):
        refuses(AxisError, "axis", function, 3.0, axis=axis)
        refuses(AxisError, "axis", function, np.array(3.0), axis=axis)


@reduction
def test_axis_of_another_kind(function):
    for axis in ((0, 0), (0, -2), (1, -1)):
        refuses(ValueError, "repeated axis in `axis`", function, X, axis=axis)
    for axis in (1.0, "0", (0.5,), [[0]], object(), np.array([0.5])):
        refuses(TypeError, "^axis is .*expected an integer, a tuple of integers or None", function, X, axis=axis)
    with pytest.raises(TypeError):
        function(X, 0, None)


@reduction
@pytest.mark.parametrize("axis", [np.int64(1), np.uint8(1), True, (1,), [1], np.array(1)], ids=repr)
def test_integers_of_every_kind_are_axes(function, axis):
    np.testing.assert_array_equal(function(X, axis=axis), function(X, axis=1))


def bad_outs(shape, dtype):
    """(out, error, message) for a result of this shape and dtype."""
    good = np.zeros(shape, dtype)
    frozen = good.copy()
    frozen.flags.writeable = False
    other = np.float32 if dtype == np.float64 else np.float64
    return [
        (good.tolist(), TypeError, r"expected an ndarray"),
        (7, TypeError, r"is a int; expected an ndarray"),
        ("out", TypeError, r"is a str; expected an ndarray"),
        (good.astype(other), TypeError, f"has dtype {np.dtype(other)}; expected {np.dtype(dtype)}"),
        (good.astype(np.int64), TypeError, f"has dtype int64; expected {np.dtype(dtype)}"),
        (good.astype(good.dtype.newbyteorder("S")), TypeError, "has dtype .*; expected"),
        (np.zeros((*shape, 1), dtype), ValueError, f"has shape .*; expected {re.escape(str(shape))}"),
        (np.zeros([n + 1 for n in shape], dtype), ValueError, f"has shape .*; expected {re.escape(str(shape))}"),
        (np.zeros(shape[::-1], dtype), ValueError, f"has shape .*; expected {re.escape(str(shape))}"),
        (np.zeros(0, dtype), ValueError, f"has shape .*; expected {re.escape(str(shape))}"),
        (frozen, ValueError, "is read-only; expected a writeable array"),
    ]


@function
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("which", range(11))
def test_bad_out(function, dtype, which):
    pair = function is MAPS[-1]
    for x in (np.ones((5, 4, 3), dtype), np.ones((3, 4, 5), dtype).T):
        shape = x.shape[:-1] if function is fastlec.logsumexp else x.shape
        out, error, message = bad_outs(shape, dtype)[which]
        if pair:
            refuses(error, rf"^out\[1\] .*{message}", function, x, out=(np.zeros_like(x), out))
            refuses(error, rf"^out\[0\] .*{message}", function, x, out=(out, None))
        else:
            refuses(error, f"^out .*{message}", function, x, out=out)


OUTS = {
    "matmul": lambda **out: fastlec.matmul(X, X.T, **out),
    "conv2d": lambda **out: fastlec.conv2d(IMAGES, KERNELS, **out),
    "conv2d_jac_mv": lambda **out: fastlec.conv2d_jac_mv(IMAGES, KERNELS, dx=IMAGES, **out),
    "im2col": lambda **out: fastlec.im2col(IMAGES, 3, **out),
    "col2im": lambda **out: fastlec.col2im(np.ones((1, 4, 1)), (1, 1, 2, 2), 2, **out),
    "filter2d": lambda **out: fastlec.filter2d(X, KERNELS[0, 0], **out),
    "correlate2d": lambda **out: fastlec.filters.correlate2d(X, KERNELS[0, 0], **out),
    "gradient_magnitude": lambda **out: fastlec.filters.gradient_magnitude(X, **out),
}


@pytest.mark.parametrize("call", OUTS.values(), ids=OUTS)
def test_out_in_a_tuple(call):
    """As of NumPy's functions: a tuple of one, twice, so that a plan that is kept has it too."""
    expected = call()
    for _ in range(2):
        out = np.full_like(expected, np.nan)
        assert call(out=(out,)) is out
        np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(call(out=(None,)), expected)
    for wrong in ((), (out, out), [out]):
        refuses(TypeError, "^out is a (tuple|list); expected an ndarray", call, out=wrong)


def test_pairs_of_outs():
    for out in (3, np.zeros(4), (np.zeros(4),), (None, None, None)):
        refuses(TypeError, "^out: expected a pair of arrays", fastlec.value_and_derivative, np.zeros(4), "tanh", out=out)


@pytest.mark.parametrize("activation", ["Tanh", "", None, 2, ["tanh"], b"tanh", np.tanh], ids=repr)
def test_unknown_activation(activation):
    refuses(ValueError, "^activation is .*expected one of tanh, sigmoid, relu", fastlec.value_and_derivative, X, activation)


# --- cross-entropy ---------------------------------------------------------------------------------------------------

CROSS_ENTROPY = {
    "no matrix": (np.zeros(3), Y, {}, ValueError, r"^logits has shape \(3,\)"),
    "a scalar": (1.0, 0, {}, ValueError, r"^logits has shape \(\)"),
    "three axes": (np.zeros((2, 2, 2)), Y, {}, ValueError, r"^logits has shape \(2, 2, 2\)"),
    "no samples": (np.zeros((0, 3)), np.zeros(0, int), {}, ValueError, r"^logits has shape \(0, 3\)"),
    "no classes": (np.zeros((4, 0)), Y, {}, ValueError, r"^logits has shape \(4, 0\)"),
    "ragged": (RAGGED, [0, 0], {}, ValueError, "^logits is no rectangular array"),
    "complex": (X + 0j, Y, {}, TypeError, "^logits has dtype complex128"),
    "longdouble": (X.astype(np.longdouble), Y, {}, TypeError, "^logits has dtype"),
    "label too large": (X, [0, 1, 3, 1], {}, ValueError, "^labels has values from 0 to 3; expected 0 to 2"),
    "label negative": (X, np.array([0, 1, -1, 1]), {}, ValueError, "^labels has values from -1 to 1; expected 0 to 2"),
    "label huge": (X, np.full(4, 2**64 - 1, np.uint64), {}, ValueError, "^labels has values"),
    "label wraps": (X, np.full(4, -(2**63)), {}, ValueError, "^labels has values"),
    "too few labels": (X, [0, 1, 2], {}, ValueError, r"^labels has shape \(3,\); expected \(4,\)"),
    "labels as a column": (X, Y[:, None], {}, ValueError, r"^labels has shape \(4, 1\)"),
    "no labels": (X, [], {}, ValueError, r"^labels has shape \(0,\)"),
    "one label": (X, 1, {}, ValueError, r"^labels has shape \(\)"),
    "float labels": (
        X,
        [0.0, 1.0, 2.0, 1.0],
        {},
        TypeError,
        r"^labels has dtype float64; expected integers, or probabilities of shape \(4, 3\)",
    ),
    "string labels": (X, ["0", "1", "2", "1"], {}, TypeError, "^labels has dtype"),
    "object labels": (X, [None] * 4, {}, TypeError, "^labels has dtype object"),
    "complex labels": (X, Y + 0j, {}, TypeError, "^labels has dtype complex128"),
    "complex targets": (X, X + 0j, {}, TypeError, "^labels has dtype complex128"),
    "targets transposed": (X, X.T, {}, ValueError, r"^labels has shape \(3, 4\)"),
    "weights too few": (X, Y, {"sample_weight": [1.0]}, ValueError, r"^sample_weight has shape \(1,\); expected \(4,\)"),
    "weight of all": (X, Y, {"sample_weight": 1.0}, ValueError, r"^sample_weight has shape \(\); expected \(4,\)"),
    "weight negative": (X, Y, {"sample_weight": [1, 1, -1, 1]}, ValueError, "^sample_weight has values from -1.0 to 1.0"),
    "weights zero": (X, Y, {"sample_weight": np.zeros(4)}, ValueError, "^sample_weight has values from 0.0 to 0.0"),
    "weight NaN": (X, Y, {"sample_weight": [1, np.nan, 1, 1]}, ValueError, "^sample_weight has values from nan"),
    "weight infinite": (X, Y, {"sample_weight": [1, np.inf, 1, 1]}, ValueError, "^sample_weight has values from 1.0 to inf"),
    "weights of both": (X, Y, {"sample_weight": [-np.inf, np.inf, 1, 1]}, ValueError, "^sample_weight has values from -inf"),
    "weight complex": (X, Y, {"sample_weight": Y + 0j}, TypeError, "^sample_weight has dtype complex128"),
    "weight text": (X, Y, {"sample_weight": ["a"] * 4}, TypeError, "^sample_weight has dtype"),
    "grad_out shape": (X, Y, {"grad_out": np.zeros((3, 4))}, ValueError, r"^grad_out has shape \(3, 4\); expected \(4, 3\)"),
    "grad_out dtype": (X, Y, {"grad_out": np.zeros((4, 3), "f4")}, TypeError, "^grad_out has dtype float32; expected float64"),
    "grad_out list": (X, Y, {"grad_out": X.tolist()}, TypeError, "^grad_out is a list; expected an ndarray"),
    "grad_out fixed": (X, Y, {"grad_out": np.broadcast_to(0.0, (4, 3))}, ValueError, "^grad_out is read-only"),
}


@pytest.mark.parametrize(("logits", "labels", "options", "error", "match"), CROSS_ENTROPY.values(), ids=CROSS_ENTROPY)
def test_cross_entropy_refuses(logits, labels, options, error, match):
    refuses(error, match, fastlec.softmax_cross_entropy, logits, labels, **options)


# --- objectives ------------------------------------------------------------------------------------------------------

OBJECTIVES = {
    "X flat": (np.zeros(4), Y, {}, ValueError, r"^X has shape \(4,\)"),
    "X empty": (np.zeros((0, 3)), [], {}, ValueError, r"^X has shape \(0, 3\)"),
    "X without features": (np.zeros((4, 0)), Y, {}, ValueError, r"^X has shape \(4, 0\)"),
    "X ragged": (RAGGED, [0, 1], {}, ValueError, "^X is no rectangular array"),
    "X complex": (X + 0j, Y % 2, {}, TypeError, "^X has dtype complex128"),
    "X text": (X.astype(str), Y % 2, {}, TypeError, "^X has dtype"),
    "X object": (X.astype(object), Y % 2, {}, TypeError, "^X has dtype object"),
    "y too short": (X, [0, 1], {}, ValueError, r"^y has shape \(2,\); expected \(4,\)"),
    "y as a column": (X, Y[:, None], {}, ValueError, r"^y has shape \(4, 1\)"),
    "y float": (X, Y + 0.0, {}, TypeError, "^y has dtype float64; expected integers"),
    "y text": (X, list("abca"), {}, TypeError, "^y has dtype"),
    "y negative": (X, Y - 1, {}, ValueError, "^y has values from -1 to 1"),
    "weights negative": (X, Y % 2, {"sample_weight": [1, 1, 1, -1]}, ValueError, "^sample_weight has values from -1.0"),
    "weights zero": (X, Y % 2, {"sample_weight": np.zeros(4)}, ValueError, "^sample_weight has values from 0.0 to 0.0"),
    "weights NaN": (X, Y % 2, {"sample_weight": np.full(4, np.nan)}, ValueError, "^sample_weight has values from nan"),
    "weights short": (X, Y % 2, {"sample_weight": [1.0]}, ValueError, r"^sample_weight has shape \(1,\)"),
    "l2 negative": (X, Y % 2, {"l2": -0.1}, ValueError, "^l2 is -0.1; expected a finite number >= 0"),
    "l2 NaN": (X, Y % 2, {"l2": np.nan}, ValueError, "^l2 is nan; expected a finite number >= 0"),
    "l2 infinite": (X, Y % 2, {"l2": np.inf}, ValueError, "^l2 is inf; expected a finite number >= 0"),
    "l2 text": (X, Y % 2, {"l2": "small"}, TypeError, "^l2 is 'small'; expected a number"),
    "l2 complex": (X, Y % 2, {"l2": 1j}, TypeError, "^l2 is 1j; expected a number"),
    "l2 array": (X, Y % 2, {"l2": np.ones(2)}, TypeError, r"^l2 is array\(.*; expected a number"),
    "l2 array of one": (X, Y % 2, {"l2": np.ones(1)}, TypeError, r"^l2 is array\(.*; expected a number"),
}
SOFTMAX = {
    "label too large": (X, Y, {"n_classes": 2}, ValueError, "^y has values from 0 to 2; expected 0 to 1"),
    "one class": (X, Y, {"n_classes": 1}, ValueError, "^n_classes is 1; expected at least 2"),
    "no class": (X, Y, {"n_classes": -3}, ValueError, "^n_classes is -3; expected at least 2"),
    "n_classes float": (X, Y, {"n_classes": 3.0}, TypeError, "^n_classes is 3.0; expected an integer"),
    "n_classes text": (X, Y, {"n_classes": "3"}, TypeError, "^n_classes is '3'; expected an integer"),
    "n_classes array": (X, Y, {"n_classes": np.array([3])}, TypeError, r"^n_classes is array\(\[3\]\); expected an integer"),
}


@pytest.mark.parametrize("objective", [SoftmaxObjective, LogisticObjective])
@pytest.mark.parametrize(("X", "y", "options", "error", "match"), OBJECTIVES.values(), ids=OBJECTIVES)
def test_objectives_refuse(objective, X, y, options, error, match):
    refuses(error, match, objective, X, y, **options)


@pytest.mark.parametrize(("X", "y", "options", "error", "match"), SOFTMAX.values(), ids=SOFTMAX)
def test_softmax_objective_refuses(X, y, options, error, match):
    refuses(error, match, SoftmaxObjective, X, y, **options)


def test_logistic_takes_two_classes():
    refuses(ValueError, "^y has values from 0 to 2; expected 0 to 1", LogisticObjective, X, Y)


@pytest.mark.parametrize("n_classes", [2**40, 2**60, 2**62, 2**63, 2**200])
def test_more_classes_than_memory(n_classes):
    """Sizes that overflow are errors, at once or when theta is made."""
    with pytest.raises((ValueError, MemoryError)):
        SoftmaxObjective(X, Y, n_classes).value(THETA)


THETAS = {
    "short": (np.zeros(11), ValueError, r"has shape \(11,\); expected \(12,\): 3 x 3 weights and 3 biases"),
    "long": (np.zeros(13), ValueError, r"has shape \(13,\); expected \(12,\)"),
    "empty": ([], ValueError, r"has shape \(0,\); expected \(12,\)"),
    "a matrix": (np.zeros((3, 4)), ValueError, r"has shape \(3, 4\); expected \(12,\)"),
    "a scalar": (0.0, ValueError, r"has shape \(\); expected \(12,\)"),
    "complex": (np.zeros(12, complex), TypeError, "has dtype complex128"),
    "object": (np.zeros(12, object), TypeError, "has dtype object"),
    "text": (["0"] * 12, TypeError, "has dtype"),
    "ragged": (RAGGED, ValueError, "is no rectangular array"),
    "nothing": (None, TypeError, "has dtype object"),
}
METHODS = (
    "value",
    "gradient",
    "value_and_gradient",
    "hessian",
    "hessian_operator",
    "data_gradient",
    "predict_proba",
    "predict",
    "unpack",
)


@pytest.mark.parametrize(("theta", "error", "match"), THETAS.values(), ids=THETAS)
def test_bad_theta(theta, error, match):
    f = SoftmaxObjective(X, Y)
    for method in [*METHODS, "unpack"]:
        refuses(error, f"^theta {match}", getattr(f, method), theta)
    refuses(error, f"^theta {match}", f.hessian_mv, theta, THETA)
    refuses(error, f"^v {match}", f.hessian_mv, THETA, theta)


BATCHES = {
    "too large": [0, 4],
    "too small": [-5],
    "empty": [],
    "empty slice": slice(2, 2),
    "one number": 2,
    "floats": [0.0, 1.0],
    "text": "all",
    "mask too short": np.ones(3, bool),
    "mask of nothing": np.zeros(4, bool),
    "a matrix": [[0, 1], [2, 3]],
    "two indices": (slice(None), slice(None)),
    "samples and features": ([0, 1], [0, 1]),
    "slice of text": slice("a", "b"),
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_bad_batch(batch):
    f = SoftmaxObjective(X, Y)
    for method in ("value", "gradient", "value_and_gradient"):
        with pytest.raises((ValueError, TypeError), match=r"^batch "):
            getattr(f, method)(THETA, batch)


def test_batch_without_weight():
    f = SoftmaxObjective(X, Y, sample_weight=[1, 0, 0, 1])
    refuses(ValueError, r"^sample_weight\[batch\] has values from 0.0 to 0.0", f.value, THETA, [1, 2])


@pytest.mark.parametrize("method", ["predict_proba", "predict"])
def test_other_samples_must_fit(method):
    for objective in (SoftmaxObjective(X, Y), LogisticObjective(X, Y % 2)):
        theta, predict = np.zeros(objective.n_params), getattr(objective, method)
        refuses(ValueError, r"^X has shape \(2, 4\); expected \(2, 3\)", predict, theta, np.zeros((2, 4)))
        refuses(ValueError, r"^X has shape \(3,\)", predict, theta, np.zeros(3))
        refuses(ValueError, r"^X has shape \(0, 3\)", predict, theta, np.zeros((0, 3)))
        refuses(TypeError, "^X has dtype complex128", predict, theta, np.zeros((2, 3), complex))
        refuses(ValueError, "^X is no rectangular array", predict, theta, RAGGED)


def test_a_hessian_too_large():
    f = SoftmaxObjective(np.zeros((2, 30000)), [0, 1])
    refuses(MemoryError, "^the Hessian of 60002 parameters is larger than 2 GiB", f.hessian, np.zeros(f.n_params))


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", np.array([2])], ids=repr)
def test_thread_limits(n):
    with pytest.raises((ValueError, TypeError), match=r"^n is "):
        fastlec.set_num_threads(n)


def test_refusals_leave_out_alone():
    for call in (
        lambda out: fastlec.softmax(X + 0j, out=out),
        lambda out: fastlec.softmax(X, axis=5, out=out),
        lambda out: fastlec.tanh([["a"]], out=out),
        lambda out: fastlec.softmax_cross_entropy(X, [0, 1, 2, 9], grad_out=out),
        lambda out: fastlec.value_and_derivative(X, "tanh", out=(out, np.zeros(3))),
    ):
        out = np.full((4, 3), 7.0)
        with pytest.raises((TypeError, ValueError)):
            call(out)
        assert (out == 7).all()


# --- what every argument of a kind has in common ---------------------------------------------------------------------


def masked(a):
    return np.ma.array(a, mask=np.zeros(np.shape(a), bool))


def momentum_step():
    net = fastlec.Network([fastlec.Dense(3, 2)])
    return fastlec.training_step(net, fastlec.MeanSquaredError(), fastlec.SGD(0.1, momentum=0.9), 4)


IMAGES, KERNELS = np.ones((2, 3, 6, 6)), np.ones((4, 3, 3, 3))
MASKED = {
    "softmax": ("x", lambda: fastlec.softmax(masked(X))),
    "softmax of a list": ("x", lambda: fastlec.softmax([masked(row) for row in X])),
    "tanh": ("x", lambda: fastlec.tanh(masked(X))),
    "labels": ("labels", lambda: fastlec.softmax_cross_entropy(X, masked(Y - 1))),
    "sample_weight": ("sample_weight", lambda: fastlec.softmax_cross_entropy(X, Y, sample_weight=masked(np.ones(4)))),
    "b": ("b", lambda: fastlec.matmul(X, masked(X.T))),
    "W": ("W", lambda: fastlec.conv2d(IMAGES, masked(KERNELS))),
    "dx": ("dx", lambda: fastlec.conv2d_jac_mv(IMAGES, KERNELS, dx=masked(IMAGES))),
    "v": ("v", lambda: fastlec.conv2d_jac_tmv(masked(np.ones((2, 4, 4, 4))), IMAGES, KERNELS)),
    "columns": ("columns", lambda: fastlec.col2im(masked(np.ones((1, 4, 1))), (1, 1, 2, 2), 2)),
    "image": ("image", lambda: fastlec.filter2d(masked(X), KERNELS[0, 0])),
    "kernel": ("kernel", lambda: fastlec.filter2d(X, masked(KERNELS[0, 0]))),
    "layer": ("x", lambda: fastlec.Dense(3, 2)(masked(X))),
    "direction": ("W", lambda: fastlec.Dense(3, 2).linearize(X)[1].mv(W=masked(np.ones((2, 3))))),
    "objective": ("X", lambda: SoftmaxObjective(masked(X), Y)),
    "y": ("y", lambda: LogisticObjective(X, masked(Y % 2))),
    "theta": ("theta", lambda: SoftmaxObjective(X, Y).value(masked(THETA))),
    "batch": ("batch", lambda: SoftmaxObjective(X, Y).value(THETA, batch=masked([0, 1]))),
    "state": ("state0", lambda: setattr(momentum_step(), "state", {"count": 0, "state0": masked(np.zeros(8))})),
    "model": ("W", lambda: fastlec.io.save_model("none.npz", models.SoftmaxModel(masked(np.ones((2, 3))), np.ones(2)))),
    "saved": (r"arrays\['a'\]", lambda: fastlec.io.save_arrays("none.npz", {"a": masked(X)}, {})),
    "gradient_test": ("x", lambda: fastlec.testing.gradient_test(np.sum, np.ones_like, masked(X))),
    "jacobian_test": ("d", lambda: fastlec.testing.jacobian_test(np.sin, lambda x, v: np.cos(x) * v, X, d=masked(X))),
    "reference": ("x", lambda: fastlec.reference.tanh(masked(X))),
}


@pytest.mark.parametrize(("name", "call"), MASKED.values(), ids=MASKED)
def test_masks_are_refused_for_no_kernel_knows_them(name, call):
    refuses(TypeError, rf"^{name} is a masked array; expected a plain array: fill it, e\.g\. {name}\.filled\(0\)", call)


def test_masked_outs_and_numbers():
    refuses(TypeError, "^out is a MaskedArray; expected an ndarray", fastlec.relu, X, out=masked(X.copy()))
    refuses(TypeError, "^cval is .*; expected a number", fastlec.filter2d, X, KERNELS[0, 0], cval=np.ma.masked)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_other_subclasses_are_arrays():
    np.testing.assert_array_equal(fastlec.softmax(np.matrix(X)), fastlec.softmax(X))


@function
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i4", "u2"])
def test_byte_orders_are_no_other_dtypes(function, kind):
    swapped = X.astype(np.dtype(kind).newbyteorder("S"))
    np.testing.assert_array_equal(function(swapped), function(X.astype(kind)))


@pytest.mark.parametrize(
    "dtype", ["int32", "f2", ">f4", "nonsense", None, Thing(), 5, [("a", float)], "f4,f4", np.floating, complex], ids=repr
)
def test_a_wrong_dtype_is_called_a_dtype(dtype):
    for make in (
        lambda: fastlec.Dense(3, 2, dtype=dtype),
        lambda: fastlec.Residual(3, dtype=dtype),
        lambda: fastlec.Conv2d(3, 2, 3, dtype=dtype),
        lambda: fastlec.BatchNorm2d(3, dtype=dtype),
        lambda: fastlec.data.digits(dtype),
        lambda: fastlec.data.load("none.csv", dtype=dtype),
    ):
        refuses(TypeError, "^dtype is .*; expected float32 or float64", make)


INTEGERS = {
    "n_in": lambda n: fastlec.Dense(n, 2),
    "n": lambda n: fastlec.Residual(n),
    "c_in": lambda n: fastlec.Conv2d(n, 2, 3),
    "kernel_size": lambda n: fastlec.MaxPool2d(n),
    "c": lambda n: fastlec.BatchNorm2d(n),
    "stride": lambda n: fastlec.conv2d(IMAGES, KERNELS, stride=n),
    "dilation": lambda n: fastlec.conv2d(IMAGES, KERNELS, dilation=n),
    "padding": lambda n: fastlec.conv2d(IMAGES, KERNELS, padding=n),
    "groups": lambda n: fastlec.conv2d(IMAGES, KERNELS, groups=n),
    "shape[0]": lambda n: fastlec.col2im(np.ones((1, 4, 1)), (n, 1, 2, 2), 2),
    "n_classes": lambda n: SoftmaxObjective(X, Y, n),
    "size": lambda n: fastlec.filters.gaussian(n),
    "n_features": lambda n: fastlec.data.load("none.csv", n_features=n),
}


@pytest.mark.parametrize("n", [2**63, 10**30, HUGE, -HUGE, 10**5000], ids=["2^63", "10^30", "10^400", "-10^400", "10^5000"])
@pytest.mark.parametrize("name", INTEGERS)
def test_integers_that_count_nothing(name, n):
    refuses(
        ValueError, rf"^{re.escape(name)} is (an integer of [0-9]+ bits|[0-9]+); expected at (most|least)", INTEGERS[name], n
    )


NUMBERS = {
    "l2": lambda a: SoftmaxObjective(X, Y, l2=a),
    "lr": lambda a: fastlec.SGD(a),
    "eps": lambda a: fastlec.BatchNorm2d(2, a),
    "cval": lambda a: fastlec.filter2d(X, KERNELS[0, 0], cval=a),
    "sigma": lambda a: fastlec.filters.gaussian(sigma=a),
    "amount": lambda a: fastlec.filters.unsharp(a),
    "scale": lambda a: fastlec.data.load("none.csv", scale=a),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_are_none(name):
    for value in (HUGE, -HUGE, 10**5000, Fraction(HUGE)):
        refuses(ValueError, f"^{name} is .*; expected a number that float64 holds", NUMBERS[name], value)
    for value in ("1", b"1", 1j, object(), [1.0, 2.0]):
        refuses(TypeError, f"^{name} is .*; expected a number", NUMBERS[name], value)


SIZES = {
    "Dense": lambda: fastlec.Dense(2**40, 1),
    "Dense, many outputs": lambda: fastlec.Dense(1, 2**40, dtype=np.float32),
    "Residual": lambda: fastlec.Residual(2**21),
    "Conv2d": lambda: fastlec.Conv2d(2**20, 2**20, 3),
    "BatchNorm2d": lambda: fastlec.BatchNorm2d(2**40),
    "beyond 64 bits": lambda: fastlec.Dense(2**62, 2**62),
}


@pytest.mark.parametrize("make", SIZES.values(), ids=SIZES)
def test_layers_that_memory_cannot_hold(make):
    refuses(
        MemoryError,
        r"^(weights of shape \(.*\)|a layer of .* channels) would take more memory than this machine has left",
        make,
    )


def test_a_containers_limit_counts_as_its_memory(tmp_path):
    whole = _check.memory_size(tmp_path)
    assert whole > 1 << 20
    (tmp_path / "memory").mkdir()
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        (tmp_path / name).write_text("max\n")
        assert _check.memory_size(tmp_path) == whole
        (tmp_path / name).write_text("1000000\n")
        assert _check.memory_size(tmp_path) == 1_000_000
        (tmp_path / name).unlink()


@pytest.mark.parametrize("value", ["no", None, 2, np.zeros(2)], ids=repr)
def test_flags(value):
    refuses(TypeError, "^bias is .*; expected True or False", fastlec.Dense, 3, 2, bias=value)
    refuses(TypeError, "^bias is .*; expected True or False", fastlec.Conv2d, 3, 2, 3, bias=value)
    refuses(TypeError, "^training is .*; expected True or False", fastlec.BatchNorm2d, 3, training=value)
    assert list(fastlec.Dense(3, 2, bias=np.False_).params) == ["W"]


@pytest.mark.parametrize("seed", [Thing(), -3, "seed", 1.5], ids=repr)
def test_seeds(seed):
    with pytest.raises((TypeError, ValueError), match=r"^rng is .*; expected a seed"):
        fastlec.Dense(3, 2, rng=seed)


@pytest.mark.parametrize("wrt", [5, None, Thing(), 1.5], ids=repr)
def test_names(wrt):
    v = np.ones((2, 4, 4, 4))
    refuses(TypeError, "^wrt is .*; expected a name or several", fastlec.conv2d_jac_tmv, v, IMAGES, KERNELS, wrt=wrt)


def test_messages_name_public_classes():
    for make in (fastlec.AvgPool2d, fastlec.MaxPool2d, fastlec.CosineDecay(0.1, 3)):
        with pytest.raises(TypeError, match=r"^[A-Z]"):
            make()


ITSELF = []
ITSELF.append(ITSELF)
VERY_LONG = 10**5000  # Python refuses to write it as text
RAGGED = [[1, 2], [3]]
DEEP = np.ones((1,) * 63 + (3,))
NET = fastlec.Network([fastlec.Dense(3, 2, rng=0)])

ODD = {
    "a list that holds itself": ("x", lambda: fastlec.softmax(ITSELF)),
    "a seed that holds itself": ("rng", lambda: fastlec.Dense(3, 2, rng=ITSELF)),
    "a class": ("out", lambda: fastlec.softmax(X, out=fastlec.Dense)),
    "bias": ("bias", lambda: fastlec.Dense(3, 2, "tanh", 10)),
    "bias of filters": ("bias", lambda: fastlec.Conv2d(3, 2, 3, "tanh", "no")),
    "training": ("training", lambda: fastlec.BatchNorm2d(3, training="no")),
    "a very long integer": ("fit_bias", lambda: SoftmaxObjective(X, Y, fit_bias=VERY_LONG)),
    "one in a list": ("betas", lambda: fastlec.Adam(betas=[VERY_LONG])),
    "monitor": ("monitor", lambda: fastlec.EarlyStopping(monitor=np.zeros(0))),
    "mode": ("mode", lambda: fastlec.show_config(np.zeros(0))),
    "batch": ("batch", lambda: SoftmaxObjective(X, Y).value(THETA, 2**63)),
    "ragged batch": ("batch", lambda: SoftmaxObjective(X, Y).value(THETA, RAGGED)),
    "params": ("params", lambda: NET.with_params(None)),
    "text for params": ("params", lambda: fastlec.Flatten().with_params("")),
    "a ragged parameter": ("params['W']", lambda: fastlec.Dense(3, 2).with_params({"W": RAGGED, "b": np.zeros(2)})),
    "wrt": ("wrt", lambda: NET.linearize(X)[1].tmv(np.ones((4, 2)), wrt=np.ones((3, 0)))),
    "shape": ("shape", lambda: NET.output_shape(None)),
    "shape of images": ("shape", lambda: fastlec.AvgPool2d(2).output_shape(None)),
    "input_shape": ("input_shape", lambda: NET.summary(RAGGED)),
    "layers": ("layers", lambda: fastlec.Network(np.array(2.0))),
    "path": ("path", lambda: NET.save(None)),
    "path of bytes": ("path", lambda: fastlec.Network.load(b"net.npz")),
    "path of data": ("path", lambda: fastlec.data.load(None)),
    "seed": ("seed", lambda: fastlec.data.split(Y, seed="one")),
    "axis": ("axis", lambda: fastlec.reference.softmax(X, axis=10**30)),
    "no axis": ("axis", lambda: fastlec.reference.log_softmax(X, axis=())),
    "f": ("f", lambda: fastlec.testing.gradient_test(None, np.cos, X)),
    "jac_mv": ("jac_mv", lambda: fastlec.testing.jacobian_test(np.sin, None, X)),
    "jac_tmv": ("jac_tmv", lambda: fastlec.testing.transpose_test(np.multiply, None, X)),
    "layer": ("layer", lambda: fastlec.testing.check_layer(np.sin, X)),
    "name": ("name", lambda: fastlec.testing.gradient_test(np.sum, np.ones_like, X, name=3)),
}


@pytest.mark.parametrize(("name", "call"), ODD.values(), ids=ODD)
def test_odd_arguments_are_named(name, call):
    with pytest.raises((TypeError, ValueError), match=rf"^{re.escape(name)} .*") as caught:
        call()
    assert not re.search(r"\b_\w", str(caught.value))


def test_derivative_tests_take_as_many_axes_as_numpy():
    def product(x, v):
        return np.cos(x) * v

    fastlec.testing.jacobian_test(np.sin, product, DEEP).assert_passed()
    assert fastlec.reference.log_softmax(DEEP).shape == DEEP.shape


def test_derivative_tests_of_huge_values_do_not_warn():
    huge = np.full((2, 3), 1e308)
    assert not fastlec.testing.jacobian_test(np.tanh, lambda x, v: v, huge).passed
    assert not fastlec.testing.check_layer(fastlec.Dense(3, 2, rng=0), huge).passed


MODEL = models.SoftmaxModel(np.ones((3, 3)), np.zeros(3))
ODD_FILES = {
    "y": ("y", lambda: fastlec.data.split(Y[:, None])),
    "fraction": ("fraction", lambda: fastlec.data.split(Y, fraction=None)),
    "labels": ("y", lambda: fastlec.data.class_count([0.0, np.inf], "data")),
    "model": ("model", lambda: fastlec.io.save_model("model.npz", None)),
    "arrays": ("arrays", lambda: fastlec.io.save_arrays("arrays.npz", None, {})),
    "an array": ("arrays['a']", lambda: fastlec.io.save_arrays("arrays.npz", {"a": None}, {})),
    "meta": ("meta", lambda: fastlec.io.save_arrays("arrays.npz", {}, {"a": 1j})),
    "solver": ("solver", lambda: fastlec.training.minimize_scipy(SoftmaxObjective(X, Y), THETA, ["lbfgs"])),
    "model to predict": ("model", lambda: models.predict(None, X)),
    "features": ("X", lambda: models.predict(MODEL, None)),
    "a sample": ("X", lambda: models.predict(MODEL, X[0])),
}


@pytest.mark.parametrize(("name", "call"), ODD_FILES.values(), ids=ODD_FILES)
def test_odd_arguments_of_models_and_files_are_named(name, call):
    with pytest.raises((TypeError, ValueError), match=rf"^{re.escape(name)} .*"):
        call()
