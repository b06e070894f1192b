"""Over-fitting, regularization and L-shaped curves (lecture 1): how many parameters do the data carry?

    generate_true_model, true_basis, oracle    the lecture's noisy sample (eq. 1), and least squares with the true functions
    polynomial_basis, PolynomialBasis          orthonormal polynomials on the sample's points (eq. 2), of any degree
    fit_polynomials                            least squares for many degrees; train, test and cross-validation errors; the corner
    ridge_path, truncated_svd_path             many amounts of regularization from one factorization
    l_curve_corner                             the corner of the L-curve of such a path

``fastlec overfit`` runs the lecture's experiment with them.
"""

from .bases import PolynomialBasis, polynomial_basis
from .corner import Corner, l_curve_corner
from .fits import PolynomialFits, fit_polynomials
from .paths import RegularizationPath, ridge_path, truncated_svd_path
from .sample import TrueModel, generate_true_model, oracle, true_basis

__all__ = [
    "Corner",
    "PolynomialBasis",
    "PolynomialFits",
    "RegularizationPath",
    "TrueModel",
    "fit_polynomials",
    "generate_true_model",
    "l_curve_corner",
    "oracle",
    "polynomial_basis",
    "ridge_path",
    "true_basis",
    "truncated_svd_path",
]


def __dir__() -> list[str]:
    return __all__
