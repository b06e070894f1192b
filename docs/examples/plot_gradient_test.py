"""
Is this the gradient?
=====================

The lecture's gradient test (eq. 38 and 39) of softmax regression on handwritten digits: the error of the first-order
Taylor polynomial must shrink as the square of the step. A gradient that lacks one term keeps an error that shrinks only as
the step itself.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlec
from fastlec import testing

X, y = fastlec.data.load_digits()
f = fastlec.SoftmaxObjective(X, y, l2=1e-2)
theta = 0.03 * np.random.default_rng(0).normal(size=f.n_params)  # small weights, at which the softmax bends little


def without_penalty(theta):
    """The gradient of the loss alone: the derivative of l2 / 2 ||W||^2 is missing."""
    return fastlec.SoftmaxObjective(X, y).gradient(theta)


# %%
# A result prints the table of steps with both errors and their orders, and says what is wrong where it fails.

right = testing.gradient_test(f.value, f.gradient, theta, name="the gradient")
wrong = testing.gradient_test(f.value, without_penalty, theta, name="one without the penalty's derivative")
print(right)
print(wrong.reason)
right.assert_passed()
assert not wrong.passed

# %%
# Both as pictures: the slopes are the orders.

_, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
right.plot(axes[0])
wrong.plot(axes[1])
