"""fastlec.testing: right derivatives of every kind pass, wrong ones of every kind fail, and the reasons say what is wrong."""

import matplotlib
import numpy as np
import pytest

from fastlec.testing import TaylorResult, TransposeResult, gradient_test, jacobian_test, transpose_test

matplotlib.use("Agg")

DTYPES = [np.float64, np.float32]
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["f64", "f32"])
A = np.random.default_rng(7).standard_normal((6, 6))


def point(dtype, *shape, scale=1.0):
    return (scale * np.random.default_rng(11).standard_normal(shape or (6,))).astype(dtype)


def in_dtype_of(x, value):
    """Constants of the tests below, in x's precision: the arithmetic under test must be that of the dtype."""
    return np.asarray(value, dtype=x.dtype)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def logsumexp(x):
    return x.max() + np.log(np.exp(x - x.max()).sum())


def log_cosh(x):
    return np.log(np.cosh(x)).sum()


# --- gradient test: must pass ----------------------------------------------------------------------------------------

RIGHT_GRADIENTS = {
    "quadratic": (lambda x: x @ in_dtype_of(x, A) @ x, lambda x: in_dtype_of(x, A + A.T) @ x),
    "quartic": (lambda x: (x**4).sum(), lambda x: 4 * x**3),
    "exponential": (lambda x: np.exp(x).sum(), np.exp),
    "logsumexp": (logsumexp, softmax),
    "log_cosh": (log_cosh, np.tanh),
    "product": (lambda x: np.prod(2 + np.sin(x)), lambda x: np.prod(2 + np.sin(x)) * np.cos(x) / (2 + np.sin(x))),
    "norm": (np.linalg.norm, lambda x: x / np.linalg.norm(x)),
    "linear": (lambda x: in_dtype_of(x, A[0]) @ x, lambda x: in_dtype_of(x, A[0])),
    "affine": (lambda x: in_dtype_of(x, A[0]) @ x + 3, lambda x: in_dtype_of(x, A[0])),
}


@each_dtype
@pytest.mark.parametrize("name", RIGHT_GRADIENTS)
def test_right_gradient_passes(name, dtype):
    f, grad = RIGHT_GRADIENTS[name]
    result = gradient_test(f, grad, point(dtype), name=name)
    result.assert_passed()
    assert result.passed
    assert result.reason is None
    assert result.dtype == dtype
    assert ("linear" in (result.note or "")) == (name in ("linear", "affine"))


@each_dtype
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", RIGHT_GRADIENTS)
def test_right_gradient_passes_along_any_direction(name, seed, dtype):
    f, grad = RIGHT_GRADIENTS[name]
    gradient_test(f, grad, point(dtype), rng=seed).assert_passed()


@each_dtype
@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e12, 1e30])
@pytest.mark.parametrize("name", ["quadratic", "logsumexp", "log_cosh", "linear"])
def test_scale_of_f_does_not_matter(name, factor, dtype):
    f, grad = RIGHT_GRADIENTS[name]
    scale = dtype(factor)
    gradient_test(lambda x: f(x) * scale, lambda x: grad(x) * scale, point(dtype)).assert_passed()
    assert not gradient_test(lambda x: f(x) * scale, lambda x: grad(x) * scale * dtype(1.02), point(dtype)).passed


@pytest.mark.parametrize("factor", [1e-300, 1e290])
def test_extreme_scale_of_f_in_float64(factor):
    gradient_test(lambda x: factor * log_cosh(x), lambda x: factor * np.tanh(x), point(np.float64)).assert_passed()


@each_dtype
@pytest.mark.parametrize("scale", [1e-10, 1e-6, 1e-3, 1e3, 1e8])
def test_scale_of_x_does_not_matter(scale, dtype):
    """f(x / scale) at x = scale * (the usual point): d grows with x; for a small x the steps go on until they are small."""
    s, (f, grad) = dtype(scale), RIGHT_GRADIENTS["quadratic"]
    x = point(dtype) * s
    gradient_test(lambda x: f(x / s), lambda x: grad(x / s) / s, x).assert_passed()
    assert not gradient_test(lambda x: f(x / s), lambda x: dtype(1.03) * grad(x / s) / s, x).passed


@each_dtype
@pytest.mark.parametrize("scale", [1e-10, 1e-3, 1e3])
def test_direction_of_the_scale_of_x(scale, dtype):
    """Where f overflows a unit away from a tiny x, the caller's d says how far f is to be looked at."""
    s, d = dtype(scale), scale * np.ones(6)
    x = point(dtype) * s
    gradient_test(lambda x: log_cosh(x / s), lambda x: np.tanh(x / s) / s, x, d=d).assert_passed()
    assert not gradient_test(lambda x: log_cosh(x / s), lambda x: dtype(1.03) * np.tanh(x / s) / s, x, d=d).passed


@each_dtype
def test_shapes_of_x(dtype):
    for shape in [(), (1,), (3, 2), (2, 3, 2)]:
        result = gradient_test(log_cosh, np.tanh, point(dtype, *shape) + dtype(0.5), name="log cosh")
        result.assert_passed()
    x = point(dtype, 4, 6)[::2, ::-3]
    gradient_test(log_cosh, np.tanh, x).assert_passed()


def test_gradient_as_an_array_and_python_numbers():
    x = point(np.float64)
    gradient_test(lambda x: float(log_cosh(x)), np.tanh(x), x).assert_passed()
    gradient_test(lambda x: [log_cosh(x)], lambda x: np.tanh(x).tolist(), x.tolist()).assert_passed()
    gradient_test(log_cosh, np.tanh, [1, 2, 3]).assert_passed()


def test_vanishing_second_derivative_is_noted():
    result = gradient_test(lambda x: np.sin(x).sum(), np.cos, np.zeros(3))
    assert result.passed
    assert result.first_order == pytest.approx(3, abs=0.1)
    assert "second derivative along d" in result.note


def test_error_that_changes_sign_passes():
    """r(e) = e^2 - c e^3 vanishes at e = 1/c, amid the few steps that float32 has here: not of order 2 there, and yet right."""
    c, x = np.float32(9), np.zeros(1, np.float32)

    def f(x):
        return (4 + x + x**2 - c * x**3).sum()

    result = gradient_test(f, np.ones(1, np.float32), x, d=np.ones(1))
    result.assert_passed()
    assert result.first_errors[2] < 1.2 * result.first_errors[3]
    assert not gradient_test(f, np.float32([1.01]), x, d=np.ones(1)).passed


def test_float32_x_with_a_float64_value():
    """A loss accumulated in double from single logits: the error of f is measured, not guessed from its dtype."""
    x = point(np.float32)

    def f(x):
        return float(np.log(np.cosh(x)).astype(np.float64).sum())

    gradient_test(f, np.tanh, x).assert_passed()
    assert not gradient_test(f, lambda x: np.float32(1.01) * np.tanh(x), x).passed


def test_cancellation_inside_f_raises_the_floor():
    x = point(np.float64)
    plain = gradient_test(log_cosh, np.tanh, x)
    noisy = gradient_test(lambda x: (log_cosh(x) + 1e4) - 1e4, np.tanh, x)
    noisy.assert_passed()
    assert noisy.floors[-1] > 100 * plain.floors[-1]


# --- gradient test: must fail ----------------------------------------------------------------------------------------


def _one_entry(factor):
    def mutate(g):
        g = g.copy()
        g[2] *= factor
        return g

    return mutate


WRONG = {
    "factor 1.01": lambda g: g * g.dtype.type(1.01),
    "factor 0.99": lambda g: g * g.dtype.type(0.99),
    "factor 2": lambda g: 2 * g,
    "factor 1/m": lambda g: g / g.size,
    "sign": lambda g: -g,
    "zero": lambda g: 0 * g,
    "one entry 10 %": _one_entry(1.1),
    "one entry's sign": _one_entry(-1),
    "one entry missing": _one_entry(0),
    "reversed": lambda g: g[::-1],
    "rolled": lambda g: np.roll(g, 1),
    "constant added": lambda g: g + g.dtype.type(0.2),
    "sign of each": np.sign,
    "absolute": np.abs,
}


@each_dtype
@pytest.mark.parametrize("mutation", WRONG)
@pytest.mark.parametrize("name", RIGHT_GRADIENTS)
def test_wrong_gradient_fails(name, mutation, dtype):
    f, grad = RIGHT_GRADIENTS[name]
    x = point(dtype)
    wrong = WRONG[mutation](grad(x))
    if np.allclose(wrong, grad(x)):
        pytest.skip("this mutation leaves this gradient as it is (the absolute value of a positive one)")
    result = gradient_test(f, wrong, x)
    assert not result.passed
    assert result.reason
    with pytest.raises(AssertionError, match="FAILED"):
        result.assert_passed()


@pytest.mark.parametrize("relative", [1e-3, 1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize("name", RIGHT_GRADIENTS)
def test_small_errors_are_found_in_float64(name, relative):
    f, grad = RIGHT_GRADIENTS[name]
    assert not gradient_test(f, lambda x: (1 + relative) * grad(x), point(np.float64)).passed


def test_small_error_hidden_by_curvature_is_found_in_float32():
    """Three in a thousand: at most steps above the floor the e^2 term is greater."""
    logits = np.random.default_rng(1).standard_normal(24).astype(np.float32)
    hidden = gradient_test(logsumexp, lambda x: np.float32(1.003) * softmax(x), logits)
    assert "wrong, by about 0.003 of the change" in hidden.reason
    gradient_test(logsumexp, softmax, logits).assert_passed()


@each_dtype
def test_typical_mistakes(dtype):
    x, a = point(dtype), A.astype(dtype)

    def f(x):
        return x @ a @ x + dtype(0.5) * (x @ x)

    gradient_test(f, lambda x: (a + a.T) @ x + x, x).assert_passed()
    for grad in (
        lambda x: 2 * a @ x + x,  # as if A were symmetric
        lambda x: (a + a.T) @ x,  # the penalty forgotten
        lambda x: (a + a.T) @ x + 2 * x,  # its half forgotten
        lambda x: (a + a.T) @ x + x / x.size,
    ):
        assert "wrong" in gradient_test(f, grad, x).reason


@each_dtype
def test_transposed_gradient_of_a_square_matrix_fails(dtype):
    X, a = point(dtype, 6, 6), A.astype(dtype)
    assert gradient_test(lambda X: np.sum(np.tanh(a @ X)), lambda X: a.T @ (1 - np.tanh(a @ X) ** 2), X).passed
    assert not gradient_test(lambda X: np.sum(np.tanh(a @ X)), lambda X: (a.T @ (1 - np.tanh(a @ X) ** 2)).T, X).passed


@each_dtype
def test_kinks_are_named(dtype):
    x = point(dtype)
    x[3] = 0
    result = gradient_test(lambda x: np.abs(x).sum() + (x * x).sum(), lambda x: np.sign(x) + 2 * x, x)
    assert not result.passed
    assert "kink" in result.reason


def test_wrong_derivative_of_a_smooth_function_is_not_called_a_kink():
    result = gradient_test(log_cosh, lambda x: 1.5 * np.tanh(x), point(np.float64))
    assert "kink" not in result.reason
    assert "wrong, by about 0.5 " in result.reason


@each_dtype
def test_nothing_to_test_is_refused(dtype):
    x = point(dtype)
    constant = gradient_test(lambda x: dtype(3), np.zeros(6, dtype), x)
    assert not constant.passed
    assert "too few steps change f" in constant.reason
    stationary = gradient_test(lambda x: (x * x).sum(), lambda x: 2 * x, np.zeros(3, dtype))
    assert not stationary.passed
    assert "stationary" in stationary.reason
    assert "d is zero" in gradient_test(log_cosh, np.tanh, x, d=np.zeros(6)).reason
    assert "x has shape (0,)" in gradient_test(log_cosh, np.tanh, np.zeros((0,), dtype)).reason
    assert "x has shape (0,)" in jacobian_test(np.tanh, lambda x, v: v, np.zeros((0,), dtype)).reason


def test_too_few_steps_above_round_off_are_refused():
    x = point(np.float32) + np.float32(1)
    for eps0, text in [(2e-5, "too few steps change f"), (1e-30, "eps0 do not change x")]:
        few = gradient_test(log_cosh, np.tanh, x, eps0=eps0)
        assert not few.passed
        assert text in few.reason
    few = gradient_test(log_cosh, np.tanh, x.astype(np.float64), steps=3)
    assert not few.passed
    assert "only 3 steps" in few.reason


def test_single_precision_behind_a_double_interface_fails():
    x = point(np.float64)
    gradient_test(log_cosh, np.tanh, x).assert_passed()
    assert not gradient_test(lambda x: float(log_cosh(x.astype(np.float32))), np.tanh, x).passed
    assert not gradient_test(log_cosh, lambda x: np.tanh(x.astype(np.float16)), x).passed


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_fail_with_a_reason(bad):
    x = point(np.float64)
    spoiled = x.copy()
    spoiled[1] = bad
    assert "x holds NaN" in gradient_test(log_cosh, np.tanh, spoiled).reason
    assert "d holds NaN" in gradient_test(log_cosh, np.tanh, x, d=spoiled).reason
    assert "f(x) holds NaN" in gradient_test(lambda x: bad, np.tanh, x).reason
    assert "derivative" in gradient_test(log_cosh, spoiled, x).reason
    assert "derivative" in jacobian_test(np.tanh, lambda x, v: v * bad, x).reason
    assert "NaN" in transpose_test(lambda x, v: v, lambda x, u: u * bad, x).reason
    assert "NaN" in transpose_test(lambda x, v: v * bad, lambda x, u: u, x).reason
    far = gradient_test(lambda x: log_cosh(x) if np.array_equal(x, point(np.float64)) else bad, np.tanh, x)
    assert not far.passed
    assert "at any step that was tried" in far.reason
    behind = gradient_test(lambda x: log_cosh(x) if x[0] >= 1 else bad, np.tanh, np.ones(2), d=np.ones(2))
    assert not behind.passed
    assert "x is at the edge of its domain" in behind.reason


# --- Jacobian test ---------------------------------------------------------------------------------------------------

RIGHT_JACOBIANS = {
    "elementwise": (np.tanh, lambda x, v: (1 - np.tanh(x) ** 2) * v),
    "softmax": (softmax, lambda x, v: softmax(x) * (v - softmax(x) @ v)),
    "dense": (
        lambda x: np.tanh(in_dtype_of(x, A[:4]) @ x),
        lambda x, v: (1 - np.tanh(in_dtype_of(x, A[:4]) @ x) ** 2) * (in_dtype_of(x, A[:4]) @ v),
    ),
    "outer": (lambda x: np.outer(x, x), lambda x, v: np.outer(x, v) + np.outer(v, x)),
    "linear": (lambda x: in_dtype_of(x, A) @ x, lambda x, v: in_dtype_of(x, A) @ v),
    "copy": (lambda x: x, lambda x, v: v),
}


@each_dtype
@pytest.mark.parametrize("name", RIGHT_JACOBIANS)
def test_right_jacobian_passes(name, dtype):
    result = jacobian_test(*RIGHT_JACOBIANS[name], point(dtype), name=name)
    result.assert_passed()
    assert ("linear" in (result.note or "")) == (name in ("linear", "copy"))


WRONG_PRODUCTS = {
    "factor 1.01": lambda jac_mv, x, v: jac_mv(x, v) * x.dtype.type(1.01),
    "sign": lambda jac_mv, x, v: -jac_mv(x, v),
    "zero": lambda jac_mv, x, v: 0 * jac_mv(x, v),
    "reversed": lambda jac_mv, x, v: np.flip(jac_mv(x, v)),
    "direction reversed": lambda jac_mv, x, v: jac_mv(x, v[::-1]),
    "at another point": lambda jac_mv, x, v: jac_mv(x * x.dtype.type(1.2), v),
    "one direction lost": lambda jac_mv, x, v: jac_mv(x, v * (np.arange(6) != 2)),
    "affine": lambda jac_mv, x, v: jac_mv(x, v) + x.dtype.type(0.01),
}


@each_dtype
@pytest.mark.parametrize("mutation", WRONG_PRODUCTS)
@pytest.mark.parametrize("name", RIGHT_JACOBIANS)
def test_wrong_jacobian_fails(name, mutation, dtype):
    f, jac_mv = RIGHT_JACOBIANS[name]
    if mutation == "at another point" and name in ("linear", "copy"):
        pytest.skip("a linear map has one Jacobian")
    result = jacobian_test(f, lambda x, v: WRONG_PRODUCTS[mutation](jac_mv, x, v), point(dtype))
    assert not result.passed
    assert result.reason


def test_transposed_jacobian_fails_the_jacobian_test():
    assert not jacobian_test(lambda x: A @ x, lambda x, v: A.T @ v, point(np.float64)).passed


# --- transpose test --------------------------------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("shape", [(6,), (40, 6), (2000, 6)])
def test_right_transpose_passes(shape, dtype):
    a = A[:, :4].astype(dtype)
    x = point(dtype, *shape)
    result = transpose_test(lambda x, v: v @ a, lambda x, u: u @ a.T, x)
    result.assert_passed()
    assert len(result.errors) == 5
    assert (result.errors <= result.bounds).all()


@each_dtype
@pytest.mark.parametrize("scale", [1e-30, 1e15])
def test_transpose_at_any_scale(scale, dtype):
    a = (A * scale).astype(dtype)
    transpose_test(lambda x, v: a @ v, lambda x, u: a.T @ u, point(dtype)).assert_passed()
    assert not transpose_test(lambda x, v: a @ v, lambda x, u: a @ u, point(dtype)).passed


@each_dtype
@pytest.mark.parametrize(
    "wrong",
    [
        lambda a, u: a @ u,
        lambda a, u: -(a.T @ u),
        lambda a, u: a.dtype.type(1.001) * (a.T @ u),
        lambda a, u: 0 * u,
        lambda a, u: (a.T @ u)[::-1],
        lambda a, u: a.T @ u * (np.arange(6) != 5),
        lambda a, u: a.T @ u + a.dtype.type(0.01),
        lambda a, u: np.where(np.arange(6) == 1, a.dtype.type(1.01), 1).astype(a.dtype) * (a.T @ u),
    ],
)
def test_wrong_transpose_fails(wrong, dtype):
    a = A.astype(dtype)
    result = transpose_test(lambda x, v: a @ v, lambda x, u: wrong(a, u), point(dtype))
    assert not result.passed
    assert "round-off" in result.reason
    with pytest.raises(AssertionError, match="FAILED"):
        result.assert_passed()


def test_dot_products_near_zero_are_no_problem():
    """<u, Jv> may vanish although |u| and |Jv| do not: the distance is measured against the norms."""
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    transpose_test(lambda x, v: turn @ v, lambda x, u: turn.T @ u, np.ones(2)).assert_passed()


def test_zero_map_is_refused():
    result = transpose_test(lambda x, v: 0 * v, lambda x, u: 0 * u, point(np.float64))
    assert not result.passed
    assert "nothing was tested" in result.reason


# --- the functions under test are not trusted ------------------------------------------------------------------------


def test_writing_into_an_input_raises():
    def spoil(x):
        x += 1
        return log_cosh(x)

    def spoil_direction(x, v):
        v *= 2
        return v

    x = point(np.float64)
    with pytest.raises(ValueError, match="read-only"):
        gradient_test(spoil, np.tanh, x)
    with pytest.raises(ValueError, match="read-only"):
        jacobian_test(np.tanh, spoil_direction, x)
    with pytest.raises(ValueError, match="read-only"):
        transpose_test(spoil_direction, spoil_direction, x)


def test_inputs_are_left_alone():
    x, d = point(np.float64), np.ones(6)
    before = x.copy()
    gradient_test(log_cosh, np.tanh, x, d=d).assert_passed()
    assert x.flags.writeable
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(d, np.ones(6))


def test_results_in_a_reused_buffer_are_copied():
    buffer = np.zeros(6)

    def f(x):
        np.tanh(x, out=buffer)
        return buffer

    jacobian_test(f, lambda x, v: (1 - np.tanh(x) ** 2) * v, point(np.float64)).assert_passed()


def test_hidden_state_is_found():
    calls = []

    def f(x):
        calls.append(1)
        return log_cosh(x) + 1e-3 * len(calls)

    assert not gradient_test(f, np.tanh, point(np.float64)).passed

    def drifts_late(x):
        calls.append(1)
        return log_cosh(x) + (1e-3 if len(calls) > limit else 0)

    calls.clear()
    limit = 10**9
    gradient_test(drifts_late, np.tanh, point(np.float64)).assert_passed()
    table_ends = len(calls) - 1  # then comes the second f(x)
    calls.clear()
    limit = table_ends
    assert "second call" in gradient_test(drifts_late, np.tanh, point(np.float64)).reason


def test_wrong_arguments():
    x = point(np.float64)
    with pytest.raises(ValueError, match=r"grad has shape \(5,\); expected \(6,\) to match x"):
        gradient_test(log_cosh, np.zeros(5), x)
    with pytest.raises(ValueError, match=r"f\(x\) has shape \(6,\); gradient_test expects a number"):
        gradient_test(np.tanh, np.tanh, x)
    with pytest.raises(ValueError, match=r"jac_mv\(x, v\) has shape \(1,\); expected \(6,\) to match f\(x\)"):
        jacobian_test(np.tanh, lambda x, v: v[:1], x)
    with pytest.raises(ValueError, match=r"jac_tmv\(x, u\) has shape \(2,\); expected \(6,\) to match x"):
        transpose_test(lambda x, v: v, lambda x, u: u[:2], x)
    with pytest.raises(ValueError, match=r"d has shape \(2,\); expected \(6,\) to match x"):
        gradient_test(log_cosh, np.tanh, x, d=np.ones(2))
    for eps0 in (-1, 0, np.nan, np.inf, 10**400):
        with pytest.raises(ValueError, match=r"^eps0 is .*; expected a (finite )?number (>= 0|> 0|that float64 holds)"):
            gradient_test(log_cosh, np.tanh, x, eps0=eps0)
    with pytest.raises(TypeError, match=r"eps0 is 'half'; expected a number"):
        gradient_test(log_cosh, np.tanh, x, eps0="half")
    with pytest.raises(ValueError, match=r"steps is 0; expected at least 1"):
        jacobian_test(np.tanh, lambda x, v: v, x, steps=0)
    with pytest.raises(ValueError, match=r"directions is 0; expected at least 1"):
        transpose_test(lambda x, v: v, lambda x, u: u, x, directions=0)
    for function, name in [(lambda x: None, r"f\(x\)"), (lambda x: "text", r"f\(x\)"), (lambda x: 1j, r"f\(x\)")]:
        with pytest.raises(TypeError, match=rf"{name} has dtype .*; expected real numbers"):
            gradient_test(function, np.tanh, x)
    with pytest.raises(ValueError, match=r"f\(x\) is no rectangular array"):
        jacobian_test(lambda x: [[1.0], [1.0, 2.0]], lambda x, v: v, x)
    with pytest.raises(TypeError, match=r"grad has dtype complex128; expected real numbers"):
        gradient_test(log_cosh, lambda x: x + 1j, x)
    with pytest.raises(TypeError, match=r"jac_mv\(x, v\) has dtype complex128; expected real numbers"):
        jacobian_test(np.tanh, lambda x, v: v + 1j, x)
    with pytest.raises(TypeError, match=r"d has dtype complex128; expected real numbers"):
        gradient_test(log_cosh, np.tanh, x, d=x + 1j)
    with pytest.raises(TypeError, match="x has dtype object"):
        gradient_test(log_cosh, np.tanh, x.astype(object))
    with pytest.raises(TypeError, match="x has dtype complex128"):
        gradient_test(log_cosh, np.tanh, x + 1j)
    with pytest.raises(TypeError, match=r"f\(x\) has dtype complex128"):
        jacobian_test(lambda x: x + 1j, lambda x, v: v, x)


# --- what comes back -------------------------------------------------------------------------------------------------


def test_result_holds_the_table():
    result = gradient_test(log_cosh, np.tanh, point(np.float64), name="log cosh", eps0=0.25)
    assert isinstance(result, TaylorResult)
    assert (result.kind, result.name, result.dtype) == ("gradient", "log cosh", np.float64)
    n = len(result.epsilons)
    np.testing.assert_array_equal(result.epsilons, 0.25 / 2.0 ** np.arange(n))
    for column in (result.zeroth_errors, result.first_errors, result.floors, result.fitted):
        assert column.shape == (n,)
    assert result.fitted.sum() == 5
    assert (result.first_errors[result.fitted] > result.floors[result.fitted]).all()
    assert (result.first_errors[-4:] <= result.floors[-4:]).all()  # it stops four steps below the floor
    assert result.zeroth_order == pytest.approx(1, abs=0.01)
    assert result.first_order == pytest.approx(2, abs=0.05)
    text = str(result)
    assert text.splitlines()[0] == "gradient test of log cosh [float64]: passed"
    assert "observed orders" in text
    assert text.count("*") == 6  # five steps and the line that explains the mark
    with pytest.raises(AttributeError):
        result.passed = False


def test_names_and_reproducibility():
    x = point(np.float64)
    first, again, other = (gradient_test(log_cosh, np.tanh, x, rng=seed) for seed in (None, None, 5))
    assert first.name == "log_cosh"
    np.testing.assert_array_equal(first.first_errors, again.first_errors)
    assert first.first_errors[0] != other.first_errors[0]
    generator = np.random.default_rng(5)
    assert gradient_test(log_cosh, np.tanh, x, rng=generator).first_errors[0] == other.first_errors[0]


def test_transpose_result_prints_each_direction():
    result = transpose_test(lambda x, v: A @ v, lambda x, u: A.T @ u, point(np.float64), directions=3, name="A")
    assert isinstance(result, TransposeResult)
    assert len(str(result).splitlines()) == 2 + 3
    assert str(result).startswith("transpose test of A [float64]: passed")


@pytest.mark.parametrize(
    "result",
    [
        gradient_test(log_cosh, np.tanh, point(np.float64)),
        gradient_test(log_cosh, lambda x: -np.tanh(x), point(np.float32)),
        gradient_test(log_cosh, np.tanh, np.full(3, np.nan)),
        jacobian_test(lambda x: x, lambda x, v: v, point(np.float64)),
        transpose_test(lambda x, v: A @ v, lambda x, u: A.T @ u, point(np.float64)),
    ],
    ids=["passed", "failed", "nan", "linear", "transpose"],
)
def test_plot(result):
    from matplotlib import pyplot

    ax = result.plot()
    ax.figure.canvas.draw()
    assert ax.get_yscale() == "log"
    assert ax.get_title() == result.heading
    assert result.plot(ax) is ax
    pyplot.close(ax.figure)


# --- kinks near x, bounded domains, small parts: right code passes and wrong code fails at random points ---------------


def _hinge(rng, dtype):
    X, w = rng.standard_normal((20, 10)).astype(dtype), rng.standard_normal(10).astype(dtype)
    y = np.sign(rng.standard_normal(20)).astype(dtype)
    return lambda w: np.maximum(0, 1 - y * (X @ w)).sum(), lambda w: -X.T @ (y * (y * (X @ w) < 1)), w


def _relu_network(rng, dtype):
    W, v = rng.standard_normal((12, 10)).astype(dtype), rng.standard_normal(12).astype(dtype)
    return lambda x: v @ np.maximum(0, W @ x), lambda x: W.T @ (v * (W @ x > 0)), rng.standard_normal(10).astype(dtype)


def _smooth_network(rng, dtype):
    W, v = rng.standard_normal((12, 10)).astype(dtype) / 3, rng.standard_normal(12).astype(dtype)
    return lambda x: v @ np.tanh(W @ x), lambda x: W.T @ (v / np.cosh(W @ x) ** 2), rng.standard_normal(10).astype(dtype)


def _positive(f, grad):
    return lambda rng, dtype: (f, grad, rng.uniform(1e-3, 1, 10).astype(dtype))


def _mixed_scales(rng, dtype):
    unit = np.array([1e-8, 1, 1e8], dtype)
    return lambda x: np.sin(x / unit).sum(), lambda x: np.cos(x / unit) / unit, unit * rng.uniform(0.5, 1, 3).astype(dtype)


AT_RANDOM = {
    "smooth network": _smooth_network,
    "relu": lambda rng, dtype: (lambda x: np.maximum(0, x).sum(), lambda x: (x > 0).astype(dtype), normals(rng, dtype)),
    "absolute": lambda rng, dtype: (lambda x: np.abs(x).sum(), np.sign, normals(rng, dtype)),
    "relu network": _relu_network,
    "hinge": _hinge,
    "logarithm": _positive(lambda x: -np.log(x).sum(), lambda x: -1 / x),
    "root": _positive(lambda x: np.sqrt(x).sum(), lambda x: 0.5 / np.sqrt(x)),
    "inverse": _positive(lambda x: (1 / x).sum(), lambda x: -1 / x**2),
    "arcsine": _positive(lambda x: np.arcsin(x).sum(), lambda x: 1 / np.sqrt(1 - x**2)),
    "mixed scales": _mixed_scales,
}


def normals(rng, dtype):
    """Ten of them at a distance from zero, where the functions have kinks."""
    x = rng.standard_normal(10)
    return (x + np.copysign(0.01, x)).astype(dtype)


@each_dtype
@pytest.mark.parametrize("name", AT_RANDOM)
def test_gradients_at_random_points(name, dtype):
    """One factor, one sign, one entry lost: an error of a tenth of the derivative or more, or of one in a hundred."""
    for seed in range(8):
        f, grad, x = AT_RANDOM[name](np.random.default_rng(seed), dtype)
        gradient_test(f, grad, x, rng=seed).assert_passed()
        largest = np.abs(grad(x)).argmax()
        for wrong in (lambda g: g * dtype(1.01), one_of(largest, -1), one_of(largest, 0), lambda g: np.roll(g, 1) - g):
            assert not gradient_test(f, wrong(grad(x)), x, rng=seed).passed


@each_dtype
@pytest.mark.parametrize("name", ["relu", "absolute", "logarithm", "root", "inverse", "arcsine"])
def test_jacobians_at_random_points(name, dtype):
    """The same functions before they are summed."""
    entries = {"relu": lambda x: np.maximum(0, x), "absolute": np.abs, "logarithm": lambda x: -np.log(x), "root": np.sqrt}
    f = entries.get(name) or {"inverse": lambda x: 1 / x, "arcsine": np.arcsin}[name]
    for seed in range(4):
        _, grad, x = AT_RANDOM[name](np.random.default_rng(seed), dtype)
        slopes = np.array(grad(x))
        jacobian_test(f, lambda x, v, slopes=slopes: slopes * v, x, rng=seed).assert_passed()
        largest = np.abs(slopes).argmax()
        for wrong in (lambda g: g * dtype(1.01), one_of(largest, -1), one_of(largest, 0)):
            other = wrong(slopes)
            assert not jacobian_test(f, lambda x, v, other=other: other * v, x, rng=seed).passed


def one_of(index, factor):
    def mutate(g):
        g = g.copy()
        g[index] *= factor
        return g

    return mutate


@pytest.mark.parametrize("name", AT_RANDOM)
def test_one_entry_off_by_a_thousandth_is_found_in_float64(name):
    for seed in range(4):
        f, grad, x = AT_RANDOM[name](np.random.default_rng(seed), np.float64)
        g = np.array(grad(x))
        entry = np.flatnonzero(g)[seed % np.count_nonzero(g)]
        assert not gradient_test(f, one_of(entry, 1.001)(g), x, rng=seed).passed


@each_dtype
@pytest.mark.parametrize("side", [1, -1])
def test_kink_at_x_does_not_pass_with_the_slope_of_one_side(side, dtype):
    for x in (np.zeros(4, dtype), np.array([1, 0, -2, 3], dtype)):
        slopes = np.where(x == 0, side, np.sign(x)).astype(dtype)
        for f, result in [
            ("sum", gradient_test(lambda x: np.abs(x).sum(), slopes, x)),
            ("entries", jacobian_test(np.abs, lambda x, v, slopes=slopes: slopes * v, x)),
        ]:
            assert not result.passed, f
            assert "f seems to have a kink at x" in result.reason


@pytest.mark.parametrize("error", [ValueError("math domain error"), FloatingPointError("invalid"), RuntimeWarning("log"), None])
def test_steps_that_leave_the_domain_are_made_smaller(error):
    """Whether f raises, is NaN or complex there; RuntimeWarnings are errors in this project's tests."""

    def f(x):
        if (x <= 0).any() and error:
            raise error
        return np.log(x.astype(complex) if (x <= 0).any() else x).sum()

    x = np.array([1e-3, 2e-3, 1e-2])
    result = gradient_test(f, lambda x: 1 / x, x)
    result.assert_passed()
    assert result.epsilons[0] < 0.5
    assert not gradient_test(f, lambda x: 1.01 / x, x).passed
    gradient_test(lambda x: -np.log(x).sum(), lambda x: -1 / x, x).assert_passed()
    edge = gradient_test(lambda x: np.sqrt(x).sum(), np.ones(2), np.array([0.0, 1.0]))
    assert "edge of its domain" in edge.reason


def test_parts_too_small_to_be_judged_are_named():
    x = np.ones(3)
    f, g = lambda x: 1e3 * x[0] + 1e-12 * np.sin(x[1]) + x[2], np.array([1e3, 1e-12 * np.cos(1.0), 1.0])
    result = gradient_test(f, g, x)
    result.assert_passed()
    assert "too small beside the others for an error to be seen: x[1]" in result.note
    assert not gradient_test(f, one_of(2, 1.01)(g), x).passed
    many = np.linspace(1, 2, 100_000).astype(np.float32)
    assert gradient_test(log_cosh, np.tanh, many).note.startswith("no entry of x by itself")
    matrix = np.array([[1e3, 1e-12], [1.0, 1.0]])
    assert jacobian_test(lambda x: matrix @ x, lambda x, v: matrix @ v, np.ones(2)).note == LINEAR
    matrix = np.array([[1e3, 1e-12], [1.0, 1e-12]])
    assert "x[1]" in jacobian_test(lambda x: matrix @ x, lambda x, v: matrix @ v, np.ones(2)).note


LINEAR = "linear: the first-order error is round-off at every step"


@each_dtype
def test_small_parts_are_tested_by_themselves(dtype):
    """Where great ones hide them: entries of x that change f little, entries of f(x) that are small."""
    x, great, fast = np.ones(2, dtype), dtype(1e8), dtype(np.cbrt(1 / np.finfo(dtype).eps))
    f, grad = lambda x: np.sin(fast * x[0]) + np.sin(x[1]), lambda x: np.array([fast * np.cos(fast * x[0]), np.cos(x[1])])
    gradient_test(f, grad, x).assert_passed()
    assert not gradient_test(f, one_of(1, 1.05)(grad(x)), x).passed
    outputs = lambda x: np.array([great * x[0] ** 2, np.sin(x[1])])  # noqa: E731
    jacobian_test(outputs, lambda x, v: np.array([2 * great * x[0] * v[0], np.cos(x[1]) * v[1]]), x).assert_passed()
    assert not jacobian_test(outputs, lambda x, v: np.array([2 * great * x[0] * v[0], 1.05 * np.cos(x[1]) * v[1]]), x).passed


def test_half_precision_is_computed_in_single():
    assert gradient_test(log_cosh, np.tanh, point(np.float64).astype(np.float16)).dtype == np.float32
