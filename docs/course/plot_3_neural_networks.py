"""
3. Neural networks: definition
==============================

Linear classifiers draw straight lines. A network first moves the samples about, layer by layer, so that in the end straight lines
will do. This chapter defines it: layers, activations, residual steps. It ends with the theorem that one hidden layer is enough,
if it is wide enough.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import Dense, Network, ProjectedResidual, Residual, datasets, plot, regression

# %%
# Layers, one after the other
# ---------------------------
#
# A network takes the sample :math:`x^{(1)} = x` through steps :math:`x^{(l+1)} = f_l(\theta^{(l)}, x^{(l)})` to a loss at its
# end, such as the softmax objective of chapter 2, and what is minimised is the mean loss of all samples (lecture eq. 18 to 20):
#
# .. math:: F(\theta) = \frac1m \sum_{i=1}^m \ell(\theta^{(L)}, x_i^{(L)}, y_i).
#
# The classical step (eq. 21) is a matrix product, a bias, and a nonlinear *activation*, element by element:
# :math:`f(x) = \sigma(W x + b)`.

X, y = datasets.make_spirals(600, 2, turns=1.0)
net = Network([Dense(2, 16), Dense(16, 16), Dense(16, 2, "identity")], rng=0)
print(net.summary((2,)))

W1, b1, W2, b2, W3, b3 = net.params.values()
by_hand = np.tanh(np.tanh(X @ W1.T + b1) @ W2.T + b2) @ W3.T + b3  # samples are rows
assert np.allclose(net(X), by_hand)
loss, _ = fastlec.softmax_cross_entropy(by_hand, y)
assert np.isclose(loss, fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y).value(net.theta))

# %%
# Activations
# -----------
#
# Any function that is not linear will do in theory. These are common (lecture figure 6), with their derivatives dashed. Where the
# derivative is nearly zero, as for tanh and sigmoid far from the origin, the layers before learn nothing.

t = np.linspace(-4, 4, 400)
_, axes = plt.subplots(1, 4, figsize=(12, 3), sharey=True, layout="constrained")
for ax, name in zip(axes, ("tanh", "sigmoid", "relu", "gelu"), strict=True):
    values, derivatives = fastlec.value_and_derivative(t, name)
    ax.plot(t, values)
    ax.plot(t, derivatives, "--")
    ax.set(title=name, ylim=(-1.2, 2.2))
    ax.grid(alpha=0.3)
plt.show()

# %%
# What layers do
# --------------
#
# We train this network (how is told in chapter 4) on two spirals, and look at the samples where they enter, and after each layer,
# in the two directions in which they vary most.

history = fastlec.fit(net, X, y, optimizer=fastlec.Adam(0.01), epochs=80)
print(f"accuracy {history.train_accuracy[-1]:.1%}")
assert history.train_accuracy[-1] > 0.98

_, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained")
plot.decision_regions(net.predict_proba, X, y, axes[0])
axes[0].set_title("the network's classes")
for ax, layer, values in zip(axes[1:], ("layer 1", "layer 2", "the last layer"), net.activations(X), strict=True):
    centered = values - values.mean(axis=0)
    first_two = centered @ np.linalg.svd(centered, full_matrices=False)[2][:2].T
    ax.scatter(*first_two.T, c=np.array(["tab:blue", "tab:orange"])[y], s=5)
    ax.set_title(f"after {layer}")
plt.show()

# %%
# Residual networks
# -----------------
#
# A *residual* step adds what it computes to its input (eq. 22), or to a projection of it where dimensions differ (eq. 23):
#
# .. math:: f(x) = x + W_2 \sigma(W_1 x + b), \qquad f(x) = W_2 x + \sigma(W_1 x + b).
#
# If :math:`W_2` is small the first is near the identity: a layer more does no harm at the start. Gradients tell the difference.
# Through 30 classical layers of tanh the gradient by the first one's weights shrinks to a fiftieth, through 30 residual layers it
# stays.

depths = (1, 3, 10, 30)
norms = {"classical (eq. 21)": [], "residual (eq. 22)": []}
for depth in depths:
    classical = Network([Dense(2, 16), *(Dense(16, 16) for _ in range(depth)), Dense(16, 2, "identity")], rng=0)
    residual = Network([ProjectedResidual(2, 16), *(Residual(16) for _ in range(depth)), Dense(16, 2, "identity")], rng=0)
    for name, deep in zip(norms, (classical, residual), strict=True):
        output, jac = deep.linearize(X)
        g = jac.tmv(fastlec.softmax_cross_entropy(output, y)[1])
        norms[name].append(np.linalg.norm(g["0.W" if name.startswith("classical") else "0.W1"]))

_, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for name, found in norms.items():
    ax.loglog(depths, found, "o-", label=name)
ax.set(xlabel="layers between the first and the last", ylabel="norm of the gradient", title="The first layer's gradient")
ax.grid(alpha=0.3, which="both")
ax.legend()
plt.show()
assert norms["residual (eq. 22)"][-1] > 10 * norms["classical (eq. 21)"][-1]

# %%
# Universal approximation
# -----------------------
#
# Fitting a network to samples :math:`\hat\Psi(x_i, \theta) \approx y_i` is interpolation, as with polynomials in chapter 1, with
# other functions (section 3.1). The *universal approximation theorem* says that one hidden layer, of any activation that is not a
# polynomial (Leshno et al., 1993), comes as near as one likes to any continuous function on a closed and bounded set, if it is
# wide enough. It does not say how wide, nor how to find the parameters. We fit the function of eq. 1 without noise. As the
# residuals are few, Levenberg-Marquardt steps (:func:`fastlec.gauss_newton`) find parameters far better than gradient descent
# does.

x = np.linspace(0.01, 1.01, 200)[:, None]
target = regression.true_basis(x[:, 0]) @ [[0.3], [1.0], [0.5]]


def fitted(width, starts=4):
    """The best of the networks with so many hidden neurons, from several starts: the loss has local minima."""
    found = []
    for seed in range(starts):
        start = Network([Dense(1, width), Dense(width, 1, "identity")], rng=seed)
        start.params["0.W"][:] *= 5  # bends within an interval as short as this one
        start.params["0.b"][:] = -start.params["0.W"][:, 0] * np.linspace(0, 1, width)
        f = fastlec.Objective(start, fastlec.MeanSquaredError(), x, target)
        found.append(start.with_theta(fastlec.gauss_newton(f, start.theta, max_iter=100).x))
    return min(found, key=lambda net: np.linalg.norm(net(x) - target))


nets = {width: fitted(width) for width in (1, 2, 4, 8)}
errors = {width: float(np.abs(net(x) - target).max()) for width, net in nets.items()}
_, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.plot(x, target, color="black", linewidth=6, alpha=0.2, label="function")
for width, net in nets.items():
    left.plot(x, net(x), label=f"{width} neuron{'s' * (width > 1)}")
left.legend()
right.semilogy(errors.keys(), errors.values(), "o-")
right.set(xlabel="width", ylabel="largest error", title="The error falls with the width")
right.grid(alpha=0.3)
plt.show()
assert errors[8] < errors[4] < errors[2] < errors[1]

# %%
# Exercises
# ---------
#
# 1. Show that layers without activation, of any number, are one linear layer.
# 2. A network of one variable with one hidden layer of :math:`n` neurons of ReLU is a broken line. How many kinks can it have?
# 3. Write down, without training, a network of ReLU that is the hat function: 0 up to 0, 1 at 1, 0 from 2 on.
# 4. Prove the theorem for one variable by steps: a sum of :math:`n` steep sigmoids comes within :math:`\omega` of a continuous
#    function, where :math:`\omega` is by how much the function varies over an :math:`n`-th of the interval. Build it for eq. 1.
# 5. How many parameters do the two networks of 30 layers above have?
#
# Solutions
# ---------
#
# **Solution 1.** :math:`W_2 (W_1 x + b_1) + b_2 = (W_2 W_1) x + (W_2 b_1 + b_2)`.

linear = Network([Dense(5, 7, "identity"), Dense(7, 3, "identity")], rng=0)
W1, b1, W2, b2 = linear.params.values()
some = np.random.default_rng(0).standard_normal((4, 5))
assert np.allclose(linear(some), some @ (W2 @ W1).T + W2 @ b1 + b2)

# %%
# **Solution 2.** Each neuron :math:`\max(w x + b, 0)` has one kink, at :math:`-b / w`, and a sum of functions has kinks only
# where one of them has: at most :math:`n`. So the error on a curved function falls no faster than :math:`n^{-2}`.

rng = np.random.default_rng(0)
relu = Network([Dense(1, 6, "relu"), Dense(6, 1, "identity")], rng=1)
relu.params["0.b"][:] = rng.standard_normal(6)
kinks = -relu.params["0.b"] / relu.params["0.W"][:, 0]
grid = np.linspace(kinks.min() - 1, kinks.max() + 1, 200001)[:, None]
slopes = np.diff(relu(grid)[:, 0]) / np.diff(grid[:, 0])
cells = np.flatnonzero(np.abs(np.diff(slopes)) > 1e-4)
places = grid[cells[np.diff(cells, prepend=-9) > 2], 0]  # neighbouring cells are one kink
print("kinks:", np.sort(kinks).round(3), "seen:", places.round(3))
assert len(places) <= 6
assert all(np.abs(kinks - place).min() < 1e-3 for place in places)

# %%
# **Solution 3.** Slopes 0, 1, -1, 0 between kinks at 0, 1, 2 change by 1, -2, 1.

hat = Network([Dense(1, 3, "relu"), Dense(3, 1, "identity")])
for name, values in {"0.W": [[1], [1], [1]], "0.b": [0, -1, -2], "1.W": [[1, -2, 1]], "1.b": [0]}.items():
    hat.params[name][...] = values
print(hat(np.array([[-1.0], [0], [0.5], [1], [1.5], [2], [3]])).ravel())
assert np.array_equal(hat(np.array([[-1.0], [0.5], [1], [1.5], [3]]))[:, 0], [0, 0.5, 1, 0.5, 0])

# %%
# **Solution 4.** Take points :math:`x_0 < \dots < x_n`, the value at :math:`x_0` as the bias, and at the middle of each interval
# a step up by the difference of its ends. A steep sigmoid is such a step. At each point the sum has the value of one end of the
# point's interval, or one between both.


def staircase(n, steepness=1e4):
    nodes = np.linspace(0.01, 1.01, n + 1)
    values = regression.true_basis(nodes) @ [0.3, 1.0, 0.5]
    net = Network([Dense(1, n, "sigmoid"), Dense(n, 1, "identity")])
    net.params["0.W"][:] = steepness
    net.params["0.b"][:] = -steepness * (nodes[1:] + nodes[:-1]) / 2
    net.params["1.W"][:] = np.diff(values)
    net.params["1.b"][:] = values[0]
    return net, np.abs(np.diff(values)).max()


# sphinx_gallery_thumbnail_number = 5
_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(x, target, color="black", linewidth=6, alpha=0.2, label="function")
for n in (10, 100):
    stairs, variation = staircase(n)
    error = np.abs(stairs(x) - target).max()
    ax.plot(x, stairs(x), label=f"{n} steps, largest error {error:.2f}")
    assert error < 1.05 * variation
ax.legend()
plt.show()

# %%
# **Solution 5.** A classical layer has :math:`16 \cdot 16 + 16`, a residual one :math:`2 \cdot 16 \cdot 16 + 16`; to these come
# the first and the last layer.

assert classical.n_params == (2 * 16 + 16) + 30 * (16 * 16 + 16) + (16 * 2 + 2)
assert residual.n_params == (2 * 2 * 16 + 16) + 30 * (2 * 16 * 16 + 16) + (16 * 2 + 2)
print(classical.n_params, residual.n_params)
