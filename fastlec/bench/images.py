"""The kinds of benchmark cases about images: convolutions, their derivatives, filters, networks."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from fastlec import reference

from . import image_nets, nets
from .kinds import SIZE, STEP_TOLERANCE, TOLERANCE, Case, step


@dataclass(frozen=True)
class Images(Case):
    """Offered by contenders of their own as well, who keep images with the channels last."""

    def expected(self, inputs):
        return OPS[self.op](self, *inputs)


@dataclass(frozen=True)
class Convolution(Images):
    """A convolution or one of its derivatives. shape : (x's shape, layer), a `Conv`.

    Inputs: x, W, b for "conv"; v, x, W for the gradients, each by itself; x, W, dx, dW for "conv_jac_mv", both directions at once.
    Only "conv" can hand out an array again, and PyTorch has no out= at all: it makes a new one, as it always does.
    """

    @property
    def modes(self):
        return ("reused",) if self.op == "conv" else ("fresh",)

    @property
    def y_shape(self):
        x_shape, layer = self.shape
        return x_shape[0], *layer.out(x_shape[1:])

    @property
    def out_shape(self):
        return self.y_shape if self.op == "conv" else None

    @property
    def layer(self):
        return self.shape[1]

    @property
    def flops(self):
        x_shape, layer = self.shape
        return (2 if self.op == "conv_jac_mv" else 1) * x_shape[0] * layer.flops(x_shape[1:])

    def bytes(self, dtype):
        x_shape, layer = self.shape
        x, W, b, y = math.prod(x_shape), *map(math.prod, layer.shapes), math.prod(self.y_shape)
        return {"conv": x + W + b + y, "conv_jac_mv": 2 * (x + W) + y}.get(self.op, x + W + y) * SIZE[dtype]

    def make(self, rng, dtype):
        x_shape, layer = self.shape
        W_shape, b_shape = layer.shapes
        shapes = {
            "conv": (x_shape, W_shape, b_shape),
            "conv_jac_mv": (x_shape, W_shape, x_shape, W_shape),
        }.get(self.op, (self.y_shape, x_shape, W_shape))
        return tuple(rng.standard_normal(shape, dtype=dtype) for shape in shapes)

    @property
    def terms(self):
        """How many products add up to an element of the result."""
        x_shape, layer = self.shape
        (k, c, *size), _ = layer.shapes
        return {
            "conv": c * math.prod(size),
            "conv_data_gradient": k // layer.groups * math.prod(size),
            "conv_weight_gradient": x_shape[0] * math.prod(self.y_shape[2:]),
            "conv_jac_mv": 2 * c * math.prod(size),
        }[self.op]

    @property
    def tolerance(self):
        return sums_tolerance(self.terms)


@dataclass(frozen=True)
class ImageLayer(Images):
    """The forward map of a layer. shape : (x's shape, channels of y, size of the kernel, stride, padding) for "conv_transpose" and
    "conv1d", whose inputs are x, W, b; (x's shape, scale) for "upsample", whose input is x."""

    modes = ("fresh",)

    @property
    def options(self):
        return dict(zip(("stride", "padding"), self.shape[3:], strict=True))

    def make(self, rng, dtype):
        x_shape, k, *size = self.shape
        shapes = [x_shape]
        if self.op != "upsample":
            channels = (x_shape[1], k) if self.op == "conv_transpose" else (k, x_shape[1])
            shapes += [(*channels, *size[:1] * (len(x_shape) - 2)), (k,)]
        return tuple(rng.standard_normal(shape, dtype=dtype) for shape in shapes)

    def bytes(self, dtype):
        """Of x, which all of them read; of the others y is no smaller."""
        return 2 * math.prod(self.shape[0]) * SIZE[dtype]


@dataclass(frozen=True)
class Filter(Images):
    """An image convolved with a kernel, which turns it by 180 degrees. shape : (the image's shape, the kernel's, odd lengths).
    mode : how the image goes on beyond its edges, in SciPy's words. Inputs: image (height, width) or (height, width, channels),
    kernel; the other libraries' filters correlate, and get the kernel turned."""

    mode: str = "mirror"

    @property
    def out_shape(self):
        return self.shape[0]

    @property
    def flops(self):
        return 2 * math.prod(self.shape[0]) * math.prod(self.shape[1])

    def bytes(self, dtype):
        return 2 * math.prod(self.shape[0]) * SIZE[dtype]

    def make(self, rng, dtype):
        image, kernel = self.shape
        return rng.random(image, dtype=dtype), rng.standard_normal(kernel, dtype=dtype)

    @property
    def tolerance(self):
        return sums_tolerance(math.prod(self.shape[1]))


@dataclass(frozen=True)
class ImageNetwork(Images):
    """Work with a network of `image_nets`. shape : (X's shape, net). Inputs: X, theta, or X, y, theta for "image_step"."""

    @property
    def classes(self):
        return self.shape[1][-1].n_out

    @property
    def out_shape(self):
        return (self.shape[0][0], self.classes) if self.op == "image_inference" else None

    @property
    def flops(self):
        (m, *shape), net = self.shape
        first, *others = image_nets.flops(net, shape)
        times = (1, 1) if self.op == "image_inference" else (2, 3)  # nobody wants the gradient with respect to X
        return m * (times[0] * first + times[1] * sum(others))

    def bytes(self, dtype):
        x_shape, net = self.shape
        theta = nets.n_params(net)
        more = x_shape[0] * self.classes if self.op == "image_inference" else theta
        return (math.prod(x_shape) + theta + more) * SIZE[dtype]

    def make(self, rng, dtype):
        x_shape, net = self.shape
        X, theta = rng.random(x_shape, dtype=dtype), nets.start(net, rng, dtype)
        return (X, rng.integers(0, self.classes, x_shape[0]), theta) if self.op == "image_step" else (X, theta)

    @property
    def tolerance(self):
        return STEP_TOLERANCE if self.op == "image_step" else TOLERANCE


PAD = {"mirror": "reflect", "constant": "constant"}  # the modes of filters, in everyone else's words


def as_planes(image):
    """(channels, height, width), one channel where the image is gray."""
    return np.moveaxis(image.reshape(*image.shape[:2], -1), 2, 0)


def from_planes(planes):
    """(height, width, channels), or (height, width) of a single plane."""
    return planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, 2)


def sums_tolerance(terms):
    """Of the largest magnitude of a result whose elements are sums of so many products: three times what summing them one after
    the other loses in a thousand sums, for fast algorithms may lose that."""
    return {dtype: np.finfo(dtype).eps * (3 + math.sqrt(terms)) for dtype in SIZE}


def _conv(case, x, W, b):
    return (reference.conv2d(x, W, b, **case.layer.options),)


def _gradient(case, v, x, W, by):
    return (reference.conv2d_jac_tmv(v, x, W, **case.layer.options)[by],)


def _jac_mv(case, x, W, dx, dW):
    return (reference.conv2d_jac_mv(x, W, dx, dW, **case.layer.options),)


def _filter2d(case, image, kernel):
    """As a convolution of planes."""
    edges = [(n // 2, n // 2) for n in kernel.shape]
    planes = np.pad(as_planes(image), [(0, 0), *edges], mode=PAD[case.mode])
    filtered = reference.conv2d(planes[:, None], kernel[None, None, ::-1, ::-1])[:, 0]
    return (from_planes(filtered),)


def _inference(case, X, theta):
    return (image_nets.forward(case.shape[1], theta.astype(np.float64), X)[0],)


OPS = {
    "conv_transpose": lambda case, x, W, b: (reference.conv_transpose2d(x, W, b, **case.options),),
    "conv1d": lambda case, x, W, b: (reference.conv1d(x, W, b, **case.options),),
    "upsample": lambda case, x: (reference.upsample2d(x, case.shape[1]),),
    "conv": _conv,
    "conv_data_gradient": partial(_gradient, by="x"),
    "conv_weight_gradient": partial(_gradient, by="W"),
    "conv_jac_mv": _jac_mv,
    "filter2d": _filter2d,
    "image_inference": _inference,
    "image_step": partial(step, networks=image_nets),
}
