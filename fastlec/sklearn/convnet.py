"""Networks of convolutions (lecture chapter 5) as an estimator of rows that are images, or signals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from .. import _check
from ..layers import Activation, Conv2d, Flatten, MaxPool2d
from ..training import EarlyStopping, Optimizer, Schedule
from .base import ClassWeight, RandomState
from .net import Hidden, NetClassifier

LEAST_SIDE = 4  # of pixels, from which pooling halves it


class ConvNetClassifier(NetClassifier):
    """A network of convolutions and dense layers that classifies images, which are rows of pixels (lecture chapter 5).

    Parameters
    ----------
    hidden : int, sequence of int, or list of layers
        The sizes of the dense layers that follow the convolutions. Or layers that are all there is before the last layer, from
        images (m, channels, height, width) on, in place of filters and kernel_size.
    filters : sequence of int
        How many filters each convolution has. It keeps the size of the image, by padding; `fastlec.MaxPool2d` then halves the sides
        that have 4 pixels or more.
    kernel_size : int
        That of the convolutions, less where the image is smaller.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of a row, whose channels of a pixel are side by side. By default a row of n
        features is a signal, an image of 1 x n pixels.
    activation : str or Activation
        That of convolutions and dense layers.
    residual : bool
        Whether dense layers after the first are residual.
    normalization : {"batch", "layer"} or None
        What stands before the activation of each dense layer.
    dropout : float
        The probability with which values of the dense layers are set to 0 in training.
    optimizer : {"adam", "adamw", "rmsprop", "sgd"}, Optimizer or None
        The rule of a step.
    batch_size : int
        The samples of a mini-batch.
    epochs : int
        How often training sees every sample, unless early stopping ends it.
    learning_rate : float or schedule
        The step length.
    early_stopping : bool or EarlyStopping
        True goes by the accuracy of the samples set aside, with a patience of 10 epochs.
    validation_fraction : float
        The share of the samples that is set aside.
    l2 : float
        The optimizer's weight_decay.
    class_weight : dict, "balanced" or None
        Weights of the classes.
    random_state : int, RandomState or None
        What initial parameters and the order of samples are drawn with.
    warm_start : bool
        Whether fit goes on from the parameters of the last one.
    verbose : bool
        Whether a bar is shown on stderr.
    dtype : dtype, optional
        The dtype that it computes in, float32 or float64. By default it is that of X, and float64 for integers.

    See Also
    --------
    NetClassifier, fastlec.Conv2d, fastlec.MaxPool2d

    Notes
    -----
    `NetClassifier` says more about the arguments that both have, and has the same attributes.

    Examples
    --------
    >>> from fastlec.sklearn import ConvNetClassifier
    >>> X, y = fastlec.data.load_digits()
    >>> model = ConvNetClassifier((32,), filters=(8, 16), image_shape=(8, 8), epochs=5, learning_rate=0.01, random_state=0)
    >>> model.fit(X[:1500], y[:1500]).score(X[1500:], y[1500:]) > 0.85
    True
    """

    def __init__(
        self,
        hidden: Hidden = (100,),
        *,
        filters: Sequence[int] = (32, 64),
        kernel_size: int = 3,
        image_shape: tuple[int, ...] | None = None,
        activation: str | Activation = "relu",
        residual: bool = False,
        normalization: Literal["batch", "layer"] | None = None,
        dropout: float = 0.0,
        optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] | Optimizer | None = None,
        batch_size: int = 32,
        epochs: int = 20,
        learning_rate: float | Schedule = 1e-3,
        early_stopping: bool | EarlyStopping = False,
        validation_fraction: float = 0.1,
        l2: float = 0.0,
        class_weight: ClassWeight = None,
        random_state: RandomState = None,
        warm_start: bool = False,
        verbose: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(
            hidden,
            activation=activation,
            residual=residual,
            normalization=normalization,
            dropout=dropout,
            optimizer=optimizer,
            batch_size=batch_size,
            epochs=epochs,
            learning_rate=learning_rate,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            l2=l2,
            class_weight=class_weight,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
            dtype=dtype,
        )
        self.filters = filters
        self.kernel_size = kernel_size
        self.image_shape = image_shape

    def _input_shape(self, n):
        if self.image_shape is None:
            return (1, 1, n)
        sizes = _check.sizes(self.image_shape, "image_shape")
        if not 2 <= len(sizes) <= 3 or min(sizes) < 1 or math.prod(sizes) != n:
            raise ValueError(
                f"image_shape is {sizes}; expected (height, width) or (height, width, channels), of X's {n} features together"
            )
        return *(sizes[2:] or (1,)), *sizes[:2]

    def _image_shape(self):
        return (1, self.n_features_in_) if self.image_shape is None else tuple(self.image_shape)

    def _file_facts(self):
        return {"architecture": "cnn"}

    def _inputs(self, X, shape):
        channels, height, width = shape
        return np.ascontiguousarray(X.reshape(len(X), height, width, channels).transpose(0, 3, 1, 2))

    def _from_sizes(self, sizes, shape, dtype):
        layers, (channels, *sides) = [], shape
        most = _check.count(self.kernel_size, "kernel_size", 1)
        for i, count in enumerate(_check.several(self.filters, "filters")):
            count, size = _check.count(count, f"filters[{i}]", 1), [min(most, side) for side in sides]
            layers.append(Conv2d(channels, count, size, self.activation, padding="same", dtype=dtype))
            pool = [2 if side >= LEAST_SIDE else 1 for side in sides]
            if max(pool) > 1:
                layers.append(MaxPool2d(pool))
            channels, sides = count, [side // by for side, by in zip(sides, pool, strict=True)]
        return [*layers, Flatten(), *super()._from_sizes(sizes, (channels * sides[0] * sides[1],), dtype)]
