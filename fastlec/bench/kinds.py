"""The kinds of benchmark cases: what is computed, on what, how much work it is and what the right answer is."""

import math
from dataclasses import dataclass, replace

import numpy as np

from fastlec import reference

from . import nets

SIZE = {"float32": 4, "float64": 8}
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}  # of the largest magnitude of each result; sums run over up to 60000 samples
# A step's theta has moved by so little that only its last digits show whether the gradient was right.
STEP_TOLERANCE = {dtype: 16 * np.finfo(dtype).eps for dtype in SIZE}
SEED = 1  # of the inputs
IRLS_STEPS = 12  # of iteratively reweighted least squares: each leaves about a tenth of the error


@dataclass(frozen=True)
class Case:
    """One row of the table.

    op : a name in `OPS`, which is also the name of the method by which a peer offers it. shape, smoke_shape : what each kind of
    case says.
    """

    name: str
    op: str
    shape: tuple
    smoke_shape: tuple

    modes = ("reused",)  # the ways to hand out the result: an array worth reusing, or not
    out_shape = None  # of the array that a reused result is written to; None where contenders keep their own
    flops = None  # multiplications and additions of the matrix products; None where exponentials dominate
    tolerance = TOLERANCE

    def at(self, smoke):
        """The case itself, or (smoke) the same operation at its smallest size."""
        return replace(self, shape=self.smoke_shape) if smoke else self

    def bytes(self, dtype):
        """The least traffic: every input read once, every result written once."""
        raise NotImplementedError

    def make(self, rng, dtype):
        """The inputs, a tuple of arrays."""
        raise NotImplementedError

    def expected(self, inputs):
        """The result in float64, a tuple of arrays, from the formulas."""
        return OPS[self.op](self, *inputs)


@dataclass(frozen=True)
class Map(Case):
    """A function of one array. shape : of x. axis : of softmax. Inputs: x."""

    axis: int = -1

    modes = ("reused", "fresh")

    @property
    def out_shape(self):
        return self.shape

    def bytes(self, dtype):
        return 2 * math.prod(self.shape) * SIZE[dtype]

    def make(self, rng, dtype):
        return (3 * rng.standard_normal(self.shape, dtype=dtype),)


@dataclass(frozen=True)
class CrossEntropy(Map):
    """Loss and gradient. shape : (m, l), samples and classes. Inputs: logits, labels."""

    def bytes(self, dtype):
        return super().bytes(dtype) + 8 * self.shape[0]

    def make(self, rng, dtype):
        return *super().make(rng, dtype), rng.integers(0, self.shape[1], self.shape[0])


@dataclass(frozen=True)
class Objective(Case):
    """Softmax regression. shape : (m, n, l), samples, features, classes. Inputs: X, y, theta, and v for the Hessian's products."""

    @property
    def flops(self):
        return PRODUCTS[self.op] * 2 * math.prod(self.shape)

    def bytes(self, dtype):
        m, n, _ = self.shape
        return m * n * SIZE[dtype]

    def make(self, rng, dtype):
        m, n, classes = self.shape
        X, y = rng.random((m, n), dtype=dtype), rng.integers(0, classes, m)
        directions = 1 if self.op == "value_and_gradient" else 2
        return X, y, *(0.1 * rng.standard_normal(classes * (n + 1), dtype=dtype) for _ in range(directions))


@dataclass(frozen=True)
class RobustRegression(Case):
    """Linear regression with outliers by the Huber loss, with its scale. shape : (m, n). Inputs: A, y."""

    modes = ("fresh",)
    # Contenders estimate the scale differently (by the MAD, or together with x), which moves x by less than its standard error.
    tolerance = dict.fromkeys(SIZE, 0.02)

    def bytes(self, dtype):
        m, n = self.shape
        return (m * n + m + n) * SIZE[dtype]

    def make(self, rng, dtype):
        m, n = self.shape
        A, noise = rng.standard_normal((m, n), dtype=dtype), rng.standard_normal(m, dtype=dtype)
        noise[rng.random(m) < 0.1] *= 30
        return A, A @ rng.standard_normal(n, dtype=dtype) + noise


@dataclass(frozen=True)
class KMeans(Case):
    """Lloyd's iterations from given centers, and the inertia of the last centers. shape : (m, n, k, iterations). algorithm : of
    fastlec. Inputs: X and the centers to start from. Samples lie about 2 k points, so that labels change to the end."""

    algorithm: str = "lloyd"

    @property
    def flops(self):
        m, n, k, iterations = self.shape
        return 2 * m * n * k * iterations

    def bytes(self, dtype):
        m, n, _, iterations = self.shape
        return m * n * iterations * SIZE[dtype]

    def make(self, rng, dtype):
        m, n, k, _ = self.shape
        points = 0.5 * rng.standard_normal((2 * k, n), dtype=dtype)
        X = points[rng.integers(0, 2 * k, m)] + rng.standard_normal((m, n), dtype=dtype)
        return X, X[rng.choice(m, k, replace=False)]


@dataclass(frozen=True)
class Product(Case):
    """A matrix product. shape : (m, k, n), of (m, k) times (k, n). Inputs: a and b, in C order, to be transposed as `op` says."""

    @property
    def out_shape(self):
        m, _, n = self.shape
        return m, n

    @property
    def flops(self):
        return 2 * math.prod(self.shape)

    def bytes(self, dtype):
        m, k, n = self.shape
        return (m * k + k * n + m * n) * SIZE[dtype]

    def make(self, rng, dtype):
        m, k, n = self.shape
        a = rng.standard_normal((k, m) if self.op == "gemm_tn" else (m, k), dtype=dtype)
        return a, rng.standard_normal((n, k) if self.op == "gemm_nt" else (k, n), dtype=dtype)

    def operands(self, a, b):
        """The two factors, views of a and b, whichever library's arrays these are."""
        return a.T if self.op == "gemm_tn" else a, b.T if self.op == "gemm_nt" else b


@dataclass(frozen=True)
class Network(Case):
    """Work with a network of `nets`. shape : (m, net), the samples of a batch and the description of the network.

    Inputs: X, theta, to which "jac_tmv" adds v (as the output), "jac_mv" the directions dX and dtheta; X, y, theta for "step".
    "dense", "dense_jac_mv" and "dense_jac_tmv" have a network of one dense layer.
    """

    @property
    def modes(self):
        return ("fresh",) if self.op in ("dense_jac_mv", "jac_mv", "jac_tmv") else ("reused",)

    @property
    def out_shape(self):
        m, net = self.shape
        return (m, net[-1].n_out) if PRODUCTS[self.op] == 1 else None

    @property
    def flops(self):
        m, net = self.shape
        unneeded = nets.weights(net[0]) if self.op == "step" else 0  # nobody wants the gradient with respect to X
        return 2 * m * (PRODUCTS[self.op] * sum(map(nets.weights, net)) - unneeded)

    def bytes(self, dtype):
        m, net = self.shape
        x, theta, y = (1, 2, 0) if self.op == "step" else (2, 2, 2) if "jac" in self.op else (1, 1, 1)
        return (x * m * net[0].n_in + theta * nets.n_params(net) + y * m * net[-1].n_out) * SIZE[dtype]

    def make(self, rng, dtype):
        m, net = self.shape
        X, theta = rng.random((m, net[0].n_in), dtype=dtype), nets.start(net, rng, dtype)
        if self.op == "step":
            return X, rng.integers(0, net[-1].n_out, m), theta
        if self.op.endswith("jac_tmv"):
            return X, theta, rng.standard_normal((m, net[-1].n_out), dtype=dtype)
        if self.op.endswith("jac_mv"):
            return X, theta, *(rng.standard_normal(array.shape, dtype=dtype) for array in (X, theta))
        return X, theta

    @property
    def tolerance(self):
        return STEP_TOLERANCE if self.op == "step" else TOLERANCE


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


def lloyd(X, centers, iterations, part=4096):
    """The inertia after so many iterations from these centers, none of which is left without samples: by products of matrices."""
    parts, k = [X[start : start + part] for start in range(0, len(X), part)], len(centers)
    for last in [False] * iterations + [True]:
        half, sums, counts, inertia = (centers**2).sum(axis=1) / 2, 0, 0, 0.0
        for x in parts:
            scores = x @ centers.T - half
            labels = scores.argmax(axis=1)
            if last:
                best = scores[np.arange(len(x)), labels]
                inertia += float(np.sum((x * x).sum(axis=1) - 2 * best, dtype=np.float64))
            else:
                chosen = np.equal.outer(np.arange(k), labels).astype(X.dtype)
                sums, counts = sums + chosen @ x, counts + chosen.sum(axis=1, keepdims=True)
        centers = centers if last else sums / counts
    return inertia


def _kmeans(case, X, centers):
    return (lloyd(X.astype(np.float64), centers.astype(np.float64), case.shape[3]),)


def _product(case, a, b):
    a, b = case.operands(a.astype(np.float64), b)
    return (a @ b,)


def _forward(case, X, theta):
    return (nets.forward(case.shape[1], theta.astype(np.float64), X)[0],)


def _jac_tmv(case, X, theta, v):
    net, theta = case.shape[1], theta.astype(np.float64)
    gradient, flat = nets.backward(net, theta, nets.forward(net, theta, X)[1], v)
    return gradient, *(part for parts in nets.split(net, flat) for part in parts)


def _jac_mv(case, X, theta, dX, dtheta):
    net, theta = case.shape[1], theta.astype(np.float64)
    y, kept = nets.forward(net, theta, X)
    dy = nets.directional(net, theta, kept, dX, dtheta)
    return (y, dy) if case.op == "dense_jac_mv" else (dy,)


def step(case, X, y, theta, networks=nets):
    """networks : the module with the network's `forward` and `backward`."""
    net, theta = case.shape[1], theta.astype(np.float64)
    logits, kept = networks.forward(net, theta, X)
    loss, residual = _cross_entropy(case, logits, y)
    return loss, theta - nets.RATE * networks.backward(net, theta, kept, residual)[1]


def reweighted(A, y, solve):
    """x of the Huber loss with the scale 1.345 times 1.4826 times the MAD, by least squares with weights: solve(w)."""
    x = solve(np.ones_like(y))
    for _ in range(IRLS_STEPS):
        sizes = np.abs(A @ x - y)
        scale = 1.345 * 1.4826 * np.median(sizes)
        x = solve(scale / np.maximum(sizes, scale))
    return x


def _robust_lstsq(case, A, y):
    A, y = A.astype(np.float64), y.astype(np.float64)
    return (reweighted(A, y, lambda w: np.linalg.lstsq(np.sqrt(w)[:, None] * A, np.sqrt(w) * y)[0]),)


SMOOTH = ("gelu", "silu", "softplus", "elu", "leaky_relu")  # elementwise functions of networks

# op -> the expected result; what an objective returns is its value, then the parts for W (l, n) and b (l,); what a transposed
# product with a Jacobian returns is the part for x, then those for W and b of each layer; a step returns its loss and new theta.
OPS = {
    "softmax": lambda case, x: (reference.softmax(x, axis=case.axis),),
    "log_softmax": lambda case, x: (reference.log_softmax(x, axis=case.axis),),
    "tanh": lambda case, x: (reference.tanh(x),),
    "sigmoid": lambda case, x: (reference.sigmoid(x),),
    "relu": lambda case, x: (reference.relu(x),),
    **{name: lambda case, x: (getattr(reference, case.op)(x),) for name in SMOOTH},
    "cross_entropy": _cross_entropy,
    "value_and_gradient": _value_and_gradient,
    "hessian_mv": _hessian_mv,
    "hessian_mv_frozen": _hessian_mv,  # at a theta whose probabilities have been kept, as in one Newton-CG step
    "kmeans": _kmeans,
    "gemm": _product,
    "gemm_nt": _product,
    "gemm_tn": _product,
    "dense": _forward,
    "dense_jac_tmv": _jac_tmv,  # at an x whose y has been kept
    "dense_jac_mv": _jac_mv,  # with y
    "jac_mv": _jac_mv,  # both at an x at which the network has been linearized
    "jac_tmv": _jac_tmv,
    "inference": _forward,
    "step": step,
    "robust_lstsq": _robust_lstsq,
}
# op -> how often every weight (of objectives: every entry of X) takes part in a product with a batch
PRODUCTS = {
    "value_and_gradient": 2,
    "hessian_mv": 3,
    "hessian_mv_frozen": 2,
    "dense": 1,
    "dense_jac_tmv": 2,
    "dense_jac_mv": 3,
    "jac_mv": 2,
    "jac_tmv": 2,
    "inference": 1,
    "step": 3,
}
# op -> the name of the peers' method for all operations of its family, where there is none of its own name
FAMILY = (
    dict.fromkeys(("softmax", "log_softmax", "tanh", "sigmoid", "relu"), "unary")
    | dict.fromkeys(SMOOTH, "smooth")
    | dict.fromkeys(("gemm", "gemm_nt", "gemm_tn"), "product")
    | dict.fromkeys(("dense", "inference"), "forward")
    | dict.fromkeys(("layer_norm", "batch_norm"), "norm")
    | dict.fromkeys(("layer_norm_jac_tmv", "batch_norm_jac_tmv"), "norm_jac_tmv")
)


def disagreement(result, expected, dtype, tolerance=TOLERANCE):
    """What is wrong with a contender's result, or None.

    Every part must be within a tolerance, relative to its largest magnitude, of the reference: numbers within TOLERANCE, arrays
    within the case's own.
    """
    parts = result if isinstance(result, tuple) else (result,)
    if len(parts) != len(expected):
        return f"gave {len(parts)} results; expected {len(expected)}"
    for got, right in zip(map(np.asarray, parts), map(np.asarray, expected), strict=True):
        if got.shape != right.shape:
            return f"gave shape {got.shape}; expected {right.shape}"
        if got.ndim and got.dtype != dtype:
            return f"gave {got.dtype}; expected {dtype}"
        error = np.max(np.abs(got - right), initial=0.0) / np.max(np.abs(right), initial=np.finfo(dtype).tiny)
        bound = (tolerance if right.ndim else TOLERANCE)[dtype]
        if not error <= bound:
            return f"is off by {error:.1e} of the largest value; expected at most {bound:.0e}"
    return None
