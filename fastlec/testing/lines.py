"""The steps of a derivative test along one direction: both sides of x, extrapolated to a step of zero, and what they show."""

import math
from functools import cached_property
from itertools import pairwise

import numpy as np

from .. import _check
from .directions import sizes_of
from .numbers import call, fitted_order, float64, norm, norms, real, require_shape

# The round-off floor of a first-order error. f(x) and f(x + e d) are each right to about eps times their size, where eps is the
# larger one of the dtypes of x, in which f computes, and of f(x). A function may lose more inside (long sums, cancellation), so its
# noise is measured as well, with NOISE_STEPS steps that move each entry of x by eps to eps^(3/4) of its size, where the true error,
# O(eps^(3/2)), is far below eps. The floor lies NOISE_MARGIN times above that noise, which has tails, and above eps times J e d.
# Found by trial: with a margin of 4 correct float32 layers were refused, where steps so short leave most roundings of f unchanged.
NOISE_MARGIN = 8
NOISE_STEPS = 8
# The table ends where MIN_STEPS steps in a row are round-off, and a derivative is not believed on fewer.
MIN_STEPS = 4
# The orders shown are fitted to the smallest steps above the floor.
FIT_STEPS = 5
# The table of a linear map goes on while f changes by more than WELL_ABOVE floors.
WELL_ABOVE = 200
# Neville's scheme for errors in powers of e, halved at each step: 1, 3, 5 for f(x + e d) + f(x - e d) - 2 f(x), which shows
# kinks, and 2, 4, 6 for f(x + e d) - f(x - e d) - 2 J e d, which shows a wrong J, both divided by 2 e.
EVEN, ODD = 0, 1
PARTS = np.array([[1.0, 1.0], [1.0, -1.0]])
FACTORS = 2.0 ** np.array([[1, 2], [3, 4], [5, 6]])
# A first-order error of an order outside of this range is worth a note.
SECOND_ORDER = (1.8, 2.2)
# A limit may be off by SAFETY times the change of the last extrapolation.
SAFETY = 2
# A derivative passes where an error of more than this part of it would have been seen.
RESOLUTION = 1 / 125
# The number of halved steps at which f may be outside its domain before the test gives up.
OUTSIDE = 200
LARGER = "take a larger eps0 or d, or float64"


class Lines:
    """f and its derivative, product(v) = J(x) v, on straight lines through x."""

    def __init__(self, f, product, x, eps0, steps):
        self.f, self.product, self.x = f, product, x
        self.eps0, self.steps = _check.positive(eps0, "eps0"), _check.count(steps, "steps", 1)
        self.y = self.value(x)
        self.y64 = float64(self.y)
        self.y_eps, self.x_eps = np.finfo(self.y.dtype).eps, np.finfo(x.dtype).eps
        self.outside = None  # what f said where it was not defined, as text

    def value(self, x):
        with np.errstate(all="ignore"):
            return real(call("f(x)", self.f, x), "f(x)")

    def slope(self, v):
        product = self.product(v)
        require_shape("jac_mv(x, v)", product, self.y.shape, "f(x)")
        return float64(product)

    def side(self, step):
        """(f(x + s) - f(x), J s), None where f is not defined at x + s; s is what the step is after rounding."""
        moved = (self.x + step).astype(self.x.dtype)
        try:
            y = call("f(x + epsilon d)", self.f, moved)
        except (ValueError, ArithmeticError, RuntimeWarning) as error:
            self.outside = f" ({type(error).__name__}: {error})"
            return None
        require_shape("f(x + epsilon d)", y, self.y.shape, "f(x)")
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
        sides = (self.side(length * sizes_of(self.x)) for length in lengths)
        return [side[0] - side[1] for side in sides if side is not None]

    def noise(self, rows=...):
        """The round-off floor of f's entries ``rows`` next to x."""
        measured = max((norm(residual[rows]) for residual in self.residuals), default=0.0)
        return max(max(self.x_eps, self.y_eps) * norm(self.y[rows]), NOISE_MARGIN * measured)

    def along(self, d, *, rows=..., eps0=None, steps=None):
        """What f's entries ``rows`` show along d and -d."""
        slope = self.slope(d.astype(self.x.dtype))
        if not np.isfinite(slope).all():
            return Line([], np.nan)
        size, noise, epsilon = norm(self.y[rows]), self.noise(rows), eps0 or self.eps0
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
                sizes = norms(np.concatenate([changes, predicted, residuals, *row, *(b - a for a, b in pairwise(row))]))
                sizes = sizes.reshape(-1, 2).tolist()
                change, along, residual = map(max, sizes[:3])
                floor = max(noise, self.y_eps * (size + change) + NOISE_MARGIN * self.x_eps * along)
                floors = _extrapolated(np.array([floor / epsilon, floor / epsilon]), floors, -1)
                best = _best(sizes[3 : 3 + len(row)], sizes[3 + len(row) :], floors)
                table.append((epsilon, sizes[0][0], sizes[2][0], residual, floor, *best))
            epsilon /= 2
        return Line(table, norm(slope[rows]), self.outside)


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


class Line:
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
        self.orders = tuple(fitted_order(self.epsilons[self.fitted], e[self.fitted]) for e in (self.zeroth, self.first))

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
