import numpy as np

from .plan import Plan

EXP: int
LOG: int
TANH: int
SIGMOID: int
RELU: int

def value(op: int, x: object, out: object) -> np.ndarray | None: ...
def derivative(op: int, x: object, out: object) -> np.ndarray | None: ...
def both(op: int, x: object, out: object, derivative_out: object) -> tuple[np.ndarray, np.ndarray] | None: ...
def forward(plan: Plan, op: int, x: np.ndarray, y: np.ndarray) -> None: ...
