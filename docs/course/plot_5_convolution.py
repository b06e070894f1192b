"""
5. Convolutional networks
=========================

A layer that connects every pixel of an image with every neuron has far too many weights, and treats neighbouring pixels as
strangers. A convolution looks at small windows, with the same few weights everywhere. It is a matrix like any other, only sparse,
so all that chapters 3 and 4 say of networks holds.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import Conv2d, Dense, Flatten, MaxPool2d, Network, filters, plot, reference, testing

X, y = fastlec.data.load_digits()
images = X.reshape(-1, 1, 8, 8)  # (samples, channels, height, width)

# %%
# An image is numbers
# -------------------
#
# A grey image is an array of brightness (lecture figure 7), one of colours has three such channels.

image = images[3, 0]
_, ax = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
ax.imshow(image, cmap="gray", vmin=0, vmax=1)
for (row, column), value in np.ndenumerate(image):
    ax.text(column, row, f"{16 * value:.0f}", ha="center", va="center", color="black" if value > 0.5 else "white")
ax.set(xticks=[], yticks=[], title="A digit, in 16 levels of grey")
plt.show()

# %%
# Filtering
# ---------
#
# Image processing has known convolutions for long (section 5.1): each pixel of the result is a sum of its neighbours, times the
# numbers of a small *kernel* :math:`K`,
#
# .. math:: y_{ab} = \sum_{i,j} K_{ij} \, x_{a - i, b - j}.
#
# What the kernel is decides what it does: a mean blurs, differences find edges, the image plus a multiple of differences is
# sharper. We draw a picture to try it on.

side = np.linspace(-1.2, 1.2, 160)
across, down = np.meshgrid(side, side)
radius = np.hypot(across, down)
drawing = 0.85 - 0.6 * ((radius < 0.9) & (radius > 0.62)) - 0.35 * (np.abs(across + down) < 0.12) + 0.15 * across
drawing += 0.02 * np.random.default_rng(0).standard_normal(drawing.shape)
kernels = {
    "gaussian(sigma=3)": filters.gaussian(sigma=3),
    "sharpen(2)": filters.sharpen(2),
    "edge()": filters.edge(),
    "sobel_x()": filters.sobel_x(),
    "emboss()": filters.emboss(),
}
# sphinx_gallery_thumbnail_number = 2
_, axes = plt.subplots(2, 3, figsize=(10, 7), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
axes[0, 0].imshow(drawing, cmap="gray", vmin=0, vmax=1)
axes[0, 0].set_title("image")
for ax, (name, kernel) in zip(axes.flat[1:], kernels.items(), strict=True):
    low, high = (0, 1) if abs(kernel.sum() - 1) < 1e-9 else (-2, 2)
    ax.imshow(fastlec.filter2d(drawing, kernel), cmap="gray", vmin=low, vmax=high)
    ax.set_title(name)
plt.show()

# %%
# A sparse matrix
# ---------------
#
# Each pixel of the result is a linear function of the image, so the convolution is a matrix: a row has the kernel's numbers at
# the pixels of its window, and zeros elsewhere. Rows are the same but for their place. (Layers do not turn the kernel, as filters
# do: this is a correlation, by the strict use of words.) With the matrix :math:`M`, JacMV by the image is :math:`M d`, and JacTMV
# is :math:`M^\top v`.

K = np.array([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]])[None, None]
M = reference.conv2d_matrix(K, (1, 1, 8, 8), padding=1)
v = np.random.default_rng(0).standard_normal((1, 1, 8, 8))
assert np.allclose(M @ images[0].ravel(), fastlec.conv2d(images[:1], K, padding=1).ravel())
assert np.allclose(M.T @ v.ravel(), fastlec.conv2d_jac_tmv(v, images[:1], K, padding=1)["x"].ravel())
_, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ax.imshow(M.toarray(), cmap="RdBu_r")
ax.set(
    xlabel="pixels of the image",
    ylabel="pixels of the result",
    title=f"{M.nnz} of {M.shape[0] * M.shape[1]} entries, {K.size} numbers",
)
plt.show()

# %%
# The weights, at last, are few. From an image of 28 x 28 to 16 maps of that size:

dense = Dense(28 * 28, 16 * 28 * 28, dtype="float32")
conv = Conv2d(1, 16, 3, padding=1, dtype="float32")
print(f"Dense: {sum(a.size for a in dense.params.values()):,} parameters; Conv2d: {sum(a.size for a in conv.params.values())}")

# %%
# A network that reads digits
# ---------------------------
#
# Convolutions with activations, then pooling, which halves height and width; at the end a dense layer on what is left. Its
# derivatives pass the three tests as those of any other network do.

net = Network(
    [
        Conv2d(1, 16, 3, "relu", padding=1),
        Conv2d(16, 32, 3, "relu", padding=1),
        MaxPool2d(2),
        Flatten(),
        Dense(32 * 4 * 4, 10, "identity"),
    ],
    rng=0,
)
print(net.summary((1, 8, 8)))
testing.check_layer(net, np.random.default_rng(0).standard_normal((2, 1, 8, 8))).assert_passed()

net = net.astype("float32")
adam = fastlec.Adam(fastlec.CosineDecay(4e-3, steps=15 * 45))
history = fastlec.fit(net, images, y, optimizer=adam, epochs=15, validation=0.2)
print(f"{history.val_accuracy[-1]:.1%} of the validation digits; softmax regression has about 95 %")
assert history.val_accuracy[-1] > 0.97

# %%
# What it has learnt: the filters of the first convolution, many of them differences in some direction, and what the layers make
# of one digit.

plot.filters(net.params["0.W"], plt.figure(figsize=(10, 1.4), layout="constrained").subplots())
maps = {"image": images[3]} | {f"layer {i}": a[0] for i, a in enumerate(net.activations(images[3:4])[:3])}
plot.feature_maps(maps, plt.figure(figsize=(10, 3), layout="constrained").subplots())
plt.show()

# %%
# Exercises
# ---------
#
# 1. Write a convolution by two loops over the kernel, and compare it with :func:`fastlec.conv2d`.
# 2. An image that is moved gives a result that is moved: convolutions are *equivariant*. Check it, away from the border. Is a
#    dense layer?
# 3. How large is the result, for an image of :math:`h`, a kernel of :math:`r`, padding :math:`p` and stride :math:`s`? Check it
#    for some.
# 4. Some kernels are products of a column and a row. How many multiplications does that save, for an 11 x 11 blur? Show that two
#    passes do what one does.
# 5. Write JacTMV of a convolution by its weights, with :func:`fastlec.im2col`, and let the transpose test confirm it.
#
# Solutions
# ---------
#
# **Solution 1.** For each tap of the kernel, the whole image, moved by that tap, times its number.


def convolve(x, K):
    """x (h, w), K (r, s), no padding; the kernel is not turned, as in conv2d."""
    (h, w), (r, s) = x.shape, K.shape
    y = np.zeros((h - r + 1, w - s + 1))
    for i in range(r):
        for j in range(s):
            y += K[i, j] * x[i : i + y.shape[0], j : j + y.shape[1]]
    return y


rng = np.random.default_rng(0)
x, K = rng.standard_normal((9, 12)), rng.standard_normal((3, 4))
assert np.allclose(convolve(x, K), fastlec.conv2d(x[None, None], K[None, None])[0, 0])

# %%
# **Solution 2.** The same numbers at each place: who moves the windows' contents moves the results. A dense layer has other
# weights for each pixel.

moved = np.roll(drawing, (5, 7), axis=(0, 1))
kernel = filters.edge()
inside = (slice(10, -10), slice(10, -10))
assert np.allclose(
    np.roll(fastlec.filter2d(drawing, kernel), (5, 7), axis=(0, 1))[inside], fastlec.filter2d(moved, kernel)[inside]
)
layer = Dense(64, 64, rng=0)
rolled = np.roll(image, 1, axis=1)
assert not np.allclose(
    np.roll(layer(image.reshape(1, 64)).reshape(8, 8), 1, axis=1), layer(rolled.reshape(1, 64)).reshape(8, 8)
)

# %%
# **Solution 3.** The window's first row may stand at :math:`0, s, 2 s, \dots` up to :math:`h + 2 p - r`: that makes
# :math:`\lfloor (h + 2 p - r) / s \rfloor + 1`.

for h, r, p, s in ((8, 3, 0, 1), (8, 3, 1, 1), (8, 3, 1, 2), (28, 5, 2, 3), (7, 7, 0, 4)):
    shape = Conv2d(1, 1, r, padding=p, stride=s).output_shape((1, h, h))
    print(f"h={h} r={r} p={p} s={s}: {shape[1]}")
    assert shape[1] == (h + 2 * p - r) // s + 1

# %%
# **Solution 4.** :math:`K = u v^\top` gives :math:`\sum_i u_i \sum_j v_j x_{a - i, b - j}`: rows first, then columns, 22
# multiplications for each pixel in place of 121. Such a kernel is a matrix of rank 1, which its singular values show.

blur = filters.gaussian(11, sigma=2)
u, s, vt = np.linalg.svd(blur)
assert np.linalg.matrix_rank(blur) == 1
column, row = np.sqrt(s[0]) * u[:, :1], np.sqrt(s[0]) * vt[:1]
two_passes = fastlec.filter2d(fastlec.filter2d(drawing, row), column)
assert np.allclose(two_passes, fastlec.filter2d(drawing, blur))

# %%
# **Solution 5.** With the windows as columns, :math:`Y = W C` with :math:`W` of shape (filters, window): by eq. 37 JacTMV is
# :math:`V C^\top`, summed over images.

batch = images[:5]
columns = fastlec.im2col(batch, 3, padding=1)  # (5, 9, 64)


def jac_mv(W, D):
    return (D.reshape(4, 9) @ columns).reshape(5, 4, 8, 8)


def jac_tmv(W, V):
    return (V.reshape(5, 4, 64) @ columns.transpose(0, 2, 1)).sum(axis=0).reshape(4, 1, 3, 3)


W, V = rng.standard_normal((4, 1, 3, 3)), rng.standard_normal((5, 4, 8, 8))
assert np.allclose(jac_mv(W, W), fastlec.conv2d(batch, W, padding=1))
testing.transpose_test(jac_mv, jac_tmv, W, name="a convolution by its weights").assert_passed()
_, jac = Conv2d(1, 4, 3, padding=1, rng=0).linearize(batch)
assert np.allclose(jac.tmv(V, "W")["W"], jac_tmv(W, V))
