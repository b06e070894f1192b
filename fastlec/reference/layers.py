"""Dense and residual layers (chapter 3, sections 4.1.2 and 4.1.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .activations import value_and_derivative
from .arrays import Float64Array, float64

# x is (m, n), W (k, n), b (k,) or None, y (m, k).  Each layer has four functions:
#     f(x, ...)                    y
#     f_jac_mv(x, ..., dx=...)     JacMV: the sum over the directions given, shape of y
#     f_jac_tmv(v, x, ...)         JacTMV: a dict of each variable's name -> J' v, shape of the variable
#     f_jacobian(x, ..., variable) J itself, (y.size, variable.size), y and the variable raveled in C order
#
# The lecture stacks columns.  Its samples are columns, X = x', so vec(X) and vec(Y) are x and y raveled in C order.  But W
# is the same matrix there and here: its Jacobian is the lecture's with the columns brought from vec's order into C order.


def dense(x: ArrayLike, W: ArrayLike, b: ArrayLike | None, activation: str) -> Float64Array:
    """A dense layer, y = sigma(x W' + b) (eq. 21).

    Parameters
    ----------
    x : array_like, shape (m, n)
        One sample in each row.
    W : array_like, shape (k, n)
        Weights.
    b : array_like, shape (k,), or None
        Bias.
    activation : str
        The name that layers take, such as "tanh".

    Returns
    -------
    ndarray, shape (m, k)
        The output y, float64.

    See Also
    --------
    fastlec.Dense, dense_jac_mv, dense_jac_tmv

    Examples
    --------
    >>> fastlec.reference.dense([[1.0, 2.0]], [[3.0, 4.0]], [0.5], "identity")
    array([[11.5]])
    """
    return value_and_derivative(_affine(x, W, b), activation)[0]


def dense_jac_mv(
    x: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None,
    activation: str,
    dx: ArrayLike | None = None,
    dW: ArrayLike | None = None,
    db: ArrayLike | None = None,
) -> Float64Array:
    """JacMV of a dense layer, sigma'(z) o (dx W' + x dW' + db), z = x W' + b (section 4.1.2).

    Parameters
    ----------
    x : array_like, shape (m, n)
        One sample in each row.
    W : array_like, shape (k, n)
        Weights.
    b : array_like, shape (k,), or None
        Bias.
    activation : str
        The name that layers take, such as "tanh".
    dx, dW, db : array_like, optional
        Directions, each of the shape of its variable; None for 0.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times the directions: how y changes to first order.

    See Also
    --------
    dense, dense_jac_tmv, dense_jacobian

    Examples
    --------
    >>> fastlec.reference.dense_jac_mv([[1.0, 2.0]], [[3.0, 4.0]], None, "identity", dx=[[1.0, 1.0]])
    array([[7.]])
    """
    return _slope(x, W, b, activation) * _affine_jac_mv(x, W, dx, dW, db)


def dense_jac_tmv(v: ArrayLike, x: ArrayLike, W: ArrayLike, b: ArrayLike | None, activation: str) -> dict[str, Float64Array]:
    """JacTMV of a dense layer (section 4.1.2).

    With s = sigma'(z) o v it is s W for x, s' x = sum_i s_i x_i' for W (eq. 37), and the sum of the s_i for b.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (m, n)
        One sample in each row.
    W : array_like, shape (k, n)
        Weights.
    b : array_like, shape (k,), or None
        Bias.
    activation : str
        The name that layers take, such as "tanh".

    Returns
    -------
    dict of str to ndarray
        For each variable its name, and J' v in its shape.

    See Also
    --------
    dense, dense_jac_mv

    Examples
    --------
    >>> fastlec.reference.dense_jac_tmv([[1.0]], [[1.0, 2.0]], [[3.0, 4.0]], None, "identity")
    {'x': array([[3., 4.]]), 'W': array([[1., 2.]])}
    """
    x, W = float64(x=x, W=W)
    s = _slope(x, W, b, activation) * v
    return {"x": s @ W, "W": s.T @ x} | ({} if b is None else {"b": s.sum(axis=0)})


def dense_jacobian(x: ArrayLike, W: ArrayLike, b: ArrayLike | None, activation: str, variable: str) -> Float64Array:
    """The Jacobian of a dense layer as a matrix (section 4.1.2).

    diag(sigma'(z)) times I kron W for x, X' kron I for W (eq. 36), 1 kron I for b; the lecture's columns are brought from vec's
    order into C order.

    Parameters
    ----------
    x : array_like, shape (m, n)
        One sample in each row.
    W : array_like, shape (k, n)
        Weights.
    b : array_like, shape (k,), or None
        Bias.
    activation : str
        The name that layers take, such as "tanh".
    variable : str
        "x", "W" or "b".

    Returns
    -------
    ndarray, shape (y.size, size of the variable)
        The Jacobian; y and the variable are raveled in C order.

    See Also
    --------
    dense, dense_jac_mv

    Examples
    --------
    >>> fastlec.reference.dense_jacobian([[1.0, 2.0]], [[3.0, 4.0]], None, "identity", "W")
    array([[1., 2.]])
    """
    return _slope(x, W, b, activation).reshape(-1, 1) * _affine_jacobian(x, W, variable)


def residual(x: ArrayLike, W1: ArrayLike, b: ArrayLike | None, W2: ArrayLike, activation: str) -> Float64Array:
    """A residual layer, y = x + sigma(x W1' + b) W2' (eq. 22).

    Parameters
    ----------
    x : array_like, shape (m, n)
        One sample in each row.
    W1 : array_like, shape (k, n)
        Weights inside the activation.
    b : array_like, shape (k,), or None
        Bias inside the activation.
    W2 : array_like, shape (n, k)
        Weights that take the activations back.
    activation : str
        The name that layers take, such as "tanh".

    Returns
    -------
    ndarray, shape of y
        The output y, (m, n), float64.

    See Also
    --------
    fastlec.Residual, residual_jac_mv, residual_jac_tmv

    Examples
    --------
    >>> fastlec.reference.residual([[1.0]], [[2.0]], None, [[3.0]], "identity")
    array([[7.]])
    """
    return x + _affine(dense(x, W1, b, activation), W2, None)


def residual_jac_mv(
    x: ArrayLike,
    W1: ArrayLike,
    b: ArrayLike | None,
    W2: ArrayLike,
    activation: str,
    dx: ArrayLike | None = None,
    dW1: ArrayLike | None = None,
    db: ArrayLike | None = None,
    dW2: ArrayLike | None = None,
) -> Float64Array:
    """JacMV of a residual layer, dx + da W2' + a dW2' (section 4.1.3).

    a = sigma(x W1' + b) changes by da along (dx, dW1, db).

    Parameters
    ----------
    x : array_like, shape (m, n)
        One sample in each row.
    W1 : array_like, shape (k, n)
        Weights inside the activation.
    b : array_like, shape (k,), or None
        Bias inside the activation.
    W2 : array_like, shape (n, k)
        Weights that take the activations back.
    activation : str
        The name that layers take, such as "tanh".
    dx, dW1, db, dW2 : array_like, optional
        Directions, each of the shape of its variable; None for 0.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times the directions: how y changes to first order.

    See Also
    --------
    residual, residual_jac_tmv

    Examples
    --------
    >>> fastlec.reference.residual_jac_mv([[1.0]], [[2.0]], None, [[3.0]], "identity", dx=[[1.0]])
    array([[7.]])
    """
    a = dense(x, W1, b, activation)
    da = dense_jac_mv(x, W1, b, activation, dx, dW1, db)
    return _affine_jac_mv(a, W2, da, dW2, None) + (0.0 if dx is None else dx)


def residual_jac_tmv(
    v: ArrayLike, x: ArrayLike, W1: ArrayLike, b: ArrayLike | None, W2: ArrayLike, activation: str
) -> dict[str, Float64Array]:
    """JacTMV of a residual layer (section 4.1.3).

    It is v' a for W2 with a = sigma(x W1' + b). For the others it is what a's Jacobian makes of v W2; for x, v itself is
    added.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (m, n)
        One sample in each row.
    W1 : array_like, shape (k, n)
        Weights inside the activation.
    b : array_like, shape (k,), or None
        Bias inside the activation.
    W2 : array_like, shape (n, k)
        Weights that take the activations back.
    activation : str
        The name that layers take, such as "tanh".

    Returns
    -------
    dict of str to ndarray
        For each variable its name, and J' v in its shape.

    See Also
    --------
    residual, residual_jac_mv

    Examples
    --------
    >>> fastlec.reference.residual_jac_tmv([[1.0]], [[1.0]], [[2.0]], None, [[3.0]], "identity")
    {'x': array([[7.]]), 'W1': array([[3.]]), 'W2': array([[2.]])}
    """
    v, W2 = float64(v=v, W2=W2)
    inner = dense_jac_tmv(v @ W2, x, W1, b, activation)
    return _renamed(inner, x=v + inner["x"], W2=v.T @ dense(x, W1, b, activation))


def residual_jacobian(
    x: ArrayLike, W1: ArrayLike, b: ArrayLike | None, W2: ArrayLike, activation: str, variable: str
) -> Float64Array:
    """The Jacobian of a residual layer as a matrix (section 4.1.3).

    a' kron I for W2; for the others (I kron W2) diag(sigma'(z)) times those of x W1' + b; for x, I is added.

    Parameters
    ----------
    x : array_like, shape (m, n)
        One sample in each row.
    W1 : array_like, shape (k, n)
        Weights inside the activation.
    b : array_like, shape (k,), or None
        Bias inside the activation.
    W2 : array_like, shape (n, k)
        Weights that take the activations back.
    activation : str
        The name that layers take, such as "tanh".
    variable : str
        "x", "W1", "b" or "W2".

    Returns
    -------
    ndarray, shape (y.size, size of the variable)
        The Jacobian; y and the variable are raveled in C order.

    See Also
    --------
    residual, residual_jac_mv

    Examples
    --------
    >>> fastlec.reference.residual_jacobian([[1.0]], [[2.0]], None, [[3.0]], "identity", "W2")
    array([[2.]])
    """
    a = dense(x, W1, b, activation)
    if variable == "W2":
        return _affine_jacobian(a, W2, "W")
    J = _affine_jacobian(a, W2, "x") @ dense_jacobian(x, W1, b, activation, _INNER[variable])
    return J + np.eye(len(J)) if variable == "x" else J


def projected_residual(x: ArrayLike, W1: ArrayLike, b: ArrayLike | None, W2: ArrayLike, activation: str) -> Float64Array:
    """A residual layer that changes the width, y = x W2' + sigma(x W1' + b) (eq. 23).

    Parameters
    ----------
    x : array_like, shape (m, n)
        One sample in each row.
    W1 : array_like, shape (k, n)
        Weights inside the activation.
    b : array_like, shape (k,), or None
        Bias inside the activation.
    W2 : array_like, shape (k, n)
        Weights of the samples themselves.
    activation : str
        The name that layers take, such as "tanh".

    Returns
    -------
    ndarray, shape of y
        The output y, (m, k), float64.

    See Also
    --------
    fastlec.ProjectedResidual, projected_residual_jac_mv, projected_residual_jac_tmv

    Examples
    --------
    >>> fastlec.reference.projected_residual([[1.0]], [[2.0]], None, [[3.0]], "identity")
    array([[5.]])
    """
    return _affine(x, W2, None) + dense(x, W1, b, activation)


def projected_residual_jac_mv(
    x: ArrayLike,
    W1: ArrayLike,
    b: ArrayLike | None,
    W2: ArrayLike,
    activation: str,
    dx: ArrayLike | None = None,
    dW1: ArrayLike | None = None,
    db: ArrayLike | None = None,
    dW2: ArrayLike | None = None,
) -> Float64Array:
    """JacMV of a projected residual layer.

    It is dx W2' + x dW2', and what sigma(x W1' + b) changes by along (dx, dW1, db).

    Parameters
    ----------
    x : array_like, shape (m, n)
        One sample in each row.
    W1 : array_like, shape (k, n)
        Weights inside the activation.
    b : array_like, shape (k,), or None
        Bias inside the activation.
    W2 : array_like, shape (k, n)
        Weights of the samples themselves.
    activation : str
        The name that layers take, such as "tanh".
    dx, dW1, db, dW2 : array_like, optional
        Directions, each of the shape of its variable; None for 0.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times the directions: how y changes to first order.

    See Also
    --------
    projected_residual, projected_residual_jac_tmv

    Examples
    --------
    >>> fastlec.reference.projected_residual_jac_mv([[1.0]], [[2.0]], None, [[3.0]], "identity", dx=[[1.0]])
    array([[5.]])
    """
    return _affine_jac_mv(x, W2, dx, dW2, None) + dense_jac_mv(x, W1, b, activation, dx, dW1, db)


def projected_residual_jac_tmv(
    v: ArrayLike, x: ArrayLike, W1: ArrayLike, b: ArrayLike | None, W2: ArrayLike, activation: str
) -> dict[str, Float64Array]:
    """JacTMV of a projected residual layer.

    It is v' x for W2. For the others it is what the Jacobian of sigma(x W1' + b) makes of v; for x, v W2 is added.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (m, n)
        One sample in each row.
    W1 : array_like, shape (k, n)
        Weights inside the activation.
    b : array_like, shape (k,), or None
        Bias inside the activation.
    W2 : array_like, shape (k, n)
        Weights of the samples themselves.
    activation : str
        The name that layers take, such as "tanh".

    Returns
    -------
    dict of str to ndarray
        For each variable its name, and J' v in its shape.

    See Also
    --------
    projected_residual, projected_residual_jac_mv

    Examples
    --------
    >>> fastlec.reference.projected_residual_jac_tmv([[1.0]], [[1.0]], [[2.0]], None, [[3.0]], "identity")
    {'x': array([[5.]]), 'W1': array([[1.]]), 'W2': array([[1.]])}
    """
    v, x, W2 = float64(v=v, x=x, W2=W2)
    inner = dense_jac_tmv(v, x, W1, b, activation)
    return _renamed(inner, x=v @ W2 + inner["x"], W2=v.T @ x)


def projected_residual_jacobian(
    x: ArrayLike, W1: ArrayLike, b: ArrayLike | None, W2: ArrayLike, activation: str, variable: str
) -> Float64Array:
    """The Jacobian of a projected residual layer as a matrix.

    X' kron I for W2; for the others those of sigma(x W1' + b); for x, I kron W2 is added.

    Parameters
    ----------
    x : array_like, shape (m, n)
        One sample in each row.
    W1 : array_like, shape (k, n)
        Weights inside the activation.
    b : array_like, shape (k,), or None
        Bias inside the activation.
    W2 : array_like, shape (k, n)
        Weights of the samples themselves.
    activation : str
        The name that layers take, such as "tanh".
    variable : str
        "x", "W1", "b" or "W2".

    Returns
    -------
    ndarray, shape (y.size, size of the variable)
        The Jacobian; y and the variable are raveled in C order.

    See Also
    --------
    projected_residual, projected_residual_jac_mv

    Examples
    --------
    >>> fastlec.reference.projected_residual_jacobian([[1.0]], [[2.0]], None, [[3.0]], "identity", "W2")
    array([[1.]])
    """
    if variable == "W2":
        return _affine_jacobian(x, W2, "W")
    J = dense_jacobian(x, W1, b, activation, _INNER[variable])
    return J + _affine_jacobian(x, W2, "x") if variable == "x" else J


_INNER = {"x": "x", "W1": "W", "b": "b"}  # what Dense calls the variables of sigma(x W1' + b)


def _renamed(inner, x, W2):
    """Dense's products under a residual layer's names, in its order, with its own x and W2."""
    return {name: inner[of] for name, of in _INNER.items() if of in inner} | {"x": x, "W2": W2}


def _affine(x, W, b):
    x, W = float64(x=x, W=W)
    return x @ W.T + (0.0 if b is None else b)


def _slope(x, W, b, activation):
    return value_and_derivative(_affine(x, W, b), activation)[1]


def _affine_jac_mv(x, W, dx, dW, db):
    """dx W' + x dW' + db of those that are given."""
    x, W = float64(x=x, W=W)
    dy = np.zeros((len(x), len(W)))
    if dx is not None:
        dy += dx @ W.T
    if dW is not None:
        dy += x @ np.transpose(dW)
    return dy if db is None else dy + db


def _affine_jacobian(x, W, variable):
    """The Jacobian of x W' + b: I kron W, X' kron I with its columns in C order, 1 kron I."""
    x, W = float64(x=x, W=W)
    (m, n), k = x.shape, len(W)
    if variable == "x":
        return np.kron(np.eye(m), W)
    if variable == "b":
        return np.kron(np.ones((m, 1)), np.eye(k))
    # Entry W_ij is number j k + i of vec(W), number i n + j in C order: the latter's columns, taken from the former's.
    vec_order = np.arange(n * k).reshape(n, k).T.ravel()
    return np.kron(x, np.eye(k))[:, vec_order]
