import numpy as np

from .._geometry import Geometry
from .plan import Plan

AUTO: int
IM2COL: int
DIRECT: int
WINOGRAD: int

def set_default(algorithm: int) -> None: ...
def get_default() -> int: ...
def forward(
    plan: Plan,
    g: Geometry,
    x: np.ndarray,
    W: np.ndarray,
    y: np.ndarray,
    *,
    algorithm: int = 0,
    bias: np.ndarray | None = None,
    op: int = ...,
    residual: np.ndarray | None = None,
    accumulate: bool = False,
    slope: np.ndarray | None = None,
    op2: int = ...,
) -> None: ...
def data_gradient(
    plan: Plan,
    g: Geometry,
    v: np.ndarray,
    W: np.ndarray,
    dx: np.ndarray,
    *,
    algorithm: int = 0,
    residual: np.ndarray | None = None,
    accumulate: bool = False,
    slope: np.ndarray | None = None,
    op2: int = ...,
) -> None: ...
def weight_gradient(
    plan: Plan,
    g: Geometry,
    v: np.ndarray,
    x: np.ndarray,
    dW: np.ndarray,
    *,
    algorithm: int = 0,
    update: bool = False,
) -> None: ...
