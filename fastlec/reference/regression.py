"""Softmax regression (sections 2.2, 2.3.2, 2.3.3) and logistic regression (sections 2.1, 2.3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .activations import sigmoid, sigmoid_derivative
from .arrays import Float64Array, float64
from .log_sum_exp import mean_weights, softmax, softmax_cross_entropy

# --- softmax regression (sections 2.2, 2.3.2, 2.3.3) -----------------------------------------------------------------
#
# theta is flat: W (l, n) in C order, then b (l,) if fit_bias.  reduced=True is Remark 2: the last class's weights and
# bias are zero and not part of theta.  F = weighted mean cross-entropy + l2/2 ||W||^2; the bias is not penalised.


def softmax_regression_value(
    theta: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    n_classes: int | None = None,
    *,
    fit_bias: bool = True,
    l2: float = 0.0,
    reduced: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float:
    """The objective F of softmax regression: the mean cross-entropy and the penalty (eq. 11).

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights W (l, n) in C order, then b (l,) if fit_bias.
    X : array_like, shape (m, n)
        One sample in each row.
    y : array_like, shape (m,) or (m, l)
        The class of each sample, or rows of probabilities.
    n_classes : int, optional
        The number l of classes, by default as y says.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    l2 : float
        The factor of the penalty 1/2 ||W||^2.
    reduced : bool
        Whether the last class's weights are zero and not part of theta (Remark 2).
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal.

    Returns
    -------
    float
        F(theta).

    See Also
    --------
    fastlec.SoftmaxObjective, softmax_regression_gradient

    Examples
    --------
    >>> fastlec.reference.softmax_regression_value([0.0, 0.0], [[1.0], [3.0]], [0, 1], fit_bias=False)
    np.float64(0.6931471805599453)
    """
    logits, W = _logits(theta, X, _count(y, n_classes), fit_bias, reduced)
    return softmax_cross_entropy(logits, y, sample_weight)[0] + 0.5 * l2 * np.sum(W**2)


def softmax_regression_gradient(
    theta: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    n_classes: int | None = None,
    *,
    fit_bias: bool = True,
    l2: float = 0.0,
    reduced: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Float64Array:
    """The gradient of softmax regression (section 2.3.2).

    sum_i w_i (softmax - c)_i x_i' + l2 W, and the same with x_i = 1 for b.

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights W (l, n) in C order, then b (l,) if fit_bias.
    X : array_like, shape (m, n)
        One sample in each row.
    y : array_like, shape (m,) or (m, l)
        The class of each sample, or rows of probabilities.
    n_classes : int, optional
        The number l of classes, by default as y says.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    l2 : float
        The factor of the penalty 1/2 ||W||^2.
    reduced : bool
        Whether the last class's weights are zero and not part of theta (Remark 2).
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal.

    Returns
    -------
    ndarray, shape (n_params,)
        The gradient.

    See Also
    --------
    fastlec.SoftmaxObjective, softmax_regression_value, softmax_regression_hessian

    Examples
    --------
    >>> fastlec.reference.softmax_regression_gradient([0.0, 0.0], [[1.0], [3.0]], [0, 1], fit_bias=False)
    array([ 0.5, -0.5])
    """
    logits, W = _logits(theta, X, _count(y, n_classes), fit_bias, reduced)
    residual = softmax_cross_entropy(logits, y, sample_weight)[1][:, : len(W)]
    return _flat(residual.T @ float64(X=X)[0] + l2 * W, residual.sum(axis=0), fit_bias)


def softmax_regression_hessian(
    theta: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    n_classes: int | None = None,
    *,
    fit_bias: bool = True,
    l2: float = 0.0,
    reduced: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Float64Array:
    """The Hessian of softmax regression (section 2.3.2).

    sum_i w_i J_i' (diag(p_i) - p_i p_i') J_i + l2 on W's diagonal. J_i, the Jacobian of sample i's logits by theta, is
    [I kron x_i', I] (eq. 36, transposed layout).

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights W (l, n) in C order, then b (l,) if fit_bias.
    X : array_like, shape (m, n)
        One sample in each row.
    y : array_like, shape (m,) or (m, l)
        The class of each sample, or rows of probabilities.
    n_classes : int, optional
        The number l of classes, by default as y says.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    l2 : float
        The factor of the penalty 1/2 ||W||^2.
    reduced : bool
        Whether the last class's weights are zero and not part of theta (Remark 2).
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal.

    Returns
    -------
    ndarray, shape (n_params, n_params)
        The Hessian.

    See Also
    --------
    fastlec.SoftmaxObjective, softmax_regression_hessian_mv

    Examples
    --------
    >>> fastlec.reference.softmax_regression_hessian([0.0, 0.0], [[1.0], [3.0]], [0, 1], fit_bias=False)
    array([[ 1.25, -1.25],
           [-1.25,  1.25]])
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


def softmax_regression_hessian_mv(
    theta: ArrayLike,
    v: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    n_classes: int | None = None,
    *,
    fit_bias: bool = True,
    l2: float = 0.0,
    reduced: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Float64Array:
    """The Hessian of softmax regression times a vector v = (dW, db).

    The gradient's formula is differentiated along v: the logits change by dZ = X dW' + db, the probabilities by
    P o (dZ - rowsum(P o dZ)).

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights W (l, n) in C order, then b (l,) if fit_bias.
    v : array_like, shape (n_params,)
        The direction, as theta.
    X : array_like, shape (m, n)
        One sample in each row.
    y : array_like, shape (m,) or (m, l)
        The class of each sample, or rows of probabilities.
    n_classes : int, optional
        The number l of classes, by default as y says.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    l2 : float
        The factor of the penalty 1/2 ||W||^2.
    reduced : bool
        Whether the last class's weights are zero and not part of theta (Remark 2).
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal.

    Returns
    -------
    ndarray, shape (n_params,)
        The Hessian times v.

    See Also
    --------
    fastlec.SoftmaxObjective, softmax_regression_hessian

    Examples
    --------
    >>> fastlec.reference.softmax_regression_hessian_mv([0.0, 0.0], [1.0, 0.0], [[1.0], [3.0]], [0, 1], fit_bias=False)
    array([ 1.25, -1.25])
    """
    n_classes = _count(y, n_classes)
    logits, _ = _logits(theta, X, n_classes, fit_bias, reduced)
    d_logits, dW = _logits(v, X, n_classes, fit_bias, reduced)
    p, w = softmax(logits), mean_weights(sample_weight, len(logits))
    dp = p * (d_logits - np.sum(p * d_logits, axis=1, keepdims=True))
    residual = (w[:, None] * dp)[:, : len(dW)]
    return _flat(residual.T @ float64(X=X)[0] + l2 * dW, residual.sum(axis=0), fit_bias)


def softmax_regression_data_gradient(
    theta: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    n_classes: int | None = None,
    *,
    fit_bias: bool = True,
    l2: float = 0.0,
    reduced: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Float64Array:
    """The derivatives of softmax regression by the samples, w_i (softmax - c)_i W (section 2.3.3).

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights W (l, n) in C order, then b (l,) if fit_bias.
    X : array_like, shape (m, n)
        One sample in each row.
    y : array_like, shape (m,) or (m, l)
        The class of each sample, or rows of probabilities.
    n_classes : int, optional
        The number l of classes, by default as y says.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    l2 : float
        F's derivatives by X do not depend on it.
    reduced : bool
        Whether the last class's weights are zero and not part of theta (Remark 2).
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal.

    Returns
    -------
    ndarray, shape (m, n)
        The derivatives of F by X.

    See Also
    --------
    fastlec.SoftmaxObjective, softmax_regression_gradient

    Examples
    --------
    >>> fastlec.reference.softmax_regression_data_gradient([1.0, -1.0], [[1.0], [3.0]], [0, 1], fit_bias=False)
    array([[-0.11920292],
           [ 0.99752738]])
    """
    logits, W = _logits(theta, X, _count(y, n_classes), fit_bias, reduced)
    return softmax_cross_entropy(logits, y, sample_weight)[1][:, : len(W)] @ W


def softmax_regression_predict_proba(
    theta: ArrayLike, X: ArrayLike, n_classes: int, *, fit_bias: bool = True, reduced: bool = False
) -> Float64Array:
    """The probabilities P(y = j | x_i) of softmax regression (eq. 10).

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights W (l, n) in C order, then b (l,) if fit_bias.
    X : array_like, shape (m, n)
        One sample in each row.
    n_classes : int
        The number l of classes.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    reduced : bool
        Whether the last class's weights are zero and not part of theta (Remark 2).

    Returns
    -------
    ndarray, shape (m, l)
        The probabilities.

    See Also
    --------
    fastlec.SoftmaxObjective, softmax_regression_value

    Examples
    --------
    >>> fastlec.reference.softmax_regression_predict_proba([1.0, -1.0], [[0.5], [3.0]], 2, fit_bias=False)
    array([[0.73105858, 0.26894142],
           [0.99752738, 0.00247262]])
    """
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


def logistic_regression_value(
    theta: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    *,
    fit_bias: bool = True,
    l2: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> float:
    """The objective F of logistic regression: the mean cross-entropy of the sigmoid and the penalty (eq. 9).

    F = -mean of y log sigma(z) + (1 - y) log(1 - sigma(z)) + l2/2 ||w||^2. log sigma(z) = -log(1 + exp(-z)) and
    log(1 - sigma(z)) = -log(1 + exp(z)), neither of which overflows.

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights w (n,), then b if fit_bias.
    X : array_like, shape (m, n)
        One sample in each row.
    y : array_like, shape (m,)
        0 or 1 for each sample.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    l2 : float
        The factor of the penalty 1/2 ||w||^2.
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal.

    Returns
    -------
    float
        F(theta).

    See Also
    --------
    fastlec.LogisticObjective, logistic_regression_gradient

    Examples
    --------
    >>> fastlec.reference.logistic_regression_value([0.0, 0.0], [[1.0], [3.0]], [0, 1])
    0.6931471805599453
    """
    z, w, y, weights = _logistic(theta, X, y, sample_weight)
    return float(weights @ (y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)) + 0.5 * l2 * w @ w)


def logistic_regression_gradient(
    theta: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    *,
    fit_bias: bool = True,
    l2: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> Float64Array:
    """The gradient of logistic regression (eq. 17).

    sum_i weight_i (sigma(z_i) - y_i) (x_i, 1) + l2 (w, 0).

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights w (n,), then b if fit_bias.
    X : array_like, shape (m, n)
        One sample in each row.
    y : array_like, shape (m,)
        0 or 1 for each sample.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    l2 : float
        The factor of the penalty 1/2 ||w||^2.
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal.

    Returns
    -------
    ndarray, shape (n_params,)
        The gradient.

    See Also
    --------
    fastlec.LogisticObjective, logistic_regression_value, logistic_regression_hessian

    Examples
    --------
    >>> fastlec.reference.logistic_regression_gradient([0.0, 0.0], [[1.0], [3.0]], [0, 1])
    array([-0.5,  0. ])
    """
    z, w, y, weights = _logistic(theta, X, y, sample_weight)
    residual = weights * (sigmoid(z) - y)
    return _flat(residual @ float64(X=X)[0] + l2 * w, residual.sum(keepdims=True), fit_bias)


def logistic_regression_hessian(
    theta: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    *,
    fit_bias: bool = True,
    l2: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> Float64Array:
    """The Hessian of logistic regression, X' D X and the penalty (section 2.3.1).

    D = diag(weight_i sigma'(z_i)); X has a column of ones for b; l2 stands on w's diagonal.

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights w (n,), then b if fit_bias.
    X : array_like, shape (m, n)
        One sample in each row.
    y : array_like, shape (m,)
        0 or 1 for each sample.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    l2 : float
        The factor of the penalty 1/2 ||w||^2.
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal.

    Returns
    -------
    ndarray, shape (n_params, n_params)
        The Hessian.

    See Also
    --------
    fastlec.LogisticObjective, logistic_regression_hessian_mv

    Examples
    --------
    >>> fastlec.reference.logistic_regression_hessian([0.0, 0.0], [[1.0], [3.0]], [0, 1])
    array([[1.25, 0.5 ],
           [0.5 , 0.25]])
    """
    z, w, y, weights = _logistic(theta, X, y, sample_weight)
    (X,) = float64(X=X)
    if fit_bias:
        X = np.hstack([X, np.ones((len(X), 1))])
    penalty = np.diag(_flat(np.full(w.shape, l2), np.zeros(1), fit_bias))
    return X.T @ np.diag(weights * sigmoid_derivative(z)) @ X + penalty


def logistic_regression_hessian_mv(
    theta: ArrayLike,
    v: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    *,
    fit_bias: bool = True,
    l2: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> Float64Array:
    """The Hessian of logistic regression times a vector v = (dw, db), X' (D (X dw + db)) + l2 dw.

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights w (n,), then b if fit_bias.
    v : array_like, shape (n_params,)
        The direction, as theta.
    X : array_like, shape (m, n)
        One sample in each row.
    y : array_like, shape (m,)
        0 or 1 for each sample.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    l2 : float
        The factor of the penalty 1/2 ||w||^2.
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal.

    Returns
    -------
    ndarray, shape (n_params,)
        The Hessian times v.

    See Also
    --------
    fastlec.LogisticObjective, logistic_regression_hessian

    Examples
    --------
    >>> fastlec.reference.logistic_regression_hessian_mv([0.0, 0.0], [1.0, 0.0], [[1.0], [3.0]], [0, 1])
    array([1.25, 0.5 ])
    """
    z, _, y, weights = _logistic(theta, X, y, sample_weight)
    dz, dw, _, _ = _logistic(v, X, y, sample_weight)
    residual = weights * sigmoid_derivative(z) * dz
    return _flat(residual @ float64(X=X)[0] + l2 * dw, residual.sum(keepdims=True), fit_bias)


def logistic_regression_data_gradient(
    theta: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    *,
    fit_bias: bool = True,
    l2: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> Float64Array:
    """The derivatives of logistic regression by the samples, weight_i (sigma(z_i) - y_i) w'.

    Parameters
    ----------
    theta : array_like, shape (n_params,)
        The weights w (n,), then b if fit_bias.
    X : array_like, shape (m, n)
        One sample in each row.
    y : array_like, shape (m,)
        0 or 1 for each sample.
    fit_bias : bool
        Whether there is a bias, which is not penalised.
    l2 : float
        F's derivatives by X do not depend on it.
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal.

    Returns
    -------
    ndarray, shape (m, n)
        The derivatives of F by X.

    See Also
    --------
    fastlec.LogisticObjective, logistic_regression_gradient

    Examples
    --------
    >>> fastlec.reference.logistic_regression_data_gradient([1.0, -1.0], [[1.0], [3.0]], [0, 1])
    array([[ 0.25      ],
           [-0.05960146]])
    """
    z, w, y, weights = _logistic(theta, X, y, sample_weight)
    return np.outer(weights * (sigmoid(z) - y), w)


def logistic_regression_predict_proba(theta: ArrayLike, X: ArrayLike) -> Float64Array:
    """The probabilities P(y = 1 | x_i) of logistic regression (eq. 4).

    Parameters
    ----------
    theta : array_like, shape (n,) or (n + 1,)
        The weights w, then b if there is one.
    X : array_like, shape (m, n)
        One sample in each row.

    Returns
    -------
    ndarray, shape (m,)
        The probabilities.

    See Also
    --------
    fastlec.LogisticObjective, logistic_regression_value

    Examples
    --------
    >>> fastlec.reference.logistic_regression_predict_proba([1.0, -1.0], [[0.5], [3.0]])
    array([0.37754067, 0.88079708])
    """
    return sigmoid(_logistic(theta, X)[0])


def _logistic(theta, X, y=(), sample_weight=None):
    """(z, w, y, weights); theta's length says whether it holds a bias."""
    theta, X, y = float64(theta=theta, X=X, y=y)
    w, b = theta[: X.shape[1]], theta[X.shape[1] :]
    return X @ w + b.sum(), w, y, mean_weights(sample_weight, len(X))
