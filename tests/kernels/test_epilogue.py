"""Epilogues: which parts of one each kernel can do, and what their arrays must be. What they compute: the tests of the kernels."""

import numpy as np
import pytest
from test_plan import new_plan

from fastlec._geometry import geometry, window_geometry
from fastlec._kernels import batch_norm, channel_sums, conv2d, dense, epilogue, gemm, pool2d
from fastlec._kernels.epilogue import Epilogue


def add_epilogue(kernel, plan, f, **parts):
    """A job of each kernel that takes an epilogue; images of 3 channels, windows of 2 x 2."""
    after = Epilogue(**parts)
    g, x, W, y = geometry((2, 3, 4, 4), (5, 3, 2, 2)), f(2, 3, 4, 4), f(5, 3, 2, 2), f(2, 5, 3, 3)
    moments, c = np.ones((2, 3)), f(3)
    {
        "gemm.product": lambda: gemm.product(plan, f(3, 4), f(4, 5), f(3, 5), after=after),
        "dense.slope": lambda: dense.slope(plan, f(3, 5), f(3, 5), after=after),
        "conv2d.forward": lambda: conv2d.forward(plan, g, x, W, y, after=after),
        "conv2d.data_gradient": lambda: conv2d.data_gradient(plan, g, y, W, x, after=after),
        "conv2d.weight_gradient": lambda: conv2d.weight_gradient(plan, g, y, x, W, after=after),
        "channel_sums.slope": lambda: channel_sums.slope(plan, x, x, after=after),
        "batch_norm.derivative": lambda: batch_norm.derivative(plan, x, moments, c, x, x, 0.1, batch=False, after=after),
        "pool2d.tmv": lambda: pool2d.tmv(
            plan, window_geometry(x.shape, (2, 2), (1, 1), (0, 0)), x, f(2, 3, 3, 3), x, after=after
        ),
    }[kernel]()


# What each of them can do, and the shape of its output.
EPILOGUES = {
    "gemm.product": ({"bias", "activation", "residual", "accumulate", "derivative", "update"}, (3, 5)),
    "dense.slope": ({"derivative"}, (3, 5)),
    "conv2d.forward": ({"bias", "activation", "residual", "accumulate", "derivative"}, (2, 5, 3, 3)),
    "conv2d.data_gradient": ({"residual", "accumulate", "derivative"}, (2, 3, 4, 4)),
    "conv2d.weight_gradient": ({"update"}, (5, 3, 2, 2)),
    "channel_sums.slope": ({"derivative"}, (2, 3, 4, 4)),
    "batch_norm.derivative": ({"derivative"}, (2, 3, 4, 4)),
    "pool2d.tmv": ({"derivative"}, (2, 3, 4, 4)),
}


@pytest.mark.parametrize("kernel", EPILOGUES)
@pytest.mark.parametrize("part", epilogue.PARTS)
def test_a_kernel_refuses_the_parts_of_an_epilogue_that_it_cannot_do(kernel, part, dtype):
    able, shape = EPILOGUES[kernel]
    zeros = lambda *shape: np.zeros(shape, dtype)  # noqa: E731
    values = {
        "bias": zeros(shape[1]),
        "activation": epilogue.TANH,
        "residual": zeros(*shape),
        "accumulate": True,
        "update": True,
    }
    parts = {"derivative": epilogue.RELU, "of": zeros(*shape)} if part == "derivative" else {part: values[part]}
    plan = new_plan(dtype)
    if part in able:
        add_epilogue(kernel, plan, zeros, **parts)
        assert len(plan) > 0
    else:
        with pytest.raises(ValueError, match=f"^after has {part}; expected none for {kernel}$"):
            add_epilogue(kernel, plan, zeros, **parts)


@pytest.mark.parametrize("kernel", [kernel for kernel, (able, _) in EPILOGUES.items() if "derivative" in able])
def test_the_arrays_of_an_epilogue_fit_the_output(kernel, dtype):
    zeros = lambda *shape: np.zeros(shape, dtype)  # noqa: E731
    _, shape = EPILOGUES[kernel]
    for wrong in (zeros(*shape[:-1], shape[-1] + 1), zeros(*shape[1:]), np.zeros(shape, int), zeros(*shape).T):
        with pytest.raises(ValueError, match=r"^of(:| has shape)"):
            add_epilogue(kernel, new_plan(dtype), zeros, derivative=epilogue.RELU, of=wrong)


def test_an_epilogue_without_the_value_of_its_derivative_is_refused():
    with pytest.raises(ValueError, match="of is None"):
        Epilogue(derivative=epilogue.RELU)
