"""The classifiers that ``fastlec train`` knows, softmax regression and the networks of `architectures`, behind the same functions.

Samples are rows of features here, images too; `Facts.inputs` makes them what a network takes. A network's file is that of
``Network.save`` with a few facts more: what the samples that it takes look like.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from . import _check, architectures, data, io, network, training
from .fitting import fit
from .layers.base import Layer
from .linear import SoftmaxObjective
from .losses import SoftmaxCrossEntropy
from .network import files as network_files
from .optim import SGD, Adam, CosineDecay

DEFAULT_EPOCHS = dict.fromkeys(architectures.NAMES, 40) | {"cnn": 20, "resnet-cnn": 20}  # whose epochs cost most
DEFAULT_LR = {"sgd": 0.1, "adam": 2e-3}
_CHUNK = 1024  # samples that are predicted at once
_COPIES = 8  # of parameters and targets in memory at once, at most: theta, the optimizer's, those that making a network takes


@dataclass(frozen=True)
class Facts:
    """What a network's parameters do not tell.

    architecture : one of `architectures.NAMES`.  n_features, n_classes : of the samples.
    image_shape, scale : as in `io.SoftmaxModel`; a network of images always has an image_shape.
    """

    architecture: str
    n_features: int
    n_classes: int
    image_shape: tuple[int, ...] | None = None
    scale: float = 1.0

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


@dataclass(frozen=True, eq=False)
class NetworkModel:
    """A network (m, *facts.input_shape) -> (m, n_classes), whose largest output is the class, and its facts."""

    net: network.Network
    facts: Facts

    @property
    def W(self) -> np.ndarray:
        """The weights of the first layer: (rows, n_features) of a dense one, (filters, channels, r, s) of a convolution."""
        return next(iter(self.net.params.values()))

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        return self.facts.image_shape


def kind(model: io.SoftmaxModel | NetworkModel) -> str:
    """ "softmax", or the architecture of a network."""
    return model.facts.architecture if isinstance(model, NetworkModel) else "softmax"


def dtype(model: io.SoftmaxModel | NetworkModel) -> np.dtype:
    """float32 or float64."""
    return model.W.dtype


def facts(model: io.SoftmaxModel | NetworkModel) -> Facts:
    """Of any model."""
    if isinstance(model, NetworkModel):
        return model.facts
    return Facts("softmax", model.W.shape[1], len(model.b), model.image_shape, model.scale)


def facts_of_training(dataset: data.Dataset, start: io.SoftmaxModel | NetworkModel | None) -> Facts:
    """Of the model that comes of training on ``dataset`` from ``start``, or from a new softmax regression.

    Raises DataError if data and model do not match.
    """
    if start is None:
        n_classes = data.class_count(dataset.y, dataset.name)
        return Facts("softmax", dataset.X.shape[1], n_classes, dataset.image_shape, dataset.scale)
    found = facts(start)
    training.check_samples(dataset, found.n_features, found.n_classes)
    check_images(dataset, found)
    return replace(found, image_shape=dataset.image_shape or found.image_shape, scale=dataset.scale)


def predict(model: io.SoftmaxModel | NetworkModel, X: np.ndarray) -> np.ndarray:
    """The most probable class (m,) int64 of each row of X (m, n), scaled as the model expects.

    Raises ValueError, which names the row, for features or outputs that are not finite: they have no most probable class.
    """
    if not isinstance(model, io.SoftmaxModel | NetworkModel):
        raise TypeError(f"model is a {type(model).__name__}; expected a SoftmaxModel or a NetworkModel")
    X = _check.matrix(X, "X", columns=facts(model).n_features)
    _check.float_dtype(X.dtype, "X")
    _check.finite(X, "X", error=data.DataError)
    with np.errstate(all="ignore"):
        outputs = _outputs(model, X)
    _check.finite(outputs, "the model's output", error=data.DataError)
    return outputs.argmax(axis=1)


def feature_maps(model: NetworkModel, sample: np.ndarray) -> dict[str, np.ndarray]:
    """What a network of images makes of one sample (n_features,): {"0 Conv2d": (c, h, w), ...} of each layer that gives images,
    the sample itself, "image", first."""
    x = model.facts.inputs(sample[None])
    values = zip(model.net.layers, model.net.activations(x), strict=True)
    maps = {f"{i} {type(layer).__name__}": y[0] for i, (layer, y) in enumerate(values) if y.ndim == 4}
    return {"image": x[0], **maps}


def new_network(dataset: data.Dataset, architecture: str, *, seed: int, **options) -> NetworkModel:
    """An untrained network for the samples of ``dataset``, of their dtype; the same seed gives the same weights.

    options : depth, width, activation, of those that `architectures.OPTIONS` says the architecture has, with their defaults.
    Samples that are not known to be images are taken for square ones by a network of images.
    Raises DataError for labels that are no classes or samples that can be no images, MemoryError for a size that this machine
    cannot train.
    """
    n, dtype = dataset.X.shape[1], dataset.X.dtype
    n_classes, image_shape = data.class_count(dataset.y, dataset.name), dataset.image_shape
    if architecture in architectures.OF_IMAGES:
        image_shape = image_shape or data.square(n)
        if image_shape is None:
            what = f"{dataset.name}: its samples have {n} features, which make no square image"
            raise data.DataError(f"{what}; {architecture} takes images, in an .npz X (m, height, width)")
        if math.prod(image_shape[2:]) > min(image_shape[:2]):
            what = f"{dataset.name}: its images have shape {image_shape}"
            raise data.DataError(f"{what}; expected (height, width, channels), fewer channels than pixels on a side")
    facts = Facts(architecture, n, n_classes, image_shape, dataset.scale)
    layers = architectures.describe(architecture, facts.input_shape, n_classes, **options)
    n_params = sum(math.prod(shape) for shape in network.shapes({"layers": layers}).values())
    if _COPIES * (n_params + len(dataset.y) * n_classes) * dtype.itemsize > _check.memory_size():
        what = f"a network of {n_params} parameters, with {n_classes} classes for each of {len(dataset.y)} samples,"
        raise MemoryError(f"{what} is too large to be trained in this machine's memory")
    rng = _check.generator(seed, "seed")
    return NetworkModel(network.Network([_layer(dtype=dtype, rng=rng, **layer) for layer in layers]), facts)


def train_network(
    dataset: data.Dataset,
    start: NetworkModel,
    *,
    solver: str = "sgd",
    epochs: int | None = None,
    batch_size: int = 32,
    lr: float | None = None,
    momentum: float = 0.9,
    l2: float = 1e-3,
    smoothing: float = 0.1,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    resume: bool = True,
    callback: Callable[[int, Any], None] | None = None,
) -> training.Trained:
    """Train a network, from where ``start`` is, on four fifths of the samples of each class; the rest validates, the same ones
    whatever the seed, so that no training that goes on from a model is on what that one has set aside.

    solver : "sgd" or "adam".  epochs : by default 40, of cnn and resnet-cnn 20.  l2 : weight decay.
    lr : by default 0.1 for sgd, 0.002 for adam; it rises over the first twentieth of the steps, then falls to 0 along a cosine.
    smoothing : the share of each target that is spread evenly over the classes (label smoothing, Szegedy et al. 2016): the
    network is not asked to be certain, and generalises better. Both losses in the history are against such targets.
    checkpoint, resume : as of :func:`fastlec.fit`: written after every epoch; whether to go on from the one that is there.
    callback(epoch, history) is called after each epoch. The same arguments give the same model; ``start`` is not changed.
    Raises DataError if data and model do not match, ModelError for a checkpoint of another training, FloatingPointError if the
    samples or the loss are not finite. Whatever is raised once training has begun (by Ctrl-C or a callback, too) has as ``history``
    and ``model`` those after the last whole epoch.
    """
    training.check_samples(dataset, start.facts.n_features, start.facts.n_classes)
    check_images(dataset, start.facts)
    dtype, n_classes = dataset.X.dtype, start.facts.n_classes
    net = start.net.with_params({name: array.astype(dtype) for name, array in start.net.params.items()})
    X, (train, validation) = start.facts.inputs(dataset.X), data.split(dataset.y)
    y_val = dataset.y[validation]
    targets = np.full((len(dataset.y), n_classes), smoothing / n_classes, dtype)
    targets[np.arange(len(targets)), dataset.y] += 1 - smoothing
    epochs = epochs or DEFAULT_EPOCHS[start.facts.architecture]
    steps = epochs * math.ceil(len(train) / batch_size)
    warmup = steps // 20
    lr = DEFAULT_LR[solver] if lr is None else lr
    rate = CosineDecay(lr, steps - warmup, warmup=warmup)
    optimizer = Adam(rate, weight_decay=l2) if solver == "adam" else SGD(rate, momentum=momentum, weight_decay=l2)

    def report(progress) -> None:
        if callback:
            callback(progress.epoch, progress.history)

    image_shape = dataset.image_shape or start.facts.image_shape
    model = NetworkModel(net, replace(start.facts, image_shape=image_shape, scale=dataset.scale))
    try:
        history = fit(
            net,
            X[train],
            targets[train],
            loss=SoftmaxCrossEntropy(),
            optimizer=optimizer,
            batch_size=batch_size,
            epochs=epochs,
            validation=(X[validation], targets[validation]),
            callbacks=[report],
            rng=seed,
            checkpoint=checkpoint,
            resume=resume,
        )
    except BaseException as error:
        if hasattr(error, "history"):  # else training has not begun
            error.model = model
            if isinstance(error, FloatingPointError):  # which names the rate of the epoch, not lr
                error.args = (f"{str(error).split(';')[0]}; a lower learning rate than {lr:g} may help",)
        raise
    test = None if dataset.X_test is None else training.accuracy(dataset.y_test, _outputs(model, dataset.X_test).argmax(axis=1))
    predicted = _outputs(model, dataset.X[validation]).argmax(axis=1)
    return training.Trained(model, history, len(train), y_val, predicted, test, f"{epochs} epochs")


def save_model(path: str | os.PathLike, model: io.SoftmaxModel | NetworkModel) -> None:
    """Write a model to ``path``, .npz or .safetensors, all or nothing. ModelError if it cannot be written."""
    if isinstance(model, NetworkModel):
        network_files.save(path, model.net, asdict(model.facts))
    else:
        io.save_model(path, model)


def load_model(path: str | os.PathLike) -> io.SoftmaxModel | NetworkModel:
    """Read a model that :func:`save_model` wrote; ModelError if any name, shape, dtype or fact is not as expected."""
    if io.file_kind(path) == "softmax":
        return io.load_model(path)
    net, said = network_files.read(path)
    return NetworkModel(net, _facts(path, net, said))


def check_images(dataset: data.Dataset, facts: Facts) -> None:
    """DataError if the samples are images of another size than a network of images takes."""
    if facts.architecture in architectures.OF_IMAGES and dataset.image_shape is not None:
        theirs, ours = (" x ".join(map(str, shape[:2])) for shape in (dataset.image_shape, facts.image_shape))
        if theirs != ours:
            raise data.DataError(f"{dataset.name}: its images are {theirs}; the model takes {ours}")


def _outputs(model: io.SoftmaxModel | NetworkModel, X: np.ndarray) -> np.ndarray:
    """What the model gives (m, n_classes) for each row of X; a network a chunk at a time, for its layers' results take memory."""
    if not isinstance(model, NetworkModel):
        return SoftmaxObjective(X, np.zeros(len(X), np.int64), len(model.b)).predict_proba(model.theta)
    parts = range(0, len(X), _CHUNK)
    return np.concatenate([model.net(model.facts.inputs(X[start : start + _CHUNK])) for start in parts])


def _layer(kind: str, *, dtype: np.dtype, rng: np.random.Generator, **config) -> Layer:
    made = network.KINDS[kind]
    return made(**config, **({"dtype": dtype, "rng": rng} if made.shapes(**config) else {}))


def _facts(path, net: network.Network, said: dict[str, Any]) -> Facts:
    def require(condition: bool, text: str) -> None:
        if not condition:
            raise io.ModelError(f"{path}: {text}")

    names = Facts.__dataclass_fields__
    require(set(names) <= set(said), f"'meta' does not say {', '.join(names)}; expected a network that fastlec train wrote")
    architecture, n, n_classes = (said[name] for name in ("architecture", "n_features", "n_classes"))
    require(bool(net.params), "its layers have no parameters; expected a network that fastlec train wrote")
    known = ", ".join(architectures.NAMES)
    require(architecture in architectures.NAMES, f"'meta' says architecture {architecture!r}; expected one of {known}")
    for name, size, least in (("n_features", n, 1), ("n_classes", n_classes, 2)):
        require(type(size) is int and size >= least, f"'meta' says {name} {size!r}; expected an integer >= {least}")
    facts = Facts(architecture, n, n_classes, *io.image_facts(path, said, n, f"samples have {n} features"))
    of_images = architecture in architectures.OF_IMAGES
    require(facts.image_shape is not None or not of_images, f"'meta' says no image shape; {architecture} takes images")
    try:
        output = net.output_shape(facts.input_shape)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise io.ModelError(f"{path}: 'meta' says {n} features, which the layers do not take: {error}") from error
    require(output == (n_classes,), f"'meta' says {n_classes} classes; the layers give {output} for each sample")
    return facts
