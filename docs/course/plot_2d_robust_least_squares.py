"""
Robust statistics in least squares problems
===========================================

Least squares take each residual by its square, so one measurement that is wrong by much counts more than all that are nearly
right. The lecture lists this chapter in its contents (contents 4); what follows is the standard formulation: other losses, and
how their minimisation comes down to least squares with weights.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec

# %%
# Losses and weights
# ------------------
#
# In place of :math:`\frac12 \sum_i r_i^2`, with :math:`r = A x - y`, we minimise
#
# .. math:: F(x) = \frac12 \sum_i s^2 \rho\left((r_i / s)^2\right),
#
# where :math:`\rho(z) = z` gives least squares, and others grow more slowly from the scale :math:`s` on:
#
# - *Huber*: :math:`z`, beyond 1 :math:`2 \sqrt z - 1`: a parabola that goes on as straight lines. It is convex.
# - *Cauchy*: :math:`\log(1 + z)`; and *Tukey*: :math:`(1 - (1 - z)^3) / 3`, beyond 1 constant. Both have several minima.
#
# The gradient is :math:`\nabla F = A^\top (w \odot r)` with the weights :math:`w_i = \rho'((r_i / s)^2)`: that of least squares
# with weights. So *iteratively reweighted least squares* (IRLS) solves :math:`A^\top W A x = A^\top W y`, takes the new
# residuals' weights, and so on.

r = np.linspace(-4, 4, 401)
z = r**2
rho = {
    "least squares": z,
    "huber": np.where(z <= 1, z, 2 * np.abs(r) - 1),
    "cauchy": np.log1p(z),
    "tukey": (1 - (1 - np.minimum(z, 1)) ** 3) / 3,
}
weights = {
    "least squares": np.ones_like(r),
    "huber": 1 / np.maximum(np.abs(r), 1),
    "cauchy": 1 / (1 + z),
    "tukey": np.maximum(1 - z, 0) ** 2,
}
_, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for name in rho:
    left.plot(r, rho[name] / 2, label=name)
    right.plot(r, weights[name], label=name)
left.set(xlabel="residual / scale", title="Losses", ylim=(0, 4))
right.set(xlabel="residual / scale", title="Weights")
left.legend()
plt.show()

# %%
# A line through outliers
# -----------------------
#
# More than a fifth of the measurements is wrong, all on one side at one end. The scale is that of the noise, estimated by the
# *median absolute deviation* (MAD), which stays of the right size as long as less than half of the data is wrong:
# :math:`1.4826 \cdot \mathrm{median} |r_i|` is the standard deviation of normal noise.

rng = np.random.default_rng(1)
t = np.sort(rng.uniform(0, 10, 60))
y = 0.5 * t + 1 + 0.3 * rng.standard_normal(60)
wrong = np.flatnonzero(t > 6)[::2]
y[wrong] -= rng.uniform(4, 8, len(wrong))

A = np.column_stack([t, np.ones_like(t)])
lines = {"least squares": np.linalg.lstsq(A, y)[0]}
lines |= {loss: fastlec.robust_lstsq(A, y, loss=loss).x for loss in ("huber", "tukey")}
# sphinx_gallery_thumbnail_number = 2
_, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
ax.plot(t, y, "k.", label=f"measurements, {len(wrong)} of {len(t)} wrong")
ax.plot(t, 0.5 * t + 1, color="black", linewidth=6, alpha=0.2, label="truth")
for (name, (slope, intercept)), color in zip(lines.items(), ("tab:red", "tab:orange", "tab:blue"), strict=True):
    ax.plot(t, slope * t + intercept, color=color, label=f"{name}: {slope:.2f} t + {intercept:.2f}")
ax.set(xlabel="t", ylabel="y")
ax.legend(fontsize="small")
plt.show()
assert np.abs(lines["tukey"] - [0.5, 1]).max() < 0.2

# %%
# Curves are fitted in the same way, by :func:`fastlec.robust_fit`. An example of the gallery compares more losses:
# :ref:`sphx_glr_gallery_plot_robust_line.py`.
#
# Exercises
# ---------
#
# 1. Fit a constant: show that least squares give the mean, and the sum of :math:`|r_i|` the median.
# 2. Move one of 21 measurements further and further away. What do the mean, Huber's estimate and Tukey's do?
# 3. Write IRLS for Huber's loss with the scale 1, and compare with :func:`fastlec.robust_lstsq`.
# 4. Why the factor 1.4826? And why is :math:`1.345 s` a common scale for Huber's loss: how much is lost where there are no
#    outliers?
#
# Solutions
# ---------
#
# **Solution 1.** :math:`\frac{d}{dc} \frac12 \sum_i (c - y_i)^2 = m c - \sum_i y_i`, zero at the mean. The derivative of
# :math:`\sum_i |c - y_i|` is the number of measurements below :math:`c` minus that of those above, zero at the median.

values = np.array([1.0, 2.0, 4.0, 7.0, 100.0])
ones = np.ones((5, 1))
assert np.isclose(np.linalg.lstsq(ones, values)[0][0], np.mean(values))
assert np.isclose(fastlec.robust_lstsq(ones, values, loss="l1").x[0], np.median(values))

# %%
# **Solution 2.** The mean goes along without end. By Huber's loss the outlier pulls with a force that no longer grows: the
# estimate moves, and then stays. By Tukey's the outlier has no weight once it is far, as if it were not there.

sample = rng.standard_normal(21)
ones = np.ones((21, 1))
moves = (0, 3, 10, 100, 10000)
estimates = {"mean": [], "huber": [], "tukey": []}
for move in moves:
    moved = sample.copy()
    moved[0] += move
    estimates["mean"].append(moved.mean())
    for loss in ("huber", "tukey"):
        estimates[loss].append(fastlec.robust_lstsq(ones, moved, loss=loss, scale=2.0).x[0])
for name, found in estimates.items():
    print(f"{name:6}", *(f"{value:8.3f}" for value in found))
assert np.isclose(estimates["huber"][-1], estimates["huber"][-2])
without = fastlec.robust_lstsq(ones[1:], sample[1:], loss="tukey", scale=2.0).x[0]
assert np.isclose(estimates["tukey"][-1], without)

# %%
# **Solution 3.** A few lines, and many iterations: IRLS converge linearly. fastlec takes Newton steps where they lower the loss.

x = np.zeros(2)
for _ in range(300):
    w = 1 / np.maximum(np.abs(A @ x - y), 1)
    x = np.linalg.solve(A.T @ (w[:, None] * A), A.T @ (w * y))
found = fastlec.robust_lstsq(A, y, loss="huber", scale=1.0)
print(x, found.x, found.message)
assert np.allclose(x, found.x, atol=1e-8)

# %%
# **Solution 4.** Half of standard normal numbers are within 0.6745 of zero, and :math:`1 / 0.6745 = 1.4826`. On normal noise,
# Huber's estimate of a constant with this scale has a variance only about 5 % above that of the mean, which is the least
# possible.

samples = rng.standard_normal((20000, 101))
deviations = 1.4826 * np.median(np.abs(samples), axis=1)
print(f"mean of the deviations found: {deviations.mean():.3f}")
assert abs(deviations.mean() - 1) < 0.02

centers = samples.mean(axis=1)
for _ in range(30):
    w = 1 / np.maximum(np.abs(samples - centers[:, None]) / 1.345, 1)
    centers = (w * samples).sum(axis=1) / w.sum(axis=1)
efficiency = samples.mean(axis=1).var() / centers.var()
print(f"efficiency {efficiency:.1%}")
assert 0.94 < efficiency < 0.96
