"""The pytest plugin of fastlec, installed as a package of its own, ``fastlec_pytest``: pytest imports it at every start, and
importing a part of fastlec imports fastlec first. So fastlec is imported by a test that uses one of the fixtures.

    gradient_test(f, grad, x, ...)            fixtures, functions with the arguments and results of those in `fastlec.testing`,
    jacobian_test(f, jac_mv, x, ...)          which fail the test, with the table of errors, where the result has not passed
    transpose_test(jac_mv, jac_tmv, x, ...)
    check_layer(layer, x, ...)
"""

import functools

import pytest


def _asserting(name):
    """The fixture of that name."""

    def fixture():
        from fastlec import testing

        function = getattr(testing, name)

        @functools.wraps(function)
        def asserted(*arguments, **options):
            __tracebackhide__ = True
            result = function(*arguments, **options)
            result.assert_passed()
            return result

        return asserted

    fixture.__doc__ = f"fastlec.testing.{name}, which fails the test unless the result has passed."
    return pytest.fixture(fixture, name=name)


gradient_test, jacobian_test, transpose_test, check_layer = map(
    _asserting, ("gradient_test", "jacobian_test", "transpose_test", "check_layer")
)
