"""The derivative tests of section 4.3 over everything in the library that has a derivative: what ``fastlec check`` runs.

CHECKS maps a name to a builder; the builder gets a dtype and a random generator and returns what is to be tested: a Scalar
(gradient test), a Map (Jacobian and transpose tests) or a LayerAt (all of a layer's contract).  A new layer adds a line.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from .. import filters, functional, linear
from .._activations import CODES
from ..layers import (
    Activation,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvResidual,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    LayerNorm,
    MaxPool1d,
    MaxPool2d,
    ProjectedConvResidual,
    ProjectedResidual,
    Residual,
    Upsample2d,
)
from ..network import Concat, Container, Network, Sum
from ..training import BinaryCrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError, Objective, SoftmaxCrossEntropy
from .derivatives import gradient_test, jacobian_test, transpose_test
from .layers import check_layer
from .results import Result

SAMPLES, FEATURES, CLASSES = 24, 6, 4
LAYER_SAMPLES = 5
IMAGE = (3, 4, 5)  # a sample of LAYER_SAMPLES images
SIGNAL = (3, 20)  # one of signals
ACTIVATIONS = tuple(CODES)
WITH_PARAMETERS = {
    "elu with alpha": Activation("elu", alpha=1.5),
    "leaky_relu with negative_slope": Activation("leaky_relu", negative_slope=0.3),
}
IMAGE_ACTIVATIONS = (
    "tanh",
    "sigmoid",
    "relu",
    "gelu",
    "leaky_relu",
    "identity",
)  # one of each kind: by y or z, with a kink or not


@dataclass(frozen=True)
class Scalar:
    """f(x) a number, grad(x) its gradient."""

    f: Callable
    grad: Callable
    x: np.ndarray

    def tests(self, name, rng):
        yield gradient_test(self.f, self.grad, self.x, rng=rng, name=name)


@dataclass(frozen=True)
class Map:
    """f(x) an array, jac_mv(x, v) = J v, jac_tmv(x, u) = J' u."""

    f: Callable
    jac_mv: Callable
    jac_tmv: Callable
    x: np.ndarray

    def tests(self, name, rng):
        yield jacobian_test(self.f, self.jac_mv, self.x, rng=rng, name=name)
        yield transpose_test(self.jac_mv, self.jac_tmv, self.x, rng=rng, name=name)


@dataclass(frozen=True)
class LayerAt:
    """A layer and samples for it."""

    layer: Layer
    x: np.ndarray

    def tests(self, name, rng):
        yield check_layer(self.layer, self.x, rng=rng, name=name)


def run(*, dtype: DTypeLike | None = None, seed: int = 0) -> list[tuple[str, Result]]:
    """The (name, result) pairs of all checks.

    Parameters
    ----------
    dtype : dtype, optional
        The argument of `each`.
    seed : int
        The argument of `each`.

    Returns
    -------
    list of tuple
        What `each` yields.
    """
    return list(each(dtype=dtype, seed=seed))


def each(*, dtype: DTypeLike | None = None, seed: int = 0, names: Iterable[str] | None = None) -> Iterator[tuple[str, Result]]:
    """Run the checks of everything in the library that has a derivative, one after the other, in the order of CHECKS.

    Parameters
    ----------
    dtype : dtype, optional
        The precision, float32 or float64; by default both, float64 first.
    seed : int
        What random points and directions are drawn with. Each check has its own generator, so its numbers do not depend on the
        others.
    names : iterable of str, optional
        Those to run, of CHECKS; by default all.

    Yields
    ------
    name : str
        The check, its test and the dtype.
    result : Result
        The result, as of `fastlec.testing`.
    """
    dtypes = [np.dtype(d) for d in ((np.float64, np.float32) if dtype is None else (dtype,))]
    for d in dtypes:
        if d not in (np.float32, np.float64):
            raise ValueError(f"dtype is {d}; expected float32 or float64")
        for name in CHECKS if names is None else names:
            rng = np.random.default_rng([seed, *name.encode()])
            for result in CHECKS[name](d, rng).tests(name, rng):
                yield f"{name}: {result.kind} test, {d}", result


# --- functions -------------------------------------------------------------------------------------------------------


def _softmax(axis, dtype, rng):
    """The Jacobian of softmax, diag(p) - p p', is symmetric: one function for both products."""

    def product(x, v):
        p = functional.softmax(x, axis=axis)
        return p * (v - np.sum(p * v, axis=axis, keepdims=True))

    return Map(partial(functional.softmax, axis=axis), product, product, _normal(rng, dtype, SAMPLES, CLASSES))


def _log_softmax(axis, dtype, rng):
    """The Jacobian of log softmax is I - 1 p', its transpose I - p 1'."""

    def jac_mv(x, v):
        return v - np.sum(functional.softmax(x, axis=axis) * v, axis=axis, keepdims=True)

    def jac_tmv(x, u):
        return u - functional.softmax(x, axis=axis) * np.sum(u, axis=axis, keepdims=True)

    return Map(partial(functional.log_softmax, axis=axis), jac_mv, jac_tmv, _normal(rng, dtype, SAMPLES, CLASSES))


def _logsumexp(dtype, rng):
    """The gradient of logsumexp is softmax."""
    return Scalar(partial(functional.logsumexp, axis=None), functional.softmax, _normal(rng, dtype, SAMPLES))


def _cross_entropy(soft, weighted, dtype, rng):
    labels = rng.dirichlet(np.ones(CLASSES), SAMPLES).astype(dtype) if soft else rng.integers(0, CLASSES, SAMPLES)
    weight = rng.uniform(0, 2, SAMPLES) if weighted else None

    def part(index):
        return lambda x: functional.softmax_cross_entropy(x, labels, sample_weight=weight)[index]

    return Scalar(part(0), part(1), _normal(rng, dtype, SAMPLES, CLASSES))


def _activation(name, dtype, rng, **options):
    """The Jacobian of an elementwise function is diag(f'(x)) (example 1)."""
    f, derivative = (partial(getattr(functional, full), **options) for full in (name, f"{name}_derivative"))
    return _diagonal(f, derivative, dtype, rng)


def _value_and_derivative(activation, dtype, rng):
    value, derivative = (lambda x, i=i: functional.value_and_derivative(x, activation)[i] for i in (0, 1))
    return _diagonal(value, derivative, dtype, rng)


def _diagonal(f, derivative, dtype, rng):
    def product(x, v):
        return derivative(x) * v

    x = rng.uniform(1, 2, (SAMPLES, FEATURES)) * rng.choice([-1, 1], (SAMPLES, FEATURES))  # away from relu's kink
    return Map(f, product, product, x.astype(dtype))


# --- objectives ------------------------------------------------------------------------------------------------------

PLAIN = {"fit_bias": False}
FULL = {"l2": 0.1, "weighted": True}
REDUCED = {"l2": 0.1, "weighted": True, "reduced": True}


def _problem(dtype, rng, kind, *, weighted=False, **options):
    """(make, X, theta): make(X) is the objective over X; theta a random point."""
    X = _normal(rng, dtype, SAMPLES, FEATURES)
    y = rng.integers(0, 2 if kind is linear.LogisticObjective else CLASSES, SAMPLES)
    if kind is linear.SoftmaxObjective:
        options["n_classes"] = CLASSES
    if weighted:
        options["sample_weight"] = rng.uniform(0.5, 2, SAMPLES)

    def make(X):
        return kind(X, y, **options)

    return make, X, _normal(rng, dtype, make(X).n_params)


def _gradient(kind, options, dtype, rng):
    make, X, theta = _problem(dtype, rng, kind, **options)
    objective = make(X)
    return Scalar(objective.value, objective.gradient, theta)


def _value_and_gradient(batch, kind, options, dtype, rng):
    make, X, theta = _problem(dtype, rng, kind, **options)
    objective = make(X)
    return Scalar(*(lambda t, i=i: objective.value_and_gradient(t, batch)[i] for i in (0, 1)), theta)


def _hessian_mv(kind, options, dtype, rng):
    """The Hessian is the gradient's Jacobian, and symmetric."""
    make, X, theta = _problem(dtype, rng, kind, **options)
    objective = make(X)
    return Map(objective.gradient, objective.hessian_mv, objective.hessian_mv, theta)


def _hessian(kind, options, dtype, rng):
    """The dense Hessian is the gradient's Jacobian, and the transpose of hessian_mv: so the two agree."""
    make, X, theta = _problem(dtype, rng, kind, **options)
    objective = make(X)
    return Map(objective.gradient, lambda t, v: objective.hessian(t) @ v, objective.hessian_mv, theta)


def _hessian_operator(kind, options, dtype, rng):
    make, X, theta = _problem(dtype, rng, kind, **options)
    objective = make(X)
    return Map(
        objective.gradient,
        lambda t, v: objective.hessian_operator(t).matvec(v),
        lambda t, u: objective.hessian_operator(t).rmatvec(u),
        theta,
    )


def _data_gradient(kind, options, dtype, rng):
    make, X, theta = _problem(dtype, rng, kind, **options)
    return Scalar(lambda X: make(X).value(theta), lambda X: make(X).data_gradient(theta), X)


def _filter2d(name, mode, dtype, rng):
    """By the image or by the kernel, of which it is a linear function."""
    image, kernel = _normal(rng, dtype, 6, 5), _normal(rng, dtype, 3, 4)

    def f(a):
        return filters.filter2d(**{"image": image, "kernel": kernel} | {name: a}, mode=mode)

    def jac_tmv(a, u):
        return filters.filter2d_jac_tmv(u, image, kernel, mode=mode, wrt=(name,))[name]

    return Map(f, lambda a, v: f(v), jac_tmv, image if name == "image" else kernel)


def _normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


# --- layers and networks ---------------------------------------------------------------------------------------------


class _Square(Layer):
    """y = x^2, written in Python: a network with such a layer takes another way through its layers."""

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x * x, x

    def mv(self, x, directions):
        return 2 * x * directions["x"]

    def tmv(self, x, v, wrt):
        return {variable: 2 * x * v for variable in wrt}


def _dense_network(activation, **options):
    return Network([Dense(FEATURES, 5, activation, **options), Dense(5, 3, activation, bias=False, **options)])


def _residual_network(activation, **options):
    first, last = Dense(FEATURES, 5, activation, **options), Dense(3, CLASSES, "identity", **options)
    blocks = [Residual(5, activation=activation, **options), ProjectedResidual(5, 3, activation, **options)]
    return Network([first, *blocks, Residual(3, 4, activation, **options), last])


def _small_network(**options):
    return Network([Dense(FEATURES, 4, **options), Residual(4, 3, **options), Dense(4, CLASSES, "identity", **options)])


def _nested_network(**options):
    return Network([_dense_network("tanh", **options), Activation("sigmoid"), Network([Residual(3, **options)])])


def _branches(kind, activation="tanh", **options):
    inner = Network([Dense(FEATURES, 4, activation, **options), Dense(4, FEATURES, "identity", **options)])
    return kind([inner, Activation("identity"), Residual(FEATURES, 3, **options)])


def _image_branches(kind, training, c, activation="tanh", **options):
    norm = BatchNorm2d(c, dtype=options["dtype"], training=training)
    inner = Network([Conv2d(c, c, 3, activation, padding=1, **options), norm])
    return kind([inner, Activation("identity"), Conv2d(c, c, 1, **options)])


def _network_with_python(**options):
    return Network([Dense(FEATURES, 5, **options), _Square(), _residual_network("tanh", **options).layers[1]])


def _layer(make, dtype, rng):
    """A layer and samples far from relu's kinks, drawn anew if all of its units that a parameter reaches are off for them."""
    for _ in range(20):
        layer = _with_biases(make(dtype=dtype, rng=rng), rng)
        x = _off_kinks(layer, _normal(rng, dtype, 2000, FEATURES))
        products = layer.jac_tmv(x, np.ones_like(layer(x)))
        if all(g.any() for g in products.values()):
            break
    return LayerAt(layer, x)


def _image_layer(make, dtype, rng, sample=IMAGE):
    """A layer and images, or samples of another shape, for it."""
    layer = _with_biases(make(dtype=dtype, rng=rng), rng)
    if getattr(layer, "activation", None) in ("relu", "leaky_relu"):  # far from the kink everywhere, some units on and some off
        b = layer.params["b"]
        b[...] = np.where(np.arange(len(b)) % 2, -20, 20)
    return LayerAt(layer, _normal(rng, dtype, LAYER_SAMPLES, *sample))


def _pooling_layer(make, dtype, rng, sample=IMAGE):
    """A layer without parameters and images whose values are far apart: no maximum changes its place."""
    values = rng.permutation(LAYER_SAMPLES * int(np.prod(sample)))
    return LayerAt(make(), 20 * values.reshape(LAYER_SAMPLES, *sample).astype(dtype))


def _image_layer_checks():
    c = IMAGE[0]
    for activation in (
        "tanh",
        "sigmoid",
        "relu",
        "gelu",
        "leaky_relu",
        "identity",
    ):  # others are as those, but for their functions
        yield f"Conv2d with {activation}", partial(Conv2d, c, 4, 3, activation, padding=1, stride=2)
        yield f"ConvTranspose2d with {activation}", partial(ConvTranspose2d, c, 4, 3, activation, stride=2, padding=1)
        yield f"ConvResidual with {activation}", partial(ConvResidual, c, 2, 3, activation)
        yield f"ProjectedConvResidual with {activation}", partial(ProjectedConvResidual, c, 2, 3, activation)
    for kind, training in itertools.product((Sum, Concat), (False, True)):
        form = "in training" if training else "with running statistics"
        yield f"{kind.__name__} of convolutions, {form}", partial(_image_branches, kind, training, c)
    yield "Conv2d, depthwise", partial(Conv2d, c, c, 3, groups=c)
    yield "ConvTranspose2d, in groups", partial(ConvTranspose2d, c, 2 * c, 2, stride=3, output_padding=1, groups=c)
    yield "BatchNorm2d of running statistics", lambda rng, **options: BatchNorm2d(c, **options)
    yield "BatchNorm2d of statistics of the batch", lambda rng, **options: BatchNorm2d(c, training=True, **options)


def _with_biases(layer, rng):
    """The layer with random biases, which begin as zeros."""
    biases = {name: 0.3 * rng.standard_normal(a.shape) for name, a in layer.params.items() if a.ndim == 1}
    return layer.with_params({name: biases[name].astype(a.dtype) if name in biases else a for name, a in layer.params.items()})


def _off_kinks(layer, x):
    """Some of the samples for which the arguments of the activations are far from relu's kink, 0: not the farthest ones alone,
    for which the same units may be off."""
    farthest = np.argsort(_distances_to_kinks(layer, x))[-4 * LAYER_SAMPLES :]
    return x[farthest[::4]]


def _distances_to_kinks(layer, x):
    """The least |z| in each sample of the argument z of an activation, (m,)."""
    if not isinstance(layer, Container):
        W = layer.params.get("W", layer.params.get("W1"))
        z = x if W is None else x @ W.T + layer.params.get("b", 0)
        return np.abs(z).min(axis=1)
    least = np.full(len(x), np.inf)
    for part in layer.layers:
        least = np.minimum(least, _distances_to_kinks(part, x))
        x = part(x) if isinstance(layer, Network) else x
    return least


# --- losses and objectives of networks -------------------------------------------------------------------------------


def _targets(loss, rng, dtype):
    if isinstance(loss, SoftmaxCrossEntropy):
        return rng.integers(0, CLASSES, SAMPLES)
    if isinstance(loss, BinaryCrossEntropy):
        return rng.random((SAMPLES, CLASSES)).astype(dtype)
    return _normal(rng, dtype, SAMPLES, CLASSES)


def _outputs(loss, y, rng, dtype):
    """Outputs of a network; for losses of residuals that have kinks, at 0 or at delta, far from these, on all sides of them."""
    shape = SAMPLES, CLASSES
    if isinstance(loss, MeanAbsoluteError | Huber):
        size = rng.choice([0.5, 1.5], shape) + rng.uniform(-0.1, 0.1, shape)
        return (y + rng.choice([-1, 1], shape) * size).astype(dtype)
    return _normal(rng, dtype, *shape)


def _weights(weighted, rng):
    return rng.uniform(0.5, 2, SAMPLES) if weighted else None


def _loss_gradient(loss, weighted, dtype, rng):
    y, w = _targets(loss, rng, dtype), _weights(weighted, rng)
    output = _outputs(loss, y, rng, dtype)
    return Scalar(lambda z: loss.value(z, y, w), lambda z: loss.value_and_gradient(z, y, w)[1], output)


def _loss_hessian_mv(loss, weighted, dtype, rng):
    """The Hessian is the gradient's Jacobian, and symmetric."""
    y, w = _targets(loss, rng, dtype), _weights(weighted, rng)

    def product(z, v):
        return loss.hessian_mv(z, y, v, w)

    return Map(lambda z: loss.value_and_gradient(z, y, w)[1], product, product, _outputs(loss, y, rng, dtype))


def _network_problem(make, loss, weighted, dtype, rng):
    """(objective, theta)."""
    net = _with_biases(make(dtype=dtype, rng=rng), rng)
    X = _normal(rng, dtype, SAMPLES, FEATURES)
    return Objective(net, loss, X, _targets(loss, rng, dtype), sample_weight=_weights(weighted, rng)), net.theta


def _network_gradient(batch, make, loss, weighted, dtype, rng):
    objective, theta = _network_problem(make, loss, weighted, dtype, rng)
    return Scalar(lambda t: objective.value(t, batch), lambda t: objective.gradient(t, batch), theta)


def _network_value_and_gradient(make, loss, weighted, dtype, rng):
    objective, theta = _network_problem(make, loss, weighted, dtype, rng)
    return Scalar(*(lambda t, i=i: objective.value_and_gradient(t)[i] for i in (0, 1)), theta)


def _network_hessian_mv(make, loss, weighted, dtype, rng):
    objective, theta = _network_problem(make, loss, weighted, dtype, rng)
    return Map(objective.gradient, objective.hessian_mv, objective.hessian_mv, theta)


def _gauss_newton_mv(make, loss, weighted, dtype, rng):
    objective, theta = _network_problem(make, loss, weighted, dtype, rng)
    return Map(_linearized_gradient(objective, theta), objective.gauss_newton_mv, objective.gauss_newton_mv, theta)


def _network_hessian_operator(make, loss, weighted, dtype, rng):
    objective, theta = _network_problem(make, loss, weighted, dtype, rng)
    operator = objective.hessian_operator
    return Map(objective.gradient, lambda t, v: operator(t).matvec(v), lambda t, u: operator(t).rmatvec(u), theta)


def _gauss_newton_operator(make, loss, weighted, dtype, rng):
    objective, theta = _network_problem(make, loss, weighted, dtype, rng)
    operator = objective.gauss_newton_operator(theta)
    gradient = _linearized_gradient(objective, theta)
    return Map(gradient, lambda t, v: operator.matvec(v), lambda t, u: operator.rmatvec(u), theta)


def _gauss_newton_matrix(make, loss, weighted, dtype, rng):
    objective, theta = _network_problem(make, loss, weighted, dtype, rng)
    matrix = objective.gauss_newton_matrix(theta).astype(dtype)
    return Map(_linearized_gradient(objective, theta), lambda t, v: matrix @ v, lambda t, u: matrix.T @ u, theta)


def _linearized_gradient(objective, theta):
    """The gradient of the loss of the network linearized at theta: its Jacobian there is J' H J, which is symmetric."""
    output, jac = objective.net.with_theta(theta).linearize(objective.X)

    def gradient(t):
        z = output + jac.mv(theta=t - theta)
        _, v = objective.loss.value_and_gradient(z, objective.y, objective.sample_weight)
        return jac.tmv(v, wrt=("theta",))["theta"]

    return gradient


def _residuals(make, loss, weighted, dtype, rng):
    objective, theta = _network_problem(make, loss, weighted, dtype, rng)
    jacobian = objective.jacobian
    return Map(objective.residuals, lambda t, v: jacobian(t).matvec(v), lambda t, u: jacobian(t).rmatvec(u), theta)


# --- the table -------------------------------------------------------------------------------------------------------


def _objective_checks():
    variants = {
        "SoftmaxObjective": (linear.SoftmaxObjective, {}),
        "SoftmaxObjective without bias": (linear.SoftmaxObjective, PLAIN),
        "SoftmaxObjective with l2, weights": (linear.SoftmaxObjective, FULL),
        "SoftmaxObjective reduced, with l2, weights": (linear.SoftmaxObjective, REDUCED),
        "LogisticObjective": (linear.LogisticObjective, {}),
        "LogisticObjective without bias": (linear.LogisticObjective, PLAIN),
        "LogisticObjective with l2, weights": (linear.LogisticObjective, FULL),
    }
    maps = {
        "gradient": _gradient,
        "value_and_gradient": partial(_value_and_gradient, None),
        "value_and_gradient of a batch": partial(_value_and_gradient, np.array([20, 3, 4, 11, 3])),
        "hessian_mv": _hessian_mv,
        "hessian": _hessian,
        "hessian_operator": _hessian_operator,
        "data_gradient": _data_gradient,
    }
    for variant, arguments in variants.items():
        for method, build in maps.items():
            yield f"{variant}: {method}", partial(build, *arguments)


def _layer_checks():
    for activation in (*ACTIVATIONS, "identity"):
        yield f"Dense with {activation}", partial(Dense, FEATURES, 3, activation)
        yield f"Dense with {activation}, without bias", partial(Dense, FEATURES, 3, activation, bias=False)
        yield f"Residual with {activation}", partial(Residual, FEATURES, activation=activation)
        yield f"Residual with {activation}, 3 hidden units", partial(Residual, FEATURES, 3, activation)
        yield f"ProjectedResidual with {activation}", partial(ProjectedResidual, FEATURES, 3, activation)
        yield f"Activation {activation}", lambda activation=activation, **_: Activation(activation)
    for name, activation in WITH_PARAMETERS.items():
        yield f"Dense with {name}", partial(Dense, FEATURES, 3, activation)
        yield f"Residual with {name}", partial(Residual, FEATURES, activation=activation)
        yield f"Activation {name}", lambda activation=activation, **_: activation
    for activation in ("tanh", "sigmoid", "relu", "silu", "identity"):
        yield f"Network of dense layers with {activation}", partial(_dense_network, activation)
        yield f"Network of residual layers with {activation}", partial(_residual_network, activation)
    yield "Dropout", lambda rng, **_: Dropout(0.3, rng=rng)
    yield "Dropout, in training", lambda rng, **_: Dropout(0.3, rng=rng, training=True)
    yield "BatchNorm of running statistics", lambda rng, **options: BatchNorm(FEATURES, **options)
    yield "BatchNorm of statistics of the batch", lambda rng, **options: BatchNorm(FEATURES, training=True, **options)
    for variant, form in {
        "": {},
        ", without bias": {"bias": False},
        ", without parameters": {"elementwise_affine": False},
    }.items():
        yield f"LayerNorm of rows{variant}", lambda rng, form=form, **options: LayerNorm(FEATURES, **form, **options)
    yield "Network of networks", _nested_network
    for kind in (Sum, Concat):
        yield f"{kind.__name__} of branches", partial(_branches, kind)
    yield "Network with a layer in Python", _network_with_python


def _network_objective_checks():
    squares, batch = MeanSquaredError(), np.array([20, 3, 4, 11, 3])
    kinked = MeanAbsoluteError(), Huber()
    smooth = SoftmaxCrossEntropy(), SoftmaxCrossEntropy(label_smoothing=0.2), BinaryCrossEntropy(pos_weight=2.0), squares
    for loss, weighted in itertools.product((*smooth, *kinked), (False, True)):
        smoothed = "Smoothed " if getattr(loss, "label_smoothing", 0) else ""
        name = smoothed + type(loss).__name__ + ", weighted" * weighted
        yield f"{name}: value_and_gradient", partial(_loss_gradient, loss, weighted)
        if not isinstance(loss, MeanAbsoluteError):  # whose Hessian is 0
            yield f"{name}: hessian_mv", partial(_loss_hessian_mv, loss, weighted)
        if loss in kinked:
            continue  # where a network's outputs lie, nobody chooses
        name = f"Objective with {name}"
        yield f"{name}: gradient", partial(_network_gradient, None, _small_network, loss, weighted)
        yield f"{name}: gradient of a batch", partial(_network_gradient, batch, _small_network, loss, weighted)
        yield f"{name}: value_and_gradient", partial(_network_value_and_gradient, _small_network, loss, weighted)
        yield f"{name}: gauss_newton_mv", partial(_gauss_newton_mv, _small_network, loss, weighted)
        yield f"{name}: gauss_newton_operator", partial(_gauss_newton_operator, _small_network, loss, weighted)
        yield f"{name}: gauss_newton_matrix", partial(_gauss_newton_matrix, _small_network, loss, weighted)
        yield f"{name}: hessian_mv", partial(_network_hessian_mv, _small_network, loss, weighted)
        yield f"{name}: hessian_operator", partial(_network_hessian_operator, _small_network, loss, weighted)
        if loss is squares:
            yield f"{name}: residuals", partial(_residuals, _small_network, loss, weighted)


CHECKS = {
    "softmax": partial(_softmax, -1),
    "softmax over axis 0": partial(_softmax, 0),
    "log_softmax": partial(_log_softmax, -1),
    "log_softmax over axis 0": partial(_log_softmax, 0),
    "logsumexp": _logsumexp,
    "softmax_cross_entropy of labels": partial(_cross_entropy, False, False),
    "softmax_cross_entropy of labels, weighted": partial(_cross_entropy, False, True),
    "softmax_cross_entropy of probabilities": partial(_cross_entropy, True, False),
    "softmax_cross_entropy of probabilities, weighted": partial(_cross_entropy, True, True),
    **{name: partial(_activation, name) for name in ACTIVATIONS if name != "gelu_tanh"},
    "erf": partial(_activation, "erf"),
    "gelu by tanh": partial(_activation, "gelu", approximate="tanh"),
    "elu with alpha": partial(_activation, "elu", alpha=1.5),
    "leaky_relu with negative_slope": partial(_activation, "leaky_relu", negative_slope=0.3),
    **{f"value_and_derivative of {name}": partial(_value_and_derivative, name) for name in ACTIVATIONS},
    "filter2d by the image": partial(_filter2d, "image", "reflect"),
    "filter2d by the kernel": partial(_filter2d, "kernel", "nearest"),
    **dict(_objective_checks()),
    **{name: partial(_layer, make) for name, make in _layer_checks()},
    **{name: partial(_image_layer, make) for name, make in _image_layer_checks()},
    "AvgPool2d": partial(_pooling_layer, partial(AvgPool2d, 2)),
    "AvgPool2d with ceil_mode": partial(_pooling_layer, partial(AvgPool2d, 3, 2, 1, ceil_mode=True, count_include_pad=False)),
    "MaxPool2d": partial(_pooling_layer, partial(MaxPool2d, 2)),
    "GlobalAvgPool2d": partial(_pooling_layer, GlobalAvgPool2d),
    "Upsample2d": partial(_pooling_layer, partial(Upsample2d, (2, 3))),
    **{
        f"Conv1d with {name}": partial(_image_layer, partial(Conv1d, 3, 4, 5, name, stride=2, padding=2), sample=SIGNAL)
        for name in IMAGE_ACTIVATIONS
    },
    "AvgPool1d": partial(_pooling_layer, partial(AvgPool1d, 3, 2), sample=SIGNAL),
    "MaxPool1d": partial(_pooling_layer, partial(MaxPool1d, 3, 2), sample=SIGNAL),
    "MaxPool2d with dilation": partial(_pooling_layer, partial(MaxPool2d, 2, 2, 1, 2, ceil_mode=True)),
    "Flatten": partial(_pooling_layer, Flatten),
    **dict(_network_objective_checks()),
}
