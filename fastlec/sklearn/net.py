"""Networks of dense and residual layers (lecture chapter 4) as estimators, the counterparts of MLPClassifier and MLPRegressor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from numbers import Integral
from typing import Any, Literal, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _check
from .._typing import FloatArray
from ..functional import log_softmax
from ..layers import Activation, BatchNorm, Dense, Dropout, Flatten, Layer, LayerNorm, ProjectedResidual, Residual
from ..layers.activation import layer_of
from ..network import Network, files
from ..network.description import build
from ..training import (
    SGD,
    Adam,
    AdamW,
    EarlyStopping,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    Optimizer,
    RMSprop,
    Schedule,
    SoftmaxCrossEntropy,
)
from ..training.samples import samples_of, split_rows
from . import training
from .base import (
    ClassifierMixin,
    ClassWeight,
    Estimator,
    RandomState,
    RegressorMixin,
    all_or_nothing,
    checked_weights,
    class_weights,
    classes_of_parts,
    fitted_labels,
    generators,
)
from .callbacks import Tasks, with_callbacks

Hidden: TypeAlias = int | Sequence[int] | Sequence[Layer]


class Loss(Protocol):
    """A loss, also one's own: `fastlec.training.losses` says what it may have besides."""

    def targets(self, y: Any, shape: tuple[int, ...], dtype: Any, /) -> Any: ...
    def value_and_gradient(self, output: Any, y: Any, /) -> tuple[Any, Any]: ...


PATIENCE = 10  # epochs of early_stopping=True
OPTIMIZERS = {"adam": Adam, "adamw": AdamW, "rmsprop": RMSprop, "sgd": partial(SGD, momentum=0.9)}
LOSSES = {"squared_error": MeanSquaredError(), "absolute_error": MeanAbsoluteError(), "huber": Huber()}  # of regression
NORMALIZATIONS = {"batch": BatchNorm, "layer": LayerNorm}
OF_TRAINING = {
    "loss",
    "optimizer",
    "batch_size",
    "epochs",
    "learning_rate",
    "early_stopping",
    "validation_fraction",
    "l2",
    "class_weight",
    "random_state",
    "warm_start",
    "verbose",
}  # the parameters that may change while a network goes on; the others say what it is made of


class _Net(Estimator):
    """What the networks share. Subclasses say `_loss` and `_monitor`, the loss and what early stopping goes by."""

    net_: Network
    n_iter_: int
    loss_curve_: list[float]
    loss_: float
    validation_scores_: list[float] | None
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def __init__(
        self,
        hidden: Hidden = (100,),
        *,
        activation: str | Activation = "relu",
        residual: bool = False,
        normalization: Literal["batch", "layer"] | None = None,
        dropout: float = 0.0,
        optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] | Optimizer | None = None,
        batch_size: int = 32,
        epochs: int = 100,
        learning_rate: float | Schedule = 1e-3,
        early_stopping: bool | EarlyStopping = False,
        validation_fraction: float = 0.1,
        l2: float = 0.0,
        random_state: RandomState = None,
        warm_start: bool = False,
        verbose: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.residual = residual
        self.normalization = normalization
        self.dropout = dropout
        self.optimizer = optimizer
        self.batch_size = batch_size
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.l2 = l2
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.dtype = dtype

    # --- the network ------------------------------------------------------------------------------------------------------

    def _input_shape(self, n):
        """The shape of a sample of n features as the network takes it."""
        return (n,)

    def _inputs(self, X, shape):
        """The samples X (m, n) as the network takes them, each of that shape."""
        return X

    def _hidden(self):
        """The argument ``hidden`` as a list."""
        if isinstance(self.hidden, Integral):
            return [self.hidden]
        try:
            return list(self.hidden)
        except TypeError:
            return [None]

    def _structure(self):
        """{name: value} of the parameters that say what the network is made of."""
        found = {name: value for name, value in self.get_params(deep=False).items() if name not in OF_TRAINING}
        for name, value in found.items():
            if isinstance(value, list | np.ndarray):
                found[name] = tuple(value)
        dtype = None if self.dtype is None else str(_check.layer_dtype(self.dtype))
        return found | {"hidden": tuple(self._hidden()), "dtype": dtype}

    def _check_structure(self):
        """ValueError for a parameter that is not what the network was made by."""
        for name, value in self._structure().items():
            before = self._made_by[name]
            if value != before:
                now, before = map(_check.shown, (value, before))
                raise ValueError(
                    f"{name} is {now}; expected {before}, by which the network was made: to change it, fit a clone"
                )

    def _from_sizes(self, sizes, shape, dtype):
        """The hidden layers of these sizes, for samples of this shape."""
        layers, (before,) = [], shape
        for size in sizes:
            options = {"activation": self.activation, "dtype": dtype}
            if self.normalization is not None:
                bias = self.normalization != "batch"  # whose beta is one
                norm = NORMALIZATIONS[self.normalization](size, dtype=dtype)
                layers += [Dense(before, size, "identity", bias, dtype=dtype), norm, layer_of(self.activation)]
            elif not (self.residual and layers):
                layers.append(Dense(before, size, **options))
            elif size == before:
                layers.append(Residual(size, **options))
            else:
                layers.append(ProjectedResidual(before, size, **options))
            if self.dropout:
                layers.append(Dropout(self.dropout))
            before = size
        return layers

    def _check_between(self, of_layers):
        """Errors for what stands between the hidden layers. of_layers : whether these are given as layers."""
        if self.normalization is not None and (
            not isinstance(self.normalization, str) or self.normalization not in NORMALIZATIONS
        ):
            raise ValueError(f"normalization is {_check.shown(self.normalization)}; expected 'batch', 'layer' or None")
        if self.normalization is not None and self.residual:
            raise ValueError(
                f"normalization is {self.normalization!r} and residual True; expected None: a residual layer has no place for it"
            )
        try:
            Dropout(self.dropout)
        except (TypeError, ValueError) as error:
            raise type(error)(f"dropout{str(error).removeprefix('p')}") from None
        for name, kinds in (("normalization", "BatchNorm or LayerNorm"), ("dropout", "Dropout")):
            value = getattr(self, name)
            if value and of_layers:
                raise ValueError(
                    f"{name} is {value!r} and hidden a list of layers; expected sizes, or layers {kinds} among them"
                )

    def _new_network(self, n, outputs, dtype, rng):
        """A network of the hidden layers, with a linear one to so many outputs."""
        residual, shape = _check.flag(self.residual, "residual"), self._input_shape(n)
        hidden = self._hidden()
        of_layers = bool(hidden) and all(isinstance(item, Layer) for item in hidden)
        self._check_between(of_layers)
        if of_layers:
            if residual:
                raise ValueError("residual is True and hidden a list of layers; expected sizes, or layers Residual among them")
            layers, own, ours = hidden, {layer.dtype for layer in hidden} - {None}, -1
        elif all(isinstance(item, Integral) for item in hidden):
            sizes = [_check.count(size, f"hidden[{i}]", 1) for i, size in enumerate(hidden)]
            layers, own, ours = self._from_sizes(sizes, shape, dtype), {dtype}, 0
        else:
            raise TypeError(f"hidden is {_check.shown(self.hidden)}; expected sizes, such as (100,), or a list of layers")
        before = shape
        for layer in layers:
            before = _check.of_X(layer.output_shape, before)
        flat = [Flatten()] if len(before) > 1 else []
        last = Dense(math.prod(before), outputs, "identity", dtype=next(iter(own), dtype))
        net = Network([*layers, *flat, last], rng=rng)
        for layer in net.layers[ours:]:
            if type(layer) is Dense:
                _draw_uniform(layer, rng)
        return net if net.theta.dtype == dtype else net.with_params({name: a.astype(dtype) for name, a in net.params.items()})

    # --- training ---------------------------------------------------------------------------------------------------------

    def _goes_on(self):
        """Whether fit goes on with the network that there is."""
        if not (_check.flag(self.warm_start, "warm_start") and hasattr(self, "net_")):
            return False
        self._check_structure()
        return True

    def _share(self):
        """The argument validation_fraction."""
        share = _check.number(self.validation_fraction, "validation_fraction")
        if not 0 < share < 1:
            raise ValueError(f"validation_fraction is {share}; expected a share between 0 and 1")
        return share

    def _rule(self):
        """What a step goes by."""
        optimizer = self.optimizer
        if optimizer is None or isinstance(optimizer, str):
            rate, decay = training.checked_rate(self.learning_rate), _check.non_negative(self.l2, "l2")
            make = OPTIMIZERS[_check.choice(optimizer or "adam", OPTIMIZERS, "optimizer")]
            optimizer = make(rate, weight_decay=decay)
        elif self.l2:
            raise ValueError(f"l2 is {self.l2} and optimizer {optimizer!r}; expected l2=0: the optimizer has weight_decay")
        return {"loss": self._loss, "optimizer": optimizer, "batch_size": self.batch_size}

    def _stopping(self):
        """The rule of early stopping, or None."""
        if isinstance(self.early_stopping, EarlyStopping):
            return self.early_stopping
        wanted = _check.flag(self.early_stopping, "early_stopping")
        return EarlyStopping(patience=PATIENCE, monitor=self._monitor) if wanted else None

    def _fit_net(self, X, y, w, tasks, goes_on, outputs, known):
        """Trains a new network, or the last one, to targets y. known : the fitted attributes that are there before."""
        initial, shuffles = generators(self.random_state, 2)
        net = self.net_.with_params(self.net_.params) if goes_on else self._new_network(X.shape[1], outputs, X.dtype, initial)
        losses = list(self.loss_curve_) if goes_on else []
        scores = list(getattr(self, "validation_scores_", None) or ()) if goes_on else []
        rule, shape = self._stopping(), self._input_shape(X.shape[1])
        x, known = self._inputs(X, shape), known | {"_shape": shape, "_made_by": self._structure()}
        validated = rule is not None and rule.monitor.startswith("val_")

        def now(epochs):
            return known | {"net_": net.with_params(net.params), "n_iter_": len(losses) + epochs}

        history, state = training.train(
            net,
            x,
            y,
            tasks,
            now,
            epochs=self.epochs,
            early_stopping=rule,
            sample_weight=w,
            validation=self._share() if validated else None,
            rng=shuffles,
            progress=bool(self.verbose),
            **self._rule(),
        )
        if validated:
            scores = scores + self._scores(history, samples_of(net, self._loss, x, y, w))
        found = known | {"net_": net, "_optimizer_state": state, "_rate_curve": history.train_loss, "_shuffles": shuffles}
        found |= self._curve(losses + history.train_loss) | {"validation_scores_": scores if validated else None}
        vars(self).update(found)
        tasks.finish(lambda: found)
        return self

    def _train_further(self, X, y, w, outputs, known):
        """One epoch for partial_fit, from the last call on."""
        shape, shuffles = self._input_shape(X.shape[1]), getattr(self, "_shuffles", None)
        if shuffles is None:
            initial, shuffles = generators(self.random_state, 2)
        if hasattr(self, "net_"):
            self._check_structure()
            net = self.net_
        else:
            net = self._new_network(X.shape[1], outputs, X.dtype, initial)
            known = known | {"_shape": shape, "_made_by": self._structure()}
        state, curve = getattr(self, "_optimizer_state", None), getattr(self, "_rate_curve", [])
        curve, state = training.train_further(net, self._inputs(X, shape), y, w, state, curve, rng=shuffles, **self._rule())
        found = known | {"net_": net, "_optimizer_state": state, "_rate_curve": curve, "_shuffles": shuffles}
        vars(self).update(found | self._curve([*getattr(self, "loss_curve_", ()), curve[-1]]))
        return self

    @staticmethod
    def _curve(losses):
        return {"loss_curve_": losses, "loss_": losses[-1] if losses else math.nan, "n_iter_": len(losses)}

    # --- pickles and files ------------------------------------------------------------------------------------------------

    def __getstate__(self):
        """With the network as a description and arrays, which any pickle, and skops, can hold; one with layers of the user's own
        as it is."""
        state = {**super().__getstate__()}
        with suppress(KeyError, TypeError):
            net = state["net_"]
            state["net_"] = {**net.config(), "arrays": {**net.params, **net.buffers}}
        return state

    def __setstate__(self, state):
        net = state.get("net_")
        super().__setstate__(state | {"net_": build(net, net["arrays"])} if isinstance(net, dict) else state)

    def _facts(self):
        return {"loss_curve_": self.loss_curve_, "validation_scores_": getattr(self, "validation_scores_", None)}

    def _write(self, path, said):
        self._check_structure()
        files.save(path, self.net_, self._file_facts() | said)

    def _file_facts(self):
        """What `fastlec predict` asks of a file."""
        return {}

    def _read(self, net, facts):
        self.net_, self._shape, self._made_by = net, self._input_shape(self.n_features_in_), self._structure()
        vars(self).update(facts | self._curve(list(facts["loss_curve_"])))

    # --- predictions ------------------------------------------------------------------------------------------------------

    def _to_predict(self, X):
        check_is_fitted(self)
        return self._inputs(self._samples(X, self.net_.theta.dtype), self._shape)


def _draw_uniform(layer, rng):
    """Gives a dense layer weights and biases as scikit-learn does: uniform up to sqrt(6 / (n_in + n_out)), with sigmoid 2 for 6."""
    bound = math.sqrt((2 if layer.activation == "sigmoid" else 6) / (layer.n_in + layer.n_out))
    for a in layer.params.values():
        a[...] = rng.uniform(-bound, bound, a.shape)


class NetClassifier(ClassifierMixin, _Net):
    """A network of dense layers that classifies, the counterpart of scikit-learn's MLPClassifier (lecture chapter 4).

    It is trained by mini-batches of softmax cross-entropy.

    Parameters
    ----------
    hidden : int, sequence of int, or list of layers
        The sizes of the hidden layers, () for none. Or layers, which may be one's own; their parameters are drawn anew unless they
        were made with rng=. A linear layer to the classes follows.
    activation : str or Activation
        That of the hidden layers, as `fastlec.Dense` takes it.
    residual : bool
        Whether hidden layers after the first are `fastlec.Residual` (eq. 22), or `fastlec.ProjectedResidual` (eq. 23) where the
        size changes.
    normalization : {"batch", "layer"} or None
        A `fastlec.BatchNorm` or `fastlec.LayerNorm` of each hidden layer's linear part, before its activation; not with residual.
        Among given layers it is a layer.
    dropout : float
        The probability, in [0, 1), with which a `fastlec.Dropout` after each hidden layer sets a value to 0 in training. Among
        given layers it is a layer.
    optimizer : {"adam", "adamw", "rmsprop", "sgd"}, Optimizer or None
        By name with learning_rate and l2; None is "adam", and "sgd" has momentum 0.9. Or an optimizer, also one's own, with its own
        rate.
    batch_size : int
        The samples of a mini-batch.
    epochs : int
        How often training sees every sample, unless early stopping ends it.
    learning_rate : float or schedule
        The step length, a number or a schedule such as `fastlec.CosineDecay`.
    early_stopping : bool or EarlyStopping
        True: `fastlec.EarlyStopping` on the accuracy of set aside samples with a patience of 10 epochs, which ends with the
        parameters of the best one.
    validation_fraction : float
        The share that is set aside of the samples of each class, which depends on them alone.
    l2 : float
        The optimizer's weight_decay: decoupled with "adam" and "adamw", with the others a penalty l2 / 2 of the sum of the squares
        of all parameters.
    class_weight : dict, "balanced" or None
        Weights of the classes, {label: weight}. "balanced" spreads the weight of the samples evenly over the classes.
    random_state : int, RandomState or None
        What initial parameters and the order of samples are drawn with.
    warm_start : bool
        Whether fit goes on from the parameters of the last one; the optimizer begins anew. What the network is made of, from hidden
        to residual, and dtype, must then be what it was; partial_fit asks the same.
    verbose : bool
        Whether a bar is shown on stderr.
    dtype : dtype, optional
        The dtype that it computes in, float32 or float64. By default it is that of X, and float64 for integers.

    Attributes
    ----------
    classes_ : ndarray, shape (l,)
        The labels.
    net_ : Network
        The network.
    n_iter_ : int
        How many epochs there were; warm_start and partial_fit go on counting.
    loss_curve_ : list of float
        The mean loss in each epoch.
    loss_ : float
        The last of these.
    validation_scores_ : list of float or None
        The accuracies of the samples set aside.
    n_features_in_ : int
        How many features X had.
    feature_names_in_ : ndarray, shape (n,)
        Their names, where X had names.

    See Also
    --------
    fastlec.fit, ConvNetClassifier, NetRegressor

    Notes
    -----
    Dense layers made of sizes begin as those of MLPClassifier, uniform up to sqrt(6 / (n_in + n_out)) (Glorot and Bengio, AISTATS
    2010), others as `fastlec` draws them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.sklearn import NetClassifier
    >>> X, y = fastlec.data.load_digits()
    >>> names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    >>> model = NetClassifier((64, 32), epochs=20, random_state=0).fit(X[:1500], names[y[:1500]])
    >>> model.score(X[1500:], names[y[1500:]]) > 0.85
    True
    >>> model.predict(X[:3]).tolist(), model.predict_proba(X[:3]).shape
    (['zero', 'one', 'two'], (3, 10))
    """

    classes_: NDArray[Any]

    _loss, _monitor = SoftmaxCrossEntropy(), "val_accuracy"

    def __init__(
        self,
        hidden: Hidden = (100,),
        *,
        activation: str | Activation = "relu",
        residual: bool = False,
        normalization: Literal["batch", "layer"] | None = None,
        dropout: float = 0.0,
        optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] | Optimizer | None = None,
        batch_size: int = 32,
        epochs: int = 100,
        learning_rate: float | Schedule = 1e-3,
        early_stopping: bool | EarlyStopping = False,
        validation_fraction: float = 0.1,
        l2: float = 0.0,
        class_weight: ClassWeight = None,
        random_state: RandomState = None,
        warm_start: bool = False,
        verbose: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(
            hidden,
            activation=activation,
            residual=residual,
            normalization=normalization,
            dropout=dropout,
            optimizer=optimizer,
            batch_size=batch_size,
            epochs=epochs,
            learning_rate=learning_rate,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            l2=l2,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
            dtype=dtype,
        )
        self.class_weight = class_weight

    @all_or_nothing
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.
        y : array_like, shape (m,)
            Their labels, of any kind.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples, >= 0.

        Returns
        -------
        NetClassifier
            The fitted estimator.
        """
        goes_on = self._goes_on()
        X, y, codes, classes = fitted_labels(self, X, y, reset=not goes_on, classes=self.classes_ if goes_on else None)
        w = checked_weights(sample_weight, len(X))
        tasks = Tasks(self, "epoch", self.epochs, X, y, w)
        w = class_weights(self.class_weight, classes, codes, y, w)
        return self._fit_net(X, codes, w, tasks, goes_on, len(classes), {"classes_": classes})

    @all_or_nothing
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch, from where the last call or fit ended.

        The optimizer's state goes on as well.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.
        y : array_like, shape (m,)
            Their labels.
        classes : array_like, shape (l,), optional
            All labels that there will be. The first call needs it unless its y has them all.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples, >= 0.

        Returns
        -------
        NetClassifier
            The fitted estimator.
        """
        first, known = not hasattr(self, "net_"), classes_of_parts(self, classes)
        X, y, codes, known = fitted_labels(self, X, y, reset=first, classes=known)
        w = class_weights(self.class_weight, known, codes, y, checked_weights(sample_weight, len(X)))
        return self._train_further(X, codes, w, len(known), {"classes_": known})

    def _scores(self, history, samples):
        return history.val_accuracy

    def _file_facts(self):
        return {"architecture": "resnet" if self.residual else "mlp"}

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label of each sample.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.

        Returns
        -------
        ndarray, shape (m,)
            The labels.
        """
        X = self._to_predict(X)
        return self.classes_[self.net_.predict(X)]

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """The probability of each class.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.

        Returns
        -------
        ndarray, shape (m, l)
            The probabilities, in the order of classes_.
        """
        X = self._to_predict(X)
        return self.net_.predict_proba(X)

    def predict_log_proba(self, X: ArrayLike) -> FloatArray:
        """The logarithm of each class's probability, precise where the probability is too small for a number.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.

        Returns
        -------
        ndarray, shape (m, l)
            The logarithms, in the order of classes_.
        """
        X = self._to_predict(X)
        return log_softmax(self.net_(X))


class NetRegressor(RegressorMixin, _Net):
    """A network of dense layers for numbers, one or several: the counterpart of scikit-learn's MLPRegressor (lecture chapter 4).

    Targets should be of the order of 1, as `sklearn.compose.TransformedTargetRegressor` makes them.

    Parameters
    ----------
    hidden : int, sequence of int, or list of layers
        The sizes of the hidden layers, () for none; or layers. A linear layer to the outputs follows.
    loss : {"squared_error", "absolute_error", "huber"} or a loss
        By its mean the network is trained. "absolute_error" and "huber", of delta 1, are for targets with outliers. Or a
        `fastlec.Huber` or the like, or one's own.
    activation : str or Activation
        That of the hidden layers.
    residual : bool
        Whether hidden layers after the first are residual.
    normalization : {"batch", "layer"} or None
        What stands before the activation of each hidden layer.
    dropout : float
        The probability with which values of the hidden layers are set to 0 in training.
    optimizer : {"adam", "adamw", "rmsprop", "sgd"}, Optimizer or None
        The rule of a step.
    batch_size : int
        The samples of a mini-batch.
    epochs : int
        How often training sees every sample, unless early stopping ends it.
    learning_rate : float or schedule
        The step length.
    early_stopping : bool or EarlyStopping
        True goes by the loss of the samples set aside, with a patience of 10 epochs.
    validation_fraction : float
        The share of the samples that is set aside.
    l2 : float
        The optimizer's weight_decay.
    random_state : int, RandomState or None
        What initial parameters and the order of samples are drawn with.
    warm_start : bool
        Whether fit goes on from the parameters of the last one.
    verbose : bool
        Whether a bar is shown on stderr.
    dtype : dtype, optional
        The dtype that it computes in, float32 or float64. By default it is that of X, and float64 for integers.

    Attributes
    ----------
    net_ : Network
        The network.
    n_iter_ : int
        How many epochs there were; warm_start and partial_fit go on counting.
    loss_curve_ : list of float
        The mean loss in each epoch.
    loss_ : float
        The last of these.
    validation_scores_ : list of float or None
        1 - squared error / variance over all outputs of the samples set aside, which is R^2 where there is one output. Of other
        losses than the squared error these, negative.
    n_features_in_ : int
        How many features X had.
    feature_names_in_ : ndarray, shape (n,)
        Their names, where X had names.

    See Also
    --------
    NetClassifier, fastlec.fit

    Notes
    -----
    `NetClassifier` says more about the arguments that both have.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.sklearn import NetRegressor
    >>> X = np.linspace(-2, 2, 200)[:, None]
    >>> model = NetRegressor((32, 32), activation="tanh", epochs=200, random_state=0).fit(X, np.sin(2 * X[:, 0]))
    >>> model.score(X, np.sin(2 * X[:, 0])) > 0.95
    True
    """

    _monitor = "val_loss"

    def __init__(
        self,
        hidden: Hidden = (100,),
        *,
        loss: Literal["squared_error", "absolute_error", "huber"] | Loss = "squared_error",
        activation: str | Activation = "relu",
        residual: bool = False,
        normalization: Literal["batch", "layer"] | None = None,
        dropout: float = 0.0,
        optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] | Optimizer | None = None,
        batch_size: int = 32,
        epochs: int = 100,
        learning_rate: float | Schedule = 1e-3,
        early_stopping: bool | EarlyStopping = False,
        validation_fraction: float = 0.1,
        l2: float = 0.0,
        random_state: RandomState = None,
        warm_start: bool = False,
        verbose: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(
            hidden,
            activation=activation,
            residual=residual,
            normalization=normalization,
            dropout=dropout,
            optimizer=optimizer,
            batch_size=batch_size,
            epochs=epochs,
            learning_rate=learning_rate,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            l2=l2,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
            dtype=dtype,
        )
        self.loss = loss

    @property
    def _loss(self):
        if not isinstance(self.loss, str):
            _check.loss(self.loss)
            return self.loss
        return LOSSES[_check.choice(self.loss, LOSSES, "loss")]

    @all_or_nothing
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.
        y : array_like, shape (m,) or (m, k)
            The targets.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples, >= 0.

        Returns
        -------
        NetRegressor
            The fitted estimator.
        """
        goes_on = self._goes_on()
        X, y, targets = self._checked(X, y, reset=not goes_on)
        w = checked_weights(sample_weight, len(X))
        tasks = Tasks(self, "epoch", self.epochs, X, y, w)
        return self._fit_net(X, targets, w, tasks, goes_on, targets.shape[1], {"_flat": y.ndim == 1})

    @all_or_nothing
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch, from where the last call or fit ended.

        The optimizer's state goes on as well.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.
        y : array_like, shape (m,) or (m, k)
            The targets.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples, >= 0.

        Returns
        -------
        NetRegressor
            The fitted estimator.
        """
        X, y, targets = self._checked(X, y, reset=not hasattr(self, "net_"))
        w = checked_weights(sample_weight, len(X))
        return self._train_further(X, targets, w, targets.shape[1], {"_flat": y.ndim == 1})

    def _checked(self, X, y, reset):
        """(X, y, targets (m, k))."""
        X, y = validate_data(self, X, y, dtype=self._dtypes(), order="C", multi_output=True, y_numeric=True, reset=reset)
        with np.errstate(over="ignore"):  # infinity is then refused
            targets = y.reshape(len(y), -1).astype(X.dtype)
        if not reset and targets.shape[1:] != self.net_.output_shape(self._input_shape(X.shape[1])):
            raise ValueError(f"y has {targets.shape[1]} outputs; expected as many as before")
        return X, y, targets

    def _facts(self):
        return super()._facts() | {"_flat": self._flat}

    def _scores(self, history, samples):
        if not isinstance(self._loss, MeanSquaredError):
            return [-loss for loss in history.val_loss]
        _, aside = split_rows(samples, self._share())
        y, w = samples.y[aside].astype(np.float64), None if samples.weight is None else samples.weight[aside]
        variance = np.average(np.square(y - np.average(y, axis=0, weights=w)).mean(axis=1), weights=w)
        return [float(1 - loss / variance) if variance else 0.0 for loss in history.val_loss]

    def predict(self, X: ArrayLike) -> FloatArray:
        """The outputs of each sample.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.

        Returns
        -------
        ndarray, shape (m,) or (m, k)
            The outputs, of the shape that y had in fit.
        """
        X = self._to_predict(X)
        found = self.net_(X)
        return found[:, 0] if self._flat else found

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
