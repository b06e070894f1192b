"""
A boundary-value problem
========================

A network as the solution of a differential equation (M. Raissi, P. Perdikaris and G. E. Karniadakis, "Physics-informed neural
networks", 2019), found by Gauss-Newton steps with exact derivatives. The problem is one of J. Stoer and R. Bulirsch,
"Introduction to Numerical Analysis":

    u'' = 3/2 u^2 on [0, 1],   u(0) = 4,   u(1) = 1,   which u(x) = 4 / (1 + x)^2 solves.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import fastlec
from fastlec import Dense, Network, testing

x = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 30))[:, None]  # (30, 1), closer together towards the ends
ones = np.ones_like(x)
net = Network([Dense(1, 20), Dense(20, 20), Dense(20, 2, "identity")], rng=0)

# %%
# The network has two outputs, u and w, and the equation is a system of first order: u' = w, w' = 3/2 u^2. What the network
# misses it by at the points x, and at the ends, are the residuals. Samples do not depend on each other, so JacMV in the
# direction of ones is the derivative by x of each.


def residual(theta):
    """(62,): u' - w and w' - 3/2 u^2 at all points, then u(0) - 4 and u(1) - 1."""
    y, jac = net.with_theta(theta).linearize(x)
    (u, w), (du, dw) = y.T, jac.mv(x=ones).T
    return np.concatenate([du - w, dw - 1.5 * u**2, [u[0] - 4, u[-1] - 1]])


# %%
# Their derivative by theta has mixed second derivatives of the network, exact by ``hessian_mv``, the derivative of JacTMV along
# any directions. The residuals' JacMV takes that of JacTMV by x along theta, for either output; their JacTMV takes that of
# JacTMV by theta along x.


def residual_jac(theta):
    """(mv, tmv) at theta."""
    y, jac = net.with_theta(theta).linearize(x)
    u, m = y[:, 0], len(x)
    outputs = [np.tile(unit, (m, 1)) for unit in np.eye(2)]

    def mv(d):
        du, dw = jac.mv(theta=d).T
        slope_u, slope_w = (jac.hessian_mv(v, "x", theta=d)["x"][:, 0] for v in outputs)
        return np.concatenate([slope_u - dw, slope_w - 3 * u * du, [du[0], du[-1]]])

    def tmv(r):
        first, second, ends = np.split(r, [m, 2 * m])
        by_slopes = jac.hessian_mv(np.stack([first, second], axis=1), "theta", x=ones)["theta"]
        by_values = np.stack([-3 * u * second, -first], axis=1)
        by_values[[0, -1], 0] += ends
        return by_slopes + jac.tmv(by_values, "theta")["theta"]

    return mv, tmv


testing.jacobian_test(residual, lambda theta, d: residual_jac(theta)[0](d), net.theta).assert_passed()
testing.transpose_test(*(lambda theta, v, i=i: residual_jac(theta)[i](v) for i in (0, 1)), net.theta).assert_passed()

# %%
# There are more parameters than residuals, which can all vanish. So a small damping that stays is enough; steps that are too
# long are shortened. They are found from J J', which is small, but has the square of J's condition number. LSMR does not square
# it, and gains the last digits.

start = net.theta.copy()
gram = fastlec.gauss_newton(residual, start, jac=residual_jac, damping=1e-9, tol=0, max_iter=120)
found = fastlec.gauss_newton(residual, gram.x, jac=residual_jac, damping=1e-12, solver="lsmr", tol=0, max_iter=10)
print(gram.message, found.message, sep="\n")
costs = [iteration.cost for iteration in (*gram.history, *found.history)]

# %%
# L-BFGS with the same derivatives, for comparison, which here takes longer.

evaluations = []


def cost(theta):
    """(half the sum of squares, its gradient); the former is noted."""
    r = residual(theta)
    evaluations.append(0.5 * float(r @ r))
    return evaluations[-1], residual_jac(theta)[1](r)


options = {"maxiter": 2000, "maxfun": 2000, "ftol": 0, "gtol": 0}
by_gradients = minimize(cost, start, jac=True, method="L-BFGS-B", options=options)

# %%
# Between the points the errors are as small as at them.

fine = np.linspace(0, 1, 1001)[:, None]
exact = 4 / (1 + fine[:, 0]) ** 2
thetas = {"L-BFGS": by_gradients.x, "Gauss-Newton, J J'": gram.x, "Gauss-Newton, then LSMR": found.x}
solutions = {name: net.with_theta(theta)(fine)[:, 0] for name, theta in thetas.items()}
errors = {name: float(np.abs(u - exact).max()) for name, u in solutions.items()}
error = errors["Gauss-Newton, then LSMR"]
print("largest errors:", ", ".join(f"{name}: {value:.1e}" for name, value in errors.items()))
assert error < 1e-7 < errors["L-BFGS"] / 100

_, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
left.plot(fine, exact, color="black", linewidth=5, alpha=0.2, label="4 / (1 + x)^2")
left.plot(fine, net.with_theta(start)(fine)[:, 0], "--", color="gray", label="network at the start")
left.plot(fine, net.with_theta(found.x)(fine)[:, 0], color="tab:blue", label="network")
left.plot(x, net.with_theta(found.x)(x)[:, 0], ".", color="tab:blue", label="points of the residuals")
left.set(xlabel="x", ylabel="u")
left.legend()
for name, u in solutions.items():
    right.semilogy(fine, np.abs(u - exact), label=name)
right.set(xlabel="x", ylabel="error")
right.legend()

# %%
_, ax = plt.subplots(layout="constrained")
ax.loglog(range(1, len(evaluations) + 1), evaluations, label="L-BFGS, each evaluation")
ax.loglog(range(1, len(costs) + 1), costs, label="Gauss-Newton, each iteration")
ax.axvline(len(gram.history), color="gray", linestyle=":", label="from here by LSMR")
ax.set(xlabel="iteration", ylabel="half the sum of squares")
ax.legend()
