"""softmax_cross_entropy: loss and gradient against fastlec.reference, for integer labels and for rows of probabilities."""

import cases
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastlec
from fastlec import reference
from fastlec._kernels import xent as kernels
from fastlec._kernels.plan import Plan

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, ">i4", np.bool_]


def problem(rng, m, n, dtype, kind="labels"):
    logits = (4 * rng.standard_normal((m, n))).astype(dtype)
    if kind == "labels":
        return logits, rng.integers(0, n, m)
    targets = rng.random((m, n)) * (rng.random((m, n)) < 0.7)
    targets[:, 0] += 1e-3
    return logits, (targets / targets.sum(axis=1, keepdims=True)).astype(dtype)


def assert_close(result, logits, labels, tolerance, sample_weight=None):
    """The loss is relative to the mean of top - x_label + log n, each element of the gradient to its row's weight."""
    loss, grad = result
    m, n = logits.shape
    if labels.ndim == 1:
        labels = np.equal.outer(labels, np.arange(n))
    expected_loss, expected_grad = reference.softmax_cross_entropy(logits, labels, sample_weight)
    weight = np.ones(m) if sample_weight is None else np.asarray(sample_weight, np.float64)
    weight = weight / weight.sum()
    spread = np.ptp(logits.astype(np.float64), axis=1) + np.log(n)
    assert type(loss) is float
    assert abs(loss - expected_loss) <= tolerance("loss", logits.dtype) * (weight @ spread)
    assert grad.dtype == logits.dtype
    assert grad.shape == (m, n)
    assert (np.abs(grad - expected_grad) <= tolerance("gradient", logits.dtype) * (weight * (1 + spread))[:, None]).all()


kinds = pytest.mark.parametrize("kind", ["labels", "targets"])


@kinds
@cases.parametrize("shape", cases.CROSS_ENTROPY)
def test_agrees_with_the_reference(shape, kind, isa, dtype, rng, frozen, tolerance):
    """Fresh, into grad_out, in place and with unit weights: the same; the inputs stay as they were."""
    logits, labels = frozen(*problem(rng, *shape, dtype, kind))
    loss, grad = fastlec.softmax_cross_entropy(logits, labels)
    assert_close((loss, grad), logits, labels, tolerance)
    out, own = np.full(shape, np.nan, dtype), logits.copy()
    for given, to in ((logits, out), (own, own)):
        again, same = fastlec.softmax_cross_entropy(given, labels, grad_out=to)
        assert same is to
        assert again == loss
        assert_array_equal(to, grad)
    weight = rng.integers(0, 3, shape[0]).astype(np.float64)
    weight[0] = 2
    assert_close(fastlec.softmax_cross_entropy(logits, labels, sample_weight=weight), logits, labels, tolerance, weight)


@kinds
@cases.parametrize("shape", cases.CROSS_ENTROPY_TEAM)
def test_teams_agree_bit_by_bit(shape, kind, isa, dtype, threads, rng, tolerance):
    logits, labels = problem(rng, *shape, dtype, kind)
    weight = rng.random(shape[0])
    results = [fastlec.softmax_cross_entropy(logits, labels, sample_weight=w) for w in (None, weight)]
    assert_close(results[0], logits, labels, tolerance)
    assert_close(results[1], logits, labels, tolerance, weight)
    fastlec.set_num_threads(1)
    for (loss, grad), w in zip(results, (None, weight), strict=True):
        alone, grad_alone = fastlec.softmax_cross_entropy(logits, labels, sample_weight=w)
        assert alone == loss
        assert_array_equal(grad_alone, grad)


@kinds
@pytest.mark.parametrize("n", [3, 10, 40, 41, 300])
def test_a_row_does_not_depend_on_its_neighbours(n, kind, isa, dtype, rng):
    logits, labels = problem(rng, 67, n, dtype, kind)
    _, grad = fastlec.softmax_cross_entropy(logits, labels, sample_weight=np.ones(67))
    for i in (0, 1, 15, 16, 40, 63, 64, 66):
        weight = np.zeros(67)
        weight[i] = 1
        moved = np.roll(np.arange(67), 5)
        _, g = fastlec.softmax_cross_entropy(logits[moved], labels[moved], sample_weight=np.ones(67))
        assert_array_equal(g[(i + 5) % 67], grad[i])
        loss, g = fastlec.softmax_cross_entropy(logits, labels, sample_weight=weight)
        alone, _ = fastlec.softmax_cross_entropy(logits[i : i + 1], labels[i : i + 1])
        assert loss == alone
        assert not np.delete(g, i, axis=0).any()


@pytest.mark.parametrize("kind", INTEGERS, ids=lambda t: np.dtype(t).str)
def test_labels_of_any_integer_type(kind, isa, dtype, rng):
    n = 2 if kind is np.bool_ else 100
    logits, labels = problem(rng, 50, n, dtype)
    loss, grad = fastlec.softmax_cross_entropy(logits, labels)
    for given in (labels.astype(kind), np.repeat(labels.astype(kind), 2)[::2], labels.tolist()):
        again, g = fastlec.softmax_cross_entropy(logits, given)
        assert again == loss
        assert_array_equal(g, grad)


@cases.layouts
@kinds
def test_any_layout(layout, kind, isa, dtype, rng):
    logits, labels = problem(rng, 30, 12, dtype, kind)
    weight = rng.random(30)
    loss, grad = fastlec.softmax_cross_entropy(logits, labels, sample_weight=weight)
    again, g = fastlec.softmax_cross_entropy(layout(logits), layout(labels), sample_weight=layout(weight))
    assert again == loss
    assert_array_equal(g, grad)


@cases.writeable_layouts
def test_grad_out_of_any_layout(layout, isa, dtype, rng):
    logits, labels = problem(rng, 30, 12, dtype)
    loss, grad = fastlec.softmax_cross_entropy(logits, labels)
    out = layout(np.zeros_like(logits))
    again, g = fastlec.softmax_cross_entropy(logits, labels, grad_out=out)
    assert g is out
    assert again == loss
    assert_array_equal(out, grad)


def test_overlapping_grad_out(isa, dtype, threads, rng):
    """grad_out over part of the logits, of the targets, or of the weights."""
    m, n = 3000, 50
    logits, targets = problem(rng, m, n, dtype, "targets")
    weight = rng.random(m)
    loss, grad = fastlec.softmax_cross_entropy(logits, targets, sample_weight=weight)
    for shift in (0, 7):
        for which in range(3):
            memory = np.zeros(m * n + shift, dtype)
            out = memory[shift:].reshape(m, n)
            given = [logits, targets, weight]
            raw = memory.view(np.uint8)[: given[which].nbytes].view(given[which].dtype)
            given[which] = raw.reshape(given[which].shape)
            given[which][...] = (logits, targets, weight)[which]
            again, _ = fastlec.softmax_cross_entropy(given[0], given[1], sample_weight=given[2], grad_out=out)
            assert again == loss
            assert_array_equal(out, grad)


def test_targets_need_not_be_floats(isa, dtype, rng):
    """One-hot integers and booleans are rows of probabilities."""
    logits, labels = problem(rng, 20, 5, dtype)
    loss, grad = fastlec.softmax_cross_entropy(logits, labels)
    eps = np.finfo(dtype).eps
    for kind in (np.int64, np.bool_, dtype):
        again, g = fastlec.softmax_cross_entropy(logits, np.eye(5)[labels].astype(kind))
        np.testing.assert_allclose(again, loss, rtol=20 * eps)
        np.testing.assert_allclose(g, grad, atol=2 * eps)


@pytest.mark.parametrize("n", [4, 40, 41, 300])
def test_targets_of_zero(n, isa, dtype, rng):
    """weigh nothing, even against a logit of -inf; a row of zeros has no loss and no gradient."""
    logits, targets = problem(rng, 19, n, dtype, "targets")
    logits[:, 1], targets[:, 1] = -np.inf, 0
    targets[3] = 0
    loss, grad = fastlec.softmax_cross_entropy(logits, targets)
    expected_loss, expected_grad = reference.softmax_cross_entropy(logits, targets)
    np.testing.assert_allclose(loss, expected_loss, rtol=20 * np.finfo(dtype).eps)
    np.testing.assert_allclose(grad, expected_grad, atol=4 * np.finfo(dtype).eps)


@kinds
@pytest.mark.parametrize("n", [4, 40, 41, 300])
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf])
def test_zero_weight_leaves_a_row_out(junk, n, kind, isa, dtype, rng):
    """whatever the row holds: its loss does not count, its gradient is 0 or, where it has no value, NaN."""
    logits, labels = problem(rng, 40, n, dtype, kind)
    weight = np.ones(40)
    weight[[5, 17, 39]] = 0
    loss, _ = fastlec.softmax_cross_entropy(logits, labels, sample_weight=weight)
    logits[[5, 17, 39]] = junk
    again, grad = fastlec.softmax_cross_entropy(logits, labels, sample_weight=weight)
    assert again == loss
    assert np.isfinite(grad[weight > 0]).all()
    left_out = grad[weight == 0]
    assert ((left_out == 0) | np.isnan(left_out)).all()


@kinds
@pytest.mark.parametrize("n", [10, 100])
@pytest.mark.parametrize("power", [-1000, -160, 160, 1000])
def test_only_the_ratios_of_weights_count(power, n, kind, isa, dtype, rng):
    logits, labels = problem(rng, 40, n, dtype, kind)
    weight = rng.integers(1, 9, 40).astype(np.float64)
    loss, grad = fastlec.softmax_cross_entropy(logits, labels, sample_weight=weight)
    scaled, g = fastlec.softmax_cross_entropy(logits, labels, sample_weight=np.ldexp(weight, power))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(scaled, loss, rtol=4 * eps)
    np.testing.assert_allclose(g, grad, rtol=4 * eps, atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("n", [5, 50])
def test_nan_and_infinity(n, isa, dtype, rng):
    """A NaN reaches the loss and its own row of the gradient; a label of probability 0 costs infinitely much."""
    logits, labels = problem(rng, 20, n, dtype)
    logits[3, labels[3]] = -np.inf
    loss, grad = fastlec.softmax_cross_entropy(logits, labels)
    assert loss == np.inf
    _, expected = reference.softmax_cross_entropy(logits, labels)
    np.testing.assert_allclose(grad, expected, atol=4 * np.finfo(dtype).eps)
    for junk in (np.nan, np.inf):
        logits[3, (labels[3] + 1) % n] = junk
        loss, grad = fastlec.softmax_cross_entropy(logits, labels)
        assert not np.isfinite(loss)
        assert np.isnan(grad[3]).any()
        assert np.isfinite(np.delete(grad, 3, axis=0)).all()


@pytest.mark.parametrize("n", [4, 41])
def test_huge_logits(n, isa, dtype):
    """Loss and gradient where exp overflows, and a certain class without loss where exp underflows."""
    logits = np.zeros((18, n), dtype)
    logits[:, 2] = 2e4
    loss, grad = fastlec.softmax_cross_entropy(logits, np.full(18, 2))
    assert loss == 0
    assert not grad.any()
    loss, grad = fastlec.softmax_cross_entropy(logits, np.full(18, 1))
    assert loss == 2e4
    expected = np.zeros((18, n))
    expected[:, 1:3] = -1 / 18, 1 / 18
    np.testing.assert_allclose(grad, expected, rtol=4 * np.finfo(dtype).eps)


def test_certain_predictions_keep_a_small_loss(isa, dtype):
    """As accurate as the dtype's 1 + small allows: within eps, absolutely."""
    for n in (3, 60):
        logits = np.full((18, n), -np.inf, dtype)
        logits[:, :2] = 0, -12
        loss, _ = fastlec.softmax_cross_entropy(logits, np.zeros(18, int))
        assert abs(loss - np.log1p(np.exp(-12.0))) <= np.finfo(dtype).eps


def test_gradients_beyond_the_caches(isa, dtype, threads, rng):
    """Written past the caches, to aligned memory or not: the same bits as in pieces that are not."""
    m, n = 28_000_000 // dtype.itemsize // 2003, 2003
    logits, labels = problem(rng, m, n, dtype)
    pieces = [fastlec.softmax_cross_entropy(logits[i : i + 500], labels[i : i + 500])[1] for i in range(0, m, 500)]
    whole = np.concatenate(pieces).astype(np.float64)
    whole *= np.minimum(500, m - np.arange(m) // 500 * 500)[:, None] / m
    out = cases.unaligned(np.zeros_like(logits))
    loss, grad = fastlec.softmax_cross_entropy(logits, labels, grad_out=out)
    np.testing.assert_allclose(grad, whole, rtol=4 * np.finfo(dtype).eps)
    again, own = fastlec.softmax_cross_entropy(logits, labels, grad_out=logits)
    assert again == loss
    assert_array_equal(own, grad)


@kinds
def test_long_rows_in_parts(kind, isa, dtype, rng, tolerance):
    """Rows that are cut into parts: near the reference, in place, for every team and as a plan's job the same bits."""
    m, n = 2, (1 << 20) + 1
    logits, labels = problem(rng, m, n, dtype, kind)
    weight = np.array([1.0, 3.0])
    loss, grad = fastlec.softmax_cross_entropy(logits, labels, sample_weight=weight)
    assert_close((loss, grad), logits, labels, tolerance, weight)
    loss, grad = fastlec.softmax_cross_entropy(logits, labels)
    assert_close((loss, grad), logits, labels, tolerance)
    fastlec.set_num_threads(1)
    again, same = fastlec.softmax_cross_entropy(logits, labels)
    fastlec.set_num_threads(None)
    assert again == loss
    assert_array_equal(same, grad)
    planned, out = in_a_plan(logits, labels)
    assert planned == loss
    assert_array_equal(out, grad)


def in_a_plan(logits, labels):
    """(loss, gradient) as a plan's job gives them: it does not look at the labels."""
    plan, grad = Plan(logits.dtype.num), np.full_like(logits, np.nan)
    kernels.loss(plan, logits, labels, grad, len(logits))
    return plan.run(), grad


NO_CLASS = [-1, "n", 10**9, 2**32, 2**53 + 1, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize("n", [1, 5, 40, 41, 3000, (1 << 20) + 1])
def test_labels_that_are_no_class(n, isa, dtype, rng):
    """Those may come from another thread after the check: the loss is NaN, such a row's gradient the softmax, others as ever."""
    m = 21 if n < 10_000 else 2
    logits, labels = problem(rng, m, n, dtype)
    _, right = in_a_plan(logits, labels)
    for label in NO_CLASS if n < 10_000 else NO_CLASS[:3]:
        wrong = labels.copy()
        wrong[::2] = n if label == "n" else label
        loss, grad = in_a_plan(logits, wrong)
        assert np.isnan(loss)
        assert_array_equal(grad[1::2], right[1::2])
        softmax = fastlec.softmax(logits[::2]).astype(np.float64) / m
        np.testing.assert_allclose(grad[::2], softmax, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("shape", [(1, 1), (7, 2), (100, 10), (33, 257)], ids=str)
def test_rows_that_are_right(shape, dtype, rng):
    """As argmax has it: of equal logits the first; but a row is wrong whose own logit is NaN, or whose class there is none of."""
    logits, labels = rng.integers(0, 5, shape).astype(dtype), rng.integers(0, shape[1], shape[0])
    labels[::2] = logits[::2].argmax(axis=1)
    assert kernels.count_right(logits, labels) == np.count_nonzero(logits.argmax(axis=1) == labels)
    for label in (-1, shape[1], 2**63 - 1, -(2**63)):
        assert kernels.count_right(logits, np.full(shape[0], label)) == 0
    assert kernels.count_right(np.full_like(logits, np.nan), labels) == 0
    for strange in (logits[::2], logits.T, logits.astype(">f4"), logits.astype(np.float16), logits.ravel(), logits.tolist()):
        assert kernels.count_right(strange, np.zeros(len(strange), np.int32)) is None
    assert kernels.count_right(logits, labels[:-1]) is None
