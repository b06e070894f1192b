r"""
2.2 Softmax regression and its derivatives
==========================================

Ten digits need more than a yes or no. Softmax regression, also called multinomial logistic regression, has a weight vector for
each class and turns the ten numbers :math:`x^\top w_j` into ten probabilities. Its gradient by the data, at the end of this
chapter, is where the back-propagation of every classifying network begins.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import plot, testing

X, y = fastlec.data.load_digits()  # (1797, 64): 8 x 8 grey levels, and the digit
train, held_out = fastlec.data.split(y, fraction=0.2)
print(X.shape, "of which", len(held_out), "are held out")

# %%
# The model and its loss
# ----------------------
#
# The probability of class :math:`j` is (lecture eq. 10)
#
# .. math:: P(y = j \mid x) = \frac{\exp(x^\top w_j)}{\sum_i \exp(x^\top w_i)},
#
# to which a bias for each class is added. The loss is minus the mean logarithm of the probability of the right class (eq. 11 and
# 12). Two remarks of the lecture are about computing it:
#
# - *Division is elementwise* (remark 1): nobody forms a diagonal matrix to divide by.
# - *Extreme exponentials*: ``exp(1000)`` is infinity, and infinity over infinity is not a number. But the quotient stays the same
#   when :math:`\eta = \max_j x^\top w_j` is subtracted from all exponents, and then nothing overflows.

logits = np.array([[1000.0, 999.0, 0.0]])
with np.errstate(over="ignore", invalid="ignore"):
    print("by the formula:", np.exp(logits) / np.exp(logits).sum())
print("shifted:       ", fastlec.softmax(logits))
shifted = np.exp(logits - logits.max())
assert np.allclose(fastlec.softmax(logits), shifted / shifted.sum())

# %%
# Training
# --------
#
# :class:`fastlec.SoftmaxObjective` is the loss as a function of all weights and biases in one vector. As it is convex, a
# quasi-Newton method such as L-BFGS soon finds the minimum. Without the small penalty ``l2`` the weights would grow on and on, as
# in chapter 2.1 where a line separates the classes.

f = fastlec.SoftmaxObjective(X[train], y[train], l2=1e-3)
theta, message = fastlec.training.minimize_scipy(f, np.zeros(f.n_params), "lbfgs")
found = f.predict(theta, X[held_out])
print(message)
print(f"{(found == y[held_out]).mean():.1%} of the held-out digits")
assert (found == y[held_out]).mean() > 0.94

# %%
# The weights of a class are as many as pixels: an image of what speaks for the class, and what against it.

_, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained", width_ratios=(3, 2))
plot.weight_images(f.unpack(theta)["W"], (8, 8), left)
counts = np.zeros((10, 10), int)
np.add.at(counts, (y[held_out], found), 1)
plot.confusion_matrix(counts, right, data="held out")
plt.show()

# %%
# The gradient by the weights
# ---------------------------
#
# With :math:`p_j` the probabilities of class :math:`j` for all samples and :math:`c_j` its indicators, the derivative is that of
# logistic regression once more, class by class (section 2.3.2):
#
# .. math:: \nabla_{w_j} F = \frac{1}{m} X (p_j - c_j).
#
# It passes the gradient test. One that forgets the penalty does not: once :math:`\epsilon` is small, its error falls like
# :math:`\epsilon` only, and both lines are parallel.

there = np.random.default_rng(0).standard_normal(f.n_params)
right_one = testing.gradient_test(f.value, f.gradient, there, name="the gradient")
without_penalty = fastlec.SoftmaxObjective(X[train], y[train]).gradient
wrong_one = testing.gradient_test(f.value, without_penalty, there, name="one without the penalty")
_, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
right_one.plot(axes[0])
wrong_one.plot(axes[1])
plt.show()
assert right_one.passed
assert not wrong_one.passed

# %%
# The gradient by the data
# ------------------------
#
# In a network, :math:`X` is what the layer before has computed, and that layer needs to know how the loss changes with it
# (section 2.3.3). With all weights as columns of :math:`W`, probabilities as rows of :math:`P` and indicators as rows of
# :math:`C`,
#
# .. math:: \nabla_X F = \frac{1}{m} W (P - C).

by_data = f.data_gradient(theta)  # (m, 64): samples are rows here
W = f.unpack(theta)["W"]  # (10, 64)
C = np.eye(10)[y[train]]
assert np.allclose(by_data, (f.predict_proba(theta) - C) @ W / len(train))


def loss_of(X):
    return fastlec.SoftmaxObjective(X, y[train], l2=1e-3).value(theta)


testing.gradient_test(loss_of, by_data, X[train], name="F as a function of the data").assert_passed()

# %%
# Exercises
# ---------
#
# 1. Adding one vector to all :math:`w_j` changes no probability. Check it, and find the dimension of the Hessian's null space.
# 2. By remark 2 one weight vector may be zero. Train that form, ``reduced=True``, without a penalty on a few classes, and compare
#    its probabilities with those of the redundant form.
# 3. Show that logistic regression is softmax regression with two classes, one of which has the weights zero.
# 4. Show that the gradient by the logits sums to zero over the classes, so that what one class gains the others lose.
# 5. *Fool the classifier*: take a held-out digit that it reads well, and move along the gradient by the data until it reads
#    another. How far must the image move?
#
# Solutions
# ---------
#
# **Solution 1.** With :math:`w_j + v` all exponents grow by :math:`x^\top v`, and the quotient stays the same. The loss is
# constant in these directions, 64 of weights and one of biases. Where pixels are always white in the data, each class's weight
# there is free as well.

plain = fastlec.SoftmaxObjective(X[:, 18:22], y)  # four pixels that no digit leaves white, so that the null space is no larger
v = np.random.default_rng(0).standard_normal(5)
some = np.random.default_rng(1).standard_normal(plain.n_params)
moved = some + np.concatenate([np.tile(v[:4], 10), np.full(10, v[4])])
assert np.allclose(plain.predict_proba(moved), plain.predict_proba(some))
eigenvalues = np.linalg.eigvalsh(plain.hessian(some))
print("smallest eigenvalues of the Hessian:", *(f"{value:.0e}" for value in eigenvalues[:7]))
assert (eigenvalues < 1e-12).sum() == 4 + 1

# %%
# **Solution 2.** Subtract :math:`w_l` from all vectors of the redundant form: the probabilities stay, and the last vector is
# zero. So both forms reach the same probabilities, and so the same minimum of the loss. With a penalty they differ, for it sees
# the weights.

some_digits = y < 3
pixels = X[some_digits][:, 18:46:3]
probabilities = {}
for reduced in (False, True):
    g = fastlec.SoftmaxObjective(pixels, y[some_digits], reduced=reduced)
    minimum, _ = fastlec.training.minimize_scipy(g, np.zeros(g.n_params), "newton-cg", tol=1e-9)
    probabilities[reduced] = g.predict_proba(minimum)
    print(f"reduced={reduced}: {g.n_params} parameters, loss {g.value(minimum):.9f}")
assert np.allclose(probabilities[False], probabilities[True], atol=1e-5)

# %%
# **Solution 3.** :math:`\frac{\exp(t)}{\exp(t) + \exp(0)} = \frac{1}{1 + \exp(-t)} = \sigma(t)`.

t = np.linspace(-30, 30, 13)
assert np.allclose(fastlec.softmax(np.column_stack([t, np.zeros_like(t)]))[:, 0], fastlec.sigmoid(t), rtol=1e-14)

# %%
# **Solution 4.** By the logits :math:`t` of one sample the gradient is :math:`p - c`. Both are vectors of sum 1.

_, gradient = fastlec.softmax_cross_entropy(X[:50, :10], y[:50])
assert np.abs(gradient.sum(axis=1)).max() < 1e-15

# %%
# **Solution 5.** We ask for another class, the second best, and lower its loss by steps along the normed gradient. Linear
# classifiers are fooled by small changes that are spread over many pixels, which hardly disturb the eye.

i = held_out[np.flatnonzero((y[held_out] == 3) & (found == 3))[0]]
image = X[i : i + 1].copy()
target = f.predict_proba(theta, image)[0].argsort()[-2]
while f.predict(theta, image)[0] != target:
    g = fastlec.SoftmaxObjective(image, [target], 10).data_gradient(theta)
    image -= 0.02 * g / np.linalg.norm(g)
moved = np.linalg.norm(image - X[i])
print(f"a 3 taken for a {target} after a move of {moved:.2f}, {moved / np.linalg.norm(X[i]):.0%} of the image's norm")
assert moved < 0.5 * np.linalg.norm(X[i])

# sphinx_gallery_thumbnail_number = 3
_, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
axes[0].imshow(X[i].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
axes[1].imshow((image - X[i]).reshape(8, 8), cmap="RdBu_r", vmin=-0.5, vmax=0.5)
axes[2].imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
for ax, title in zip(axes, ("read as 3", "red: darker, blue: paler", f"read as {target}"), strict=True):
    ax.set_title(title)
plt.show()
