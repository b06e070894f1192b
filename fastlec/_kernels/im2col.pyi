import numpy as np

from fastlec._geometry import Geometry

from .plan import Plan

def im2col(plan: Plan, g: Geometry, x: np.ndarray, columns: np.ndarray) -> None: ...
def col2im(plan: Plan, g: Geometry, columns: np.ndarray, x: np.ndarray) -> None: ...
