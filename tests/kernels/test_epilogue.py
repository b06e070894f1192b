"""Epilogues: which parts of one each kernel can do, and what their arrays must be. What they compute: the tests of the kernels."""

import numpy as np
import pytest
from test_plan import new_plan

from fastlec._geometry import geometry, window_geometry
from fastlec._kernels import batch_norm, channel_sums, conv2d, dropout, epilogue, gemm, layer_norm, pool2d, slope
from fastlec._kernels.epilogue import Epilogue

RELU = epilogue.ACTIVATIONS["relu"]


def add_epilogue(kernel, plan, f, **parts):
    """A job of each kernel that takes an epilogue; images of 3 channels, windows of 2 x 2."""
    after = Epilogue(**parts)
    g, x, W, y = geometry((2, 3, 4, 4), (5, 3, 2, 2)), f(2, 3, 4, 4), f(5, 3, 2, 2), f(2, 5, 3, 3)
    moments, c = np.ones((2, 3)), f(3)
    {
        "gemm.product": lambda: gemm.product(plan, f(3, 4), f(4, 5), f(3, 5), after=after),
        "slope.slope": lambda: slope.slope(plan, f(3, 5), f(3, 5), after=after),
        "conv2d.forward": lambda: conv2d.forward(plan, g, x, W, y, after=after),
        "conv2d.data_gradient": lambda: conv2d.data_gradient(plan, g, y, W, x, after=after),
        "conv2d.weight_gradient": lambda: conv2d.weight_gradient(plan, g, y, x, W, after=after),
        "channel_sums.slope": lambda: channel_sums.slope(plan, x, x, after=after),
        "batch_norm.derivative": lambda: batch_norm.derivative(plan, x, moments, c, x, x, 0.1, batch=False, after=after),
        "batch_norm.derivative of samples": lambda: batch_norm.derivative(
            plan, y[0, 0], moments, c, y[0, 0], y[0, 1], 0.1, batch=False, after=after
        ),
        "dropout.apply": lambda: dropout.apply(plan, y[0, 0], y[0, 1], f(9), 0.5, after=after),
        "layer_norm.tmv": lambda: layer_norm.tmv(plan, y[0, 0], np.ones((3, 2)), None, y[0, 0], y[0, 1], after=after),
        "pool2d.forward": lambda: pool2d.forward(
            plan, window_geometry(x.shape, (2, 2), (1, 1), (0, 0)), x, f(2, 3, 3, 3), maximum=False, after=after
        ),
        "pool2d.tmv": lambda: pool2d.tmv(
            plan, window_geometry(x.shape, (2, 2), (1, 1), (0, 0)), x, f(2, 3, 3, 3), x, after=after
        ),
    }[kernel]()


# What each of them can do, and the shape of its output.
EPILOGUES = {
    "gemm.product": ({"bias", "activation", "residual", "accumulate", "derivative", "update", "z"}, (3, 5)),
    "slope.slope": ({"derivative"}, (3, 5)),
    "conv2d.forward": ({"bias", "activation", "residual", "accumulate", "derivative", "z"}, (2, 5, 3, 3)),
    "conv2d.data_gradient": ({"bias", "activation", "residual", "accumulate", "derivative", "z"}, (2, 3, 4, 4)),
    "conv2d.weight_gradient": ({"update"}, (5, 3, 2, 2)),
    "channel_sums.slope": ({"derivative"}, (2, 3, 4, 4)),
    "batch_norm.derivative": ({"derivative"}, (2, 3, 4, 4)),
    "batch_norm.derivative of samples": ({"derivative"}, (3, 3)),
    "dropout.apply": ({"derivative"}, (3, 3)),
    "layer_norm.tmv": ({"derivative"}, (3, 3)),
    "pool2d.forward": ({"derivative"}, (2, 3, 3, 3)),
    "pool2d.tmv": ({"derivative"}, (2, 3, 4, 4)),
}


@pytest.mark.parametrize("kernel", EPILOGUES)
@pytest.mark.parametrize("part", epilogue.PARTS)
def test_a_kernel_refuses_the_parts_of_an_epilogue_that_it_cannot_do(kernel, part, dtype):
    able, shape = EPILOGUES[kernel]
    zeros = lambda *shape: np.zeros(shape, dtype)  # noqa: E731
    values = {
        "bias": zeros(shape[1]),
        "activation": epilogue.ACTIVATIONS["tanh"],
        "residual": zeros(*shape),
        "accumulate": True,
        "update": True,
        "z": zeros(*shape),
    }
    parts = {"derivative": RELU, "of": zeros(*shape)} if part == "derivative" else {part: values[part]}
    plan = new_plan(dtype)
    if part in able:
        add_epilogue(kernel, plan, zeros, **parts)
        assert len(plan) > 0
    else:
        with pytest.raises(ValueError, match=f"^after has {part}; expected none for {kernel.split()[0]}$"):
            add_epilogue(kernel, plan, zeros, **parts)


@pytest.mark.parametrize("kernel", [kernel for kernel, (able, _) in EPILOGUES.items() if "derivative" in able])
def test_the_arrays_of_an_epilogue_fit_the_output(kernel, dtype):
    zeros = lambda *shape: np.zeros(shape, dtype)  # noqa: E731
    _, shape = EPILOGUES[kernel]
    for wrong in (zeros(*shape[:-1], shape[-1] + 1), zeros(*shape[1:]), np.zeros(shape, int), zeros(*shape).T):
        with pytest.raises(ValueError, match=r"^of(:| has shape)"):
            add_epilogue(kernel, new_plan(dtype), zeros, derivative=RELU, of=wrong)


def test_an_epilogue_without_the_value_of_its_derivative_is_refused():
    with pytest.raises(ValueError, match="of is None"):
        Epilogue(derivative=RELU)


def test_an_epilogue_with_an_activation_and_a_derivative_is_refused():
    for part in ({"activation": RELU}, {"z": np.zeros(3)}):
        with pytest.raises(ValueError, match="expected the one or the others"):
            Epilogue(derivative=RELU, of=np.zeros(3), **part)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("shape", [(3, 5, 4), (40, 70, 300), (1, 20, 200), (200, 3, 20)])
def test_a_product_stores_z(shape, accumulate, isa, dtype, rng):
    m, n, k = shape
    a, b, bias, c = (rng.integers(-3, 4, s).astype(dtype) for s in ((m, k), (k, n), n, (m, n)))
    z, expected = np.full((m, n), np.nan, dtype), a @ b + bias + (c if accumulate else 0)
    plan = new_plan(dtype)
    gemm.product(plan, a, b, c, after=Epilogue(bias, RELU, accumulate=accumulate, z=z))
    plan.run()
    np.testing.assert_array_equal(z, expected)
    np.testing.assert_array_equal(c, np.maximum(expected, 0))


ALGORITHMS = ("im2col", "direct", "winograd", "depthwise", "pixels", "channels", "images", "products", "columns")
IMAGES = {
    "3 x 3": ((2, 3, 9, 11), (5, 3, 3, 3), {"padding": 1}),
    "5 x 5, strided": ((2, 3, 9, 11), (5, 3, 5, 5), {"stride": 2}),
    "depthwise": ((2, 3, 9, 11), (3, 1, 3, 3), {"groups": 3}),
    "many channels": ((3, 40, 8, 8), (48, 40, 3, 3), {"padding": 1}),
    "1 x 1": ((2, 88, 9, 11), (50, 88, 1, 1), {}),
    "1 x 1, groups": ((2, 176, 9, 11), (100, 88, 1, 1), {"groups": 2}),
    "strided, groups": ((2, 40, 25, 26), (100, 20, 3, 3), {"stride": 2, "padding": 1, "groups": 2}),
    "strided, odd": ((2, 34, 11, 33), (18, 34, 4, 2), {"stride": 2, "padding": (2, 1)}),
    "pixels without taps": ((2, 20, 11, 12), (18, 20, 1, 2), {"stride": 3}),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("compute", [conv2d.forward, conv2d.data_gradient])
def test_every_convolution_stores_z(compute, images, algorithm, isa, dtype, rng):
    """Forward, and as the transpose."""
    x_shape, W_shape, options = IMAGES[images]
    g = geometry(x_shape, W_shape, **options)
    source, shape = (x_shape, g.y_shape) if compute is conv2d.forward else (g.y_shape, x_shape)
    x, W, bias = (rng.integers(-3, 4, s).astype(dtype) for s in (source, W_shape, shape[1]))
    z, y, alone, sums = (np.full(shape, np.nan, dtype) for _ in range(4))
    try:
        for out, after in ((y, Epilogue(bias, RELU, z=z)), (alone, Epilogue(bias)), (sums, None)):
            plan = new_plan(dtype)
            compute(plan, g, x, W, out, algorithm=getattr(conv2d, algorithm.upper()), after=after)
            plan.run()
    except ValueError as refused:
        assert "expected another one" in str(refused)  # noqa: PT017
        pytest.skip("not for this convolution")
    np.testing.assert_array_equal(z, alone)
    np.testing.assert_array_equal(y, np.maximum(alone, 0))
    close = 1e-3 if dtype == np.float32 and algorithm == "winograd" else 1e-9
    np.testing.assert_allclose(alone, sums + bias[:, None, None], rtol=0, atol=close)
