"""
The loss around a minimum
=========================

Two networks of eight layers have learnt the spirals, one of classical layers (lecture eq. 21), one of residual ones (eq. 22).
What does the loss look like around where they ended, in a plane of two random directions? Directions have the size of the
weights, matrix by matrix, so that both pictures have one scale (after H. Li et al., "Visualizing the loss landscape of neural
nets", 2018).
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import Dense, Network, ProjectedResidual, Residual, datasets

X, y = datasets.make_spirals(300)
WIDTH, DEPTH = 16, 8
nets = {
    "classical": Network(
        [Dense(2, WIDTH), *(Dense(WIDTH, WIDTH) for _ in range(DEPTH - 1)), Dense(WIDTH, 2, "identity")], rng=0
    ),
    "residual": Network(
        [ProjectedResidual(2, WIDTH), *(Residual(WIDTH) for _ in range(DEPTH - 1)), Dense(WIDTH, 2, "identity")], rng=0
    ),
}
for name, net in nets.items():
    adam = fastlec.Adam(fastlec.CosineDecay(5e-3, steps=120 * 10))
    history = fastlec.fit(net, X, y, optimizer=adam, epochs=120)
    print(f"{name}: loss {history.train_loss[-1]:.4f}, accuracy {history.train_accuracy[-1]:.1%}")


def direction(net, rng):
    """Normal numbers, of each parameter as long as it is."""
    parts = []
    for a in net.params.values():
        d = rng.standard_normal(a.shape)
        parts.append((d * np.linalg.norm(a) / np.linalg.norm(d)).ravel())
    return np.concatenate(parts)


# %%
# The residual network has ended in a wide basin, the classical one in a narrow slit.

side = np.linspace(-1, 1, 41)
_, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharex=True, sharey=True, layout="constrained")
for ax, (name, net) in zip(axes, nets.items(), strict=True):
    rng = np.random.default_rng(0)
    first, second = direction(net, rng), direction(net, rng)
    f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
    values = np.array([[f.value(net.theta + a * first + b * second) for a in side] for b in side])
    areas = ax.contourf(side, side, np.log10(values), np.arange(-3, 1.1, 0.25), cmap="viridis", extend="both")
    ax.plot(0, 0, "r*", markersize=10)
    ax.set(title=f"{name}, eight layers", xlabel="direction 1")
axes[0].set_ylabel("direction 2")
plt.colorbar(areas, ax=axes, label="log10 of the loss")
plt.show()
