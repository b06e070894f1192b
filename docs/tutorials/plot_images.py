"""
A user of images: filters, from Sobel's to learnt ones
======================================================

A filter is a linear map of images, given by a small array, its kernel. We apply some that everybody knows, then look at them as
what they are, linear operators with a transpose: so we can ask which kernel made an image of another, and which image a blurred
one was made of. Neural networks with convolutions do nothing else, with many filters at once.

Install with ``pip install 'fastlec[sklearn,image,plot]'``: the photo is one of scikit-learn's.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage
from scipy.sparse.linalg import lsmr
from sklearn.datasets import load_sample_image

import fastlec
from fastlec import Conv2d, filter2d, filters

photo = load_sample_image("china.jpg")[60:316, 200:520]  # (256, 320, 3) bytes
gray = photo.mean(axis=2) / 255


def show(images, columns, width=11):
    """Images side by side, with their titles."""
    h, w = next(iter(images.values())).shape[:2]
    rows = -(-len(images) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(width, width / columns * rows * h / w + 0.3 * rows), layout="constrained")
    for ax, (title, image) in zip(np.ravel(axes), images.items(), strict=True):
        ax.imshow(np.clip(image, 0, 1) if image.dtype.kind == "f" else image, cmap="gray", vmin=0, vmax=1)
        ax.set(title=title, xticks=[], yticks=[])


# %%
# Filters by name
# ---------------
#
# ``filter2d`` takes gray and colour images, in bytes or floats. Bytes in and float out; ``out=`` of bytes rounds and clips.
# Beyond the border it continues the image as ``mode`` says, with SciPy's names.

edges = np.hypot(filter2d(gray, filters.sobel_x()), filter2d(gray, filters.sobel_y()))
shown = {
    "photo": photo,
    "Gaussian, sigma 3": filter2d(photo, filters.gaussian(sigma=3), out=np.empty_like(photo)),
    "unsharp mask": filter2d(photo, filters.unsharp(), out=np.empty_like(photo)),
    "Sobel, size of the gradient": edges / edges.max(),
    "edge": 0.5 + filter2d(gray, filters.edge()) / 2,
    "emboss": filter2d(gray, filters.emboss()),
}
show(shown, 3)

# %%
# The numbers are SciPy's: the kernel is turned by 180 degrees, as mathematicians do, where deep learning does not.

kernel = filters.gaussian(sigma=3)
assert np.allclose(filter2d(gray, kernel, mode="nearest"), ndimage.convolve(gray, kernel, mode="nearest"), atol=1e-14)

# %%
# Which kernel was it?
# --------------------
#
# Somebody shows the photo and its filtered version, with a little noise. As a layer, ``Conv2d`` is linear in its weights: its
# Jacobian by W is an operator from kernels to images, which LSMR inverts in the sense of least squares. 81 unknowns, 80000
# equations, and no matrix.

rng = np.random.default_rng(0)
secret = np.eye(9) / 9  # the camera moved along a diagonal
layer = Conv2d(1, 1, 9, "identity", padding="same", bias=False)
image = gray[None, None]  # (samples, channels, height, width)
blurred = layer.with_params({"W": secret[None, None]})(image)
noisy = blurred + 0.01 * rng.standard_normal(blurred.shape)

by_W = layer.linearize(image)[1].operator("W")
found = lsmr(by_W, noisy.ravel())[0].reshape(9, 9)
print(f"largest error of an entry: {np.abs(found - secret).max():.4f}, of entries up to {secret.max():.3f}")
show({"the secret kernel": secret / secret.max(), "the kernel that was found": found / found.max()}, 2, width=5)
assert np.abs(found - secret).max() < 0.02

# %%
# Which image was it?
# -------------------
#
# The other way round the kernel is known, and the image unknown: 80000 unknowns. The operator by x is the blur, its transpose the
# same with the kernel turned. Without damping least squares make noise of it; with ``damp`` the noise stays small.

by_x = layer.with_params({"W": found[None, None]}).linearize(image)[1].operator("x")
undamped = lsmr(by_x, noisy.ravel(), maxiter=100, atol=0, btol=0)[0].reshape(gray.shape)
damped = lsmr(by_x, noisy.ravel(), damp=0.07, maxiter=60)[0].reshape(gray.shape)


def error(x):
    return float(np.sqrt(np.mean((x - gray) ** 2)))


errors = {"blurred": error(noisy[0, 0]), "undamped": error(undamped), "damped": error(damped)}
print({name: round(value, 4) for name, value in errors.items()})
show({"blurred, with noise": noisy[0, 0], "undamped": undamped, "damped": damped}, 3)
assert errors["damped"] < errors["blurred"] < errors["undamped"]

# %%
# A filter that is learnt
# -----------------------
#
# A network of four convolutions learns from examples what no single filter does: take noise off, and leave edges. It sees
# pieces of one half of the photo and is shown the other half. A Gaussian has to choose between the two.


def pieces(a, size=32):
    h, w = (n // size * size for n in a.shape)
    return a[:h, :w].reshape(h // size, size, w // size, size).swapaxes(1, 2).reshape(-1, 1, size, size)


left, right = gray[:, :160], gray[:, 160:]
clean = np.concatenate([pieces(np.roll(left, (i, j), (0, 1))) for i in (0, 11, 22) for j in (0, 13)]).astype(np.float32)
layers = [
    Conv2d(1, 16, 3, "relu", padding=1),
    Conv2d(16, 16, 3, "relu", padding=1),
    Conv2d(16, 16, 3, "relu", padding=1),
    Conv2d(16, 1, 3, "identity", padding=1),
]
net = fastlec.Network(layers, rng=0).astype("float32")
STEPS, NOISE = 400, np.float32(0.1)
step = fastlec.training_step(net, fastlec.MeanSquaredError(), fastlec.Adam(fastlec.CosineDecay(5e-3, steps=STEPS)), 16)
for _ in range(STEPS):
    x = clean[rng.choice(len(clean), 16, replace=False)]
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    step(x + NOISE * noise, noise)  # it learns the noise: what it does not know stays as it is

speckled = right + NOISE * rng.standard_normal(right.shape)
learnt = speckled - NOISE * net(speckled[None, None].astype("float32"))[0, 0]
smoothed = {s: filter2d(speckled, filters.gaussian(sigma=s)) for s in (0.5, 0.7, 0.9, 1.2)}
scores = {s: float(np.sqrt(np.mean((a - right) ** 2))) for s, a in smoothed.items()}
sigma = min(scores, key=scores.get)
score = float(np.sqrt(np.mean((learnt - right) ** 2)))
print(f"error of the noise 0.100, of the best Gaussian {scores[sigma]:.4f}, of the network {score:.4f}")
show({"noisy": speckled, f"best Gaussian, sigma {sigma}": smoothed[sigma], "network": learnt, "clean": right}, 4)
assert score < scores[sigma]
