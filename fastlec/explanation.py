"""Which kernels compute a layer or a network, and why these."""

from dataclasses import dataclass

import numpy as np

from . import _check
from ._config import isa
from ._kernels.jobs import Job, table
from ._kernels.plan import Plan

ROUNDS = 5  # of which the least time is told


@dataclass(frozen=True, repr=False)
class Explanation:
    """The jobs that compute something, in order. Printed, it is a table of them.

    jobs : tuple of named tuples with the fields kernel (its name), blocks (what threads share out), estimated_ns (on one core),
    measured_ns (None unless measured), why, condition (when the job runs, "" for always) and layer.
    """

    jobs: tuple[Job, ...]
    dtype: np.dtype
    isa: str

    def __repr__(self):
        return f"{len(self.jobs)} jobs, {self.dtype}, {self.isa}\n{table(self.jobs)}"


def explain(layer, x, *, backward=False, measure=False):
    """What a call of a layer or network would run: kernels, blocks, times, and what made the planner choose them.

    layer : a layer of fastlec's own, or a network of such. x : samples (m, ...), or the shape of such an array; then its dtype is
    that of the layer, or float64, and its values are random. backward : also J' v by x and all parameters, as in training.
    measure : also runs the jobs, one by one, and tells the least of 5 times of each.

    Returns an `Explanation`. TypeError for a layer with methods of the user's own, which no jobs stand for.

    >>> import fastlec
    >>> fastlec.explain(fastlec.Dense(784, 10), (64, 784)).jobs[-1].kernel
    'gemm_dots'
    """
    if not getattr(layer, "_planned", False):
        raise TypeError(
            f"layer is a {type(layer).__name__}; expected a layer or network of fastlec's own, which plans its jobs"
        )
    random = np.random.default_rng(0)
    if isinstance(x, tuple):
        x = random.standard_normal(_check.sizes(x)).astype(layer.dtype or np.float64, copy=False)
    layer, x = layer._prepared(x)
    plan = Plan(x.dtype.num)
    plan.layer = type(layer).__name__
    y = plan.empty(len(x), *layer.output_shape(x.shape[1:]))
    kept = layer._plan_forward(plan, x, y)
    if backward:
        plan.layer = type(layer).__name__
        v = random.standard_normal(y.shape).astype(x.dtype, copy=False)
        out = {"x": x.shape} | {name: a.shape for name, a in layer.params.items()}
        layer._plan_backward(plan, y, kept, v, {name: plan.empty(*shape) for name, shape in out.items()})
    return Explanation(tuple(plan.explained(ROUNDS if measure else 0)), x.dtype, isa())
