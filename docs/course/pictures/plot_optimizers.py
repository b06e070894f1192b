"""
Paths of optimizers on level sets
=================================

The same function, the same start, and 300 steps: gradient descent, momentum, RMSprop, Adam, and Newton's method with a trust
region. The function is Rosenbrock's valley, :math:`(1 - x)^2 + 20 (y - x^2)^2`: easy to enter, slow to follow.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

from fastlec import SGD, Adam, RMSprop, testing


def value(p):
    return (1 - p[0]) ** 2 + 20 * (p[1] - p[0] ** 2) ** 2


def gradient(p):
    return np.array([-2 * (1 - p[0]) - 80 * p[0] * (p[1] - p[0] ** 2), 40 * (p[1] - p[0] ** 2)])


def hessian(p):
    return np.array([[2 - 80 * (p[1] - 3 * p[0] ** 2), -80 * p[0]], [-80 * p[0], 40]])


START, STEPS = np.array([-1.3, 1.2]), 300
testing.gradient_test(value, gradient, START).assert_passed()
testing.jacobian_test(gradient, lambda p, d: hessian(p) @ d, START).assert_passed()

# %%
# An optimizer of fastlec is a rule: ``step(theta, gradient, states, count)`` changes theta in place.


def path_of(optimizer):
    theta, states = START.copy(), tuple(np.zeros(2) for _ in range(optimizer.state_arrays))
    path = [START]
    for count in range(STEPS):
        optimizer.step(theta, gradient(theta), states, count)
        path.append(theta.copy())
    return np.array(path)


def newton_path():
    path = [START]
    minimize(value, START, jac=gradient, hess=hessian, method="trust-exact", callback=lambda p: path.append(p.copy()))
    return np.array(path)


paths = {
    "gradient descent": path_of(SGD(0.004)),
    "momentum 0.9": path_of(SGD(0.002, momentum=0.9)),
    "Nesterov 0.9": path_of(SGD(0.002, momentum=0.9, nesterov=True)),
    "RMSprop": path_of(RMSprop(0.01)),
    "Adam": path_of(Adam(0.05)),
    "Newton, trust region": newton_path(),
}

x, y = np.meshgrid(np.linspace(-1.7, 1.5, 200), np.linspace(-0.7, 2, 200))
_, axes = plt.subplots(2, 3, figsize=(13, 7.5), sharex=True, sharey=True, layout="constrained")
for ax, (name, path) in zip(axes.flat, paths.items(), strict=True):
    ax.contour(x, y, value((x, y)), np.geomspace(0.05, 300, 14), cmap="Greys_r", linewidths=0.7)
    ax.plot(*path.T, ".-", color="tab:red", markersize=4, linewidth=0.8)
    ax.plot(1, 1, "k*", markersize=10)
    ax.set(title=f"{name}: {len(path) - 1} steps to {value(path[-1]):.1g}", xlim=(-1.7, 1.5), ylim=(-0.7, 2))
plt.show()

# %%
# The same as values by step.

_, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
for name, path in paths.items():
    ax.semilogy(np.maximum([value(p) for p in path], 1e-12), label=name)
ax.set(xlabel="step", ylabel="value")
ax.legend()
plt.show()
assert len(paths["Newton, trust region"]) < 40
assert value(paths["momentum 0.9"][-1]) < value(paths["gradient descent"][-1])
