"""Matrix products: fastlec.matmul, and a plan's products with all that may come before and after them.

Integers are multiplied and added without rounding, in any order, so their products must be exact: one test for every instruction
set, every size of team and every way through the kernels.
"""

import itertools
import re

import cases
import numpy as np
import pytest
from bounds import Bounds, Near
from numpy.testing import assert_allclose, assert_array_equal

import fastlec
from fastlec._kernels import plan as kernels
from fastlec._kernels import runner

OPS = {"tanh": kernels.TANH, "sigmoid": kernels.SIGMOID, "relu": kernels.RELU, "identity": kernels.IDENTITY}
ORDERS = list(itertools.product("CF", repeat=2))


def integers(rng, shape, dtype, top=9):
    return rng.integers(-top, top + 1, shape).astype(dtype)


def normals(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def exact(a, b):
    """float64 holds every integer up to 2^53."""
    return a.astype(np.float64) @ b.astype(np.float64)


def ordered(a, order):
    """A copy in C order, or a transposed view of one."""
    return np.array(a, order=order)


# --- matmul ----------------------------------------------------------------------------------------------------------


@cases.parametrize("shape", cases.PRODUCTS)
def test_products(shape, isa, dtype, rng, frozen, tolerance):
    """Each matrix as it is or transposed: exact for integers, else near the product in float64. Nothing is written beside out."""
    m, n, k = shape
    a, b = integers(rng, (m, k), dtype), integers(rng, (k, n), dtype)
    x, y = frozen(normals(rng, (m, k), dtype), normals(rng, (k, n), dtype))
    expected, bound = exact(a, b), Bounds(tolerance, dtype).product(Near(x), Near(y))
    for order_a, order_b in ORDERS:
        c = fastlec.matmul(ordered(a, order_a), ordered(b, order_b))
        assert c.dtype == dtype
        assert c.flags.c_contiguous
        assert_array_equal(c, expected)
        bound.check(fastlec.matmul(ordered(x, order_a), ordered(y, order_b)))
    memory = np.full(m * n + 64, 7, dtype)
    out = memory[32 : 32 + m * n].reshape(m, n)
    assert fastlec.matmul(a, ordered(b, "F"), out=out) is out
    assert_array_equal(out, expected)
    assert (memory[:32] == 7).all()
    assert (memory[-32:] == 7).all()


@cases.parametrize("shape", cases.PRODUCTS_TEAM)
def test_teams_agree_bit_by_bit(shape, isa, dtype, rng):
    """With numbers that round, and with integers also with the exact product."""
    m, n, k = shape
    a, b = integers(rng, (m, k), dtype, 3), integers(rng, (k, n), dtype, 3)
    x, y = normals(rng, (m, k), dtype), normals(rng, (k, n), dtype)
    expected = exact(a, b)

    def products(orders):
        return [fastlec.matmul(ordered(p, orders[0]), ordered(q, orders[1])) for p, q in ((a, b), (x, y))]

    for orders in ORDERS:
        team = products(orders)
        assert_array_equal(team[0], expected)
        try:
            fastlec.set_num_threads(1)
            alone = products(orders)
        finally:
            fastlec.set_num_threads(None)
        for one, other in zip(team, alone, strict=True):
            assert_array_equal(one, other)


@cases.parametrize("shape", [(20, 30, 500), (5, 70, 70), (64, 10, 100), (300, 130, 40)])
def test_a_row_does_not_depend_on_its_place(shape, isa, dtype, rng):
    """in a tile of 12 rows or of one: every element adds up in the same order."""
    m, n, k = shape
    a, b = normals(rng, (m, k), dtype), normals(rng, (k, n), dtype)
    for order_b in "CF":
        b = ordered(b, order_b)
        c = fastlec.matmul(a, b)
        for begin in (1, 2, 3, m - 15, m - 5, m - 4):
            few = m <= 32 or m - begin > 32 or n <= 16  # on either side of the edge between two orders of adding up
            if few and (m > 12) == (m - begin > 12):
                assert_array_equal(fastlec.matmul(a[begin:], b), c[begin:])


@cases.layouts
def test_any_layout_gives_the_same_bits(layout, isa, dtype, rng):
    for m, n, k in ((9, 7, 20), (1, 5, 3), (40, 20, 70)):
        a, b = normals(rng, (m, k), dtype), normals(rng, (k, n), dtype)
        c = fastlec.matmul(a, b)
        given_a, given_b = layout(a), layout(b)
        for x, y in ((given_a, b), (a, given_b), (given_a, given_b)):
            found = fastlec.matmul(x, y)
            assert type(found) is np.ndarray
            assert found.dtype == dtype
            # where columns lie in memory their products may add up along the registers
            assert_allclose(found, c, rtol=0, atol=4 * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b)).max())
        assert_array_equal(given_a, a)
        assert_array_equal(given_b, b)


@cases.layouts
def test_any_layout_of_integers_is_exact(layout, isa, dtype, rng):
    for m, n, k in ((9, 7, 20), (1, 5, 3), (40, 20, 70), (1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0)):
        a, b = integers(rng, (m, k), dtype), integers(rng, (k, n), dtype)
        if not (a.size and b.size) and layout is cases.mapped:
            continue  # there is no empty map of a file
        assert_array_equal(fastlec.matmul(layout(a), layout(b)), exact(a, b))


@cases.writeable_layouts
def test_out_of_any_layout(layout, isa, dtype, rng, frozen):
    for m, n, k in ((9, 7, 20), (1, 5, 3), (4, 4, 4), (40, 20, 70)):
        a, b = frozen(integers(rng, (m, k), dtype), integers(rng, (k, n), dtype))
        out = layout(np.full((m, n), np.nan, dtype))
        assert fastlec.matmul(a, b, out=out) is out
        assert_array_equal(out, exact(a, b))


@pytest.mark.parametrize("n", [1, 4, 40, 130])
def test_out_may_be_or_overlap_an_input(n, isa, dtype, rng):
    a, b = integers(rng, (n, n), dtype, 3), integers(rng, (n, n), dtype, 3)
    expected = exact(a, b)
    x, y = a.copy(), b.copy()
    assert fastlec.matmul(x, b, out=x) is x
    assert fastlec.matmul(a, y, out=y) is y
    assert_array_equal(x, expected)
    assert_array_equal(y, expected)
    x, y = a.copy(), b.copy()
    fastlec.matmul(x, y, out=x.T)
    assert_array_equal(x.T, expected)
    memory = np.zeros(3 * n * n, dtype)
    for shift in (1, n, n * n - 1):
        x, out = memory[: n * n].reshape(n, n), memory[shift : shift + n * n].reshape(n, n)
        x[...] = a
        fastlec.matmul(x, b, out=out)
        assert_array_equal(out, expected)
    x = a.copy()
    assert_array_equal(fastlec.matmul(x, x), exact(a, a))
    assert_array_equal(fastlec.matmul(x.T, x), exact(a.T, a))


def test_results_are_fresh(isa, dtype, rng):
    a, b = integers(rng, (150, 200), dtype, 3), integers(rng, (200, 150), dtype, 3)
    c = fastlec.matmul(a, b)
    fastlec.matmul(b, a)
    fastlec.matmul(a + 1, b)
    assert_array_equal(c, exact(a, b))
    assert not np.shares_memory(c, fastlec.matmul(a, b))


@pytest.mark.parametrize("k", [0, 1, 70])
def test_empty(k, isa, dtype):
    """Without terms a sum is 0, in new memory and in old."""
    for m, n, (order_a, order_b) in itertools.product((0, 1, 40), (0, 1, 40), ORDERS):
        a, b = np.ones((m, k), dtype, order_a), np.ones((k, n), dtype, order_b)
        assert_array_equal(fastlec.matmul(a, b), np.full((m, n), k, dtype), strict=True)
        out = np.full((m, n), np.nan, dtype)
        fastlec.matmul(a, b, out=out)
        assert_array_equal(out, np.full((m, n), k))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@cases.parametrize("shape", [(7, 5, 3), (25, 33, 70), (3, 40, 90), (40, 7, 80), (1, 1, 1), (2, 3, 5000)])
def test_nan_and_infinity(value, shape, isa, dtype, rng):
    """Each reaches its row or column, and nothing else."""
    m, n, k = shape
    a, b = np.abs(integers(rng, (m, k), dtype)) + 1, np.abs(integers(rng, (k, n), dtype)) + 1
    clean = exact(a, b)
    i, j, p = m // 2, n - 1, k - 1
    for order_a, order_b in ORDERS:
        x, y = ordered(a, order_a), ordered(b, order_b)
        x[i, p] = value
        expected = clean.copy()
        expected[i] = value
        assert_array_equal(fastlec.matmul(x, y), expected)
        x[i, p] = a[i, p]
        y[p, j] = value
        expected = clean.copy()
        expected[:, j] = value
        assert_array_equal(fastlec.matmul(x, y), expected)


def test_zero_times_infinity_and_opposite_infinities(isa, dtype):
    a, b = np.zeros((3, 4), dtype), np.ones((4, 5), dtype)
    a[1, 2] = np.inf
    b[2, 3] = 0
    c = fastlec.matmul(a, b)
    assert np.isnan(c[1, 3])
    assert (np.delete(c[1], 3) == np.inf).all()
    a[1, 0] = -np.inf
    assert np.isnan(fastlec.matmul(a, b)[1]).all()
    assert_array_equal(fastlec.matmul(a, b)[[0, 2]], 0)


def test_subnormals_are_kept(isa, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    for order_b in "CF":
        a, b = np.full((5, 100), tiny, dtype), np.ones((100, 20), dtype, order_b)
        assert_array_equal(fastlec.matmul(a, b), np.full((5, 20), 100 * tiny, dtype))


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.bool_, np.float16, list])
def test_other_dtypes(kind, isa, rng):
    a, b = rng.integers(0, 2, (4, 6)), rng.integers(0, 2, (6, 3))
    x, y = (a.tolist(), b.tolist()) if kind is list else (a.astype(kind), b.astype(kind))
    c = fastlec.matmul(x, y)
    assert c.dtype == (np.float32 if kind is np.float16 else np.float64)
    assert_array_equal(c, exact(a, b))


def test_mixed_dtypes(isa, rng):
    a, b = rng.standard_normal((4, 6)).astype(np.float32), rng.standard_normal((6, 3))
    assert_array_equal(fastlec.matmul(a, b), fastlec.matmul(a.astype(np.float64), b), strict=True)
    assert_array_equal(fastlec.matmul(b.T, a.T), fastlec.matmul(b.T, a.T.astype(np.float64)), strict=True)


A, B = np.ones((3, 4)), np.ones((4, 5))
READ_ONLY = np.broadcast_to(0.0, (3, 5))
REFUSED = {
    "sizes": ((A, A), ValueError, "b has shape (3, 4); expected (4, 4) to match a of shape (3, 4)"),
    "sizes, transposed": ((A.T, B), ValueError, "b has shape (4, 5); expected (3, 5) to match a of shape (4, 3)"),
    "a vector": ((A, np.ones(4)), ValueError, "b has shape (4,); expected a matrix"),
    "a number": ((2.0, B), ValueError, "a has shape (); expected a matrix"),
    "three axes": ((A[None], B), ValueError, "a has shape (1, 3, 4); expected a matrix"),
    "complex": ((A + 0j, B), TypeError, "a has dtype complex128; expected"),
    "object": ((A, B.astype(object)), TypeError, "b has dtype object; expected"),
    "ragged": (([[1.0, 2.0], [3.0]], B), ValueError, "a is no rectangular array"),
    "out's shape": ((A, B, np.zeros((5, 3))), ValueError, "out has shape (5, 3); expected (3, 5)"),
    "out's axes": ((A, B, np.zeros(15)), ValueError, "out has shape (15,); expected (3, 5)"),
    "out's dtype": ((A, B, np.zeros((3, 5), "f4")), TypeError, "out has dtype float32; expected float64"),
    "out's byte order": ((A, B, np.zeros((3, 5), ">f8")), TypeError, "out has dtype >f8; expected float64"),
    "out is a list": ((A, B, [[0.0] * 5] * 3), TypeError, "out is a list; expected an ndarray"),
    "out is read-only": ((A, B, READ_ONLY), ValueError, "out is read-only; expected a writeable array"),
}


@pytest.mark.parametrize(("arguments", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_arguments(arguments, error, match):
    a, b, *out = arguments
    with pytest.raises(error, match=f"^{re.escape(match)}"):
        fastlec.matmul(a, b, out=out[0] if out else None)


def test_a_refusal_leaves_out_alone(dtype):
    out = np.full((3, 5), 7, dtype)
    for a, b in ((A, B.T), (A + 0j, B), (A, B.astype(np.longdouble))):
        with pytest.raises((TypeError, ValueError)):
            fastlec.matmul(a, b, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("m", [2**23, 2**31 + 1, 2**40])
@pytest.mark.parametrize("n", [2**23, 2**31, 2**32 + 2**13, 2**40])
def test_sizes_that_cannot_be_had(m, n, dtype):
    """256 TiB and more, also where the number of bytes is small modulo 2^64."""
    a, b = np.empty((m, 0), dtype), np.empty((0, n), dtype)
    with pytest.raises((MemoryError, ValueError)):
        fastlec.matmul(a, b)


# --- plans: what surrounds a product ---------------------------------------------------------------------------------

# One for each way through the kernels, orders of a and b: packed panels of B, B in place, rows or columns of A packed, strips of
# the depth (in C and aside), few rows, dots with many rows and with less than 4, tails of every kind, parts of the depth, none.
WAYS = {
    "small": ((5, 7, 3), "CC"),
    "one element": ((1, 1, 1), "CC"),
    "panels": ((29, 35, 40), "CF"),
    "in place": ((29, 35, 40), "CC"),
    "a transposed": ((29, 35, 40), "FC"),
    "both transposed": ((29, 35, 40), "FF"),
    "rows packed": ((37, 150, 40), "CC"),
    "strips": ((29, 35, 800), "CF"),
    "strips, rows packed": ((29, 150, 800), "CC"),
    "few rows": ((12, 520, 800), "CC"),
    "blocks": ((70, 1100, 100), "CF"),
    "dots": ((61, 13, 70), "CF"),
    "dots, few rows": ((30, 130, 70), "CF"),
    "dots, flat": ((3, 130, 70), "CF"),
    "dots, blocks": ((500, 10, 200), "CF"),
    "parts": ((7, 9, 9000), "FC"),
    "parts of both transposed": ((7, 9, 9000), "FF"),
    "one step": ((40, 150, 1), "FC"),
    "rows far apart": ((50, 1024, 20), "CC"),
    "columns far apart": ((256, 130, 400), "FC"),
    "no depth": ((7, 9, 0), "CC"),
}
ways = pytest.mark.parametrize(("shape", "orders"), WAYS.values(), ids=WAYS)
AROUND = [{"bias"}, {"residual"}, {"accumulate"}, {"bias", "residual", "accumulate"}]


def new_plan(dtype):
    return kernels.Plan(np.dtype(dtype).num)


def slope(y, op):
    return {"tanh": 1 - y * y, "sigmoid": y - y * y, "relu": (y > 0) * 1.0, "identity": np.ones_like(y)}[op]


@ways
def test_around_a_product_integers_are_exact(shape, orders, isa, dtype, rng):
    """op(a b + c + bias) + residual."""
    m, n, k = shape
    a, b = (integers(rng, s, dtype, 3) for s in ((m, k), (k, n)))
    start, bias, residual = (integers(rng, s, dtype, 30) for s in ((m, n), n, (m, n)))
    ab = exact(a, b)
    a, b = ordered(a, orders[0]), ordered(b, orders[1])
    for around, op in itertools.product(AROUND, ("identity", "relu")):
        options = {"bias": bias} if "bias" in around else {}
        options |= {"residual": residual} if "residual" in around else {}
        c, plan = start.copy(), new_plan(dtype)
        plan.product(a, b, c, op=OPS[op], accumulate="accumulate" in around, **options)
        assert plan.run() == 0
        z = ab + (start if "accumulate" in around else 0) + (bias if "bias" in around else 0)
        z = np.maximum(z, 0) if op == "relu" else z
        assert_array_equal(c, z + (residual if "residual" in around else 0), err_msg=f"{around}, {op}")


@ways
def test_times_a_derivative_integers_are_exact(shape, orders, isa, dtype, rng):
    """(a b + c) * op'(y) and (a b + residual) * op'(y): y of quarters makes slopes of sixteenths."""
    m, n, k = shape
    a, b = (integers(rng, s, dtype, 3) for s in ((m, k), (k, n)))
    added, y = integers(rng, (m, n), dtype, 30), integers(rng, (m, n), dtype, 4) / dtype.type(4)
    z = exact(a, b) + added
    a, b = ordered(a, orders[0]), ordered(b, orders[1])
    for op, accumulate in itertools.product(OPS, (False, True)):
        c, plan = added.copy(), new_plan(dtype)
        options = {"accumulate": True} if accumulate else {"residual": added}
        plan.product(a, b, c, y=y, op2=OPS[op], **options)
        plan.run()
        assert_array_equal(c, z * slope(y.astype(np.float64), op), err_msg=f"{op}, accumulate {accumulate}")


@ways
def test_activations_follow_a_product(shape, orders, isa, dtype, rng, tolerance):
    m, n, k = shape
    scale = dtype.type(1 / np.sqrt(max(k, 1)))
    a, b, bias = normals(rng, (m, k), dtype) * scale, normals(rng, (k, n), dtype), normals(rng, n, dtype)
    bounds = Bounds(tolerance, dtype)
    z = bounds.add(bounds.product(Near(a), Near(b)), Near(np.broadcast_to(bias, (m, n))))
    a, b = ordered(a, orders[0]), ordered(b, orders[1])
    for op in ("tanh", "sigmoid"):
        c, plan = np.full((m, n), np.nan, dtype), new_plan(dtype)
        plan.product(a, b, c, bias=bias, op=OPS[op])
        plan.run()
        bounds.activate(z, op)[0].check(c)


@ways
def test_updates_of_a_product_that_is_a_gradient(shape, orders, isa, dtype, rng):
    """Momentum with powers of two is exact: v = v/2 + g, c -= v/4, for two runs."""
    m, n, k = shape
    a, b = (integers(rng, s, dtype, 1) for s in ((m, k), (k, n)))
    theta, state = np.full(m * n + 20, 3, dtype), np.full(m * n + 20, 4, dtype)
    c = theta[10 : 10 + m * n].reshape(m, n)
    g = exact(a, b)
    plan = new_plan(dtype)
    plan.set_states(theta, (state,))
    plan.product(ordered(a, orders[0]), ordered(b, orders[1]), c, update=True)
    velocity, expected = np.full((m, n), 4.0), np.full((m, n), 3.0)
    for _ in range(2):
        plan.set_rule(kernels.SGD, 0.25, 0.5)
        plan.run()
        velocity = velocity / 2 + g
        expected = expected - velocity / 4
        assert_array_equal(c, expected)
        assert_array_equal(state[10 : 10 + m * n].reshape(m, n), velocity)
    for array, before in ((theta, 3), (state, 4)):
        assert (array[:10] == before).all()
        assert (array[10 + m * n :] == before).all()


def test_a_parameter_packed_before_its_update_is_packed_again_after_it(isa, dtype, rng):
    x, W = integers(rng, (20, 30), dtype, 3), integers(rng, (40, 30), dtype, 3)
    g, first, second = integers(rng, (20, 40), dtype, 3), np.zeros((20, 40), dtype), np.zeros((20, 40), dtype)
    before = W.copy()
    plan = new_plan(dtype)
    plan.product(x, W.T, first)
    plan.product(g.T, x, W, update=True)
    plan.product(x, W.T, second)
    plan.set_rule(kernels.SGD, 0.25)
    plan.run()
    after = before - exact(g.T, x) / 4
    assert_array_equal(W, after)
    assert_array_equal(first, exact(x, before.T))
    assert_array_equal(second, exact(x, after.T))


def test_products_in_a_row_see_one_another(isa, dtype, threads, rng):
    """More jobs than a plan has room for at first; each reads what the one before it wrote."""
    x = integers(rng, (70, 50), dtype, 1)
    P = np.eye(50, dtype=dtype)[rng.permutation(50)]
    plan, a, expected = new_plan(dtype), x, x
    for _ in range(33):
        b = plan.empty(70, 50)
        plan.product(a, P, b)
        a, expected = b, expected @ P
    assert len(plan) == 33
    plan.run()
    assert_array_equal(a, expected)


def test_a_plan_runs_as_often_as_wanted_and_keeps_its_arrays(isa, dtype, rng):
    plan, c = new_plan(dtype), np.zeros((20, 30), dtype)
    a, b = integers(rng, (20, 40), dtype), integers(rng, (30, 40), dtype)
    kept_a, kept_b = a.copy(), b.copy()
    plan.product(a, b.T, c)
    del b
    for _ in range(3):
        a += 1
        plan.run()
        kept_a += 1
        assert_array_equal(c, exact(kept_a, kept_b.T))


def test_bound_arrays(isa, dtype, rng):
    """Arrays in the places of slots, in every role that they have."""
    m, n = 20, 30
    x, y, v = (normals(rng, (m, n), dtype) for _ in range(3))
    W, g = integers(rng, (n, n), dtype, 3), np.zeros((m, n), dtype)
    plan = new_plan(dtype)
    assert (plan.slot(x), plan.slot(y)) == (0, 1)
    plan.product(x, W, y, residual=x)
    plan.product(v, W, g, y=y, op2=kernels.RELU)
    for _ in range(3):
        new_x, new_y = integers(rng, (m, n), dtype), np.full((m, n), np.nan, dtype)
        plan.bind(0, new_x)
        plan.bind(1, new_y)
        plan.run()
        expected = exact(new_x, W) + new_x
        assert_array_equal(new_y, expected)
        assert_array_equal(g, fastlec.matmul(v, W) * (expected > 0))
    for wrong in (np.zeros((n, m), dtype), np.zeros(m * n, dtype), np.zeros((m, 2 * n), dtype)[:, ::2], np.zeros((m, n), int)):
        with pytest.raises(ValueError, match=r"^an array to bind"):
            plan.bind(0, wrong)
    plan.run()
    assert_array_equal(new_y, expected)


def test_bound_labels_and_targets(isa, dtype, rng):
    logits, grad = normals(rng, (12, 5), dtype), np.zeros((12, 5), dtype)
    for make in (lambda: rng.integers(0, 5, 12), lambda: rng.dirichlet(np.ones(5), 12).astype(dtype)):
        slot = make()
        plan = new_plan(dtype)
        plan.slot(slot)
        plan.cross_entropy(logits, slot, grad, 12)
        labels = make()
        plan.bind(0, labels)
        loss, expected = fastlec.softmax_cross_entropy(logits, labels)
        assert plan.run() == loss
        assert_array_equal(grad, expected)


PLAN_REFUSES = {
    "b's depth": (lambda p, f: p.product(f(3, 4), f(3, 5), f(3, 5)), r"b has shape \(3, 5\); expected \(4, 5\)"),
    "c's shape": (lambda p, f: p.product(f(3, 4), f(4, 5), f(5, 3)), r"c has shape \(5, 3\); expected \(3, 5\)"),
    "c in F order": (lambda p, f: p.product(f(3, 4), f(4, 5), f(5, 3).T), "c: expected C order"),
    "a strided": (lambda p, f: p.product(f(3, 8)[:, ::2], f(4, 5), f(3, 5)), "a: expected C order"),
    "a's axes": (lambda p, f: p.product(f(4), f(4, 5), f(3, 5)), "a: expected an aligned array .* with 2 axes"),
    "b's dtype": (lambda p, f: p.product(f(3, 4), np.zeros((4, 5), int), f(3, 5)), "b: expected an aligned array"),
    "b misaligned": (lambda p, f: p.product(f(3, 4), cases.misaligned(f(4, 5)), f(3, 5)), "b: expected an aligned array"),
    "b's byte order": (lambda p, f: p.product(f(3, 4), cases.swapped(f(4, 5)), f(3, 5)), "b: expected an aligned array"),
    "bias": (lambda p, f: p.product(f(3, 4), f(4, 5), f(3, 5), bias=f(3)), r"bias has shape \(3,\); expected \(5,\)"),
    "residual": (lambda p, f: p.product(f(3, 4), f(4, 5), f(3, 5), residual=f(3, 4)), r"residual has shape \(3, 4\)"),
    "y": (lambda p, f: p.product(f(3, 4), f(4, 5), f(3, 5), y=f(3, 4), op2=0), r"y has shape \(3, 4\)"),
    "slope's g": (lambda p, f: p.slope(f(3, 4), f(4, 3)), r"g has shape \(4, 3\); expected \(3, 4\)"),
    "slope's total": (lambda p, f: p.slope(f(3, 4), total=f(3)), r"total has shape \(3,\); expected \(4,\)"),
    "map": (lambda p, f: p.map(kernels.TANH, f(3), f(4)), r"y has shape \(4,\); expected \(3,\)"),
    "update": (lambda p, f: p.update(f(3), f(4)), r"g has shape \(4,\); expected \(3,\)"),
    "states": (lambda p, f: p.set_states(f(3), (f(4),)), "a state has 4 elements; theta has 3"),
    "labels": (lambda p, f: p.cross_entropy(f(3, 4), np.zeros(4, np.int64)), r"labels: expected \(3,\)"),
    "targets": (lambda p, f: p.cross_entropy(f(3, 4), f(4, 3)), r"labels has shape \(4, 3\)"),
    "squares": (lambda p, f: p.squares(f(3, 4), f(3, 3)), r"t has shape \(3, 3\)"),
    "too many axes": (lambda p, f: p.empty(*[1] * 33), "has more than 32 axes"),
}


@pytest.mark.parametrize(("call", "match"), PLAN_REFUSES.values(), ids=PLAN_REFUSES)
def test_a_plan_refuses(call, match, dtype):
    plan = new_plan(dtype)
    with pytest.raises(ValueError, match=match):
        call(plan, lambda *shape: np.zeros(shape, dtype))


def test_plans_are_of_float32_or_float64():
    for kind in (np.int64, np.float16, np.longdouble, complex):
        with pytest.raises(ValueError, match="typenum"):
            kernels.Plan(np.dtype(kind).num)


# --- plans: slopes, updates, losses ----------------------------------------------------------------------------------

SHAPES = [(0, 3), (1, 1), (5, 7), (3, 16), (130, 17), (127, 33), (129, 5), (300, 70), (40, 3000)]
SHAPES += [(4095, 3), (4096, 3), (4097, 3), (9000, 2)]  # one part, and more


@cases.parametrize("shape", SHAPES)
@pytest.mark.parametrize("op", OPS)
def test_slopes_and_totals_of_integers_are_exact(shape, op, isa, dtype, rng):
    v, y = integers(rng, shape, dtype, 3), integers(rng, shape, dtype, 4) / dtype.type(4)
    expected = v.astype(np.float64) * slope(y.astype(np.float64), op)
    g, total, start = np.full(shape, np.nan, dtype), np.full(shape[1], np.nan, dtype), integers(rng, shape[1], dtype)
    plan, changed = new_plan(dtype), start.copy()
    plan.slope(v, g, y=y, op=OPS[op], total=total)
    plan.slope(v, y=y, op=OPS[op], total=changed, update=True)
    plan.set_rule(kernels.SGD, 0.5)
    own = v.copy()
    plan.slope(own, own, y=y, op=OPS[op])
    plan.run()
    assert_array_equal(g, expected)
    assert_array_equal(own, expected)
    assert_array_equal(total, expected.sum(axis=0))
    assert_array_equal(changed, start - expected.sum(axis=0) / 2)


def test_long_sums_of_rows_lose_little(isa, dtype, rng, tolerance):
    """60000 rows: sums of runs are added up, not every row to one total."""
    v, total = rng.random((60_000, 3)).astype(dtype), np.zeros(3, dtype)
    plan = new_plan(dtype)
    plan.slope(v, total=total)
    plan.run()
    Bounds(tolerance, dtype).total(Near(v)).check(total)


RULES = {
    "plain": {},
    "decay": {"decay": 0.25},
    "momentum": {"momentum": 0.5},
    "momentum and decay": {"momentum": 0.5, "decay": 0.25},
    "nesterov": {"momentum": 0.5, "nesterov": True, "decay": 0.25},
}
each_size = pytest.mark.parametrize("sizes", [cases.SIZES[:-3], cases.SIZES[-3:]], ids=["small", "blocks"])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@each_size
def test_updates_by_sgd_are_exact(rule, sizes, isa, dtype, threads, rng):
    """g += decay w; v = momentum v + g; w -= rate v, or rate (g + momentum v): all in dyadic fractions."""
    momentum, decay = rule.get("momentum", 0), rule.get("decay", 0)
    for n in sizes:
        w, g, v = (integers(rng, n, dtype, 8) for _ in range(3))
        W, G, V = (a.astype(np.float64) for a in (w, g, v))
        plan = new_plan(dtype)
        plan.set_states(w, (v,) if momentum else ())
        plan.update(w, g)
        for rate in (0.5, 0.25):
            plan.set_rule(kernels.SGD, rate, **rule)
            plan.run()
            D = G + decay * W
            V = momentum * V + D if momentum else V
            W = W - rate * (D + momentum * V if rule.get("nesterov") else V if momentum else D)
            assert_array_equal(w, W)
            assert_array_equal(v, V)


@pytest.mark.parametrize("decay", [0.0, 0.01])
@each_size
def test_updates_by_adam(decay, sizes, isa, dtype, threads, rng):
    """m = b1 m + (1 - b1) g; s = b2 s + (1 - b2) g^2; w -= rate (m u1 / (sqrt(s u2) + eps) + decay w)."""
    b1, b2, u1, u2, eps, rate = 0.875, 0.96875, 1.25, 8.0, 2.0**-10, 2.0**-6
    ulp = np.finfo(dtype).eps
    for n in sizes:
        w, g, m = (normals(rng, n, dtype) for _ in range(3))
        s = rng.random(n).astype(dtype)
        W, G, M, S = (a.astype(np.float64) for a in (w, g, m, s))
        plan = new_plan(dtype)
        plan.set_states(w, (m, s))
        plan.update(w, g)
        plan.set_rule(kernels.ADAM, rate, decay=decay, beta1=b1, beta2=b2, unbias1=u1, unbias2=u2, eps=eps)
        plan.run()
        size = b1 * np.abs(M) + (1 - b1) * np.abs(G)
        M, S = b1 * M + (1 - b1) * G, b2 * S + (1 - b2) * G**2
        Near(M, 2 * ulp * size).check(m)
        assert_allclose(s, S, rtol=3 * ulp)
        root = np.sqrt(S * u2) + eps
        move = rate * M * u1 / root + rate * decay * W
        error = rate * u1 * (2 * size + 5 * np.abs(M)) / root + np.abs(move) + np.abs(W) * (1 + 2 * rate * decay)
        Near(W - move, ulp * error).check(w)


@each_size
@pytest.mark.parametrize("op", ["tanh", "sigmoid", "relu"])
def test_maps_are_those_of_the_library(sizes, op, isa, dtype, rng):
    for n in sizes:
        x, y = normals(rng, n, dtype), np.full(n, np.nan, dtype)
        plan = new_plan(dtype)
        plan.map(OPS[op], x, y)
        plan.run()
        assert_array_equal(y, getattr(fastlec, op)(x))


@each_size
def test_squares_of_integers_are_exact(sizes, isa, dtype, threads, rng):
    for n in sizes:
        x, t, grad = integers(rng, n, dtype), integers(rng, n, dtype), np.full(n, np.nan, dtype)
        plan = new_plan(dtype)
        plan.squares(x, t, grad, 4)
        assert plan.run() == ((x - t).astype(np.float64) ** 2).sum() / 4
        assert_array_equal(grad, (x - t) / 2)
        plan = new_plan(dtype)
        plan.squares(x, t, x, 2)
        plan.run()
        assert_array_equal(x, 2 * grad)


def test_instruction_sets_agree_on_integers(dtype, rng):
    """The same plan on each: the same bits."""
    before, found = runner.isa(), []
    arrays = [integers(rng, s, dtype, 2) for s in ((50, 300), (60, 300), (50, 60))]
    try:
        for name in runner.isas():
            runner.select_isa(name)
            c = np.zeros((50, 60), dtype)
            plan = new_plan(dtype)
            plan.product(arrays[0], arrays[1].T, c, residual=arrays[2], op=kernels.RELU)
            plan.run()
            found.append(c.tobytes())
    finally:
        runner.select_isa(before)
    assert len(found) == len(runner.isas())
    assert len(set(found)) == 1
