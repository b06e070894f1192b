"""Softmax regression (lecture 2.1 to 2.3) as an estimator, with the objective and the attributes of LogisticRegression."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from .. import _check, io
from .._typing import FloatArray
from ..functional import log_softmax, matmul, softmax
from ..layers import Dense
from ..linear import LogisticObjective, SoftmaxObjective
from ..network import Network
from ..training import Schedule, SoftmaxCrossEntropy
from ..training.optim import PenalisedSGD
from ..training.solvers import METHODS, minimize_scipy
from . import training
from .base import (
    ClassifierMixin,
    ClassWeight,
    Estimator,
    RandomState,
    all_or_nothing,
    checked_weights,
    class_weights,
    classes_of_parts,
    fitted_labels,
    generators,
)
from .callbacks import Method, Tasks, with_callbacks

SOLVERS = (*METHODS, "sgd")
MOST = {"lbfgs": 1000, "newton-cg": 100, "sgd": 60}  # iterations, or epochs, where max_iter does not say
MOMENTUM = 0.9  # of sgd
OF_STEPS = ("loss_curve_", "_optimizer_state", "_rate_curve", "_shuffles")  # the fitted attributes that sgd alone has

if TYPE_CHECKING:

    def available_if(check: object) -> Callable[[Method], Method]: ...

else:
    from sklearn.utils.metaestimators import available_if


def _takes_steps(estimator):
    """Whether partial_fit is there."""
    if estimator.solver != "sgd":
        raise AttributeError(f"solver is {estimator.solver!r}; partial_fit takes steps of 'sgd'")
    return True


class SoftmaxClassifier(ClassifierMixin, Estimator):
    """Softmax regression (lecture 2.1 to 2.3), the counterpart of scikit-learn's LogisticRegression.

    It minimises what LogisticRegression does, and has its attributes:

        C sum_i w_i l_i + 1/2 ||W||^2

    Here l_i is the cross-entropy of sample i (eq. 11), of two classes that of the sigmoid (eq. 5), and w_i is its weight.
    Intercepts are not penalised.

    Parameters
    ----------
    C : float
        The weight of the samples against the penalty, > 0. Infinity means no penalty.
    solver : {"lbfgs", "newton-cg", "sgd"}
        "lbfgs" and "newton-cg" see all samples at once, and work as if features were standardised. "sgd" takes mini-batches, by SGD
        with momentum 0.9; features should be standardised for it.
    fit_intercept : bool
        Whether there are intercepts.
    class_weight : dict, "balanced" or None
        Weights of the classes, {label: weight}. "balanced" spreads the weight of the samples evenly over the classes.
    max_iter : int, optional
        Iterations at most: by default 1000 of lbfgs, 100 of newton-cg. Of sgd it is the number of epochs, by default 60.
    tol : float
        Of lbfgs and newton-cg, as in LogisticRegression: they end once the largest entry of the gradient of the objective, over
        C sum_i w_i, is at most that, and that by standardised features is smaller than at the start by the same factor.
    batch_size : int
        The samples of a mini-batch of sgd.
    learning_rate : float or schedule
        The step length of sgd.
    random_state : int, RandomState or None
        What the order of samples is drawn with, for sgd.
    warm_start : bool
        Whether fit goes on from the coefficients of the last one.
    verbose : bool
        Whether epochs of sgd are shown on stderr.
    dtype : dtype, optional
        The dtype that it computes in, float32 or float64. By default it is that of X, and float64 for integers.

    Attributes
    ----------
    classes_ : ndarray, shape (l,)
        The labels.
    coef_ : ndarray, shape (l, n) or (1, n)
        The coefficients; one row where there are two classes.
    intercept_ : ndarray, shape (l,) or (1,)
        The intercepts.
    n_iter_ : int
        How many iterations, or epochs, there were.
    loss_curve_ : list of float
        The mean loss of each epoch of sgd, without the penalty.
    n_features_in_ : int
        How many features X had.
    feature_names_in_ : ndarray, shape (n,)
        Their names, where X had names.

    See Also
    --------
    fastlec.SoftmaxObjective, fastlec.training.minimize_scipy, NetClassifier

    Examples
    --------
    >>> from fastlec.sklearn import SoftmaxClassifier
    >>> X, y = fastlec.data.load_digits()
    >>> model = SoftmaxClassifier(C=0.1).fit(X[:1500], y[:1500])
    >>> model.score(X[1500:], y[1500:]) > 0.85
    True
    >>> model.predict(X[:5])
    array([0, 1, 2, 3, 4])
    """

    classes_: NDArray[Any]
    coef_: FloatArray
    intercept_: FloatArray
    n_iter_: int
    loss_curve_: list[float]
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def __init__(
        self,
        C: float = 1.0,
        solver: Literal["lbfgs", "newton-cg", "sgd"] = "lbfgs",
        *,
        fit_intercept: bool = True,
        class_weight: ClassWeight = None,
        max_iter: int | None = None,
        tol: float = 1e-4,
        batch_size: int = 32,
        learning_rate: float | Schedule = 0.01,
        random_state: RandomState = None,
        warm_start: bool = False,
        verbose: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.C = C
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.dtype = dtype

    @all_or_nothing
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the coefficients.

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
        SoftmaxClassifier
            The fitted estimator.
        """
        _check.choice(self.solver, SOLVERS, "solver")
        _check.flag(self.fit_intercept, "fit_intercept")
        most = MOST[self.solver] if self.max_iter is None else _check.count(self.max_iter, "max_iter", 1)
        goes_on = _check.flag(self.warm_start, "warm_start") and hasattr(self, "coef_")
        X, y, codes, classes = fitted_labels(self, X, y, reset=not goes_on, classes=self.classes_ if goes_on else None)
        w = checked_weights(sample_weight, len(X))
        by_steps = self.solver == "sgd"
        # of lbfgs and newton-cg one more: the end of an iteration does not tell whether it was the last
        tasks = Tasks(self, "epoch" if by_steps else "iteration", most + (not by_steps), X, y, w)
        w = class_weights(self.class_weight, classes, codes, y, w)
        W, b = (a.astype(X.dtype) for a in (self.coef_, self.intercept_)) if goes_on else _zeros(classes, X)

        def fitted(W, b, n_iter):
            return {"classes_": classes, "coef_": W, "intercept_": b, "n_iter_": n_iter}

        found = (self._by_steps if by_steps else self._at_once)(X, codes, w, W, b, most, tasks, fitted)
        for name in OF_STEPS:
            vars(self).pop(name, None)
        vars(self).update(found)
        tasks.finish(lambda: found)
        return self

    @available_if(_takes_steps)
    @all_or_nothing
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch of solver "sgd", from where the last call ended.

        The optimizer's state goes on as well. The penalty is that of a fit to these samples alone.

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
        SoftmaxClassifier
            The fitted estimator.
        """
        first, known = not hasattr(self, "coef_"), classes_of_parts(self, classes)
        X, y, codes, known = fitted_labels(self, X, y, reset=first, classes=known)
        w = class_weights(self.class_weight, known, codes, y, checked_weights(sample_weight, len(X)))
        net = _network(*(_zeros(known, X) if first else (self.coef_, self.intercept_)), self.fit_intercept)
        if not hasattr(self, "_shuffles"):
            self._shuffles = generators(self.random_state, 1)[0]
        state, curve = getattr(self, "_optimizer_state", None), getattr(self, "_rate_curve", [])
        rule = self._rule(net, w, len(X))
        self._rate_curve, self._optimizer_state = training.train_further(
            net, X, codes, w, state, curve, rng=self._shuffles, **rule
        )
        self.classes_, (self.coef_, self.intercept_) = known, _coefficients(net)
        self.loss_curve_ = [*getattr(self, "loss_curve_", ()), self._rate_curve[-1]]
        self.n_iter_ = len(self.loss_curve_)
        return self

    def _at_once(self, X, codes, w, W, b, most, tasks, fitted):
        """The fitted attributes, by a solver that sees all samples."""
        given = {"fit_bias": self.fit_intercept, "l2": self._l2(w, len(X)), "sample_weight": w}
        objective = LogisticObjective(X, codes, **given) if len(W) == 1 else SoftmaxObjective(X, codes, len(W), **given)
        n_iter, shape = 0, W.shape

        def parts(theta):
            theta = theta.astype(X.dtype)
            return theta[: W.size].reshape(shape), theta[W.size :] if self.fit_intercept else np.zeros(shape[:1], X.dtype)

        def after_iteration(iteration, theta, loss):
            nonlocal n_iter
            n_iter = iteration
            if tasks.watched:
                now = fitted(*parts(theta), iteration)
                if tasks.end(lambda: now):
                    raise StopIteration
                tasks.begin(lambda: now)

        tasks.begin(lambda: fitted(W, b, 0))
        start = np.concatenate([W.ravel(), b if self.fit_intercept else []]).astype(np.float64)
        tol = _check.non_negative(self.tol, "tol")
        first = max(np.abs(objective.gradient(theta)).max() for theta in ([start] if not start.any() else [start, 0 * start]))
        tol = tol / first if first else 1.0  # relative, as the solvers have it
        theta, message = minimize_scipy(objective, start, self.solver, max_iter=most, tol=tol, callback=after_iteration)
        found = fitted(*parts(theta), n_iter)
        tasks.end(lambda: found)
        if n_iter == most and "not converged" in message:
            _check.warn(f"{self.solver}: {message}; a larger max_iter may help", ConvergenceWarning)
        return found

    def _by_steps(self, X, codes, w, W, b, most, tasks, fitted):
        """The fitted attributes, by mini-batches."""
        net, (shuffles,) = _network(W, b, self.fit_intercept), generators(self.random_state, 1)
        history, state = training.train(
            net,
            X,
            codes,
            tasks,
            lambda epochs: fitted(*_coefficients(net), epochs),
            epochs=most,
            sample_weight=w,
            rng=shuffles,
            progress=bool(self.verbose),
            **self._rule(net, w, len(X)),
        )
        found = fitted(*_coefficients(net), len(history))
        curve = history.train_loss
        return found | {"loss_curve_": curve, "_optimizer_state": state, "_rate_curve": list(curve), "_shuffles": shuffles}

    def _rule(self, net, w, m):
        """What a step of sgd goes by. Of two classes the penalty is that of their difference: twice that of its halves."""
        rows, n = net.params["0.W"].shape
        l2 = self._l2(w, m) * (2 if rows == 2 else 1)
        optimizer = PenalisedSGD(training.checked_rate(self.learning_rate), MOMENTUM, l2=l2, n_weights=rows * n)
        return {"loss": SoftmaxCrossEntropy(), "optimizer": optimizer, "batch_size": self.batch_size}

    def _l2(self, w, m):
        C = _check.number(self.C, "C")
        if not C > 0:
            raise ValueError(f"C is {C}; expected a number > 0")
        return 1 / (C * (m if w is None else w.sum()))

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """The logits W x + b.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.

        Returns
        -------
        ndarray, shape (m, l) or (m,)
            The logits; of two classes that of the second one.
        """
        check_is_fitted(self)
        scores = matmul(self._samples(X, self.coef_.dtype), self.coef_.T)
        scores += self.intercept_
        return scores[:, 0] if len(self.coef_) == 1 else scores

    def _logits(self, X):
        scores = self.decision_function(X)
        return np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores

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
        logits = self._logits(X)
        return self.classes_[logits.argmax(axis=1)]

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
        return softmax(self._logits(X))

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
        return log_softmax(self._logits(X))

    def _facts(self):
        return {name: getattr(self, name) for name in ("n_iter_", "loss_curve_") if hasattr(self, name)}

    def _write(self, path, said):
        W, b = self.coef_, self.intercept_
        if len(W) == 1:
            W, b = (np.concatenate([np.zeros_like(a), a]) for a in (W, b))
        io.save(path, {"W": W, "b": b}, {"kind": "softmax", "dtype": str(W.dtype)} | said)

    def _read(self, arrays, facts):
        W, b = arrays["W"], arrays["b"]
        self.coef_, self.intercept_ = (W[1:] - W[:1], b[1:] - b[:1]) if len(W) == 2 else (W, b)
        vars(self).update(facts)


def _zeros(classes, X):
    """(W, b) before anything is learnt: of two classes one row."""
    rows = 1 if len(classes) == 2 else len(classes)
    return np.zeros((rows, X.shape[1]), X.dtype), np.zeros(rows, X.dtype)


def _network(W, b, bias):
    """The network with these coefficients; one row, of two classes, is the difference of theirs."""
    if len(W) == 1:
        W, b = (np.concatenate([-half, half]) for half in (W / 2, b / 2))
    rows, n = W.shape
    layer = Dense(n, rows, "identity", bias, dtype=W.dtype, rng=0)
    return Network([layer.with_params({"W": W, "b": b} if bias else {"W": W})])


def _coefficients(net):
    """(W, b) of such a network."""
    W = net.params["0.W"].copy()
    b = net.params["0.b"].copy() if "0.b" in net.params else np.zeros(len(W), W.dtype)
    return (W[1:] - W[:1], b[1:] - b[:1]) if len(W) == 2 else (W, b)
