"""
A student: the derivatives of your own layer, tested
====================================================

You have written a layer, and its Jacobian times a vector and the transpose of that. Are they right? A network with a wrong
gradient often trains, only worse, so looking at losses does not tell. The three tests of the lecture (section 4.3) do. Here is
a layer, a mistake that is easily made in it, and how each test sees it.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import Dense, Network, testing

# %%
# The layer
# ---------
#
# A gate: each feature is multiplied by a number between 0 and 1, which depends on all features,
#
# .. math:: y = x \odot s, \qquad s = \sigma(W x + b).
#
# x appears twice, so the product rule gives two terms. With :math:`D = \mathrm{diag}(x \odot s \odot (1 - s))`, for directions
# :math:`dx, dW, db` and a vector v of y's size,
#
# .. math::
#
#    dy &= s \odot dx + D (W\,dx + dW\,x + db), \\
#    J_x^T v &= s \odot v + W^T D v, \qquad J_W^T v = (D v)\,x^T, \qquad J_b^T v = D v,
#
# where the last two are added up over the samples. In fastlec samples are rows, so ``W x`` is ``x @ W.T`` there.


class Gate(fastlec.Layer):
    """y = x * sigmoid(W x + b)."""

    def __init__(self, n, rng=0):
        W = np.random.default_rng(rng).standard_normal((n, n)) / np.sqrt(n)
        super().__init__({"W": W, "b": np.zeros(n)})

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        s = fastlec.sigmoid(x @ self.params["W"].T + self.params["b"])
        return x * s, (x, s, x * s * (1 - s))  # y, and what the derivatives need

    def mv(self, kept, directions):
        x, s, d = kept
        dy, dz = np.zeros_like(x), np.zeros_like(x)
        if "x" in directions:
            dy += s * directions["x"]
            dz += directions["x"] @ self.params["W"].T
        if "W" in directions:
            dz += x @ directions["W"].T
        if "b" in directions:
            dz += directions["b"]
        return dy + d * dz

    def tmv(self, kept, v, wrt):
        x, s, d = kept
        products = {
            "x": lambda: s * v + (d * v) @ self.params["W"],
            "W": lambda: (d * v).T @ x,
            "b": lambda: (d * v).sum(axis=0),
        }
        return {name: products[name]() for name in wrt}


# %%
# The Jacobian test
# -----------------
#
# For a direction d and steps h that get smaller, ``f(x + h d) - f(x)`` is of the size of h. What remains after ``h J d`` is
# subtracted is of the size of h squared, if and only if J is the Jacobian. Here, by x:

rng = np.random.default_rng(0)
x = rng.standard_normal((5, 4))
gate = Gate(4)
right = testing.jacobian_test(gate, lambda x, v: gate.jac_mv(x, x=v), x, name="the gate")
print(right)
right.assert_passed()

# %%
# The mistake: whoever takes x for a constant in the gate forgets the second term. In a picture with logarithmic axes the order
# is the slope. The error of the right Jacobian falls with slope 2; the wrong one's with slope 1, as if there were no Jacobian
# at all.


class Forgetful(Gate):
    """The gate, with x taken for a constant within it."""

    def mv(self, kept, directions):
        _, s, _ = kept
        return s * directions["x"] if directions.keys() == {"x"} else super().mv(kept, directions)


forgetful = Forgetful(4)
wrong = testing.jacobian_test(forgetful, lambda x, v: forgetful.jac_mv(x, x=v), x, name="the gate, x once")
print(wrong.reason)

_, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
right.plot(axes[0])
wrong.plot(axes[1])
assert not wrong.passed

# %%
# The transpose test
# ------------------
#
# JacTMV is tested against JacMV: for all u and v the numbers :math:`\langle u, J v \rangle` and :math:`\langle J^T u, v
# \rangle` are the same. It needs no steps, so it sees errors down to rounding. It cannot see a mistake that both have, which is
# why there are two tests.

jac = gate.linearize(x)[1]
transposed = testing.transpose_test(lambda _, v: jac.mv(x=v), lambda _, u: jac.tmv(u, wrt=("x",))["x"], x, name="the gate")
print(transposed)
transposed.assert_passed()

jac = forgetful.linearize(x)[1]  # its tmv is the right one's: now they do not fit each other
both = testing.transpose_test(lambda _, v: jac.mv(x=v), lambda _, u: jac.tmv(u, wrt=("x",))["x"], x, name="the gate, x once")
print(both.reason)
assert not both.passed

# %%
# All at once
# -----------
#
# ``check_layer`` makes these tests for x and every parameter, and looks whether the layer keeps to what networks rely on.

found = testing.check_layer(gate, x)
print(found)
found.assert_passed()
assert not testing.check_layer(forgetful, x).passed

# %%
# The gradient test
# -----------------
#
# What training needs is the gradient of the loss by all parameters of a network. It is tested as the Jacobian is; in float64
# the table goes down to where rounding ends it.

X, y = fastlec.datasets.make_spirals(rng=0)
net = Network([Dense(X.shape[1], 24), Gate(24), Gate(24, rng=1), Dense(24, int(y.max()) + 1, "identity")], rng=0)
objective = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
testing.gradient_test(objective.value, objective.gradient, net.theta).assert_passed()

# %%
# Now the network may be trained, and what it finds is what the formulas say.

history = fastlec.fit(net, X, y, optimizer=fastlec.Adam(0.01), epochs=40, validation=0.2)
_, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
history.plot(axes[0])
fastlec.plot.decision_regions(net.predict_proba, X, y, axes[1])
print(f"accuracy on points that it was not trained on: {history.val_accuracy[-1]:.1%}")
assert history.val_accuracy[-1] > 0.9
