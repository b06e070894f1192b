"""fastlec.testing.check_layer: right layers pass, a layer spoiled in any one way fails, and the test that fails says where."""

import functools

import matplotlib
import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

from fastlec.layers import Activation, Dense, Layer, Residual
from fastlec.network import Network
from fastlec.testing import ContractResult, LayerResult, TaylorResult, check_layer

matplotlib.use("Agg")

DTYPES = [np.float64, np.float32]
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["f64", "f32"])


# --- layers as a user would write them -------------------------------------------------------------------------------


class Tanh(Layer):
    """y = tanh(W x + b)."""

    def __init__(self, n_in=4, n_out=3, dtype=np.float64):
        rng = np.random.default_rng(3)
        super().__init__({"W": rng.standard_normal((n_out, n_in)).astype(dtype), "b": rng.standard_normal(n_out).astype(dtype)})

    def output_shape(self, shape):
        return (len(self.params["W"]),)

    def evaluate(self, x):
        y = np.tanh(x @ self.params["W"].T + self.params["b"])
        return y, (x, 1 - y**2)

    def mv(self, kept, directions):
        x, slope = kept
        products = {"x": lambda d: d @ self.params["W"].T, "W": lambda d: x @ d.T, "b": lambda d: d}
        return slope * sum(products[variable](d) for variable, d in directions.items())

    def tmv(self, kept, v, wrt):
        x, slope = kept
        s = slope * v
        products = {"x": lambda: s @ self.params["W"], "W": lambda: s.T @ x, "b": lambda: s.sum(axis=0)}
        return {variable: products[variable]() for variable in wrt}


class Relu(Layer):
    """y = max(x, 0): no parameters, samples of any shape."""

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return np.maximum(x, 0), x > 0

    def mv(self, kept, directions):
        return kept * directions["x"]

    def tmv(self, kept, v, wrt):
        return {variable: kept * v for variable in wrt}


class ChannelScale(Layer):
    """y = a s_c x of images (m, c, height, width): a is a number, s one for each channel; linear in each of them."""

    def __init__(self, channels=2, dtype=np.float64):
        super().__init__({"a": np.array(1.5, dtype), "s": np.linspace(1, 2, channels).astype(dtype)})

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return self.params["a"] * self.params["s"][:, None, None] * x, x

    def mv(self, x, directions):
        at = {"x": x, "a": self.params["a"], "s": self.params["s"]}
        parts = (at | {variable: d} for variable, d in directions.items())
        return sum(part["a"] * part["s"][:, None, None] * part["x"] for part in parts)

    def tmv(self, x, v, wrt):
        a, s = self.params["a"], self.params["s"]
        products = {
            "x": lambda: a * s[:, None, None] * v,
            "a": lambda: np.array((s[:, None, None] * x * v).sum(), x.dtype),
            "s": lambda: a * (x * v).sum(axis=(0, 2, 3)),
        }
        return {variable: products[variable]() for variable in wrt}


def samples(dtype, *shape, rng=5):
    return np.random.default_rng(rng).standard_normal(shape or (5, 4)).astype(dtype)


def failures(result):
    """The tests that failed, as "kind" or "kind by variable"."""
    return {result.kind + result.name.partition("layer")[2] for result in result.results if not result.passed}


def spoiled(dtype, base=Tanh, **methods):
    """What the check finds in a layer with other methods; they get the right method first."""
    overrides = {name: functools.partialmethod(_call_with, method, name) for name, method in methods.items()}
    layer = type("Spoiled", (base,), overrides)(dtype=dtype)
    layer.right = base
    result = check_layer(layer, samples(dtype), name="layer")
    assert not result.passed
    assert result.reason.startswith("failed: ")
    with pytest.raises(AssertionError, match="FAILED"):
        result.assert_passed()
    return failures(result)


def _call_with(self, method, name, *args, **kwargs):
    return method(functools.partial(getattr(self.right, name), self), self, *args, **kwargs)


# --- must pass -------------------------------------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("kind", "shape"), [(Tanh, (5, 4)), (Tanh, (1, 4)), (ChannelScale, (3, 2, 4, 5)), (Relu, (4, 3)), (Relu, (2, 3, 2))]
)
def test_right_layers_pass(kind, shape, seed, dtype):
    layer = kind() if kind is Relu else kind(dtype=dtype)
    check_layer(layer, samples(dtype, *shape, rng=seed), rng=seed).assert_passed()


@each_dtype
def test_networks_pass(dtype):
    """Of the library's layers and of one's own; one without parameters has no theta to test."""
    dense = Dense(4, 3, "sigmoid", dtype=dtype, rng=1)
    for layers in (
        [dense, Residual(3, dtype=dtype, rng=2)],
        [Tanh(dtype=dtype), Relu()],
        [Activation("tanh"), Activation("sigmoid")],
    ):
        net = Network(layers)
        result = check_layer(net, samples(dtype), name="net")
        result.assert_passed()
        variables = ["x", *net.params, *(["theta"] if net.params else [])]
        assert [r.name for r in result.results if r.kind == "Jacobian"] == [f"net by {variable}" for variable in variables]


@each_dtype
def test_spoiled_theta_is_found(dtype):
    class Spoiled(Network):
        def linearize(self, x):
            y, jac = super().linearize(x)
            return y, Changed(jac, "tmv", reverses_theta)

    net = Spoiled([Dense(4, 3, dtype=dtype, rng=1)])
    assert failures(check_layer(net, samples(dtype), name="layer")) >= {"form", "operator", "explicit Jacobian by theta"}


def reverses_theta(right, *args, **kwargs):
    return {name: g[::-1].copy() if name == "theta" else g for name, g in right(*args, **kwargs).items()}


def test_every_test_is_run_for_every_variable():
    result = check_layer(Tanh(), samples(np.float64))
    of_each = {"Jacobian", "gradient", "transpose", "explicit Jacobian"}
    assert {(r.kind, r.name) for r in result.results if " by " in r.name} == {
        (kind, f"Tanh by {variable}") for kind in of_each for variable in ("x", "W", "b")
    }
    whole = [r.kind for r in result.results if r.name == "Tanh"]
    assert whole == ["unmodified input", "shape", "repetition", "form", "buffer", "operator", "sum"]
    assert all(r.comparisons for r in result.results if isinstance(r, ContractResult))


@each_dtype
def test_kinks_near_x_are_stepped_around(dtype):
    """relu has a kink at a distance of 0.01 from x: steps from 1/2 cross it, smaller ones do not."""
    x = np.full((2, 2), 0.01, dtype) * np.array([1, -1], dtype)
    result = check_layer(Relu(), x)
    result.assert_passed()
    notes = [r.note for r in result.results if isinstance(r, TaylorResult)]
    assert all("kink near x" in note for note in notes)


# --- must fail -------------------------------------------------------------------------------------------------------


@each_dtype
def test_kinks_at_x_are_named(dtype):
    x = samples(dtype)
    x[1:4] = 0
    result = check_layer(Relu(), x, name="layer")
    assert failures(result) == {"Jacobian by x", "gradient by x"}
    assert "kink" in str(result)


def scale(factor):
    return lambda g: (g * factor).astype(g.dtype)


def one_entry(factor):
    def change(g):
        g = g.copy()
        g.flat[1] *= factor
        return g

    return change


CHANGES = {
    "factor 1.01": scale(1.01),
    "factor 1/m": scale(1 / 5),
    "sign": scale(-1),
    "zero": scale(0),
    "one entry": one_entry(1.1),
    "reversed": lambda g: np.ascontiguousarray(np.flip(g)),
}


@each_dtype
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("variable", ["x", "W", "b"])
def test_wrong_tmv_of_one_variable_is_found_there_and_only_there(variable, change, dtype):
    def tmv(right, self, kept, v, wrt):
        return {name: CHANGES[change](g) if name == variable else g for name, g in right(kept, v, wrt).items()}

    found = spoiled(dtype, tmv=tmv)
    assert found >= {f"{kind} by {variable}" for kind in ("transpose", "explicit Jacobian")}
    assert found <= {f"{kind} by {variable}" for kind in ("gradient", "transpose", "explicit Jacobian")}
    if change != "one entry":
        assert f"gradient by {variable}" in found


@each_dtype
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("variable", ["x", "W", "b"])
def test_wrong_mv_of_one_variable_is_found_there_and_only_there(variable, change, dtype):
    def mv(right, self, kept, directions):
        return sum(CHANGES[change](dy) if name == variable else dy for name, dy in singles(right, kept, directions))

    found = spoiled(dtype, mv=mv)
    assert f"transpose by {variable}" in found
    assert found <= {f"{kind} by {variable}" for kind in ("Jacobian", "transpose", "explicit Jacobian")}
    if change != "one entry":
        assert f"Jacobian by {variable}" in found


def singles(right, kept, directions):
    return ((variable, right(kept, {variable: d})) for variable, d in directions.items())


@each_dtype
@pytest.mark.parametrize("variable", ["x", "W", "b"])
def test_mv_and_tmv_that_agree_and_are_wrong_are_found(variable, dtype):
    def mv(right, self, kept, directions):
        return sum(scale(1.01 if name == variable else 1)(dy) for name, dy in singles(right, kept, directions))

    def tmv(right, self, kept, v, wrt):
        return {name: scale(1.01 if name == variable else 1)(g) for name, g in right(kept, v, wrt).items()}

    assert spoiled(dtype, mv=mv, tmv=tmv) == {f"Jacobian by {variable}", f"gradient by {variable}"}


@each_dtype
def test_derivative_of_another_function_is_found(dtype):
    """evaluate is off, not the derivative: y = tanh(W x + b) + 0.02 x_1 x_2."""

    def evaluate(right, self, x):
        y, kept = right(x)
        return y + x.dtype.type(0.02) * x[:, :1] * x[:, 1:2], kept

    assert spoiled(dtype, evaluate=evaluate) == {"Jacobian by x", "gradient by x"}


def modify(a):
    """The least change there is."""
    a.flat[0] = np.nextafter(a.flat[0], a.dtype.type(9))


def rounds_a_parameter(right, self, x):
    """It would not be seen at a second call."""
    np.round(self.params["W"], 3, out=self.params["W"])
    return right(x)


def modifies_a_direction(right, self, kept, directions):
    dy = right(kept, directions)
    modify(directions["b" if "b" in directions else "x" if "x" in directions else "W"])
    return dy


def modifies_a_parameter(right, self, kept, directions):
    dy = right(kept, directions)
    modify(self.params["b"])
    return dy


def modifies_v(right, self, kept, v, wrt):
    g = right(kept, v, wrt)
    modify(v)
    return g


@each_dtype
@pytest.mark.parametrize(
    ("method", "change", "text"),
    [
        ("evaluate", rounds_a_parameter, "the parameter W after layer(x)"),
        ("mv", modifies_a_direction, "the direction of b after jac.mv of all"),
        ("mv", modifies_a_parameter, "the parameter b after jac.mv of all"),
        ("tmv", modifies_v, "v after jac.tmv(v)['x']"),
    ],
)
def test_modified_inputs_are_found(method, change, text, dtype):
    layer = type("Spoiled", (Tanh,), {method: functools.partialmethod(_call_with, change, method)})(dtype=dtype)
    layer.right = Tanh
    x = samples(dtype)
    before = x.copy()
    result = check_layer(layer, x)
    assert not result.passed
    assert result.results[0].kind == "unmodified input"
    assert any(failure.startswith(text) for failure in result.results[0].failures)
    assert "were not run" in result.note
    np.testing.assert_array_equal(x, before)  # the check passes copies of what the caller gave


def keeps_in_the_layer(right, self, x):
    y, self.kept = right(x)
    return y, None


def reuses_a_buffer(right, self, *args):
    """The same memory for every result of one shape."""
    result = right(*args)
    array = result[0] if isinstance(result, tuple) else next(iter(result.values())) if isinstance(result, dict) else result
    buffer = self.__dict__.setdefault(f"buffer {array.shape}", array)
    buffer[...] = array
    if isinstance(result, dict):
        return result | {next(iter(result)): buffer}
    return (buffer, result[1]) if isinstance(result, tuple) else buffer


def counts_calls(right, self, x):
    self.calls = getattr(self, "calls", 0) + 1
    y, kept = right(x)
    if self.calls > 3:
        modify(y)
    return y, kept


def counts_products(right, self, kept, v, wrt):
    self.calls = getattr(self, "calls", 0) + 1
    return {variable: g if self.calls < 12 else scale(1.001)(g) for variable, g in right(kept, v, wrt).items()}


@each_dtype
@pytest.mark.parametrize(
    "methods",
    [
        {
            "evaluate": keeps_in_the_layer,
            "mv": lambda right, self, kept, directions: right(self.kept, directions),
            "tmv": lambda right, self, kept, v, wrt: right(self.kept, v, wrt),
        },
        {"evaluate": reuses_a_buffer},
        {"mv": reuses_a_buffer},
        {"tmv": reuses_a_buffer},
        {"evaluate": counts_calls},
        {"tmv": counts_products},
    ],
    ids=["kept in the layer", "buffer of y", "buffer of mv", "buffer of tmv", "calls of evaluate", "calls of tmv"],
)
def test_hidden_state_is_found(methods, dtype):
    assert "repetition" in spoiled(dtype, **methods)


@each_dtype
def test_forgotten_direction_is_found(dtype):
    def mv(right, self, kept, directions):
        return right(kept, {name: d for name, d in directions.items() if name != "b" or len(directions) == 1})

    assert spoiled(dtype, mv=mv) == {"sum"}


@each_dtype
def test_other_bits_of_a_chosen_variable_are_found(dtype):
    def tmv(right, self, kept, v, wrt):
        products = right(kept, v, wrt)
        if wrt == ("W",):
            modify(products["W"])
        return products

    assert "form" in spoiled(dtype, tmv=tmv)


@each_dtype
def test_wrong_shapes_and_dtypes_are_found(dtype):
    def transposed(right, self, kept, v, wrt):
        return {name: g.T if name == "W" else g for name, g in right(kept, v, wrt).items()}

    with pytest.raises(ValueError, match=r"tmv by 'W' gave shape \(4, 3\); expected \(3, 4\)"):
        spoiled(dtype, tmv=transposed)
    with pytest.raises(ValueError, match=r"Spoiled.evaluate gave shape \(5, 3\); expected \(5, 7\), by output_shape"):
        spoiled(dtype, output_shape=lambda right, self, shape: (7,))
    other = np.float32 if dtype == np.float64 else np.float64
    with pytest.raises(TypeError, match=f"Spoiled.mv gave dtype {other.__name__}; expected {dtype.__name__}"):
        spoiled(dtype, mv=lambda right, self, kept, directions: right(kept, directions).astype(other))
    with pytest.raises(TypeError, match=r"Spoiled.mv gave a list; expected an array"):
        spoiled(dtype, mv=lambda right, self, kept, directions: list(right(kept, directions)))


# --- what the base class gives may be overridden as well -------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize(
    ("method", "change", "expected"),
    [
        ("__call__", lambda right, self, x, **out: right(x, **out) * x.dtype.type(1.5), {"repetition", "buffer"}),
        ("jac_mv", lambda right, self, x, /, **d: -right(x, **d), {"form"}),
        ("jac_tmv", lambda right, self, x, v: right(x, v) | {"b": v[0]}, {"form"}),
        ("value_and_jac_mv", lambda right, self, x, /, **d: right(x, **d)[::-1], {"form"}),
        (
            "with_params",
            lambda right, self, params: self,
            {f"{kind} by {of}" for kind in ("Jacobian", "gradient") for of in "Wb"},
        ),
    ],
)
def test_overridden_method_of_the_layer(method, change, expected, dtype):
    assert spoiled(dtype, **{method: change}) >= expected


class Changed:
    """A Jacobian with one method of its own."""

    def __init__(self, jac, method, change):
        self._jac, self._method, self._change = jac, method, change

    def __getattr__(self, name):
        right = getattr(self._jac, name)
        return functools.partial(self._change, right) if name == self._method else right


def adds_to_out(right, *args, out=None, **kwargs):
    result = right(*args, **kwargs)
    for name, buffer in (out or {}).items() if isinstance(result, dict) else [] if out is None else [(None, out)]:
        buffer += result if name is None else result[name]
    return result


def column_stacked(right, variable):
    """The lecture's Jacobian by W, before its columns are put into C order."""
    return right(variable)[:, np.arange(12).reshape(3, 4).T.ravel()] if variable == "W" else right(variable)


def negated(right, variable):
    operator = right(variable)
    return LinearOperator(operator.shape, matvec=operator.matvec, rmatvec=lambda u: -operator.rmatvec(u), dtype=operator.dtype)


@each_dtype
@pytest.mark.parametrize(
    ("method", "change", "expected"),
    [
        ("matrix", column_stacked, {"explicit Jacobian by W"}),
        ("matrix", lambda right, variable: scale(1.01)(right(variable)), {f"explicit Jacobian by {of}" for of in "xWb"}),
        ("matrix", lambda right, variable: right(variable).T, {f"explicit Jacobian by {of}" for of in "xWb"}),
        ("operator", negated, {"operator"}),
        ("operator", lambda right, variable: right(variable).T, {"shape"}),
        ("mv", adds_to_out, {"buffer"}),
        ("tmv", adds_to_out, {"buffer"}),
    ],
)
def test_wrong_jacobian_object(method, change, expected, dtype):
    def linearize(right, self, x):
        y, jac = right(x)
        return y, Changed(jac, method, change)

    assert spoiled(dtype, linearize=linearize) == expected


# --- nothing passes untested -----------------------------------------------------------------------------------------


def test_variable_without_effect_is_refused():
    layer = Tanh()
    layer.params["W"][...] = 0
    result = check_layer(layer, samples(np.float64), name="layer")
    assert failures(result) >= {f"{kind} by x" for kind in ("Jacobian", "gradient", "transpose", "explicit Jacobian")}
    assert check_layer(Relu(), -1 - np.ones((2, 3)), name="layer").passed is False


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match=r"x has shape \(0, 4\); expected at least one sample"):
        check_layer(Tanh(), np.zeros((0, 4)))


def test_values_that_are_not_finite_are_refused():
    x = samples(np.float64)
    x[0, 0] = np.nan
    assert not check_layer(Tanh(), x).passed


def test_large_explicit_jacobian_is_left_out_and_said_so():
    result = check_layer(Tanh(80, 60), samples(np.float64, 20, 80))
    result.assert_passed()
    assert "the explicit Jacobian by W, (1200, 4800), was not looked at" in result.note
    assert "by W" not in [r.name for r in result.results if r.kind == "explicit Jacobian"]
    assert result.note in str(result)


def test_what_the_layer_raises_comes_through():
    class Broken(Tanh):
        def tmv(self, kept, v, wrt):
            raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError, match="oops"):
        check_layer(Broken(), samples(np.float64))
    with pytest.raises(TypeError, match="x has dtype complex128"):
        check_layer(Tanh(), samples(np.float64) * 1j)


# --- what comes back -------------------------------------------------------------------------------------------------


def test_result_prints_one_line_per_test_and_the_details_of_failures():
    result = check_layer(Tanh(), samples(np.float64), name="mine")
    assert isinstance(result, LayerResult)
    assert (result.kind, result.name, result.dtype, result.reason, result.note) == ("layer", "mine", np.float64, None, None)
    lines = str(result).splitlines()
    assert lines[0] == "layer test of mine [float64]: passed"
    assert len(lines) == 1 + len(result.results)
    assert all(line.startswith("  passed  ") for line in lines[1:])

    class Wrong(Tanh):
        def tmv(self, kept, v, wrt):
            return {name: g * 1.01 if name == "b" else g for name, g in super().tmv(kept, v, wrt).items()}

    text = str(check_layer(Wrong(), samples(np.float64)))
    assert "failed: gradient test of Wrong by b, transpose test of Wrong by b, explicit" in text
    assert text.count("\n  FAILED  ") == 3
    assert "differ by" in text
    assert "epsilon" in text


def test_names_dtypes_and_reproducibility():
    first, again, other = (check_layer(Tanh(), samples(np.float64), rng=seed) for seed in (None, None, 1))
    errors = [next(r for r in result.results if r.kind == "Jacobian").first_errors for result in (first, again, other)]
    np.testing.assert_array_equal(errors[0], errors[1])
    assert errors[0][0] != errors[2][0]
    assert check_layer(Tanh(dtype=np.float32), samples(np.float64)).dtype == np.float32
    assert check_layer(Tanh(), np.arange(8).reshape(2, 4) / 8).passed
    assert check_layer(Relu(), [[1, -2], [3, 4]]).dtype == np.float64


def test_plot():
    from matplotlib import pyplot

    result = check_layer(Tanh(), samples(np.float64))
    ax = result.plot()
    ax.figure.canvas.draw()
    assert ax.get_title().startswith("6 gradient and Jacobian tests")
    assert result.plot(ax) is ax
    pyplot.close(ax.figure)
