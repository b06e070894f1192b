"""Dense and residual layers (chapter 3, sections 4.1.2 and 4.1.3)."""

import numpy as np

from .activations import value_and_derivative
from .arrays import float64

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
    x, W = float64(x=x, W=W)
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
    v, W2 = float64(v=v, W2=W2)
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
    v, x, W2 = float64(v=v, x=x, W2=W2)
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
