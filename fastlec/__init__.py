"""fastlec: softmax regression and the layers of a deep-learning course as fast NumPy functions with exact derivatives."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

from . import _config

_config.start()

from ._config import get_num_threads, isa, release_memory, set_num_threads, show_config  # noqa: E402
from .convolution import (  # noqa: E402
    col2im,
    conv2d,
    conv2d_jac_mv,
    conv2d_jac_tmv,
    get_conv_algorithm,
    im2col,
    set_conv_algorithm,
)
from .explanation import explain  # noqa: E402
from .filters import filter2d  # noqa: E402
from .functional import (  # noqa: E402
    elu,
    elu_derivative,
    erf,
    erf_derivative,
    gelu,
    gelu_derivative,
    leaky_relu,
    leaky_relu_derivative,
    log_softmax,
    logsumexp,
    matmul,
    relu,
    relu_derivative,
    sigmoid,
    sigmoid_derivative,
    silu,
    silu_derivative,
    softmax,
    softmax_cross_entropy,
    softplus,
    softplus_derivative,
    tanh,
    tanh_derivative,
    value_and_derivative,
)
from .layers import (  # noqa: E402
    Activation,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvResidual,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    LayerNorm,
    MaxPool1d,
    MaxPool2d,
    ProjectedConvResidual,
    ProjectedResidual,
    Residual,
    Upsample2d,
)
from .layers.registry import register_layer  # noqa: E402
from .linear import LogisticObjective, SoftmaxObjective  # noqa: E402
from .network import Concat, Network, Sum  # noqa: E402
from .training import (  # noqa: E402
    SGD,
    Adam,
    AdamW,
    BinaryCrossEntropy,
    ClipNorm,
    CosineDecay,
    EarlyStopping,
    ExponentialDecay,
    History,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    Objective,
    Optimizer,
    ReduceOnPlateau,
    RMSprop,
    SoftmaxCrossEntropy,
    StepDecay,
    fit,
    training_step,
)

# Imported when asked for: together they take several times as long as all that is above.
_MODULES = (
    "curvature",
    "dask",
    "data",
    "datasets",
    "io",
    "mpi",
    "onnx",
    "plot",
    "preprocessing",
    "reference",
    "regression",
    "shared",
    "sklearn",
    "testing",
    "torch",
)
_FUNCTIONS = {
    "GaussNewtonResult": "_gauss_newton",
    "KMeansResult": "cluster",
    "gauss_newton": "_gauss_newton",
    "kmeans": "cluster",
    "robust_fit": "robust",
    "robust_lstsq": "robust",
}
if TYPE_CHECKING:
    from . import curvature, data, datasets, io, plot, preprocessing, reference, regression, shared, testing
    from . import dask as dask
    from . import mpi as mpi
    from . import onnx as onnx  # none of these is in __all__: whoever imports all may not have what they need
    from . import sklearn as sklearn
    from . import torch as torch
    from ._gauss_newton import GaussNewtonResult, gauss_newton
    from .cluster import KMeansResult, kmeans
    from .robust import robust_fit, robust_lstsq

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "BatchNorm2d",
    "BinaryCrossEntropy",
    "ClipNorm",
    "Concat",
    "Conv1d",
    "Conv2d",
    "ConvResidual",
    "ConvTranspose2d",
    "CosineDecay",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "ExponentialDecay",
    "Flatten",
    "GaussNewtonResult",
    "GlobalAvgPool2d",
    "History",
    "Huber",
    "KMeansResult",
    "Layer",
    "LayerNorm",
    "LogisticObjective",
    "MaxPool1d",
    "MaxPool2d",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Network",
    "Objective",
    "Optimizer",
    "ProjectedConvResidual",
    "ProjectedResidual",
    "RMSprop",
    "ReduceOnPlateau",
    "Residual",
    "SoftmaxCrossEntropy",
    "SoftmaxObjective",
    "StepDecay",
    "Sum",
    "Upsample2d",
    "col2im",
    "conv2d",
    "conv2d_jac_mv",
    "conv2d_jac_tmv",
    "curvature",
    "data",
    "datasets",
    "elu",
    "elu_derivative",
    "erf",
    "erf_derivative",
    "explain",
    "filter2d",
    "filters",
    "fit",
    "gauss_newton",
    "gelu",
    "gelu_derivative",
    "get_conv_algorithm",
    "get_num_threads",
    "im2col",
    "io",
    "isa",
    "kmeans",
    "leaky_relu",
    "leaky_relu_derivative",
    "log_softmax",
    "logsumexp",
    "matmul",
    "plot",
    "preprocessing",
    "reference",
    "register_layer",
    "regression",
    "release_memory",
    "relu",
    "relu_derivative",
    "robust_fit",
    "robust_lstsq",
    "set_conv_algorithm",
    "set_num_threads",
    "shared",
    "show_config",
    "sigmoid",
    "sigmoid_derivative",
    "silu",
    "silu_derivative",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "softplus_derivative",
    "tanh",
    "tanh_derivative",
    "testing",
    "training",
    "training_step",
    "value_and_derivative",
]


def __getattr__(name):
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
