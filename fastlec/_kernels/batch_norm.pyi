import numpy as np

from .epilogue import Epilogue
from .plan import Plan

def forward(
    plan: Plan,
    x: np.ndarray,
    y: np.ndarray,
    gamma: np.ndarray | None,
    beta: np.ndarray | None,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    eps: float,
    *,
    batch: bool,
) -> np.ndarray: ...
def derivative(
    plan: Plan,
    x: np.ndarray,
    moments: np.ndarray,
    gamma: np.ndarray | None,
    v: np.ndarray | None,
    out: np.ndarray | None,
    eps: float,
    *,
    batch: bool,
    dgamma: np.ndarray | None = None,
    dbeta: np.ndarray | None = None,
    total_gamma: np.ndarray | None = None,
    total_beta: np.ndarray | None = None,
    update: bool = False,
    after: Epilogue | None = None,
) -> None: ...
def running(
    plan: Plan, x: np.ndarray, moments: np.ndarray, running_mean: np.ndarray, running_var: np.ndarray, momentum: float
) -> None: ...
