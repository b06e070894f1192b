"""The results of the tests: the verdict, the numbers behind it, their table and their picture."""

from dataclasses import dataclass, field

import numpy as np

from .numbers import observed_orders

SHOWN_STEPS = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """What all results have: what was tested, in which precision, whether it passed, and why not.

    name : what was tested. kind : by which test. dtype : of the arithmetic.
    reason : why it failed, or None. note : what is worth knowing though it passed, or None.
    """

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
        rows = zip(self.epsilons, zeroth, observed_orders(zeroth), first, observed_orders(first), marks, strict=True)
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
        from ..plot import _axes

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
        from ..plot import _axes

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
        from ..plot import derivative_tests

        return derivative_tests([(f"{result.kind} test of {result.name}", result) for result in self.results], ax)
