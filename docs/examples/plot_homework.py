r"""
The homework of the course
==========================

Networks learn three sets of points in the plane: spirals, blobs and peaks, which ``fastlec.datasets`` makes. Six tasks lead
there, each of which needs what the one before has found. Write your own code first; a solution follows the tasks.

1. **Softmax loss.** Write the loss of softmax regression and its gradient by weights and biases, and pass the gradient test
   (:ref:`chapter 2.2 <sphx_glr_gallery_course_plot_2b_softmax_regression.py>`).
2. **SGD.** Write stochastic gradient descent, by mini-batches. Try it on a least squares problem first, whose minimum is
   known: how near do you come, and what do smaller steps change? (:ref:`Chapter 4b
   <sphx_glr_gallery_course_plot_4b_training.py>`)
3. **Softmax regression by SGD.** Minimise 1 by 2 on the three sets. Which of them can a linear classifier learn? Show the
   accuracy on the points that it trains on, and on others (:ref:`chapter 2.2
   <sphx_glr_gallery_course_plot_2b_softmax_regression.py>`).
4. **Layers.** Take the standard layer (lecture eq. 21) and the residual one (eq. 22) with their products JacMV and JacTMV,
   and pass the Jacobian test and the transpose test, by the input and by each parameter (:ref:`chapters 3
   <sphx_glr_gallery_course_plot_3_neural_networks.py>` and :ref:`4a <sphx_glr_gallery_course_plot_4a_derivatives.py>`).
5. **Networks.** Put layers together, for any depth, with the softmax loss at the end. Pass the gradient test of the whole
   network, by all parameters at once (:ref:`chapter 4a <sphx_glr_gallery_course_plot_4a_derivatives.py>`).
6. **Depth.** Train standard and residual networks of 1, 2, 4 and 8 layers on the three sets by SGD. What does depth do for
   each set? Look at what they have learnt (:ref:`chapter 4b <sphx_glr_gallery_course_plot_4b_training.py>`).
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import Dense, Network, ProjectedResidual, Residual, datasets, plot, testing

SETS = {
    "spirals": datasets.make_spirals(),
    "blobs": datasets.make_blobs(),
    "peaks": datasets.make_peaks(),
}  # X (1000, 2), y (1000,)

# %%
# **Solution 1.** All parameters are one vector theta: the weights, a row for each class, then the biases. With the largest
# logit of a sample subtracted from all of its logits, nothing overflows.


def softmax_loss(theta, X, y):
    """The mean cross-entropy, and its gradient by theta."""
    m, n = X.shape
    classes = len(theta) // (n + 1)
    W, b = theta[: classes * n].reshape(classes, n), theta[classes * n :]
    logits = X @ W.T + b
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(m), y]).mean()
    p[np.arange(m), y] -= 1  # P - C
    return loss, np.concatenate([(p.T @ X).ravel(), p.sum(axis=0)]) / m


X, y = SETS["peaks"]
theta = np.random.default_rng(0).normal(size=5 * 2 + 5)
result = testing.gradient_test(lambda t: softmax_loss(t, X, y)[0], lambda t: softmax_loss(t, X, y)[1], theta)
print(result)
result.assert_passed()
assert np.isclose(softmax_loss(theta, X, y)[0], fastlec.SoftmaxObjective(X, y).value(theta))

# %%
# **Solution 2.** Each epoch visits all samples once, in an order drawn anew. Of the problem :math:`\frac{1}{2 m} \|A x -
# b\|^2` the minimum is known. Steps of one length end in a cloud around it, for the gradients of mini-batches do not vanish
# there; steps that get shorter come nearer and nearer.


def sgd(gradient, theta, m, lr, epochs, batch_size=20):
    """theta at the start and after each epoch; ``gradient(theta, batch)`` is that of some of the m samples."""
    rng = np.random.default_rng(0)
    path = [theta]
    for epoch in range(epochs):
        for batch in np.array_split(rng.permutation(m), m // batch_size):
            theta = theta - lr(epoch) * gradient(theta, batch)
        path.append(theta)
    return path


rng = np.random.default_rng(1)
A = rng.normal(size=(500, 4))
b = A @ [1, -2, 3, -4] + rng.normal(size=500)
best = np.linalg.lstsq(A, b, rcond=None)[0]


def least_squares_gradient(x, batch):
    return A[batch].T @ (A[batch] @ x - b[batch]) / len(batch)


distances = {}
for name, lr in {"0.1": lambda epoch: 0.1, "0.1 / (1 + epoch)": lambda epoch: 0.1 / (1 + epoch)}.items():
    path = sgd(least_squares_gradient, np.zeros(4), 500, lr, epochs=100)
    distances[name] = [np.linalg.norm(x - best) for x in path]
assert distances["0.1 / (1 + epoch)"][-1] < 0.01 < distances["0.1"][-1]

_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, distance in distances.items():
    ax.semilogy(distance, label=f"learning rate {name}")
ax.set(title="SGD on least squares", xlabel="epoch", ylabel="distance to the minimum")
ax.legend()

# %%
# **Solution 3.** Four fifths of the points train, the others validate. Blobs lie apart, and straight lines separate them. The
# arms of a spiral turn around each other: of any line, not many more than half of the points are on the right side.

linear = {}
_, axes = plt.subplots(1, 3, figsize=(12, 3.5), sharey=True, layout="constrained")
for ax, (s, (X, y)) in zip(axes, SETS.items(), strict=True):
    train, held_out = fastlec.data.split(y)
    start = np.zeros(3 * (y.max() + 1))

    def gradient(theta, batch, X=X[train], y=y[train]):
        return softmax_loss(theta, X[batch], y[batch])[1]

    path = sgd(gradient, start, len(train), lambda epoch: 1 / (1 + epoch / 10), epochs=30)
    for name, rows in (("training", train), ("validation", held_out)):
        objective = fastlec.SoftmaxObjective(X[rows], y[rows], y.max() + 1)
        accuracies = [np.mean(objective.predict(theta) == y[rows]) for theta in path]
        ax.plot(accuracies, label=name)
    linear[s] = accuracies[-1]
    ax.set(title=f"{s}, linear: {accuracies[-1]:.1%}", xlabel="epoch", ylabel="accuracy")
axes[0].legend()
assert linear["spirals"] < 0.7
assert linear["blobs"] > 0.95

# %%
# **Solution 4.** ``fastlec`` has both layers; :ref:`sphx_glr_gallery_tutorials_plot_own_layer.py` writes one from scratch.
# ``check_layer`` makes the Jacobian test and the transpose test by x and each parameter. First-order errors must fall as the
# square of the step.

for layer in (Dense(3, 4, rng=0), Residual(3, rng=0)):
    result = testing.check_layer(layer, np.random.default_rng(1).normal(size=(5, 3)))
    print(result)
    result.assert_passed()

# %%
# **Solution 5.** Networks of a depth, and the three tests of lecture 4.3 of each, by all of its parameters: of the loss's
# gradient, of the Jacobian, and that JacTMV is the transpose of JacMV.

DEPTHS, WIDTH, EPOCHS = (1, 2, 4, 8), 32, 60


def network(kind, depth, classes):
    """``depth`` hidden layers of one kind, of tanh, and the linear classifier; the seed gives each layer weights of its own."""
    if kind == "standard":
        hidden = [Dense(2, WIDTH)] + [Dense(WIDTH, WIDTH) for _ in range(depth - 1)]
    else:
        hidden = [ProjectedResidual(2, WIDTH)] + [Residual(WIDTH) for _ in range(depth - 1)]
    return Network([*hidden, Dense(WIDTH, classes, "identity")], rng=0)


def derivative_tests(net, X, y):
    """The results of the three tests."""
    f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)

    def forward(theta):
        return net.with_theta(theta)(X)

    def jac_mv(theta, v):
        return net.with_theta(theta).jac_mv(X, theta=v)

    def jac_tmv(theta, u):
        return net.with_theta(theta).jac_tmv(X, u, "theta")["theta"]

    return [
        testing.gradient_test(f.value, f.gradient, net.theta),
        testing.jacobian_test(forward, jac_mv, net.theta),
        testing.transpose_test(jac_mv, jac_tmv, net.theta),
    ]


nets, tests = {}, []
for s, (X, y) in SETS.items():
    for kind in ("standard", "residual"):
        for depth in DEPTHS:
            net = network(kind, depth, y.max() + 1)
            nets[s, kind, depth] = net
            tests += [((s, kind, depth), test) for test in derivative_tests(net, X[:5], y[:5])]
assert all(test.passed for _, test in tests)
plot.derivative_tests(tests, plt.figure(layout="constrained").subplots())

# %%
# **Solution 6.** ``fit`` makes the steps of SGD, here with momentum and a learning rate that falls to zero. The accuracy of
# the epoch's batches before their steps is drawn solid, that of the points that validate dashed. One layer of this width is
# too little for the spirals and for the peaks; of two layers residual networks make more than standard ones, and learn
# sooner.

histories = {}
for (s, kind, depth), net in nets.items():
    optimizer = fastlec.SGD(fastlec.CosineDecay(0.04, steps=EPOCHS * 25), momentum=0.9)  # 25 batches of 32 in an epoch
    histories[s, kind, depth] = fastlec.fit(net, *SETS[s], optimizer=optimizer, epochs=EPOCHS, validation=0.2)

_, axes = plt.subplots(2, 3, figsize=(12, 6), sharex=True, sharey=True, layout="constrained")
epochs = range(1, EPOCHS + 1)
for row, kind in zip(axes, ("standard", "residual"), strict=True):
    for ax, s in zip(row, SETS, strict=True):
        for i, depth in enumerate(DEPTHS):
            history = histories[s, kind, depth]
            ax.plot(epochs, history.train_accuracy, f"C{i}", label="1 layer" if depth == 1 else f"{depth} layers")
            ax.plot(epochs, history.val_accuracy, f"C{i}--")
        ax.set(title=f"{s}, {kind}", xlabel="epoch", ylabel="accuracy")
axes[0, 1].plot([], [], "k-", label="training")
axes[0, 1].plot([], [], "k--", label="validation")
axes[0, 1].legend(loc="lower right")

# %%
# What each of them makes of the plane, paler where it is less certain, and its accuracy on the points that validate.

# sphinx_gallery_thumbnail_number = 5
_, axes = plt.subplots(6, 4, figsize=(12, 18), layout="constrained")
for ax, ((s, kind, depth), net) in zip(axes.flat, nets.items(), strict=True):
    plot.decision_regions(net.predict_proba, *SETS[s], ax, resolution=100).get_legend().remove()
    accuracy = histories[s, kind, depth].val_accuracy[-1]
    ax.set(title=f"{s}, {kind}, {depth}: {accuracy:.1%}", xticks=[], yticks=[])
