"""
4b. Training: minimisation with the gradient
============================================

With the gradient at hand, a network is trained by walking downhill. How long should steps be, and how much of the data must one
look at before each? This chapter goes from gradient descent on a bowl, where everything can be computed, to stochastic gradient
descent on digits.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import SGD, Adam, Dense, Network, datasets, plot

# %%
# The length of a step
# --------------------
#
# *Gradient descent* goes :math:`\theta \leftarrow \theta - \eta \nabla F(\theta)`, with a *learning rate* :math:`\eta`. On a bowl
# :math:`F = \frac12 \theta^\top H \theta` each step multiplies the component along an eigenvector of :math:`H` by
# :math:`1 - \eta \lambda`. So rates above :math:`2 / \lambda_{max}` diverge, and where :math:`\lambda_{min}` is much smaller the
# way along the valley is long. *Momentum* remembers the direction: :math:`v \leftarrow \mu v + \nabla F`,
# :math:`\theta \leftarrow \theta - \eta v`. What goes to and fro cancels, what points down the valley adds up.

H = np.diag([1.0, 20.0])


def descend(gradient, start, lr, momentum=0.0, steps=30):
    path, velocity = [np.array(start)], 0.0
    for _ in range(steps):
        velocity = momentum * velocity + gradient(path[-1])
        path.append(path[-1] - lr * velocity)
    return np.array(path)


def level_sets(ax, value, xlim, ylim, levels):
    grid = np.stack(np.meshgrid(np.linspace(*xlim, 150), np.linspace(*ylim, 150)), axis=-1)
    values = np.array([value(theta) for theta in grid.reshape(-1, 2)]).reshape(grid.shape[:2])
    ax.contour(grid[..., 0], grid[..., 1], values, levels, cmap="Greys_r", linewidths=0.8)


settings = {
    "$\\eta = 0.02$: slow": (0.02, 0),
    "$\\eta = 0.095$: to and fro": (0.095, 0),
    "$\\eta = 0.04$, momentum 0.8": (0.04, 0.8),
}
_, axes = plt.subplots(1, 3, figsize=(13, 3.4), sharey=True, layout="constrained")
for ax, (name, (lr, momentum)) in zip(axes, settings.items(), strict=True):
    level_sets(ax, lambda t: t @ H @ t / 2, (-4.5, 1.5), (-1.6, 1.6), np.geomspace(0.05, 30, 9))
    path = descend(lambda t: H @ t, [-4.0, 1.0], lr, momentum)
    ax.plot(*path.T, ".-", color="tab:red")
    ax.plot(0, 0, "k*")
    ax.set_title(f"{name}, $F = {path[-1] @ H @ path[-1] / 2:.2g}$")
plt.show()

# %%
# Batches
# -------
#
# The loss is a mean over :math:`m` samples, and so is its gradient. The mean over a random *batch* of :math:`b` samples is nearly
# that, for :math:`b / m` of the work: *stochastic gradient descent* (SGD) takes its steps with it. Its expectation is the
# gradient, its variance falls like :math:`1 / b`. Near the minimum, where the gradient is small, what is left is noise: with a
# constant rate SGD ends up in a cloud about the minimum, with a rate that falls it converges.
#
# Here is logistic regression with two weights, by batches of 10, with both kinds of rates.

X, y = datasets.make_blobs(400, 2, noise=0.5, rng=3)
f = fastlec.LogisticObjective(X - X.mean(axis=0), y, fit_bias=False, l2=0.05)
minimum, _ = fastlec.training.minimize_scipy(f, np.zeros(2), "newton-cg", tol=1e-10)


def sgd(rate, epochs, batch_size=10):
    rng, theta, path = np.random.default_rng(0), np.array([1.5, 1.5]), []
    for _ in range(epochs):
        for batch in np.split(rng.permutation(len(y)), len(y) // batch_size):
            theta = theta - rate(len(path)) * f.gradient(theta, batch)
            path.append(theta)
    return np.array(path)


paths = {"constant rate": sgd(lambda k: 1.0, 10), "rate $1 / (1 + k / 40)$": sgd(lambda k: 1 / (1 + k / 40), 10)}
_, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
for ax, (name, path) in zip(axes, paths.items(), strict=True):
    level_sets(ax, f.value, (-3.2, 1.8), (-0.2, 3.2), 15)
    ax.plot(*path.T, ".-", color="tab:red", markersize=3, linewidth=0.4)
    ax.plot(*minimum, "k*", markersize=10)
    away = np.linalg.norm(path[-40:] - minimum, axis=1).mean()
    ax.set_title(f"{name}: in the last epoch {away:.2f} away")
plt.show()
distances = [np.linalg.norm(path[-40:] - minimum, axis=1).mean() for path in paths.values()]
assert distances[1] < distances[0] / 2

# %%
# Training a network
# ------------------
#
# :func:`fastlec.fit` does all of it: it shuffles, cuts batches, back-propagates, steps. *Adam* (Kingma and Ba, 2015) is SGD with
# momentum and a learning rate for each parameter, by the size of its gradients so far. Which rule and rate are best is a matter
# of trial: the training loss says which learn fast, the validation loss on samples set aside which of them learn what they
# should.

digits, labels = fastlec.data.load_digits()
optimizers = {
    "SGD 0.02": SGD(0.02),
    "SGD 0.2": SGD(0.2),
    "SGD 0.02, momentum 0.9": SGD(0.02, momentum=0.9),
    "Adam 0.002": Adam(0.002),
}
_, (left, right) = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
for name, optimizer in optimizers.items():
    net = Network([Dense(64, 32, "relu"), Dense(32, 10, "identity")], rng=0).astype("float32")
    history = fastlec.fit(net, digits, labels, optimizer=optimizer, epochs=20, validation=0.2)
    left.semilogy(range(1, 21), history.train_loss, label=name)
    right.semilogy(range(1, 21), history.val_loss, label=f"{history.val_accuracy[-1]:.1%} right")
left.set(xlabel="epoch", title="Training loss", xticks=range(0, 21, 5))
right.set(xlabel="epoch", title="Validation loss", xticks=range(0, 21, 5))
left.legend()
right.legend()
plt.show()

# %%
# Over-fitting, and when to stop
# ------------------------------
#
# With few samples and many parameters a network over-fits as the polynomials of chapter 1 did: the training loss goes on to fall
# while the validation loss turns. One remedy is to keep the parameters of the best epoch (*early stopping*).

few, rest = np.split(np.random.default_rng(0).permutation(len(labels)), [100])
noisy = labels[few].copy()
noisy[:20] = np.random.default_rng(1).integers(0, 10, 20)  # a fifth of the labels at random
net = Network([Dense(64, 100), Dense(100, 100), Dense(100, 10, "identity")], rng=0).astype("float32")
stop = fastlec.EarlyStopping(patience=60)
history = fastlec.fit(
    net,
    digits[few],
    noisy,
    optimizer=Adam(0.004),
    epochs=60,
    validation=(digits[rest], labels[rest]),
    early_stopping=stop,
)
# sphinx_gallery_thumbnail_number = 4
plot.loss_curves(history, plt.figure(figsize=(7, 4.5), layout="constrained").subplots())
plt.show()
print(f"best epoch: {history.best_epoch} of {len(history)}")
assert history.best_epoch < 40
assert history.val_loss[-1] > 1.1 * min(history.val_loss)

# %%
# Exercises
# ---------
#
# 1. On :math:`F = \frac12 \theta^\top H \theta` with eigenvalues between :math:`\mu` and :math:`L`, which rate makes the error
#    fall fastest? By which factor each step? Check both, and that :math:`\eta > 2 / L` diverges.
# 2. Show that the mean of the gradients of all batches of an epoch is the gradient, and see their variance fall like
#    :math:`1 / b`.
# 3. Program a *line search* by Armijo's rule: start with :math:`\eta = 1`, and halve it until the loss has fallen by at least
#    :math:`10^{-4} \eta \|\nabla F\|^2`. Minimise the loss of a network with it, without choosing any rate.
# 4. Newton's method takes one step to the minimum of a bowl. So do Gauss-Newton steps for a network that is linear in its
#    parameters. Check it.
# 5. Write SGD with momentum as an optimizer of your own, and show that it takes the steps of fastlec's.
# 6. *The course's homework*: networks of 1, 2, 4 and 8 layers, standard and residual, on three sets of points in the plane. Test
#    their derivatives, train them, and compare.
#
# Solutions
# ---------
#
# **Solution 1.** The factor is :math:`\max(|1 - \eta \mu|, |1 - \eta L|)`, least where both are equal:
# :math:`\eta = 2 / (\mu + L)` and the factor :math:`(L - \mu) / (L + \mu)`, with :math:`\kappa = L / \mu` that is
# :math:`(\kappa - 1) / (\kappa + 1)`. Beyond :math:`2 / L` it is above 1.

mu, L = 1.0, 20.0
path = descend(lambda t: H @ t, [1.0, 1.0], 2 / (mu + L), steps=50)
factors = np.linalg.norm(path[1:], axis=1) / np.linalg.norm(path[:-1], axis=1)
print("factor", factors[-1], "by the formula", (L - mu) / (L + mu))
assert np.isclose(factors[-1], (L - mu) / (L + mu))
assert np.linalg.norm(descend(lambda t: H @ t, [1.0, 1.0], 1.01 * 2 / L, steps=500)[-1]) > 1000

# %%
# **Solution 2.** Batches of one size cut the samples into parts, so the mean of their means is the mean of all. A mean of
# :math:`b` independent draws has a :math:`b`-th of the variance of one.

theta, rng = np.array([0.5, 0.5]), np.random.default_rng(0)
batches = np.split(rng.permutation(400), 40)
assert np.allclose(np.mean([f.gradient(theta, batch) for batch in batches], axis=0), f.gradient(theta))

spread = {}
for b in (1, 4, 16, 64):
    gradients = [f.gradient(theta, rng.integers(0, 400, b)) for _ in range(4000)]
    spread[b] = b * np.var(gradients, axis=0).sum()
print("b times the variance:", {b: round(float(value), 4) for b, value in spread.items()})
assert max(spread.values()) < 1.15 * min(spread.values())

# %%
# **Solution 3.** Each search here starts from four times the last rate, which saves halvings. For a small enough :math:`\eta` the
# loss falls by nearly :math:`\eta \|\nabla F\|^2`, so the halving ends; and the loss never rises.

points, classes = datasets.make_peaks(300, 3)
net = Network([Dense(2, 16), Dense(16, 3, "identity")], rng=0)
F = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), points, classes)
theta, losses, rates = net.theta.copy(), [], []
for _ in range(150):
    value, g = F.value_and_gradient(theta)
    eta = 1.0 if not rates else 4 * rates[-1]
    while F.value(theta - eta * g) > value - 1e-4 * eta * (g @ g):
        eta /= 2
    theta = theta - eta * g
    losses.append(value)
    rates.append(eta)
print(f"loss from {losses[0]:.2f} to {losses[-1]:.2f}; rates from {min(rates):.2f} to {max(rates):.2f}")
assert (np.diff(losses) < 0).all()
assert losses[-1] < losses[0] / 2

# %%
# **Solution 4.** The second-order Taylor polynomial of a bowl is the bowl: :math:`\theta - H^{-1} H \theta = 0`. With a linear
# layer and squared errors, :math:`J^\top J` is the Hessian, and the step solves the normal equations of chapter 1.

linear = Network([Dense(64, 1, "identity")], rng=0)
F = fastlec.Objective(linear, fastlec.MeanSquaredError(), digits, labels, l2=1e-3)
g, G = F.gradient(linear.theta), F.gauss_newton_matrix(linear.theta)
one_step = linear.theta - np.linalg.solve(G, g)
print("gradient before and after:", np.linalg.norm(g), np.linalg.norm(F.gradient(one_step)))
assert np.linalg.norm(F.gradient(one_step)) < 1e-10 * np.linalg.norm(g)

# %%
# **Solution 5.** An optimizer is a rule for one step in NumPy; the training step keeps its states.


@dataclass(frozen=True)
class Momentum(fastlec.Optimizer):
    """v = mu v + gradient; theta -= lr v."""

    lr: float = 0.01
    mu: float = 0.9
    state_arrays = 1

    def step(self, theta, gradient, states, count):
        (velocity,) = states
        velocity *= self.mu
        velocity += gradient
        theta -= self.rate(count) * velocity


nets = [Network([Dense(2, 8), Dense(8, 3, "identity")], rng=0) for _ in range(2)]
for net, optimizer in zip(nets, (Momentum(0.05), SGD(0.05, momentum=0.9)), strict=True):
    fastlec.fit(net, points, classes, optimizer=optimizer, epochs=5)
assert np.allclose(nets[0].theta, nets[1].theta, rtol=1e-10)

# %%
# **Solution 6.** An example of the gallery does it from the tests to the pictures: :ref:`sphx_glr_gallery_plot_homework.py`. The
# short of it, for one set and two networks:

spirals, of = datasets.make_spirals()
shallow = Network([Dense(2, 32), Dense(32, 2, "identity")], rng=0)
deep = Network([fastlec.ProjectedResidual(2, 32), *(fastlec.Residual(32) for _ in range(3)), Dense(32, 2, "identity")], rng=0)
accuracies = []
for net in (shallow, deep):
    fastlec.testing.check_layer(net, spirals[:3]).assert_passed()
    accuracies.append(fastlec.fit(net, spirals, of, optimizer=Adam(0.005), epochs=25, validation=0.2).val_accuracy[-1])
print(f"1 hidden layer {accuracies[0]:.0%}, 4 residual ones {accuracies[1]:.0%}")
assert accuracies[1] > 0.95 > accuracies[0]
