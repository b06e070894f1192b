"""The results of the tests: the verdict, the numbers behind it, their table and their picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._typing import FloatArray
from .numbers import observed_orders

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_STEPS = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """What all results of derivative tests have: what was tested, in which precision, whether it passed, and why not.

    ``str(result)`` is the classic table of errors.

    Parameters
    ----------
    name : str
        What was tested.
    kind : str
        By which test.
    dtype : numpy.dtype
        The precision of the arithmetic.
    passed : bool
        The verdict.
    reason : str, optional
        Why it failed.
    note : str, optional
        What is worth knowing though it passed.

    See Also
    --------
    TaylorResult, TransposeResult, LayerResult

    Examples
    --------
    >>> import numpy as np
    >>> result = fastlec.testing.jacobian_test(np.sin, lambda x, v: -np.cos(x) * v, np.ones(3))
    >>> print(result.heading)
    Jacobian test of sin [float64]: FAILED
    """

    name: str
    kind: str
    dtype: np.dtype[Any]
    passed: bool
    reason: str | None = None
    note: str | None = None

    def assert_passed(self) -> None:
        """Raise an error unless the test passed.

        Raises
        ------
        AssertionError
            If it did not, with the table as its text.
        """
        if not self.passed:
            raise AssertionError(str(self))

    @property
    def heading(self) -> str:
        """One line that says what was tested, in which precision, and the verdict.

        Returns
        -------
        str
            The line.
        """
        return f"{self.kind} test of {self.name} [{self.dtype}]: {'passed' if self.passed else 'FAILED'}"

    def __str__(self) -> str:
        return "\n".join([self.heading, *(f"  {text}" for text in (self.reason, self.note) if text), *self._table()])

    def _summary(self):
        """The numbers in a few words, for a table of many tests."""
        return ""


@dataclass(frozen=True, eq=False, kw_only=True)
class TaylorResult(Result):
    """Result of a gradient or Jacobian test; the arrays have one entry per step, the largest epsilon first.

    Parameters
    ----------
    name, kind, dtype, passed, reason, note : object
        As of `Result`.
    epsilons : ndarray
        The step lengths epsilon_i = epsilon_0 / 2^i.
    zeroth_errors : ndarray
        The errors |f(x + e d) - f(x)|, which should shrink as epsilon (eq. 38).
    first_errors : ndarray
        The errors |f(x + e d) - f(x) - J e d|, which should shrink as epsilon^2 (eq. 39).
    floors : ndarray
        The round-off floor of first_errors; below it nothing can be told.
    fitted : ndarray of bool
        Which steps the observed orders were fitted to.
    zeroth_order, first_order : float
        The observed orders, NaN where no steps could be fitted.

    See Also
    --------
    gradient_test, jacobian_test

    Examples
    --------
    >>> import numpy as np
    >>> result = fastlec.testing.gradient_test(lambda x: np.sum(x**3), lambda x: 3 * x**2, np.array([1.0, 2.0]))
    >>> round(result.zeroth_order), round(result.first_order)
    (1, 2)
    """

    epsilons: FloatArray = field(repr=False)
    zeroth_errors: FloatArray = field(repr=False)
    first_errors: FloatArray = field(repr=False)
    floors: FloatArray = field(repr=False)
    fitted: NDArray[np.bool_] = field(repr=False)
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

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw both errors, guides of their slopes and the floor over epsilon, log-log.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The axes.
        """
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
    """Result of a transpose test; the arrays have one entry per pair of directions (u, v).

    Parameters
    ----------
    name, kind, dtype, passed, reason, note : object
        As of `Result`.
    forward, backward : ndarray
        The products <u, J v> and <J' u, v>.
    errors : ndarray
        Their distances.
    bounds : ndarray
        What round-off explains, the limit of ``errors``.

    See Also
    --------
    transpose_test

    Examples
    --------
    >>> import numpy as np
    >>> result = fastlec.testing.transpose_test(lambda x, v: 2 * v, lambda x, u: 2 * u, np.ones(3))
    >>> bool((result.errors <= result.bounds).all())
    True
    """

    forward: FloatArray = field(repr=False)
    backward: FloatArray = field(repr=False)
    errors: FloatArray = field(repr=False)
    bounds: FloatArray = field(repr=False)

    def _table(self):
        lines = [f"  {'<u, Jv>':>14}  {'<J^T u, v>':>14}  {'distance':>10}  {'bound':>10}"]
        for row in zip(self.forward, self.backward, self.errors, self.bounds, strict=True):
            lines.append("  {:14.6e}  {:14.6e}  {:10.2e}  {:10.2e}".format(*row))
        return lines if self.errors.size else []

    def _summary(self):
        return f"{len(self.errors)} pairs of directions"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw distances and bounds over the directions, logarithmic.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The axes.
        """
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

    Parameters
    ----------
    name, kind, dtype, passed, reason, note : object
        As of `Result`.
    comparisons : int
        How many there were.
    failures : tuple of str
        One line for each that did not hold.

    See Also
    --------
    check_layer

    Examples
    --------
    >>> import numpy as np
    >>> result = fastlec.testing.check_layer(fastlec.Dense(3, 2, rng=0), np.ones((2, 3)))
    >>> result.results[0].kind, result.results[0].failures
    ('unmodified input', ())
    """

    comparisons: int
    failures: tuple[str, ...] = field(repr=False)

    def _table(self):
        return [f"  {failure}" for failure in self.failures[1:]]

    def _summary(self):
        return f"{self.comparisons} comparisons"


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerResult(Result):
    """Result of `check_layer`, printed as one line for each of its tests.

    Parameters
    ----------
    name, kind, dtype, passed, reason, note : object
        As of `Result`.
    results : list of Result
        The results of the single tests.

    See Also
    --------
    check_layer

    Examples
    --------
    >>> import numpy as np
    >>> result = fastlec.testing.check_layer(fastlec.Activation("tanh"), np.ones((2, 3)))
    >>> print(result.heading)
    layer test of Activation [float64]: passed
    """

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

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the errors of all gradient and Jacobian tests over epsilon, log-log.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The axes.
        """
        from ..plot import derivative_tests

        return derivative_tests([(f"{result.kind} test of {result.name}", result) for result in self.results], ax)
