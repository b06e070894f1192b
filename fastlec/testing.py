"""The lecture's three derivative tests (section 4.3): is this code the derivative of that code?

    gradient_test(f, grad, x)             eq. 38 and 39: f(x + e d) - f(x) - e <d, grad(x)> must shrink as e^2
    jacobian_test(f, jac_mv, x)           the same for a vector-valued f, with jac_mv(x, v) = J(x) v
    transpose_test(jac_mv, jac_tmv, x)    <u, J v> = <J' u, v>, with jac_tmv(x, u) = J(x)' u
    check_layer(layer, x)                 all of these for every variable of a layer, and the rest of a layer's contract

Each returns a result with ``passed``, ``reason`` (why it failed), ``note`` (what is worth knowing though it passed), the
numbers behind it, the classic table as ``str(result)``, ``result.plot()`` and ``result.assert_passed()``.

The functions under test get read-only copies of x and of the directions, so one that writes into its input raises.
"""

from dataclasses import dataclass, field

import numpy as np

from . import _check

# The round-off floor of a first-order error.  f(x), f(x + e d) and J e d are each right to about eps times their size; a
# function may lose more inside (long sums, cancellation), so its noise is measured as well, with NOISE_STEPS steps from eps
# to eps^(3/4), where the true error, O(eps^(3/2)), is far below eps.  The floor lies 16 times above the greater of the two:
# an error at the floor then has a few per cent of noise, which moves a fitted order by less than the tolerances below.
NOISE_MARGIN = 16
NOISE_STEPS = 8
# Fitted are the smallest steps above the floor, where an error of the derivative shows best: 5, and no fewer than 4.
MIN_STEPS = 4
FIT_STEPS = 5
# A linear map is believed where f changes by 100 floors or more: the derivative is then right to one per cent at the
# smallest such step and, with MIN_STEPS of them, to about one in a thousand at the largest.
WELL_ABOVE = 100
ZEROTH_ORDER = (0.9, 1.1)
FIRST_ORDER = (1.8, 2.2)
# An order below this is 1, or worse, rather than 2: used where only that question is asked.
NOT_SECOND_ORDER = 1.5
# <u, Jv> and <J'u, v> are each right to about sqrt(n) eps |u| |Jv| (random signs); 10 allows for what J's code loses inside.
TRANSPOSE_UNITS = 10
SHOWN_STEPS = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class _Result:
    name: str
    kind: str
    dtype: np.dtype
    passed: bool
    reason: str | None = None
    note: str | None = None

    def assert_passed(self):
        """Raise AssertionError, with the table as its text, unless the test passed."""
        if not self.passed:
            raise AssertionError(str(self))

    @property
    def heading(self):
        """One line: what was tested, in which precision, and the verdict."""
        return f"{self.kind} test of {self.name} [{self.dtype}]: {'passed' if self.passed else 'FAILED'}"

    def __str__(self):
        return "\n".join([self.heading, *(f"  {text}" for text in (self.reason, self.note) if text), *self._table()])

    def _summary(self):
        """The numbers in a few words, for a table of many tests."""
        return ""


@dataclass(frozen=True, eq=False, kw_only=True)
class TaylorResult(_Result):
    """Result of a gradient or Jacobian test.  The arrays have one entry per step, largest epsilon first.

    epsilons : the step lengths epsilon_i = epsilon_0 / 2^i.
    zeroth_errors : |f(x + e d) - f(x)|, which should shrink as epsilon (eq. 38).
    first_errors : |f(x + e d) - f(x) - J e d|, which should shrink as epsilon^2 (eq. 39).
    floors : the round-off floor of first_errors; below it nothing can be told.
    fitted : which steps the observed orders were fitted to.
    zeroth_order, first_order : the observed orders, NaN where no steps could be fitted.
    """

    epsilons: np.ndarray = field(repr=False)
    zeroth_errors: np.ndarray = field(repr=False)
    first_errors: np.ndarray = field(repr=False)
    floors: np.ndarray = field(repr=False)
    fitted: np.ndarray = field(repr=False)
    zeroth_order: float = np.nan
    first_order: float = np.nan

    def _table(self):
        if not self.epsilons.size:
            return []
        hidden = max(0, len(self.epsilons) - SHOWN_STEPS)
        lines = [f"  {'epsilon':>10}  {'zeroth error':>12}  order  {'first error':>12}  order"]
        lines += [f"  ({hidden} larger steps)"] if hidden else []
        zeroth, first = self.zeroth_errors, self.first_errors
        marks = np.where(self.fitted, "  *", np.where(np.isfinite(first) & (first <= self.floors), "  round-off", ""))
        rows = zip(self.epsilons, zeroth, _ratios(zeroth), first, _ratios(first), marks, strict=True)
        for row in list(rows)[hidden:]:
            lines.append("  {:10.3e}  {:12.4e}  {:5.2f}  {:12.4e}  {:5.2f}{}".format(*row))
        if self.fitted.any():
            orders = f"zeroth {self.zeroth_order:.3f} (1 expected), first {self.first_order:.3f} (2 expected)"
            lines.append(f"  observed orders over the steps marked *: {orders}")
        return lines

    def _summary(self):
        if not self.fitted.any():
            return f"{len(self.epsilons)} steps"
        return f"orders {self.zeroth_order:.2f} and {self.first_order:.2f}"

    def plot(self, ax=None):
        """Draw both errors, their slopes' guides and the floor over epsilon, log-log; returns the matplotlib axes."""
        ax = _axes(ax)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.plot(self.epsilons, self.zeroth_errors, "o-", label="zeroth order: $|f(x+\\epsilon d)-f(x)|$")
        ax.plot(self.epsilons, self.first_errors, "s-", label="first order: $|f(x+\\epsilon d)-f(x)-J\\epsilon d|$")
        if self.epsilons.size:
            for errors, power in ((self.zeroth_errors, 1), (self.first_errors, 2)):
                start = np.flatnonzero(self.fitted)[0] if self.fitted.any() else 0
                guide = errors[start] * (self.epsilons / self.epsilons[start]) ** power
                ax.plot(self.epsilons, guide, ":", color="0.5", label=f"$\\epsilon^{power}$")
        ax.plot(self.epsilons, self.floors, "--", color="0.7", label="round-off floor")
        ax.set_xlabel("$\\epsilon$")
        ax.set_title(self.heading)
        ax.legend()
        return ax


@dataclass(frozen=True, eq=False, kw_only=True)
class TransposeResult(_Result):
    """Result of a transpose test.  The arrays have one entry per pair of directions (u, v).

    forward, backward : <u, J v> and <J' u, v>.
    errors : their distance.
    bounds : what round-off explains, the limit of ``errors``.
    """

    forward: np.ndarray = field(repr=False)
    backward: np.ndarray = field(repr=False)
    errors: np.ndarray = field(repr=False)
    bounds: np.ndarray = field(repr=False)

    def _table(self):
        lines = [f"  {'<u, Jv>':>14}  {'<J^T u, v>':>14}  {'distance':>10}  {'bound':>10}"]
        for row in zip(self.forward, self.backward, self.errors, self.bounds, strict=True):
            lines.append("  {:14.6e}  {:14.6e}  {:10.2e}  {:10.2e}".format(*row))
        return lines if self.errors.size else []

    def _summary(self):
        return f"{len(self.errors)} pairs of directions"

    def plot(self, ax=None):
        """Draw distances and bounds over the directions, logarithmic; returns the matplotlib axes."""
        ax = _axes(ax)
        ax.set_yscale("log")
        directions = np.arange(1, len(self.errors) + 1)
        ax.plot(directions, self.errors, "o", label="$|\\langle u, Jv\\rangle - \\langle J^T u, v\\rangle|$")
        ax.plot(directions, self.bounds, "--", color="0.5", label="bound")
        ax.set_xlabel("direction")
        ax.set_title(self.heading)
        ax.legend()
        return ax


@dataclass(frozen=True, eq=False, kw_only=True)
class ContractResult(_Result):
    """Result of a test that compares arrays, shapes or names.

    comparisons : how many there were.
    failures : one line for each that did not hold.
    """

    comparisons: int
    failures: tuple[str, ...] = field(repr=False)

    def _table(self):
        return [f"  {failure}" for failure in self.failures[1:]]

    def _summary(self):
        return f"{self.comparisons} comparisons"


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerResult(_Result):
    """Result of :func:`check_layer`: ``results``, a list of the single tests' results, printed as one line for each."""

    results: list[_Result] = field(repr=False)

    def _table(self):
        lines = []
        for result in self.results:
            verdict = "passed" if result.passed else "FAILED"
            lines.append(f"  {verdict}  {f'{result.kind} test of {result.name}':<50}  {result._summary()}".rstrip())
        for result in self.results:
            if not result.passed:
                lines += ["", *(f"  {line}" for line in str(result).splitlines())]
        return lines

    def plot(self, ax=None):
        """Draw the errors of all gradient and Jacobian tests over epsilon, log-log; returns the matplotlib axes."""
        from .plot import derivative_tests

        return derivative_tests([(f"{result.kind} test of {result.name}", result) for result in self.results], _axes(ax))


def gradient_test(f, grad, x, *, d=None, eps0=0.5, steps=60, rng=None, name=None):
    """Test that ``grad`` is the gradient of the scalar function ``f`` at x (eq. 38 and 39).

    f : callable, f(x) is a number.
    grad : callable, grad(x) has the shape of x; or that array itself.
    x : array of any shape, float32 or float64 (integers become float64); the arithmetic of f and grad is taken to
        have that precision.  Choose it away from kinks and from stationary points.
    d : direction, shape of x.  By default standard normal entries, times the root mean square of x where that exceeds 1,
        with the signs of grad(x), so that the terms of <d, grad> do not cancel.
    eps0, steps : the step lengths are eps0 / 2^i, i = 0, 1, ..., until the first-order error has sunk to the
        round-off floor, at most ``steps`` of them.
    rng : seed or numpy.random.Generator for d; the same direction at every call by default.
    name : what the result calls f; by default the function's own name.

    Returns a :class:`TaylorResult`.  Passed means: over the at most 6, at least 4, smallest steps whose first-order
    error is above the floor, the zeroth-order error shrinks with order 1 (0.9 to 1.1) and the first-order error with
    order 2 (1.8 or more; above 2.2, where the second derivative along d vanishes, the result says so).  If
    the first-order error is at the floor at every step while f does change, f is linear along d and that passes as well.
    ValueError where shapes do not fit, TypeError where x is not real.
    """
    x = _real(x)

    def gradient(x):
        g = grad(x) if callable(grad) else np.asarray(grad)
        _require_shape("grad", g, x.shape, "x")
        return g

    def slope(x, v):
        return _dot(gradient(x), v)

    def value(x):
        y = f(x)
        if np.size(y) != 1:
            raise ValueError(f"f(x) has shape {np.shape(y)}; gradient_test expects a number (see jacobian_test)")
        return np.reshape(y, ())

    d = np.copysign(_random_direction(x, rng), _call(gradient, x)) if d is None else d
    return _taylor_test("gradient", value, slope, x, d, eps0, steps, name or _name(f))


def jacobian_test(f, jac_mv, x, *, d=None, eps0=0.5, steps=60, rng=None, name=None):
    """Test that ``jac_mv(x, v)`` is the Jacobian of ``f`` at x times v, by the steps of :func:`gradient_test`.

    f : callable, f(x) is an array of any shape.
    jac_mv : callable, the lecture's JacMV: jac_mv(x, v), v of the shape and dtype of x, has the shape of f(x).

    The other arguments, the result and the errors are those of :func:`gradient_test`; d's default has signs of its own.
    """
    x = _real(x)
    d = _random_direction(x, rng) if d is None else d
    return _taylor_test("Jacobian", f, jac_mv, x, d, eps0, steps, name or _name(f))


def transpose_test(jac_mv, jac_tmv, x, *, directions=5, rng=None, name=None):
    """Test that ``jac_tmv`` is the transpose of ``jac_mv``: <u, jac_mv(x, v)> = <jac_tmv(x, u), v> for random u and v.

    jac_mv : callable, jac_mv(x, v) = J(x) v for v of the shape and dtype of x.  A Jacobian test should vouch for it.
    jac_tmv : callable, jac_tmv(x, u) = J(x)' u for u of the shape of J v; has the shape of x.
    x : array of any shape, float32 or float64 (integers become float64).
    directions : how many pairs (u, v) of standard normal entries are tried.
    rng : seed or numpy.random.Generator; the same directions at every call by default.

    Returns a :class:`TransposeResult`.  Passed means that each distance is at most C sqrt(n) eps max(|u| |Jv|, |J'u| |v|),
    n the greater number of entries and eps that of x's dtype; dot products and norms are taken in float64.
    ValueError where shapes do not fit, TypeError where x is not real.
    """
    x = _real(x)
    rng = np.random.default_rng(0 if rng is None else rng)
    rows = []
    for _ in range(directions):
        v = rng.standard_normal(x.shape).astype(x.dtype)
        Jv = _call(jac_mv, x, v)
        u = rng.standard_normal(Jv.shape).astype(x.dtype)
        Jtu = _call(jac_tmv, x, u)
        _require_shape("jac_tmv(x, u)", Jtu, x.shape, "x")
        size = max(_norm(u) * _norm(Jv), _norm(Jtu) * _norm(v))
        bound = TRANSPOSE_UNITS * np.sqrt(max(u.size, v.size)) * np.finfo(x.dtype).eps * size
        rows.append((_dot(u, Jv), _dot(Jtu, v), bound))
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
        name=name or _name(jac_mv),
        kind="transpose",
        dtype=x.dtype,
        passed=reason is None,
        reason=reason,
        forward=forward,
        backward=backward,
        errors=errors,
        bounds=bounds,
    )


def check_layer(layer, x, *, rng=None, name=None):
    """Test that ``layer`` keeps a layer's contract at x: the derivative tests for every variable, and all that they assume.

    layer : a layer or a network, the library's or one of your own.  Its parameters are where it is tested; random ones, not
        zeros, tell most.
    x : array of samples, (m, ...), in the precision of the layer's parameters or converted to it.  Few are enough: the
        tests take many calls, and with relu each sample brings kinks, of which none may be too near for the steps.  The
        steps start at 1/2 and, where that fails, smaller, down to 2^-20, but float32 tells little below 2^-10.
    rng : seed or numpy.random.Generator for directions and vectors; the same at every call by default.
    name : what the result calls the layer; by default its class.

    Returns a :class:`LayerResult`.  Passed means all of this, with v a random array like the output:

    - inputs and parameters have the same bits after each call, and results the shapes, dtypes and names they should have;
    - each map has the same bits at a second call, with others in between, and no result is overwritten by a later call;
      ``layer(x)`` has those of ``layer.linearize(x)``, and so have one-call forms, chosen variables (``wrt``), given buffers
      (``out``) and ``jac.operator``, in which the parts of ``theta`` are the parameters;
    - ``jac.mv`` of all directions is the sum of those of each;
    - for "x", for each parameter and for a network's "theta": the Jacobian test with ``jac.mv``, the gradient test of <v, y>
      with ``jac.tmv``, the transpose test, and ``jac.matrix`` against ``jac.mv`` and ``jac.tmv`` of every unit vector, which
      is left out, and said so, where the matrix has more than 1024 rows and columns together.

    A derivative of zero fails, for nothing was tested.  What the layer itself raises is not caught.
    """
    from .testing_layers import check  # which imports this module

    return check(layer, x, rng, name)


# --- the gradient and Jacobian test ----------------------------------------------------------------------------------


def _taylor_test(kind, f, jac_mv, x, d, eps0, steps, name):
    if not eps0 > 0:
        raise ValueError(f"eps0 is {eps0}; expected a positive number")
    _require_shape("d", d, x.shape, "x")
    d, y = _float64(_real(d, "d")), _call(f, x)
    y_eps, x_eps = np.finfo(_real(y, "f(x)").dtype).eps, np.finfo(x.dtype).eps

    def step(epsilon):
        """(f(x + e d) - f(x), the same less J e d, its floor).  x + e d is rounded: e d is what was really added."""
        moved = (x + epsilon * d).astype(x.dtype)
        y_moved, predicted = _call(f, moved), _call(jac_mv, x, moved - x)
        _require_shape("f(x + epsilon d)", y_moved, y.shape, "f(x)")
        _require_shape("jac_mv(x, v)", predicted, y.shape, "f(x)")
        change = _float64(y_moved) - _float64(y)
        floor = NOISE_MARGIN * (y_eps * max(_norm(y), _norm(y_moved)) + x_eps * _norm(predicted))
        return change, change - _float64(predicted), floor

    noise_unit = x_eps * (_norm(x) / _norm(d) if _norm(x) and _norm(d) else 1.0)
    epsilons, rows, fitted = [], [], np.zeros(0, dtype=bool)
    orders, note = (np.nan, np.nan), None
    reason = _not_finite(x=x, d=d, **{"f(x)": y})
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        noise = 0.0
        if reason is None:
            probes = noise_unit * np.geomspace(1, x_eps**-0.25, NOISE_STEPS)
            noise = NOISE_MARGIN * max(_norm(step(e)[1]) for e in probes)
        while reason is None and len(rows) < steps and not _sunk(rows):
            epsilons.append(eps0 / 2 ** len(rows))
            change, residual, floor = step(epsilons[-1])
            rows.append((_norm(change), _norm(residual), max(floor, noise)))
            reason = _not_finite(**{f"f or its derivative at a step of {epsilons[-1]:.3g}": (noise, *rows[-1])})
        zeroth, first, floors = np.array(rows, dtype=np.float64).reshape(-1, 3).T
        if reason is None and not np.array_equal(_call(f, x), y):
            reason = "f(x) is not the same at a second call"
        if reason is None:
            fitted = np.isin(np.arange(len(rows)), np.flatnonzero(first > floors)[-FIT_STEPS:])
            smallest = np.array(epsilons)[fitted]
            orders = _slope(smallest, zeroth[fitted]), _slope(smallest, first[fitted])
            reason, note = _judge_size(zeroth, first, floors, len(smallest))
        if reason is None and note is None:
            sides = [step(e)[:2] + step(-e)[:2] for e in smallest]
            reason, note = _judge_orders(sides, smallest, zeroth[fitted], first[fitted], floors[fitted], orders)
    return TaylorResult(
        name=name,
        kind=kind,
        dtype=x.dtype,
        passed=reason is None,
        reason=reason,
        note=note,
        epsilons=np.array(epsilons),
        zeroth_errors=zeroth,
        first_errors=first,
        floors=floors,
        fitted=fitted if fitted.size else np.zeros(len(rows), dtype=bool),
        zeroth_order=orders[0],
        first_order=orders[1],
    )


def _random_direction(x, rng):
    rms = _norm(x) / np.sqrt(max(x.size, 1))
    return (rms if 1 < rms < np.inf else 1.0) * np.random.default_rng(0 if rng is None else rng).standard_normal(x.shape)


def _sunk(rows):
    """Whether the table may end: two steps in a row below the floor, or a linear map's change too near to it."""
    if not rows:
        return False
    zeroth, first, floors = np.array(rows).T
    below = first <= floors
    return zeroth[-1] <= WELL_ABOVE * floors[-1] if below.all() else below[-2:].all()


def _judge_size(zeroth, first, floors, n_fitted):
    """(reason, note) where round-off decides: a linear map, or too little to fit an order to; else (None, None)."""
    if (first <= floors).all():
        if np.sum(zeroth > WELL_ABOVE * floors) >= MIN_STEPS:
            return None, "linear: the first-order error is round-off at every step"
        return f"too few steps change f well beyond round-off: {MIN_STEPS} are needed, so larger eps0 or d, or float64", None
    if n_fitted < MIN_STEPS:
        return f"only {n_fitted} steps lie above round-off: {MIN_STEPS} are needed, so larger eps0 or d, or float64", None
    return None, None


def _judge_orders(sides, epsilons, zeroth, first, floors, orders):
    """(reason, note) from the observed orders and from both sides of x.

    The residual r(e) = f(x + e d) - f(x) - J e d has an even part without J, O(e^2) unless f has a kink, and an odd part
    e (f' - J) d + O(e^3), which shows an error of J so small that the e^2 term hides it at every step above the floor.
    Likewise f(x + e d) - f(x - e d) is of order 1 where a large e^2 term keeps the zeroth-order error from it.
    """
    even = np.array([_norm(plus + minus) for _, plus, _, minus in sides])
    odd = np.array([_norm(plus - minus) / 2 for _, plus, _, minus in sides])
    change = np.array([_norm(plus - minus) / 2 for plus, _, minus, _ in sides])
    if not np.isfinite([even, odd, change]).all():
        return "f or its derivative is NaN or infinite at x - epsilon d", None
    text = f"the first-order error is of order {orders[1]:.2f} in epsilon, not 2"
    if even[-1] > floors[-1] and _slope(epsilons, even) < NOT_SECOND_ORDER:
        return f"{text}, and f has a kink or a jump near x along d: move x away from it, or change d", None
    second_order = orders[1] >= FIRST_ORDER[0]
    if odd[-1] > floors[-1] and _slope(epsilons, odd) < NOT_SECOND_ORDER:
        text = "f(x + e d) - f(x - e d) does not approach 2 J e d" if second_order else text
        return f"{text}: the derivative is wrong, by about {odd[-1] / change[-1]:.2g} of the change along d", None
    notes = []
    if not second_order:
        if not all((part <= floors).all() or _slope(epsilons, part) >= NOT_SECOND_ORDER for part in (even, odd)):
            return f"{text}: the derivative is wrong, or the steps are too large", None
        notes.append(f"{text}, for its even and odd parts nearly cancel at one step; each of them is of higher order than 1")
    elif orders[1] > FIRST_ORDER[1]:
        notes.append(f"{text}: the second derivative along d is zero or nearly so, which is right")
    if not _within(orders[0], ZEROTH_ORDER):
        text = f"the zeroth-order error is of order {orders[0]:.2f} in epsilon, not 1"
        if not _within(_slope(epsilons, change), ZEROTH_ORDER):
            return f"{text}: x is too near a stationary point along d, or the steps are too large", None
        notes.append(f"{text}, for its second-order part is large; |f(x + e d) - f(x - e d)| is of order 1")
    return None, "; ".join(notes) or None


# --- small parts -----------------------------------------------------------------------------------------------------


def _call(function, *arrays):
    """function(*arrays) on read-only copies, its result copied as well: it may be a buffer that the next call reuses."""
    frozen = [np.array(a) for a in arrays]
    for a in frozen:
        a.flags.writeable = False
    return np.array(function(*frozen))


def _real(x, name="x"):
    x = _check.as_array(x, name)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {x.dtype}; expected real numbers")
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)


def _float64(a):
    return np.asarray(a, dtype=np.float64)


def _dot(a, b):
    return float(np.vdot(_float64(a), _float64(b)))


def _norm(a):
    """Euclidean norm in float64 that neither overflows nor underflows."""
    a = np.abs(_float64(a)).ravel()
    top = a.max(initial=0.0)
    return float(top * np.linalg.norm(a / top)) if 0 < top < np.inf else float(top)


def _slope(epsilons, errors):
    """The order of the errors in epsilon, by least squares over the logarithms."""
    if len(epsilons) < 2 or not (errors > 0).all():
        return np.nan
    return float(np.polyfit(np.log2(epsilons), np.log2(errors), 1)[0])


def _ratios(errors):
    """The order that each step shows against the one before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.concatenate([[np.nan], np.log2(errors[:-1] / errors[1:])])


def _within(order, limits):
    return limits[0] <= order <= limits[1]


def _not_finite(**arrays):
    return next((f"{name} holds NaN or infinity" for name, a in arrays.items() if not np.isfinite(a).all()), None)


def _require_shape(name, array, shape, what):
    if np.shape(array) != tuple(shape):
        raise ValueError(f"{name} has shape {np.shape(array)}; expected {tuple(shape)} to match {what}")


def _name(function):
    return getattr(function, "__name__", type(function).__name__)


def _axes(ax):
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots()[1]
