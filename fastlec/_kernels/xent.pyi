import numpy as np

from .plan import Plan

def first_bad_label(labels: np.ndarray, n: int) -> int: ...
def mean_weights(weight: object, m: int) -> np.ndarray | None: ...
def count_right(logits: object, classes: object) -> int | None: ...
def loss_and_gradient(
    logits: object, labels: object, weight: object, scale: float, grad: object, want_grad: bool
) -> tuple[float, np.ndarray | None] | None: ...
def loss(
    plan: Plan,
    logits: np.ndarray,
    labels: np.ndarray,
    grad: np.ndarray | None = None,
    count: float = 1,
    weight: np.ndarray | None = None,
) -> None: ...
