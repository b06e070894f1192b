"""The lecture's three derivative tests (section 4.3): is this code the derivative of that code?

    gradient_test(f, grad, x)             eq. 38 and 39: f(x + e d) - f(x) - e <d, grad(x)> must shrink as e^2
    jacobian_test(f, jac_mv, x)           the same for a vector-valued f, with jac_mv(x, v) = J(x) v
    transpose_test(jac_mv, jac_tmv, x)    <u, J v> = <J' u, v>, with jac_tmv(x, u) = J(x)' u
    check_layer(layer, x)                 all of these for every variable of a layer, and the rest of a layer's contract

Each returns a result with ``passed``, ``reason`` (why it failed), ``note`` (what is worth knowing though it passed), the
numbers behind it, the classic table as ``str(result)``, ``result.plot()`` and ``result.assert_passed()``.

The functions under test get read-only copies of x and of the directions, so one that writes into its input raises.

`checks` holds the list of everything in the library that has a derivative, which ``fastlec check`` tests.
"""

from .derivatives import gradient_test, jacobian_test, transpose_test
from .layers import check_layer
from .results import ContractResult, LayerResult, Result, TaylorResult, TransposeResult

__all__ = [
    "ContractResult",
    "LayerResult",
    "Result",
    "TaylorResult",
    "TransposeResult",
    "check_layer",
    "gradient_test",
    "jacobian_test",
    "transpose_test",
]
