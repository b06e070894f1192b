"""What a layer says of itself, and what a network makes of it: kinds, settings and shapes, epilogues, claims of subclasses."""

import inspect
from functools import partial

import nets
import numpy as np
import pytest
from nets import answers, assert_same, data
from numpy.testing import assert_allclose, assert_array_equal

import fastlec
from fastlec import (
    SGD,
    Activation,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Concat,
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
    MeanSquaredError,
    Network,
    ProjectedConvResidual,
    ProjectedResidual,
    Residual,
    Sum,
    Upsample2d,
    training_step,
)
from fastlec._activations import ACTIVATIONS, CODES
from fastlec._kernels.epilogue import KEEP_Z
from fastlec.layers.registry import KINDS
from fastlec.network import Container
from fastlec.testing import check_layer

MADE = {
    "Activation": lambda o: Activation("tanh"),
    "AvgPool1d": lambda o: AvgPool1d(3, 2, 1),
    "AvgPool2d": lambda o: AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    "BatchNorm": lambda o: BatchNorm(3, 0.5, 0.3, training=True, dtype=o["dtype"]),
    "BatchNorm2d": lambda o: BatchNorm2d(2, 0.5, 0.3, training=True, dtype=o["dtype"]),
    "Conv1d": lambda o: Conv1d(2, 4, 3, "relu", False, stride=2, padding=(1, 2), dilation=2, groups=2, algorithm="im2col", **o),
    "Conv2d": lambda o: Conv2d(2, 4, (3, 2), "relu", False, stride=2, padding="same", groups=2, algorithm="direct", **o),
    "ConvResidual": lambda o: ConvResidual(2, 3, (3, 1), "sigmoid", **o),
    "ConvTranspose2d": lambda o: ConvTranspose2d(
        2, 4, (3, 2), "relu", False, stride=2, padding=1, output_padding=(1, 0), dilation=(1, 2), groups=2, **o
    ),
    "Dense": lambda o: Dense(3, 4, "relu", **o),
    "Dropout": lambda o: Dropout(0.3, training=True, rng=0),
    "Flatten": lambda o: Flatten(),
    "GlobalAvgPool2d": lambda o: GlobalAvgPool2d(),
    "LayerNorm": lambda o: LayerNorm(3, 0.5, bias=False, dtype=o["dtype"]),
    "MaxPool1d": lambda o: MaxPool1d(3, 2, 1),
    "MaxPool2d": lambda o: MaxPool2d((2, 3), padding="same", dilation=(1, 2), ceil_mode=True),
    "ProjectedConvResidual": lambda o: ProjectedConvResidual(2, 3, stride=2, **o),
    "ProjectedResidual": lambda o: ProjectedResidual(3, 4, "sigmoid", **o),
    "Residual": lambda o: Residual(3, 5, **o),
    "Upsample2d": lambda o: Upsample2d((2, 3)),
}
OF_SOME = ("derivative", "alpha", "negative_slope", "approximate")  # arguments for some activations alone
each = pytest.mark.parametrize("make", MADE.values(), ids=MADE)


# --- settings, parameters, kinds ---------------------------------------------------------------------------------------


def test_every_kind_is_here():
    assert MADE.keys() | {"Concat", "Network", "Sum"} == {name: kind for name, kind in KINDS.items() if kind._of_fastlec}.keys()


@each
def test_the_constructor_says_everything(make, dtype):
    layer = make({"dtype": dtype, "rng": 0})
    kind, arguments = type(layer), inspect.signature(type(layer)).parameters
    config = layer.config()
    told = [name for name in arguments if name not in OF_SOME]
    assert [*config, *(name for name in ("dtype", "rng") if name in arguments)] == told
    again = kind(**config, **({"dtype": dtype} if "dtype" in arguments else {}))
    assert again.config() == config
    for own, other, shapes in (
        (layer.params, again.params, kind.shapes(**config)),
        (layer.buffers, again.buffers, kind.buffer_shapes(**config)),
    ):
        assert list(own) == list(other) == list(shapes)
        for name, a in own.items():
            assert a.dtype == (dtype if "dtype" in arguments else np.float64)
            assert a.shape == other[name].shape == shapes[name]


def same_made(layer, again):
    """Whether two layers are of one class and settings, with arrays of the same dtypes and shapes."""
    arrays = [[(name, a.dtype, a.shape) for name, a in (one.params | one.buffers).items()] for one in (layer, again)]
    return type(layer) is type(again) and layer.config() == again.config() and arrays[0] == arrays[1]


@each
def test_repr_is_the_call_that_makes_such_a_layer(make, dtype):
    layer = make({"dtype": dtype, "rng": 0})
    assert same_made(layer, eval(repr(layer), {name: getattr(fastlec, name) for name in KINDS}))


@pytest.mark.parametrize("kind", [Network, Concat, Sum])
def test_repr_of_layers_made_of_layers(kind, dtype):
    leaky, o = Activation("leaky_relu", negative_slope=0.2), {"dtype": dtype}
    inner = Network([Dense(3, 3, leaky, **o), BatchNorm(3, affine=False, **o), LayerNorm(3, **o), Residual(3, **o)])
    net = kind([inner, Sum([Activation("identity"), Dense(3, 3, **o)])])
    assert same_made(net, eval(repr(net), {name: getattr(fastlec, name) for name in KINDS}))
    assert ("float32" in repr(net)) == (dtype == np.float32)


def test_repr_says_what_is_not_as_by_default():
    assert repr(Conv2d(1, 2, 3)) == "Conv2d(c_in=1, c_out=2, kernel_size=3, activation='identity')"
    assert repr(AvgPool2d((2, 3), 1, (0, 1))) == "AvgPool2d(kernel_size=(2, 3), stride=1, padding=(0, 1))"
    for padding in ("(1, 2)", "((0, 1), (0, 1))", "'same'"):  # (vertical, horizontal), or what is above, below, left and right
        expected = f"Conv2d(c_in=1, c_out=2, kernel_size=(3, 5), activation='identity', padding={padding})"
        assert repr(Conv2d(1, 2, (3, 5), padding=eval(padding))) == expected
    assert repr(Activation(np.sin, np.cos)) == "Activation(<ufunc 'sin'>, <ufunc 'cos'>)"
    assert repr(Dense(3, 2).linearize(np.ones((4, 3)))[1]) == "<Jacobian of Dense: y (4, 2) by x (4, 3), W (2, 3), b (2,)>"


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


def test_what_a_layer_shows():
    """The forward map, derivatives, what it is made of, and what layers of a user's own define: nothing else."""
    own = {"output_shape", "evaluate", "mv", "tmv", "for_training", "update_buffers", "check_batch", "couples_samples"}
    own |= {"input_shape", "affine_in_theta", "linear_in_x", "changes_untrained"}
    products = {"linearize", "jac_mv", "jac_tmv", "value_and_jac_mv", "variables"}
    made_of = {"dtype", "n_params", "with_params"}
    assert public(Layer) == own | products | made_of
    settings = {"config", "shapes", "buffer_shapes", "with_settings"}
    assert public(Dense) == public(Layer) | settings | {"bias"}
    files = {"save", "load", "load_state_dict"}
    more = {"theta", "with_theta", "astype", "summary", "activations", "predict", "predict_proba", "hessian_mv"}
    assert public(Network) == public(Layer) | settings | files | more


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind._of_fastlec])
def test_every_method_tells_what_it_does(kind):
    said = {name for name in public(kind) if callable(getattr(kind, name)) or isinstance(getattr(kind, name), property)}
    assert {"linearize", "output_shape"} <= said
    assert all(getattr(kind, name).__doc__ for name in said)


def test_shapes_of_layers_that_no_memory_holds():
    n = 10**9
    assert Dense.shapes(n_in=n, n_out=n) == {"W": (n, n), "b": (n,)}
    assert Conv2d.shapes(c_in=n, c_out=n, kernel_size=3, bias=False) == {"W": (n, n, 3, 3)}
    assert BatchNorm2d.buffer_shapes(c=n) == {"running_mean": (n,), "running_var": (n,)}
    for kind, arguments in ((Dense, {"n_in": n, "n_out": n}), (Residual, {"n": n}), (BatchNorm2d, {"c": 10**15})):
        with pytest.raises(MemoryError, match=r"weights of shape \(1"):
            kind(**arguments)


def test_shapes_of_arguments_that_there_are_not():
    for arguments in ({"n_in": 3, "n_out": 2, "rng": 0}, {"n_in": 3, "n_out": 2, "dtype": "float32"}):
        with pytest.raises(TypeError, match=r"Dense has no arguments \['\w+'\]; expected n_in, n_out, activation, bias"):
            Dense.shapes(**arguments)
    with pytest.raises(ValueError, match="n_in is 0; expected at least 1"):
        Dense.shapes(n_in=0, n_out=2)


def test_a_users_class_is_no_kind():
    kinds = dict(KINDS)

    class Dense2(Dense):
        pass

    class Named(Dense):
        pass

    Named.__name__ = "Dense"
    for kind in (Dense2, Named):
        with pytest.raises(TypeError, match="only layers of fastlec's own can be saved"):
            kind(3, 2)._described()
    assert kinds == KINDS


def test_parameters_begin_as_they_are_declared():
    for activation, gain in (("tanh", 1), ("relu", np.sqrt(2)), ("identity", 1)):
        assert_allclose(Dense(400, 300, activation, rng=0).params["W"].std(), gain / 20, rtol=0.02)
        assert_allclose(Conv2d(40, 60, 3, activation, rng=0).params["W"].std(), gain / np.sqrt(360), rtol=0.03)
    layer = Residual(400, rng=0)
    assert_allclose(layer.params["W2"].std() / layer.params["W1"].std(), 0.1, rtol=0.02)
    assert not layer.params["b"].any()
    norm = BatchNorm2d(3)
    assert_array_equal([norm.params["gamma"], norm.buffers["running_var"]], np.ones((2, 3)))
    assert_array_equal([norm.params["beta"], norm.buffers["running_mean"]], np.zeros((2, 3)))


# --- activations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CODES)
def test_derivatives_from_what_is_kept(name, dtype):
    z = np.linspace(-3, 3, 101).astype(dtype)
    y, expected = fastlec.value_and_derivative(z, name)
    kept = z if CODES[name] in KEEP_Z else y
    assert_allclose(ACTIVATIONS[name].slope(kept), expected, rtol=0, atol=4 * np.finfo(dtype).eps)
    assert ACTIVATIONS[name].slope(kept).dtype == dtype


def test_the_identity_is_no_function_of_its_own():
    assert ACTIVATIONS.keys() - CODES.keys() == {"identity"}
    assert_array_equal(ACTIVATIONS["identity"].slope(np.array([2.0, np.nan])), [1, 1])


WITH_PARAMETERS = {  # (how it is said, the function)
    "elu": (partial(Activation, "elu"), "alpha", fastlec.elu, (0, 0.3, 2)),
    "leaky_relu": (partial(Activation, "leaky_relu"), "negative_slope", fastlec.leaky_relu, (0, 0.3, 2)),
    "gelu": (partial(Activation, "gelu"), "approximate", fastlec.gelu, ("none", "tanh")),
}
with_parameters = pytest.mark.parametrize(
    ("make", "name", "function", "value"),
    [(*given, value) for *given, values in WITH_PARAMETERS.values() for value in values],
)
LAYERS = {
    "Activation": (lambda activation, o: activation, (7, 3)),
    "Dense": (lambda activation, o: Dense(3, 5, activation, **o), (7, 3)),
    "Residual": (lambda activation, o: Residual(3, 5, activation, **o), (7, 3)),
    "ProjectedResidual": (lambda activation, o: ProjectedResidual(3, 5, activation, **o), (7, 3)),
    "Conv2d": (lambda activation, o: Conv2d(2, 3, 3, activation, **o), (3, 2, 5, 4)),
    "ConvResidual": (lambda activation, o: ConvResidual(2, 3, activation=activation, **o), (3, 2, 5, 4)),
    "ProjectedConvResidual": (lambda activation, o: ProjectedConvResidual(2, 3, activation=activation, **o), (3, 2, 5, 4)),
}


@with_parameters
@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_derivatives_by_the_parameter(layer, shape, make, name, function, value, rng):
    x = rng.standard_normal(shape)
    check_layer(layer(make(**{name: value}), {"dtype": np.float64, "rng": 0}), x, rng=0).assert_passed()


@with_parameters
def test_layers_compute_the_function_of_the_parameter(make, name, function, value, isa, dtype, rng, tmp_path):
    x = rng.standard_normal((7, 3)).astype(dtype)
    activation = make(**{name: value})
    assert_array_equal(activation(x), function(x, **{name: value}), strict=True)
    layer = Dense(3, 5, activation, dtype=dtype, rng=0)
    z = layer.with_settings(activation="identity")(x)
    assert_array_equal(layer(x), function(z, **{name: value}), strict=True)
    net = Network([layer, activation, Residual(5, activation=activation, dtype=dtype, rng=0)])
    net.save(tmp_path / "net.npz")
    again = Network.load(tmp_path / "net.npz")
    assert repr(again) == repr(net)
    assert_array_equal(again(x), net(x), strict=True)


def _with_parameters(o):
    """Derivatives with a parameter follow every kind of kernel."""
    elu, leaky = Activation("elu", alpha=0.7), Activation("leaky_relu", negative_slope=0.3)
    return [
        Conv2d(2, 4, 3, elu, padding=1, **o),
        MaxPool2d(2),
        leaky,
        BatchNorm2d(4, training=True, dtype=o["dtype"]),
        ConvResidual(4, activation=leaky, **o),
        Conv2d(4, 3, 1, leaky, **o),
        Flatten(),
        Dense(24, 3, elu, **o),
        LayerNorm(3, dtype=o["dtype"]),
        elu,
        Residual(3, activation=leaky, **o),
    ]


def test_a_parameter_of_the_usual_value_is_none():
    for activation in ("elu", "leaky_relu", "tanh"):
        assert Dense(3, 2, Activation(activation)).activation == activation
    assert Dense(3, 2, Activation("elu", alpha=1)).activation == "elu"
    assert Dense(3, 2, Activation("gelu", approximate="tanh")).activation == "gelu_tanh"
    leaky = Activation("leaky_relu", negative_slope=0.5)
    assert (leaky.negative_slope, leaky.alpha, Activation("elu").alpha) == (0.5, None, 1)
    assert leaky.with_settings(negative_slope=0.25).config() == {"activation": "leaky_relu", "negative_slope": 0.25}


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: Activation("tanh", alpha=2),
            ValueError,
            "^alpha is 2 and activation is 'tanh'; expected alpha with 'elu' alone",
        ),
        (lambda: Activation("elu", alpha=-1), ValueError, "^alpha is -1.0; expected a finite number >= 0"),
        (lambda: Activation("elu", alpha="a"), TypeError, "^alpha is 'a'; expected a number"),
        (
            lambda: Activation("leaky_relu", negative_slope=np.nan),
            ValueError,
            "^negative_slope is nan; expected a finite number",
        ),
        (lambda: Activation("elu", negative_slope=1), ValueError, "^negative_slope is 1 and activation is 'elu'; expected"),
        (lambda: Activation("gelu", approximate="erf"), ValueError, "^approximate is 'erf'; expected one of none, tanh"),
        (
            lambda: Activation("silu", approximate="tanh"),
            ValueError,
            "^approximate is 'tanh' and activation is 'silu'; expected",
        ),
        (lambda: Dense(2, 3, Flatten()), ValueError, r"^activation is Flatten\(\); expected one of tanh"),
        (lambda: Dense(2, 3, Activation), ValueError, "^activation is <class .*Activation'>; expected one of tanh"),
    ],
)
def test_parameters_that_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


# --- epilogues ---------------------------------------------------------------------------------------------------------


def without_epilogue(layer):
    """The same layer, of a class that knows no epilogue: a network multiplies by a job instead."""
    if isinstance(layer, Container):  # activations that are branches stay: the order of a sum follows from which they are
        stays = () if isinstance(layer, Network) else Activation
        return type(layer)([inner if isinstance(inner, stays) else without_epilogue(inner) for inner in layer.layers])
    kind = type(layer)

    class Plain(kind):
        def _plan_tmv(self, plan, kept, v, out):
            kind._plan_tmv(self, plan, kept, v, out)

    other = object.__new__(Plain)
    vars(other).update(vars(layer))
    assert not other._takes_epilogue
    return other


def _decoder(o):
    return [
        Conv2d(2, 4, 3, "relu", padding=1, **o),
        Upsample2d((1, 2)),
        Activation("tanh"),
        AvgPool2d(1, stride=(1, 2)),
        ConvTranspose2d(4, 3, 2, "gelu", stride=2, **o),
        ConvTranspose2d(3, 4, 3, "sigmoid", padding=1, **o),
        GlobalAvgPool2d(),
        Activation("tanh"),
        Dense(4, 3, **o),
    ]


def _signals(o):
    return [
        Conv1d(2, 4, 3, "gelu", padding=1, **o),
        MaxPool1d(2),
        Activation("relu"),
        AvgPool1d(2),
        Conv1d(4, 4, 3, "tanh", stride=2, **o),
        Flatten(),
        Dense(12, 3, **o),
    ]


def _images(o):
    return [
        Conv2d(2, 4, 3, "tanh", padding=1, **o),
        MaxPool2d(2),
        BatchNorm2d(4, training=True, dtype=o["dtype"]),
        Activation("relu"),
        ConvResidual(4, activation="sigmoid", **o),
        Conv2d(4, 4, 1, "sigmoid", **o),
        AvgPool2d(2),
        ProjectedConvResidual(4, 3, **o),
        Activation("tanh"),
        Flatten(),
        Dense(6, 3, **o),
        Flatten(),
    ]


SAMPLES = {  # whose shape the first layer does not tell
    _images: (2, 4, 8),
    _decoder: (2, 4, 8),
    _signals: (2, 32),
    _with_parameters: (2, 4, 8),
}


@pytest.mark.parametrize(
    "layers", [*nets.PLANNED.values(), *SAMPLES], ids=[*nets.PLANNED, "images", "decoder", "signals", "parameters"]
)
def test_layers_without_an_epilogue_are_slower_and_never_wrong(layers, isa, dtype, rng):
    net = nets.network(layers, dtype, rng)
    plain = Network([without_epilogue(layer) for layer in net.layers])
    assert plain._planned
    given = data(net, rng)
    if layers in SAMPLES:
        given = (rng.standard_normal((9, *SAMPLES[layers])).astype(dtype), *given[1:])
        given[2]["x"] = rng.standard_normal(given[0].shape).astype(dtype)
    assert_same(answers(plain, *given), answers(net, *given))
    x, y = given[0], rng.standard_normal((9, 3)).astype(dtype)
    steps = [training_step(one, MeanSquaredError(), SGD(0.05, momentum=0.9), 9) for one in (net, plain)]
    for _ in range(3):
        assert steps[0](x, y) == steps[1](x, y)
    assert_array_equal(plain.theta, net.theta)


def test_an_activation_takes_no_job_on_the_way_back(rng):
    """Where the layer above has multiplied by its derivative, and nothing is to be multiplied below."""
    x, v = rng.standard_normal((4, 5)), rng.standard_normal((4, 3))
    lengths = []
    for middle in ([Activation("relu")], []):
        net = Network([Dense(5, 6, "identity", rng=0), *middle, Dense(6, 3, "identity", rng=1)])
        plan = fastlec._kernels.plan.Plan(x.dtype.num)
        kept = net._plan_forward(plan, x, plan.empty(4, 3))
        before = len(plan)
        net._plan_tmv(plan, kept, v, {"x": plan.empty(*x.shape), "0.W": plan.empty(6, 5)})
        lengths.append(len(plan) - before)
    assert lengths[0] == lengths[1]


# --- what is said of a layer's methods holds for its class alone ---------------------------------------------------------


class Squared(Dense):
    """With another forward map."""

    def evaluate(self, x):
        y, kept = super().evaluate(x)
        return y * y, kept


class Shifted(Flatten):
    """With other jobs: y = 2 x."""

    def _plan_forward(self, plan, x, y):
        super()._plan_forward(plan, x, y)
        super()._plan_forward(plan, y, y)
        return y


class Labelled(Dense):
    """With an attribute only."""

    label = "first"


def test_claims_of_subclasses():
    assert Dense(3, 2, "identity").affine_in_theta
    assert Labelled(3, 2, "identity").affine_in_theta
    assert not Squared(3, 2, "identity").affine_in_theta
    assert Network([Labelled(3, 2, "identity")]).affine_in_theta
    assert not Network([Squared(3, 2, "identity")]).affine_in_theta
    assert Labelled._takes_epilogue
    assert not Squared._takes_epilogue
    assert not any((Shifted._reshapes, Shifted.linear_in_x))

    class Again(Squared):
        affine_in_theta = True

    class AndAgain(Again):
        pass

    assert AndAgain(3, 2).affine_in_theta


class Doubled(nets.Same):
    """y = 2 x, which says that it is linear."""

    linear_in_x = True

    def evaluate(self, x):
        return 2 * x, None

    def mv(self, kept, directions):
        return 2 * directions["x"]

    def tmv(self, kept, v, wrt):
        return dict.fromkeys(wrt, 2 * v)


def test_a_users_layer_says_that_it_is_linear(rng):
    net = Network([Dense(4, 3, "identity", rng=0), Doubled()])
    assert net.affine_in_theta
    f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), rng.standard_normal((6, 4)), rng.integers(0, 3, 6))
    theta, v = rng.standard_normal((2, net.n_params))
    assert_array_equal(f.hessian_mv(theta, v), f.gauss_newton_mv(theta, v))


class Head(Layer):
    """A user's layer that says which samples it takes."""

    input_shape = (4,)

    def output_shape(self, shape):
        if tuple(shape) != self.input_shape:
            raise ValueError(f"x has samples of shape {tuple(shape)}; expected (4,)")
        return (2,)

    def evaluate(self, x):
        return x[:, :2].copy(), x.shape

    def mv(self, shape, directions):
        return directions["x"][:, :2].copy()

    def tmv(self, shape, v, wrt):
        return {"x": np.pad(v, ((0, 0), (0, 2)))} if "x" in wrt else {}


def test_layers_that_do_not_fit_a_layer_that_says_its_input():
    assert Network([Head(), Dense(2, 3)]).input_shape == (4,)
    assert Network([Head(), Dense(2, 3)]).summary().count("(m, ") == 2
    for layers, text in (
        ([Head(), Dense(3, 2)], r"layers\[1\]: x has samples of shape \(2,\); expected \(3,\)"),
        ([Network([Head()]), Dense(3, 2)], r"layers\[1\]: x has samples of shape \(2,\)"),
        ([Dense(5, 3), Head()], r"layers\[1\]: x has samples of shape \(3,\); expected \(4,\)"),
    ):
        with pytest.raises(ValueError, match=text):
            Network(layers)
