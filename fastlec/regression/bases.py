"""Orthonormal bases of polynomials on the points of a sample (lecture 1, eq. 2 and its program's generatePolyBasis).

The lecture factorizes [1 | x | ... | x^k] by QR. From degree 20 or so on its columns are parallel up to rounding, and what Q then
holds is noise: orthonormal, but no polynomial. Here each column comes from the one before (Arnoldi; Brubeck, Nakatsukasa and
Trefethen, Vandermonde with Arnoldi, SIAM Review 2021): t times column k, less its parts along the columns that there are.
Multiplication by t is symmetric, so in exact arithmetic three terms remain: two numbers a column evaluate it anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, overload

import numpy as np

from .. import _check
from .._fixed import Fixed

if TYPE_CHECKING:
    from .._typing import ArrayLike, FloatArray, NDArray

Kind: TypeAlias = Literal["monomial", "chebyshev", "fourier"]
KINDS: tuple[Kind, ...] = ("monomial", "chebyshev", "fourier")
LEAST_STEP = np.finfo(float).eps ** 0.5  # of what t times a column adds: half of the digits of the next one are lost there


class PolynomialBasis(Fixed):
    """Polynomials p_0, ..., p_degree, p_k of degree k, that are orthonormal on the points x (lecture 1, eq. 2).

    Parameters
    ----------
    x : array_like, shape (n,)
        Finite numbers in any order, at least degree + 1 of them different. They may repeat.
    degree : int
        Largest degree, >= 0.
    kind : {"monomial", "chebyshev", "fourier"}
        "monomial" and "chebyshev" are polynomials in x. The orthonormal ones are the same for both, with positive leading
        coefficients; the kinds differ in the functions that `coefficients` speaks of: x^k, or T_k(t) with t from -1 to 1 over the
        domain. "fourier" are sums of cosines up to cos(k pi u), with u from 0 to 1 over the domain: those of the Fourier series of
        the function's even extension, which for a smooth function converges up to both ends.

    Attributes
    ----------
    Q : ndarray, shape (n, degree + 1)
        Matrix of the lecture's least squares, Q'Q = I; float32 where x is, else float64. Read-only, as all attributes.
    x, degree, kind
        The arguments.
    domain : tuple of float
        (min x, max x).

    Raises
    ------
    TypeError
        X is not of real numbers.
    ValueError
        There are too few different points, or some are too close for float64 to tell apart.

    See Also
    --------
    polynomial_basis, fit_polynomials

    Notes
    -----
    Q holds to about 1e-14 what exact arithmetic gives, at degree 100 on 101 evenly spaced points too, and Q'Q - I is as small. What
    `evaluate` gives is right to 1e-13 times the largest value of its column. (On evenly spaced points that is below 1 up to degree
    25 or so, and 1e26 between the outer points at degree 100, where one rounding of x changes the value by as much as that error.)
    Points that nearly coincide cost up to half of the digits of the last columns, which remain orthonormal.

    References
    ----------
    Brubeck, Nakatsukasa and Trefethen, "Vandermonde with Arnoldi", 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.regression import PolynomialBasis
    >>> basis = PolynomialBasis(np.linspace(0, 1, 101), 100)
    >>> basis
    PolynomialBasis(101 points in [0, 1], degree=100, kind='monomial')
    >>> bool(np.abs(basis.Q.T @ basis.Q - np.eye(101)).max() < 1e-12)
    True
    """

    Q: FloatArray
    x: FloatArray
    degree: int
    kind: Kind
    domain: tuple[float, float]

    def __init__(self, x: ArrayLike, degree: int, kind: Kind = "monomial") -> None:
        x = _check.values(x, "x")
        self.degree, self.kind = _check.count(degree, "degree", 0), _check.choice(kind, KINDS, "kind")
        if self.degree >= len(x):
            raise ValueError(f"degree is {self.degree}; expected less than {len(x)}, the number of points in x")
        _check.memory(24 * len(x) * (self.degree + 1), f"{self.degree + 1} columns of {len(x)} points")
        self.x, self.domain = _frozen(x.copy()), (float(x.min()), float(x.max()))
        self._t, self._place, counts = np.unique(self._variable(x), return_inverse=True, return_counts=True)
        if self._t.size <= self.degree:
            raise ValueError(f"x has {self._t.size} points that float64 tells apart; expected more than degree, {self.degree}")
        self._values, self._diagonal, self._beside = _lanczos(self._t, counts, self.degree)
        self.Q = _frozen(self._columns().astype(x.dtype, copy=False))

    def __repr__(self) -> str:
        low, high = self.domain
        return f"PolynomialBasis({len(self.x)} points in [{low:g}, {high:g}], degree={self.degree}, kind={self.kind!r})"

    @overload
    def evaluate(self, x: NDArray[np.float32]) -> NDArray[np.float32]: ...
    @overload
    def evaluate(self, x: ArrayLike) -> NDArray[np.float64]: ...
    def evaluate(self, x: ArrayLike) -> FloatArray:
        """Polynomials at other points: [p_0(x) | ... | p_degree(x)].

        Parameters
        ----------
        x : array_like, shape (m,)
            Finite numbers, inside of the domain or, where the values remain finite, outside of it. At points of the sample the
            values are those of Q.

        Returns
        -------
        ndarray, shape (m, degree + 1)
            The columns, float32 where x is, else float64.

        Raises
        ------
        ValueError
            A value is too large for its dtype; the message names the element of x.

        Examples
        --------
        >>> from fastlec.regression import PolynomialBasis
        >>> basis = PolynomialBasis([0, 1, 2], 1)
        >>> basis.evaluate([0, 5])
        array([[ 0.57735027, -0.70710678],
               [ 0.57735027,  2.82842712]])
        """
        return self._evaluate(x, "x")

    def _evaluate(self, x, name):
        x = _check.values(x, name)
        _check.memory(24 * len(x) * (self.degree + 1), f"{self.degree + 1} columns of {len(x)} points")
        with np.errstate(over="ignore", invalid="ignore"):
            t = self._variable(x)
            values = np.full((len(x), self.degree + 1), 1 / np.sqrt(len(self.x)))
            for k in range(self.degree):
                before = self._beside[k - 1] * values[:, k - 1] if k else 0
                values[:, k + 1] = ((t - self._diagonal[k]) * values[:, k] - before) / self._beside[k]
            place = np.minimum(np.searchsorted(self._t, t), self._t.size - 1)
            known = self._t[place] == t
            values[known] = self._values[place[known]]
            values = values.astype(x.dtype, copy=False)
        if not np.isfinite(values).all():
            i, k = np.argwhere(~np.isfinite(values))[0]
            where = f"a point nearer to {list(self.domain)}, column {k} is too large there"
            raise ValueError(f"{name}[{i}] is {x[i]}; expected {where}")
        return values

    def coefficients(self, c: ArrayLike) -> NDArray[np.float64]:
        """Coefficients of evaluate(x) @ c by the functions of the kind: the alpha of eq. 2.

        Parameters
        ----------
        c : array_like, shape (k + 1,)
            Coefficients by the orthonormal polynomials, k <= degree; for a least squares fit of degree k, ``Q[:, : k + 1].T @ y``.

        Returns
        -------
        ndarray, shape (k + 1,)
            Those of x^i, as numpy.polynomial.Polynomial takes them, for "monomial"; of T_i for "chebyshev", as Chebyshev(...,
            domain=basis.domain) takes them; of cos(i pi u) for "fourier". Those of x^i lose a digit for each degree or so; the
            others do not unless the points are far from filling the domain evenly.

        Raises
        ------
        ValueError
            There are too many in c, or they are too large for float64.

        Examples
        --------
        >>> import numpy as np
        >>> from fastlec.regression import PolynomialBasis
        >>> x = np.arange(5.0)
        >>> basis = PolynomialBasis(x, 2)
        >>> basis.coefficients(basis.Q.T @ (3 - x**2))
        array([ 3.,  0., -1.])
        """
        c = _check.values(c, "c")
        if len(c) > self.degree + 1:
            raise ValueError(f"c has shape {c.shape}; expected at most {self.degree + 1} coefficients, of degree {self.degree}")
        times_t = self._times_t()
        column, before = np.zeros((2, len(c)))
        column[0] = 1 / np.sqrt(len(self.x))
        with np.errstate(over="ignore", invalid="ignore"):
            total = c[0] * column
            for k in range(len(c) - 1):
                back = self._beside[k - 1] * before if k else 0
                column, before = (times_t(column) - self._diagonal[k] * column - back) / self._beside[k], column
                total += c[k + 1] * column
        if not np.isfinite(total).all():
            raise ValueError(f"c has coefficients by {self.kind} functions that are too large for float64")
        return total

    def _columns(self):
        """Q in float64."""
        return self._values[self._place]

    def _variable(self, x):
        """t in [-1, 1] over the domain, in which the columns are polynomials; increasing, or for "fourier" the cosine of pi u."""
        low, high = self.domain
        exponent = int(np.frexp(max(abs(low), abs(high)))[1])  # powers of two: differences neither overflow nor lose digits
        x, low, high = (np.ldexp(np.float64(value), -exponent) for value in (x, low, high))
        if low == high:
            return x - low
        if self.kind == "fourier":
            return np.cos(np.pi * ((x - low) / (high - low)))
        return ((x - low) - (high - x)) / (high - low)

    def _times_t(self):
        """Multiplication by t of a polynomial that is given by its coefficients, the last of which is zero."""
        if self.kind == "monomial":
            low, high = self.domain
            slope, start = (2 / (high - low), -(high + low) / (high - low)) if low < high else (1.0, -low)
            return lambda a: start * a + slope * np.roll(a, 1)

        def chebyshev(a):  # t T_0 = T_1, t T_k = (T_(k-1) + T_(k+1)) / 2
            up = np.roll(a, 1) / 2
            up[1:2] *= 2
            return up + np.append(a[1:], 0) / 2

        return chebyshev


@overload
def polynomial_basis(x: NDArray[np.float32], degree: int, kind: Kind = "monomial") -> NDArray[np.float32]: ...
@overload
def polynomial_basis(x: ArrayLike, degree: int, kind: Kind = "monomial") -> NDArray[np.float64]: ...
def polynomial_basis(x: ArrayLike, degree: int, kind: Kind = "monomial") -> FloatArray:
    """Matrix Q of polynomials up to a degree that are orthonormal on the points x (lecture 1, generatePolyBasis).

    Parameters
    ----------
    x : array_like, shape (n,)
        Finite numbers, at least degree + 1 of them different.
    degree : int
        Largest degree, >= 0.
    kind : {"monomial", "chebyshev", "fourier"}
        As of `PolynomialBasis`, which also evaluates the columns elsewhere.

    Returns
    -------
    ndarray, shape (n, degree + 1)
        Q with Q'Q = I; column k is a polynomial of degree k. Float32 where x is, else float64.

    See Also
    --------
    PolynomialBasis, fit_polynomials

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.regression import polynomial_basis
    >>> Q = polynomial_basis(np.linspace(-1, 1, 5), 2)
    >>> np.round(Q.T @ Q, 12) + 0.0
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    return PolynomialBasis(x, degree, kind).Q.copy()


def _lanczos(t, counts, degree):
    """Polynomials on the different points t, each of them repeated that many times, (len(t), degree + 1), and the numbers of their
    recurrence: T = tridiag(beside, diagonal, beside) with t P = P T but for the last column."""
    Q = np.empty((len(t), degree + 1), order="F")  # orthonormal: P with rows times the roots of counts
    diagonal, beside = np.empty((2, degree))
    Q[:, 0] = np.sqrt(counts / counts.sum())
    for k in range(degree):
        known, new = Q[:, : k + 1], t * Q[:, k]
        diagonal[k] = Q[:, k] @ new
        for _ in range(2):  # twice is enough (Giraud, Langou and Rozloznik 2005)
            new -= known @ (known.T @ new)
        beside[k] = np.linalg.norm(new)
        if beside[k] <= LEAST_STEP:
            raise ValueError(f"x has points that are too close to each other for float64 and a polynomial of degree {k + 1}")
        Q[:, k + 1] = new / beside[k]
    return Q / np.sqrt(counts)[:, None], diagonal, beside


def _frozen(a):
    a.flags.writeable = False
    return a
