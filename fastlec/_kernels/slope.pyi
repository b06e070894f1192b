import numpy as np

from .epilogue import Epilogue
from .plan import Plan

def slope(
    plan: Plan,
    v: np.ndarray,
    g: np.ndarray | None = None,
    *,
    after: Epilogue | None = None,
    total: np.ndarray | None = None,
    update: bool = False,
) -> None: ...
