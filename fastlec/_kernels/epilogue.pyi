from typing import Self

import numpy as np

ACTIVATIONS: dict[str, int]
KEEP_Z: set[int]
IDENTITY: int
PARTS: dict[str, int]

class Epilogue:
    bias: np.ndarray | None
    activation: int
    residual: np.ndarray | None
    accumulate: bool
    derivative: int
    of: np.ndarray | None
    update: bool
    z: np.ndarray | None
    by_row: bool
    alpha: float
    def __new__(
        cls,
        bias: np.ndarray | None = None,
        activation: int = ...,
        residual: np.ndarray | None = None,
        accumulate: bool = False,
        derivative: int = ...,
        of: np.ndarray | None = None,
        update: bool = False,
        z: np.ndarray | None = None,
        by_row: bool = False,
        alpha: float | None = None,
    ) -> Self: ...
    def part(self, index: object, shape: tuple[int, ...]) -> Epilogue: ...
