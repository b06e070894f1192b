"""The lecture's tests of a gradient, a Jacobian and a transposed Jacobian (section 4.3, eq. 38 and 39)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._typing import Seed
from .directions import given_direction, random_direction, random_directions, scale_of
from .lines import MIN_STEPS, Line, Lines
from .numbers import call, dot, float64, name_of, norm, norms, not_finite, real, require_shape
from .results import TaylorResult, TransposeResult

# An error below this part of the derivative is too small for errors of the gradient's entries to cancel to it by chance.
FINE = 1e-6
# The columns and rows of a Jacobian are compared where x has at most COLUMNS entries: each column is a product.
COLUMNS = 32
# Parts of a derivative that are less than WELL_SEEN times the error that the whole may have are tested by themselves.
WELL_SEEN = 20
# <u, Jv> and <J'u, v> are each right to about sqrt(n) eps |u| |Jv| (random signs); 10 allows for what J's code loses inside.
TRANSPOSE_UNITS = 10
SHOWN_ENTRIES = 8


def gradient_test(
    f: Callable[[NDArray[Any]], Any],
    grad: Callable[[NDArray[Any]], ArrayLike] | ArrayLike,
    x: ArrayLike,
    *,
    d: ArrayLike | None = None,
    eps0: float = 0.5,
    steps: int = 60,
    rng: Seed | None = None,
    name: str | None = None,
) -> TaylorResult:
    """Test that ``grad`` is the gradient of the scalar function ``f`` at x (lecture eq. 38 and 39).

    Passed means that f(x + e d) - f(x) - e <d, grad(x)> shrinks as e^2, as far as round-off lets this be told, which is to 1/125 of
    the derivative along d or better.

    Parameters
    ----------
    f : callable
        The function: f(x) is a number.
    grad : callable or array_like, shape of x
        The gradient: grad(x) has the shape of x. Or that array itself.
    x : array_like
        The point, of any shape, float32 or float64; integers become float64, float16 float32. The arithmetic of f and grad is taken
        to have that precision. Choose it away from stationary points.
    d : array_like, shape of x, optional
        The direction. By default it is random, each entry between a half and three halves of a scale: the greatest of that entry of
        x, the median of them and 1. It has the signs of grad(x), so that the terms of <d, grad> do not cancel.
    eps0 : float
        The step lengths are eps0 / 2^i, from the largest at which f is defined: real and finite, at x + e d and at x - e d.
        ValueError, ArithmeticError and RuntimeWarning of f say that it is not.
    steps : int
        How many steps are taken at most. They end where the first-order error has sunk to the round-off floor.
    rng : int or numpy.random.Generator, optional
        What d is drawn with; the same directions at every call by default.
    name : str, optional
        What the result calls f; by default the function's own name.

    Returns
    -------
    TaylorResult
        The verdict, the errors of all steps and the orders that they show.

    Raises
    ------
    ValueError
        If shapes or values do not fit.
    TypeError
        If an array is not of real numbers.

    See Also
    --------
    jacobian_test, check_layer

    Notes
    -----
    The first-order errors r(e) and r(-e) on both sides of x are extrapolated to e = 0, from the smallest steps up to where a kink
    or the end of the domain comes in between: r(e) - r(-e) is e times the error of the derivative, r(e) + r(-e) is e times the jump
    of the slope at a kink at x. Where it cannot be said whether both limits are zero, two more directions are tried, one of them
    with entries of x's own size. Entries of the gradient that are too small beside the others to be seen are tested by themselves;
    what is too small even then is named in ``note``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.testing import gradient_test
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> result = gradient_test(lambda x: np.sum(x**4), lambda x: 4 * x**3, x)
    >>> result.passed
    True
    >>> gradient_test(lambda x: np.sum(x**4), lambda x: 4 * x**2, x).passed
    False
    """
    x = real(x)
    _check.function(f, "f")
    with np.errstate(all="ignore"):
        g = real(call("grad", grad, x) if callable(grad) else grad, "grad")
    require_shape("grad", g, x.shape, "x")

    def value(x):
        y = _check.as_array(f(x), "f(x)")
        if y.size != 1:
            raise ValueError(f"f(x) has shape {y.shape}; gradient_test expects a number (see jacobian_test)")
        return y.reshape(())

    g64 = float64(g)
    lines = Lines(value, lambda v: np.vdot(g64, float64(v)), x, eps0, steps)
    return _taylor_test("gradient", lines, d, rng, name_of(name, f), weights=np.abs(g64), signs=g64)


def jacobian_test(
    f: Callable[[NDArray[Any]], Any],
    jac_mv: Callable[[NDArray[Any], NDArray[Any]], ArrayLike],
    x: ArrayLike,
    *,
    d: ArrayLike | None = None,
    eps0: float = 0.5,
    steps: int = 60,
    rng: Seed | None = None,
    name: str | None = None,
) -> TaylorResult:
    """Test that ``jac_mv(x, v)`` is the Jacobian of ``f`` at x times v, by the steps of `gradient_test`.

    Parameters
    ----------
    f : callable
        The function: f(x) is an array of any shape.
    jac_mv : callable
        The lecture's JacMV: jac_mv(x, v), v of the shape and dtype of x, has the shape of f(x).
    x : array_like
        The point, of any shape, float32 or float64.
    d : array_like, shape of x, optional
        The direction. By default it is random as that of `gradient_test`, with signs of its own.
    eps0 : float
        The largest step.
    steps : int
        How many steps are taken at most.
    rng : int or numpy.random.Generator, optional
        What d is drawn with; the same directions at every call by default.
    name : str, optional
        What the result calls f; by default the function's own name.

    Returns
    -------
    TaylorResult
        The verdict, the errors of all steps and the orders that they show.

    Raises
    ------
    ValueError
        If shapes or values do not fit.
    TypeError
        If an array is not of real numbers.

    See Also
    --------
    gradient_test, transpose_test, check_layer

    Notes
    -----
    The parts of the Jacobian that may be too small to be seen are columns and rows; they are looked at where x has at most 32
    entries.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.testing import jacobian_test
    >>> jacobian_test(np.sin, lambda x, v: np.cos(x) * v, np.linspace(0.1, 1, 5)).passed
    True
    """
    x = real(x)
    _check.function(f, "f")
    _check.function(jac_mv, "jac_mv")

    def product(v):
        return real(call("jac_mv(x, v)", jac_mv, x, v), "jac_mv(x, v)")

    lines = Lines(f, product, x, eps0, steps)
    weights, rows = _columns_and_rows(lines) if 1 < x.size <= COLUMNS else (None, None)
    return _taylor_test("Jacobian", lines, d, rng, name_of(name, f), weights, rows)


def transpose_test(
    jac_mv: Callable[[NDArray[Any], NDArray[Any]], ArrayLike],
    jac_tmv: Callable[[NDArray[Any], NDArray[Any]], ArrayLike],
    x: ArrayLike,
    *,
    directions: int = 5,
    rng: Seed | None = None,
    name: str | None = None,
) -> TransposeResult:
    """Test that ``jac_tmv`` is the transpose of ``jac_mv``: <u, jac_mv(x, v)> = <jac_tmv(x, u), v> for random u and v.

    Passed means that each distance is at most C sqrt(n) eps max(|u| |Jv|, |J'u| |v|), n the greater number of entries and eps
    that of x's dtype. Dot products and norms are taken in float64.

    Parameters
    ----------
    jac_mv : callable
        JacMV: jac_mv(x, v) = J(x) v for v of the shape and dtype of x. A Jacobian test should vouch for it.
    jac_tmv : callable
        JacTMV: jac_tmv(x, u) = J(x)' u for u of the shape of J v, of the shape of x.
    x : array_like
        The point, of any shape, float32 or float64; integers become float64.
    directions : int
        How many pairs (u, v) of standard normal entries are tried.
    rng : int or numpy.random.Generator, optional
        What they are drawn with; the same directions at every call by default.
    name : str, optional
        What the result calls jac_mv; by default the function's own name.

    Returns
    -------
    TransposeResult
        The verdict, and both products of each pair.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If x is not of real numbers.

    See Also
    --------
    jacobian_test, check_layer

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.testing import transpose_test
    >>> A = np.array([[1.0, 2.0], [0.0, 3.0]])
    >>> transpose_test(lambda x, v: A @ v, lambda x, u: A.T @ u, np.ones(2)).passed
    True
    >>> transpose_test(lambda x, v: A @ v, lambda x, u: A @ u, np.ones(2)).passed
    False
    """
    x = real(x)
    _check.function(jac_mv, "jac_mv")
    _check.function(jac_tmv, "jac_tmv")
    rng = _check.generator(0 if rng is None else rng)
    rows = []
    for _ in range(_check.count(directions, "directions", 1)):
        v = rng.standard_normal(x.shape).astype(x.dtype)
        Jv = real(call("jac_mv(x, v)", jac_mv, x, v), "jac_mv(x, v)")
        u = rng.standard_normal(Jv.shape).astype(x.dtype)
        Jtu = real(call("jac_tmv(x, u)", jac_tmv, x, u), "jac_tmv(x, u)")
        require_shape("jac_tmv(x, u)", Jtu, x.shape, "x")
        size = max(norm(u) * norm(Jv), norm(Jtu) * norm(v))
        bound = TRANSPOSE_UNITS * np.sqrt(max(u.size, v.size)) * np.finfo(x.dtype).eps * size
        rows.append((dot(u, Jv), dot(Jtu, v), bound))
    forward, backward, bounds = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    with np.errstate(invalid="ignore"):
        errors = np.abs(forward - backward)
    reason = None
    if not np.isfinite(errors).all() or not np.isfinite(bounds).all():
        reason = "J v or J^T u holds NaN or infinity"
    elif not (errors <= bounds).all():
        reason = f"<u, Jv> and <J^T u, v> differ by {np.max(errors / bounds):.2g} times what round-off explains"
    elif not bounds.any():
        reason = "J v and J^T u are zero in every direction: nothing was tested"
    return TransposeResult(
        name=name_of(name, jac_mv),
        kind="transpose",
        dtype=x.dtype,
        passed=reason is None,
        reason=reason,
        forward=forward,
        backward=backward,
        errors=errors,
        bounds=bounds,
    )


def _taylor_test(kind, lines, d, rng, name, weights=None, rows=None, signs=None):
    """The test along d, or along random directions until one shows enough, and that of the parts which are too small there.

    weights : how much of J d comes from each entry of x, for a d of ones, None if unknown; rows : how much of it goes to each
    entry of f(x), None if unknown or if there is only one; signs : those of the random directions.
    """
    x, line, note = lines.x, None, None
    rng = _check.generator(0 if rng is None else rng)
    given = {"x": x} if d is None else {"x": x, "d": given_direction(d, x)}
    reason = not_finite(**given, **{"f(x)": lines.y})
    if not x.size:
        reason = f"x has shape {x.shape}: there is nothing to test"
    elif d is not None and not given["d"].any():
        reason = "d is zero: there is nothing to test"
    with np.errstate(all="ignore"):
        directions = random_directions(x, rng, weights, signs) if d is None else [given["d"]]
        for direction in [] if reason else directions:
            seen = lines.along(direction)
            final, text, remark = seen.verdict()
            if line is None or final:
                line, reason, note = seen, text, remark
            if final:
                break
        if line is not None and reason is None and signs is not None and d is None and line.bound > FINE * line.slope:
            reason = _other_signs(lines, line, direction, rng)
        if line is not None and reason is None and weights is not None:
            reason, remark = _small_parts(lines, line, direction, weights * np.abs(direction), rows)
            note = "; ".join(filter(None, (note, remark))) or None
        if line is not None and not np.array_equal(lines.value(x), lines.y):
            reason = "f(x) is not the same at a second call"
    line = line or Line([], 0.0)
    return TaylorResult(
        name=name,
        kind=kind,
        dtype=x.dtype,
        passed=reason is None,
        reason=reason,
        note=note if reason is None else None,
        epsilons=line.epsilons,
        zeroth_errors=line.zeroth,
        first_errors=line.first,
        floors=line.floors,
        fitted=line.fitted,
        zeroth_order=line.orders[0],
        first_order=line.orders[1],
    )


def _other_signs(lines, line, d, rng):
    """Why the derivative is wrong, if a direction with other signs shows it: in one number, errors may cancel along d."""
    d = random_direction(lines.x, rng, np.abs(d))
    final, reason, _ = lines.along(d, eps0=line.epsilons[line.start], steps=2 * MIN_STEPS).verdict()
    return reason if final else None


def _small_parts(lines, line, d, columns, rows):
    """(reason, note): tests the parts of the derivative that are too small for ``line`` by themselves, and names what is left."""
    retries = lambda seen: lines.along(np.where(seen, 0, d)), lambda seen: lines.along(d, rows=~seen)
    notes, least = [], 2 * lines.noise() / lines.eps0
    for name, sizes, along in zip(("x", "f(x)"), (columns, rows), retries, strict=True):
        if sizes is None:
            continue
        seen, unseen = sizes > WELL_SEEN * line.bound, sizes <= 2 * line.bound
        while seen.any() and np.any(~seen & (sizes > (least if name == "x" else 0))):
            tested = along(seen)
            final, reason, _ = tested.verdict()
            if final and reason:
                return f"of the small parts by {_entries(name, ~seen)} alone, {reason}", None
            unseen &= sizes <= 2 * tested.bound
            now = seen | (sizes > WELL_SEEN * tested.bound)
            if not final or (now == seen).all():
                break
            seen = now
        unseen &= sizes > 0
        if unseen.all():
            notes.append(f"no entry of {name} by itself counts enough for an error in it alone to be seen")
        elif unseen.any():
            notes.append(f"too small beside the others for an error to be seen: {_entries(name, unseen)}")
    return None, "; ".join(notes) or None


def _columns_and_rows(lines):
    """(what each entry of x adds to J d, what each entry of f(x) gets from it), for a d of x's scale."""
    scale = scale_of(lines.x)
    units = [e.reshape(scale.shape) for e in np.eye(scale.size)]
    with np.errstate(all="ignore"):
        columns = np.array([lines.slope((e * scale).astype(lines.x.dtype)).ravel() for e in units])
    weights = norms(columns).reshape(scale.shape) / scale
    return weights, norms(columns.T).reshape(lines.y.shape) if lines.y.size > 1 else None


def _entries(name, which):
    """The entries of x or f(x) in a mask, as text."""
    indices = [", ".join(map(str, index)) for index in np.argwhere(which).tolist()]
    more = len(indices) - SHOWN_ENTRIES
    return ", ".join(f"{name}[{i}]" for i in indices[:SHOWN_ENTRIES]) + (f" and {more} more" if more > 0 else "")
