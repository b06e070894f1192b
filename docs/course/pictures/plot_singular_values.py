"""
Singular values, and what noise does
====================================

A signal has been blurred, and measured with little noise. The blur is a matrix that can be inverted, but the inverse gives
nonsense. Singular values show why, and regularization mends it.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastlec import plot, regression

n = 80
t = np.linspace(0, 1, n)
A = np.exp(-((t[:, None] - t) ** 2) / (2 * 0.03**2))
A /= A.sum(axis=1, keepdims=True)
signal = 1.0 * ((t > 0.15) & (t < 0.35)) + np.maximum(0, 1 - np.abs(t - 0.65) / 0.15)
y = A @ signal + 0.005 * np.random.default_rng(0).standard_normal(n)

path = regression.ridge_path(A, y, np.geomspace(1e-10, 10, 200))
corner = regression.l_curve_corner(path)

# %%
# With :math:`A = U S V^\top` the solution is :math:`\sum_i \frac{u_i^\top y}{s_i} v_i`. Left, the *Picard plot*: the data's
# coefficients fall with the singular values, until they are noise. From there on division by :math:`s_i` makes the noise grow
# without bounds. Right: ridge regression multiplies the components by filter factors :math:`s_i^2 / (s_i^2 + \lambda)`, which let
# the large ones through.

s, coefficients = path.singular_values, np.abs(path.projections)
_, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
left.semilogy(s, label="singular values $s_i$")
left.semilogy(coefficients, ".", label="$|u_i^\\top y|$")
left.semilogy(coefficients / s, "x", markersize=4, label="$|u_i^\\top y| / s_i$")
left.set(xlabel="i", ylim=(1e-8, 1e6), title="Picard plot")
left.legend()
for lam in (0.5, corner.parameter, 1e-6):
    right.plot(s**2 / (s**2 + lam), label=f"$\\lambda$ = {lam:.1g}")
right.set(xlabel="i", title="Filter factors")
right.legend()
plt.show()

# %%
# Too little, enough, too much; the L-curve's corner finds the one in the middle.

_, axes = plt.subplots(2, 2, figsize=(12, 7), layout="constrained")
plot.l_curve(path, corner, axes[0, 0])
lambdas = {"too little": 1e-6, "the corner": corner.parameter, "too much": 0.5}
shown = {name: int(np.abs(np.log(path.parameters / lam)).argmin()) for name, lam in lambdas.items()}
for ax, (name, i) in zip(axes.flat[1:], shown.items(), strict=True):
    axes[0, 0].plot(path.residual_norms[i], path.solution_norms[i], "k.", markersize=9)
    ax.plot(t, signal, color="black", linewidth=5, alpha=0.2, label="signal")
    ax.plot(t, y, "--", color="0.5", linewidth=1, label="data")
    ax.plot(t, path.coefficients[i], color="tab:red", label="solution")
    ax.set(title=f"{name}: $\\lambda$ = {path.parameters[i]:.1g}", ylim=(-0.7, 1.7))
axes[0, 1].legend(loc="upper right")
plt.show()
errors = [float(np.linalg.norm(path.coefficients[i] - signal)) for i in shown.values()]
assert errors[1] < min(errors[0], errors[2])
