"""fastlec: softmax regression and the layers of a deep-learning course as fast NumPy functions with exact derivatives."""

__version__ = "0.1.0"

from . import _config

_config.start()

from ._config import get_num_threads, isa, release_memory, set_num_threads, show_config  # noqa: E402
from .functional import (  # noqa: E402
    log_softmax,
    logsumexp,
    relu,
    relu_derivative,
    sigmoid,
    sigmoid_derivative,
    softmax,
    softmax_cross_entropy,
    tanh,
    tanh_derivative,
    value_and_derivative,
)
from .linear import LogisticObjective, SoftmaxObjective  # noqa: E402

_LAZY = ("data", "io", "plot", "reference", "testing", "training")  # submodules that are imported when asked for

__all__ = [
    "LogisticObjective",
    "SoftmaxObjective",
    "data",
    "get_num_threads",
    "io",
    "isa",
    "log_softmax",
    "logsumexp",
    "plot",
    "reference",
    "release_memory",
    "relu",
    "relu_derivative",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "softmax_cross_entropy",
    "tanh",
    "tanh_derivative",
    "testing",
    "training",
    "value_and_derivative",
]


def __getattr__(name):
    if name in _LAZY:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
