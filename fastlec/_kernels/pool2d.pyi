import numpy as np

from fastlec._geometry import Geometry
from fastlec._kernels.epilogue import Epilogue
from fastlec._kernels.plan import Plan

def forward(
    plan: Plan,
    g: Geometry,
    x: np.ndarray,
    y: np.ndarray,
    *,
    maximum: bool,
    sums: bool = False,
    counted: bool = True,
    after: Epilogue | None = None,
) -> None: ...
def mv(plan: Plan, g: Geometry, x: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> None: ...
def tmv(
    plan: Plan,
    g: Geometry,
    x: np.ndarray | None,
    v: np.ndarray,
    dx: np.ndarray,
    *,
    sums: bool = False,
    after: Epilogue | None = None,
    counted: bool = True,
) -> None: ...
