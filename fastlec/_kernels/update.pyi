import numpy as np

from .plan import Plan

def step(plan: Plan, w: np.ndarray, g: np.ndarray) -> None: ...
