"""Which algorithm a convolution takes: each of them somewhere, on every instruction set, and both sides of what they ask for."""

import numpy as np
import pytest
from cases import CONV_EDGES, Conv

from fastlec._geometry import geometry
from fastlec._kernels import conv2d as kernels
from fastlec._kernels.plan import Plan

HELPERS = ("conv_pack", "gemm_pack", "sum", "im2col")  # jobs around the one that convolves
GUARD = ("winograd_maps", "winograd_measure", "winograd_bounds", "winograd_weights_bounds", "winograd_choose")
GUARD += ("winograd_pack", "winograd_in")


@pytest.fixture
def way(taken):
    """way(operation, case, dtype): the kernels that convolve; of conditional ones, the transforms and what is instead of them."""

    def find(operation, case, dtype, algorithm=kernels.AUTO):
        plan = Plan(np.dtype(dtype).num)
        g = geometry(case.x, case.W, **case.options)
        x, W, y = (np.empty(shape, dtype) for shape in (g.x_shape, g.w_shape, g.y_shape))
        if operation == "forward":
            kernels.forward(plan, g, x, W, y, algorithm=algorithm)
        elif operation == "data":
            kernels.data_gradient(plan, g, y, W, x, algorithm=algorithm)
        else:
            kernels.weight_gradient(plan, g, y, x, W, algorithm=algorithm)
        names = [name for name in taken(plan) if name.removesuffix("?") not in HELPERS + GUARD]
        return names[0] if len(names) == 1 else tuple(names)

    return find


def conv(m, c, size, k, taps=3, padding=None, groups=1, **options):
    padding = taps // 2 if padding is None else padding
    return Conv((m, c, size, size), (k, c // groups, taps, taps), padding=padding, groups=groups, **options)


def by_isa(avx512, avx2, base):
    return {"avx512": avx512, "avx2": avx2, "base": base}


WINOGRAD, IMAGES = ("winograd?", "conv_channels?"), ("winograd?", "conv_images?")
FEW = ("winograd_few?", "conv_channels?")
# (operation, case, dtype, what is taken: a name, or one for each instruction set)
TAKEN = {
    "long rows": ("forward", conv(8, 3, 224, 64, 7, stride=2), "float32", "conv"),
    "few channels": ("forward", conv(64, 1, 28, 32), "float64", "conv"),
    "channels that fill registers": ("forward", conv(8, 128, 28, 128, groups=4, stride=2), "float32", "conv_channels"),
    "channels of 1 x 1": ("forward", conv(8, 256, 56, 32, 1), "float64", "conv_channels"),
    "more rows than channels of 1 x 1": ("data", conv(1, 256, 56, 64, 1), "float64", "conv"),
    "many images": ("forward", conv(16, 12, 16, 20), "float32", "conv_images"),
    "many images, their gradient": ("data", conv(64, 6, 14, 16, 5, 0), "float64", "conv_images"),
    "a channel for each row": (
        "forward",
        conv(8, 32, 56, 32, groups=32),
        "float32",
        by_isa("depthwise", "depthwise", "conv_images"),
    ),
    "a channel for each row, 5 x 5": ("forward", conv(2, 32, 28, 32, 5, groups=32), "float32", "conv"),
    "3 x 3": ("forward", conv(1, 64, 28, 64), "float32", by_isa(WINOGRAD, WINOGRAD, ("winograd?", "conv?"))),
    "3 x 3, the gradient": ("data", conv(1, 64, 28, 64), "float32", by_isa(WINOGRAD, WINOGRAD, ("winograd?", "conv?"))),
    "3 x 3, dilated": ("forward", conv(8, 64, 28, 64, padding=2, dilation=2), "float32", by_isa(WINOGRAD, IMAGES, IMAGES)),
    "few tiles": ("forward", conv(1, 512, 7, 512), "float32", by_isa(FEW, "gemm", FEW)),
    "few tiles, the gradient": ("data", conv(1, 512, 7, 512), "float32", FEW),
    "a stride": ("forward", conv(1, 256, 28, 256, stride=2), "float64", by_isa("conv_channels", "gemm", "conv_channels")),
    "weights, channels": ("weights", conv(8, 256, 56, 64, 1), "float32", "conv_weights_channels"),
    "weights, pixels": (
        "weights",
        conv(1, 3, 100, 2, 3),
        "float32",
        by_isa("conv_weights", "conv_weights", "conv_weights_channels"),
    ),
    "weights, images": ("weights", conv(64, 1, 28, 6, 5), "float32", "conv_weights_images"),
    "weights, a channel for each row": (
        "weights",
        conv(8, 32, 56, 32, groups=32),
        "float64",
        by_isa("depthwise_weights", "depthwise_weights", "conv_weights_images"),
    ),
    "weights, 3 x 3": (
        "weights",
        conv(8, 64, 28, 64),
        "float32",
        by_isa(
            ("winograd_weights?", "conv_weights_channels?"),
            ("winograd_weights?", "conv_weights_channels?"),
            ("winograd_weights?", "conv_weights_images?"),
        ),
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_each_algorithm_is_taken_somewhere(name, isa, way):
    operation, case, dtype, expected = TAKEN[name]
    assert way(operation, case, dtype) == (expected[isa] if isinstance(expected, dict) else expected)


SQUARE = conv(1, 64, 28, 64)
# What an algorithm takes, and cases just beyond what it asks for.
LIMITS = {
    "winograd: channels": ("forward", conv(1, 32, 56, 64), conv(1, 31, 56, 64)),
    "winograd: rows": ("forward", conv(1, 64, 56, 16), conv(1, 64, 56, 15)),
    "winograd: taps": ("forward", SQUARE, conv(1, 64, 28, 64, 5)),
    "winograd: stride": ("forward", SQUARE, conv(1, 64, 28, 64, stride=2)),
    "winograd_weights: pixels": (
        "weights",
        Conv((1, 64, 28, 28), (64, 64, 3, 3), padding=1),
        Conv((1, 64, 27, 28), (64, 64, 3, 3), padding=1),
    ),
    "winograd_weights: channels": ("weights", conv(8, 16, 28, 64), conv(8, 15, 28, 64)),
    "winograd_weights: rows": ("weights", conv(8, 64, 28, 16), conv(8, 64, 28, 15)),
    "depthwise: rows": ("forward", conv(2, 32, 56, 128, groups=32), conv(2, 32, 56, 160, groups=32)),
    "depthwise: stride": ("forward", conv(2, 32, 56, 32, groups=32), conv(2, 32, 56, 32, groups=32, stride=2)),
    "depthwise: channels": ("forward", conv(2, 32, 56, 32, groups=32), conv(2, 32, 56, 32, groups=16)),
    "depthwise_weights: padding": (
        "weights",
        conv(2, 32, 28, 32, padding=2, groups=32),
        conv(2, 32, 28, 32, padding=3, groups=32),
    ),
    "depthwise_weights: dilation": (
        "weights",
        conv(2, 32, 28, 32, groups=32),
        conv(2, 32, 28, 32, padding=2, groups=32, dilation=2),
    ),
    "conv_images: stride": ("forward", conv(16, 12, 16, 20), conv(16, 12, 16, 20, stride=2)),
    "conv_images: images": ("forward", conv(16, 12, 16, 20), conv(1, 12, 16, 20)),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_of_algorithms(name, isa, way):
    kernel = name.partition(":")[0]
    operation, inside, beyond = LIMITS[name]
    if isa == "base" and kernel.startswith("depthwise"):
        pytest.skip("slower than others in portable C")
    found = [way(operation, case, np.float32) for case in (inside, beyond)]
    assert found[0] == kernel or found[0][0] == kernel + "?"
    assert found[1] != kernel
    assert found[1][0] != kernel + "?"


@pytest.mark.parametrize("operation", ["forward", "data", "weights"])
def test_winograd_is_for_many_channels_unless_it_is_asked_for(operation, isa, way):
    kernels_of = {"winograd_weights?"} if operation == "weights" else {"winograd?", "winograd_few?"}
    for dtype, channels in ((np.float32, 32), (np.float64, 48)):
        assert way(operation, conv(1, channels, 56, channels), dtype)[0] in kernels_of
        if operation != "weights":
            assert not way(operation, conv(1, channels - 1, 56, channels - 1), dtype)[0].startswith("winograd")
    assert way(operation, SQUARE, np.float64, kernels.WINOGRAD)[0] in kernels_of
    assert way(operation, conv(1, 2, 4, 3), np.float64, kernels.WINOGRAD)[0] in kernels_of


@pytest.mark.parametrize("operation", ["forward", "data", "weights"])
@pytest.mark.parametrize("case", [SQUARE, conv(8, 32, 56, 32, groups=32)], ids=["3 x 3", "depthwise"])
def test_direct_sums_the_products_of_the_formula(operation, case, isa, way):
    for algorithm in (kernels.DIRECT, kernels.IM2COL):
        found = way(operation, case, np.float32, algorithm)
        found = {found} if isinstance(found, str) else set(found)
        assert all(name.startswith(("conv", "gemm")) for name in found)


def test_the_default_is_what_auto_means(way):
    before = kernels.get_default()
    try:
        kernels.set_default(kernels.DIRECT)
        assert way("forward", SQUARE, np.float32) == way("forward", SQUARE, np.float32, kernels.DIRECT)
    finally:
        kernels.set_default(before)


def test_reasons_compare_all_that_fit():
    plan, g = Plan(np.dtype(np.float32).num), geometry(SQUARE.x, SQUARE.W, padding=1)
    kernels.forward(plan, g, *(np.empty(shape, np.float32) for shape in (g.x_shape, g.w_shape, g.y_shape)))
    jobs = {job.kernel: job for job in plan.explained()}
    assert jobs["winograd"].why.startswith("winograd ")
    assert {"pixels", "channels", "images"} <= set(jobs["winograd"].why.replace(";", " ").split())
    assert all(job.estimated_ns > 0 for job in jobs.values())
    condition = {name: job.condition for name, job in jobs.items()}
    assert condition["winograd_maps"] == ""
    assert condition["winograd"] != condition["conv_pack"] != ""


NAMED = {
    "depthwise": (kernels.DEPTHWISE, "depthwise", "depthwise_weights"),
    "pixels": (kernels.PIXELS, "conv", "conv_weights"),
    "channels": (kernels.CHANNELS, "conv_channels", "conv_weights_channels"),
    "images": (kernels.IMAGES, "conv_images", "conv_weights_images"),
}


@pytest.mark.parametrize("name", NAMED)
def test_each_algorithm_is_exact_wherever_it_fits(name, isa, dtype, rng, taken):
    """At all edges of the table, also where another algorithm is faster: of integers it gives what "direct" gives."""
    code, forward, weights = NAMED[name]
    found = set()
    for case in CONV_EDGES:
        g = geometry(case.x, case.W, **case.options)
        x, W, v = (rng.integers(-2, 3, shape).astype(dtype) for shape in (g.x_shape, g.w_shape, g.y_shape))
        for add, arrays, shape in (
            (kernels.forward, (x, W), g.y_shape),
            (kernels.data_gradient, (v, W), g.x_shape),
            (kernels.weight_gradient, (v, x), g.w_shape),
        ):
            plan, out, expected = Plan(dtype.num), np.full(shape, np.nan, dtype), np.full(shape, np.nan, dtype)
            try:
                add(plan, g, *arrays, out, algorithm=code)
            except ValueError as error:
                assert str(error) == f"algorithm is {name!r}; expected another one for this convolution"  # noqa: PT017
                continue
            found.update(taken(plan))
            add(plan, g, *arrays, expected, algorithm=kernels.DIRECT)
            plan.run()
            np.testing.assert_array_equal(out, expected, err_msg=f"{case}, {add.__name__}")
    assert {forward, weights} <= found


PRODUCTS = {
    "products": Conv((3, 96, 11, 13), (96, 96, 1, 1)),
    "products, groups": Conv((3, 192, 11, 13), (192, 96, 1, 1), groups=2),
    "columns": Conv((1, 20, 23, 26), (50, 20, 3, 3), padding=1),
    "columns, many rows": Conv((2, 20, 23, 26), (150, 20, 3, 3), padding=1, stride=2),
    "columns, a stride, groups": Conv((2, 40, 25, 26), (100, 20, 3, 3), padding=2, stride=2, groups=2),
    "columns, dilated": Conv((1, 20, 9, 26), (50, 20, 3, 2), dilation=(2, 3)),
    "columns, 1 x 1": Conv((2, 60, 25, 26), (50, 60, 1, 1), stride=2),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_convolutions_by_products_of_matrices(name, isa, dtype, rng, taken):
    """Where products pack: of integers they give what lanes along the pixels give. Columns are for the forward map alone."""
    case, kind = PRODUCTS[name], name.partition(",")[0]
    code = {"products": kernels.PRODUCTS, "columns": kernels.COLUMNS}[kind]
    g = geometry(case.x, case.W, **case.options)
    x, W, v = (rng.integers(-2, 3, shape).astype(dtype) for shape in (g.x_shape, g.w_shape, g.y_shape))
    refused = rf"^algorithm is '{kind}'; expected another one for this convolution$"
    ways = [(kernels.forward, (x, W), g.y_shape), (kernels.data_gradient, (v, W), g.x_shape)]
    for add, arrays, shape in ways[: 2 if kind == "products" else 1]:
        plan, out, expected = Plan(dtype.num), np.full(shape, np.nan, dtype), np.full(shape, np.nan, dtype)
        if isa != "avx2":
            with pytest.raises(ValueError, match=refused):
                add(plan, g, *arrays, out, algorithm=code)
            continue
        add(plan, g, *arrays, out, algorithm=code)
        assert "gemm" in taken(plan)
        add(plan, g, *arrays, expected, algorithm=kernels.PIXELS)
        plan.run()
        np.testing.assert_array_equal(out, expected)
    with pytest.raises(ValueError, match=refused):
        kernels.weight_gradient(Plan(dtype.num), g, v, x, np.empty(g.w_shape, dtype), algorithm=code)
