"""SoftmaxCrossEntropy and MeanSquaredError: against fastlec.reference, their Hessians, targets that fit and that do not."""

import copy
import pickle
import re

import cases
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastlec
from fastlec import MeanSquaredError, SoftmaxCrossEntropy, reference
from fastlec.testing import gradient_test, jacobian_test, transpose_test

CROSS, SQUARES = SoftmaxCrossEntropy(), MeanSquaredError()
losses = pytest.mark.parametrize("loss", [CROSS, SQUARES], ids=repr)
SHAPES = [(1, 1), (1, 2), (3, 10), (17, 3), (65, 17), (300, 40), (5, 1000), (4000, 5)]


def case(loss, shape, dtype, rng):
    """(output, y)."""
    output = (3 * rng.standard_normal(shape)).astype(dtype)
    if loss is CROSS:
        return output, rng.integers(0, shape[1], shape[0])
    return output, rng.standard_normal(shape).astype(dtype)


def probabilities(shape, dtype, rng):
    return rng.dirichlet(np.ones(shape[1]), shape[0]).astype(dtype)


@cases.parametrize("shape", SHAPES)
def test_cross_entropy_is_the_function(shape, isa, dtype, rng, frozen):
    """The bits of fastlec.softmax_cross_entropy, whose accuracy its own tests show; labels or probabilities."""
    output, labels = case(CROSS, shape, dtype, rng)
    for y in (labels, probabilities(shape, dtype, rng)):
        output, y = frozen(output, y)
        loss, gradient = CROSS.value_and_gradient(output, y)
        expected, expected_gradient = fastlec.softmax_cross_entropy(output, y)
        assert type(loss) is float
        assert CROSS.value(output, y) == loss == expected
        assert_array_equal(gradient, expected_gradient, strict=True)


@cases.parametrize("shape", SHAPES)
def test_squares_agree_with_the_reference(shape, isa, dtype, rng, frozen):
    """One rounding of each difference and its multiple; n squares add up in float64, where n roundings are worth sqrt(n)."""
    output, y = frozen(*case(SQUARES, shape, dtype, rng))
    loss, gradient = SQUARES.value_and_gradient(output, y)
    eps = float(np.finfo(dtype).eps)
    expected, expected_gradient = reference.mean_squared_error(output, y)
    assert type(loss) is float
    assert SQUARES.value(output, y) == loss
    assert_allclose(loss, expected, rtol=2 * eps + np.sqrt(output.size) * np.finfo(np.float64).eps / 2)
    assert_allclose(gradient, expected_gradient, rtol=2 * eps)
    assert gradient.dtype == dtype


def test_squares_add_up_in_float64(isa):
    """A million of them in float32, each exact: their mean is too."""
    output, y = np.full((1000, 1000), 3, np.float32), np.zeros((1000, 1000), np.float32)
    output[::2] = 1.5
    assert SQUARES.value(output, y) == (9 + 2.25) / 2
    assert_array_equal(SQUARES.value_and_gradient(output, y)[1][0], np.float32(2 * 1.5 / 1e6))


def test_squares_of_any_shape(isa, dtype, rng):
    """(m,) for one output, also where it is no matrix; images."""
    shapes = [((6, 1), (6,)), ((6, 1), (6, 1)), ((6,), (6,)), ((6, 1, 1), (6,)), ((2, 3, 4, 5), (2, 3, 4, 5)), ((), ())]
    for shape, target in shapes:
        output, y = rng.standard_normal(shape).astype(dtype), rng.standard_normal(target).astype(dtype)
        loss, gradient = SQUARES.value_and_gradient(output, y)
        difference = output - y.reshape(shape)
        assert_allclose(loss, np.mean(difference.astype(float) ** 2), rtol=4 * np.finfo(dtype).eps)
        assert gradient.shape == shape
        assert_allclose(gradient, 2 * difference / difference.size, rtol=2 * np.finfo(dtype).eps)


@losses
def test_teams_agree_bit_by_bit(loss, isa, dtype, threads, rng):
    output, y = case(loss, (20_000, 10), dtype, rng)
    value, gradient = loss.value_and_gradient(output, y)
    fastlec.set_num_threads(1)
    again = loss.value_and_gradient(output, y)
    assert again[0] == value
    assert_array_equal(again[1], gradient)


@losses
@cases.layouts
def test_any_layout_gives_the_same_bits(layout, loss, isa, dtype, rng):
    output, y = case(loss, (23, 6), dtype, rng)
    value, gradient = loss.value_and_gradient(output, y)
    found = loss.value_and_gradient(layout(output), layout(y))
    assert found[0] == value == loss.value(layout(output), layout(y))
    assert_array_equal(found[1], gradient, strict=True)
    v = rng.standard_normal((23, 6)).astype(dtype)
    assert_array_equal(loss.hessian_mv(layout(output), layout(y), layout(v)), loss.hessian_mv(output, y, v), strict=True)


@losses
@cases.writeable_layouts
def test_gradients_into_any_layout(layout, loss, isa, dtype, rng):
    """Also into the output itself, and over it."""
    output, y = case(loss, (23, 6), dtype, rng)
    value, gradient = loss.value_and_gradient(output, y)
    out = layout(np.full((23, 6), np.nan, dtype))
    found = loss.value_and_gradient(output, y, grad_out=out)
    assert found[0] == value
    assert found[1] is out
    assert_array_equal(out, gradient)
    own = layout(output)
    assert loss.value_and_gradient(own, y, grad_out=own)[0] == value
    assert_array_equal(own, gradient)
    own = output.copy()
    loss.value_and_gradient(own, y, grad_out=own[::-1])
    assert_array_equal(own[::-1], gradient)


@losses
@pytest.mark.parametrize("labels", [True, False], ids=["labels", "probabilities"])
def test_derivatives(loss, labels, rng):
    """The lecture's tests: of the gradient, of the Hessian as its Jacobian, of its symmetry."""
    output, y = case(loss, (7, 4), np.float64, rng)
    y = y if labels else probabilities((7, 4), np.float64, rng)
    gradient_test(lambda z: loss.value(z, y), lambda z: loss.value_and_gradient(z, y)[1], output, rng=1).assert_passed()
    if loss is CROSS:
        jacobian_test(
            lambda z: loss.value_and_gradient(z, y)[1], lambda z, v: loss.hessian_mv(z, y, v), output, rng=2
        ).assert_passed()
    transpose_test(lambda z, v: loss.hessian_mv(z, y, v), lambda z, v: loss.hessian_mv(z, y, v), output, rng=3).assert_passed()


@cases.parametrize("shape", SHAPES[:-1])
def test_hessians(shape, isa, dtype, rng):
    """(diag(p) - p p') / m for each sample, and 2 / (m k): against the formulas in float64."""
    output, y = case(CROSS, shape, dtype, rng)
    v = rng.standard_normal(shape).astype(dtype)
    eps = float(np.finfo(dtype).eps)
    p = reference.softmax(output)
    mean = (p * v).sum(axis=1, keepdims=True)
    found = CROSS.hessian_mv(output, y, v)
    assert found.dtype == dtype
    size = p * (np.abs(v) + (p * np.abs(v)).sum(axis=1, keepdims=True)) / len(p)
    spread = np.ptp(output, axis=1, keepdims=True)  # exp's rounding of x - top
    assert (np.abs(found - p * (v - mean) / len(p)) <= eps * (16 + 4 * spread + np.sqrt(shape[1])) * size).all()
    found = SQUARES.hessian_mv(output, v, v)
    assert found.dtype == dtype
    assert_allclose(found, 2 * v.astype(float) / v.size, rtol=2 * eps)


def test_the_hessian_of_cross_entropy_is_positive_semidefinite(rng):
    output, y = case(CROSS, (6, 4), np.float64, rng)
    H = np.array([CROSS.hessian_mv(output, y, e.reshape(6, 4)).ravel() for e in np.eye(24)])
    assert_allclose(H, H.T, atol=1e-17)
    assert np.linalg.eigvalsh(H).min() > -1e-16
    ones = np.ones((6, 4))
    assert_allclose(CROSS.hessian_mv(output, y, ones), 0, atol=1e-16)  # the same added to all logits changes nothing


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity(value, isa, dtype, rng):
    """Are seen in the loss."""
    for loss in (CROSS, SQUARES):
        output, y = case(loss, (40, 5), dtype, rng)
        output[17, 3] = value
        assert not np.isfinite(loss.value(output, y))
        _, gradient = loss.value_and_gradient(output, y)
        assert np.isfinite(np.delete(gradient, 17, axis=0)).all()
        assert not np.isfinite(gradient[17]).all()


@pytest.mark.parametrize("kind", [np.int8, np.uint64, np.bool_, np.longlong, list])
def test_labels_of_other_dtypes(kind, isa, dtype, rng):
    output = rng.standard_normal((9, 2)).astype(dtype)
    y = rng.integers(0, 2, 9)
    given = y.tolist() if kind is list else y.astype(kind)
    assert CROSS.value(output, given) == CROSS.value(output, y)


@losses
@pytest.mark.parametrize("kind", [np.int8, np.int64, np.bool_, np.float16, list])
def test_outputs_of_other_dtypes(kind, loss, isa, rng):
    output, y = rng.integers(0, 2, (9, 4)), rng.integers(0, 2, (9, 4) if loss is SQUARES else 9)
    given = output.tolist() if kind is list else output.astype(kind)
    plain = output.astype(np.float32 if kind is np.float16 else np.float64)
    value, gradient = loss.value_and_gradient(given, y)
    expected = loss.value_and_gradient(plain, y)
    assert value == expected[0]
    assert_array_equal(gradient, expected[1], strict=True)


@losses
def test_targets_of_another_dtype_are_taken_in_that_of_the_output(loss, dtype, rng):
    other = np.float32 if dtype == np.float64 else np.float64
    output = rng.standard_normal((9, 4)).astype(dtype)
    y = (rng.random((9, 4)) > 0.5).astype(other)
    value, gradient = loss.value_and_gradient(output, y)
    assert gradient.dtype == dtype
    assert value == loss.value(output, y.astype(dtype))


def test_names():
    assert repr(CROSS) == "SoftmaxCrossEntropy()"
    assert repr(SQUARES) == "MeanSquaredError()"


Z, Y, T = np.zeros((4, 3)), np.array([0, 2, 1, 2]), np.zeros((4, 3))
REFUSED = {
    "labels too large": (CROSS, (Z, Y + 1), ValueError, "y has values from 1 to 3; expected 0 to 2"),
    "labels negative": (CROSS, (Z, Y - 1), ValueError, "y has values from -1 to 1; expected 0 to 2"),
    "labels negative, narrow": (CROSS, (Z, (Y - 1).astype(np.int8)), ValueError, "y has values from -1 to 1; expected 0 to 2"),
    "too few labels": (CROSS, (Z, Y[:3]), ValueError, "y has shape (3,); expected (4,)"),
    "a column of labels": (CROSS, (Z, Y[:, None]), ValueError, "y has shape (4, 1); expected (4,) integers or (4, 3)"),
    "float labels": (CROSS, (Z, Y + 0.0), TypeError, "y has dtype float64; expected integers, or probabilities of shape"),
    "text labels": (CROSS, (Z, list("abca")), TypeError, "y has dtype"),
    "complex targets": (CROSS, (Z, T + 0j), TypeError, "y has dtype complex128"),
    "targets transposed": (CROSS, (Z, T.T), ValueError, "y has shape (3, 4); expected"),
    "no matrix": (CROSS, (np.zeros(4), Y), ValueError, "output has shape (4,); expected"),
    "no samples": (CROSS, (Z[:0], Y[:0]), ValueError, "output has shape (0, 3); expected"),
    "no classes": (CROSS, (Z[:, :0], Y), ValueError, "output has shape (4, 0); expected"),
    "complex output": (CROSS, (Z + 0j, Y), TypeError, "output has dtype complex128"),
    "other shape": (SQUARES, (Z, T[:, :2]), ValueError, "y has shape (4, 2); expected (4, 3)"),
    "a vector for a matrix": (SQUARES, (Z, T[:, 0]), ValueError, "y has shape (4,); expected (4, 3)"),
    "broadcast": (SQUARES, (Z, T[:1]), ValueError, "y has shape (1, 3); expected (4, 3)"),
    "a number": (SQUARES, (Z, 0.0), ValueError, "y has shape (); expected (4, 3)"),
    "text targets": (SQUARES, (Z, T.astype(str)), TypeError, "y has dtype"),
    "complex squares": (SQUARES, (Z, T + 0j), TypeError, "y has dtype complex128"),
    "complex output of squares": (SQUARES, (Z + 0j, T), TypeError, "output has dtype complex128"),
    "nothing": (SQUARES, (Z[:0], T[:0]), ValueError, "output has shape (0, 3); expected at least one sample"),
}


@pytest.mark.parametrize(("loss", "arguments", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_arguments(loss, arguments, error, match):
    for method in (loss.value, loss.value_and_gradient):
        with pytest.raises(error, match=f"^{re.escape(match)}") as caught:
            method(*arguments)
        assert caught.type is error


@losses
@pytest.mark.parametrize(
    ("out", "error", "match"),
    [
        (np.zeros((3, 4)), ValueError, r"^grad_out has shape \(3, 4\); expected \(4, 3\)"),
        (np.zeros((4, 3), np.float32), TypeError, "^grad_out has dtype float32; expected float64"),
        (np.broadcast_to(0.0, (4, 3)), ValueError, "^grad_out is read-only"),
        ([[0.0] * 3] * 4, TypeError, "^grad_out is a list; expected an ndarray"),
    ],
    ids=["shape", "dtype", "fixed", "list"],
)
def test_bad_buffers(loss, out, error, match):
    with pytest.raises(error, match=match):
        loss.value_and_gradient(Z, Y if loss is CROSS else T, grad_out=out)


@losses
def test_bad_directions(loss):
    for v, error, match in (
        (Z.T, ValueError, r"^v has shape \(3, 4\); expected \(4, 3\) to match output"),
        (Z + 0j, TypeError, "^v has dtype complex128"),
    ):
        with pytest.raises(error, match=match):
            loss.hessian_mv(Z, Y, v)


def test_a_refusal_leaves_the_buffer_alone():
    out = np.full((4, 3), 7.0)
    for loss, y in ((CROSS, Y + 1), (CROSS, Y[:2]), (SQUARES, T.T)):
        with pytest.raises(ValueError, match=r"^y has"):
            loss.value_and_gradient(Z, y, grad_out=out)
    assert (out == 7).all()


@losses
def test_there_is_nothing_to_set(loss):
    """What would be ignored is refused; copies and pickles are losses."""
    with pytest.raises(AttributeError):
        loss.reduction = "sum"
    for again in (copy.copy(loss), copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert type(again) is type(loss)
        assert again.value(Z, Y if loss is CROSS else T) == loss.value(Z, Y if loss is CROSS else T)
