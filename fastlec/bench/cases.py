"""THE table of benchmark cases: what is computed, on what, how much work it is and what the right answer is."""

import math
from dataclasses import dataclass

import numpy as np

from fastlec import reference

SIZE = {"float32": 4, "float64": 8}
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}  # of the largest magnitude of each result; sums run over up to 60000 samples


@dataclass(frozen=True)
class Case:
    """One row of the table.

    op : a name in `OPS`, which is also the name of the method by which a peer offers it. shape, smoke_shape : of x for
    functions of one array, (m, l) for "cross_entropy", (m, n, l) for objectives: samples, features, classes. axis : of softmax.
    """

    name: str
    op: str
    shape: tuple
    smoke_shape: tuple
    axis: int = -1

    def at(self, smoke):
        """The case itself, or (smoke) the same operation at its smallest size."""
        return Case(self.name, self.op, self.smoke_shape, self.smoke_shape, self.axis) if smoke else self

    @property
    def modes(self):
        """The ways to hand out the result: an array worth reusing, or not."""
        return ("reused",) if self.op in OBJECTIVES else ("reused", "fresh")

    @property
    def flops(self):
        """Multiplications and additions of the matrix products; None where exponentials dominate."""
        return OBJECTIVES[self.op] * 2 * math.prod(self.shape) if self.op in OBJECTIVES else None

    def bytes(self, dtype):
        """The least traffic: every input read once, every result written once."""
        if self.op in OBJECTIVES:
            m, n, _ = self.shape
            return m * n * SIZE[dtype]
        labels = 8 * self.shape[0] if self.op == "cross_entropy" else 0
        return 2 * math.prod(self.shape) * SIZE[dtype] + labels

    def make(self, rng, dtype):
        """The inputs, a tuple of arrays: (x,), (logits, labels), (X, y, theta) or (X, y, theta, v)."""
        if self.op not in OBJECTIVES:
            x = 3 * rng.standard_normal(self.shape, dtype=dtype)
            return (x, rng.integers(0, self.shape[1], self.shape[0])) if self.op == "cross_entropy" else (x,)
        m, n, classes = self.shape
        X, y = rng.random((m, n), dtype=dtype), rng.integers(0, classes, m)
        directions = 1 if self.op == "value_and_gradient" else 2
        return X, y, *(0.1 * rng.standard_normal(classes * (n + 1), dtype=dtype) for _ in range(directions))

    def expected(self, inputs):
        """The result in float64, a tuple of arrays, from the formulas."""
        return OPS[self.op](self, *inputs)


def unpack(theta, case):
    """The views W (l, n) and b (l,) of theta."""
    _, n, classes = case.shape
    return theta[: classes * n].reshape(classes, n), theta[classes * n :]


def _cross_entropy(case, logits, labels):
    at = (np.arange(len(logits)), labels)
    log_p = reference.log_softmax(logits)
    residual = np.exp(log_p)
    residual[at] -= 1
    return -np.mean(log_p[at]), residual / len(logits)


def _value_and_gradient(case, X, y, theta):
    W, b = unpack(theta.astype(np.float64), case)
    value, residual = _cross_entropy(case, X @ W.T + b, y)
    return value, residual.T @ X, residual.sum(axis=0)


def _hessian_mv(case, X, y, theta, v):
    return unpack(reference.softmax_regression_hessian_mv(theta, v, X, y, case.shape[2]), case)


# op -> the expected result; what an objective returns is its value, then the parts for W (l, n) and b (l,).
OPS = {
    "softmax": lambda case, x: (reference.softmax(x, axis=case.axis),),
    "log_softmax": lambda case, x: (reference.log_softmax(x, axis=case.axis),),
    "tanh": lambda case, x: (reference.tanh(x),),
    "sigmoid": lambda case, x: (reference.sigmoid(x),),
    "relu": lambda case, x: (reference.relu(x),),
    "cross_entropy": _cross_entropy,
    "value_and_gradient": _value_and_gradient,
    "hessian_mv": _hessian_mv,
    "hessian_mv_frozen": _hessian_mv,  # at a theta whose probabilities have been kept, as in one Newton-CG step
}
OBJECTIVES = {"value_and_gradient": 2, "hessian_mv": 3, "hessian_mv_frozen": 2}  # op -> products with X
UNARY = ("softmax", "log_softmax", "tanh", "sigmoid", "relu")

CASES = (
    Case("softmax-64x10", "softmax", (64, 10), (4, 10)),
    Case("softmax-60000x10", "softmax", (60000, 10), (50, 10)),
    Case("softmax-4096x1000", "softmax", (4096, 1000), (3, 1000)),
    Case("softmax-256x32000", "softmax", (256, 32000), (2, 3000)),
    Case("softmax-axis0-1000x4096", "softmax", (1000, 4096), (100, 41), axis=0),
    Case("log_softmax-60000x10", "log_softmax", (60000, 10), (50, 10)),
    Case("log_softmax-4096x1000", "log_softmax", (4096, 1000), (3, 1000)),
    Case("cross_entropy-60000x10", "cross_entropy", (60000, 10), (50, 10)),
    Case("cross_entropy-4096x1000", "cross_entropy", (4096, 1000), (3, 1000)),
    Case("cross_entropy-256x32000", "cross_entropy", (256, 32000), (2, 3000)),
    Case("value_and_gradient-60000x784x10", "value_and_gradient", (60000, 784, 10), (70, 33, 5)),
    Case("hessian_mv-60000x784x10", "hessian_mv", (60000, 784, 10), (70, 33, 5)),
    Case("hessian_mv_frozen-60000x784x10", "hessian_mv_frozen", (60000, 784, 10), (70, 33, 5)),
    *(
        Case(f"{op}-{size:.0e}".replace("e+0", "e"), op, (size,), (1000,))
        for op, sizes in (("tanh", (10**5, 10**6, 4 * 10**6)), ("sigmoid", (10**5, 10**6, 4 * 10**6)), ("relu", (10**5, 10**6)))
        for size in sizes
    ),
)


def select(names=None):
    """The cases whose name contains one of `names` (a string or a sequence of them), or all. ValueError if there is none."""
    wanted = (names,) if isinstance(names, str) else tuple(names or ("",))
    chosen = [case for case in CASES if any(name in case.name for name in wanted)]
    if not chosen:
        raise ValueError(f"cases is {names!r}; no case has such a name; there are {', '.join(case.name for case in CASES)}")
    return chosen


def disagreement(result, expected, dtype):
    """What is wrong with a contender's result, or None: every part must be within TOLERANCE of the reference."""
    parts = result if isinstance(result, tuple) else (result,)
    if len(parts) != len(expected):
        return f"gave {len(parts)} results; expected {len(expected)}"
    for got, right in zip(map(np.asarray, parts), map(np.asarray, expected), strict=True):
        if got.shape != right.shape:
            return f"gave shape {got.shape}; expected {right.shape}"
        if got.ndim and got.dtype != dtype:
            return f"gave {got.dtype}; expected {dtype}"
        error = np.max(np.abs(got - right), initial=0.0) / np.max(np.abs(right), initial=np.finfo(dtype).tiny)
        if not error <= TOLERANCE[dtype]:
            return f"is off by {error:.1e} of the largest value; expected at most {TOLERANCE[dtype]:.0e}"
    return None
