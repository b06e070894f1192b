"""
Digits without the noise
========================

A denoising autoencoder (P. Vincent et al., "Extracting and composing robust features with denoising autoencoders", 2008):
convolutions with strides make images smaller, their transposes make them larger again, and what does not fit through the middle is
the noise.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import Conv2d, ConvTranspose2d, Network, Upsample2d

NOISE, TEST = 0.4, 300
rng = np.random.default_rng(0)
clean = fastlec.data.load_digits()[0].reshape(-1, 1, 8, 8).astype("float32")
noisy = clean + NOISE * rng.standard_normal(clean.shape).astype("float32")


def error(images):
    """The mean square of their distance to the clean ones, of the last images, which no training sees."""
    return float(((images - clean)[-TEST:] ** 2).mean())


# %%
# 8 x 8 pixels become 4 x 4 and 2 x 2 in more channels, and 4 x 4 and 8 x 8 again: once by a transposed convolution, once by an
# upsampling that a convolution follows.

net = Network(
    [
        Conv2d(1, 32, 3, "relu", stride=2, padding=1),
        Conv2d(32, 64, 3, "relu", stride=2, padding=1),
        ConvTranspose2d(64, 32, 4, "relu", stride=2, padding=1),
        Upsample2d(2),
        Conv2d(32, 16, 3, "relu", padding=1),
        Conv2d(16, 1, 3, "sigmoid", padding=1),
    ],
    rng=1,
).astype("float32")
print(net.summary((1, 8, 8)))

# %%
# Each epoch sees the digits in other noise.

EPOCHS = 30
adam = fastlec.Adam(fastlec.CosineDecay(3e-3, steps=EPOCHS * -(-(len(clean) - TEST) // 50)))
step = fastlec.training_step(net, fastlec.MeanSquaredError(), adam, 50)
errors = []
for _ in range(EPOCHS):
    for batch in np.array_split(rng.permutation(len(clean) - TEST), -(-(len(clean) - TEST) // 50)):
        y = clean[batch]
        step(y + NOISE * rng.standard_normal(y.shape).astype("float32"), y)
    errors.append(error(net(noisy)))
before, after = error(noisy), errors[-1]
print(f"mean squared error: {before:.4f} with the noise, {after:.4f} without")

# %%
# Digits that no training has seen: with noise, as the network gives them back, and as they were.

_, axes = plt.subplots(3, 10, figsize=(10, 3.2), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
for row, (name, images) in zip(axes, {"noisy": noisy, "network": net(noisy), "clean": clean}.items(), strict=True):
    row[0].set_ylabel(name)
    for ax, image in zip(row, images[-TEST:], strict=False):
        ax.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)

# %%
_, ax = plt.subplots(layout="constrained")
ax.semilogy(range(1, EPOCHS + 1), errors)
ax.set(xlabel="epoch", ylabel="mean squared error")
