"""The sizes of convolutions and poolings: against windows that are counted, and what is said to what cannot be."""

import re

import cases
import numpy as np
import pytest

from fastlec._geometry import Geometry, geometry, window_geometry

X, W = (2, 6, 8, 9), (4, 6, 3, 3)


def counted(length, before, behind, taps, stride, dilation):
    """How many windows fit into the padded image."""
    places = range(-before, length + behind)
    return sum(start + dilation * (taps - 1) in places for start in places[::stride])


@cases.parametrize("case", cases.CONVOLUTIONS)
def test_windows_that_fit(case):
    g = geometry(case.x, case.W, **case.options)
    assert (g.x_shape, g.w_shape, g.groups) == (case.x, case.W, case.groups)
    assert g.oh == counted(g.h, g.top, g.bottom, g.r, g.sh, g.dh)
    assert g.ow == counted(g.w, g.left, g.right, g.s, g.sw, g.dw)
    assert min(g.oh, g.ow) >= 1
    assert g.y_shape == (g.n, g.k, g.oh, g.ow)
    assert g.columns_shape == (g.n, g.c * g.r * g.s, g.oh * g.ow)


@pytest.mark.parametrize("taps", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_same(taps, stride, dilation):
    """One window for every stride, as few zeros as that takes, the odd one behind."""
    for length in range(1, 20):
        g = geometry((1, 1, length, 1), (1, 1, taps, 1), (stride, 1), "same", (dilation, 1))
        assert g.oh == -(-length // stride)
        assert g.bottom - g.top in (0, 1)
        assert (g.left, g.right) == (0, 0)
        assert g.top + g.bottom == 0 or counted(length, g.top, g.bottom - 1, taps, stride, dilation) < g.oh


@pytest.mark.parametrize("taps", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_ceil_mode(taps, stride, dilation):
    """All windows that reach beyond the padded image by less than a stride, and begin left of the padding behind."""
    extent = dilation * (taps - 1) + 1
    for length in range(1, 15):
        for around in (0, extent // 2):
            settings = (taps, 1), (stride, 1), (around, 0), (dilation, 1)
            begins = range(-around, length, stride)
            expected = sum(begin + extent - length - around < stride for begin in begins)
            if expected:
                g = window_geometry((1, 1, length, 1), *settings, ceil_mode=True)
                assert (g.oh, g.ow) == (expected, 1)
                assert (g.top, g.bottom) == (around, around)
            else:
                with pytest.raises(ValueError, match="and less than a stride more"):
                    window_geometry((1, 1, length, 1), *settings, ceil_mode=True)


def test_every_way_to_say_it():
    assert geometry(X, W, 2, 1, 1) == geometry(X, W, (2, 2), (1, 1), (1, 1)) == geometry(X, W, [2, 2], ((1, 1), (1, 1)))
    assert geometry(X, W, padding=(1, (2, 3))) == geometry(X, W, padding=((1, 1), (2, 3)))
    assert geometry(X, W, padding="valid") == geometry(X, W)
    sizes = np.array([2, 1])
    assert geometry(list(X), np.array(W), sizes, np.int8(1), sizes, np.int64(1)) == geometry(X, W, (2, 1), 1, (2, 1))
    assert window_geometry(X, 3, 2, 1) == window_geometry(X, (3, 3), (2, 2), (1, 1))
    assert window_geometry(X, (3, 2))[:7] == (*X, 6, 3, 2)
    assert all(type(n) is int for n in geometry(list(X), np.array(W), sizes, np.int8(1), sizes, np.int64(1))[7:])
    assert Geometry._fields == (*"nchwkrs", "sh", "sw", "top", "bottom", "left", "right", "dh", "dw", "groups", "oh", "ow")


REFUSED = {
    "x has three axes": (((6, 8, 9), W), {}, ValueError, "x has shape (6, 8, 9); expected (n, c, h, w)"),
    "x without channels": (
        ((2, 0, 8, 9), W),
        {},
        ValueError,
        "x has shape (2, 0, 8, 9); expected (n, c, h, w), none of them 0",
    ),
    "x without rows": (((2, 6, 0, 9), W), {}, ValueError, "x has shape (2, 6, 0, 9); expected"),
    "W has two axes": ((X, (4, 6)), {}, ValueError, "W has shape (4, 6); expected (k, c / groups, r, s)"),
    "no filters": (
        (X, (0, 6, 3, 3)),
        {},
        ValueError,
        "W has shape (0, 6, 3, 3); expected (k, c / groups, r, s), none of them 0",
    ),
    "no taps": ((X, (4, 6, 0, 3)), {}, ValueError, "W has shape (4, 6, 0, 3); expected"),
    "channels": ((X, (4, 3, 3, 3)), {}, ValueError, "W has shape (4, 3, 3, 3); expected (4, 6, 3, 3) to match x of shape"),
    "of a group": ((X, W), {"groups": 2}, ValueError, "W has shape (4, 6, 3, 3); expected (4, 3, 3, 3) to match x of shape"),
    "groups and c": ((X, W), {"groups": 4}, ValueError, "groups is 4; expected a divisor of the 6 channels of x and of the 4"),
    "groups and k": ((X, W), {"groups": 3}, ValueError, "groups is 3; expected a divisor of the 6 channels of x and of the 4"),
    "groups 0": ((X, W), {"groups": 0}, ValueError, "groups is 0; expected at least 1"),
    "groups 1.0": ((X, W), {"groups": 1.0}, TypeError, "groups is 1.0; expected an integer"),
    "stride 0": ((X, W), {"stride": 0}, ValueError, "stride is 0; expected at least 1"),
    "stride negative": ((X, W), {"stride": (1, -2)}, ValueError, "stride[1] is -2; expected at least 1"),
    "stride 1.5": ((X, W), {"stride": 1.5}, TypeError, "stride is 1.5; expected an integer or a pair of integers"),
    "stride of 3": ((X, W), {"stride": (1, 1, 1)}, ValueError, "stride is (1, 1, 1); expected an integer or a pair of"),
    "stride in words": ((X, W), {"stride": "12"}, TypeError, "stride is '12'; expected an integer or a pair of integers"),
    "stride too large": ((X, W), {"stride": 2**70}, ValueError, f"stride is {2**70}; expected at most"),
    "dilation 0": ((X, W), {"dilation": (0, 1)}, ValueError, "dilation[0] is 0; expected at least 1"),
    "dilation None": ((X, W), {"dilation": None}, TypeError, "dilation is None; expected an integer or a pair of integers"),
    "padding negative": ((X, W), {"padding": -1}, ValueError, "padding is -1; expected at least 0"),
    "one side negative": ((X, W), {"padding": ((0, 0), (0, -1))}, ValueError, "padding[1][1] is -1; expected at least 0"),
    "padding full": (
        (X, W),
        {"padding": "full"},
        ValueError,
        "padding is 'full'; expected an integer, a pair (or a pair of pairs)",
    ),
    "padding of 3": ((X, W), {"padding": (1, 1, 1)}, ValueError, "padding is (1, 1, 1); expected an integer, a pair"),
    "one side of 3": (
        (X, W),
        {"padding": (1, (1, 1, 1))},
        ValueError,
        "padding[1] is (1, 1, 1); expected an integer or a pair",
    ),
    "padding 0.5": ((X, W), {"padding": (1, 0.5)}, TypeError, "padding[1] is 0.5; expected an integer or a pair of integers"),
    "too large": ((X, (4, 6, 9, 3)), {}, ValueError, "W has shape (4, 6, 9, 3); expected at most the padded image's 8 x 9"),
    "too far": (
        (X, W),
        {"dilation": (1, 5)},
        ValueError,
        "W has shape (4, 6, 3, 3) and reaches over 3 x 11 pixels; expected at most",
    ),
    "beyond memory": ((X, W), {"padding": 2**30}, MemoryError, "images padded to 2147483656 x 2147483657, or the result"),
    "beyond 64 bits": ((X, W), {"padding": 2**39, "stride": 2**40}, MemoryError, "images padded to"),
}


@pytest.mark.parametrize(("shapes", "options", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_refused(shapes, options, error, match):
    with pytest.raises(error, match=f"^{re.escape(match)}") as caught:
        geometry(*shapes, **options)
    assert caught.type is error


def test_windows_refused():
    for size, error, match in (
        (0, ValueError, "kernel_size is 0; expected at least 1"),
        ((2, 0), ValueError, "kernel_size[1] is 0; expected at least 1"),
        (None, TypeError, "kernel_size is None; expected an integer or a pair of integers"),
        (9, ValueError, "kernel_size is (9, 9); expected at most the padded image's 8 x 9"),
    ):
        with pytest.raises(error, match=f"^{re.escape(match)}"):
            window_geometry(X, size)
    with pytest.raises(ValueError, match=r"^shape has shape \(1, 2\); expected \(n, c, h, w\)"):
        window_geometry((1, 2), 1, name="shape")
