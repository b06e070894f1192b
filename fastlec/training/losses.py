"""Losses of a network's output, as means over samples: softmax cross-entropy (lecture eq. 11 and 12), and losses of single
elements: squared, absolute and Huber's errors, binary cross-entropy.

A loss of a user's own has two methods:

    targets(y, shape, dtype)        y checked and converted for an output of this shape
    value_and_gradient(output, y)   (the loss, its gradient by the output), both of which are read at once

and may have more: ``value(output, y)``; ``hessian_mv(output, y, v)`` for Gauss-Newton products; ``classes(y)``, the classes (m,) of
outputs (m, l) that the targets speak for, integers from 0 to l - 1, of a single output 0 or 1, or NotImplemented: without it there
are no accuracies; ``counted(y)``, which samples (m,) count, as booleans, or None for all: the others have weight 0 (counted itself
may be None); ``residual_scale(size)``, where it is a sum of squares. Samples can have weights where its methods take an argument
``sample_weight``, None or float64 (m,), >= 0 and not all 0, and then give sum_i w_i l_i / sum_i w_i and its derivatives.

The functions here take weights as `_check.mean_weights` makes them for all samples of a training, of which these may be some: what
they give is the mean of w_i l_i, so that the means of parts add up to that of all, by the parts' numbers of samples.
"""

import inspect
import math
from dataclasses import dataclass

import numpy as np

from .. import _check
from .._activations import ACTIVATIONS
from .._kernels import curvature as _curvature
from .._kernels import plan as kernels
from .._kernels import residuals as _residuals
from .._kernels import smooth as _smooth
from .._kernels import xent as _xent
from ..functional import softmax_cross_entropy
from ..layers.planned import PlannedLayer
from ..network import Network

_INT64 = np.dtype(np.int64)
_LABELS = -(1 << 63), (1 << 63) - 1  # of int64


def takes_weights(loss, name="value_and_gradient"):
    """Whether this method of a loss, which may be the user's own, has an argument sample_weight."""
    try:
        arguments = inspect.signature(getattr(loss, name)).parameters
    except ValueError:  # compiled, and says nothing of its arguments: it is asked
        return True
    return "sample_weight" in arguments or any(a.kind is a.VAR_KEYWORD for a in arguments.values())


def check_weighted(loss, argument="sample_weight", name="value_and_gradient"):
    """TypeError, which names the argument that was given, unless this method of the loss takes weights."""
    if not takes_weights(loss, name):
        raise TypeError(
            f"{argument} is given, and loss is a {type(loss).__name__}, whose {name} takes no sample_weight; "
            f"expected one that does"
        )


def _weighed(weight):
    """(keyword arguments for a method of a loss, what its weighted mean is multiplied by: the mean weight); None for the former
    where all weights are 0."""
    if weight is None:
        return {}, 1.0
    share = float(weight.mean())
    return {"sample_weight": weight} if share else None, share


def value(loss, output, y, weight=None):
    """The value of a loss, a float; also of one of the user's own that has no method for it alone."""
    if not hasattr(loss, "value") or (weight is not None and not takes_weights(loss, "value")):
        return value_and_gradient(loss, output, y, weight)[0]
    named, share = _weighed(weight)
    return (
        0.0
        if named is None
        else share * _check.number(loss.value(output, y, **named), f"what {type(loss).__name__}.value gave")
    )


def hessian_mv(loss, output, y, v, weight=None):
    """The Hessian of a loss by the output times v."""
    named, share = _weighed(weight)
    if named is None:
        return np.zeros_like(v)
    if weight is not None:
        check_weighted(loss, name="hessian_mv")
    found = loss.hessian_mv(output, y, v, **named)
    return found if weight is None else share * found


def value_and_gradient(loss, output, y, weight=None):
    """(value, gradient by the output) of a loss, which may be the user's own."""
    named, share = _weighed(weight)
    if named is None:
        return 0.0, np.zeros_like(output)
    found, name = loss.value_and_gradient(output, y, **named), f"{type(loss).__name__}.value_and_gradient"
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(f"{name} gave a {type(found).__name__}; expected (loss, its gradient by the output)")
    gradient = _check.as_array(found[1], f"the gradient that {name} gave")
    _check.float_dtype(gradient.dtype, f"the gradient that {name} gave")
    if gradient.shape != output.shape:
        raise ValueError(f"{name} gave a gradient of shape {gradient.shape}; expected {output.shape}")
    loss = _check.number(found[0], f"the loss that {name} gave")
    return (loss, gradient) if weight is None else (share * loss, share * gradient)


def in_kernels(value, kernels_method, python_method):
    """Whether a loss or an optimizer says for the kernels, too, what its method in Python does: not where a subclass overrides that
    alone."""
    for base in type(value).__mro__:  # the class itself first
        if kernels_method in vars(base) or python_method in vars(base):
            return kernels_method in vars(base)
    return False


def count_right(output, classes):
    """How many samples have their largest output (m, l) at their class (m,); a single output speaks for class 1 where it is > 0."""
    if output.shape[1] == 1:
        return int(np.count_nonzero((output[:, 0] > 0) == (classes == 1)))
    right = _xent.count_right(output, classes)
    return int(np.count_nonzero(output.argmax(axis=-1) == classes)) if right is None else right


def classes_of(loss, y, shape):
    """The classes (m,) in targets y of an output of this shape; None where the loss knows none, or the output is not (m, l)."""
    if len(shape) != 2 or getattr(loss, "classes", None) is None:
        return None
    classes = loss.classes(y)
    if classes is NotImplemented:
        return None
    return _check.labels(classes, shape[0], n_classes(shape), f"what {type(loss).__name__}.classes gave")


def n_classes(shape):
    """How many classes outputs of this shape, (m, l), speak for: a single one tells two apart."""
    return max(shape[1], 2)


def counted(loss, y):
    """Which samples (m,) of targets y count, as booleans; None for all of them. ValueError where none does."""
    of = getattr(loss, "counted", None)
    mask = None if of is None else of(y)
    if mask is not None and not mask.any():
        raise ValueError(f"y holds no sample that counts for {loss!r}; expected one or more")
    return mask


def mean_weights(loss, y, m, sample_weight=None):
    """The weights of m samples with targets y, times what makes their mean 1: those given, if any, and 0 where a sample does not
    count for the loss; None where all are ones."""
    mask = counted(loss, y)
    if mask is not None:
        weight = mask.astype(np.float64)
        if sample_weight is None:
            sample_weight = weight
        else:
            sample_weight = _check.weights(sample_weight, m)[0] * weight
    return None if sample_weight is None else _check.mean_weights(sample_weight, m)


def mean_of(sample_weight, mask, m):
    """The mean of the weights that m samples are given, None for ones, with 0 where mask, if any, is False."""
    weight = np.ones(m) if sample_weight is None else np.asarray(sample_weight, np.float64)
    weight = weight if mask is None else weight * mask
    return float((weight / weight.max()).mean() * weight.max())  # in a sum of which nothing overflows


def warn_if_bounded(net, loss):
    """A UserWarning where a cross-entropy takes the values of a bounded activation for logits."""
    name = _last_bounded(net) if isinstance(loss, SoftmaxCrossEntropy | BinaryCrossEntropy) else None
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
        if layer.outermost is not None and isinstance(layer.activation, str) and ACTIVATIONS[layer.activation].bounds:
            return layer.activation
        if not (layer.reshapes or layer.elementwise or layer.keeps_bounds):
            return None
    return None


def _from_the_last(layer):
    """The layers of a network, and of those within it, backwards; a layer that is none, or applies its layers in its own way."""
    if isinstance(layer, Network) and type(layer).planned:
        for inner in reversed(layer.layers):
            yield from _from_the_last(inner)
    else:
        yield layer


@dataclass(frozen=True, repr=False)
class SoftmaxCrossEntropy:
    """The mean over samples of -log softmax(z)_y, z (m, l) the network's output (lecture eq. 11 and 12).

    y : (m,) integers in [0, l), or (m, l) target probabilities, one row for each sample. ValueError or TypeError for others.
    label_smoothing : in [0, 1]: targets are mixed with the uniform distribution, (1 - label_smoothing) t + label_smoothing / l.
    ignore_index : a label whose samples do not count, neither in the mean nor in its derivatives, as if their weight were 0; `fit`
    leaves them out. Rows of probabilities all count. Both as in PyTorch, but for a ValueError where no sample counts.

    Methods with sample_weight take weights (m,), finite, >= 0, not all 0: the mean is then sum_i w_i l_i / sum_i w_i.

    The outputs are logits, which must be free to be large. `fit`, `training_step` and `Objective` warn (UserWarning) where the
    network ends in tanh, which is the default of `Dense`, or sigmoid.

    >>> import numpy as np
    >>> loss, gradient = fastlec.SoftmaxCrossEntropy().value_and_gradient(np.zeros((1, 4)), np.array([3]))
    >>> round(loss, 4), gradient
    (1.3863, array([[ 0.25,  0.25,  0.25, -0.75]]))
    >>> smooth = fastlec.SoftmaxCrossEntropy(label_smoothing=0.2, ignore_index=-100)
    >>> smooth.value_and_gradient(np.zeros((2, 4)), np.array([3, -100]))[1].round(2)
    array([[ 0.2,  0.2,  0.2, -0.6],
           [ 0. ,  0. ,  0. ,  0. ]])

    Szegedy et al., "Rethinking the inception architecture for computer vision", 2016 (label smoothing).
    """

    label_smoothing: float = 0.0
    ignore_index: int | None = None

    def __post_init__(self):
        label_smoothing, ignore_index = _check.non_negative(self.label_smoothing, "label_smoothing"), self.ignore_index
        if label_smoothing > 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; expected a number from 0 to 1")
        if ignore_index is not None:
            ignore_index = _check.count(ignore_index, "ignore_index", *_LABELS)
        object.__setattr__(self, "label_smoothing", float(label_smoothing))
        object.__setattr__(self, "ignore_index", ignore_index)

    def __repr__(self):
        settings = {"label_smoothing": self.label_smoothing or None, "ignore_index": self.ignore_index}
        return f"SoftmaxCrossEntropy({', '.join(f'{name}={a}' for name, a in settings.items() if a is not None)})"

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
        mask = None if self.ignore_index is None else self._counted(y)
        if mask is None or y.shape != shape[:1]:
            return _check.labels(y, *shape, "y")
        labels = np.full(len(y), self.ignore_index)
        labels[mask] = _check.labels(y[mask], np.count_nonzero(mask), shape[1], "y")
        return labels

    def classes(self, y):
        """The class (m,) that each target, a label or a row of probabilities, speaks for."""
        return y if y.ndim == 1 else y.argmax(axis=1)

    @property
    def counted(self):
        """None where all samples count, else a function of targets y: which of them do, as booleans (m,), or None for all."""
        return None if self.ignore_index is None else self._counted

    def _counted(self, y):
        y = np.asarray(y)
        mask = y != self.ignore_index if y.ndim == 1 and y.dtype.kind in "iub" else True
        return None if np.all(mask) else mask

    def value(self, output, y, sample_weight=None):
        """The loss, a float."""
        return self.value_and_gradient(output, y, sample_weight)[0]

    def value_and_gradient(self, output, y, sample_weight=None, *, grad_out=None):
        """(loss, its gradient by the output (m, l)), in one sweep. grad_out : array for the gradient, or None."""
        output = _check.matrix(output, "output")
        y = self.targets(y, output.shape, _dtype(output))
        if self.label_smoothing or self.ignore_index is not None:
            return _value_and_gradient(self, output, y, sample_weight, grad_out)
        return softmax_cross_entropy(output, y, sample_weight=sample_weight, grad_out=grad_out)

    def hessian_mv(self, output, y, v, sample_weight=None):
        """The Hessian by the output times v (m, l): (diag(p) - p p') v / m for each sample, times the sum of its target row where y
        holds rows; labels do not matter. With weights, w_i / sum w takes the place of 1 / m."""
        return _hessian_mv(self, _check.matrix(output, "output"), y, v, sample_weight)

    def plan_hessian_mv(self, plan, output, y, v, product, weight=None):
        """Adds the Hessian of what `plan` adds, times v, to a plan; product is another array than v."""
        _curvature.softmax(plan, output, y, v, product, len(output), weight, self.label_smoothing)

    def plan(self, plan, output, y, grad, weight=None):
        """Adds the loss, and (unless None) its gradient by the output, to a plan: the mean of w_i l_i, where w_i is 0 for
        samples that do not count."""
        if self.label_smoothing:
            y = _smooth.targets(plan, y, output.shape[1], self.label_smoothing)
        _xent.loss(plan, output, y, grad, len(output), weight)


class _Elementwise:
    """A loss that is a mean over samples and outputs: of each element and its target, by the row ``_row`` of csrc/losses.def, whose
    parameters, one or one for each output of a sample, are ``_parameters``."""

    __slots__ = ()
    _parameters = ()

    def targets(self, y, shape, dtype):
        """y as the kernels take it, for an output of this shape. ValueError or TypeError if it does not fit."""
        y = _check.as_array(y, "y")
        _check.float_dtype(y.dtype, "y")
        if y.shape != shape and (y.shape != shape[:1] or int(np.prod(shape[1:])) != 1):
            raise ValueError(f"y has shape {y.shape}; expected {shape}")
        return _check.plain(y, dtype, "y").reshape(shape)

    def value(self, output, y, sample_weight=None):
        """The loss, a float."""
        return _run(self, output, y, None, sample_weight)

    def value_and_gradient(self, output, y, sample_weight=None, *, grad_out=None):
        """(loss, its gradient by the output). grad_out : array for the gradient, or None."""
        return _value_and_gradient(self, output, y, sample_weight, grad_out)

    def plan(self, plan, output, y, grad, weight=None):
        """Adds the loss, and (unless None) its gradient by the output, to a plan: the mean of w_i l_i."""
        _residuals.loss(plan, self._row, output, y, grad, output.size, weight, self._parameters)

    def plan_hessian_mv(self, plan, output, y, v, product, weight=None):
        """Adds the Hessian of what `plan` adds, times v, to a plan."""
        _residuals.mv(plan, self._row, output, y, v, product, output.size, weight, self._parameters)

    def hessian_mv(self, output, y, v, sample_weight=None):
        """The Hessian by the output, which is diagonal, times v. With weights, w_i / sum w takes the place of 1 / m."""
        return _hessian_mv(self, output, y, v, sample_weight)


@dataclass(frozen=True)
class MeanSquaredError(_Elementwise):
    """The mean over samples and outputs of (z - y)^2, z (m, k) the network's output.

    y : (m, k), or (m,) where there is one output. ValueError or TypeError for others.

    Methods with sample_weight take weights (m,), finite, >= 0, not all 0: the mean is then sum_i w_i |z_i - y_i|^2 / (k sum_i w_i).

    >>> import numpy as np
    >>> fastlec.MeanSquaredError().value(np.array([[1.0], [2.0]]), np.array([1.0, 4.0]))
    2.0
    """

    __slots__ = ()  # there is nothing to set
    _row = "squares"

    def residual_scale(self, size):
        """With outputs of that many values, the loss is ||scale (output - y)||^2 / 2."""
        return np.sqrt(2 / size)


@dataclass(frozen=True)
class MeanAbsoluteError(_Elementwise):
    """The mean over samples and outputs of |z - y|, z (m, k) the network's output: PyTorch's L1Loss.

    y : (m, k), or (m,) where there is one output. ValueError or TypeError for others. Where z = y the derivative is 0; the Hessian
    is 0. Methods with sample_weight take weights (m,), as those of `MeanSquaredError`.

    >>> import numpy as np
    >>> fastlec.MeanAbsoluteError().value_and_gradient(np.array([[1.0], [2.0]]), np.array([1.0, 4.0]))
    (1.0, array([[ 0. ],
           [-0.5]]))
    """

    __slots__ = ()  # there is nothing to set
    _row = "absolute"


@dataclass(frozen=True)
class Huber(_Elementwise):
    """The mean over samples and outputs of d^2 / 2 where |d| <= delta, and of delta (|d| - delta / 2) elsewhere, d = z - y, z
    (m, k) the network's output: PyTorch's HuberLoss. Quadratic for small errors, linear for large ones, which so count less.

    y : (m, k), or (m,) where there is one output. ValueError or TypeError for others. delta > 0. Methods with sample_weight take
    weights (m,), as those of `MeanSquaredError`.

    >>> import numpy as np
    >>> fastlec.Huber(delta=1.0).value_and_gradient(np.array([[1.0], [6.0]]), np.array([1.5, 4.0]))
    (0.8125, array([[-0.25],
           [ 0.5 ]]))

    Huber, "Robust estimation of a location parameter", 1964.
    """

    delta: float = 1.0
    _row = "huber"

    def __post_init__(self):
        object.__setattr__(self, "delta", _check.positive(self.delta, "delta"))

    @property
    def _parameters(self):
        return (self.delta,)


@dataclass(frozen=True)
class BinaryCrossEntropy(_Elementwise):
    """The mean over samples and outputs of -(y log s + (1 - y) log(1 - s)), s = sigmoid(z), z (m, k) the network's output, logits:
    PyTorch's BCEWithLogitsLoss. Each output answers a question of its own with yes or no.

    y : (m, k), or (m,) where there is one output, in [0, 1]. ValueError or TypeError for others.
    pos_weight : what the terms of y are multiplied by: a number >= 0, or one for each of the k outputs of a sample; None for 1.
    Methods with sample_weight take weights (m,), as those of `MeanSquaredError`.

    It is computed from z, and stays finite and accurate where s is rounded to 0 or 1. End the network with "identity";
    fastlec.sigmoid of its output is the probability. With one output there are accuracies: z > 0 says class 1, y > 1/2 is class 1.

    >>> import numpy as np
    >>> loss, gradient = fastlec.BinaryCrossEntropy().value_and_gradient(np.array([[0.0], [800.0]]), np.array([1, 0]))
    >>> round(loss, 4), gradient
    (400.3466, array([[-0.25],
           [ 0.5 ]]))

    Lecture 2.1 (logistic regression).
    """

    pos_weight: float | tuple | None = None
    _row = "binary"

    def __post_init__(self):
        if self.pos_weight is None:
            return
        given = _check.as_array(self.pos_weight, "pos_weight")
        _check.float_dtype(given.dtype, "pos_weight")
        if given.ndim > 1 or not given.size or not (np.isfinite(given).all() and (given >= 0).all()):
            what = f"pos_weight is {_check.shown(self.pos_weight)}"
            raise ValueError(f"{what}; expected a finite number >= 0, or one for each output")
        object.__setattr__(self, "pos_weight", tuple(map(float, given)) if given.ndim else float(given))

    @property
    def _parameters(self):
        weight = 1.0 if self.pos_weight is None else self.pos_weight
        return weight if isinstance(weight, tuple) else (weight,)

    def targets(self, y, shape, dtype):
        """y as the kernels take it, for an output of this shape. ValueError or TypeError if it does not fit."""
        y = _Elementwise.targets(self, y, shape, dtype)
        if y.size and not (y.min() >= 0 and y.max() <= 1):
            raise ValueError(f"y has values from {y.min()} to {y.max()}; expected 0 to 1")
        n = math.prod(shape[1:])
        if isinstance(self.pos_weight, tuple) and len(self.pos_weight) != n:
            raise ValueError(f"pos_weight has {len(self.pos_weight)} numbers; expected {n}, one for each output of a sample")
        return y

    def classes(self, y):
        """The class (m,), 0 or 1, that each target of a single output speaks for; NotImplemented where there are more."""
        return (y[:, 0] > 0.5).astype(np.int64) if y.shape[1] == 1 else NotImplemented


def _value_and_gradient(loss, output, y, sample_weight, grad_out):
    """(loss, its gradient by the output), by the jobs of a loss."""
    output = _check.as_array(output, "output")
    dtype = _dtype(output)
    if grad_out is not None:
        _check.output(grad_out, output.shape, dtype, "grad_out")
    grad = kernels.Plan(dtype.num).empty(*output.shape)
    return _run(loss, output, y, grad, sample_weight), _check.fill(grad_out, grad)


def _run(loss, output, y, grad, sample_weight):
    """The value of a loss, and (unless None) its gradient by the output to grad, by its jobs."""
    output = _check.as_array(output, "output")
    if not output.size:
        raise ValueError(f"output has shape {output.shape}; expected at least one sample")
    dtype = _dtype(output)
    y = loss.targets(y, output.shape, dtype)
    plan = kernels.Plan(dtype.num)
    loss.plan(plan, _check.plain(output, dtype, "output"), y, grad, *_weights(loss, output, y, sample_weight))
    return plan.run()


def _weights(loss, output, y, sample_weight):
    """[The weights of the samples], of mean 1, or []."""
    if sample_weight is not None and not output.ndim:
        raise ValueError("output is a number; expected an array of samples, for sample_weight")
    weight = mean_weights(loss, y, output.shape[0] if output.ndim else 1, sample_weight)
    return [] if weight is None else [weight]


def _hessian_mv(loss, output, y, v, sample_weight):
    """The Hessian of a loss by the output times v, by its jobs."""
    v = _like(v, output)
    y = loss.targets(y, v.shape, v.dtype)
    weights = _weights(loss, v, y, sample_weight)
    if not v.size:
        return np.zeros_like(v)
    plan = kernels.Plan(v.dtype.num)
    output, product = _check.plain(_check.as_array(output, "output"), v.dtype, "output"), plan.empty(*v.shape)
    loss.plan_hessian_mv(plan, output, y, v, product, *weights)
    plan.run()
    return product


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
