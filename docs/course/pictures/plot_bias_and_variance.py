"""
Bias and variance
=================

200 samples of 40 points of the function of chapter 1, each fitted by polynomials of three degrees; thirty of the fits are drawn.
A straight line is wrong in the same way each time: it is biased. A polynomial of degree 25 is right on average, and wrong in
another way each time: it varies.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastlec import regression

rng = np.random.default_rng(0)
x = np.linspace(0.01, 1.01, 40)
y_true = regression.generate_true_model(x, noise=0).y_true
samples = y_true + 0.5 * rng.standard_normal((200, 40))
Q = regression.polynomial_basis(x, 30)
fits = {k: samples @ Q[:, : k + 1] @ Q[:, : k + 1].T for k in range(31)}

_, axes = plt.subplots(1, 3, figsize=(13, 4), sharey=True, layout="constrained")
for ax, k in zip(axes, (1, 7, 25), strict=True):
    ax.plot(x, fits[k][:30].T, color="tab:blue", alpha=0.2)
    ax.plot(x, fits[k].mean(axis=0), color="tab:orange", linewidth=2, label="mean of the fits")
    ax.plot(x, y_true, "k--", label="function")
    ax.set(title=f"degree {k}", xlabel="x")
axes[0].legend()
plt.show()

# %%
# The expected square of the error to the function is the sum of both: the square of the bias, and the variance. One falls with
# the degree, the other rises.

bias = {k: ((fit.mean(axis=0) - y_true) ** 2).mean() for k, fit in fits.items()}
variance = {k: fit.var(axis=0).mean() for k, fit in fits.items()}
error = {k: ((fit - y_true) ** 2).mean() for k, fit in fits.items()}
assert np.allclose(np.add(list(bias.values()), list(variance.values())), list(error.values()))

_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, values, look in (("bias squared", bias, "--"), ("variance", variance, "--"), ("mean square error", error, "-")):
    ax.semilogy(values.keys(), values.values(), look, label=name)
ax.set(xlabel="degree", ylim=(5e-3, 2))
ax.legend()
plt.show()
