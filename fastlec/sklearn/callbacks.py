"""scikit-learn's callbacks, which there are from 1.9 on: `set_callbacks` of estimators, and what callbacks are told of a fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

if TYPE_CHECKING:  # scikit-learn has no types

    class CallbackSupportMixin: ...

    def with_callbacks(method: Method) -> Method: ...

else:
    try:
        from sklearn.callback import CallbackSupportMixin, with_callbacks
    except ImportError:  # an earlier version: estimators have no set_callbacks

        class CallbackSupportMixin:
            """Nothing."""

        def with_callbacks(method):
            """The method."""
            return method


class Tasks:
    """Tells the callbacks of an estimator where its fit begins and ends, and each of its subtasks, the epochs or iterations.

    name : of a subtask. count : how many there are at most. X, y, sample_weight : what is fitted, as hooks are to see it.
    watched : whether anybody listens to the subtasks.

    Where a method takes ``fitted``, that is a function that gives the fitted attributes {name: value} of the moment; it is called
    only for a callback that wants the fitted estimator.
    """

    def __init__(self, estimator, name, count, X, y, sample_weight=None):
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._name, self._root, self._subtask = name, None, None
        if hasattr(estimator, "_init_callback_context"):
            self._root = estimator._init_callback_context(max_subtasks=count)
            self._root.call_on_fit_task_begin(**self._told)
        self.watched = self._root is not None and bool(getattr(estimator, "_skl_callbacks", ()))

    def begin(self, fitted):
        """A subtask begins."""
        if self.watched:
            self._subtask = self._root.subcontext(task_name=self._name)
            self._subtask.call_on_fit_task_begin(**self._told, reconstruction_attributes=fitted)

    def end(self, fitted):
        """The subtask ends. Returns whether a callback wants the fit to end with it."""
        if not self._subtask:
            return False
        subtask, self._subtask = self._subtask, None
        return subtask.call_on_fit_task_end(**self._told, reconstruction_attributes=fitted)

    def finish(self, fitted):
        """The fit ends."""
        if self._root is not None:
            self._root.call_on_fit_task_end(**self._told, reconstruction_attributes=fitted)
