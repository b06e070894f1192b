"""Convolutions, filters and networks of images by fastlec and by the libraries of images: parts of the contenders in `peers`."""

import importlib
from itertools import chain

import numpy as np

from .image_nets import Conv, Flatten, Pool
from .images import Images, as_planes, from_planes
from .nets import RATE, split


class FastlecImages:
    def conv(self, case, x, W, b, out):
        conv2d, options = self.lib.conv2d, case.layer.options
        return lambda: conv2d(x, W, b, out=out, **options)

    def conv_data_gradient(self, case, v, x, W, out):
        conv2d_jac_tmv, options = self.lib.conv2d_jac_tmv, case.layer.options
        return lambda: conv2d_jac_tmv(v, x, W, wrt=("x",), **options)["x"]

    def conv_weight_gradient(self, case, v, x, W, out):
        conv2d_jac_tmv, options = self.lib.conv2d_jac_tmv, case.layer.options
        return lambda: conv2d_jac_tmv(v, x, W, wrt=("W",), **options)["W"]

    def conv_jac_mv(self, case, x, W, dx, dW, out):
        conv2d_jac_mv, options = self.lib.conv2d_jac_mv, case.layer.options
        return lambda: conv2d_jac_mv(x, W, dx=dx, dW=dW, **options)

    def filter2d(self, case, image, kernel, out):
        filter2d, mode = self.lib.filter2d, case.mode
        return lambda: filter2d(image, kernel, mode=mode, out=out)

    def _image_layer(self, layer, dtype):
        lib = self.lib
        match layer:
            case Conv():
                return lib.Conv2d(layer.n_in, layer.n_out, layer.size, layer.activation, dtype=dtype, **layer.options)
            case Pool():
                return {"average": lib.AvgPool2d, "max": lib.MaxPool2d}[layer.kind](layer.size)
            case Flatten():
                return lib.Flatten()
        return lib.Dense(layer.n_in, layer.n_out, layer.activation, dtype=dtype)

    def _image_network(self, net, theta):
        network = self.lib.Network([self._image_layer(layer, theta.dtype) for layer in net])
        for parameter, values in zip(network.params.values(), chain(*split(net, theta)), strict=True):
            parameter[...] = values
        return network

    def image_inference(self, case, X, theta, out):
        network = self._image_network(case.shape[1], theta)
        return lambda: network(X, out=out)

    def image_step(self, case, X, y, theta, out):
        network = self._image_network(case.shape[1], theta)
        step = self.lib.training_step(network, self.lib.SoftmaxCrossEntropy(), self.lib.SGD(RATE), len(X))
        theta = network.theta
        return lambda: (step(X, y), theta)


class SciPyImages:
    def filter2d(self, case, image, kernel, out):
        """A colour image as planes, which takes less time than with the channels last."""
        correlate, mode = importlib.import_module("scipy.ndimage").correlate, case.mode
        planes = np.ascontiguousarray(as_planes(image))
        result, kernel = np.empty_like(planes), kernel[None, ::-1, ::-1]
        return lambda: correlate(planes, kernel, output=result, mode=mode)

    def arrays(self, case, result):
        return from_planes(result) if case.op == "filter2d" else result


class OpenCVImages:
    def filter2d(self, case, image, kernel, out):
        lib = self.lib
        border = {"mirror": lib.BORDER_REFLECT_101, "constant": lib.BORDER_CONSTANT}[case.mode]
        kernel = np.ascontiguousarray(kernel[::-1, ::-1])
        return lambda: lib.filter2D(image, -1, kernel, out, borderType=border)


class ImagesOnly:
    """A contender who has something of its own for images alone."""

    def build(self, case, inputs, mode):
        return super().build(case, inputs, mode) if isinstance(case, Images) else None
