import numpy as np

TANH: int
SIGMOID: int
RELU: int
IDENTITY: int
SGD: int
ADAM: int

class Plan:
    def __init__(self, typenum: int) -> None: ...
    def empty(self, *shape: int) -> np.ndarray: ...
    def slot(self, a: np.ndarray) -> int: ...
    def bind(self, slot: int, a: np.ndarray) -> None: ...
    def set_rule(
        self,
        rule: int,
        rate: float,
        momentum: float = 0,
        decay: float = 0,
        nesterov: bool = False,
        beta1: float = 0,
        beta2: float = 0,
        unbias1: float = 1,
        unbias2: float = 1,
        eps: float = 0,
    ) -> None: ...
    def set_states(self, theta: np.ndarray, states: tuple[np.ndarray, ...]) -> None: ...
    def product(
        self,
        a: np.ndarray,
        b: np.ndarray,
        c: np.ndarray,
        *,
        bias: np.ndarray | None = None,
        op: int = ...,
        residual: np.ndarray | None = None,
        y: np.ndarray | None = None,
        op2: int = ...,
        accumulate: bool = False,
        update: bool = False,
    ) -> None: ...
    def update(self, w: np.ndarray, g: np.ndarray) -> None: ...
    def slope(
        self,
        v: np.ndarray,
        g: np.ndarray | None = None,
        *,
        y: np.ndarray | None = None,
        op: int = ...,
        total: np.ndarray | None = None,
        update: bool = False,
    ) -> None: ...
    def map(self, op: int, x: np.ndarray, y: np.ndarray) -> None: ...
    def cross_entropy(
        self, logits: np.ndarray, labels: np.ndarray, grad: np.ndarray | None = None, count: float = 1
    ) -> None: ...
    def squares(self, x: np.ndarray, t: np.ndarray, grad: np.ndarray | None = None, count: float = 1) -> None: ...
    def run(self) -> float: ...
    def __len__(self) -> int: ...

def is_plain(a: object) -> bool: ...
