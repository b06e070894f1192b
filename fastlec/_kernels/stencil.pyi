import numpy as np

from .plan import Plan

def filter2d(plan: Plan, x: np.ndarray, K: np.ndarray, y: np.ndarray, mode: int = 0, cval: float = 0) -> None: ...
