import numpy as np

from .plan import Plan

def loss(plan: Plan, x: np.ndarray, t: np.ndarray, grad: np.ndarray | None = None, count: float = 1) -> None: ...
