"""y = sigma(W * x + b): layers of convolutions of images and signals, and of the transposes of such (chapter 5)."""

import math

import numpy as np

from .. import _check
from .._geometry import geometry, length, pair, transposed_settings
from ..convolution import algorithm_code
from .affine import Affine
from .maps import Convolution, Signals, Transposed
from .planned import images, signals
from .registry import kind


class _Conv(Affine):
    """What they share: `_map` is the convolution."""

    def _set_channels(self, c_in, c_out, groups):
        c_in, c_out, groups = (_check.count(n, name, 1) for n, name in ((c_in, "c_in"), (c_out, "c_out"), (groups, "groups")))
        if c_in % groups or c_out % groups:
            raise ValueError(f"groups is {groups}; expected a divisor of c_in, which is {c_in}, and of c_out, which is {c_out}")
        self.c_in, self.c_out, self.groups = c_in, c_out, groups

    @property
    def input_shape(self):
        return (self.c_in, None, None)

    def _partly(self, shape):
        return (self.c_out, None, None)

    def output_shape(self, shape):
        return self._map.window((1, *images(shape, self.c_in)), self.params["W"].shape).y_shape[1:]

    def _nonzeros(self, kept, name):
        size = kept[1].size  # that of y
        return size if name == "b" else size * self.params["W"][0].size


@kind
class Conv2d(_Conv):
    """y = sigma(W * x + b): x (m, c_in, h, w), y (m, c_out, oh, ow).

    params : W (c_out, c_in / groups, r, s), random, and b (c_out,), zeros; no b with bias=False. kernel_size : int or (r, s).
    activation : a name, as in `Activation`. stride, dilation : int or (vertical, horizontal). padding : int,
    (vertical, horizontal), ((top, bottom), (left, right)), "same" or "valid". groups : a divisor of c_in and c_out: filters of a
    group see its channels only. algorithm : "auto", "im2col", "direct" or "winograd". All as in `fastlec.conv2d`. dtype : float32
    or float64. rng : seed or numpy.random.Generator of the weights.
    """

    def __init__(
        self,
        c_in,
        c_out,
        kernel_size,
        activation="identity",
        bias=True,
        *,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        algorithm="auto",
        dtype=np.float64,
        rng=None,
    ):
        self._set_channels(c_in, c_out, groups)
        algorithm_code(algorithm)  # checks it
        self.algorithm = algorithm
        self.kernel_size, self.dilation = pair(kernel_size, "kernel_size", 1), pair(dilation, "dilation", 1)
        smallest = [step * (taps - 1) + 1 for step, taps in zip(self.dilation, self.kernel_size, strict=True)]
        shape = self.c_out, self.c_in // self.groups, *self.kernel_size
        g = geometry((1, self.c_in, *smallest), shape, stride, padding, self.dilation, self.groups)  # checks the others
        self.stride = g.sh, g.sw
        self.padding = padding if isinstance(padding, str) else ((g.top, g.bottom), (g.left, g.right))
        self._map = Convolution(self.stride, self.padding, self.dilation, self.groups, algorithm)
        super().__init__(shape, activation, bias, dtype, rng)


@kind
class Conv1d(_Conv):
    """y = sigma(W * x + b): x (m, c_in, length), y (m, c_out, (length + paddings - dilation (s - 1) - 1) // stride + 1).

    params : W (c_out, c_in / groups, s), random, with s = kernel_size, and b (c_out,), zeros; no b with bias=False. padding : int,
    (left, right), "same" or "valid". stride, dilation : int. All else is as for `Conv2d`, of which this is the case of images of
    one row. ValueError where the padded signal is shorter than the kernel.

    >>> import numpy as np
    >>> layer = fastlec.Conv1d(1, 1, 2, bias=False)
    >>> layer.params["W"][...] = [[[-1.0, 1.0]]]
    >>> layer(np.array([[[1.0, 4.0, 9.0, 16.0]]]))
    array([[[3., 5., 7.]]])
    """

    def __init__(
        self,
        c_in,
        c_out,
        kernel_size,
        activation="identity",
        bias=True,
        *,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        algorithm="auto",
        dtype=np.float64,
        rng=None,
    ):
        self._set_channels(c_in, c_out, groups)
        algorithm_code(algorithm)  # checks it
        self.kernel_size, self.stride = length(kernel_size, "kernel_size", 1), length(stride, "stride", 1)
        self.dilation, self.algorithm = length(dilation, "dilation", 1), algorithm
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f'padding is {_check.shown(padding)}; expected an integer, a pair of them, "same" or "valid"')
        self.padding = padding if isinstance(padding, str) else pair(padding, "padding", 0)
        paddings = padding if isinstance(padding, str) else ((0, 0), self.padding)
        self._map = Signals((1, self.stride), paddings, (1, self.dilation), self.groups, algorithm)
        super().__init__((self.c_out, self.c_in // self.groups, self.kernel_size), activation, bias, dtype, rng)

    @property
    def input_shape(self):
        return (self.c_in, None)

    def _partly(self, shape):
        return (self.c_out, None)

    def output_shape(self, shape):
        c, n = signals(shape, self.c_in)
        extent, padding = self.dilation * (self.kernel_size - 1) + 1, self.padding
        if padding != "same" and n + (0 if padding == "valid" else sum(padding)) < extent:
            raise ValueError(f"x has samples of shape {(c, n)}, padding is {padding}; expected to reach over {extent} values")
        W = self.params["W"].shape
        return self._map.window((1, c, 1, n), (*W[:2], 1, W[2])).y_shape[1::2]


@kind
class ConvTranspose2d(_Conv):
    """y = sigma(W' * x + b), where W' * is the transpose of a convolution, which a stride makes one that enlarges images: x
    (m, c_in, h, w), y (m, c_out, oh, ow), oh = (h - 1) stride + dilation (r - 1) + 1 - paddings + output_padding, ow likewise.

    params : W (c_in, c_out / groups, r, s), random, and b (c_out,), zeros; no b with bias=False. kernel_size : int or (r, s).
    activation : a name, as in `Activation`. stride, dilation : int or (vertical, horizontal). padding : of the convolution, which
    here is left out of y; int, (vertical, horizontal) or ((top, bottom), (left, right)). output_padding : rows and columns more at
    the bottom and the right, less than stride or dilation: int or (vertical, horizontal). groups : a divisor of c_in and c_out. All
    as in PyTorch. dtype : float32 or float64. rng : seed or numpy.random.Generator of the weights. ValueError where no pixel of y
    is left.

    The convolution with this W and these settings, from c_out channels to c_in, takes images of y's shape to x's, and W' * x is its
    JacTMV by the data, of x: a sparse matrix transposed (chapter 5; Dumoulin and Visin 2016, "A guide to convolution arithmetic for
    deep learning", chapter 4).

    >>> import numpy as np
    >>> layer = fastlec.ConvTranspose2d(1, 1, (1, 2), stride=2, bias=False)
    >>> layer.params["W"][...] = [[[[1.0, 10.0]]]]
    >>> layer(np.array([[[[1.0, 2.0, 3.0]]]]))
    array([[[[ 1., 10.,  2., 20.,  3., 30.]]]])
    """

    def __init__(
        self,
        c_in,
        c_out,
        kernel_size,
        activation="identity",
        bias=True,
        *,
        stride=1,
        padding=0,
        output_padding=0,
        dilation=1,
        groups=1,
        dtype=np.float64,
        rng=None,
    ):
        self._set_channels(c_in, c_out, groups)
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        shape = self.c_in, self.c_out // self.groups, *self.kernel_size
        settings = transposed_settings(stride, padding, output_padding, dilation)
        self.stride, self.padding, self.output_padding, self.dilation = settings
        self._map = Transposed(self.stride, self.padding, self.dilation, self.groups, output_padding=self.output_padding)
        terms = (
            self.c_in // self.groups * math.prod(-(-r // step) for r, step in zip(self.kernel_size, self.stride, strict=True))
        )
        super().__init__(shape, activation, bias, dtype, rng, self.c_out, math.sqrt(math.prod(shape[1:]) / terms))

    def output_shape(self, shape):
        return self._map.window((1, *images(shape, self.c_in)), self.params["W"].shape).x_shape[1:]

    def _nonzeros(self, kept, name):
        x, of = kept
        return of.size if name == "b" else x.size * self.params["W"][0].size
