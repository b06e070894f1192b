"""y = sigma(W * x + b): layers of convolutions of images and signals, and of the transposes of such (chapter 5)."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np

from .. import _check
from .._geometry import geometry, length, pair, transposed_settings
from .._typing import ActivationName, DTypeLike, Pair, Seed, Shape
from ..convolution import algorithm_code
from ._maps import Convolution, Signals, Transposed
from .activation import Activation
from .affine import Affine
from .planned import images, signals
from .registry import kind

Algorithm: TypeAlias = Literal["auto", "im2col", "direct", "winograd"]
Padding: TypeAlias = Pair | tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))


class _Conv(Affine):
    """What they share: `_map` is the convolution."""

    c_in: int
    c_out: int
    groups: int

    def _set_channels(self, c_in, c_out, groups):
        c_in, c_out, groups = (_check.count(n, name, 1) for n, name in ((c_in, "c_in"), (c_out, "c_out"), (groups, "groups")))
        if c_in % groups or c_out % groups:
            raise ValueError(f"groups is {groups}; expected a divisor of c_in, which is {c_in}, and of c_out, which is {c_out}")
        self.c_in, self.c_out, self.groups = c_in, c_out, groups

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample of x, with None for each length that may be any."""
        return (self.c_in, None, None)

    def _partly(self, shape):
        return (self.c_out, None, None)

    def output_shape(self, shape: Shape) -> Shape:
        return self._map.window((1, *images(shape, self.c_in)), self.params["W"].shape).y_shape[1:]

    def _nonzeros(self, kept, name):
        size = kept[1].size  # that of y
        return size if name == "b" else size * self.params["W"][0].size


@kind
class Conv2d(_Conv):
    """Convolution layer of images, y = sigma(W * x + b) (lecture chapter 5).

    x is (m, c_in, h, w) and y (m, c_out, oh, ow), with oh = (h + paddings - dilation (r - 1) - 1) // stride + 1, and ow likewise.
    The map by x is a sparse matrix, and its derivatives are those of `Dense` with W * x in the place of W x (lecture section
    4.1.2)::

        forward    z = W * x + b,  y = sigma(z)
        JacMV      sigma'(z) * (W * dx + dW * x + db)
        JacTMV     with g = sigma'(z) v:  x: W' * g,  W: the products of g with all windows of x,  b: sums of g

    Parameters
    ----------
    c_in : int
        The number of channels of x.
    c_out : int
        The number of channels of y.
    kernel_size : int or (int, int)
        The size of the windows, (r, s).
    activation : str or Activation, default "identity"
        The activation sigma: a name, as in `Activation`, or an `Activation`.
    bias : bool, default True
        Whether there is a parameter b.
    stride : int or (int, int), default 1
        The distance from window to window, (vertical, horizontal).
    padding : int, (int, int), ((int, int), (int, int)), "same" or "valid", default 0
        Zeros around the image: (vertical, horizontal), or ((top, bottom), (left, right)).
    dilation : int or (int, int), default 1
        The distance from pixel to pixel of a window, (vertical, horizontal).
    groups : int, default 1
        A divisor of c_in and c_out. Filters of a group see the channels of the group only.
    algorithm : {"auto", "im2col", "direct", "winograd"}, default "auto"
        How W * x is computed, as in `conv2d`.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.
    rng : int or numpy.random.Generator, optional
        A seed or generator from which the weights are drawn.

    Attributes
    ----------
    params : dict of arrays
        W (c_out, c_in / groups, r, s), random, and b (c_out,), zeros.

    Raises
    ------
    ValueError
        If an argument is out of range, or x is smaller than a window.

    See Also
    --------
    conv2d, ConvTranspose2d, ConvResidual

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> layer = fastlec.Conv2d(1, 1, (1, 2), bias=False)
    >>> layer.params["W"][...] = [[[[-1.0, 1.0]]]]
    >>> layer(np.array([[[[1.0, 4.0, 9.0], [0.0, 0.0, 5.0]]]]))
    array([[[[3., 5.],
             [0., 5.]]]])
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding | Literal["same", "valid"]
    dilation: tuple[int, int]
    algorithm: Algorithm

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel_size: Pair,
        activation: ActivationName | Activation = "identity",
        bias: bool = True,
        *,
        stride: Pair = 1,
        padding: Padding | Literal["same", "valid"] = 0,
        dilation: Pair = 1,
        groups: int = 1,
        algorithm: Algorithm = "auto",
        dtype: DTypeLike = np.float64,
        rng: Seed | None = None,
    ) -> None:
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
    """Convolution layer of signals, y = sigma(W * x + b) (lecture chapter 5).

    x is (m, c_in, length) and y (m, c_out, (length + paddings - dilation (s - 1) - 1) // stride + 1). It is `Conv2d` of images of
    one row, with its derivatives.

    Parameters
    ----------
    c_in : int
        The number of channels of x.
    c_out : int
        The number of channels of y.
    kernel_size : int
        The size s of the windows.
    activation : str or Activation, default "identity"
        The activation sigma: a name, as in `Activation`, or an `Activation`.
    bias : bool, default True
        Whether there is a parameter b.
    stride : int, default 1
        The distance from window to window.
    padding : int, (int, int), "same" or "valid", default 0
        Zeros around the signal: (left, right).
    dilation : int, default 1
        The distance from value to value of a window.
    groups : int, default 1
        A divisor of c_in and c_out. Filters of a group see the channels of the group only.
    algorithm : {"auto", "im2col", "direct", "winograd"}, default "auto"
        How W * x is computed, as in `conv2d`.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.
    rng : int or numpy.random.Generator, optional
        A seed or generator from which the weights are drawn.

    Attributes
    ----------
    params : dict of arrays
        W (c_out, c_in / groups, s), random, and b (c_out,), zeros.

    Raises
    ------
    ValueError
        If an argument is out of range, or the padded signal is shorter than a window.

    See Also
    --------
    Conv2d, MaxPool1d, AvgPool1d

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> layer = fastlec.Conv1d(1, 1, 2, bias=False)
    >>> layer.params["W"][...] = [[[-1.0, 1.0]]]
    >>> layer(np.array([[[1.0, 4.0, 9.0, 16.0]]]))
    array([[[3., 5., 7.]]])
    """

    kernel_size: int
    stride: int
    padding: tuple[int, int] | Literal["same", "valid"]
    dilation: int
    algorithm: Algorithm

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel_size: int,
        activation: ActivationName | Activation = "identity",
        bias: bool = True,
        *,
        stride: int = 1,
        padding: Pair | Literal["same", "valid"] = 0,
        dilation: int = 1,
        groups: int = 1,
        algorithm: Algorithm = "auto",
        dtype: DTypeLike = np.float64,
        rng: Seed | None = None,
    ) -> None:
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
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample of x, with None for each length that may be any."""
        return (self.c_in, None)

    def _partly(self, shape):
        return (self.c_out, None)

    def output_shape(self, shape: Shape) -> Shape:
        c, n = signals(shape, self.c_in)
        extent, padding = self.dilation * (self.kernel_size - 1) + 1, self.padding
        if padding != "same" and n + (0 if padding == "valid" else sum(padding)) < extent:
            raise ValueError(f"x has samples of shape {(c, n)}, padding is {padding}; expected to reach over {extent} values")
        W = self.params["W"].shape
        return self._map.window((1, c, 1, n), (*W[:2], 1, W[2])).y_shape[1::2]


@kind
class ConvTranspose2d(_Conv):
    """Transposed convolution layer of images, y = sigma(W' * x + b), which a stride makes one that enlarges them.

    x is (m, c_in, h, w) and y (m, c_out, oh, ow), with oh = (h - 1) stride + dilation (r - 1) + 1 - paddings + output_padding, and
    ow likewise. W' * x is JacTMV by the data of a convolution, of x: the convolution with this W and these settings, from c_out
    channels to c_in, takes images of the shape of y to that of x. Its sparse matrix is transposed (lecture chapter 5; Dumoulin and
    Visin 2016, "A guide to convolution arithmetic for deep learning", chapter 4)::

        forward    z = W' * x + b,  y = sigma(z)
        JacMV      sigma'(z) * (W' * dx + dW' * x + db)
        JacTMV     with g = sigma'(z) v:  x: W * g,  W: the products of x with all windows of g,  b: sums of g

    Parameters
    ----------
    c_in : int
        The number of channels of x.
    c_out : int
        The number of channels of y.
    kernel_size : int or (int, int)
        The size of the windows, (r, s).
    activation : str or Activation, default "identity"
        The activation sigma: a name, as in `Activation`, or an `Activation`.
    bias : bool, default True
        Whether there is a parameter b.
    stride : int or (int, int), default 1
        The distance from window to window of y, (vertical, horizontal).
    padding : int, (int, int) or ((int, int), (int, int)), default 0
        What is left out of y at its borders, the padding of the convolution: (vertical, horizontal), or ((top, bottom), (left,
        right)).
    output_padding : int or (int, int), default 0
        How many rows and columns y has more at the bottom and the right, less than stride or dilation.
    dilation : int or (int, int), default 1
        The distance from pixel to pixel of a window, (vertical, horizontal).
    groups : int, default 1
        A divisor of c_in and c_out. Filters of a group see the channels of the group only.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.
    rng : int or numpy.random.Generator, optional
        A seed or generator from which the weights are drawn.

    Attributes
    ----------
    params : dict of arrays
        W (c_in, c_out / groups, r, s), random, and b (c_out,), zeros.

    Raises
    ------
    ValueError
        If an argument is out of range, or no pixel of y is left.

    See Also
    --------
    Conv2d, Upsample2d

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> layer = fastlec.ConvTranspose2d(1, 1, (1, 2), stride=2, bias=False)
    >>> layer.params["W"][...] = [[[[1.0, 10.0]]]]
    >>> layer(np.array([[[[1.0, 2.0, 3.0]]]]))
    array([[[[ 1., 10.,  2., 20.,  3., 30.]]]])
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    output_padding: tuple[int, int]
    dilation: tuple[int, int]

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel_size: Pair,
        activation: ActivationName | Activation = "identity",
        bias: bool = True,
        *,
        stride: Pair = 1,
        padding: Padding = 0,
        output_padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        dtype: DTypeLike = np.float64,
        rng: Seed | None = None,
    ) -> None:
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

    def output_shape(self, shape: Shape) -> Shape:
        return self._map.window((1, *images(shape, self.c_in)), self.params["W"].shape).x_shape[1:]

    def _nonzeros(self, kept, name):
        x, of = kept
        return of.size if name == "b" else x.size * self.params["W"][0].size
