import numpy as np

from .._geometry import Geometry
from .epilogue import Epilogue
from .plan import Plan

AUTO: int
IM2COL: int
DIRECT: int
WINOGRAD: int
DEPTHWISE: int
PIXELS: int
CHANNELS: int
IMAGES: int
PRODUCTS: int
COLUMNS: int

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
    after: Epilogue | None = None,
) -> None: ...
def data_gradient(
    plan: Plan,
    g: Geometry,
    v: np.ndarray,
    W: np.ndarray,
    dx: np.ndarray,
    *,
    algorithm: int = 0,
    after: Epilogue | None = None,
) -> None: ...
def weight_gradient(
    plan: Plan,
    g: Geometry,
    v: np.ndarray,
    x: np.ndarray,
    dW: np.ndarray,
    *,
    algorithm: int = 0,
    after: Epilogue | None = None,
) -> None: ...
