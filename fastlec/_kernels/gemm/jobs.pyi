import numpy as np

from ..epilogue import Epilogue
from ..plan import Plan

def product(plan: Plan, a: np.ndarray, b: np.ndarray, c: np.ndarray, *, after: Epilogue | None = None) -> None: ...
