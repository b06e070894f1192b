"""
2.1 Logistic regression
=======================

Given samples of two kinds, "dog" and "cat", which of them is a new one? Logistic regression answers by the sign of a linear
function, and says how sure it is. Its loss is convex, and its gradient and Hessian fit on one line each, which makes it the place
to learn Newton's method and the gradient test.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import datasets, plot, testing

X, y = datasets.make_blobs(400, 2, noise=0.35)
m, n = X.shape

# %%
# The model
# ---------
#
# A linear function :math:`x^\top w` becomes a probability by the *sigmoid* (lecture eq. 3), and we let it be that of class 1
# (eq. 4):
#
# .. math::
#
#    \sigma(t) = \frac{1}{1 + \exp(-t)}, \qquad
#    P(y = 1 \mid x) = \sigma(x^\top w), \quad P(y = 0 \mid x) = 1 - \sigma(x^\top w).
#
# Where :math:`x^\top w` is 0 both classes are equally likely: a line in the plane, a hyperplane in general, and one that goes
# through the origin. A *bias* lets it go anywhere: :math:`x^\top w + b` (section 2.1.1), which is the same as one more feature
# that is always 1.

t = np.linspace(-6, 6, 200)
_, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.plot(t, fastlec.sigmoid(t), label="$\\sigma(t)$")
ax.plot(t, fastlec.sigmoid_derivative(t), "--", label="$\\sigma'(t) = \\sigma(t) (1 - \\sigma(t))$")
ax.set(xlabel="$t = x^\\top w + b$", title="The sigmoid and its derivative")
ax.grid(alpha=0.3)
ax.legend()
plt.show()

# %%
# The loss
# --------
#
# Good weights give the labels that we see a high probability. The product of the probabilities of all samples is the likelihood;
# minus its logarithm, divided by :math:`m`, is the *cross-entropy* loss (eq. 5 and 6). With the classes as vectors of 0 and 1
# (eq. 7 and 8), :math:`c_1` where :math:`y_i = 1` and :math:`c_2 = 1 - c_1`, it reads (eq. 9)
#
# .. math:: F(w) = -\frac{1}{m} \left( c_1^\top \log \sigma(X^\top w) + c_2^\top \log(1 - \sigma(X^\top w)) \right).
#
# In NumPy that is two lines. :class:`fastlec.LogisticObjective` is the same function of theta, which is :math:`w` and then
# :math:`b`.

f = fastlec.LogisticObjective(X, y)
theta = np.array([1.0, -2.0, 0.5])
X1 = np.column_stack([X, np.ones(m)])  # the feature that is always 1
s = fastlec.sigmoid(X1 @ theta)
by_hand = -(y @ np.log(s) + (1 - y) @ np.log(1 - s)) / m
print(f.value(theta), by_hand)
assert np.isclose(f.value(theta), by_hand)

# %%
# Its gradient and its Hessian
# ----------------------------
#
# With :math:`(\log \sigma)' = 1 - \sigma` and :math:`(\log(1 - \sigma))' = -\sigma` the chain rule (eq. 13 to 17) leaves
#
# .. math:: \nabla F = \frac{1}{m} X (\sigma(X^\top w) - c_1), \qquad \nabla^2 F = \frac{1}{m} X D X^\top,
#
# where :math:`D` is diagonal with :math:`\sigma' = \sigma (1 - \sigma) > 0`. So
# :math:`v^\top \nabla^2 F v = \frac{1}{m} \|D^{1/2} X^\top v\|^2 \geq 0`: the loss is convex, and each local minimum is a global
# one.
#
# Is it really the gradient? The *gradient test* (section 4.3, eq. 38 and 39) takes a random direction :math:`d` and smaller and
# smaller :math:`\epsilon`. The error :math:`|f(x + \epsilon d) - f(x)|` falls like :math:`\epsilon`, and
# :math:`|f(x + \epsilon d) - f(x) - \epsilon d^\top \nabla f|` must fall like :math:`\epsilon^2`.

assert np.allclose(f.gradient(theta), X1.T @ (s - y) / m)
assert np.allclose(f.hessian(theta), X1.T @ (s * (1 - s) * X1.T).T / m)

result = testing.gradient_test(f.value, f.gradient, theta, name="logistic regression")
result.assert_passed()
result.plot(plt.figure(figsize=(7, 4.5), layout="constrained").subplots())
plt.show()

# %%
# Minimisation: gradient descent and Newton's method
# --------------------------------------------------
#
# Gradient descent takes steps :math:`w \leftarrow w - \eta \nabla F(w)`. Newton's method minimises the second-order Taylor
# polynomial in each step: :math:`w \leftarrow w - (\nabla^2 F)^{-1} \nabla F`. Near the minimum each Newton step doubles the
# number of right digits.


def newton_step(f, theta):
    return theta - np.linalg.solve(f.hessian(theta), f.gradient(theta))


def descend(step, theta, steps):
    path = [theta]
    for _ in range(steps):
        path.append(step(path[-1]))
    return np.array(path)


start = np.zeros(3)
newton = descend(lambda theta: newton_step(f, theta), start, 10)
gradient = descend(lambda theta: theta - 4 * f.gradient(theta), start, 60)
w = newton[-1]
_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, path, mark in (("gradient descent, $\\eta = 4$", gradient, "."), ("Newton's method", newton, "o")):
    errors = np.array([f.value(theta) for theta in path]) - f.value(w)
    ax.semilogy(np.where(errors > 1e-16, errors, np.nan), mark + "-", label=name)
ax.set(xlabel="iteration", ylabel="$F - F_{min}$", title="Linear and quadratic convergence")
ax.legend()
plt.show()

# %%
# What it has learnt (compare lecture figure 4): colours pale towards the line, where the probability is one half.

# sphinx_gallery_thumbnail_number = 4
ax = plot.decision_regions(
    lambda X: np.column_stack([1 - f.predict_proba(w, X), f.predict_proba(w, X)]),
    X,
    y,
    plt.figure(figsize=(6, 4.5), layout="constrained").subplots(),
)
ax.axline((0, -w[2] / w[1]), slope=-w[0] / w[1], color="black", linestyle="--", linewidth=1)
ax.set_title(f"{(f.predict(w) == y).mean():.1%} of the samples on the right side")
plt.show()

# %%
# Exercises
# ---------
#
# 1. Show that :math:`\sigma' = \sigma (1 - \sigma)`, :math:`(\log \sigma)' = 1 - \sigma` and
#    :math:`(\log (1 - \sigma))' = -\sigma`, and let the Jacobian test confirm the last two, with their diagonal Jacobians
#    (example 1 of the lecture).
# 2. What becomes of the minimiser if the labels 0 and 1 are exchanged?
# 3. Compute :math:`-\log \sigma(t)` at :math:`t = -800` by the formula, and then so that it is right.
# 4. If a line separates the classes, the loss has no minimiser: it falls forever along a direction. Which one? See the norm of
#    the weights grow, and stop it by a penalty :math:`\frac{\lambda}{2} \|w\|^2`.
# 5. Give :math:`X` a third feature that is the sum of the other two. What happens to the Hessian, and what to Newton's method?
#
# Solutions
# ---------
#
# **Solution 1.**
# :math:`\sigma' = \frac{\exp(-t)}{(1 + \exp(-t))^2} = \sigma \cdot \frac{\exp(-t)}{1 + \exp(-t)} = \sigma (1 - \sigma)`. So
# :math:`(\log \sigma)' = \sigma' / \sigma = 1 - \sigma` and :math:`(\log(1 - \sigma))' = -\sigma' / (1 - \sigma) = -\sigma`. The
# Jacobian of an elementwise function is diagonal: times :math:`v` it is an elementwise product.

sigmoid, t = fastlec.sigmoid, np.linspace(-3, 3, 7)
for name, g, jac_mv in (
    ("log sigmoid", lambda t: np.log(sigmoid(t)), lambda t, v: (1 - sigmoid(t)) * v),
    ("log(1 - sigmoid)", lambda t: np.log(1 - sigmoid(t)), lambda t, v: -sigmoid(t) * v),
):
    test = testing.jacobian_test(g, jac_mv, t, name=name)
    print(test.heading)
    test.assert_passed()

# %%
# **Solution 2.** It changes its sign: :math:`1 - \sigma(t) = \sigma(-t)`, so :math:`F` with exchanged labels at :math:`-w` is
# :math:`F` at :math:`w`.

exchanged = fastlec.LogisticObjective(X, 1 - y)
opposite = descend(lambda theta: newton_step(exchanged, theta), start, 10)[-1]
assert np.allclose(opposite, -w)

# %%
# **Solution 3.** ``exp(800)`` overflows, so that the formula gives infinity. But
# :math:`-\log \sigma(t) = \log(1 + \exp(-t)) = \max(-t, 0) + \log(1 + \exp(-|t|))`, in which nothing overflows. This is the
# *softplus* of :math:`-t`.

with np.errstate(over="ignore", divide="ignore"):
    print("by the formula:", -np.log(1 / (1 + np.exp(800.0))))
safe = max(800.0, 0) + np.log1p(np.exp(-800.0))
print("safely:", safe)
assert safe == 800 == fastlec.softplus(800.0)

# %%
# **Solution 4.** Along :math:`w` itself: if all signs are right, :math:`2 w` has all probabilities nearer to the labels than
# :math:`w`. With a penalty (``l2``) the loss is strictly convex in :math:`w` and grows in every direction, so it has one
# minimiser; all starts lead there.

apart, labels = datasets.make_blobs(100, 2, noise=0.1)
free = fastlec.LogisticObjective(apart, labels)
norms = np.linalg.norm(descend(lambda theta: theta - 4 * free.gradient(theta), start, 4000)[[10, 100, 1000, 4000]], axis=1)
print("norm after 10, 100, 1000, 4000 steps:", norms.round(1))
assert (np.diff(norms) > 1).all()

penalised = fastlec.LogisticObjective(apart, labels, l2=0.01)
first, second = (descend(lambda t: newton_step(penalised, t), s, 30)[-1] for s in (start, np.array([0.5, -0.5, 0.2])))
print("with a penalty:", first.round(3))
assert np.allclose(first, second)

# %%
# **Solution 5.** Columns of :math:`X^\top` are dependent: for :math:`v = (1, 1, -1)`, :math:`X^\top v = 0`, so
# :math:`\nabla^2 F v = 0`. The Hessian is singular, and Newton's system has many solutions. The loss is convex but not strictly:
# with a minimiser :math:`w` all of :math:`w + \tau v` are minimisers. A step of least norm, or a penalty, chooses one.

dependent = fastlec.LogisticObjective(np.column_stack([X, X.sum(axis=1)]), y)
H = dependent.hessian(np.zeros(4))
print("eigenvalues:", np.linalg.eigvalsh(H).round(6) + 0.0)
assert np.linalg.matrix_rank(H) == 3


def least_step(theta):
    return theta - np.linalg.pinv(dependent.hessian(theta), rcond=1e-10) @ dependent.gradient(theta)


smallest = descend(least_step, np.zeros(4), 10)[-1]
assert np.isclose(dependent.value(smallest), f.value(w))
