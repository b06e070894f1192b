"""
4a. Back-propagation, and the tests of derivatives (4.1 to 4.3)
===============================================================

The gradient of a loss by a million parameters costs about twice as much as the loss itself, if products are taken in the right
order: from the loss backwards. All that a layer must offer for it is the product of its transposed Jacobian with a vector. This
chapter derives these products, and tests them.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import Dense, Network, Residual, testing

rng = np.random.default_rng(0)
X, y = rng.standard_normal((6, 4)), rng.integers(0, 3, 6)

# %%
# Forward and backward
# --------------------
#
# A network of two layers and a loss is (lecture eq. 24 and 31)
#
# .. math:: F = \ell(f_2(f_1(x, \theta^{(1)}), \theta^{(2)}), \theta^{(3)}).
#
# If all of it were scalar, the chain rule would give (eq. 25 to 27)
#
# .. math::
#
#    \frac{\partial F}{\partial \theta^{(1)}} =
#    \frac{\partial \ell}{\partial x} \cdot \frac{\partial f_2}{\partial x} \cdot \frac{\partial f_1}{\partial \theta},
#
# factors in any order. For vectors the order matters. Put one Taylor polynomial of first order into the next (eq. 32 and 33), and
# read off the gradients:
#
# .. math::
#
#    \nabla_{\theta^{(2)}} F = \frac{\partial f_2}{\partial \theta}^\top \nabla_x \ell, \qquad
#    \nabla_{\theta^{(1)}} F = \frac{\partial f_1}{\partial \theta}^\top \frac{\partial f_2}{\partial x}^\top \nabla_x \ell.
#
# The loss is computed from :math:`f_1` on, the *forward pass*; the gradients from the right, from the loss on, the
# *back-propagation pass* (eq. 28 to 30). From the right there are only products of matrices with vectors. In fastlec,
# ``linearize`` gives a layer's value and its Jacobian, and ``jac.tmv(v)`` is :math:`J^\top v` by each of its variables.

first, second = Dense(4, 5, rng=1), Dense(5, 3, "identity", rng=2)
x2, jac1 = first.linearize(X)
logits, jac2 = second.linearize(x2)
loss, v = fastlec.softmax_cross_entropy(logits, y)  # and its gradient by the logits

by_second = jac2.tmv(v)
by_first = jac1.tmv(by_second["x"])
net = Network([first, second])
gradient = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y).gradient(net.theta)
assert np.allclose(
    gradient, np.concatenate([g.ravel() for g in (by_first["W"], by_first["b"], by_second["W"], by_second["b"])])
)

# %%
# Matrices as variables
# ---------------------
#
# What is the Jacobian of :math:`y = W x` by :math:`W`? With :math:`\mathrm{vec}(W)`, the columns one below the other, and the
# Kronecker product :math:`A \otimes B`, blocks :math:`a_{ij} B`, two identities hold (eq. 34 and 35):
#
# .. math::
#
#    (A \otimes B)^\top = A^\top \otimes B^\top, \qquad
#    A X B = C \iff (B^\top \otimes A) \, \mathrm{vec}(X) = \mathrm{vec}(C).
#
# So :math:`\delta W x = (x^\top \otimes I) \, \mathrm{vec}(\delta W)`, the Jacobian is :math:`x^\top \otimes I` (eq. 36), and its
# transpose times :math:`v` is :math:`v x^\top` (eq. 37): a matrix of the shape of :math:`W`, made without any Kronecker product.
# Of many samples it is the sum :math:`\sum_i v_i x_i^\top = V X^\top`.

W, x, v = rng.standard_normal((3, 4)), rng.standard_normal(4), rng.standard_normal(3)
J = np.kron(x[None], np.eye(3))  # (3, 12)
assert np.allclose(J @ W.ravel(order="F"), W @ x)
assert np.allclose((J.T @ v).reshape(3, 4, order="F"), np.outer(v, x))

# %%
# NumPy's arrays are stored row by row, so fastlec's explicit Jacobians have their columns in that order. They show how sparse
# Jacobians of layers are: each sample's values depend on that sample alone (left), and on one row of :math:`W` each (right).

_, jac = Dense(4, 3, rng=0).linearize(X[:4])
_, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, name in zip(axes, ("x", "W"), strict=True):
    A = jac.operator(name)
    matrix = A @ np.eye(A.shape[1])
    ax.imshow(matrix, cmap="RdBu_r", vmin=-np.abs(matrix).max(), vmax=np.abs(matrix).max())
    ax.set(title=f"The Jacobian of 4 samples by {name}", xlabel=f"elements of {name}", ylabel="elements of y")
plt.show()

# %%
# Derivatives of the network's step
# ---------------------------------
#
# For :math:`y = \sigma(W x + b)`, with :math:`\sigma'` short for :math:`\sigma'(W x + b)` (section 4.1.2),
#
# .. math::
#
#    \frac{\partial y}{\partial b}^\top v = \sigma' \odot v, \qquad
#    \frac{\partial y}{\partial W}^\top v = (\sigma' \odot v) x^\top, \qquad
#    \frac{\partial y}{\partial x}^\top v = W^\top (\sigma' \odot v).
#
# For the residual step :math:`y = x + W_2 \sigma(W_1 x + b)` (section 4.1.3) let :math:`g = \sigma' \odot (W_2^\top v)`, then
#
# .. math::
#
#    \frac{\partial y}{\partial b}^\top v = g, \quad
#    \frac{\partial y}{\partial W_1}^\top v = g x^\top, \quad
#    \frac{\partial y}{\partial W_2}^\top v = v \, \sigma(W_1 x + b)^\top, \quad
#    \frac{\partial y}{\partial x}^\top v = v + W_1^\top g.
#
# In code samples are rows, so that each formula is transposed; sums over samples are in the matrix products, and written out for
# the bias.


def residual(x, W1, b, W2):
    return x + np.tanh(x @ W1.T + b) @ W2.T


def residual_jac_tmv(x, W1, b, W2, v):
    h = np.tanh(x @ W1.T + b)
    g = (1 - h**2) * (v @ W2)
    return {"x": v + g @ W1, "W1": g.T @ x, "b": g.sum(axis=0), "W2": v.T @ h}


layer = Residual(4, rng=3)
V = rng.standard_normal((6, 4))
value, jac = layer.linearize(X)
assert np.allclose(value, residual(X, **layer.params))
for name, g in residual_jac_tmv(X, **layer.params, v=V).items():
    assert np.allclose(g, jac.tmv(V, name)[name])

# %%
# Other frameworks ask for the same: PyTorch's ``backward`` of a function of one's own is :math:`J^\top v` (section 4.2); the page
# on :doc:`PyTorch </pytorch>` has the lecture's two examples.
#
# The three tests
# ---------------
#
# Derivations go wrong, and a network with a wrong gradient may still learn a little. So each piece is tested by itself
# (section 4.3).
#
# - The *gradient test* of a scalar function compares :math:`|f(x + \epsilon d) - f(x)| = O(\epsilon)` (eq. 38) with
#   :math:`|f(x + \epsilon d) - f(x) - \epsilon d^\top \nabla f(x)| = O(\epsilon^2)` (eq. 39), for :math:`\epsilon` halved again
#   and again.
# - The *Jacobian test* does the same with norms, and ``JacMV(x, v)``, the Jacobian times a vector.
# - The *transpose test* compares :math:`u^\top \mathrm{JacMV}(x, v)` with :math:`v^\top \mathrm{JacTMV}(x, u)`, which must agree
#   to rounding.
#
# The last two together vouch for ``JacTMV``, which back-propagation uses.


def of_W1(W1):
    return residual(X, **{**layer.params, "W1": W1})


def jac_mv(W1, D):
    h = np.tanh(X @ W1.T + layer.params["b"])
    return ((1 - h**2) * (X @ D.T)) @ layer.params["W2"].T


def jac_tmv(W1, v):
    return residual_jac_tmv(X, **{**layer.params, "W1": W1}, v=v)["W1"]


W1 = layer.params["W1"]
print(testing.jacobian_test(of_W1, jac_mv, W1, name="the residual step by W1"))
print(testing.transpose_test(jac_mv, jac_tmv, W1, name="the residual step by W1"))
assert testing.jacobian_test(of_W1, jac_mv, W1).passed
assert testing.transpose_test(jac_mv, jac_tmv, W1).passed

# %%
# :func:`fastlec.testing.check_layer` makes all of these tests for each variable of a layer or network. In the picture each test
# has two lines, of slopes 1 and 2. Rounding ends them below: :math:`f` itself is known to 16 digits only. Where the network is
# linear in a variable, as in the last weights, rounding is all that there is.

network = Network([Dense(4, 5), Residual(5), Dense(5, 3, "identity")], rng=0)
checked = testing.check_layer(network, X)
checked.assert_passed()
# sphinx_gallery_thumbnail_number = 2
checked.plot(plt.figure(figsize=(7, 4.5), layout="constrained").subplots())
plt.show()

# %%
# Exercises
# ---------
#
# 1. Prove eq. 37 from eq. 34 and 35.
# 2. How many products with the Jacobian, ``jac.mv``, does it take to find the gradient of a loss, and how many with its
#    transpose?
# 3. Derive JacMV and JacTMV of :math:`y = W_2 x + \sigma(W_1 x + b)` (eq. 23) by :math:`x`, and test them.
# 4. Here are two mistakes: (a) a JacTMV that has :math:`W` where :math:`W^\top` belongs, with the right JacMV; (b) both without
#    :math:`\sigma'`. Which of the tests finds which?
# 5. Write the layer :math:`y = x \, \sigma(a x)`, with :math:`\sigma` the sigmoid and a parameter :math:`a`, and test it.
# 6. A derivative by differences, :math:`(f(x + \epsilon) - f(x)) / \epsilon`, is never right to 16 digits. Which :math:`\epsilon`
#    is best, and how many digits does it give?
#
# Solutions
# ---------
#
# **Solution 1.** By eq. 34 :math:`(x^\top \otimes I)^\top = x \otimes I`. With :math:`B^\top = x`, :math:`A = I` and
# :math:`X = v`, one column, eq. 35 says :math:`(x \otimes I) v = \mathrm{vec}(I v x^\top) = \mathrm{vec}(v x^\top)`.

assert np.allclose(np.kron(x[:, None], np.eye(3)) @ v, np.outer(v, x).ravel(order="F"))

# %%
# **Solution 2.** With :math:`J` the derivative of the logits by all :math:`n` parameters and :math:`g` that of the loss by the
# logits, the gradient is :math:`J^\top g`: one product. Products :math:`J e_k` give one column of :math:`J` each, so that takes
# :math:`n` of them. This is why networks are derived backwards.

output, jac = net.linearize(X)
g = fastlec.softmax_cross_entropy(output, y)[1]
backward = jac.tmv(g, "theta")["theta"]
forward = [(jac.mv(theta=unit) * g).sum() for unit in np.eye(net.n_params)]
print(f"1 product, or {len(forward)}")
assert np.allclose(backward, forward)

# %%
# **Solution 3.** :math:`\delta y = W_2 \delta x + \sigma' \odot (W_1 \delta x)`, so :math:`J = W_2 + \mathrm{diag}(\sigma') W_1`
# and :math:`J^\top v = W_2^\top v + W_1^\top (\sigma' \odot v)`.

W1, W2, b = rng.standard_normal((5, 4)), rng.standard_normal((5, 4)), rng.standard_normal(5)


def step(x):
    return x @ W2.T + np.tanh(x @ W1.T + b)


def step_mv(x, d):
    return d @ W2.T + (1 - np.tanh(x @ W1.T + b) ** 2) * (d @ W1.T)


def step_tmv(x, v):
    return v @ W2 + ((1 - np.tanh(x @ W1.T + b) ** 2) * v) @ W1


testing.jacobian_test(step, step_mv, X).assert_passed()
testing.transpose_test(step_mv, step_tmv, X).assert_passed()

# %%
# **Solution 4.** The transpose test finds (a), the Jacobian test has nothing to say about JacTMV. Of (b) the transpose test finds
# nothing, for both are the derivative of another function, and each other's transpose; the Jacobian test does. One needs both.

W, b = rng.standard_normal((4, 4)), rng.standard_normal(4)


def f(x):
    return np.tanh(x @ W.T + b)


def right_mv(x, d):
    return (1 - f(x) ** 2) * (d @ W.T)


a = (right_mv, lambda x, v: ((1 - f(x) ** 2) * v) @ W.T)
b_ = (lambda x, d: d @ W.T, lambda x, v: v @ W)
for name, (mv, tmv) in {"a": a, "b": b_}.items():
    print(testing.jacobian_test(f, mv, X, name=name).heading, "|", testing.transpose_test(mv, tmv, X, name=name).heading)
assert testing.jacobian_test(f, a[0], X).passed
assert not testing.transpose_test(*a, X).passed
assert not testing.jacobian_test(f, b_[0], X).passed
assert testing.transpose_test(*b_, X).passed

# %%
# **Solution 5.** With :math:`s = \sigma(a x)`, :math:`\partial y / \partial x = s + a x s (1 - s)` and
# :math:`\partial y / \partial a = x^2 s (1 - s)`; :math:`a` is shared by all elements, so its JacTMV is a sum.


class Swish(fastlec.Layer):
    """y = x sigmoid(a x), of samples of any shape."""

    def __init__(self, a=1.0):
        super().__init__({"a": np.array([a])})

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        s = fastlec.sigmoid(self.params["a"] * x)
        return x * s, (s + self.params["a"] * x * s * (1 - s), x**2 * s * (1 - s))

    def mv(self, kept, directions):
        by_x, by_a = kept
        return by_x * directions.get("x", 0.0) + by_a * directions.get("a", 0.0)

    def tmv(self, kept, v, wrt):
        by_x, by_a = kept
        found = {"x": by_x * v, "a": np.array([(by_a * v).sum()])}
        return {name: found[name] for name in wrt}


result = testing.check_layer(Swish(0.7), X)
print(result.heading, f"({len(result.results)} tests)")
result.assert_passed()

# %%
# **Solution 6.** The Taylor remainder is about :math:`\epsilon |f''| / 2`, rounding contributes about
# :math:`10^{-16} |f| / \epsilon`. The sum is least near :math:`\epsilon = 10^{-8}`, where half of the digits are right. The
# gradient test looks at how errors fall instead, so it tells a wrong gradient from rounding.

epsilons = 10.0 ** np.arange(-15, 0)
errors = np.abs((np.exp(1 + epsilons) - np.exp(1)) / epsilons - np.exp(1)) / np.exp(1)
_, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
ax.loglog(epsilons, errors, "o-", label="error of the difference quotient")
ax.loglog(epsilons, epsilons / 2, "--", color="0.5", label="Taylor remainder")
ax.loglog(epsilons, 1e-16 / epsilons, ":", color="0.5", label="rounding")
ax.set(xlabel="$\\epsilon$", ylabel="relative error", title="exp at 1")
ax.legend()
plt.show()
assert 1e-9 <= epsilons[errors.argmin()] <= 1e-7
assert 1e-10 < errors.min() < 1e-7
