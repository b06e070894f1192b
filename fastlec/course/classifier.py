"""New networks of the architectures that ``fastlec train`` knows, and their training."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .. import _check
from .._comm import Communicator
from ..data import DataError, Dataset, class_count, square
from ..layers.base import Layer
from ..network import KINDS, Network, shapes
from ..training import SGD, Adam, CosineDecay, History, SoftmaxCrossEntropy
from . import architectures
from .models import Facts, NetworkModel
from .trained import Trained, accuracy, default_epochs, fit_model, of_training, share_of, split_of

DEFAULT_LR = {"sgd": 0.1, "adam": 2e-3}  # of each solver
_COPIES = 8  # of parameters and targets in memory at once, at most: theta, the optimizer's, those that making a network takes


def new_network(dataset: Dataset, architecture: str, *, seed: int, **options) -> NetworkModel:
    """An untrained network for the samples of ``dataset``, of their dtype; the same seed gives the same weights.

    options : depth, width, activation, of those that `architectures.OPTIONS` says the architecture has, with their defaults.
    Samples that are not known to be images are taken for square ones by a network of images.
    Raises DataError for labels that are no classes or samples that can be no images, MemoryError for a size that this machine
    cannot train.
    """
    n, dtype = dataset.X.shape[1], dataset.X.dtype
    n_classes, image_shape = class_count(dataset.y, dataset.name, dataset.classes), dataset.image_shape
    if architecture in architectures.OF_IMAGES:
        image_shape = image_shape or square(n)
        if image_shape is None:
            what = f"{dataset.name}: its samples have {n} features, which make no square image"
            raise DataError(f"{what}; {architecture} takes images, in an .npz X (m, height, width)")
        if math.prod(image_shape[2:]) > min(image_shape[:2]):
            what = f"{dataset.name}: its images have shape {image_shape}"
            raise DataError(f"{what}; expected (height, width, channels), fewer channels than pixels on a side")
    facts = Facts(architecture, n, n_classes, replace(of_training(dataset, None), image_shape=image_shape))
    layers = architectures.describe(architecture, facts.input_shape, n_classes, **options)
    n_params = sum(math.prod(shape) for shape in shapes({"layers": layers}).values())
    if _COPIES * (n_params + len(dataset.y) * n_classes) * dtype.itemsize > _check.memory_size():
        what = f"a network of {n_params} parameters, with {n_classes} classes for each of {len(dataset.y)} samples,"
        raise MemoryError(f"{what} is too large to be trained in this machine's memory")
    rng = _check.generator(seed, "seed")
    return NetworkModel(Network([_layer(dtype=dtype, rng=rng, **layer) for layer in layers]), facts)


def train_network(
    dataset: Dataset,
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
    callback: Callable[[int, History], None] | None = None,
    comm: Communicator | None = None,
) -> Trained:
    """Train a network, from where ``start`` is, on four fifths of the samples of each class; the rest validates, the same ones
    whatever the seed, so that no training that goes on from a model is on what that one has set aside.

    solver : "sgd" or "adam".  epochs : by default 40, of cnn and resnet-cnn 20.  l2 : weight decay.
    lr : by default 0.1 for sgd, 0.002 for adam; it rises over the first twentieth of the steps, then falls to 0 along a cosine.
    smoothing : the share of each target that is spread evenly over the classes (label smoothing, Szegedy et al. 2016): the
    network is not asked to be certain, and generalises better. Both losses in the history are against such targets.
    checkpoint, resume : as of :func:`fastlec.fit`: written after every epoch; whether to go on from the one that is there.
    comm : of several processes, as of :func:`fastlec.fit`, which have the same dataset: each trains and validates on its share.
    callback(epoch, history) is called after each epoch. The same arguments give the same model; ``start`` is not changed.
    Raises DataError if data and model do not match, ModelError for a checkpoint of another training, FloatingPointError if the
    samples or the loss are not finite. Whatever is raised once training has begun (by Ctrl-C or a callback, too) has as ``history``
    and ``model`` those after the last whole epoch.
    """
    start.facts.check(dataset)
    dtype, n_classes = dataset.X.dtype, start.facts.n_classes
    net = start.net.with_params({name: array.astype(dtype) for name, array in start.net.params.items()})
    X, (train, validation) = start.facts.inputs(dataset.X), split_of(dataset)
    own, held_out = share_of(train, comm), share_of(validation, comm)
    y_val = dataset.y[validation]
    targets = np.full((len(dataset.y), n_classes), smoothing / n_classes, dtype)
    targets[np.arange(len(targets)), dataset.y] += 1 - smoothing
    epochs = epochs or default_epochs(start.facts.architecture, solver)
    steps = epochs * math.ceil(len(train) / batch_size)
    warmup = steps // 20
    lr = DEFAULT_LR[solver] if lr is None else lr
    rate = CosineDecay(lr, steps - warmup, warmup=warmup)
    optimizer = Adam(rate, weight_decay=l2) if solver == "adam" else SGD(rate, momentum=momentum, weight_decay=l2)

    model = NetworkModel(net, replace(start.facts, preprocessing=of_training(dataset, start)))
    history = fit_model(
        net,
        lambda: model,
        X[own],
        targets[own],
        lr=lr,
        callback=callback,
        loss=SoftmaxCrossEntropy(),
        optimizer=optimizer,
        batch_size=batch_size,
        epochs=epochs,
        validation=(X[held_out], targets[held_out]),
        rng=seed,
        checkpoint=checkpoint,
        resume=resume,
        comm=comm,
    )
    test = None if dataset.X_test is None else accuracy(dataset.y_test, model.outputs(dataset.X_test).argmax(axis=1))
    predicted = model.outputs(dataset.X[validation]).argmax(axis=1)
    return Trained(model, history, len(train), y_val, predicted, test, f"{epochs} epochs")


def _layer(kind: str, *, dtype: np.dtype, rng: np.random.Generator, **config) -> Layer:
    made = KINDS[kind]
    return made(**config, **({"dtype": dtype, "rng": rng} if made.shapes(**config) else {}))
