"""Matrix products: fastlec.matmul. A plan's, with what may surround them: test_plan.py.

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
from fastlec._kernels import epilogue

OPS = epilogue.ACTIVATIONS
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
def test_teams_agree_bit_by_bit(shape, isa, dtype, rng, alone):
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
        with alone():
            single = products(orders)
        for one, other in zip(team, single, strict=True):
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
    with pytest.raises(MemoryError):
        fastlec.matmul(a, b)
