"""The derivative tests of section 4.3 over everything in the library that has a derivative: what ``fastlec check`` runs.

CHECKS maps a name to a builder; the builder gets a dtype and a random generator and returns what is to be tested: a Scalar
(gradient test) or a Map (Jacobian and transpose tests).  A new layer adds a builder and a line.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from . import functional, linear, testing

SAMPLES, FEATURES, CLASSES = 24, 6, 4
ACTIVATIONS = ("tanh", "sigmoid", "relu")


@dataclass(frozen=True)
class Scalar:
    """f(x) a number, grad(x) its gradient."""

    f: Callable
    grad: Callable
    x: np.ndarray

    def tests(self, name, rng):
        yield testing.gradient_test(self.f, self.grad, self.x, rng=rng, name=name)


@dataclass(frozen=True)
class Map:
    """f(x) an array, jac_mv(x, v) = J v, jac_tmv(x, u) = J' u; d is the Jacobian test's direction where it matters."""

    f: Callable
    jac_mv: Callable
    jac_tmv: Callable
    x: np.ndarray
    d: np.ndarray | None = None

    def tests(self, name, rng):
        yield testing.jacobian_test(self.f, self.jac_mv, self.x, d=self.d, rng=rng, name=name)
        yield testing.transpose_test(self.jac_mv, self.jac_tmv, self.x, rng=rng, name=name)


def run(*, dtype=None, seed=0):
    """Run every check; returns a list of (name, result) pairs, results as in fastlec.testing, in the order of CHECKS.

    dtype : float32 or float64; by default both, float64 first.
    seed : of the random points and directions; each check has its own generator, so its numbers do not depend on the others.
    """
    dtypes = [np.dtype(d) for d in ((np.float64, np.float32) if dtype is None else (dtype,))]
    results = []
    for d in dtypes:
        if d not in (np.float32, np.float64):
            raise ValueError(f"dtype is {d}; expected float32 or float64")
        for name, build in CHECKS.items():
            rng = np.random.default_rng([seed, *name.encode()])
            results += [(f"{name}: {result.kind} test, {d}", result) for result in build(d, rng).tests(name, rng)]
    return results


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


def _activation(name, dtype, rng):
    """The Jacobian of an elementwise function is diag(f'(x)) (example 1)."""
    f, derivative = getattr(functional, name), getattr(functional, f"{name}_derivative")
    return _diagonal(f, derivative, dtype, rng)


def _value_and_derivative(activation, dtype, rng):
    value, derivative = (lambda x, i=i: functional.value_and_derivative(x, activation)[i] for i in (0, 1))
    return _diagonal(value, derivative, dtype, rng)


def _diagonal(f, derivative, dtype, rng):
    def product(x, v):
        return derivative(x) * v

    return Map(f, product, product, *_away_from_zero(rng, dtype))


def _away_from_zero(rng, dtype):
    """A point at a distance of 1 to 2 from relu's kink and a direction that, times eps0 = 1/2, cannot reach it."""
    x = rng.uniform(1, 2, (SAMPLES, FEATURES)) * rng.choice([-1, 1], (SAMPLES, FEATURES))
    return x.astype(dtype), rng.uniform(-1, 1, x.shape)


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


def _normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


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
    **{name: partial(_activation, name) for name in ACTIVATIONS},
    **{f"value_and_derivative of {name}": partial(_value_and_derivative, name) for name in ACTIVATIONS},
    **dict(_objective_checks()),
}
