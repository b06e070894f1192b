"""Upsample2d: a layer without parameters that makes images larger."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _check
from .._geometry import pair, window_geometry
from .._kernels import pool2d
from .._typing import Pair, Shape
from .planned import PlannedLayer
from .registry import kind


@kind
class Upsample2d(PlannedLayer):
    """Upsampling of images: y has every pixel of x repeated, its nearest neighbour, as PyTorch's nn.Upsample in its mode "nearest".

    x is (m, C, H, W) and y (m, C, H scale_factor, W scale_factor)::

        forward    y[.., i, j] = x[.., i // scale_factor, j // scale_factor]
        JacMV      dx likewise
        JacTMV     the sums of v over the windows side by side

    Parameters
    ----------
    scale_factor : int or (int, int)
        How often a pixel is repeated, at least 1: (vertical, horizontal).

    Raises
    ------
    ValueError
        If scale_factor is less than 1.

    See Also
    --------
    ConvTranspose2d, AvgPool2d

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.Upsample2d((1, 2))(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    array([[[[1., 1., 2., 2.],
             [3., 3., 4., 4.]]]])
    """

    scale_factor: tuple[int, int]
    input_shape: tuple[int | None, ...] | None = (None, None, None)
    _takes_epilogue = linear_in_x = _keeps_bounds = True

    def __init__(self, scale_factor: Pair) -> None:
        self.scale_factor = pair(scale_factor, "scale_factor", 1)
        super().__init__()

    def config(self) -> dict[str, Any]:
        a, b = self.scale_factor
        return {"scale_factor": a if a == b else [a, b]}

    def _partly(self, shape):
        return (shape[0], None, None)

    def output_shape(self, shape: Shape) -> Shape:
        shape = _check.sizes(shape)
        if len(shape) != 3 or 0 in shape:
            raise ValueError(f"x has samples of shape {shape}; expected (channels, height, width), none of them 0")
        (c, h, w), (down, across) = shape, self.scale_factor
        return self._windows((1, c, h * down, w * across)).x_shape[1:]

    def _windows(self, y_shape):
        """Those of y, each with the values of one pixel of x."""
        return window_geometry(y_shape, self.scale_factor, self.scale_factor)

    def _plan_forward(self, plan, x, y):
        pool2d.tmv(plan, self._windows(y.shape), None, x, y, sums=True)
        return x

    def _plan_mv(self, plan, kept, directions, dy):
        self._plan_forward(plan, directions["x"], dy)

    def _plan_tmv(self, plan, kept, v, out, after=None):
        if "x" in out:
            pool2d.forward(plan, self._windows(v.shape), v, out["x"], maximum=False, sums=True, after=after)

    def _explicit(self, kept, name):
        """A one in each row, in the column of the pixel that is repeated: a scipy.sparse.csr_array."""
        from scipy.sparse import csr_array

        down, across = self.scale_factor
        columns = np.arange(kept.size).reshape(kept.shape).repeat(down, axis=2).repeat(across, axis=3).ravel()
        return csr_array(
            (np.ones(columns.size, kept.dtype), columns, np.arange(columns.size + 1)), shape=(columns.size, kept.size)
        )

    def _nonzeros(self, kept, name):
        return kept.size * self.scale_factor[0] * self.scale_factor[1]
