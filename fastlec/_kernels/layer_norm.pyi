import numpy as np

from .epilogue import Epilogue
from .plan import Plan

def forward(
    plan: Plan, x: np.ndarray, y: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None, eps: float
) -> np.ndarray: ...
def mv(
    plan: Plan,
    x: np.ndarray,
    moments: np.ndarray,
    gamma: np.ndarray | None,
    dy: np.ndarray,
    *,
    dx: np.ndarray | None = None,
    dgamma: np.ndarray | None = None,
    dbeta: np.ndarray | None = None,
) -> None: ...
def tmv(
    plan: Plan,
    x: np.ndarray,
    moments: np.ndarray,
    gamma: np.ndarray | None,
    v: np.ndarray,
    out: np.ndarray | None,
    *,
    total_gamma: np.ndarray | None = None,
    total_beta: np.ndarray | None = None,
    update: bool = False,
    after: Epilogue | None = None,
) -> None: ...
