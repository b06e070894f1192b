import numpy as np

from .plan import Plan

def slope(
    plan: Plan,
    v: np.ndarray,
    out: np.ndarray | None = None,
    *,
    y: np.ndarray | None = None,
    op: int = ...,
    total: np.ndarray | None = None,
    update: bool = False,
) -> None: ...
