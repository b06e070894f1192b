"""
A line through outliers
=======================

Robust statistics in least squares problems (the lecture's chapter of that name): more than a fifth of the measurements is
wrong, all on one side and at one end, where that turns a line the most. Least squares follow them; robust losses give them
small weights, or none.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec

rng = np.random.default_rng(1)
t = np.sort(rng.uniform(0, 10, 60))
y = 0.5 * t + 1 + 0.3 * rng.normal(size=t.size)
wrong = np.flatnonzero(t > 6)[::2]
y[wrong] -= rng.uniform(4, 8, wrong.size)

A = np.stack([t, np.ones_like(t)], axis=1)  # slope and intercept
fits = {loss: fastlec.robust_lstsq(A, y, loss=loss) for loss in ("huber", "l1", "cauchy", "tukey")}
plain = np.linalg.lstsq(A, y)[0]

print(f"least squares: {plain.round(3)}; the truth is [0.5 1.]")
for loss, fit in fits.items():
    print(f"{loss}: {fit.x.round(3)}, {fit.message}")
assert np.abs(fits["tukey"].x - [0.5, 1]).max() < 0.2 < np.abs(plain - [0.5, 1]).max()

# %%
# The lines, and the weight that each residual has in the end.

_, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
left.scatter(t, y, c=fits["tukey"].weights, cmap="viridis", edgecolor="black", linewidth=0.5, zorder=3)
ends = np.array([0, 10])
left.plot(ends, 0.5 * ends + 1, color="black", linewidth=5, alpha=0.2, label="truth")
left.plot(ends, plain[0] * ends + plain[1], "--", color="tab:red", label="least squares")
for loss, color in zip(fits, ("tab:orange", "tab:green", "tab:purple", "tab:blue"), strict=True):
    slope, intercept = fits[loss].x
    left.plot(ends, slope * ends + intercept, color=color, label=loss)
    residuals = np.abs(A @ fits[loss].x - y)
    right.plot(residuals, np.minimum(fits[loss].weights, 1), ".", color=color, label=loss)
left.set(xlabel="t", ylabel="y", title="Color: the weight by tukey, from 0 (dark) to 1 (bright)")
right.set(xlabel="|residual|", ylabel="weight, at most 1", title="Weights")
left.legend(loc="lower left")
right.legend()
