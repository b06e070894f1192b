"""Files of fitted estimators, with the scaler before them: those that `fastlec train` writes and `fastlec predict` reads, which
here also say what estimator they are of, and with which parameters.

A file that `fastlec train` wrote gives the estimator that is nearest: its predictions are the model's.
"""

from __future__ import annotations

import dataclasses
import os
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from .. import _check, io, training
from ..layers import Activation, Layer
from ..network import files as networks
from ..network.description import made_anew
from ..preprocessing import Preprocessing
from .base import Estimator
from .cluster import KMeans
from .convnet import ConvNetClassifier
from .net import NetClassifier, NetRegressor
from .robust import RobustRegressor
from .softmax import SoftmaxClassifier

ESTIMATORS = {
    cls.__name__: cls for cls in (ConvNetClassifier, KMeans, NetClassifier, NetRegressor, RobustRegressor, SoftmaxClassifier)
}
SETTINGS = {
    cls.__name__: cls
    for cls in (
        training.SGD,
        training.Adam,
        training.AdamW,
        training.RMSprop,
        training.ClipNorm,
        training.MeanSquaredError,
        training.MeanAbsoluteError,
        training.Huber,
        training.ReduceOnPlateau,
        training.CosineDecay,
        training.ExponentialDecay,
        training.StepDecay,
        training.EarlyStopping,
    )
}
OF_IMAGES = ("lenet", "cnn", "resnet-cnn")  # of the course's architectures


def save(path: str | os.PathLike[str], model: Estimator | Pipeline) -> None:
    """Write a fitted estimator, or a pipeline of a scaler and one, to a file.

    `load` reads it: parameters, labels, scaler, names of features. `fastlec predict` reads classifiers, whose labels must be text,
    integers or booleans; `fastlec.Network.load` reads the networks.

    Parameters
    ----------
    path : path-like
        The file, .npz or .safetensors. It is written whole or not at all.
    model : estimator or Pipeline
        An estimator of fastlec.sklearn, or a Pipeline of StandardScaler and one.

    Raises
    ------
    TypeError
        If a file cannot hold a parameter, such as layers, an optimizer or a random_state of one's own.
    fastlec.io.ModelError
        If the file cannot be written.

    See Also
    --------
    load

    Notes
    -----
    Layers of ``hidden`` come back as their constructors make them, so that another fit begins anew; net_ has what was learnt.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fastlec.sklearn import NetClassifier, load, save
    >>> X, y = fastlec.datasets.make_blobs(100, 3)
    >>> model = make_pipeline(StandardScaler(), NetClassifier((8,), epochs=5)).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(os.path.join(folder, "model.npz"), model)
    ...     same = load(os.path.join(folder, "model.npz"))
    >>> bool((same.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    scaler, estimator = _taken_apart(model)
    for part in filter(None, (scaler, estimator)):
        check_is_fitted(part)
    classes, names = _classes(estimator), getattr(scaler or estimator, "feature_names_in_", None)
    own = Preprocessing(
        image_shape=estimator._image_shape(),
        classes=classes,
        columns=None if names is None else tuple(map(str, names)),
        **_statistics(scaler),
    )
    described = {"name": type(estimator).__name__, "params": _params(estimator), "fitted": estimator._facts()}
    described["classes"] = None if classes is None else estimator.classes_.dtype.str
    if scaler is not None:
        described |= {"steps": [name for name, _ in model.steps], "scaler": scaler.get_params()}
    counts = {"n_features": estimator.n_features_in_, "n_classes": len(classes or ())}
    estimator._write(path, counts | own.to_json() | {"estimator": described})


def load(path: str | os.PathLike[str]) -> Any:
    """The fitted estimator, or pipeline of a scaler and one, that a file holds.

    Parameters
    ----------
    path : path-like
        A file that `save`, or `fastlec train`, wrote.

    Returns
    -------
    estimator or Pipeline
        The estimator; of a file of `fastlec train` the one that is nearest, whose predictions are the model's.

    Raises
    ------
    fastlec.io.ModelError
        If the file holds none.

    See Also
    --------
    save

    Notes
    -----
    The optimizer's state is not in a file: partial_fit begins anew with that.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastlec.sklearn import SoftmaxClassifier, load
    >>> X, y = fastlec.data.load_digits()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     SoftmaxClassifier(C=0.1).fit(X[:500], y[:500]).save(os.path.join(folder, "model.npz"))
    ...     load(os.path.join(folder, "model.npz"))
    SoftmaxClassifier(C=0.1)
    """
    arrays, meta = io.load(path)
    require, kind = io.requirement(path), meta.get("kind")
    require(kind in ("softmax", "network", "kmeans", "robust"), f"holds a model of kind {kind!r}, which no estimator has")
    net, said = networks.read(path) if kind == "network" else (None, meta)
    if kind == "softmax":
        io.load_model(path)  # which checks it
    try:
        described = said.get("estimator") or _of_training(kind, said, net)
        n, n_classes = (
            (arrays["W"].shape[1], said["n_classes"]) if kind == "softmax" else (said["n_features"], said["n_classes"])
        )
        require(type(n) is type(n_classes) is int, "'meta' does not say n_features and n_classes")
        own = Preprocessing.from_json(path, said, n, n_classes)
        estimator = ESTIMATORS[described["name"]](**{k: _decoded(v, net) for k, v in described["params"].items()})
        if n_classes:
            estimator.classes_ = np.array(own.classes, described.get("classes"))
        estimator.n_features_in_ = n
        estimator._read(net if kind == "network" else arrays, described["fitted"])
        return _put_together(estimator, own, n, described)
    except io.ModelError:
        raise
    except Exception as error:  # estimators are made here of any arguments
        raise io.ModelError(f"{path}: 'meta' describes no estimator: {type(error).__name__}: {io.words(error)}") from error


def _taken_apart(model):
    """(the StandardScaler or None, the estimator)."""
    if isinstance(model, Pipeline) and len(model) == 2 and type(model[0]) is StandardScaler:
        scaler, estimator = model[0], model[1]
    else:
        scaler, estimator = None, model
    if ESTIMATORS.get(type(estimator).__name__) is not type(estimator):
        steps = ", ".join(type(step).__name__ for _, step in model.steps) if isinstance(model, Pipeline) else ""
        what = type(model).__name__ + (f" of {steps}" if steps else "")
        raise TypeError(f"model is a {what}; expected an estimator of fastlec.sklearn, or a Pipeline of StandardScaler and one")
    return scaler, estimator


def _put_together(estimator, own, n, described):
    """The estimator, in a pipeline where its samples are scaled."""
    scaled = own.mean is not None or own.scale != 1
    first = estimator
    if scaled:
        first = StandardScaler(**described.get("scaler", {}))
        first.n_features_in_ = n
        mean, std = (np.full(n, value) if a is None else np.array(a) for a, value in ((own.mean, 0.0), (own.std, 1.0)))
        first.mean_ = own.scale * mean if first.with_mean or first.with_std else None
        first.scale_ = own.scale * std if first.with_std or own.scale != 1 else None
        first.var_ = None if first.scale_ is None else first.scale_**2
    if own.columns is not None:
        first.feature_names_in_ = np.array(own.columns, dtype=object)
    if not scaled:
        return estimator
    steps = described.get("steps")
    return make_pipeline(first, estimator) if steps is None else Pipeline(list(zip(steps, (first, estimator), strict=True)))


def _statistics(scaler):
    if scaler is None:
        return {}
    n = scaler.n_features_in_
    mean = scaler.mean_ if scaler.with_mean else np.zeros(n)
    std = scaler.scale_ if scaler.with_std else np.ones(n)
    return {"mean": tuple(np.asarray(mean, float).tolist()), "std": tuple(np.asarray(std, float).tolist())}


def _classes(estimator):
    """The labels as a file holds them, text, int or bool; or None."""
    if not hasattr(estimator, "classes_"):
        return None
    labels = estimator.classes_.tolist()
    if estimator.classes_.dtype.kind == "f" and all(label == int(label) for label in labels):
        labels = [int(label) for label in labels]
    kinds = {type(label) for label in labels}
    if len(kinds) != 1 or not kinds <= {str, int, bool}:
        raise TypeError(
            f"classes_ is {_check.shown(labels)}; expected text, integers or booleans: a file holds no other labels"
        )
    return tuple(labels)


def _of_training(kind, said, net):
    """What a file of `fastlec train` would say of its estimator."""
    if kind == "softmax":
        return {"name": "SoftmaxClassifier", "params": {}, "fitted": {"n_iter_": None}}
    of_images = said["architecture"] in OF_IMAGES
    params = {"hidden": {"layers": len(net.layers) - 1}}
    if of_images:
        params["image_shape"] = said["image_shape"]
    fitted = {"loss_curve_": [], "validation_scores_": None}
    return {"name": "ConvNetClassifier" if of_images else "NetClassifier", "params": params, "fitted": fitted}


def _params(estimator):
    """The parameters that are not as by default, as JSON holds them."""
    default = type(estimator)().get_params()
    given = estimator.get_params(deep=False)
    return {name: _encoded(value, name) for name, value in given.items() if value is not default[name]}


def _encoded(value, name):
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_ | np.generic):
        return value.item()
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"array": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, list | tuple):
        if name == "hidden" and value and all(isinstance(item, Layer) for item in value):
            return {"layers": len(value)}
        return [_encoded(item, name) for item in value]
    if isinstance(value, Activation):
        return {"layer": value.described()}
    if isinstance(value, dict):
        return {"items": [[_encoded(key, name), _encoded(item, name)] for key, item in value.items()]}
    if SETTINGS.get(type(value).__name__) is type(value):
        given = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {"kind": type(value).__name__, "settings": {key: _encoded(item, f"{name}.{key}") for key, item in given.items()}}
    try:
        return {"dtype": str(_check.layer_dtype(value))}
    except TypeError:
        raise TypeError(f"{name} is {_check.shown(value)}, which a file does not hold; set another one, or pickle") from None


def _decoded(value, net):
    if isinstance(value, list):
        return tuple(_decoded(item, net) for item in value)
    if not isinstance(value, dict):
        return value
    if "layers" in value:
        return made_anew(net.config())[: value["layers"]]
    if "layer" in value:
        return made_anew({"layers": [value["layer"]]})[0]
    if "items" in value:
        return {_decoded(key, net): _decoded(item, net) for key, item in value["items"]}
    if "array" in value:
        return np.array(value["array"], value["dtype"])
    if "dtype" in value:
        return np.dtype(value["dtype"])
    return SETTINGS[value["kind"]](**{key: _decoded(item, net) for key, item in value["settings"].items()})
