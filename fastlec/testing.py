"""The lecture's three derivative tests (section 4.3): is this code the derivative of that code?

    gradient_test(f, grad, x)             eq. 38 and 39: f(x + e d) - f(x) - e <d, grad(x)> must shrink as e^2
    jacobian_test(f, jac_mv, x)           the same for a vector-valued f, with jac_mv(x, v) = J(x) v
    transpose_test(jac_mv, jac_tmv, x)    <u, J v> = <J' u, v>, with jac_tmv(x, u) = J(x)' u
    check_layer(layer, x)                 all of these for every variable of a layer, and the rest of a layer's contract

Each returns a result with ``passed``, ``reason`` (why it failed), ``note`` (what is worth knowing though it passed), the
numbers behind it, the classic table as ``str(result)``, ``result.plot()`` and ``result.assert_passed()``.

The functions under test get read-only copies of x and of the directions, so one that writes into its input raises.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from . import _check

# The round-off floor of a first-order error.  f(x) and f(x + e d) are each right to about eps times their size, eps of the greater
# of x's precision, in which f computes, and f's own.  A function may lose more inside (long sums, cancellation), so its noise is
# measured as well, with NOISE_STEPS steps that move each entry of x by eps to eps^(3/4) of its size, where the true error,
# O(eps^(3/2)), is far below eps.  The floor lies 8 times above that, for noise has tails, and above eps times J e d: with 4 times
# right float32 layers were refused where such short steps leave the roundings of a large part of f as they are.
NOISE_MARGIN = 8
NOISE_STEPS = 8
# The table ends where MIN_STEPS steps in a row are round-off, and a derivative is not believed on fewer.
MIN_STEPS = 4
# The orders shown are fitted to the smallest steps above the floor.
FIT_STEPS = 5
# A linear map's table goes on while f changes by more than 200 floors.
WELL_ABOVE = 200
# Neville's scheme for errors in powers of e, halved at each step: 1, 3, 5 for f(x + e d) + f(x - e d) - 2 f(x), which shows
# kinks, and 2, 4, 6 for f(x + e d) - f(x - e d) - 2 J e d, which shows a wrong J, both over 2 e.
EVEN, ODD = 0, 1
PARTS = np.array([[1.0, 1.0], [1.0, -1.0]])
FACTORS = 2.0 ** np.array([[1, 2], [3, 4], [5, 6]])
# A first-order error of other orders than these is worth a note.
SECOND_ORDER = (1.8, 2.2)
# How much more than by the last extrapolation a limit may be off.
SAFETY = 2
# A derivative passes where an error of more than this part of it would have been seen.
RESOLUTION = 1 / 125
# An error below this part of the derivative is too small for errors of the gradient's entries to cancel to it by chance.
FINE = 1e-6
# How often f may be outside its domain, at steps halved each time, before that is said.
OUTSIDE = 200
# The columns and rows of a Jacobian are compared where x has no more entries: each column is a product.
COLUMNS = 32
# Parts of a derivative that are less than so many times what may be wrong with the whole are tested by themselves.
WELL_SEEN = 20
# <u, Jv> and <J'u, v> are each right to about sqrt(n) eps |u| |Jv| (random signs); 10 allows for what J's code loses inside.
TRANSPOSE_UNITS = 10
SHOWN_STEPS = 10
SHOWN_ENTRIES = 8
LARGER = "take a larger eps0 or d, or float64"


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
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
class TaylorResult(Result):
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
class TransposeResult(Result):
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
class ContractResult(Result):
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
class LayerResult(Result):
    """Result of :func:`check_layer`: ``results``, a list of the single tests' results, printed as one line for each."""

    results: list[Result] = field(repr=False)

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
    x : array of any shape, float32 or float64 (integers become float64, float16 float32); the arithmetic of f and grad is
        taken to have that precision.  Choose it away from stationary points.
    d : direction, shape of x.  By default random, each entry between a half and three halves of a scale: the greatest of
        that entry of x, the median of them and 1; with the signs of grad(x), so that the terms of <d, grad> do not cancel.
    eps0, steps : the step lengths are eps0 / 2^i, from the largest at which f is defined (real and finite, at x + e d and at
        x - e d; ValueError, ArithmeticError and RuntimeWarning of f say that it is not) until the first-order error has
        sunk to the round-off floor, at most ``steps`` of them.
    rng : seed or numpy.random.Generator for d; the same directions at every call by default.
    name : what the result calls f; by default the function's own name.

    Returns a :class:`TaylorResult`.  The first-order errors r(e) and r(-e) on both sides of x are extrapolated to e = 0, from
    the smallest steps up to where a kink or the end of the domain comes in between: r(e) - r(-e) is e times the error of the
    derivative, r(e) + r(-e) is e times the jump of the slope at a kink at x.  Passed means that both limits are zero as far as
    round-off lets them be told, which is to 1/125 of the derivative along d or better.  Where that cannot be said, two more
    directions are tried, one of them with entries of x's own size.  Entries of the gradient that are too small beside the
    others to be seen are tested by themselves; what is too small even then is named in ``note``.
    ValueError where shapes or values do not fit, TypeError where an array is not of real numbers.
    """
    x = _real(x)
    _check.function(f, "f")
    with np.errstate(all="ignore"):
        g = _real(_call("grad", grad, x) if callable(grad) else grad, "grad")
    _require_shape("grad", g, x.shape, "x")

    def value(x):
        y = _check.as_array(f(x), "f(x)")
        if y.size != 1:
            raise ValueError(f"f(x) has shape {y.shape}; gradient_test expects a number (see jacobian_test)")
        return y.reshape(())

    g64 = _float64(g)
    lines = _Lines(value, lambda v: np.vdot(g64, _float64(v)), x, eps0, steps)
    return _taylor_test("gradient", lines, d, rng, _name(name, f), weights=np.abs(g64), signs=g64)


def jacobian_test(f, jac_mv, x, *, d=None, eps0=0.5, steps=60, rng=None, name=None):
    """Test that ``jac_mv(x, v)`` is the Jacobian of ``f`` at x times v, by the steps of :func:`gradient_test`.

    f : callable, f(x) is an array of any shape.
    jac_mv : callable, the lecture's JacMV: jac_mv(x, v), v of the shape and dtype of x, has the shape of f(x).

    The other arguments, the result and the errors are those of :func:`gradient_test`; d's default has signs of its own.  The
    parts of the Jacobian that may be too small are columns and rows; they are looked at where x has at most 32 entries.
    """
    x = _real(x)
    _check.function(f, "f")
    _check.function(jac_mv, "jac_mv")

    def product(v):
        return _real(_call("jac_mv(x, v)", jac_mv, x, v), "jac_mv(x, v)")

    lines = _Lines(f, product, x, eps0, steps)
    weights, rows = _columns_and_rows(lines) if 1 < x.size <= COLUMNS else (None, None)
    return _taylor_test("Jacobian", lines, d, rng, _name(name, f), weights, rows)


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
    _check.function(jac_mv, "jac_mv")
    _check.function(jac_tmv, "jac_tmv")
    rng = _check.generator(0 if rng is None else rng)
    rows = []
    for _ in range(_check.count(directions, "directions", 1)):
        v = rng.standard_normal(x.shape).astype(x.dtype)
        Jv = _real(_call("jac_mv(x, v)", jac_mv, x, v), "jac_mv(x, v)")
        u = rng.standard_normal(Jv.shape).astype(x.dtype)
        Jtu = _real(_call("jac_tmv(x, u)", jac_tmv, x, u), "jac_tmv(x, u)")
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
        name=_name(name, jac_mv),
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
        tests take many calls, and with relu each sample brings kinks, of which none may be too near for float32 to tell the
        derivative on this side of it.
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

    with np.errstate(all="ignore"):
        return check(layer, x, rng, name)


# --- the gradient and Jacobian test ----------------------------------------------------------------------------------


def _taylor_test(kind, lines, d, rng, name, weights=None, rows=None, signs=None):
    """The test along d, or along random directions until one shows enough, and that of the parts which are too small there.

    weights : how much of J d comes from each entry of x, for a d of ones, None if unknown; rows : how much of it goes to each
    entry of f(x), None if unknown or if there is only one; signs : those of the random directions.
    """
    x, line, note = lines.x, None, None
    rng = _check.generator(0 if rng is None else rng)
    given = {"x": x} if d is None else {"x": x, "d": _direction(d, x)}
    reason = _not_finite(**given, **{"f(x)": lines.y})
    if not x.size:
        reason = f"x has shape {x.shape}: there is nothing to test"
    elif d is not None and not given["d"].any():
        reason = "d is zero: there is nothing to test"
    with np.errstate(all="ignore"):
        directions = _random_directions(x, rng, weights, signs) if d is None else [given["d"]]
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
    line = line or _Line([], 0.0)
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


class _Lines:
    """f and its derivative, product(v) = J(x) v, on straight lines through x."""

    def __init__(self, f, product, x, eps0, steps):
        self.f, self.product, self.x = f, product, x
        self.eps0, self.steps = _check.positive(eps0, "eps0"), _check.count(steps, "steps", 1)
        self.y = self.value(x)
        self.y64 = _float64(self.y)
        self.y_eps, self.x_eps = np.finfo(self.y.dtype).eps, np.finfo(x.dtype).eps
        self.outside = None  # what f said where it was not defined, as text

    def value(self, x):
        with np.errstate(all="ignore"):
            return _real(_call("f(x)", self.f, x), "f(x)")

    def slope(self, v):
        product = self.product(v)
        _require_shape("jac_mv(x, v)", product, self.y.shape, "f(x)")
        return _float64(product)

    def side(self, step):
        """(f(x + s) - f(x), J s), None where f is not defined at x + s; s is what the step is after rounding."""
        moved = (self.x + step).astype(self.x.dtype)
        try:
            y = _call("f(x + epsilon d)", self.f, moved)
        except (ValueError, ArithmeticError, RuntimeWarning) as error:
            self.outside = f" ({type(error).__name__}: {error})"
            return None
        _require_shape("f(x + epsilon d)", y, self.y.shape, "f(x)")
        if y.dtype.kind in "biuf":
            side = y - self.y64, self.slope(moved - self.x)
            if all(np.isfinite(part).all() for part in side):
                return side
        self.outside = ""
        return None

    @cached_property
    def residuals(self):
        """f(x + s) - f(x) - J s for steps so small that it is noise."""
        lengths = self.x_eps * np.geomspace(1, self.x_eps**-0.25, NOISE_STEPS)
        sides = (self.side(length * _sizes(self.x)) for length in lengths)
        return [side[0] - side[1] for side in sides if side is not None]

    def noise(self, rows=...):
        """The round-off floor of f's entries ``rows`` next to x."""
        measured = max((_norm(residual[rows]) for residual in self.residuals), default=0.0)
        return max(max(self.x_eps, self.y_eps) * _norm(self.y[rows]), NOISE_MARGIN * measured)

    def along(self, d, *, rows=..., eps0=None, steps=None):
        """What f's entries ``rows`` show along d and -d."""
        slope = self.slope(d.astype(self.x.dtype))
        if not np.isfinite(slope).all():
            return _Line([], np.nan)
        size, noise, epsilon = _norm(self.y[rows]), self.noise(rows), eps0 or self.eps0
        table, row, floors, outside = [], [], [], 0
        while len(table) < (steps or self.steps) and outside < OUTSIDE and not _sunk(table):
            if not table and np.array_equal((self.x + epsilon * d).astype(self.x.dtype), self.x):
                break
            sides = self.side(epsilon * d), self.side(-epsilon * d)
            if sides[0] is None or sides[1] is None:
                table, row, floors, outside = [], [], [], outside + 1
            else:
                changes, predicted = (np.array([side[i][rows].ravel() for side in sides]) for i in (0, 1))
                residuals = changes - predicted
                row = _extrapolated((PARTS @ residuals) / (2 * epsilon), row)
                sizes = _norms(np.concatenate([changes, predicted, residuals, *row, *(b - a for a, b in pairwise(row))]))
                sizes = sizes.reshape(-1, 2).tolist()
                change, along, residual = map(max, sizes[:3])
                floor = max(noise, self.y_eps * (size + change) + NOISE_MARGIN * self.x_eps * along)
                floors = _extrapolated(np.array([floor / epsilon, floor / epsilon]), floors, -1)
                best = _best(sizes[3 : 3 + len(row)], sizes[3 + len(row) :], floors)
                table.append((epsilon, sizes[0][0], sizes[2][0], residual, floor, *best))
            epsilon /= 2
        return _Line(table, _norm(slope[rows]), self.outside)


def _sunk(table):
    """Whether the table may end: MIN_STEPS steps in a row below the floor, or a linear map's change too near to it."""
    below = [worst <= floor for _, _, _, worst, floor, *_ in table]
    if all(below):
        return bool(table) and table[-1][1] <= WELL_ABOVE * table[-1][4]
    return len(below) >= MIN_STEPS and all(below[-MIN_STEPS:])


def _extrapolated(error, before, sign=1):
    """A row of Neville's scheme from that of the step before, twice as long: of errors, or (sign -1) of their bounds."""
    row = [error]
    for factors, previous in zip(FACTORS, before, strict=False):
        factor = factors.reshape(-1, *[1] * (error.ndim - 1))
        row.append(row[-1] + (row[-1] - sign * previous) / (factor - 1))
    return row


def _best(limits, differences, floors):
    """The limits of the even and of the odd part, and the bounds of their errors: of each the entry of the least bound."""
    best = []
    for part in (EVEN, ODD):
        bounds = [SAFETY * difference[part] + floor[part] for difference, floor in zip(differences, floors, strict=False)]
        bound = min(bounds, default=np.inf)
        best.append((limits[bounds.index(bound) if bounds else 0][part], bound))
    return *best[EVEN], *best[ODD]


def _consistent(limits, bounds, votes, end=0):
    """(start, low, high): from the smallest step up to ``start``, all limits allow one value, which lies from low to high.

    A larger step that contradicts the smaller ones has a kink in between.  It takes ``votes`` limits to raise ``low``, for one
    alone may be off by more than its bound, where two terms of the error cancel at one step.
    """
    belows, aboves = (limits - bounds).tolist(), (limits + bounds).tolist()
    start, lows, high = len(limits), [0.0] * votes, np.inf
    for i in reversed(range(end, len(limits))):
        below, above = belows[i], aboves[i]
        if not math.isfinite(above):
            continue
        if below > high or above < lows[0]:
            break
        start, lows, high = i, sorted([*lows, below])[-votes:], min(high, above)
    return start, lows[0], high


class _Line:
    """The table of the steps along one direction, and what it says."""

    def __init__(self, table, slope, outside=None):
        table = np.array(table, dtype=np.float64).reshape(-1, 9)
        self.epsilons, self.zeroth, self.first, self.worst, self.floors, even, even_bounds, odd, odd_bounds = table.T
        self.slope, self.outside = slope, outside
        start, self.kink, kink_bound = _consistent(even, even_bounds, MIN_STEPS)
        # beside kinks the odd part is no surer than the even part, whose limit is zero, shows, and many may look like an error
        votes = 2 if start <= 1 else MIN_STEPS
        start, self.error, error_bound = _consistent(odd, np.maximum(odd_bounds, SAFETY * even), votes, start)
        self.bounds, self.bound = (kink_bound, error_bound), max(kink_bound, error_bound)
        self.start = max(start - 1, 0)
        smooth = np.arange(len(table)) >= (start if self.start else 0)
        self.linear = bool((self.worst <= self.floors)[smooth].all())
        above = np.flatnonzero(smooth & (self.first > self.floors))[-FIT_STEPS:]
        self.fitted = np.isin(np.arange(len(table)), above if len(above) >= MIN_STEPS else [])
        self.orders = tuple(_slope(self.epsilons[self.fitted], e[self.fitted]) for e in (self.zeroth, self.first))

    def verdict(self):
        """(whether another direction would change nothing, reason, note)."""
        if not np.isfinite(self.slope):
            return True, "the derivative holds NaN or infinity", None
        if not len(self.epsilons) and self.outside is None:
            return False, f"steps of eps0 do not change x: {LARGER}", None
        if not len(self.epsilons):
            where = "x + epsilon d or x - epsilon d at any step that was tried"
            return (
                False,
                f"f is not finite at {where}: x is at the edge of its domain, or eps0 is too large{self.outside}",
                None,
            )
        text = f"the first-order error is of order {self.orders[1]:.2f} in epsilon, not 2"
        if self.kink > 0:
            jump = self._part(self.kink + self.bounds[EVEN])
            return False, f"f seems to have a kink at x: the slope along d jumps there by about {jump} of itself", None
        if self.error > 0:
            if not self.orders[1] < SECOND_ORDER[0]:
                text = "f(x + e d) - f(x - e d) does not approach 2 J e d"
            part = self._part((self.error + self.bounds[ODD]) / 2)
            sure = not self.start or self.error > self.bounds[ODD] / 2
            return sure, f"{text}: the derivative is wrong, by about {part} of the change along d", None
        reason = self._too_little()
        return reason is None, reason, None if reason else self._note(text)

    def _part(self, error):
        """An error of the slope as a part of the slope of f."""
        at = max(np.flatnonzero(self.zeroth > WELL_ABOVE * self.floors), default=0)
        return f"{error * self.epsilons[at] / self.zeroth[at]:.2g}"

    def _too_little(self):
        """Why there is too little to judge by; None where there is enough."""
        if (self.zeroth <= WELL_ABOVE * self.floors).all():
            return f"too few steps change f well beyond round-off: {LARGER}"
        if (self.slope * self.epsilons <= self.floors).all():
            return "the derivative along d is zero, as far as round-off shows: x is a stationary point along d"
        n = len(self.epsilons) - self.start
        if n >= MIN_STEPS and self.bound <= RESOLUTION * self.slope:
            return None
        if self.start:
            return f"{self._kink()}; smaller ones are too near to round-off: move x away from it, change d, or take float64"
        if n < MIN_STEPS:
            return f"only {n} steps lie above round-off: {MIN_STEPS} are needed, so {LARGER}"
        return f"round-off may hide an error of {self._part(self.bound)} of the change along d: {LARGER}"

    def _kink(self):
        return f"f has a kink near x, or bends sharply, at steps of about {self.epsilons[self.start]:.2g}"

    def _note(self, text):
        """What is worth knowing of a right derivative."""
        notes = []
        if self.linear:
            notes.append("linear: the first-order error is round-off at every step")
        elif self.orders[1] > SECOND_ORDER[1]:
            notes.append(f"{text}: the second derivative along d is zero or nearly so, which is right")
        elif self.orders[1] < SECOND_ORDER[0]:
            notes.append(
                f"{text}, for its even and odd parts nearly cancel at one step; each of them is of higher order than 1"
            )
        if self.start:
            notes.append(f"{self._kink()}; only smaller ones count")
        return "; ".join(notes) or None


def _other_signs(lines, line, d, rng):
    """Why the derivative is wrong, if a direction with other signs shows it: in one number, errors may cancel along d."""
    d = _random_direction(lines.x, rng, np.abs(d))
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
    scale = _scale(lines.x)
    units = [e.reshape(scale.shape) for e in np.eye(scale.size)]
    with np.errstate(all="ignore"):
        columns = np.array([lines.slope((e * scale).astype(lines.x.dtype)).ravel() for e in units])
    weights = _norms(columns).reshape(scale.shape) / scale
    return weights, _norms(columns.T).reshape(lines.y.shape) if lines.y.size > 1 else None


def _entries(name, which):
    """The entries of x or f(x) in a mask, as text."""
    indices = [", ".join(map(str, index)) for index in np.argwhere(which).tolist()]
    more = len(indices) - SHOWN_ENTRIES
    return ", ".join(f"{name}[{i}]" for i in indices[:SHOWN_ENTRIES]) + (f" and {more} more" if more > 0 else "")


def _sizes(x):
    """The size of each entry; for a zero the least of the others, at most 1."""
    size = np.abs(_float64(x))
    return np.where(size > 0, size, size[size > 0].min(initial=1.0))


def _scale(x):
    """How far each entry is moved: by the greatest of itself, the median of all and 1."""
    own = _sizes(x)
    return np.maximum(own, max(1.0, 2 * np.median(own / 2)))  # the mean of two may not overflow


def _random_directions(x, rng, weights=None, signs=None):
    """Three of them: of x's scale, of the entries' own sizes, and a long one, where round-off hides what smaller steps change.

    An entry that adds more to J d than the median is moved less, down to an eighth of its own size.
    """
    for scale in (_scale(x), _sizes(x), 8 * _scale(x)):
        d = _random_direction(x, rng, scale)
        if weights is not None:
            share = weights * np.abs(d)
            most = np.median(share[share > 0]) if (share > 0).any() else np.inf
            d = np.where(share > most, d * np.maximum(most / share, np.minimum(1, _sizes(x) / (8 * np.abs(d)))), d)
        yield d if signs is None else np.copysign(d, signs)


def _random_direction(x, rng, scale=None):
    """No entry is far from its scale: one that is hardly moved would hardly be tested."""
    scale = _scale(x) if scale is None else scale
    return scale * rng.uniform(0.5, 1.5, x.shape) * rng.choice([-1.0, 1.0], x.shape)


def _direction(d, x):
    d = _real(d, "d")
    _require_shape("d", d, x.shape, "x")
    return _float64(d)


# --- small parts -----------------------------------------------------------------------------------------------------


def _call(name, function, *arrays):
    """function(*arrays) on read-only copies, its result copied as well: it may be a buffer that the next call reuses."""
    frozen = [np.array(a) for a in arrays]
    for a in frozen:
        a.flags.writeable = False
    return np.array(_check.as_array(function(*frozen), name))


def _real(x, name="x"):
    x = _check.as_array(x, name)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {x.dtype}; expected real numbers")
    if x.dtype == np.float16:
        return x.astype(np.float32)
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)


def _float64(a):
    return np.asarray(a, dtype=np.float64)


def _dot(a, b):
    return float(np.vdot(_float64(a), _float64(b)))


def _norm(a):
    return float(_norms(np.reshape(a, (1, -1)))[0])


def _norms(a):
    """Euclidean norms along the last axis, in float64, that neither overflow nor underflow."""
    a = np.abs(_float64(a))
    top = a.max(axis=-1, initial=0.0)
    unit = np.where((top > 0) & (top < np.inf), top, 1.0)
    return unit * np.sqrt(np.square(a / unit[..., None]).sum(axis=-1))


def _slope(epsilons, errors):
    """The order of the errors in epsilon, by least squares over the logarithms."""
    if len(epsilons) < 2 or not (errors > 0).all():
        return np.nan
    return float(np.polyfit(np.log2(epsilons), np.log2(errors), 1)[0])


def _ratios(errors):
    """The order that each step shows against the one before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.concatenate([[np.nan], np.log2(errors[:-1] / errors[1:])])


def _not_finite(**arrays):
    return next((f"{name} holds NaN or infinity" for name, a in arrays.items() if not np.isfinite(a).all()), None)


def _require_shape(name, array, shape, what):
    if np.shape(array) != tuple(shape):
        raise ValueError(f"{name} has shape {np.shape(array)}; expected {tuple(shape)} to match {what}")


def _name(name, function):
    """What the result calls the function."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name is {_check.shown(name)}; expected text or None")
    return name or getattr(function, "__name__", type(function).__name__)


def _axes(ax):
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots()[1]
