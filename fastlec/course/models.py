"""Classifiers of rows of features, images too: softmax regression, and networks with what their parameters do not tell.

Both have ``facts``, ``dtype``, ``W``, ``image_shape`` and ``outputs``; `predict`, `save_model` and `load_model` are for either.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _check, data, io
from ..functional import softmax
from ..linear import SoftmaxObjective
from ..network import Network, files
from ..preprocessing import Preprocessing, shown
from . import architectures

_OWN_FACTS = ("architecture", "n_features", "n_classes")  # in a network's file, beside those of its preprocessing
_NOTHING = Preprocessing()  # to be done to samples
_CHUNK = 1024  # samples that a network predicts at once: what its layers make of them takes memory


@dataclass(frozen=True)
class Facts:
    """What a model's samples look like.

    architecture : "softmax", or one of `architectures.NAMES`.  n_features, n_classes : of the samples.
    preprocessing : how raw samples become what the model takes, and its classes' labels; that of a network of images always has an
    image_shape.
    """

    architecture: str
    n_features: int
    n_classes: int
    preprocessing: Preprocessing = _NOTHING

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        return self.preprocessing.image_shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample, as the network takes it: (n_features,), or (channels, height, width) where it is one of images."""
        if self.architecture not in architectures.OF_IMAGES:
            return (self.n_features,)
        height, width = self.image_shape[:2]
        return self.n_features // (height * width), height, width

    def inputs(self, X: np.ndarray) -> np.ndarray:
        """The rows X (m, n_features), images whose channels come last, as the network takes them: (m, *input_shape)."""
        if len(self.input_shape) == 1:
            return X
        channels, height, width = self.input_shape
        return np.ascontiguousarray(X.reshape(len(X), height, width, channels).transpose(0, 3, 1, 2))

    def check(self, dataset: data.Dataset) -> None:
        """DataError unless the samples have these features, images of this size, and labels, if any, among the classes."""
        n = dataset.X.shape[1]
        if n != self.n_features:
            raise data.DataError(f"{dataset.name}: its samples have {n} features; the model takes {self.n_features}")
        if dataset.y is not None and dataset.y.max() >= self.n_classes:
            text = f"has the label {dataset.y.max()}; the model knows {shown(range(self.n_classes))}"
            raise data.DataError(f"{dataset.name}: {text}")
        if self.architecture in architectures.OF_IMAGES and dataset.image_shape is not None:
            theirs, ours = (" x ".join(map(str, shape[:2])) for shape in (dataset.image_shape, self.image_shape))
            if theirs != ours:
                raise data.DataError(f"{dataset.name}: its images are {theirs}; the model takes {ours}")


@io.register_model("softmax")
@dataclass(frozen=True, eq=False)
class SoftmaxModel:
    """A trained softmax regression.

    W : (l, n) float32 or float64, one row of weights for each class.  b : (l,), same dtype.
    preprocessing : as in `Facts`.
    """

    W: np.ndarray
    b: np.ndarray
    preprocessing: Preprocessing = _NOTHING

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        return self.preprocessing.image_shape

    @property
    def scale(self) -> float:
        return self.preprocessing.scale

    @property
    def theta(self) -> np.ndarray:
        """W raveled in C order, then b: the vector that ``SoftmaxObjective`` takes."""
        return np.concatenate([self.W.ravel(), self.b])

    @property
    def dtype(self) -> np.dtype:
        return self.W.dtype

    @property
    def facts(self) -> Facts:
        return Facts("softmax", self.W.shape[1], len(self.b), self.preprocessing)

    def outputs(self, X: np.ndarray) -> np.ndarray:
        """The probability of every class (m, l) for each row of X."""
        return SoftmaxObjective(X, np.zeros(len(X), np.int64), len(self.b)).predict_proba(self.theta)

    def check(self, name: str) -> None:
        """ValueError or TypeError, which begins with ``name``, unless W and b are finite and fit each other."""
        arrays = {f"{name}.W": _check.as_array(self.W, f"{name}.W"), f"{name}.b": _check.as_array(self.b, f"{name}.b")}
        _check.common_dtype(**arrays)
        W, b = arrays.values()
        if W.ndim != 2 or b.shape != W.shape[:1]:
            raise ValueError(f"{name}.W has shape {W.shape}, {name}.b {b.shape}; expected (classes, features) and (classes,)")
        for what, array in arrays.items():
            _check.finite(array, what)

    def to_file(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        W, b = _check.as_array(self.W, "W"), _check.as_array(self.b, "b")
        return {"W": W, "b": b}, {"n_classes": len(b), "dtype": str(W.dtype), **self.preprocessing.to_json()}

    @classmethod
    def from_file(cls, path, arrays: dict[str, np.ndarray], meta: Mapping[str, Any]) -> SoftmaxModel:
        require, dtype = io.requirement(path), meta.get("dtype")
        require(set(arrays) == {"W", "b"}, f"holds the arrays {sorted(arrays)}; expected ['W', 'b']")
        W, b = arrays["W"], arrays["b"]
        require(W.ndim == 2 and W.size > 0, f"W has shape {W.shape}; expected (classes, features)")
        require(b.shape == W.shape[:1], f"b has shape {b.shape}; expected {W.shape[:1]} to match W of shape {W.shape}")
        require(meta.get("n_classes") == len(W), f"'meta' says {meta.get('n_classes')} classes; W has {len(W)} rows")
        require(dtype in ("float32", "float64"), f"'meta' says dtype {dtype!r}; expected 'float32' or 'float64'")
        require(W.dtype == b.dtype == np.dtype(dtype), f"W is {W.dtype} and b {b.dtype}; expected {dtype}")
        require(bool(np.isfinite(W).all() and np.isfinite(b).all()), "W or b holds NaN or infinity; expected finite numbers")
        return cls(W, b, Preprocessing.from_json(path, meta, W.shape[1], len(W)))


@dataclass(frozen=True, eq=False)
class NetworkModel:
    """A network (m, *facts.input_shape) -> (m, n_classes), whose largest output is the class, and its facts.

    Its file is that of ``Network.save``, with the facts beside the layers.
    """

    net: Network
    facts: Facts

    @property
    def W(self) -> np.ndarray:
        """The weights of the first layer: (rows, n_features) of a dense one, (filters, channels, r, s) of a convolution."""
        return next(iter(self.net.params.values()))

    @property
    def dtype(self) -> np.dtype:
        return self.W.dtype

    @property
    def preprocessing(self) -> Preprocessing:
        return self.facts.preprocessing

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        return self.facts.image_shape

    def outputs(self, X: np.ndarray) -> np.ndarray:
        """What the network gives (m, n_classes) for each row of X."""
        parts = range(0, len(X), _CHUNK)
        return np.concatenate([self.net(self.facts.inputs(X[start : start + _CHUNK])) for start in parts])

    def check(self, name: str) -> None:
        """Nothing: a network was checked when it was made."""


def predict(model: SoftmaxModel | NetworkModel, X: np.ndarray) -> np.ndarray:
    """The most probable class (m,) int64 of each row of X (m, n), prepared as the model expects (``preprocessing.features``): its
    number, of which ``preprocessing.labels`` gives the label.

    Raises ValueError, which names the row, for features or outputs that are not finite: they have no most probable class.
    """
    return _outputs(model, X).argmax(axis=1)


def probabilities(model: SoftmaxModel | NetworkModel, X: np.ndarray) -> np.ndarray:
    """The probability of every class (m, l) for each row of X; as :func:`predict`."""
    outputs = _outputs(model, X)
    return softmax(outputs) if isinstance(model, NetworkModel) else outputs


def _outputs(model: SoftmaxModel | NetworkModel, X: np.ndarray) -> np.ndarray:
    if not isinstance(model, SoftmaxModel | NetworkModel):
        raise TypeError(f"model is a {type(model).__name__}; expected a SoftmaxModel or a NetworkModel")
    model.check("model")
    X = _check.matrix(X, "X", columns=model.facts.n_features)
    _check.float_dtype(X.dtype, "X")
    _check.finite(X, "X", error=data.DataError)
    with np.errstate(all="ignore"):
        outputs = model.outputs(X)
    _check.finite(outputs, "the model's output", error=data.DataError)
    return outputs


def feature_maps(model: NetworkModel, sample: np.ndarray) -> dict[str, np.ndarray]:
    """What a network of images makes of one sample (n_features,): {"0 Conv2d": (c, h, w), ...} of each layer that gives images,
    the sample itself, "image", first."""
    x = model.facts.inputs(sample[None])
    values = zip(model.net.layers, model.net.activations(x), strict=True)
    maps = {f"{i} {type(layer).__name__}": y[0] for i, (layer, y) in enumerate(values) if y.ndim == 4}
    return {"image": x[0], **maps}


def save_model(path: str | os.PathLike, model: SoftmaxModel | NetworkModel) -> None:
    """Write a model to ``path``, .npz or .safetensors, all or nothing. ModelError if it cannot be written."""
    if isinstance(model, NetworkModel):
        facts = {name: getattr(model.facts, name) for name in _OWN_FACTS}
        files.save(path, model.net, facts | model.preprocessing.to_json())
    else:
        io.save_model(path, model)


def load_model(path: str | os.PathLike) -> SoftmaxModel | NetworkModel:
    """Read a model that :func:`save_model` wrote; ModelError if any name, shape, dtype or fact is not as expected."""
    if io.file_kind(path) == "softmax":
        return io.load_model(path)
    net, said = files.read(path)
    return NetworkModel(net, _facts(path, net, said))


def _facts(path, net: Network, said: Mapping[str, Any]) -> Facts:
    """The facts in a network's file; ModelError unless the network is one for such samples."""
    require, names = io.requirement(path), (*_OWN_FACTS, "image_shape", "scale")
    require(set(names) <= set(said), f"'meta' does not say {', '.join(names)}; expected a network that fastlec train wrote")
    architecture, n, n_classes = (said[name] for name in _OWN_FACTS)
    require(bool(net.params), "its layers have no parameters; expected a network that fastlec train wrote")
    known = ", ".join(architectures.NAMES)
    require(architecture in architectures.NAMES, f"'meta' says architecture {architecture!r}; expected one of {known}")
    for name, size, least in (("n_features", n, 1), ("n_classes", n_classes, 2)):
        require(type(size) is int and size >= least, f"'meta' says {name} {size!r}; expected an integer >= {least}")
    facts = Facts(architecture, n, n_classes, Preprocessing.from_json(path, said, n, n_classes))
    of_images = architecture in architectures.OF_IMAGES
    require(facts.image_shape is not None or not of_images, f"'meta' says no image shape; {architecture} takes images")
    try:
        output = net.output_shape(facts.input_shape)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise io.ModelError(f"{path}: 'meta' says {n} features, which the layers do not take: {error}") from error
    require(output == (n_classes,), f"'meta' says {n_classes} classes; the layers give {output} for each sample")
    return facts
