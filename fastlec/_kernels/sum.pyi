import numpy as np

from .plan import Plan

def add(plan: Plan, a: np.ndarray, b: np.ndarray | None, out: np.ndarray) -> None: ...
