"""The library's functions in plain NumPy, float64: written from the lecture's formulas, slow, and the standard that the
compiled code is held to.

Samples are rows, as everywhere in fastlec: ``X`` is (m, n), logits are (m, l), ``W`` is (l, n), so the lecture's data
matrix is ``X.T`` and its weights are ``W.T``.  Whatever comes in is converted to float64 and nothing is checked beyond
what NumPy checks.  NaN and infinity behave as in ``scipy.special``, without warnings.
"""

import numpy as np

from . import _check
from .reference_images import (  # noqa: F401
    avg_pool2d,
    avg_pool2d_jac_mv,
    avg_pool2d_jac_tmv,
    batch_norm2d,
    batch_norm2d_jac_mv,
    batch_norm2d_jac_tmv,
    batch_statistics,
    col2im,
    conv2d,
    conv2d_jac_mv,
    conv2d_jac_tmv,
    conv2d_jacobian,
    conv2d_matrix,
    filter2d,
    im2col,
    max_pool2d,
    max_pool2d_jac_mv,
    max_pool2d_jac_tmv,
)
from .reference_images import float64 as _float64

# --- softmax and its relatives (section 2.2) -------------------------------------------------------------------------


def softmax(x, axis=-1):
    """exp(x_j - top) / sum_i exp(x_i - top), top = max(x) (eq. 10, computed "safely").

    A slice with a NaN or +inf, or of -inf alone, becomes NaN.
    """
    (x,) = _float64(x=x)
    axis = _check.axis_tuple(axis, x.ndim)
    with np.errstate(invalid="ignore", over="ignore"):
        e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
        return e / np.sum(e, axis=axis, keepdims=True)


def logsumexp(x, axis=-1):
    """log sum_i exp(x_i) = top + log1p(sum of exp(x_i - top) without the top's own 1).

    ``axis`` is an integer, a tuple or None (all of x).  The sum over nothing is log 0 = -inf.
    """
    (x,) = _float64(x=x)
    axes = _check.axis_tuple(axis, x.ndim)
    kept = [size for k, size in enumerate(x.shape) if k not in axes]
    rows = np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim)).reshape(*kept, -1 if x.size else 0)
    shift, log_sum = _shift_and_log_sum(rows)
    return (shift + log_sum)[..., 0]


def log_softmax(x, axis=-1):
    """(x_j - top) - log1p(...), the logarithm of softmax that neither overflows nor takes log(0)."""
    (x,) = _float64(x=x)
    axes = _check.axis_tuple(axis, x.ndim)
    if axis is None or len(axes) != 1:
        raise TypeError(f"axis is {_check.shown(axis)}; expected an integer")
    rows = np.moveaxis(x, axes, -1)
    shift, log_sum = _shift_and_log_sum(rows)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.moveaxis(rows - shift - log_sum, -1, axes)


def _shift_and_log_sum(rows):
    """(shift, s) of shape (..., 1) with log sum exp(rows) = shift + s; the shift is 0 where the top is not finite."""
    if rows.shape[-1] == 0:
        return np.zeros((*rows.shape[:-1], 1)), np.full((*rows.shape[:-1], 1), -np.inf)
    shape, rows = (*rows.shape[:-1], 1), rows.reshape(-1, rows.shape[-1])  # NumPy's indexing takes fewer axes than its arrays
    at = np.argmax(rows, axis=-1, keepdims=True)
    top = np.take_along_axis(rows, at, axis=-1)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(over="ignore"):
        e = np.exp(rows - shift)
    np.put_along_axis(e, at, 0.0, axis=-1)
    rest = np.sum(e, axis=-1, keepdims=True)
    return shift.reshape(shape), np.where(np.isfinite(top), np.log1p(rest), top).reshape(shape)


def softmax_cross_entropy(logits, labels, sample_weight=None):
    """(loss, gradient): loss = -sum_i w_i sum_k c_ik log softmax(logits)_ik, w = sample_weight / sum (eq. 11).

    ``labels`` are (m,) integers or (m, l) rows c of probabilities; 0 log 0 counts as 0.  The gradient with respect to
    the logits, (m, l), is w_i (softmax - c) (2.3.2, where the rows of c sum to 1).
    """
    (logits,) = _float64(logits=logits)
    c, w = _indicators(labels, logits.shape[1]), _mean_weights(sample_weight, logits.shape[0])
    terms = np.multiply(c, log_softmax(logits), out=np.zeros_like(logits), where=c != 0)
    gradient = c.sum(axis=1, keepdims=True) * softmax(logits) - c
    return float(-w @ terms.sum(axis=1)), w[:, None] * gradient


def _indicators(labels, n_classes):
    """The lecture's class vectors c_k as columns, (m, l): I[y_i = k], or the given rows of probabilities."""
    labels = np.asarray(labels)
    return labels.astype(np.float64) if labels.ndim == 2 else np.eye(n_classes)[labels]


def _mean_weights(sample_weight, m):
    w = np.ones(m) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    return w / w.sum()


# --- activations (section 3) -----------------------------------------------------------------------------------------


def tanh(x):
    """The hyperbolic tangent of each element."""
    return np.tanh(*_float64(x=x))


def tanh_derivative(x):
    """1 - tanh(x)^2 = 1 / cosh(x)^2 = 4 e / (1 + e)^2 with e = exp(-2 |x|): exact in the tails, never overflows."""
    with np.errstate(over="ignore"):
        e = np.exp(-2.0 * np.abs(*_float64(x=x)))
    return 4.0 * e / (1.0 + e) ** 2


def sigmoid(x):
    """1 / (1 + exp(-x)) (eq. 3), from exp(-|x|), which never overflows."""
    (x,) = _float64(x=x)
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def sigmoid_derivative(x):
    """sigma(x) (1 - sigma(x)) = e / (1 + e)^2 with e = exp(-|x|) (2.3.1)."""
    e = np.exp(-np.abs(*_float64(x=x)))
    return e / (1.0 + e) ** 2


def relu(x):
    """max(x, 0) of each element; NaN stays NaN."""
    return np.maximum(*_float64(x=x), 0.0)


def relu_derivative(x):
    """1 where x > 0, else 0 (0 at the kink); NaN stays NaN."""
    (x,) = _float64(x=x)
    return np.where(np.isnan(x), x, (x > 0).astype(np.float64))


def identity(x):
    """x itself, a copy: the activation of a layer that has none."""
    return np.array(*_float64(x=x))


def identity_derivative(x):
    """1 everywhere."""
    return np.ones_like(*_float64(x=x))


_ACTIVATIONS = {
    "tanh": (tanh, tanh_derivative),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "relu": (relu, relu_derivative),
    "identity": (identity, identity_derivative),
}


def value_and_derivative(x, activation):
    """(sigma(x), sigma'(x)) for activation "tanh", "sigmoid", "relu" or "identity"."""
    value, derivative = _ACTIVATIONS[activation]
    return value(x), derivative(x)


# --- softmax regression (sections 2.2, 2.3.2, 2.3.3) -----------------------------------------------------------------
#
# theta is flat: W (l, n) in C order, then b (l,) if fit_bias.  reduced=True is Remark 2: the last class's weights and
# bias are zero and not part of theta.  F = weighted mean cross-entropy + l2/2 ||W||^2; the bias is not penalised.


def softmax_regression_value(theta, X, y, n_classes=None, *, fit_bias=True, l2=0.0, reduced=False, sample_weight=None):
    """F(theta) (eq. 11)."""
    logits, W = _logits(theta, X, _count(y, n_classes), fit_bias, reduced)
    return softmax_cross_entropy(logits, y, sample_weight)[0] + 0.5 * l2 * np.sum(W**2)


def softmax_regression_gradient(theta, X, y, n_classes=None, *, fit_bias=True, l2=0.0, reduced=False, sample_weight=None):
    """grad F, (n_params,): sum_i w_i (softmax - c)_i x_i' + l2 W, and the same with x_i = 1 for b (2.3.2)."""
    logits, W = _logits(theta, X, _count(y, n_classes), fit_bias, reduced)
    residual = softmax_cross_entropy(logits, y, sample_weight)[1][:, : len(W)]
    return _flat(residual.T @ _float64(X=X)[0] + l2 * W, residual.sum(axis=0), fit_bias)


def softmax_regression_hessian(theta, X, y, n_classes=None, *, fit_bias=True, l2=0.0, reduced=False, sample_weight=None):
    """The Hessian of F, (n_params, n_params): sum_i w_i J_i' (diag(p_i) - p_i p_i') J_i + l2 on W's diagonal.

    J_i, the Jacobian of sample i's logits with respect to theta, is [I kron x_i', I] (eq. 36, transposed layout).
    """
    logits, W = _logits(theta, X, _count(y, n_classes), fit_bias, reduced)
    probabilities, w = softmax(logits)[:, : len(W)], _mean_weights(sample_weight, len(logits))
    identity = np.eye(len(W))
    hessian = np.diag(_flat(np.full(W.shape, l2), np.zeros(len(W)), fit_bias))
    for x_i, p_i, w_i in zip(_float64(X=X)[0], probabilities, w, strict=True):
        J_i = np.kron(identity, x_i[None, :])
        if fit_bias:
            J_i = np.hstack([J_i, identity])
        hessian += w_i * J_i.T @ (np.diag(p_i) - np.outer(p_i, p_i)) @ J_i
    return hessian


def softmax_regression_hessian_mv(theta, v, X, y, n_classes=None, *, fit_bias=True, l2=0.0, reduced=False, sample_weight=None):
    """The Hessian of F times v, (n_params,): the gradient's formula differentiated along v = (dW, db).

    The logits change by dZ = X dW' + db, the probabilities by P o (dZ - rowsum(P o dZ)).
    """
    n_classes = _count(y, n_classes)
    logits, _ = _logits(theta, X, n_classes, fit_bias, reduced)
    d_logits, dW = _logits(v, X, n_classes, fit_bias, reduced)
    p, w = softmax(logits), _mean_weights(sample_weight, len(logits))
    dp = p * (d_logits - np.sum(p * d_logits, axis=1, keepdims=True))
    residual = (w[:, None] * dp)[:, : len(dW)]
    return _flat(residual.T @ _float64(X=X)[0] + l2 * dW, residual.sum(axis=0), fit_bias)


def softmax_regression_data_gradient(theta, X, y, n_classes=None, *, fit_bias=True, l2=0.0, reduced=False, sample_weight=None):
    """dF/dX, (m, n): w_i (softmax - c)_i W (2.3.3).  l2 does not depend on X; it is taken for a uniform signature."""
    logits, W = _logits(theta, X, _count(y, n_classes), fit_bias, reduced)
    return softmax_cross_entropy(logits, y, sample_weight)[1][:, : len(W)] @ W


def softmax_regression_predict_proba(theta, X, n_classes, *, fit_bias=True, reduced=False):
    """P(y = j | x_i), (m, l) (eq. 10)."""
    return softmax(_logits(theta, X, n_classes, fit_bias, reduced)[0])


def _count(y, n_classes):
    y = np.asarray(y)
    return n_classes or (y.shape[1] if y.ndim == 2 else int(y.max()) + 1)


def _logits(theta, X, n_classes, fit_bias, reduced):
    """(X W' + b, W); with ``reduced`` the logits get the fixed class's column of zeros, W has no row for it."""
    theta, X = _float64(theta=theta, X=X)
    rows, n = n_classes - reduced, X.shape[1]
    W = theta[: rows * n].reshape(rows, n)
    logits = X @ W.T
    if fit_bias:
        logits = logits + theta[rows * n :]
    return (np.hstack([logits, np.zeros((len(X), 1))]) if reduced else logits), W


def _flat(W, b, fit_bias):
    return np.concatenate([W.ravel(), b]) if fit_bias else W.ravel()


# --- logistic regression (sections 2.1, 2.3.1) -----------------------------------------------------------------------
#
# theta = (w, b), b only if fit_bias; y holds 0 and 1 and P(y = 1 | x) = sigma(w'x + b).


def logistic_regression_value(theta, X, y, *, fit_bias=True, l2=0.0, sample_weight=None):
    """F(theta) = -mean of y log sigma(z) + (1 - y) log(1 - sigma(z)) + l2/2 ||w||^2 (eq. 9).

    log sigma(z) = -log(1 + exp(-z)) and log(1 - sigma(z)) = -log(1 + exp(z)), neither of which overflows.
    """
    z, w, y, weights = _logistic(theta, X, y, sample_weight)
    return float(weights @ (y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)) + 0.5 * l2 * w @ w)


def logistic_regression_gradient(theta, X, y, *, fit_bias=True, l2=0.0, sample_weight=None):
    """grad F, (n_params,): sum_i weight_i (sigma(z_i) - y_i) (x_i, 1) + l2 (w, 0) (eq. 17)."""
    z, w, y, weights = _logistic(theta, X, y, sample_weight)
    residual = weights * (sigmoid(z) - y)
    return _flat(residual @ _float64(X=X)[0] + l2 * w, residual.sum(keepdims=True), fit_bias)


def logistic_regression_hessian(theta, X, y, *, fit_bias=True, l2=0.0, sample_weight=None):
    """The Hessian, X' D X with D = diag(weight_i sigma'(z_i)) and a column of ones in X for b, + l2 on w's diagonal."""
    z, w, y, weights = _logistic(theta, X, y, sample_weight)
    (X,) = _float64(X=X)
    if fit_bias:
        X = np.hstack([X, np.ones((len(X), 1))])
    penalty = np.diag(_flat(np.full(w.shape, l2), np.zeros(1), fit_bias))
    return X.T @ np.diag(weights * sigmoid_derivative(z)) @ X + penalty


def logistic_regression_hessian_mv(theta, v, X, y, *, fit_bias=True, l2=0.0, sample_weight=None):
    """The Hessian times v = (dw, db), (n_params,): X' (D (X dw + db)) + l2 dw."""
    z, _, y, weights = _logistic(theta, X, y, sample_weight)
    dz, dw, _, _ = _logistic(v, X, y, sample_weight)
    residual = weights * sigmoid_derivative(z) * dz
    return _flat(residual @ _float64(X=X)[0] + l2 * dw, residual.sum(keepdims=True), fit_bias)


def logistic_regression_data_gradient(theta, X, y, *, fit_bias=True, l2=0.0, sample_weight=None):
    """dF/dX, (m, n): weight_i (sigma(z_i) - y_i) w'."""
    z, w, y, weights = _logistic(theta, X, y, sample_weight)
    return np.outer(weights * (sigmoid(z) - y), w)


def logistic_regression_predict_proba(theta, X):
    """P(y = 1 | x_i), (m,) (eq. 4)."""
    return sigmoid(_logistic(theta, X)[0])


def _logistic(theta, X, y=(), sample_weight=None):
    """(z, w, y, weights); theta's length says whether it holds a bias."""
    theta, X, y = _float64(theta=theta, X=X, y=y)
    w, b = theta[: X.shape[1]], theta[X.shape[1] :]
    return X @ w + b.sum(), w, y, _mean_weights(sample_weight, len(X))


# --- layers (sections 3, 4.1.2, 4.1.3) -------------------------------------------------------------------------------
#
# x is (m, n), W (k, n), b (k,) or None, y (m, k).  Each layer has four functions:
#     f(x, ...)                    y
#     f_jac_mv(x, ..., dx=...)     JacMV: the sum over the directions given, shape of y
#     f_jac_tmv(v, x, ...)         JacTMV: a dict of each variable's name -> J' v, shape of the variable
#     f_jacobian(x, ..., variable) J itself, (y.size, variable.size), y and the variable raveled in C order
#
# The lecture stacks columns.  Its samples are columns, X = x', so vec(X) and vec(Y) are x and y raveled in C order.  But W
# is the same matrix there and here: its Jacobian is the lecture's with the columns brought from vec's order into C order.


def dense(x, W, b, activation):
    """sigma(x W' + b) (eq. 21)."""
    return value_and_derivative(_affine(x, W, b), activation)[0]


def dense_jac_mv(x, W, b, activation, dx=None, dW=None, db=None):
    """sigma'(z) o (dx W' + x dW' + db), z = x W' + b (4.1.2)."""
    return _slope(x, W, b, activation) * _affine_jac_mv(x, W, dx, dW, db)


def dense_jac_tmv(v, x, W, b, activation):
    """With s = sigma'(z) o v: s W for x, s' x = sum_i s_i x_i' for W (eq. 37), the sum of s_i for b (4.1.2)."""
    x, W = _float64(x=x, W=W)
    s = _slope(x, W, b, activation) * v
    return {"x": s @ W, "W": s.T @ x} | ({} if b is None else {"b": s.sum(axis=0)})


def dense_jacobian(x, W, b, activation, variable):
    """diag(sigma'(z)) times I kron W for x, X' kron I for W (eq. 36), 1 kron I for b (4.1.2)."""
    return _slope(x, W, b, activation).reshape(-1, 1) * _affine_jacobian(x, W, variable)


def residual(x, W1, b, W2, activation):
    """x + sigma(x W1' + b) W2' (eq. 22)."""
    return x + _affine(dense(x, W1, b, activation), W2, None)


def residual_jac_mv(x, W1, b, W2, activation, dx=None, dW1=None, db=None, dW2=None):
    """dx + da W2' + a dW2', where a = sigma(x W1' + b) changes by da along (dx, dW1, db) (4.1.3)."""
    a = dense(x, W1, b, activation)
    da = dense_jac_mv(x, W1, b, activation, dx, dW1, db)
    return _affine_jac_mv(a, W2, da, dW2, None) + (0.0 if dx is None else dx)


def residual_jac_tmv(v, x, W1, b, W2, activation):
    """v' a for W2, a = sigma(x W1' + b); what a's Jacobian makes of v W2 for the others, plus v itself for x (4.1.3)."""
    v, W2 = _float64(v=v, W2=W2)
    inner = dense_jac_tmv(v @ W2, x, W1, b, activation)
    return _renamed(inner, x=v + inner["x"], W2=v.T @ dense(x, W1, b, activation))


def residual_jacobian(x, W1, b, W2, activation, variable):
    """a' kron I for W2; (I kron W2) diag(sigma'(z)) times those of x W1' + b for the others, plus I for x (4.1.3)."""
    a = dense(x, W1, b, activation)
    if variable == "W2":
        return _affine_jacobian(a, W2, "W")
    J = _affine_jacobian(a, W2, "x") @ dense_jacobian(x, W1, b, activation, _INNER[variable])
    return J + np.eye(len(J)) if variable == "x" else J


def projected_residual(x, W1, b, W2, activation):
    """x W2' + sigma(x W1' + b) (eq. 23)."""
    return _affine(x, W2, None) + dense(x, W1, b, activation)


def projected_residual_jac_mv(x, W1, b, W2, activation, dx=None, dW1=None, db=None, dW2=None):
    """dx W2' + x dW2', and what sigma(x W1' + b) changes by along (dx, dW1, db)."""
    return _affine_jac_mv(x, W2, dx, dW2, None) + dense_jac_mv(x, W1, b, activation, dx, dW1, db)


def projected_residual_jac_tmv(v, x, W1, b, W2, activation):
    """v' x for W2; what the Jacobian of sigma(x W1' + b) makes of v for the others, plus v W2 for x."""
    v, x, W2 = _float64(v=v, x=x, W2=W2)
    inner = dense_jac_tmv(v, x, W1, b, activation)
    return _renamed(inner, x=v @ W2 + inner["x"], W2=v.T @ x)


def projected_residual_jacobian(x, W1, b, W2, activation, variable):
    """X' kron I for W2; those of sigma(x W1' + b) for the others, plus I kron W2 for x."""
    if variable == "W2":
        return _affine_jacobian(x, W2, "W")
    J = dense_jacobian(x, W1, b, activation, _INNER[variable])
    return J + _affine_jacobian(x, W2, "x") if variable == "x" else J


_INNER = {"x": "x", "W1": "W", "b": "b"}  # what Dense calls the variables of sigma(x W1' + b)


def _renamed(inner, x, W2):
    """Dense's products under a residual layer's names, in its order, with its own x and W2."""
    return {name: inner[of] for name, of in _INNER.items() if of in inner} | {"x": x, "W2": W2}


def _affine(x, W, b):
    x, W = _float64(x=x, W=W)
    return x @ W.T + (0.0 if b is None else b)


def _slope(x, W, b, activation):
    return value_and_derivative(_affine(x, W, b), activation)[1]


def _affine_jac_mv(x, W, dx, dW, db):
    """dx W' + x dW' + db of those that are given."""
    x, W = _float64(x=x, W=W)
    dy = np.zeros((len(x), len(W)))
    if dx is not None:
        dy += dx @ W.T
    if dW is not None:
        dy += x @ np.transpose(dW)
    return dy if db is None else dy + db


def _affine_jacobian(x, W, variable):
    """The Jacobian of x W' + b: I kron W, X' kron I with its columns in C order, 1 kron I."""
    x, W = _float64(x=x, W=W)
    (m, n), k = x.shape, len(W)
    if variable == "x":
        return np.kron(np.eye(m), W)
    if variable == "b":
        return np.kron(np.ones((m, 1)), np.eye(k))
    # Entry W_ij is number j k + i of vec(W), number i n + j in C order: the latter's columns, taken from the former's.
    vec_order = np.arange(n * k).reshape(n, k).T.ravel()
    return np.kron(x, np.eye(k))[:, vec_order]


# --- mean squared error ----------------------------------------------------------------------------------------------


def mean_squared_error(output, y):
    """(loss, gradient): the mean of (output - y)^2 over all m k entries, and 2 (output - y) / (m k), shape of output.

    ``y`` is (m, k), or (m,) where output has one column.
    """
    (output,) = _float64(output=output)
    difference = output - np.reshape(y, output.shape)
    return float(np.mean(difference**2)), 2.0 * difference / difference.size
