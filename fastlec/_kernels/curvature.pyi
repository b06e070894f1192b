import numpy as np

from .plan import Plan

def activation(
    plan: Plan,
    activation: int,
    v: np.ndarray,
    dv: np.ndarray | None,
    of: np.ndarray,
    dof: np.ndarray,
    out: np.ndarray,
    alpha: float,
) -> None: ...
def softmax(
    plan: Plan,
    x: np.ndarray,
    targets: np.ndarray,
    u: np.ndarray,
    out: np.ndarray,
    count: float,
    weight: np.ndarray | None = None,
    smoothing: float = 0,
) -> None: ...
def norm(
    plan: Plan,
    x: np.ndarray,
    v: np.ndarray,
    dv: np.ndarray | None,
    dx: np.ndarray | None,
    gamma: np.ndarray | None,
    dgamma: np.ndarray | None,
    out: np.ndarray | None,
    products: np.ndarray | None,
    eps: float,
    *,
    rows: bool,
    moments: tuple[np.ndarray, np.ndarray] | None = None,
) -> None: ...
