import numpy as np

from .plan import Plan

def targets(plan: Plan, labels: np.ndarray, n: int, smoothing: float) -> np.ndarray: ...
