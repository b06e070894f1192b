"""Losses of a network's output, as means over samples: softmax cross-entropy (lecture eq. 11 and 12) and the squared error.

A loss of a user's own has two methods:

    targets(y, shape, dtype)        y checked and converted for an output of this shape
    value_and_gradient(output, y)   (the loss, its gradient by the output), both of which are read at once

and may have more: ``value(output, y)``; ``hessian_mv(output, y, v)`` for Gauss-Newton products; ``classes(y)``, the classes (m,) of
outputs (m, l) that the targets speak for, integers from 0 to l - 1: without it there are no accuracies; ``residual_scale(size)``,
where it is a sum of squares.
"""

import numpy as np

from .. import _check
from .._activations import ACTIVATIONS
from .._kernels import plan as kernels
from .._kernels import residuals as _residuals
from .._kernels import xent as _xent
from ..functional import softmax, softmax_cross_entropy
from ..layers import AvgPool2d, MaxPool2d
from ..layers.planned import PlannedLayer
from ..network import Network

_INT64 = np.dtype(np.int64)


def value(loss, output, y):
    """The value of a loss, a float; also of one of the user's own that has no method for it alone."""
    if hasattr(loss, "value"):
        return _check.number(loss.value(output, y), f"what {type(loss).__name__}.value gave")
    return value_and_gradient(loss, output, y)[0]


def value_and_gradient(loss, output, y):
    """(value, gradient by the output) of a loss, which may be the user's own."""
    found, name = loss.value_and_gradient(output, y), f"{type(loss).__name__}.value_and_gradient"
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(f"{name} gave a {type(found).__name__}; expected (loss, its gradient by the output)")
    gradient = _check.as_array(found[1], f"the gradient that {name} gave")
    _check.float_dtype(gradient.dtype, f"the gradient that {name} gave")
    if gradient.shape != output.shape:
        raise ValueError(f"{name} gave a gradient of shape {gradient.shape}; expected {output.shape}")
    return _check.number(found[0], f"the loss that {name} gave"), gradient


def in_kernels(value, kernels_method, python_method):
    """Whether a loss or an optimizer says for the kernels, too, what its method in Python does: not where a subclass overrides that
    alone."""
    for base in type(value).__mro__:  # the class itself first
        if kernels_method in vars(base) or python_method in vars(base):
            return kernels_method in vars(base)
    return False


def count_right(output, classes):
    """How many samples have their largest output (m, l) at their class (m,)."""
    right = _xent.count_right(output, classes)
    return np.count_nonzero(output.argmax(axis=-1) == classes) if right is None else right


def classes_of(loss, y, shape):
    """The classes (m,) in targets y of an output of this shape; None where the loss knows none, or the output is not (m, l)."""
    if len(shape) != 2 or getattr(loss, "classes", None) is None:
        return None
    return _check.labels(loss.classes(y), *shape, f"what {type(loss).__name__}.classes gave")


def warn_if_bounded(net, loss):
    """A UserWarning where the cross-entropy takes the values of a bounded activation for logits."""
    name = _last_bounded(net) if isinstance(loss, SoftmaxCrossEntropy) else None
    if name:
        bounds = list(ACTIVATIONS[name].bounds)
        _check.warn(
            f"net ends with {name}, whose values lie in {bounds}, and {type(loss).__name__} takes them for logits: no class "
            'can become certain. End with activation "identity", as in Dense(n, n_classes, "identity")'
        )


def _last_bounded(net):
    """The name of the bounded activation that a network applies last, below layers of whose values bounds follow from those; None
    where there is none that is known."""
    for layer in _from_the_last(net):
        if not isinstance(layer, PlannedLayer) or not layer.planned:
            return None
        if layer.outermost is not None and ACTIVATIONS[layer.activation].bounds:
            return layer.activation
        if not (layer.reshapes or layer.elementwise or isinstance(layer, AvgPool2d | MaxPool2d)):
            return None
    return None


def _from_the_last(layer):
    """The layers of a network, and of those within it, backwards; a layer that is none, or applies its layers in its own way."""
    if isinstance(layer, Network) and type(layer).planned:
        for inner in reversed(layer.layers):
            yield from _from_the_last(inner)
    else:
        yield layer


class SoftmaxCrossEntropy:
    """The mean over samples of -log softmax(z)_y, z (m, l) the network's output (lecture eq. 11 and 12).

    y : (m,) integers in [0, l), or (m, l) target probabilities, one row for each sample. ValueError or TypeError for others.

    The outputs are logits, which must be free to be large. `fit`, `training_step` and `Objective` warn (UserWarning) where the
    network ends in tanh, which is the default of `Dense`, or sigmoid.

    >>> import numpy as np
    >>> loss, gradient = fastlec.SoftmaxCrossEntropy().value_and_gradient(np.zeros((1, 4)), np.array([3]))
    >>> round(loss, 4), gradient
    (1.3863, array([[ 0.25,  0.25,  0.25, -0.75]]))
    """

    __slots__ = ()  # there is nothing to set

    def __repr__(self):
        return "SoftmaxCrossEntropy()"

    def targets(self, y, shape, dtype):
        """y as the kernels take it, for an output of this shape. ValueError or TypeError if it does not fit."""
        if _check.is_plain(y) and y.dtype is _INT64 and y.shape == shape[:1] and _xent.first_bad_label(y, shape[-1]) < 0:
            return y  # the common case, quickly
        _matrix(shape)
        y = _check.as_array(y, "y")
        if y.ndim == 2 or y.dtype.kind == "f":
            if y.shape == shape[:1]:
                raise TypeError(f"y has dtype {y.dtype}; expected integers, or probabilities of shape {shape}")
            if y.shape != shape:
                raise ValueError(f"y has shape {y.shape}; expected ({shape[0]},) integers or {shape} probabilities")
            _check.float_dtype(y.dtype, "y")
            return _check.plain(y, dtype, "y")
        return _check.labels(y, *shape, "y")

    def classes(self, y):
        """The class (m,) that each target, a label or a row of probabilities, speaks for."""
        return y if y.ndim == 1 else y.argmax(axis=1)

    def value(self, output, y):
        """The loss, a float."""
        return self.value_and_gradient(output, y)[0]

    def value_and_gradient(self, output, y, *, grad_out=None):
        """(loss, its gradient by the output (m, l)), in one sweep. grad_out : array for the gradient, or None."""
        output = _check.matrix(output, "output")
        return softmax_cross_entropy(output, self.targets(y, output.shape, _dtype(output)), grad_out=grad_out)

    def hessian_mv(self, output, y, v):
        """The Hessian by the output times v (m, l): (diag(p) - p p') v / m for each sample, times the sum of its target row where y
        holds rows; labels do not matter."""
        output = _check.matrix(output, "output")
        v = _like(v, output)
        y = self.targets(y, output.shape, v.dtype)
        p = softmax(_check.plain(output, v.dtype, "output"))
        product = p * (v - np.einsum("ij,ij->i", p, v)[:, None]) / len(p)
        return product if y.ndim == 1 else product * y.sum(axis=1, keepdims=True)

    def plan(self, plan, output, y, grad):
        """Adds the loss, and (unless None) its gradient by the output, to a plan."""
        _xent.loss(plan, output, y, grad, len(output))


class MeanSquaredError:
    """The mean over samples and outputs of (z - y)^2, z (m, k) the network's output.

    y : (m, k), or (m,) where there is one output. ValueError or TypeError for others.

    >>> import numpy as np
    >>> fastlec.MeanSquaredError().value(np.array([[1.0], [2.0]]), np.array([1.0, 4.0]))
    2.0
    """

    __slots__ = ()  # there is nothing to set

    def __repr__(self):
        return "MeanSquaredError()"

    def targets(self, y, shape, dtype):
        """y as the kernels take it, for an output of this shape. ValueError or TypeError if it does not fit."""
        y = _check.as_array(y, "y")
        _check.float_dtype(y.dtype, "y")
        if y.shape != shape and (y.shape != shape[:1] or int(np.prod(shape[1:])) != 1):
            raise ValueError(f"y has shape {y.shape}; expected {shape}")
        return _check.plain(y, dtype, "y").reshape(shape)

    def value(self, output, y):
        """The loss, a float."""
        return self._run(output, y, None)

    def value_and_gradient(self, output, y, *, grad_out=None):
        """(loss, its gradient by the output). grad_out : array for the gradient, or None."""
        output = _check.as_array(output, "output")
        dtype = _dtype(output)
        if grad_out is not None:
            _check.output(grad_out, output.shape, dtype, "grad_out")
        grad = kernels.Plan(dtype.num).empty(*output.shape)
        return self._run(output, y, grad), _check.fill(grad_out, grad)

    def _run(self, output, y, grad):
        output = _check.as_array(output, "output")
        if not output.size:
            raise ValueError(f"output has shape {output.shape}; expected at least one sample")
        dtype = _dtype(output)
        y = self.targets(y, output.shape, dtype)
        plan = kernels.Plan(dtype.num)
        self.plan(plan, _check.plain(output, dtype, "output"), y, grad)
        return plan.run()

    def residual_scale(self, size):
        """With outputs of that many values, the loss is ||scale (output - y)||^2 / 2."""
        return np.sqrt(2 / size)

    def hessian_mv(self, output, y, v):
        """The Hessian by the output times v: 2 v / (m k); output and y do not matter."""
        v = _like(v, output)
        return v * v.dtype.type(2 / max(v.size, 1))

    def plan(self, plan, output, y, grad):
        """Adds the loss, and (unless None) its gradient by the output, to a plan."""
        _residuals.loss(plan, "squares", output, y, grad, output.size)


def _dtype(output):
    return _check.float_dtype(output.dtype, "output")


def _like(v, output):
    output = _check.as_array(output, "output")
    v = _check.as_array(v, "v")
    if v.shape != output.shape:
        raise ValueError(f"v has shape {v.shape}; expected {output.shape} to match output")
    _check.float_dtype(v.dtype, "v")
    return _check.plain(v, _dtype(output), "v")


def _matrix(shape):
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"output has shape {shape}; expected (samples, classes), neither of them 0")
