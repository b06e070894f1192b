"""
Which waveform is it?
=====================

Convolutions in one dimension: a network of ``Conv1d`` layers tells sine, square, sawtooth and triangle waves apart, of any
frequency and phase, in noise.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import Conv1d, Dense, Flatten, MaxPool1d, Network, plot

WAVES = {
    "sine": lambda t: np.sin(2 * np.pi * t),
    "square": lambda t: np.sign(np.sin(2 * np.pi * t)),
    "sawtooth": lambda t: 2 * (t % 1) - 1,
    "triangle": lambda t: 4 * np.abs(t % 1 - 0.5) - 1,
}
LENGTH, NOISE = 128, 0.4


def signals(m, rng):
    """(X, y): signals X (m, 1, LENGTH), of standard deviation 1 and in NOISE, and which of the waves they are."""
    y = rng.integers(0, len(WAVES), m)
    t = rng.uniform(3, 6, (m, 1)) * np.linspace(0, 1, LENGTH) + rng.uniform(0, 1, (m, 1))
    X = np.choose(y[:, None], [wave(t) for wave in WAVES.values()])
    X /= X.std(axis=1, keepdims=True)
    return (X + NOISE * rng.standard_normal(X.shape))[:, None], y


rng = np.random.default_rng(0)
X, y = signals(4000, rng)
held_out = signals(1000, rng)

# %%
# Samples are (channels, length). Strides and pooling make them shorter, as they do images; a ``Dense`` layer ends the network.

net = Network(
    [
        Conv1d(1, 16, 9, "relu", padding="same"),
        MaxPool1d(2),
        Conv1d(16, 32, 5, "relu", stride=2, padding=2),
        Conv1d(32, 32, 5, "relu", stride=2, padding=2),
        Flatten(),
        Dense(32 * LENGTH // 8, len(WAVES), "identity"),
    ],
    rng=1,
).astype("float32")
print(net.summary((1, LENGTH)))

EPOCHS = 12
adam = fastlec.Adam(fastlec.CosineDecay(2e-3, steps=EPOCHS * len(X) // 50))
history = fastlec.fit(net, X, y, optimizer=adam, batch_size=50, epochs=EPOCHS, validation=held_out)
accuracy = history.val_accuracy[-1]
print(f"{accuracy:.1%} of {len(held_out[1])} signals that it has not seen")

# %%
# A signal of each kind as the network sees it, and what it takes it for.

_, axes = plt.subplots(2, 2, figsize=(10, 5), sharex=True, sharey=True, layout="constrained")
probabilities = net.predict_proba(held_out[0])
for kind, (name, ax) in enumerate(zip(WAVES, axes.flat, strict=True)):
    i = np.flatnonzero(held_out[1] == kind)[0]
    ax.plot(held_out[0][i, 0])
    found = probabilities[i].argmax()
    ax.set_title(f"{name}, taken for {list(WAVES)[found]} ({probabilities[i, found]:.0%})")

# %%
# Where it errs: noise hides what a triangle and a sine differ in before it hides anything else.

counts = np.zeros((len(WAVES), len(WAVES)), int)
np.add.at(counts, (held_out[1], probabilities.argmax(axis=1)), 1)
plot.confusion_matrix(counts, plt.figure(layout="constrained").subplots(), classes=list(WAVES))
