from collections.abc import Sequence

import numpy as np

from .plan import Plan

LOSSES: dict[str, int]

def loss(
    plan: Plan,
    name: str,
    x: np.ndarray,
    t: np.ndarray | None,
    grad: np.ndarray | None = None,
    count: float = 1,
    weight: np.ndarray | None = None,
    parameters: Sequence[float] = (),
) -> None: ...
def mv(
    plan: Plan,
    name: str,
    x: np.ndarray,
    t: np.ndarray | None,
    v: np.ndarray,
    out: np.ndarray,
    count: float = 1,
    weight: np.ndarray | None = None,
    parameters: Sequence[float] = (),
) -> None: ...
