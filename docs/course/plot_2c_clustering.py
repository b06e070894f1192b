"""
K-means clustering
==================

No labels this time: which samples belong together? The lecture lists this chapter in its contents (contents 3); what follows is
the standard formulation. The objective goes down with every half step, which proves that the algorithm ends, and has many local
minima, which says why one starts it with care.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import datasets, plot

X, _ = datasets.make_blobs(600, 5, noise=0.1, rng=1)

# %%
# The objective and Lloyd's algorithm (contents 3.1)
# --------------------------------------------------
#
# We look for :math:`k` centers :math:`c_j`, and a label :math:`l_i` for each sample, of least *inertia*
#
# .. math:: \sum_{i=1}^m \|x_i - c_{l_i}\|^2.
#
# Both at once are hard to find, each alone is easy. With fixed centers, the best label is the nearest center. With fixed labels,
# the best center is the mean of its samples. Lloyd's algorithm takes turns until no label changes.


def nearest(X, centers):
    """The label of each sample, and the inertia."""
    distances = ((X[:, None] - centers) ** 2).sum(axis=2)
    return distances.argmin(axis=1), distances.min(axis=1).sum()


def means(X, labels, k):
    return np.array([X[labels == j].mean(axis=0) for j in range(k)])


start = X[np.argsort(X[:, 0])[:5]]  # a bad start: the five leftmost samples
centers, steps = start, []
while len(steps) < 2 or steps[-1][2] < steps[-2][2]:
    labels, inertia = nearest(X, centers)
    steps.append((centers, labels, inertia))
    centers = means(X, labels, 5)
print(f"{len(steps)} iterations, inertia from {steps[0][2]:.1f} to {steps[-1][2]:.1f}")

_, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
for ax, i in zip(axes, (0, 1, 4, len(steps) - 1), strict=True):
    ax.scatter(*X.T, c=steps[i][1], cmap="tab10", vmax=9, s=5)
    ax.scatter(*steps[i][0].T, c=range(5), cmap="tab10", vmax=9, s=120, marker="X", edgecolors="black")
    ax.set(title=f"iteration {i + 1}: {steps[i][2]:.1f}", aspect="equal")
plt.show()

# %%
# In fastlec
# ----------
#
# :func:`fastlec.kmeans` starts from *k-means++*: the first center is a random sample, and each next one is drawn with a
# probability proportional to the squared distance to the nearest center so far (Arthur and Vassilvitskii, 2007). From the start
# above it finds, of course, what Lloyd's algorithm found.

same = fastlec.kmeans(X, 5, init=start, tol=0)
assert np.isclose(same.inertia, steps[-1][2])
best = fastlec.kmeans(X, 5, n_init=10, rng=0)
print(f"from the bad start {same.inertia:.1f}, the best of ten starts {best.inertia:.1f}")
assert best.inertia <= same.inertia

# %%
# Cells of the plane, each of the points nearest to one center, are polygons (a Voronoi diagram): K-means is a linear classifier
# without labels. The number of clusters is a question like the degree of a polynomial: the inertia over it is an L-shaped curve,
# whose corner is a good choice.

numbers = range(1, 11)
inertias = [fastlec.kmeans(X, k, n_init=5, rng=0).inertia for k in numbers]
# sphinx_gallery_thumbnail_number = 2
_, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
plot.decision_regions(best.predict, X, best.labels, left)
left.scatter(*best.centers.T, c="black", marker="X", s=80, zorder=3)
left.set(title="Five clusters, and their cells", aspect="equal")
right.plot(numbers, inertias, "o-")
right.axvline(5, color="0.5", linestyle="--")
right.set(xlabel="number of clusters", ylabel="inertia", title="An L-shaped curve once more")
plt.show()

# %%
# Digits without labels
# ---------------------
#
# The centers of the digits' images are images themselves: the mean digit of each cluster. Some digits have two, one for each way
# of writing them.

digits, labels = fastlec.data.load_digits()
clusters = fastlec.kmeans(digits, 20, n_init=3, rng=0)
_, axes = plt.subplots(2, 10, figsize=(11, 2.6), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
order = np.argsort([np.bincount(labels[clusters.labels == j]).argmax() for j in range(20)], kind="stable")
for ax, j in zip(axes.flat, order, strict=True):
    ax.imshow(clusters.centers[j].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{(clusters.labels == j).sum()}", fontsize="small")
plt.gcf().suptitle("20 centers, with the number of samples of each")
plt.show()

# %%
# Exercises
# ---------
#
# 1. Show that the mean is the center of least inertia of fixed samples, and that
#    :math:`\sum_i \|x_i - c\|^2 = \sum_i \|x_i - \bar x\|^2 + m \|c - \bar x\|^2` for any :math:`c`.
# 2. Why does Lloyd's algorithm end after finitely many iterations? Check that no half step of the run above raises the inertia.
# 3. Run it from 100 starts at random and 100 of k-means++. How often does each find the best inertia of all?
# 4. Inertia of the best clustering falls with every cluster more. Where does it end?
# 5. Give each of 10, 20, 40, 80 clusters of the digits the label of most of its samples. How many digits are then read right?
#
# Solutions
# ---------
#
# **Solution 1.** Write :math:`x_i - c = (x_i - \bar x) + (\bar x - c)`. In the sum of squares the mixed term
# :math:`2 (\bar x - c)^\top \sum_i (x_i - \bar x)` is zero. What is left is least at :math:`c = \bar x`.

c, mean = np.array([0.3, -0.2]), X.mean(axis=0)
assert np.isclose(((X - c) ** 2).sum(), ((X - mean) ** 2).sum() + len(X) * ((c - mean) ** 2).sum())

# %%
# **Solution 2.** Labels minimise the inertia for these centers, centers (solution 1) for these labels, so it never rises. While
# it falls no labelling comes twice, and there are only :math:`k^m` of them.

halves = []
for _, given, inertia in steps:
    halves += [inertia, ((X - means(X, given, 5)[given]) ** 2).sum()]
assert (np.diff(halves) <= 1e-9).all()

# %%
# **Solution 3.** K-means++ puts first centers into different clusters more often than chance does.

inertias = {
    init: [fastlec.kmeans(X, 5, init=init, rng=seed).inertia for seed in range(100)] for init in ("random", "k-means++")
}
least = min(map(min, inertias.values()))
shares = {init: np.mean(np.less(found, 1.01 * least)) for init, found in inertias.items()}
print({init: f"{share:.0%}" for init, share in shares.items()})
assert shares["random"] < shares["k-means++"]

# %%
# **Solution 4.** At zero, once each sample is a center: the sample itself is the limit of over-fitting.

assert fastlec.kmeans(X, len(X), rng=0).inertia == 0

# %%
# **Solution 5.** With more clusters than digits, as each digit is written in several ways.

accuracies = []
for k in (10, 20, 40, 80):
    found = fastlec.kmeans(digits, k, n_init=3, rng=0)
    names = np.array([np.bincount(labels[found.labels == j]).argmax() for j in range(k)])
    accuracies.append(float((names[found.labels] == labels).mean()))
print([f"{a:.0%}" for a in accuracies])
assert accuracies == sorted(accuracies)
assert accuracies[0] < 0.85
assert accuracies[-1] > 0.92
