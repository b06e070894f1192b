"""fastlec.conv2d, its JacMV and its JacTMV.

Sums of products of small integers are exact in any order, so they must be the reference's bit by bit: for every geometry, dtype,
instruction set and algorithm but Winograd's, whose transforms divide by 3 and 15.
"""

import os
import re
import tracemalloc
import zlib
from functools import lru_cache

import cases
import interpreter
import numpy as np
import pytest
from bounds import Near
from numpy.testing import assert_allclose, assert_array_equal

import fastlec
from fastlec import reference
from fastlec._geometry import geometry
from fastlec._kernels import conv2d as kernels
from fastlec._kernels.epilogue import ACTIVATIONS, Epilogue
from fastlec._kernels.plan import Plan
from fastlec.convolution import ALGORITHMS

conv = cases.parametrize("case", cases.CONVOLUTIONS)
FEW = [*cases.CONV_EDGES[3:70:8], cases.Conv((2, 8, 14, 15), (12, 2, 3, 3), stride=2, padding=1, groups=4)]
SQUARE = cases.Conv((2, 4, 6, 7), (4, 4, 3, 3), padding=1)  # y has x's shape


def integers(rng, shape, dtype, top=9):
    return rng.integers(-top, top + 1, shape).astype(dtype)


def small_integers(rng, shape, dtype):
    return integers(rng, shape, dtype, top=3)


def normals(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def problem(draw, rng, case, dtype):
    """x, W, b, v, and directions for the first three."""
    y_shape = geometry(case.x, case.W, **case.options).y_shape
    b = (case.W[0],)
    names = {"x": case.x, "W": case.W, "b": b, "v": y_shape, "dx": case.x, "dW": case.W, "db": b}
    return {name: draw(rng, shape, dtype) for name, shape in names.items()}


def results(module, p, options, **more):
    """All that there is: {name: array}. module: fastlec or reference."""
    d = {name: p[name] for name in ("dx", "dW", "db")}
    found = {
        "y": module.conv2d(p["x"], p["W"], **options, **more),
        "y, b": module.conv2d(p["x"], p["W"], p["b"], **options, **more),
        "dy": module.conv2d_jac_mv(p["x"], p["W"], **d, **options, **more),
    }
    found |= {f"dy by {name}": module.conv2d_jac_mv(p["x"], p["W"], **{name: a}, **options, **more) for name, a in d.items()}
    return found | module.conv2d_jac_tmv(p["v"], p["x"], p["W"], **options, **more)


def known(p, options):
    """results(reference, p, options), no convolution computed twice."""
    x, W, b, db = p["x"], p["W"], *(p[name].astype(float).reshape(-1, 1, 1) for name in ("b", "db"))
    y = reference.conv2d(x, W, **options)
    by_dx, by_dW = (reference.conv2d_jac_mv(x, W, **{name: p[name]}, **options) for name in ("dx", "dW"))
    found = {"y": y, "y, b": y + b, "dy": by_dx + by_dW + db}
    found |= {"dy by dx": by_dx, "dy by dW": by_dW, "dy by db": np.broadcast_to(db, y.shape)}
    return found | reference.conv2d_jac_tmv(p["v"], x, W, **options)


def has_winograd(case):
    return case.W[2:] == (3, 3) and case.stride in (1, (1, 1))


def algorithms(case):
    return [name for name in ALGORITHMS if name != "winograd" or has_winograd(case)]


def may_be_winograd(case, algorithm):
    return has_winograd(case) and algorithm in ("winograd", "auto")


def checks(p, case, dtype, tolerance):
    """check(name of a result, found, winograd): within the bound of its sum. check.values: known(p)."""
    n, (k, per_group, r, s) = case.x[0], case.W
    values = known(p, case.options)
    absolute = {name: np.abs(a) for name, a in p.items()}
    sizes = known(absolute, case.options)
    of_tiles = {name: a.max(axis=(2, 3), keepdims=True) for name, a in absolute.items() if name in ("x", "v", "dx")}
    of_tiles |= {name: absolute[name].sum(axis=(2, 3), keepdims=True) for name in ("W", "dW")}
    tiles = known(absolute | of_tiles, {"groups": case.groups}) if has_winograd(case) else {}
    of_y, pixels = per_group * r * s, values["y"][0, 0].size
    terms = {"dy": 2 * of_y + 1, "x": k // case.groups * r * s, "W": n * pixels, "b": n * pixels}
    eps = float(np.finfo(dtype).eps)

    def check(name, found, winograd):
        if winograd and name not in ("b", "dy by db"):
            size = tiles[name] if name != "W" else np.maximum(sizes["W"].max(axis=(2, 3), keepdims=True), tiles["W"])
            error = tolerance("winograd", dtype) * size
        else:
            error = min(tolerance("product", dtype), terms.get(name, of_y + 1) * eps) * sizes[name]
        Near(values[name], error).check(found)

    check.values = values
    return check


@lru_cache(2)
def checked(draw, case, dtype, tolerance):
    """(p, check): what every instruction set, in its turn, gets and has to give."""
    p = problem(draw, np.random.default_rng(zlib.crc32(f"{case} {dtype}".encode())), case, dtype)
    for a in p.values():
        a.flags.writeable = False
    return p, checks(p, case, dtype, tolerance)


@conv
def test_convolutions(case, isa, dtype, tolerance):
    """Every function by every algorithm: exact for integers, else near the reference."""
    (whole, check_whole), (p, check) = (checked(draw, case, dtype, tolerance) for draw in (integers, normals))
    for algorithm in algorithms(case):
        winograd = may_be_winograd(case, algorithm)
        for name, found in results(fastlec, whole, case.options, algorithm=algorithm).items():
            assert found.dtype == dtype
            assert found.flags.c_contiguous
            if winograd:
                check_whole(name, found, winograd)
            else:
                assert_array_equal(found, check_whole.values[name], err_msg=f"{name} by {algorithm}")
        for name, found in results(fastlec, p, case.options, algorithm=algorithm).items():
            check(name, found, winograd)


@pytest.mark.parametrize("case", cases.CONV_EDGES[::4], ids=str)
def test_transposes(case, isa, dtype, rng):
    """<u, conv(x)> = <conv' u, x> and the same by W and b: integers, so that both sides are exact."""
    p = problem(integers, rng, case, dtype)
    found = results(fastlec, p, case.options, algorithm="direct")
    for name in ("x", "W", "b"):
        left = np.sum(p["v"].astype(float) * found[f"dy by d{name}"])
        assert left == np.sum(found[name].astype(float) * p[f"d{name}"])


@pytest.mark.parametrize("case", dict.fromkeys(case.small() for case in cases.CONV_EDGES[::4]), ids=str)
def test_convolution_is_a_matrix(case, isa, dtype, rng):
    """The lecture's, sparse, times vec(x); and vec(W) times the windows."""
    x, W = integers(rng, case.x, dtype), integers(rng, case.W, dtype)
    y = fastlec.conv2d(x, W, **case.options, algorithm="direct")
    assert_array_equal(reference.conv2d_matrix(W, x.shape, **case.options) @ x.ravel().astype(float), y.ravel())
    if case.groups == 1:
        columns = fastlec.im2col(x, case.W[2:], **case.windows)
        for image, windows in zip(y, columns, strict=True):
            assert_array_equal(fastlec.matmul(W.reshape(len(W), -1), windows), image.reshape(len(W), -1))


def test_convolution_by_hand(isa, dtype):
    x, W = np.arange(1, 10, dtype=dtype).reshape(1, 1, 3, 3), np.array([[[[1, 10], [100, 1000]]]], dtype)
    assert_array_equal(fastlec.conv2d(x, W), [[[[5421, 6532], [8754, 9865]]]])
    assert_array_equal(fastlec.conv2d(x, W, np.array([0.5], dtype)), [[[[5421.5, 6532.5], [8754.5, 9865.5]]]])
    assert_array_equal(fastlec.conv2d(x, W, padding="same")[0, 0], [[5421, 6532, 603], [8754, 9865, 906], [87, 98, 9]])
    products = fastlec.conv2d_jac_tmv(np.array([[[[1, 2], [3, 4]]]], dtype), x, W)
    assert_array_equal(products["x"][0, 0], [[1, 12, 20], [103, 1234, 2040], [300, 3400, 4000]])
    assert_array_equal(products["W"][0, 0], [[37, 47], [67, 77]])
    assert_array_equal(products["b"], [10])


# Large enough for a team: many images and one, many channels and one, wide, tall, strided, dilated, grouped, depthwise, 1 x 1; more
# channels than stay in a cache, rows longer than a tile.
TEAM = [
    cases.Conv((3, 16, 40, 41), (24, 16, 3, 3), padding=1),
    cases.Conv((1, 1, 200, 200), (8, 1, 5, 5)),
    cases.Conv((1, 3, 100, 101), (16, 3, 7, 7), stride=2, padding=3),
    cases.Conv((1, 300, 14, 13), (50, 300, 3, 3), padding="same"),
    cases.Conv((1, 300, 9, 8), (20, 300, 2, 3), dilation=2),
    cases.Conv((1, 2, 5, 9000), (3, 2, 3, 5), padding=2),
    cases.Conv((1, 2, 4000, 5), (3, 2, 5, 3), padding=1),
    cases.Conv((2, 64, 30, 31), (48, 64, 1, 1)),
    cases.Conv((2, 60, 56, 57), (60, 1, 3, 3), padding=1, groups=60),
    cases.Conv((2, 32, 33, 35), (64, 8, 3, 3), padding=1, stride=2, groups=4),
    cases.Conv((40, 6, 12, 12), (16, 6, 5, 5)),
    cases.Conv((1, 16, 64, 65), (16, 16, 3, 3), padding=3, dilation=3),
    cases.Conv((6, 32, 30, 31), (64, 32, 3, 3), padding=1),
    cases.Conv((2, 128, 14, 13), (96, 128, 3, 3), padding=1),
]


@cases.parametrize("case", TEAM)
def test_teams_agree_bit_by_bit(case, isa, dtype, rng, tolerance, alone):
    """With numbers that round; and the team is right, for integers exactly."""
    (whole, check), p = checked(small_integers, case, dtype, tolerance), problem(normals, rng, case, dtype)
    for algorithm in [name for name in algorithms(case) if name != "im2col"]:
        team = results(fastlec, p, case.options, algorithm=algorithm)
        for name, found in results(fastlec, whole, case.options, algorithm=algorithm).items():
            if may_be_winograd(case, algorithm):
                check(name, found, winograd=True)
            else:
                assert_array_equal(found, check.values[name], err_msg=name)
        with alone():
            single = results(fastlec, p, case.options, algorithm=algorithm)
        for name, one in single.items():
            assert_array_equal(one, team[name], err_msg=f"{name} by {algorithm}")


@cases.layouts
def test_any_layout(layout, isa, dtype, rng):
    for case in FEW:
        p = problem(integers, rng, case, dtype)
        given = {name: layout(a) for name, a in p.items()}
        expected = results(fastlec, p, case.options)
        for name, found in results(fastlec, given, case.options).items():
            assert type(found) is np.ndarray
            assert_array_equal(found, expected[name], strict=True)
        for name, a in p.items():
            assert_array_equal(given[name], a)


@cases.writeable_layouts
def test_out_of_any_layout(layout, isa, dtype, rng):
    for case in FEW:
        p = problem(integers, rng, case, dtype)
        expected = results(fastlec, p, case.options)
        out = layout(np.full(expected["y"].shape, np.nan, dtype))
        assert fastlec.conv2d(p["x"], p["W"], p["b"], **case.options, out=out) is out
        assert_array_equal(out, expected["y, b"])
        out[...] = np.nan
        directions = {name: p[name] for name in ("dx", "dW", "db")}
        assert fastlec.conv2d_jac_mv(p["x"], p["W"], **directions, **case.options, out=out) is out
        assert_array_equal(out, expected["dy"])


@pytest.mark.parametrize("case", cases.CONV_EDGES[::3], ids=str)
def test_nothing_is_written_beside_out(case, isa, dtype, rng):
    p = problem(integers, rng, case, dtype)
    expected = reference.conv2d(p["x"], p["W"], **case.options)
    memory = np.full(expected.size + 128, 7, dtype)
    for begin in (32, 33):
        out = memory[begin:][: expected.size].reshape(expected.shape)
        assert fastlec.conv2d(p["x"], p["W"], **case.options, algorithm="direct", out=out) is out
        assert_array_equal(out, expected)
        assert (memory[:begin] == 7).all()
        assert (memory[begin + expected.size :] == 7).all()
        memory[:] = 7


@pytest.mark.parametrize("shift", [0, 1, -1, 7, 100])
def test_out_may_be_or_overlap_an_input(shift, isa, dtype, rng):
    p = problem(integers, rng, SQUARE, dtype)
    options = SQUARE.options | {"algorithm": "direct"}
    expected = results(fastlec, p, options)
    size = p["x"].size

    def overlapping(name):
        """An array of p in larger memory, and an out of y's shape there."""
        memory = np.zeros(3 * size, dtype)
        given = memory[size:][: p[name].size].reshape(p[name].shape)
        given[...] = p[name]
        return p | {name: given}, memory[size + shift :][:size].reshape(SQUARE.x)

    for name in ("x", "W", "b"):
        q, out = overlapping(name)
        assert fastlec.conv2d(q["x"], q["W"], q["b"], **options, out=out) is out
        assert_array_equal(out, expected["y, b"])
    for name in ("x", "W", "dx", "dW", "db"):
        q, out = overlapping(name)
        fastlec.conv2d_jac_mv(q["x"], q["W"], dx=q["dx"], dW=q["dW"], db=q["db"], **options, out=out)
        assert_array_equal(out, expected["dy"])
    q, out = overlapping("db")
    fastlec.conv2d_jac_mv(q["x"], q["W"], db=q["db"], **options, out=out)
    assert_array_equal(out, expected["dy by db"])


def test_one_array_in_several_places(isa, dtype, rng):
    x = integers(rng, (3, 3, 3, 3), dtype)
    expected = reference.conv2d_jac_mv(x, x, x, x, padding=1)
    assert_array_equal(fastlec.conv2d_jac_mv(x, x, dx=x, dW=x, padding=1, algorithm="direct"), expected)
    products = fastlec.conv2d_jac_tmv(x, x, x, padding=1, algorithm="direct")
    for name, expected in reference.conv2d_jac_tmv(x, x, x, padding=1).items():
        assert_array_equal(products[name], expected)


@pytest.mark.parametrize("case", [SQUARE, cases.Conv((2, 3, 9, 8), (4, 3, 2, 3), stride=2)], ids=str)
def test_only_what_is_asked_for(case, isa, dtype, rng):
    p = problem(integers, rng, case, dtype)
    whole = fastlec.conv2d_jac_tmv(p["v"], p["x"], p["W"], **case.options)
    assert list(whole) == ["x", "W", "b"]
    nothing = {name: np.full(p[name].shape, np.nan, dtype) for name in ("x", "W")}
    for wrt, given in (("W", ("x",)), (["x"], ("W",)), (("b",), ()), (("b", "W"), ("x",)), (("b", "x", "b"), ("W",)), ((), ())):
        x, W = (p[name] if name in given else nothing[name] for name in ("x", "W"))
        found = fastlec.conv2d_jac_tmv(p["v"], x, W, **case.options, wrt=wrt)
        assert list(found) == list(dict.fromkeys([wrt] if isinstance(wrt, str) else wrt))
        for name, a in found.items():
            assert_array_equal(a, whole[name])
    dy = fastlec.conv2d_jac_mv(nothing["x"], p["W"], dx=p["dx"], **case.options)
    assert_array_equal(dy, fastlec.conv2d_jac_mv(p["x"], p["W"], dx=p["dx"], **case.options))
    dy = fastlec.conv2d_jac_mv(p["x"], nothing["W"], dW=p["dW"], **case.options)
    assert_array_equal(dy, fastlec.conv2d_jac_mv(p["x"], p["W"], dW=p["dW"], **case.options))


def test_results_are_fresh(isa, dtype, rng):
    case = cases.Conv((2, 8, 40, 41), (8, 8, 3, 3))
    p, q = problem(integers, rng, case, dtype), problem(integers, rng, case, dtype)
    found = results(fastlec, p, case.options)
    kept = {name: a.copy() for name, a in found.items()}
    for name, a in results(fastlec, q, case.options).items():
        assert not any(np.shares_memory(a, b) for b in found.values())
        assert_array_equal(found[name], kept[name])


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_images(groups, algorithm, isa, dtype):
    x, W, b = np.zeros((0, 4, 5, 6), dtype), np.ones((2, 4 // groups, 3, 3), dtype), np.ones(2, dtype)
    options = {"groups": groups, "algorithm": algorithm}
    y = np.zeros((0, 2, 3, 4), dtype)
    assert_array_equal(fastlec.conv2d(x, W, b, **options), y, strict=True)
    assert_array_equal(fastlec.conv2d_jac_mv(x, W, dx=x, dW=W, db=b, **options), y, strict=True)
    for name, a in fastlec.conv2d_jac_tmv(y, x, W, **options).items():
        assert_array_equal(a, np.zeros({"x": x, "W": W, "b": b}[name].shape, dtype), strict=True)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize(("channels", "size"), [(32, 28), (64, 56), (128, 28), (256, 14), (512, 7)])
def test_winograds_errors_are_those_of_direct_summation(channels, size, positive, rng):
    """at most three times: what lets "auto" take it. (In float64: test_winograd.py.)"""
    x, W = normals(rng, (1, channels, size, size), np.float32), normals(rng, (16, channels, 3, 3), np.float32)
    x = np.maximum(x, 0) if positive else x  # as after relu
    expected = reference.conv2d(x, W, padding=1)

    def error(algorithm):
        return np.sqrt(np.mean((fastlec.conv2d(x, W, padding=1, algorithm=algorithm) - expected) ** 2))

    assert error("winograd") < 3 * error("direct")


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize(("channels", "size", "images"), [(16, 28, 1), (32, 14, 6), (64, 56, 1), (16, 28, 16)])
def test_winograds_errors_are_those_of_sums_in_order(channels, size, images, positive, rng):
    """at most three times, for the weights' gradient in float32: what lets "auto" take it, from 768 pixels on."""
    shape = images, channels, size, size
    x, v, W = normals(rng, shape, np.float32), normals(rng, shape, np.float32), np.zeros((channels, channels, 3, 3), np.float32)
    x = np.maximum(x, 0) if positive else x
    expected = reference.conv2d_jac_tmv(v, x, W, padding=1)["W"][:4]
    found = fastlec.conv2d_jac_tmv(v, x, W, padding=1, wrt="W")["W"][:4]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (size, size), (2, 3))
    of_v, of_x = (np.moveaxis(a, 0, -3).reshape(*a.shape[1:-2], -1) for a in (v[:, :4], windows))
    in_order = np.cumsum(of_v[:, None, None, None] * of_x, axis=-1, dtype=np.float32)[..., -1]
    assert np.sqrt(np.mean((found - expected) ** 2)) < 3 * np.sqrt(np.mean((in_order - expected) ** 2))


# --- values that are not numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@cases.parametrize(
    "case", [SQUARE, *FEW[-3:], cases.Conv((2, 3, 12, 40), (5, 3, 1, 1)), cases.Conv((1, 4, 9, 20), (4, 1, 3, 3), groups=4)]
)
def test_nan_and_infinity(value, case, isa, dtype, rng):
    """One in x, v, W or b, at the border or inside, reaches what depends on it and nothing else (by Winograd's algorithm: all of a
    tile). The others are positive, so that no two infinities are opposite. What W's make of the padding's zeros is left open;
    v's products with them may be left out."""
    p = {name: np.abs(a) + 1 for name, a in problem(integers, rng, case, dtype).items()}
    for name in ("x", "v", "b") if case.padding else ("x", "v", "b", "W"):
        for place in ("first", "middle", "last"):
            bad = p | {name: p[name].copy()}
            bad[name].flat[{"first": 0, "middle": p[name].size // 2, "last": -1}[place]] = value
            with np.errstate(invalid="ignore"):
                expected = results(reference, bad, case.options)
            for of, found in results(fastlec, bad, case.options, algorithm="direct").items():
                if (name, of) == ("v", "W"):
                    only = np.where(p["v"] == bad["v"], 0, 1).astype(dtype)
                    meets_x = reference.conv2d_jac_tmv(only, np.ones_like(p["x"]), p["W"], **case.options)["W"] != 0
                    without = reference.conv2d_jac_tmv(np.where(only, 0, p["v"]), p["x"], p["W"], **case.options)["W"]
                    expected[of] = np.where(meets_x | np.isnan(found), expected[of], without)
                if (name, of) != ("W", "x"):
                    assert_array_equal(found, expected[of], err_msg=f"{of}, for the {place} of {name}")


def test_nan_in_winograds_tile(isa, dtype):
    """It is not lost, and does not leave its channel's image."""
    x, W = np.ones((2, 3, 16, 16), dtype), np.ones((4, 3, 3, 3), dtype)
    x[1, 1, 7, 9] = np.nan
    y = fastlec.conv2d(x, W, padding=1, algorithm="winograd")
    assert np.isnan(y[1, :, 6:9, 8:11]).all()
    assert not np.isnan(y[0]).any()
    assert not np.isnan(y[1, :, 0]).any()


def test_subnormals_are_kept(isa, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x, W = np.full((1, 2, 5, 20), tiny, dtype), np.ones((3, 2, 3, 3), dtype)
    assert_array_equal(fastlec.conv2d(x, W, algorithm="direct"), np.full((1, 3, 3, 18), 18 * tiny))
    v = np.full((1, 3, 3, 18), tiny, dtype)
    products = fastlec.conv2d_jac_tmv(v, np.ones_like(x), W, algorithm="direct")
    assert products["x"][0, 0, 2, 9] == 27 * tiny
    assert_array_equal(products["W"], np.full(W.shape, 54 * tiny))
    assert_array_equal(products["b"], np.full(3, 54 * tiny))


# --- dtypes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.bool_, np.float16, list])
def test_other_dtypes(kind, isa, rng):
    case = cases.Conv((2, 3, 6, 7), (4, 3, 2, 3), stride=(2, 1))
    p = {name: np.abs(a) for name, a in problem(lambda *arguments: integers(*arguments, top=1), rng, case, np.int64).items()}
    given = {name: a.tolist() if kind is list else a.astype(kind) for name, a in p.items()}
    dtype = np.float32 if kind is np.float16 else np.float64
    expected = results(reference, p, case.options)
    for name, found in results(fastlec, given, case.options).items():
        assert_array_equal(found, expected[name].astype(dtype), strict=True)


def test_mixed_dtypes(isa, rng):
    case = SQUARE
    p = problem(normals, rng, case, np.float32)
    double = {name: a.astype(np.float64) for name, a in p.items()}
    expected = results(fastlec, double, case.options)
    options = case.options
    for name in ("x", "W", "b"):
        q = p | {name: double[name]}
        assert_array_equal(fastlec.conv2d(q["x"], q["W"], q["b"], **options), expected["y, b"], strict=True)
    for name in ("x", "W", "dx", "dW", "db"):
        q = p | {name: double[name]}
        dy = fastlec.conv2d_jac_mv(q["x"], q["W"], dx=q["dx"], dW=q["dW"], db=q["db"], **options)
        assert_array_equal(dy, expected["dy"], strict=True)
    for name in ("v", "x", "W"):
        q = p | {name: double[name]}
        for of, found in fastlec.conv2d_jac_tmv(q["v"], q["x"], q["W"], **options).items():
            assert_array_equal(found, expected[of], strict=True)


# --- what is refused -------------------------------------------------------------------------------------------------

X, W, B, V = np.ones((2, 3, 5, 6)), np.ones((4, 3, 3, 3)), np.ones(4), np.ones((2, 4, 3, 4))
forward, mv, tmv = fastlec.conv2d, fastlec.conv2d_jac_mv, fastlec.conv2d_jac_tmv
REFUSED = {
    "x's axes": (forward, (X[0], W), {}, ValueError, "x has shape (3, 5, 6); expected (n, c, h, w)"),
    "W's axes": (forward, (X, W[0]), {}, ValueError, "W has shape (3, 3, 3); expected (k, c / groups, r, s)"),
    "channels": (forward, (X, W[:, :2]), {}, ValueError, "W has shape (4, 2, 3, 3); expected (4, 3, 3, 3) to match x of shape"),
    "groups": (forward, (X, W), {"groups": 2}, ValueError, "groups is 2; expected a divisor of the 3 channels"),
    "stride": (forward, (X, W), {"stride": 0}, ValueError, "stride is 0; expected at least 1"),
    "padding": (forward, (X, W), {"padding": -1}, ValueError, "padding is -1; expected at least 0"),
    "dilation": (forward, (X, W), {"dilation": 3}, ValueError, "W has shape (4, 3, 3, 3) and reaches over 7 x 7 pixels"),
    "b": (forward, (X, W, B[:3]), {}, ValueError, "b has shape (3,); expected (4,)"),
    "b a number": (forward, (X, W, 1.0), {}, ValueError, "b has shape (); expected (4,)"),
    "x complex": (forward, (X + 0j, W), {}, TypeError, "x has dtype complex128; expected"),
    "W object": (forward, (X, W.astype(object)), {}, TypeError, "W has dtype object; expected"),
    "b text": (forward, (X, W, ["a"] * 4), {}, TypeError, "b has dtype <U1; expected"),
    "ragged": (forward, ([[[[1.0], [2.0, 3.0]]]], W), {}, ValueError, "x is no rectangular array"),
    "algorithm": (
        forward,
        (X, W),
        {"algorithm": "fft"},
        ValueError,
        "algorithm is 'fft'; expected one of auto, im2col, direct, winograd",
    ),
    "no algorithm": (forward, (X, W), {"algorithm": None}, ValueError, "algorithm is None; expected one of"),
    "winograd 2x3": (
        forward,
        (X, W[:, :, :2]),
        {"algorithm": "winograd"},
        ValueError,
        "algorithm is 'winograd'; expected another one",
    ),
    "winograd stride": (
        forward,
        (X, W),
        {"algorithm": "winograd", "stride": 2},
        ValueError,
        "algorithm is 'winograd'; expected another",
    ),
    "out's shape": (
        forward,
        (X, W),
        {"out": np.zeros((2, 4, 5, 6))},
        ValueError,
        "out has shape (2, 4, 5, 6); expected (2, 4, 3, 4)",
    ),
    "out's dtype": (forward, (X, W), {"out": V.astype("f4")}, TypeError, "out has dtype float32; expected float64"),
    "out is a list": (forward, (X, W), {"out": V.tolist()}, TypeError, "out is a list; expected an ndarray"),
    "out is read-only": (forward, (X, W), {"out": np.broadcast_to(0.0, V.shape)}, ValueError, "out is read-only; expected"),
    "no direction": (mv, (X, W), {}, ValueError, "no direction is given; expected one or more of dx, dW, db"),
    "dx": (mv, (X, W), {"dx": X[:1]}, ValueError, "dx has shape (1, 3, 5, 6); expected (2, 3, 5, 6)"),
    "dW": (mv, (X, W), {"dW": W[0]}, ValueError, "dW has shape (3, 3, 3); expected (4, 3, 3, 3)"),
    "db": (mv, (X, W), {"db": B[:, None]}, ValueError, "db has shape (4, 1); expected (4,)"),
    "dx complex": (mv, (X, W), {"dx": X * 1j}, TypeError, "dx has dtype complex128; expected"),
    "mv's x": (mv, (X[0], W), {"db": B}, ValueError, "x has shape (3, 5, 6); expected (n, c, h, w)"),
    "mv's out": (mv, (X, W), {"db": B, "out": B}, ValueError, "out has shape (4,); expected (2, 4, 3, 4)"),
    "v": (tmv, (X, X, W), {}, ValueError, "v has shape (2, 3, 5, 6); expected (2, 4, 3, 4)"),
    "v complex": (tmv, (V + 0j, X, W), {}, TypeError, "v has dtype complex128; expected"),
    "wrt": (tmv, (V, X, W), {"wrt": ("x", "w")}, ValueError, "wrt has 'w'; expected names out of x, W, b"),
    "wrt v": (tmv, (V, X, W), {"wrt": "v"}, ValueError, "wrt has 'v'; expected names out of x, W, b"),
    "tmv's algorithm": (tmv, (V, X, W), {"algorithm": 1}, ValueError, "algorithm is 1; expected one of auto"),
}


@pytest.mark.parametrize(("function", "arguments", "options", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_arguments(function, arguments, options, error, match):
    with pytest.raises(error, match=f"^{re.escape(match)}"):
        function(*arguments, **options)


def test_a_refusal_leaves_out_alone(dtype):
    out = np.full(V.shape, 7, dtype)
    for x, w, b in ((X, W, B[:3]), (X, W[:, :2], B), (X + 0j, W, B), (X.astype(np.longdouble), W, B)):
        with pytest.raises((TypeError, ValueError)):
            fastlec.conv2d(x, w, b, out=out)
    assert (out == 7).all()


# --- strides and dilations beyond the image --------------------------------------------------------------------------

TAPS = np.arange(1.0, 10).reshape(1, 1, 3, 3)
FAR = {"dilation": 2**20, "padding": 2**20}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("channels", [1, 2, 33])
def test_dilations_beyond_the_image(algorithm, channels, isa, dtype, rng):
    """Of 3 x 3 taps only the middle one meets the image."""
    x, v = integers(rng, (2, channels, 3, 2), dtype), integers(rng, (2, 32, 3, 2), dtype)
    W = integers(rng, (32, channels, 3, 3), dtype)
    far, one = {**FAR, "algorithm": algorithm}, W[:, :, 1:2, 1:2]
    close = {"rtol": 0, "atol": 1e-3} if algorithm == "winograd" else {"rtol": 0, "atol": 0}
    assert_allclose(fastlec.conv2d(x, W, **far), reference.conv2d(x, one), **close)
    expected, g = reference.conv2d_jac_tmv(v, x, one), fastlec.conv2d_jac_tmv(v, x, W, **far)
    assert_allclose(g["x"], expected["x"], **close)
    assert_allclose(g["W"][:, :, 1:2, 1:2], expected["W"], **close)
    g["W"][:, :, 1, 1] = 0
    assert_allclose(g["W"], 0, **close)


def test_strides_beyond_the_image(isa, dtype):
    x, v = np.arange(25.0).reshape(1, 1, 5, 5).astype(dtype), np.full((1, 1, 1, 1), 2, dtype)
    for stride in (5, 2**20, 2**40):
        assert fastlec.conv2d(x, TAPS, stride=stride) == (x[..., :3, :3] * TAPS).sum()
        g = fastlec.conv2d_jac_tmv(v, x, TAPS, stride=stride)
        assert_array_equal(g["x"][..., :3, :3], 2 * TAPS)
        assert (g["x"][..., 3:, :] == 0).all()
        assert (g["x"][..., 3:] == 0).all()
        assert_array_equal(g["W"], 2 * x[..., :3, :3])


def test_pixels_that_no_tap_meets_take_no_memory(dtype):
    """One for each of a stride's 250000 phases would take 14 MB."""
    x, v, W = np.ones((1, 1, 500, 500), dtype), np.ones((1, 1, 1, 1), dtype), np.ones((1, 1, 1, 1), dtype)
    tracemalloc.start()
    try:
        g = fastlec.conv2d_jac_tmv(v, x, W, stride=500, wrt="x")["x"]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert g.sum() == g[0, 0, 0, 0] == 1
    assert most < g.nbytes + 100_000


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [((1, 1), 2, 0), ((2, 1), (3, 4), 0), ((1, 1), 5, 1), ((3, 3), (5, 1), 2)]
)
def test_what_follows_a_gradient_follows_it_everywhere(kernel, stride, padding, with_bias, accumulate, isa, dtype, rng):
    """Also at pixels that no tap meets, and where none meets any."""
    shape, W = (2, 3, 3, 9), integers(rng, (4, 3, *kernel), dtype)
    g = geometry(shape, W.shape, stride, padding)
    v, dx, residual, slope = (integers(rng, s, dtype) for s in (g.y_shape, shape, shape, shape))
    expected = reference.conv2d_jac_tmv(v, dx, W, stride, padding)["x"] + (dx if accumulate else 0) + residual
    bias = integers(rng, (3,), dtype) if with_bias else None
    expected = expected if bias is None else expected + bias[:, None, None]
    plan = Plan(dtype.num)
    after = Epilogue(bias, residual=residual, accumulate=accumulate, derivative=ACTIVATIONS["relu"], of=slope)
    kernels.data_gradient(plan, g, v, W, dx, after=after)
    plan.run()
    assert_array_equal(dx, expected * (slope > 0))


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="sanitizers take memory and time of their own")
def test_memory_is_bounded():
    """A convolution whose im2col matrix would have 20 GB, forward and both ways back, within 1 GiB more than its arrays; right at
    some places. In a process of its own, for the most that it ever held is what is measured."""
    code = """
        import resource
        import numpy as np
        import fastlec

        x = np.random.default_rng(1).standard_normal((1, 64, 800, 800), np.float32)
        W = np.random.default_rng(2).standard_normal((2, 64, 11, 11), np.float32)
        assert x[0].size * 11 * 11 * 4 > 19e9
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        y = fastlec.conv2d(x, W, padding="same")
        g = fastlec.conv2d_jac_tmv(y, x, W, padding="same")
        used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        print(used - y.nbytes - sum(a.nbytes for a in g.values()))

        eps = np.finfo(np.float32).eps
        def near(found, a, b):
            products = a.astype(np.float64) * b
            assert abs(found - products.sum()) <= 4 * eps * np.abs(products).sum(), (found, products.sum())
        for a, b in ((400, 300), (5, 5), (794, 794), (17, 700)):
            near(y[0, 1, a, b], x[0, :, a - 5 : a + 6, b - 5 : b + 6], W[1])
            near(g["x"][0, 3, a, b], y[0, :, a - 5 : a + 6, b - 5 : b + 6], W[:, 3, ::-1, ::-1])
        near(g["W"][1, 2, 4, 7], y[0, 1, 1:, :-2], x[0, 2, :-1, 2:])
        near(g["b"][0], y[0, 0], np.ones((800, 800)))
    """
    assert int(interpreter.output(code)) < 1 << 30
