"""The library's functions in plain NumPy, float64: written from the lecture's formulas, slow, and the standard that the
compiled code is held to.

Samples are rows, as everywhere in fastlec: ``X`` is (m, n), logits are (m, l), ``W`` is (l, n), so the lecture's data
matrix is ``X.T`` and its weights are ``W.T``.  Whatever comes in is converted to float64 and nothing is checked beyond
what NumPy checks.  NaN and infinity behave as in ``scipy.special``, without warnings.
"""

from .activations import (
    identity,
    identity_derivative,
    relu,
    relu_derivative,
    sigmoid,
    sigmoid_derivative,
    tanh,
    tanh_derivative,
    value_and_derivative,
)
from .convolution import col2im, conv2d, conv2d_jac_mv, conv2d_jac_tmv, conv2d_jacobian, conv2d_matrix, im2col
from .filters import filter2d
from .kmeans import lloyd, nearest_centers
from .layers import (
    dense,
    dense_jac_mv,
    dense_jac_tmv,
    dense_jacobian,
    projected_residual,
    projected_residual_jac_mv,
    projected_residual_jac_tmv,
    projected_residual_jacobian,
    residual,
    residual_jac_mv,
    residual_jac_tmv,
    residual_jacobian,
)
from .log_sum_exp import log_softmax, logsumexp, softmax, softmax_cross_entropy
from .losses import binary_cross_entropy, huber, mean_absolute_error, mean_squared_error
from .normalization import (
    batch_norm2d,
    batch_norm2d_jac_mv,
    batch_norm2d_jac_tmv,
    batch_statistics,
    layer_norm,
    layer_norm_jac_mv,
    layer_norm_jac_tmv,
)
from .pooling import avg_pool2d, avg_pool2d_jac_mv, avg_pool2d_jac_tmv, max_pool2d, max_pool2d_jac_mv, max_pool2d_jac_tmv
from .regression import (
    logistic_regression_data_gradient,
    logistic_regression_gradient,
    logistic_regression_hessian,
    logistic_regression_hessian_mv,
    logistic_regression_predict_proba,
    logistic_regression_value,
    softmax_regression_data_gradient,
    softmax_regression_gradient,
    softmax_regression_hessian,
    softmax_regression_hessian_mv,
    softmax_regression_predict_proba,
    softmax_regression_value,
)

__all__ = [
    "avg_pool2d",
    "avg_pool2d_jac_mv",
    "avg_pool2d_jac_tmv",
    "batch_norm2d",
    "batch_norm2d_jac_mv",
    "batch_norm2d_jac_tmv",
    "batch_statistics",
    "binary_cross_entropy",
    "col2im",
    "conv2d",
    "conv2d_jac_mv",
    "conv2d_jac_tmv",
    "conv2d_jacobian",
    "conv2d_matrix",
    "dense",
    "dense_jac_mv",
    "dense_jac_tmv",
    "dense_jacobian",
    "filter2d",
    "huber",
    "identity",
    "identity_derivative",
    "im2col",
    "layer_norm",
    "layer_norm_jac_mv",
    "layer_norm_jac_tmv",
    "lloyd",
    "log_softmax",
    "logistic_regression_data_gradient",
    "logistic_regression_gradient",
    "logistic_regression_hessian",
    "logistic_regression_hessian_mv",
    "logistic_regression_predict_proba",
    "logistic_regression_value",
    "logsumexp",
    "max_pool2d",
    "max_pool2d_jac_mv",
    "max_pool2d_jac_tmv",
    "mean_absolute_error",
    "mean_squared_error",
    "nearest_centers",
    "projected_residual",
    "projected_residual_jac_mv",
    "projected_residual_jac_tmv",
    "projected_residual_jacobian",
    "relu",
    "relu_derivative",
    "residual",
    "residual_jac_mv",
    "residual_jac_tmv",
    "residual_jacobian",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "softmax_cross_entropy",
    "softmax_regression_data_gradient",
    "softmax_regression_gradient",
    "softmax_regression_hessian",
    "softmax_regression_hessian_mv",
    "softmax_regression_predict_proba",
    "softmax_regression_value",
    "tanh",
    "tanh_derivative",
    "value_and_derivative",
]
