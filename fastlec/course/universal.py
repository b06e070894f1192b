"""The universal approximation theorem (lecture 3.1), seen: one hidden layer comes as close to a function as it is wide.

The function is the lecture's eq. 1. Networks are fitted to samples of it by least squares (Levenberg-Marquardt), whose Jacobian is
the network's by theta. One start is the narrower network before, with more neurons whose weight is still zero: the minimisation
only goes down from there, so the error at the samples falls with the width, as that of the best networks does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .. import _check
from ..layers import Dense
from ..network import Network
from ..regression.sample import ALPHA, true_basis
from ..training import MeanSquaredError, Objective

TARGET = "0.3 x + sin(10 x) + 0.5 exp(2 x)"
LOW, HIGH = 0.01, 1.01
_GRID = 2001  # points at which errors are measured
_ITERATIONS = 200
_STARTS = 8  # from nothing, over the width: narrow networks are soon fitted, and have minima that are not the best


def target(x: np.ndarray) -> np.ndarray:
    """Lecture eq. 1: a1 x + a2 sin(10 x) + a3 exp(2 x), a = (0.3, 1, 0.5), elementwise."""
    return (true_basis(np.ravel(x)) @ ALPHA).reshape(np.shape(x))


@dataclass(frozen=True, eq=False)
class Fit:
    """A network (m, 1) -> (m, 1) of one hidden layer, and how far it is from the function at the points x (2001, 1).

    rms, largest : root of the mean square, and maximum, of the errors.
    """

    width: int
    net: Network
    x: np.ndarray
    rms: float
    largest: float


def n_params(width: int) -> int:
    """The parameters of such a network."""
    return 3 * width + 1


def fits(widths: Sequence[int], *, samples: int = 200, activation: str = "tanh", seed: int = 0) -> Iterator[Fit]:
    """One :class:`Fit` for each width, to that many evenly spaced samples of :func:`target`, as soon as it is there.

    widths : increasing.  activation : "tanh", "sigmoid" or "relu".  seed : of the first weights; the same one gives the same fits,
        up to rounding (the steps SciPy's MINPACK takes depend in the last bits on where its arrays lie in memory).
    Raises ValueError for widths that do not increase, or fewer samples than a network has parameters.
    """
    samples = _check.count(samples, "samples", 1)
    widths = [_check.count(width, f"widths[{i}]", 0) for i, width in enumerate(widths)]
    x = np.linspace(LOW, HIGH, samples)[:, None]
    grid = np.linspace(LOW, HIGH, _GRID)[:, None]
    rng = _check.generator(seed, "seed")
    net, before, y = None, 0, target(x)
    for width in widths:
        if width <= before:
            raise ValueError(f"widths has {width} after {before}; expected numbers that increase, from 1")
        if n_params(width) > samples:
            raise ValueError(f"samples is {samples}; expected {n_params(width)} or more for a width of {width}")
        starts = [_wider(net, width - before, width, activation, rng)]
        starts += [_wider(None, width, width, activation, rng) for _ in range(_STARTS // width)]
        net, before = min((_fitted(start, x, y) for start in starts), key=lambda net: np.linalg.norm(net(x) - y)), width
        error = net(grid) - target(grid)
        yield Fit(width, net, grid, float(np.sqrt(np.mean(error**2))), float(np.abs(error).max()))


def _wider(net: Network | None, more: int, width: int, activation: str, rng: np.random.Generator) -> Network:
    """The same function, with more neurons: they bend at points spread over the interval, and their weights on top are zero."""
    bends = LOW + (HIGH - LOW) * (np.arange(more) + rng.random(more)) / more
    steepness = max(2.0, width / 2) * (2 if activation == "sigmoid" else 1) / (HIGH - LOW)  # sigmoid(2 z) = (1 + tanh z) / 2
    W = rng.choice([-steepness, steepness], more)
    params = [W[:, None], -W * bends, np.zeros((1, more)), np.zeros(1)]
    if net is not None:
        W, b, weights, bias = net.params.values()
        params = [np.concatenate([W, params[0]]), np.concatenate([b, params[1]]), np.hstack([weights, params[2]]), bias]
    wider = Network([Dense(1, width, activation), Dense(width, 1, "identity")])
    return wider.with_params(dict(zip(wider.params, params, strict=True)))


def _fitted(net: Network, x: np.ndarray, y: np.ndarray) -> Network:
    """The network after Levenberg-Marquardt on the samples x, y (m, 1), m >= its parameters."""
    from scipy.optimize import least_squares

    objective = Objective(net, MeanSquaredError(), x, y)
    unit = np.eye(net.n_params)
    tolerances = dict.fromkeys(("ftol", "xtol", "gtol"), 1e-15)
    found = least_squares(
        objective.residuals,
        net.theta,
        jac=lambda theta: objective.jacobian(theta) @ unit,
        method="lm",
        max_nfev=_ITERATIONS,
        **tolerances,
    )
    return net.with_theta(found.x)
