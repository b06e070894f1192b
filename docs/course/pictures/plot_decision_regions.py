"""
Decision regions, from a line to a network
==========================================

One set of points, and what six classifiers make of the plane: a linear one, one that is linear in polynomials of the coordinates,
and networks that get wider and deeper. Colours are paler where a classifier is less certain.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import Dense, Network, datasets, plot

X, y = datasets.make_peaks(500, 3, noise=0.1)


def powers(X, degree):
    """The products x^i y^j, 1 <= i + j <= degree, of coordinates scaled to [-1, 1]."""
    a, b = np.clip(X / 3, -1.5, 1.5).T
    return np.column_stack([a**i * b**j for i in range(degree + 1) for j in range(degree + 1 - i) if i + j])


def regression_on(degree):
    f = fastlec.SoftmaxObjective(powers(X, degree), y, l2=1e-4)
    theta, _ = fastlec.training.minimize_scipy(f, np.zeros(f.n_params), "newton-cg")
    return lambda X: f.predict_proba(theta, powers(X, degree))


def network(*widths, epochs=100):
    layers = [Dense(a, b) for a, b in zip((2, *widths), widths, strict=False)]
    net = Network([*layers, Dense(widths[-1], 3, "identity")], rng=1)
    adam = fastlec.Adam(fastlec.CosineDecay(0.02, steps=16 * epochs))
    fastlec.fit(net, X, y, optimizer=adam, epochs=epochs)
    return net.predict_proba


classifiers = {
    "softmax regression": regression_on(1),
    "on polynomials of degree 2": regression_on(2),
    "on polynomials of degree 6": regression_on(6),
    "a network of 3 neurons": network(3),
    "of 16 neurons": network(16),
    "of 3 layers of 16": network(16, 16, 16),
}
X_new, y_new = datasets.make_peaks(2000, 3, noise=0.1, rng=1)
_, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
accuracies = {}
for ax, (name, probabilities) in zip(axes.flat, classifiers.items(), strict=True):
    plot.decision_regions(probabilities, X, y, ax, resolution=150).get_legend().remove()
    accuracies[name] = float((probabilities(X_new).argmax(axis=1) == y_new).mean())
    ax.set_title(f"{name}: {accuracies[name]:.0%} of new points")
plt.show()
assert accuracies["softmax regression"] < accuracies["on polynomials of degree 2"] < accuracies["on polynomials of degree 6"]
assert accuracies["a network of 3 neurons"] < accuracies["of 3 layers of 16"]
