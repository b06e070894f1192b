"""
A user of SciPy: an inverse problem, and how certain its solution is
====================================================================

Digits out of focus and in noise, to be made sharp again. The blur is known, but its inverse makes more of the noise than of the
digits. A network that has learnt what digits look like maps a few numbers, the codes, to images. We look for the codes whose
images, blurred, fit the data (A. Bora et al., "Compressed sensing using generative models", 2017), by Gauss-Newton steps with
the network's Jacobian as an operator, which also tells how certain each pixel is.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.linalg import lsmr

import fastlec
from fastlec import Conv2d, ConvTranspose2d, Network

NOISE, CODES, TEST, EPOCHS = 0.02, 12, 300, 40
rng = np.random.default_rng(0)
images = fastlec.data.load_digits()[0].reshape(-1, 1, 8, 8)
known, unseen = images[:-TEST], images[-TEST:]

# %%
# An autoencoder learns the map: its first half makes codes of images, its second half makes images of codes. These are images of
# one pixel with many channels.

encoder = [
    Conv2d(1, 16, 3, "silu", stride=2, padding=1),
    Conv2d(16, 32, 3, "silu", padding=1),
    Conv2d(32, CODES, 4, "identity"),
]
decoder = [
    ConvTranspose2d(CODES, 32, 4, "silu"),
    Conv2d(32, 16, 3, "silu", padding=1),
    ConvTranspose2d(16, 16, 4, "silu", stride=2, padding=1),
    Conv2d(16, 1, 3, "sigmoid", padding=1),
]
net = Network([*encoder, *decoder], rng=0).astype("float32")
adam = fastlec.Adam(fastlec.CosineDecay(4e-3, steps=EPOCHS * 30))
step = fastlec.training_step(net, fastlec.MeanSquaredError(), adam, 50)
for _ in range(EPOCHS):
    for batch in np.array_split(rng.permutation(len(known)), 30):
        x = known[batch].astype("float32")
        step(x, x)
net = net.astype("float64")

# %%
# The unknowns z are independent and standard normal by the prior: a linear layer gives them the mean and the covariance of
# codes. The blur is a layer behind the decoder, so that all of it is a network.

codes = Network(net.layers[: len(encoder)])(known).reshape(-1, CODES)
prior = Conv2d(CODES, CODES, 1, "identity")
prior.params["W"][:, :, 0, 0] = np.linalg.cholesky(np.cov(codes.T))
prior.params["b"][:] = codes.mean(axis=0)
blur = Conv2d(1, 1, 7, "identity", padding=3, bias=False)
bell = np.exp(-0.5 * np.arange(-3, 4) ** 2)
blur.params["W"][:] = np.outer(bell, bell) / bell.sum() ** 2
image_of = Network([prior, *net.layers[len(encoder) :]])
model = Network([*image_of.layers, blur])

clean = unseen[:10]
data = blur(clean) + NOISE * rng.standard_normal(clean.shape)

# %%
# The data differ from the model by the noise, and by what codes leave of digits that no training has seen.

unexplained = net(unseen[10:]) - unseen[10:]
sigma = float(np.hypot(NOISE, blur(unexplained).std()))
print(f"standard deviation of the noise: {NOISE}, of the data: {sigma:.3f}")

# %%
# The first step, from the prior's mean, minimises ``|J z - (data - model(0))|^2 + sigma^2 |z|^2``. LSMR needs products with J
# and its transpose alone, as the network's operator has them.

shape = (len(data), CODES, 1, 1)
y, jac = model.linearize(np.zeros(shape))
first = lsmr(jac.operator("x"), (data - y).ravel(), damp=sigma)[0]

# %%
# More such steps, with a trust region, lead to a minimum: the most probable codes. The residuals are those of the data, then
# those of the prior, in units of their standard deviations.


def residual(z):
    return np.concatenate([(model(z.reshape(shape)) - data).ravel() / sigma, z])


def residual_jac(z):
    J = model.linearize(z.reshape(shape))[1].operator("x")
    return (lambda v: np.concatenate([J @ v / sigma, v])), (lambda u: J.T @ u[: data.size] / sigma + u[data.size :])


found = fastlec.gauss_newton(residual, first, jac=residual_jac, solver="lsmr")
z = found.x.reshape(shape)
print(found.message)

# %%
# For comparison, without regularisation, the blur's inverse; and the best that is linear in the data, for which pixels are
# normal, with the mean and the covariance of the known images.

B = Network([blur]).linearize(clean[:1])[1].blocks("x")[0]  # (64, 64)
flat = data.reshape(len(data), -1)
inverse = np.linalg.solve(B, flat.T).T
pixels = known.reshape(len(known), -1)
mean, covariance = pixels.mean(axis=0), np.cov(pixels.T)
gain = covariance @ B.T @ np.linalg.inv(B @ covariance @ B.T + NOISE**2 * np.eye(len(B)))
linear = mean + (flat - mean @ B.T) @ gain.T


def error(x):
    """The mean square of the distance to the clean images."""
    return float(((x.reshape(clean.shape) - clean) ** 2).mean())


solutions = {"inverse": inverse, "one step": image_of(first.reshape(shape)), "linear": linear, "network": image_of(z)}
errors = {name: error(x) for name, x in solutions.items()}
print("mean squared errors:", ", ".join(f"{name} {value:.4f}" for name, value in errors.items()))
assert errors["network"] < 0.8 * errors["linear"] < errors["inverse"] / 100

# %%
# With J the Jacobian at the minimum, J'J / sigma^2 + I is the inverse of the covariance of z, one block for each digit. The
# image's Jacobian takes it to the pixels. Besides, digits differ from all images that the decoder makes, by at most about what
# the autoencoder leaves of others: with its variance at each pixel, intervals are rather too wide than too narrow.

J, G = (net.linearize(z)[1].blocks("x") for net in (model, image_of))  # (10, 64, CODES)
covariances = np.linalg.inv(J.mT @ J / sigma**2 + np.eye(CODES))
deviation = np.sqrt((G @ covariances * G).sum(axis=2)).reshape(clean.shape)
distance = np.abs(image_of(z) - clean)
total = np.hypot(deviation, unexplained.std(axis=0))
covered = {name: float((distance < 2 * d).mean()) for name, d in {"codes": deviation, "codes and decoder": total}.items()}
print("within 2 standard deviations:", ", ".join(f"{name} {share:.0%}" for name, share in covered.items()))
assert covered["codes and decoder"] > 0.9

# %%
# The codes' standard deviation is largest where pixels are grey, at the borders of strokes, and so are the errors.

_, axes = plt.subplots(7, 10, figsize=(10, 7.4), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
rows = {"clean": clean, "data": data, **{k: solutions[k].reshape(clean.shape) for k in ("inverse", "linear", "network")}}
for row, (name, x) in zip(axes, rows.items(), strict=False):
    row[0].set_ylabel(name)
    for ax, image in zip(row, x, strict=False):
        ax.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
for row, (name, x) in zip(axes[5:], {"std. deviation": deviation, "error": distance}.items(), strict=True):
    row[0].set_ylabel(name)
    for ax, image in zip(row, x, strict=False):
        ax.imshow(image[0], cmap="magma", vmin=0, vmax=0.3)
