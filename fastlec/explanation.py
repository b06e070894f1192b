"""Which kernels compute a layer or a network, and why these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import _check
from ._config import isa
from ._kernels.jobs import Job, table
from ._kernels.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .layers import Layer

__all__ = ["Explanation", "explain"]


def __dir__() -> list[str]:
    return __all__


ROUNDS = 5  # of which the least time is told


@dataclass(frozen=True, repr=False)
class Explanation:
    """The jobs that compute something, in order. Printed, it is a table of them.

    Parameters
    ----------
    jobs : tuple of named tuples
        Each has the fields kernel, its name; blocks, what threads share out; estimated_ns, on one core; measured_ns, None unless
        measured; why; condition, when the job runs, "" for always; and layer.
    dtype : numpy.dtype
        What is computed in.
    isa : str
        The instruction set.

    See Also
    --------
    fastlec.explain

    Examples
    --------
    >>> import fastlec
    >>> found = fastlec.explain(fastlec.Dense(784, 10), (64, 784))
    >>> [job.layer for job in found.jobs if job.kernel.startswith("gemm")]
    ['Dense']
    """

    jobs: tuple[Job, ...]
    dtype: np.dtype
    isa: str

    def __repr__(self) -> str:
        return f"{len(self.jobs)} jobs, {self.dtype}, {self.isa}\n{table(self.jobs)}"


def explain(layer: Layer, x: ArrayLike | tuple[int, ...], *, backward: bool = False, measure: bool = False) -> Explanation:
    """What a call of a layer or network would run: kernels, blocks, times, and why the planner chose them.

    Parameters
    ----------
    layer : Layer or Network
        A layer of fastlec's own, or a network of such.
    x : array_like or tuple of int
        Samples (m, ...), or the shape of such an array. Then its dtype is the layer's, or float64, and its values are random.
    backward : bool, optional
        Whether to add J' v by x and all parameters, as in training.
    measure : bool, optional
        Whether to run the jobs too, one by one, and tell the least of 5 times of each.

    Returns
    -------
    Explanation
        The jobs, which are printed as a table.

    Raises
    ------
    TypeError
        If the layer has methods of the user's own, which no jobs stand for.
    ValueError
        If `x` does not fit the layer.

    See Also
    --------
    show_config, Network

    Examples
    --------
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
