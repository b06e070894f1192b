"""
The homework of the course
==========================

Networks of 1, 2, 4 and 8 layers, standard (lecture eq. 21) and residual (eq. 22 and 23), learn three sets of points in the plane:
first their derivatives are tested, then they are trained, then we look at what they have learnt.
"""

import matplotlib.pyplot as plt

import fastlec
from fastlec import Dense, Network, ProjectedResidual, Residual, datasets, plot, testing

SETS = {"spirals": datasets.make_spirals(), "blobs": datasets.make_blobs(), "peaks": datasets.make_peaks()}
FIRST, NEXT = {"standard": Dense, "residual": ProjectedResidual}, {"standard": Dense, "residual": Residual}
DEPTHS, WIDTH, EPOCHS = (1, 2, 4, 8), 32, 60


def network(kind, depth, n_classes):
    """``depth`` layers of one kind, of tanh, and the linear classifier; the seed gives each layer weights of its own."""
    sizes = {"standard": (WIDTH, WIDTH), "residual": (WIDTH,)}[kind]
    hidden = [FIRST[kind](2, WIDTH), *(NEXT[kind](*sizes) for _ in range(depth - 1))]
    return Network([*hidden, Dense(WIDTH, n_classes, "identity")], rng=0)


# %%
# The three tests of lecture 4.3, of every network, by all of its parameters: of the loss's gradient, of the Jacobian, and that
# JacTMV is the transpose of JacMV. First-order errors must fall as the square of the step.


def derivative_tests(net, X, y):
    """A result of each of the three; ``at(t)`` is the network with the parameters t."""
    f, at, theta = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y), net.with_theta, net.theta
    jac_mv, jac_tmv = (lambda t, v: at(t).jac_mv(X, theta=v)), (lambda t, u: at(t).jac_tmv(X, u, "theta")["theta"])
    yield testing.gradient_test(f.value, f.gradient, theta)
    yield testing.jacobian_test(lambda t: at(t)(X), jac_mv, theta)
    yield testing.transpose_test(jac_mv, jac_tmv, theta)


nets = {(s, kind, d): network(kind, d, SETS[s][1].max() + 1) for s in SETS for kind in FIRST for d in DEPTHS}
tests = [(key, test) for key, net in nets.items() for test in derivative_tests(net, SETS[key[0]][0][:5], SETS[key[0]][1][:5])]
assert all(test.passed for _, test in tests)
plot.derivative_tests(tests, plt.figure(layout="constrained").subplots())

# %%
# Training on four fifths of the points, with Adam. The accuracy of the epoch's batches before their steps is drawn solid, that of
# the other points, which validate, dashed. One layer of this width is too little for the spirals and for the peaks; of two layers
# residual networks make more than standard ones, and learn sooner.

adam = fastlec.Adam(fastlec.CosineDecay(5e-3, steps=EPOCHS * 25))
histories = {key: fastlec.fit(net, *SETS[key[0]], optimizer=adam, epochs=EPOCHS, validation=0.2) for key, net in nets.items()}
axes = plt.figure(figsize=(12, 6), layout="constrained").subplots(2, 3, sharex=True, sharey=True)
for (s, kind, d), history in histories.items():
    ax, color = axes[list(FIRST).index(kind), list(SETS).index(s)], f"C{DEPTHS.index(d)}"
    epochs = range(1, EPOCHS + 1)
    ax.plot(epochs, history.train_accuracy, color, label=f"{d} layer{'s' * (d > 1)}")
    ax.plot(epochs, history.val_accuracy, color, linestyle="--")
    ax.set(title=f"{s}, {kind}", xlabel="epoch", ylabel="accuracy")
for line, label in (("k-", "training"), ("k--", "validation")):
    axes[0, 1].plot([], [], line, label=label)
axes[0, 1].legend(loc="lower right")

# %%
# What each of them makes of the plane, paler where it is less certain, and its accuracy on the points that validate.

axes = plt.figure(figsize=(12, 18), layout="constrained").subplots(6, 4)
for ax, (key, net) in zip(axes.flat, nets.items(), strict=True):
    plot.decision_regions(net.predict_proba, *SETS[key[0]], ax, resolution=100).get_legend().remove()
    ax.set(title=f"{key[0]}, {key[1]}, {key[2]}: {histories[key].val_accuracy[-1]:.1%}", xticks=[], yticks=[])
