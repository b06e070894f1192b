import numpy as np

MOST_GROUPS: int

def moments(X: np.ndarray, squares: np.ndarray, shift: np.ndarray | None = None, scale: float = 1) -> np.ndarray: ...
def distances(
    X: np.ndarray,
    centers: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray | None = None,
    shift: np.ndarray | None = None,
    scale: float = 1,
    out: np.ndarray | None = None,
) -> float: ...

class Clusters:
    m: int
    n: int
    k: int
    segment: int
    columns: int
    groups: int
    group_columns: int

    def __init__(self, typenum: int, m: int, n: int, k: int) -> None: ...
    def use_bounds(self) -> None: ...
    def set_centers(self, centers: np.ndarray, order: np.ndarray, columns: np.ndarray) -> None: ...
    def set_drift(
        self, drift: np.ndarray, group_drift: np.ndarray, group: np.ndarray, reach: float, error: float, fresh: bool
    ) -> None: ...
    def run(
        self,
        X: np.ndarray,
        start: int,
        labels: np.ndarray,
        weight: np.ndarray | None = None,
        shift: np.ndarray | None = None,
        scale: float = 1,
        assign: bool = True,
        sums: bool = True,
        squares: np.ndarray | None = None,
    ) -> None: ...
    def seed(
        self,
        X: np.ndarray,
        squares: np.ndarray,
        nearest: np.ndarray,
        weight: np.ndarray | None = None,
        shift: np.ndarray | None = None,
        scale: float = 1,
        mean_square: float = 0,
        keep: bool = False,
    ) -> np.ndarray: ...
    def changed(self) -> int: ...
    def totals(self) -> np.ndarray: ...
