"""
A user of SciPy: least squares with a network
=============================================

fastlec's objectives are functions of one vector with exact derivatives of first and second order, which is what
``scipy.optimize`` and ``scipy.sparse.linalg`` ask for. Here a small network is fitted to measurements by five methods, four of
them SciPy's, from the same start. What they differ in is what they know of the second derivative.
"""

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import least_squares, minimize
from scipy.sparse.linalg import eigsh

import fastlec
from fastlec import Dense, Network

# %%
# The problem
# -----------
#
# 200 noisy values of a function, and a network 1-10-10-1, whose parameters are one vector theta of 141 numbers. The objective
# is half the mean square of the residuals, and ``l2 / 2`` times the square of the weights.

rng = np.random.default_rng(0)
t = np.sort(rng.uniform(-1, 1, 200))[:, None]
truth = np.sin(4 * t) * np.exp(-t)
data = truth + 0.05 * rng.standard_normal(t.shape)

net = Network([Dense(1, 10), Dense(10, 10), Dense(10, 1, "identity")], rng=0)
f = fastlec.Objective(net, fastlec.MeanSquaredError(), t, data, l2=1e-4)
start = net.theta.copy()
print(f"{net.n_params} parameters, value at the start {f.value(start):.3f}")

# %%
# The derivatives that SciPy takes
# --------------------------------
#
# ===========================  ===================================================================
# ``f.value_and_gradient``     ``minimize(..., jac=True)``
# ``f.hessian_mv``             ``minimize(..., hessp=...)``: the exact Hessian times a vector
# ``f.gauss_newton_mv``        the same place: J'HJ, never indefinite
# ``f.residuals, f.jacobian``  ``least_squares``; the Jacobian is a matrix or a ``LinearOperator``
# ``f.hessian_operator``       ``eigsh``, ``cg``, ``minres``: all of ``scipy.sparse.linalg``
# ===========================  ===================================================================
#
# A class notes the best value that was reached, and when.


class Watched:
    """The objective, with the time of each of its evaluations and the least value until then."""

    def __init__(self):
        self.begin, self.seconds, self.values = perf_counter(), [], []

    def note(self, value):
        self.seconds.append(perf_counter() - self.begin)
        self.values.append(min([value, *self.values[-1:]]))

    def value_and_gradient(self, theta):
        value, gradient = f.value_and_gradient(theta)
        self.note(value)
        return value, gradient


runs = {}
for name, method, hessp in (
    ("L-BFGS", "L-BFGS-B", None),
    ("trust-ncg, Hessian", "trust-ncg", f.hessian_mv),
    ("trust-ncg, Gauss-Newton", "trust-ncg", f.gauss_newton_mv),
):
    runs[name] = watched = Watched()
    found = minimize(watched.value_and_gradient, start, jac=True, hessp=hessp, method=method, options={"maxiter": 300})
    print(f"{name}: {found.fun:.6f} after {found.nit} iterations")

# %%
# ``least_squares`` takes residuals, of which it minimises half the sum of squares, and their Jacobian. ``fastlec.gauss_newton``
# is fastlec's own: Levenberg-Marquardt steps with the smallest of the linear systems that there are, bent along the valleys.

runs["least_squares"] = watched = Watched()


def residuals(theta):
    r = f.residuals(theta)
    watched.note(r @ r / 2)
    return r


fitted = least_squares(residuals, start, jac=lambda theta: f.jacobian(theta) @ np.eye(net.n_params), max_nfev=100)
print(f"least_squares: {fitted.cost:.6f} after {fitted.nfev} evaluations")

runs["gauss_newton"] = watched = Watched()
own = fastlec.gauss_newton(f, start, max_iter=100, callback=lambda iteration, theta, value: watched.note(value))
print(f"gauss_newton: {own.cost:.6f}, {own.message}")

# %%
# First-order methods crawl along a valley that second-order ones see. The times are those of the machine that made this page.

_, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
least = min(watched.values[-1] for watched in runs.values())
for name, watched in runs.items():
    left.loglog(watched.seconds, np.subtract(watched.values, 0.999 * least), label=name)
left.set(xlabel="seconds", ylabel="objective, over the least that was found", title="Five ways down")
left.legend()

net.theta = own.x
right.plot(t, data, ".", color="0.7", label="data")
right.plot(t, truth, color="black", linewidth=4, alpha=0.25, label="truth")
right.plot(t, net(t), color="tab:red", label="network")
right.set(xlabel="t", title="The fit")
right.legend()
rms = float(np.sqrt(np.mean((net(t) - truth) ** 2)))
assert rms < 0.025  # half the noise

# %%
# What the Hessian says
# ---------------------
#
# At the end ``f.at`` linearizes once, and its operators go into ``eigsh``: the largest curvatures, and the smallest, which must
# not be negative at a minimum. Most directions hardly matter: the values fall over many orders of magnitude, and so a few
# combinations of the parameters are all that the data tell.

at = f.at(own.x)
H = at.hessian_operator()
largest = eigsh(H, k=60, return_eigenvectors=False)[::-1]
smallest = eigsh(H, k=1, which="SA", return_eigenvectors=False)[0]
print(f"eigenvalues from {smallest:.1e} to {largest[0]:.1e}; gradient {np.abs(at.gradient).max():.1e}")

ax = plt.figure(figsize=(6, 3.5), layout="constrained").subplots()
ax.semilogy(np.arange(1, len(largest) + 1), largest, "o", markersize=4)
ax.set(xlabel="number", ylabel="eigenvalue of the Hessian", title="The 60 largest of 141")
assert smallest > -1e-4 * largest[0]  # a minimum, to rounding

# %%
# From here :ref:`sphx_glr_gallery_tutorials_plot_inverse_problem.py` goes on: a network as the model of what is looked for, and
# the Hessian as the precision of the answer.
