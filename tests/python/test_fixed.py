"""What layers and networks are made of stays as it is: an assignment takes effect everywhere or is refused."""

import abc
import copy
import inspect
import pickle

import nets
import numpy as np
import pytest
from numpy.testing import assert_array_equal

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
from fastlec.network import Container

SIGNALS = np.linspace(-2, 2, 5 * 2 * 12).reshape(5, 2, 12)
FEATURES, IMAGES = np.linspace(-2, 2, 20).reshape(5, 4), np.linspace(-2, 2, 5 * 2 * 6 * 6).reshape(5, 2, 6, 6)
LAYERS = {  # (a layer, samples)
    "Dense": (Dense(4, 3, rng=0), FEATURES),
    "Residual": (Residual(4, rng=0), FEATURES),
    "ProjectedResidual": (ProjectedResidual(4, 3, rng=0), FEATURES),
    "Activation": (Activation("tanh"), FEATURES),
    "Conv2d": (Conv2d(2, 3, 3, rng=0), IMAGES),
    "ConvResidual": (ConvResidual(2, rng=0), IMAGES),
    "ProjectedConvResidual": (ProjectedConvResidual(2, 3, rng=0), IMAGES),
    "BatchNorm2d": (BatchNorm2d(2), IMAGES),
    "BatchNorm": (BatchNorm(4), FEATURES),
    "LayerNorm": (LayerNorm(4), FEATURES),
    "Dropout": (Dropout(0.5, rng=0), FEATURES),
    "AvgPool2d": (AvgPool2d(2), IMAGES),
    "MaxPool2d": (MaxPool2d(2), IMAGES),
    "GlobalAvgPool2d": (GlobalAvgPool2d(), IMAGES),
    "Upsample2d": (Upsample2d(2), IMAGES),
    "ConvTranspose2d": (ConvTranspose2d(2, 3, 3, stride=2, rng=0), IMAGES),
    "Conv1d": (Conv1d(2, 3, 3, rng=0), SIGNALS),
    "AvgPool1d": (AvgPool1d(2), SIGNALS),
    "MaxPool1d": (MaxPool1d(2), SIGNALS),
    "Flatten": (Flatten(), IMAGES),
    "Network": (Network([Dense(4, 3, rng=0), Activation("relu")]), FEATURES),
    "Sum": (Sum([Dense(4, 4, rng=0), Activation("identity")]), FEATURES),
    "Concat": (Concat([Dense(4, 3, rng=0), Activation("relu")]), FEATURES),
}
each = pytest.mark.parametrize(("layer", "x"), LAYERS.values(), ids=LAYERS)


def names_of(made):
    """All that somebody may want to assign: attributes, arguments, parameters, and what other libraries have."""
    names = {name for name in dir(made) if not name.startswith("_")} | set(inspect.signature(type(made)).parameters)
    return sorted(names | {"W", "b", "weight", "trainable", "requires_grad", "training"})


@each
def test_nothing_of_a_layer_can_be_assigned_or_deleted(layer, x):
    settable = {"theta"} if isinstance(layer, Container) else set()
    assert settable | {"params", "dtype"} <= set(names_of(layer))
    net, before = Network([layer]), repr(layer)
    y = net(x)
    for made in (layer, net.layers[0], net):
        for name in set(names_of(made)) - {"theta"}:
            kind = type(made).__name__
            with pytest.raises(AttributeError, match=rf"^{kind}\.{name} cannot be assigned: \w+ "):
                setattr(made, name, 2)
            with pytest.raises(AttributeError, match=rf"^{kind}\.{name} cannot be deleted: \w+ "):
                delattr(made, name)
    assert repr(layer) == before
    assert_array_equal(net(x), y)
    assert_array_equal(layer(x), y)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_nor_of_its_copies(how):
    layer, net = LAYERS["Dense"][0], LAYERS["Network"][0]
    for made in (how(layer), layer.with_params(layer.params), how(net), net.with_theta(net.theta), net.with_params(net.params)):
        for name in ("activation", "params", "n_in", "layers", "_theta"):
            with pytest.raises(AttributeError, match=f"{name} cannot be assigned"):
                setattr(made, name, "relu")


def test_the_error_says_what_to_do():
    net = Network([Dense(4, 3)])
    for made, name, advice in (
        (net.layers[0], "activation", r"layer\.with_settings\(activation=\.\.\.\)"),
        (net.layers[0], "W", r"params\['W'\]\[\.\.\.\] = values"),
        (net.layers[0], "params", r"params\['name'\]\[\.\.\.\] = values"),
        (BatchNorm2d(3), "running_mean", r"buffers\['running_mean'\]\[\.\.\.\] = values"),
        (net, "layers", r"Network\(\[\*net\.layers\[:-1\], Dense\(\.\.\.\)\]\)"),
    ):
        with pytest.raises(AttributeError, match=advice):
            setattr(made, name, None)


def test_layers_of_a_network_are_not_exchanged():
    net, head = Network([Dense(4, 8), Dense(8, 3)]), Dense(8, 3)
    for change in (
        lambda: net.layers.__setitem__(-1, head),
        lambda: net.layers.__delitem__(0),
        lambda: net.layers.append(head),
        lambda: net.layers.pop(),
        lambda: net.layers.extend([head]),
        lambda: net.layers.insert(0, head),
    ):
        with pytest.raises(TypeError, match=r"make a new one, which copies their parameters: Network\(\[\*net\.layers\[:-1\]"):
            change()
    with pytest.raises(AttributeError, match=r"Network\.layers cannot be assigned"):
        net.layers += (head,)
    assert len(net.layers) == 2
    more = [Activation("tanh")]
    for parts in (net.layers[:-1] + more, net.layers[:-1] + tuple(more), more + net.layers[:-1]):
        assert len(Network(parts).layers) == 2
        assert Network(parts).n_params == net.layers[0].n_params


def test_parameters_are_changed_by_what_writes_into_them():
    net = Network([Dense(4, 3, rng=0), BatchNormed(3)])
    before = net.theta.copy()
    net.params["0.W"] *= 2
    net.layers[0].params["b"] += 1
    net.buffers["1.count"] += 3
    assert_array_equal(net.theta[:12], 2 * before[:12])
    assert (net.theta[12:15] == 1).all()
    assert net.layers[1].buffers["count"] == 3
    for change in (lambda: net.params.__setitem__("0.W", net.params["0.W"].copy()), lambda: net.params.__setitem__("new", 1)):
        with pytest.raises(TypeError, match="params and buffers cannot be exchanged"):
            change()


class BatchNormed(nets.Same):
    """A layer of a user's own with a buffer."""

    def __init__(self, n):
        Layer.__init__(self, {"s": np.ones(n)}, {"count": np.zeros(1)})


# --- other settings --------------------------------------------------------------------------------------------------

OTHERS = {
    "Dense": {"activation": "relu"},
    "Residual": {"activation": "sigmoid"},
    "ProjectedResidual": {"activation": "relu"},
    "Activation": {"activation": "relu"},
    "Conv2d": {"stride": 2, "padding": 1, "activation": "tanh", "algorithm": "direct"},
    "ConvResidual": {"activation": "relu", "algorithm": "im2col"},
    "ProjectedConvResidual": {"stride": 2, "algorithm": "direct"},
    "BatchNorm2d": {"training": True, "eps": 0.5, "momentum": 0.3},
    "BatchNorm": {"training": True, "eps": 0.5, "momentum": 0.3},
    "LayerNorm": {"eps": 0.5},
    "Dropout": {"p": 0.25, "training": True},
    "AvgPool2d": {"stride": 1, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    "MaxPool2d": {"kernel_size": (3, 2), "padding": "same", "dilation": (1, 2), "ceil_mode": True},
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_setting_makes_another_layer(name):
    layer, x = LAYERS[name]
    other = layer.with_settings(**OTHERS[name])
    assert type(other) is type(layer)
    assert other.config() == layer.config() | {key: other.config()[key] for key in OTHERS[name]}
    assert other.config() == type(layer)(**layer.config() | OTHERS[name]).config()
    for mine, same in ((layer.params, other.params), (layer.buffers, other.buffers)):
        assert list(mine) == list(same)
        assert all(same[key] is a for key, a in mine.items())
    if "algorithm" not in OTHERS[name] or len(OTHERS[name]) > 1:
        assert not np.array_equal(layer(x), other(x))
    assert_array_equal(Network([other])(x), other(x))


def test_settings_that_the_parameters_do_not_fit():
    with pytest.raises(ValueError, match=r"params\['W'\] has shape \(3, 4\); expected \(5, 4\)"):
        Dense(4, 3).with_settings(n_out=5)
    with pytest.raises(ValueError, match=r"params has the names \['W', 'b'\]; expected \['W'\]"):
        Dense(4, 3).with_settings(bias=False)
    with pytest.raises(ValueError, match="activation is 'exp'; expected one of"):
        Dense(4, 3).with_settings(activation="exp")
    with pytest.raises(TypeError, match="a Network has no settings"):
        Network([Dense(4, 3)]).with_settings(layers=[])
    assert Dense(4, 3, dtype=np.float32).with_settings(activation="relu").dtype == np.float32


# --- classes of a user's own -----------------------------------------------------------------------------------------


class Times(nets.Same):
    """y = factor x, where factor is an attribute."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def evaluate(self, x):
        return self.factor * x, self.factor

    def mv(self, factor, directions):
        return factor * directions["x"]

    def tmv(self, factor, v, wrt):
        return {name: factor * v for name in wrt}


def test_attributes_of_ones_own_take_effect():
    """In later calls, derivatives and training, whatever was called before."""
    net = Network([BatchNorm2d(1), Times(2.0), Network([Times(3.0)])])
    x, v = np.arange(8.0).reshape(2, 1, 2, 2), np.ones((2, 1, 2, 2))
    step = training_step(net, MeanSquaredError(), SGD(0.1), 2)
    for factor in (2.0, 5.0, -1.0):
        net.layers[1].factor = net.layers[2].layers[0].factor = factor
        net.layers[1].note = "mine"
        np.testing.assert_allclose(net(x), factor**2 * BatchNorm2d(1)(x))
        np.testing.assert_allclose(net.jac_tmv(x, v, "x")["x"], factor**2 * BatchNorm2d(1).jac_tmv(x, v)["x"])
        net.theta = [1, 0]
        for a, value in zip(net.buffers.values(), (0, 1), strict=True):
            a[...] = value
        normal = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        np.testing.assert_allclose(step(x, 0 * x), factor**4 * (normal**2).mean())
        net.theta = [1, 0]
        net.buffers["0.running_mean"][...], net.buffers["0.running_var"][...] = 0, 1
    with pytest.raises(AttributeError, match=r"Times\.params cannot be assigned"):
        net.layers[1].params = {}
    for name in ("dtype", "buffers", "couples_samples", "evaluate", "n_params"):
        with pytest.raises(AttributeError, match=rf"Times\.{name} cannot be assigned"):
            setattr(net.layers[1], name, None)
    del net.layers[1].note
    assert not hasattr(net.layers[1], "note")


class Clipped(Dense):
    """A layer of fastlec's with another forward map."""

    most = 0.5

    def evaluate(self, x):
        y, kept = super().evaluate(x)
        return np.minimum(y, self.most), kept


class Doubled(Network):
    """A network with another derivative, wrong to be seen."""

    def tmv(self, kept, v, wrt):
        return {name: 2 * a for name, a in super().tmv(kept, v, wrt).items()}


def test_methods_of_a_subclass_are_used_within_a_network():
    layer = Clipped(4, 3, rng=0)
    for net in (Network([layer]), Network([Activation("identity"), Network([layer])])):
        assert not net._planned
        assert_array_equal(net(FEATURES), np.minimum(Dense(4, 3, rng=0)(FEATURES), 0.5))
        assert_array_equal(net.linearize(FEATURES)[0], net(FEATURES))
        assert net(FEATURES).max() == 0.5
        bound = net.layers[0] if isinstance(net.layers[0], Clipped) else net.layers[1].layers[0]
        bound.most = 0.25
        assert net(FEATURES).max() == 0.25
        loss = training_step(net, MeanSquaredError(), SGD(0.1), 5)(FEATURES, np.zeros((5, 3)))
        assert loss <= 1
    for name, value in (("activation", "relu"), ("n_in", 3), ("W", 1)):
        with pytest.raises(AttributeError, match=rf"Clipped\.{name} cannot be assigned"):
            setattr(layer, name, value)
    assert_array_equal(layer(FEATURES), np.minimum(Dense(4, 3, rng=0)(FEATURES), 0.5))
    right, v = Dense(4, 3, rng=0).jac_tmv(FEATURES, np.ones((5, 3)), "x")["x"], np.ones((5, 3))
    for inner in (Doubled([Dense(4, 3, rng=0)]), Doubled([nets.Same(), Dense(4, 3, rng=0)])):
        assert_array_equal(inner.jac_tmv(FEATURES, v, "x")["x"], 2 * right)
        assert_array_equal(Network([inner]).jac_tmv(FEATURES, v, "x")["x"], 2 * right)


class Named(Dense):
    """With an attribute of its own that no plan depends on."""

    def __init__(self, name):
        super().__init__(4, 3, rng=0)
        self.name = name


def test_a_name_on_a_layer():
    net = Network([Named("first")])
    assert net._planned
    net.layers[0].name = "second"
    for same in (copy.deepcopy(net), net.with_theta(net.theta), Network(net.layers)):
        assert type(same.layers[0]) is Named
        assert same.layers[0].name == "second"
    with pytest.raises(AttributeError, match=r"Named\.n_in cannot be assigned"):
        net.layers[0].n_in = 5


class Reordered(Dense):
    """A planned layer of a user's own: its plans are kept."""

    def __init__(self):
        super().__init__(4, 3, rng=0)
        self.own = 1

    def _plan_forward(self, plan, x, y):
        return super()._plan_forward(plan, x, y)


def test_a_planned_layer_of_ones_own_is_fixed_as_a_whole():
    layer = Reordered()
    assert Network([layer])._planned
    with pytest.raises(AttributeError, match=r"Reordered\.own cannot be assigned"):
        layer.own = 2


def test_constructors_keep_their_signatures():
    arguments = [one.replace(annotation=one.empty) for one in inspect.signature(Activation).parameters.values()]
    expected = "(activation, derivative=None, *, alpha=None, negative_slope=None, approximate=None)"
    assert str(inspect.Signature(arguments)) == expected
    assert list(inspect.signature(Dense).parameters) == ["n_in", "n_out", "activation", "bias", "dtype", "rng"]
    assert list(inspect.signature(Times).parameters) == ["factor"]


def test_abstract_classes_of_a_users_own():
    class Base(Layer, abc.ABC):
        @abc.abstractmethod
        def factor(self): ...

    class Full(Base, nets.Same):
        def factor(self):
            return 1

    assert Network([Full()])(FEATURES).shape == FEATURES.shape
    with pytest.raises(TypeError, match="abstract"):
        Base()


# --- what else there is ------------------------------------------------------------------------------------------------


def test_jacobians():
    _, jac = LAYERS["Dense"][0].linearize(FEATURES)
    for name in ("layer", "x", "y", "kept"):
        with pytest.raises(AttributeError, match=rf"^Jacobian\.{name} cannot be assigned: linearize at another point"):
            setattr(jac, name, None)
    jac.note = "mine"
    assert_array_equal(jac.x, FEATURES)


def test_a_class_is_not_a_layer():
    with pytest.raises(TypeError, match=r"layers\[0\] is a type; expected a Layer"):
        Network([fastlec.Dense])
