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

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import DTypeLike

    from .._typing import ArrayLike, F, FloatArray, Loss, NDArray

    Weight = NDArray[np.float64] | None

_INT64 = np.dtype(np.int64)
_LABELS = -(1 << 63), (1 << 63) - 1  # of int64


def takes_weights(loss: Loss, name: str = "value_and_gradient") -> bool:
    """Whether this method of a loss, which may be the user's own, has an argument sample_weight."""
    try:
        arguments = inspect.signature(getattr(loss, name)).parameters
    except ValueError:  # compiled, and says nothing of its arguments: it is asked
        return True
    return "sample_weight" in arguments or any(a.kind is a.VAR_KEYWORD for a in arguments.values())


def check_weighted(loss: Loss, argument: str = "sample_weight", name: str = "value_and_gradient") -> None:
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


def value(loss: Loss, output: FloatArray, y: NDArray[Any], weight: Weight = None) -> float:
    """The value of a loss, a float; also of one of the user's own that has no method for it alone."""
    if not hasattr(loss, "value") or (weight is not None and not takes_weights(loss, "value")):
        return value_and_gradient(loss, output, y, weight)[0]
    named, share = _weighed(weight)
    return (
        0.0
        if named is None
        else share * _check.number(loss.value(output, y, **named), f"what {type(loss).__name__}.value gave")
    )


def hessian_mv(loss: Any, output: FloatArray, y: NDArray[Any], v: FloatArray, weight: Weight = None) -> FloatArray:
    """The Hessian of a loss by the output times v."""
    named, share = _weighed(weight)
    if named is None:
        return np.zeros_like(v)
    if weight is not None:
        check_weighted(loss, name="hessian_mv")
    found = loss.hessian_mv(output, y, v, **named)
    return found if weight is None else share * found


def value_and_gradient(loss: Loss, output: FloatArray, y: NDArray[Any], weight: Weight = None) -> tuple[float, FloatArray]:
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


def in_kernels(value: object, kernels_method: str, python_method: str) -> bool:
    """Whether a loss or an optimizer says for the kernels, too, what its method in Python does: not where a subclass overrides that
    alone."""
    for base in type(value).__mro__:  # the class itself first
        if kernels_method in vars(base) or python_method in vars(base):
            return kernels_method in vars(base)
    return False


def count_right(output: FloatArray, classes: NDArray[np.int64]) -> int:
    """How many samples have their largest output (m, l) at their class (m,); a single output speaks for class 1 where it is > 0."""
    if output.shape[1] == 1:
        return int(np.count_nonzero((output[:, 0] > 0) == (classes == 1)))
    right = _xent.count_right(output, classes)
    return int(np.count_nonzero(output.argmax(axis=-1) == classes)) if right is None else right


def classes_of(loss: Loss, y: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.int64] | None:
    """The classes (m,) in targets y of an output of this shape; None where the loss knows none, or the output is not (m, l)."""
    if len(shape) != 2 or getattr(loss, "classes", None) is None:
        return None
    classes = loss.classes(y)
    if classes is NotImplemented:
        return None
    return _check.labels(classes, shape[0], n_classes(shape), f"what {type(loss).__name__}.classes gave")


def n_classes(shape: tuple[int, ...]) -> int:
    """How many classes outputs of this shape, (m, l), speak for: a single one tells two apart."""
    return max(shape[1], 2)


def counted(loss: Loss, y: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Which samples (m,) of targets y count, as booleans; None for all of them. ValueError where none does."""
    of = getattr(loss, "counted", None)
    mask = None if of is None else of(y)
    if mask is not None and not mask.any():
        raise ValueError(f"y holds no sample that counts for {loss!r}; expected one or more")
    return mask


def mean_weights(loss: Loss, y: NDArray[Any], m: int, sample_weight: ArrayLike | None = None) -> NDArray[np.float64] | None:
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


def warn_if_bounded(net: Network, loss: Loss) -> None:
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
        if not isinstance(layer, PlannedLayer) or not layer._planned:
            return None
        if layer._outermost is not None and isinstance(layer.activation, str) and ACTIVATIONS[layer.activation].bounds:
            return layer.activation
        if not (layer._reshapes or layer._elementwise or layer._keeps_bounds):
            return None
    return None


def _from_the_last(layer):
    """The layers of a network, and of those within it, backwards; a layer that is none, or applies its layers in its own way."""
    if isinstance(layer, Network) and type(layer)._planned:
        for inner in reversed(layer.layers):
            yield from _from_the_last(inner)
    else:
        yield layer


@dataclass(frozen=True, repr=False)
class SoftmaxCrossEntropy:
    """Mean over samples of -log softmax(z)_y, z the network's outputs (lecture eq. 11 and 12).

    Parameters
    ----------
    label_smoothing : float
        In [0, 1]. Targets are mixed with the uniform distribution: (1 - label_smoothing) t + label_smoothing / l.
    ignore_index : int, optional
        A label whose samples do not count, neither in the mean nor in its derivatives, as if their weight were 0; `fit` leaves
        them out. Rows of probabilities all count.

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it. Methods: outputs are not (m, l); y does not fit; or no sample counts.

    See Also
    --------
    fastlec.BinaryCrossEntropy, fastlec.softmax_cross_entropy, fastlec.SoftmaxObjective

    Notes
    -----
    y is (m,) integers in [0, l), or (m, l) target probabilities, a row for each sample. With weights (m,), finite, >= 0, not all 0,
    the mean is sum_i w_i l_i / sum_i w_i. Settings are as in PyTorch, where it is no error that no sample counts.

    The outputs are logits, which must be free to be large. `fit`, `training_step` and `Objective` warn (UserWarning) where the
    network ends in tanh, which is the default of `Dense`, or sigmoid.

    References
    ----------
    Szegedy et al., "Rethinking the inception architecture for computer vision", 2016 (label smoothing).

    Examples
    --------
    >>> import numpy as np
    >>> loss, gradient = fastlec.SoftmaxCrossEntropy().value_and_gradient(np.zeros((1, 4)), np.array([3]))
    >>> round(loss, 4), gradient
    (1.3863, array([[ 0.25,  0.25,  0.25, -0.75]]))
    >>> smooth = fastlec.SoftmaxCrossEntropy(label_smoothing=0.2, ignore_index=-100)
    >>> smooth.value_and_gradient(np.zeros((2, 4)), np.array([3, -100]))[1].round(2)
    array([[ 0.2,  0.2,  0.2, -0.6],
           [ 0. ,  0. ,  0. ,  0. ]])
    """

    label_smoothing: float = 0.0
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        label_smoothing, ignore_index = _check.non_negative(self.label_smoothing, "label_smoothing"), self.ignore_index
        if label_smoothing > 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; expected a number from 0 to 1")
        if ignore_index is not None:
            ignore_index = _check.count(ignore_index, "ignore_index", *_LABELS)
        object.__setattr__(self, "label_smoothing", float(label_smoothing))
        object.__setattr__(self, "ignore_index", ignore_index)

    def __repr__(self) -> str:
        settings = {"label_smoothing": self.label_smoothing or None, "ignore_index": self.ignore_index}
        return f"SoftmaxCrossEntropy({', '.join(f'{name}={a}' for name, a in settings.items() if a is not None)})"

    def targets(self, y: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Check and convert targets for outputs of some shape.

        Parameters
        ----------
        y : array_like, shape (m,) or (m, l)
            Classes, or probabilities.
        shape : tuple of int
            Shape (m, l) of the outputs.
        dtype : dtype
            Float32 or float64, of probabilities.

        Returns
        -------
        ndarray
            The targets as the other methods take them fastest: int64, or probabilities.

        Raises
        ------
        ValueError or TypeError
            Y does not fit.
        """
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

    def classes(self, y: NDArray[Any]) -> NDArray[np.int64]:
        """Class of each target, of rows of probabilities the most probable one.

        Parameters
        ----------
        y : ndarray, shape (m,) or (m, l)
            Targets, as `targets` gives them.

        Returns
        -------
        ndarray, shape (m,)
            The classes.
        """
        return y if y.ndim == 1 else y.argmax(axis=1)

    @property
    def counted(self) -> Callable[[ArrayLike], NDArray[np.bool_] | None] | None:
        """A function of targets that says which samples count, (m,) booleans or None for all; None without ignore_index."""
        return None if self.ignore_index is None else self._counted

    def _counted(self, y):
        y = np.asarray(y)
        mask = y != self.ignore_index if y.ndim == 1 and y.dtype.kind in "iub" else True
        return None if np.all(mask) else mask

    def value(self, output: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Value of the loss.

        Parameters
        ----------
        output : array_like, shape (m, l)
            Logits.
        y : array_like, shape (m,) or (m, l)
            Targets.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples.

        Returns
        -------
        float
            The mean.
        """
        return self.value_and_gradient(output, y, sample_weight)[0]

    @overload
    def value_and_gradient(
        self, output: NDArray[F], y: ArrayLike, sample_weight: ArrayLike | None = None, *, grad_out: NDArray[F] | None = None
    ) -> tuple[float, NDArray[F]]: ...
    @overload
    def value_and_gradient(
        self, output: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, grad_out: FloatArray | None = None
    ) -> tuple[float, FloatArray]: ...
    def value_and_gradient(
        self, output: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, grad_out: FloatArray | None = None
    ) -> tuple[float, FloatArray]:
        """Value of the loss and its gradient by the outputs, in one sweep.

        Parameters
        ----------
        output : array_like, shape (m, l)
            Logits.
        y : array_like, shape (m,) or (m, l)
            Targets.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples.
        grad_out : ndarray, shape (m, l), optional
            Array of the outputs' dtype for the gradient.

        Returns
        -------
        loss : float
            The mean.
        gradient : ndarray, shape (m, l)
            Its gradient, in the dtype of the outputs.
        """
        output = _check.matrix(output, "output")
        y = self.targets(y, output.shape, _dtype(output))
        if self.label_smoothing or self.ignore_index is not None:
            return _value_and_gradient(self, output, y, sample_weight, grad_out)
        return softmax_cross_entropy(output, y, sample_weight=sample_weight, grad_out=grad_out)

    @overload
    def hessian_mv(
        self, output: NDArray[F], y: ArrayLike, v: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> NDArray[F]: ...
    @overload
    def hessian_mv(
        self, output: ArrayLike, y: ArrayLike, v: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> FloatArray: ...
    def hessian_mv(self, output: ArrayLike, y: ArrayLike, v: ArrayLike, sample_weight: ArrayLike | None = None) -> FloatArray:
        """Hessian by the outputs times v: (diag(p) - p p') v / m for each sample, p = softmax(z).

        It does not depend on labels. Where y holds rows, each sample's product is times the sum of its row. With weights,
        w_i / sum_j w_j takes the place of 1 / m.

        Parameters
        ----------
        output : array_like, shape (m, l)
            Logits.
        y : array_like, shape (m,) or (m, l)
            Targets.
        v : array_like, shape (m, l)
            Direction.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples.

        Returns
        -------
        ndarray, shape (m, l)
            The product, in the dtype of the outputs.
        """
        return _hessian_mv(self, _check.matrix(output, "output"), y, v, sample_weight)

    def _plan_hessian_mv(self, plan, output, y, v, product, weight=None):
        """Adds the Hessian of what `_plan` adds, times v, to a plan; product is another array than v."""
        _curvature.softmax(plan, output, y, v, product, len(output), weight, self.label_smoothing)

    def _plan(self, plan, output, y, grad, weight=None):
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

    def targets(self, y: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike) -> FloatArray:
        """Check and convert targets for outputs of some shape.

        Parameters
        ----------
        y : array_like, shape (m, k) or (m,)
            Targets; (m,) where there is one output.
        shape : tuple of int
            Shape of the outputs.
        dtype : dtype
            Float32 or float64, of the result.

        Returns
        -------
        ndarray
            The targets, of that shape.

        Raises
        ------
        ValueError or TypeError
            Y does not fit.
        """
        y = _check.as_array(y, "y")
        _check.float_dtype(y.dtype, "y")
        if y.shape != shape and (y.shape != shape[:1] or int(np.prod(shape[1:])) != 1):
            raise ValueError(f"y has shape {y.shape}; expected {shape}")
        return _check.plain(y, dtype, "y").reshape(shape)

    def value(self, output: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Value of the loss.

        Parameters
        ----------
        output : array_like, shape (m, k)
            Outputs of the network.
        y : array_like, shape (m, k) or (m,)
            Targets.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples.

        Returns
        -------
        float
            The mean.
        """
        return _run(self, output, y, None, sample_weight)

    @overload
    def value_and_gradient(
        self, output: NDArray[F], y: ArrayLike, sample_weight: ArrayLike | None = None, *, grad_out: NDArray[F] | None = None
    ) -> tuple[float, NDArray[F]]: ...
    @overload
    def value_and_gradient(
        self, output: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, grad_out: FloatArray | None = None
    ) -> tuple[float, FloatArray]: ...
    def value_and_gradient(
        self, output: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, grad_out: FloatArray | None = None
    ) -> tuple[float, FloatArray]:
        """Value of the loss and its gradient by the outputs, in one sweep.

        Parameters
        ----------
        output : array_like, shape (m, k)
            Outputs of the network.
        y : array_like, shape (m, k) or (m,)
            Targets.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples.
        grad_out : ndarray, shape (m, k), optional
            Array of the outputs' dtype for the gradient.

        Returns
        -------
        loss : float
            The mean.
        gradient : ndarray, shape (m, k)
            Its gradient, in the dtype of the outputs.
        """
        return _value_and_gradient(self, output, y, sample_weight, grad_out)

    def _plan(self, plan, output, y, grad, weight=None):
        """Adds the loss, and (unless None) its gradient by the output, to a plan: the mean of w_i l_i."""
        _residuals.loss(plan, self._row, output, y, grad, output.size, weight, self._parameters)

    def _plan_hessian_mv(self, plan, output, y, v, product, weight=None):
        """Adds the Hessian of what `_plan` adds, times v, to a plan."""
        _residuals.mv(plan, self._row, output, y, v, product, output.size, weight, self._parameters)

    @overload
    def hessian_mv(
        self, output: NDArray[F], y: ArrayLike, v: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> NDArray[F]: ...
    @overload
    def hessian_mv(
        self, output: ArrayLike, y: ArrayLike, v: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> FloatArray: ...
    def hessian_mv(self, output: ArrayLike, y: ArrayLike, v: ArrayLike, sample_weight: ArrayLike | None = None) -> FloatArray:
        """Hessian by the outputs, which is diagonal, times v.

        Parameters
        ----------
        output : array_like, shape (m, k)
            Outputs of the network.
        y : array_like, shape (m, k) or (m,)
            Targets.
        v : array_like, shape (m, k)
            Direction.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples: w_i / sum_j w_j takes the place of 1 / m.

        Returns
        -------
        ndarray, shape (m, k)
            The product, in the dtype of the outputs.
        """
        return _hessian_mv(self, output, y, v, sample_weight)


@dataclass(frozen=True)
class MeanSquaredError(_Elementwise):
    """Mean over samples and outputs of (z - y)^2, z the network's outputs.

    Raises
    ------
    ValueError or TypeError
        Methods: y or the weights do not fit the outputs.

    See Also
    --------
    fastlec.Huber, fastlec.MeanAbsoluteError, fastlec.Objective.residuals

    Notes
    -----
    Outputs are (m, k), y is (m, k), or (m,) where k = 1. With weights (m,), finite, >= 0, not all 0, the mean is
    ``sum_i w_i |z_i - y_i|^2 / (k sum_i w_i)``.

    Examples
    --------
    >>> import numpy as np
    >>> fastlec.MeanSquaredError().value_and_gradient(np.array([[1.0], [2.0]]), np.array([1.0, 4.0]))
    (2.0, array([[ 0.],
           [-2.]]))
    """

    __slots__ = ()  # there is nothing to set
    _row = "squares"

    def residual_scale(self, size: int) -> float:
        """The s with which the loss is ||s (output - y)||^2 / 2.

        Parameters
        ----------
        size : int
            Number of values of the outputs.

        Returns
        -------
        float
            The scale, sqrt(2 / size).
        """
        return np.sqrt(2 / size)


@dataclass(frozen=True)
class MeanAbsoluteError(_Elementwise):
    """Mean over samples and outputs of ``|z - y|``, z the network's outputs: PyTorch's L1Loss.

    Raises
    ------
    ValueError or TypeError
        Methods: y or the weights do not fit the outputs.

    See Also
    --------
    fastlec.Huber, fastlec.MeanSquaredError

    Notes
    -----
    Outputs are (m, k), y is (m, k), or (m,) where k = 1; weights are as those of `MeanSquaredError`. Where z = y the derivative is
    0. The Hessian is 0.

    Examples
    --------
    >>> import numpy as np
    >>> fastlec.MeanAbsoluteError().value_and_gradient(np.array([[1.0], [2.0]]), np.array([1.0, 4.0]))
    (1.0, array([[ 0. ],
           [-0.5]]))
    """

    __slots__ = ()  # there is nothing to set
    _row = "absolute"


@dataclass(frozen=True)
class Huber(_Elementwise):
    """Mean of Huber's function of z - y: quadratic for small errors, linear for large ones; PyTorch's HuberLoss.

    With d = z - y it is d^2 / 2 where ``|d| <= delta``, and ``delta (|d| - delta / 2)`` elsewhere, so that outliers count less.

    Parameters
    ----------
    delta : float
        Where the function becomes linear, > 0.

    Raises
    ------
    ValueError or TypeError
        Delta does not fit. Methods: y or the weights do not fit the outputs.

    See Also
    --------
    fastlec.MeanSquaredError, fastlec.MeanAbsoluteError, fastlec.robust_lstsq

    Notes
    -----
    Outputs are (m, k), y is (m, k), or (m,) where k = 1; weights are as those of `MeanSquaredError`.

    References
    ----------
    Huber, "Robust estimation of a location parameter", 1964.

    Examples
    --------
    >>> import numpy as np
    >>> fastlec.Huber(delta=1.0).value_and_gradient(np.array([[1.0], [6.0]]), np.array([1.5, 4.0]))
    (0.8125, array([[-0.25],
           [ 0.5 ]]))
    """

    delta: float = 1.0
    _row = "huber"

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", _check.positive(self.delta, "delta"))

    @property
    def _parameters(self):
        return (self.delta,)


@dataclass(frozen=True)
class BinaryCrossEntropy(_Elementwise):
    """Mean of -(y log s + (1 - y) log(1 - s)), s = sigmoid(z) of the network's outputs z (lecture 2.1).

    Each output answers a question of its own with yes or no: PyTorch's BCEWithLogitsLoss.

    Parameters
    ----------
    pos_weight : float or sequence of float, optional
        What the terms of y are multiplied by: a number >= 0, or one for each of the k outputs of a sample; by default 1.

    Raises
    ------
    ValueError or TypeError
        The setting does not fit. Methods: y or the weights do not fit the outputs.

    See Also
    --------
    fastlec.SoftmaxCrossEntropy, fastlec.LogisticObjective

    Notes
    -----
    Outputs are (m, k), y in [0, 1] is (m, k), or (m,) where k = 1; weights are as those of `MeanSquaredError`.

    It is computed from z, the logits, and stays finite and accurate where s is rounded to 0 or 1. End the network with "identity";
    `sigmoid` of its output is the probability. With one output there are accuracies: z > 0 says class 1, y > 1/2 is class 1.

    Examples
    --------
    >>> import numpy as np
    >>> loss, gradient = fastlec.BinaryCrossEntropy().value_and_gradient(np.array([[0.0], [800.0]]), np.array([1, 0]))
    >>> round(loss, 4), gradient
    (400.3466, array([[-0.25],
           [ 0.5 ]]))
    """

    pos_weight: float | Sequence[float] | None = None
    _row = "binary"

    def __post_init__(self) -> None:
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

    def targets(self, y: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike) -> FloatArray:
        """Check and convert targets for outputs of some shape.

        Parameters
        ----------
        y : array_like, shape (m, k) or (m,)
            Targets in [0, 1]; (m,) where there is one output.
        shape : tuple of int
            Shape of the outputs.
        dtype : dtype
            Float32 or float64, of the result.

        Returns
        -------
        ndarray
            The targets, of that shape.

        Raises
        ------
        ValueError or TypeError
            Y or the number of pos_weight does not fit.
        """
        y = _Elementwise.targets(self, y, shape, dtype)
        if y.size and not (y.min() >= 0 and y.max() <= 1):
            raise ValueError(f"y has values from {y.min()} to {y.max()}; expected 0 to 1")
        n = math.prod(shape[1:])
        if isinstance(self.pos_weight, tuple) and len(self.pos_weight) != n:
            raise ValueError(f"pos_weight has {len(self.pos_weight)} numbers; expected {n}, one for each output of a sample")
        return y

    def classes(self, y: FloatArray) -> NDArray[np.int64]:
        """Class, 0 or 1, of each target of a single output; NotImplemented where there are more.

        Parameters
        ----------
        y : ndarray, shape (m, k)
            Targets, as `targets` gives them.

        Returns
        -------
        ndarray, shape (m,)
            The classes.
        """
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
    loss._plan(plan, _check.plain(output, dtype, "output"), y, grad, *_weights(loss, output, y, sample_weight))
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
    loss._plan_hessian_mv(plan, output, y, v, product, *weights)
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
