"""
A function made of neurons
==========================

Networks of one hidden layer, fitted to the function of chapter 1 (lecture 3.1), taken to pieces: what each of eight neurons adds,
and their sum. With ReLU the pieces are broken lines, and so is the sum; with tanh they are smooth steps.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import Dense, Network, regression

x = np.linspace(0.01, 1.01, 200)[:, None]
target = regression.true_basis(x[:, 0]) @ [[0.3], [1.0], [0.5]]
WIDTH = 8


def fitted(activation):
    net = Network([Dense(1, WIDTH, activation), Dense(WIDTH, 1, "identity")], rng=3)
    net.params["0.W"][:] = 8 * np.sign(net.params["0.W"])
    net.params["0.b"][:] = -net.params["0.W"][:, 0] * np.linspace(0.02, 0.9, WIDTH)  # kinks spread over the interval
    f = fastlec.Objective(net, fastlec.MeanSquaredError(), x, target, l2=1e-7)
    return net.with_theta(fastlec.gauss_newton(f, net.theta, max_iter=200).x)


_, axes = plt.subplots(2, 2, figsize=(11, 7), sharex=True, layout="constrained")
for row, activation in zip(axes, ("relu", "tanh"), strict=True):
    net = fitted(activation)
    hidden, output = net.activations(x)
    pieces = hidden * net.params["1.W"]  # (200, WIDTH), a column for each neuron
    assert np.allclose(pieces.sum(axis=1, keepdims=True) + net.params["1.b"], output)
    row[0].plot(x, pieces)
    row[0].set_title(f"{activation}: what each neuron adds")
    row[1].plot(x, target, color="black", linewidth=6, alpha=0.2, label="function")
    row[1].plot(x, output, label="the sum of all")
    row[1].set_title(f"largest error {np.abs(output - target).max():.3f}")
    row[1].legend()
plt.show()
