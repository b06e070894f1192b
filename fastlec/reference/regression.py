"""Softmax regression (sections 2.2, 2.3.2, 2.3.3) and logistic regression (sections 2.1, 2.3.1)."""

import numpy as np

from .activations import sigmoid, sigmoid_derivative
from .arrays import float64
from .log_sum_exp import mean_weights, softmax, softmax_cross_entropy

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
    return _flat(residual.T @ float64(X=X)[0] + l2 * W, residual.sum(axis=0), fit_bias)


def softmax_regression_hessian(theta, X, y, n_classes=None, *, fit_bias=True, l2=0.0, reduced=False, sample_weight=None):
    """The Hessian of F, (n_params, n_params): sum_i w_i J_i' (diag(p_i) - p_i p_i') J_i + l2 on W's diagonal.

    J_i, the Jacobian of sample i's logits with respect to theta, is [I kron x_i', I] (eq. 36, transposed layout).
    """
    logits, W = _logits(theta, X, _count(y, n_classes), fit_bias, reduced)
    probabilities, w = softmax(logits)[:, : len(W)], mean_weights(sample_weight, len(logits))
    identity = np.eye(len(W))
    hessian = np.diag(_flat(np.full(W.shape, l2), np.zeros(len(W)), fit_bias))
    for x_i, p_i, w_i in zip(float64(X=X)[0], probabilities, w, strict=True):
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
    p, w = softmax(logits), mean_weights(sample_weight, len(logits))
    dp = p * (d_logits - np.sum(p * d_logits, axis=1, keepdims=True))
    residual = (w[:, None] * dp)[:, : len(dW)]
    return _flat(residual.T @ float64(X=X)[0] + l2 * dW, residual.sum(axis=0), fit_bias)


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
    theta, X = float64(theta=theta, X=X)
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
    return _flat(residual @ float64(X=X)[0] + l2 * w, residual.sum(keepdims=True), fit_bias)


def logistic_regression_hessian(theta, X, y, *, fit_bias=True, l2=0.0, sample_weight=None):
    """The Hessian, X' D X with D = diag(weight_i sigma'(z_i)) and a column of ones in X for b, + l2 on w's diagonal."""
    z, w, y, weights = _logistic(theta, X, y, sample_weight)
    (X,) = float64(X=X)
    if fit_bias:
        X = np.hstack([X, np.ones((len(X), 1))])
    penalty = np.diag(_flat(np.full(w.shape, l2), np.zeros(1), fit_bias))
    return X.T @ np.diag(weights * sigmoid_derivative(z)) @ X + penalty


def logistic_regression_hessian_mv(theta, v, X, y, *, fit_bias=True, l2=0.0, sample_weight=None):
    """The Hessian times v = (dw, db), (n_params,): X' (D (X dw + db)) + l2 dw."""
    z, _, y, weights = _logistic(theta, X, y, sample_weight)
    dz, dw, _, _ = _logistic(v, X, y, sample_weight)
    residual = weights * sigmoid_derivative(z) * dz
    return _flat(residual @ float64(X=X)[0] + l2 * dw, residual.sum(keepdims=True), fit_bias)


def logistic_regression_data_gradient(theta, X, y, *, fit_bias=True, l2=0.0, sample_weight=None):
    """dF/dX, (m, n): weight_i (sigma(z_i) - y_i) w'."""
    z, w, y, weights = _logistic(theta, X, y, sample_weight)
    return np.outer(weights * (sigmoid(z) - y), w)


def logistic_regression_predict_proba(theta, X):
    """P(y = 1 | x_i), (m,) (eq. 4)."""
    return sigmoid(_logistic(theta, X)[0])


def _logistic(theta, X, y=(), sample_weight=None):
    """(z, w, y, weights); theta's length says whether it holds a bias."""
    theta, X, y = float64(theta=theta, X=X, y=y)
    w, b = theta[: X.shape[1]], theta[X.shape[1] :]
    return X @ w + b.sum(), w, y, mean_weights(sample_weight, len(X))
