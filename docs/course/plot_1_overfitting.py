"""
1. Over-fitting, regularization and L-shaped curves
===================================================

A model with many free parameters fits anything, noise included. Then its error on the data that it was fitted to is small, and
its error on new data of the same kind is large: it over-fits. This chapter sees it happen in a least squares problem small enough
to know everything about it, and shows two ways out: fewer parameters, and regularization.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastlec import plot, regression
from fastlec.course import overfit

# %%
# The function and its noisy sample
# ---------------------------------
#
# The unknown function is (lecture eq. 1)
#
# .. math:: y_{true}(x) = \alpha_1 x + \alpha_2 \sin(10 x) + \alpha_3 \exp(2 x), \qquad \alpha = (0.3, 1, 0.5),
#
# and what we have of it are 101 measurements :math:`y_i = y_{true}(x_i) + \varepsilon_i`, where the :math:`\varepsilon_i` are
# independent, with mean 0 and standard deviation 0.5.

x = np.linspace(0.01, 1.01, 101)
A_true, y_true, y = regression.generate_true_model(x, noise=0.5, rng=0)

# %%
# Suppose that we know the three functions, but not their coefficients: the lecture calls this the *oracle*. It takes the columns
# :math:`A_{true} = [x \mid \sin(10 x) \mid \exp(2 x)]` and solves
#
# .. math:: \alpha_{oracle} = \arg\min_\alpha \|A_{true} \alpha - y\|_2^2.
#
# At the minimum the gradient :math:`2 A^\top (A \alpha - y)` is zero: these are the normal equations
# :math:`A^\top A \alpha = A^\top y`.

normal_equations = np.linalg.solve(A_true.T @ A_true, A_true.T @ y)
oracle = regression.oracle(x, y)
print("coefficients:", oracle.round(2), " the truth:", [0.3, 1.0, 0.5])
assert np.allclose(oracle, normal_equations)

# %%
# Each coefficient is off, but the function is nearly right, and the more samples there are the better it gets: the mean square
# error (MSE) to the true function falls like one over their number.

ax = plot.oracle_errors(overfit.oracle_errors())
plt.show()

# %%
# Polynomials of higher and higher degree
# ---------------------------------------
#
# Mostly nobody knows the functions. A common choice are polynomials (eq. 2),
#
# .. math:: y_{true}(x) \approx y_k(x) = \sum_{i=0}^{k} \alpha_i x^i,
#
# whose coefficients again follow from least squares. What the model cannot say, :math:`y_{true} - y_k`, then counts as noise too.
# Which degree :math:`k` is best? The picture (lecture figure 1) shows some, with their errors on the sample (train) and on a
# second sample at the same points, with other noise (test).

found = overfit.experiment()
# sphinx_gallery_thumbnail_number = 2
ax = plot.fits_by_degree(found, (1, 3, 7, 50), plt.figure(figsize=(9, 5), layout="constrained").subplots())
plt.show()

# %%
# Degree 1 cannot follow the function: it *under-fits*. Degree 50 follows every measurement: it *over-fits*. The errors of all
# degrees make the lecture's two L-shaped curves (figure 2). The training error only falls. The test error falls, turns, and
# rises.

fits = found.fits
ax = plot.errors_by_degree(fits, plt.figure(figsize=(8, 4.5), layout="constrained").subplots())
plt.show()
print(f"least test error: degree {found.best_degree}; the turn of the training curve: degree {fits.corner}")
assert abs(found.best_degree - fits.corner) <= 2

# %%
# The turn of the training curve is about where the test error is least, and needs no test set. Neither do the two dotted curves,
# which estimate the test error from the sample alone: they are good where parameters are few.
#
# How it is computed
# ------------------
#
# The columns :math:`1, x, x^2, \dots` on :math:`[0, 1]` look more and more alike. In double precision they are dependent from
# degree 21 or so on: the smallest singular values of :math:`A_k` are then rounding errors. So the lecture's program takes
# :math:`A = QR` and fits with the orthonormal columns of :math:`Q`, which span the same polynomials: :math:`\alpha = Q^\top y`.

degrees = np.arange(1, 31)
conditions = [np.linalg.cond(np.vander(x, k + 1)) for k in degrees]
Q = regression.polynomial_basis(x, 30)
_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.semilogy(degrees, conditions, "o-", label="columns $x^k$")
ax.semilogy(degrees, [np.linalg.cond(Q[:, : k + 1]) for k in degrees], "s-", label="columns of $Q$")
ax.axhline(1 / np.finfo(float).eps, color="0.5", linestyle="--", label="1 / machine precision")
ax.set(xlabel="degree", ylabel="condition number", title="Monomials become dependent, orthonormal polynomials do not")
ax.legend()
plt.show()

# %%
# Regularization
# --------------
#
# Instead of a lower degree we may keep all columns and ask for a small solution. *Ridge regression* solves
#
# .. math:: \arg\min_\alpha \|A \alpha - y\|_2^2 + \lambda \|\alpha\|_2^2.
#
# With :math:`A = U S V^\top`, :math:`S = \mathrm{diag}(s_i)`, its solution is
# :math:`\alpha = \sum_i \frac{s_i^2}{s_i^2 + \lambda} \frac{u_i^\top y}{s_i} v_i`: components with :math:`s_i^2 \gg \lambda` stay
# as they are, those with :math:`s_i^2 \ll \lambda`, where division by :math:`s_i` would blow up noise, are left out.
#
# For all :math:`\lambda` the norm of the solution over that of the residual makes another L, the *L-curve* (P. C. Hansen, 1992).
# Its corner is a good :math:`\lambda`, again without a test set: to the right of it the residual grows, above it the solution
# does. In this picture :math:`A` has the polynomials up to degree 100, that of degree :math:`k` divided by :math:`(k + 1)^2`:
# smooth functions need little of high degrees, so these are penalised more.

_, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
plot.l_curve(found.path, found.corner, left)
right.loglog(found.path.parameters, found.path.train_mse, label="train")
right.loglog(found.path.parameters, found.path_test_mse, label="test")
right.axvline(found.corner.parameter, color="0.5", linestyle="--", label="corner of the L-curve")
right.set(xlabel="$\\lambda$", ylabel="MSE", title="Ridge regression with all degrees up to 100")
right.legend()
plt.show()
assert found.path_test_mse[found.corner.index] < 1.2 * found.path_test_mse.min()

# %%
# Exercises
# ---------
#
# 1. The training error never rises with the degree, whatever the data are. Why? Check it for all degrees up to 100.
# 2. Let the model of :math:`k + 1` parameters contain the true function. Show that the expected training error is
#    :math:`\sigma^2 (1 - (k + 1) / n)` and that on new noise at the same points :math:`\sigma^2 (1 + (k + 1) / n)`, and confirm
#    both by averaging over many samples.
# 3. Forming :math:`A^\top A` squares the condition number. Fit degree 12 in the columns :math:`x^k` by the normal equations and
#    by :math:`QR`, and compare how far both are from the best fit.
# 4. *Leave-one-out*: fit all samples but one, and predict that one. Do this for each of the 101 samples at degree 7, and compare
#    the mean square error to ``fits.loo``, which takes one fit, by the formula :math:`r_i / (1 - h_i)`,
#    :math:`h = \mathrm{diag}(Q Q^\top)`.
# 5. Show that ridge regression is an ordinary least squares problem with more rows, and check it against
#    :func:`fastlec.regression.ridge_path`.
#
# Solutions
# ---------
#
# **Solution 1.** A polynomial of degree :math:`k` is also one of degree :math:`k + 1`, with a leading coefficient of 0. The
# minimum over more polynomials cannot be larger.

assert (np.diff(fits.train_mse) <= 1e-15).all()

# %%
# **Solution 2.** Let :math:`y = y_{true} + \varepsilon` and :math:`P = Q Q^\top`, the projection on the columns, with
# :math:`P y_{true} = y_{true}`. The residual is :math:`y - P y = (I - P) \varepsilon`, and
# :math:`E \|(I - P) \varepsilon\|^2 = \sigma^2 \mathrm{tr}(I - P) = \sigma^2 (n - k - 1)`. On new noise :math:`\varepsilon'` it
# is :math:`\varepsilon' - P \varepsilon`, and as both are independent
# :math:`E \|\varepsilon' - P \varepsilon\|^2 = \sigma^2 n + \sigma^2 (k + 1)`. Division by :math:`n` gives the claim.

rng = np.random.default_rng(0)
n, k, sigma = len(x), 10, 0.5
Q = regression.polynomial_basis(x, k)
truth = Q @ rng.standard_normal(k + 1)
noise, new_noise = sigma * rng.standard_normal((2, 20000, n))
fitted = (truth + noise) @ Q @ Q.T
train, test = ((fitted - truth - e) ** 2 for e in (noise, new_noise))
print(f"train: {train.mean():.4f}, by the formula {sigma**2 * (1 - (k + 1) / n):.4f}")
print(f"test:  {test.mean():.4f}, by the formula {sigma**2 * (1 + (k + 1) / n):.4f}")
assert np.isclose(train.mean(), sigma**2 * (1 - (k + 1) / n), rtol=0.01)
assert np.isclose(test.mean(), sigma**2 * (1 + (k + 1) / n), rtol=0.01)

# %%
# **Solution 3.** The condition number of :math:`A` is about :math:`10^9`, that of :math:`A^\top A` is too large for double
# precision. The normal equations lose nearly all digits, even of the fit.

A = np.vander(x, 13)
best = fits.basis.Q[:, :13] @ (fits.basis.Q[:, :13].T @ y)
q, r = np.linalg.qr(A)
by_qr = A @ np.linalg.solve(r, q.T @ y)
by_normal_equations = A @ np.linalg.solve(A.T @ A, A.T @ y)
distances = [float(np.linalg.norm(fit - best)) for fit in (by_qr, by_normal_equations)]
print(f"condition number {np.linalg.cond(A):.0e}; distance to the best fit: QR {distances[0]:.0e}, normal {distances[1]:.0e}")
assert distances[1] > 1000 * distances[0]

# %%
# **Solution 4.** 101 fits, or one.

errors = []
for i in range(n):
    others = np.arange(n) != i
    errors.append(regression.fit_polynomials(x[others], y[others], [7]).predict(x[i : i + 1], 7)[0] - y[i])
degree_7 = regression.fit_polynomials(x, y, [7])
print(f"101 fits: {np.mean(np.square(errors)):.12f}, one fit: {degree_7.loo[0]:.12f}")
assert np.isclose(np.mean(np.square(errors)), degree_7.loo[0], rtol=1e-10)

# %%
# **Solution 5.** :math:`\|A \alpha - y\|^2 + \lambda \|\alpha\|^2` is the squared norm of one vector, in which
# :math:`A \alpha - y` and :math:`\sqrt{\lambda} \alpha` stand one below the other: least squares with the rows
# :math:`\sqrt{\lambda} I` below :math:`A`, and zeros below :math:`y`.

A, lam = np.vander(x, 6), 0.1
more_rows = np.vstack([A, np.sqrt(lam) * np.eye(6)])
by_rows = np.linalg.lstsq(more_rows, np.concatenate([y, np.zeros(6)]))[0]
assert np.allclose(by_rows, regression.ridge_path(A, y, [lam]).coefficients[0])
