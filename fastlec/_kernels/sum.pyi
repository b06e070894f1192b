import numpy as np

from .plan import Plan

def total(plan: Plan, parts: np.ndarray, out: np.ndarray) -> None: ...
