"""Networks of convolutions (lecture chapter 5) as an estimator of rows that are images, or signals."""

import math

import numpy as np

from .. import _check
from ..layers import Conv2d, Flatten, MaxPool2d
from .net import NetClassifier

LEAST_SIDE = 4  # of pixels, from which pooling halves it


class ConvNetClassifier(NetClassifier):
    """A network of convolutions and dense layers that classifies images, which are rows of pixels.

    filters : how many each convolution has. Each keeps the size of the image, by padding, and MaxPool2d then halves the sides that
    have 4 pixels or more.  kernel_size : of the convolutions, at most, where the image is smaller.
    hidden : the sizes of the dense layers that follow; or a list of layers that is all there is before the last layer, from images
    (m, channels, height, width) on, in place of filters and kernel_size.
    image_shape : (height, width) or (height, width, channels) of a row, whose channels of a pixel are side by side; None: a row of
    n features is a signal, an image of 1 x n pixels.
    residual, normalization, dropout : of dense layers. All else is as in `NetClassifier`.

    >>> from fastlec.sklearn import ConvNetClassifier
    >>> X, y = fastlec.data.load_digits()
    >>> model = ConvNetClassifier((32,), filters=(8, 16), image_shape=(8, 8), epochs=5, learning_rate=0.01, random_state=0)
    >>> model.fit(X[:1500], y[:1500]).score(X[1500:], y[1500:]) > 0.85
    True
    """

    def __init__(
        self,
        hidden=(100,),
        *,
        filters=(32, 64),
        kernel_size=3,
        image_shape=None,
        activation="relu",
        residual=False,
        normalization=None,
        dropout=0.0,
        optimizer=None,
        batch_size=32,
        epochs=20,
        learning_rate=1e-3,
        early_stopping=False,
        validation_fraction=0.1,
        l2=0.0,
        class_weight=None,
        random_state=None,
        warm_start=False,
        verbose=False,
        dtype=None,
    ):
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
