"""Models of PyTorch as networks and back: the same function, in evaluation and in training, and what is refused."""

import copy
import doctest

import numpy as np
import pytest

import fastlec
from fastlec import Activation, BatchNorm, BatchNorm2d, Dense, Network

torch = pytest.importorskip("torch", reason="PyTorch, the extra `torch`, is not installed")
from test_torch import LAYERS, Shifted, every_layer  # noqa: E402
from torch import nn  # noqa: E402

from fastlec.torch import Concat, Module, Sum, from_torch, to_torch  # noqa: E402


def lenet():
    """LeCun, Bottou, Bengio and Haffner 1998."""
    first = [nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)]
    last = [nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)]
    return nn.Sequential(*first, nn.Flatten(), *last), (4, 1, 28, 28)


def vgg():
    """As in Simonyan and Zisserman 2015, with batch normalisation."""

    def block(a, b):
        return [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]

    features = nn.Sequential(*block(3, 8), *block(8, 8), nn.MaxPool2d(2, 2), *block(8, 16), *block(16, 16), nn.MaxPool2d(2, 2))
    classifier = nn.Sequential(nn.Linear(16 * 16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.0), nn.Linear(32, 10))
    return nn.Sequential(features, nn.Flatten(), classifier), (4, 3, 16, 16)


class Block(nn.Module):
    """The basic block of He, Zhang, Ren and Sun 2016."""

    def __init__(self, a, b, stride=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
        self.relu, self.shortcut = nn.ReLU(), nn.Identity()
        if stride > 1 or a != b:
            self.shortcut = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    def to_fastlec(self):
        return [Sum(nn.Sequential(self.conv1, self.bn1, self.relu, self.conv2, self.bn2), self.shortcut), self.relu]


def resnet():
    first = [nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    blocks = [Block(8, 8), Block(8, 16, 2), Block(16, 16)]
    return nn.Sequential(*first, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)), (4, 3, 33, 29)


MODELS = pytest.mark.parametrize("model", [lenet, vgg, resnet])


@pytest.fixture
def made(model, dtype, rng):
    """(a model whose statistics have moved, a batch)."""
    torch.manual_seed(0)
    module, shape = model()
    module.to(getattr(torch, dtype.name))
    x = torch.from_numpy(rng.standard_normal(shape).astype(dtype))
    for scale in (1, 2):
        module(scale * x + 1)
    return module, x


def close(found, expected, dtype):
    """To rounding: sums of up to 400 terms, one layer after the other."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype == dtype
    bound = 400 * np.finfo(dtype).eps * max(np.abs(expected).max(), 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


@MODELS
def test_networks_of_models(made, dtype):
    """Values, gradients and statistics, in evaluation and in training; and what is made of the network for PyTorch."""
    module, x = made
    net = from_torch(module)
    assert net.theta.dtype == dtype
    assert net.n_params == sum(p.numel() for p in module.parameters())
    for other in (Module(net), to_torch(net)):
        theirs = copy.deepcopy(module)
        for training in (False, True):
            theirs.train(training), other.train(training)
            y, expected = other(x), theirs(x)
            close(y.detach(), expected.detach(), dtype)
            gradients = torch.autograd.grad(expected.square().sum(), list(theirs.parameters()))
            found = torch.autograd.grad(y.square().sum(), list(other.parameters()))
            for a, b in zip(found, gradients, strict=True):
                close(a, b, dtype)
        here = [t for name, t in other.state_dict().items() if "running" in name]
        there = [t for name, t in theirs.state_dict().items() if "running" in name]
        assert len(here) == len(there)
        for a, b in zip(here, there, strict=True):
            close(a, b, dtype)


@MODELS
def test_weights_from_state_dicts_and_files(made, dtype, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    module, _ = made
    expected, path = from_torch(module), tmp_path / "model.safetensors"
    safetensors.save_file(module.state_dict(), path)
    names = None if isinstance(module[0], nn.Conv2d) and len(module) > 10 else list(module.state_dict())
    attached = dict(module.named_parameters()) | dict(module.named_buffers())
    for state, given in ((module.state_dict(), None), (path, names), (attached, list(module.state_dict()))):
        net = Network(expected.layers, rng=1)
        for a in (*net.params.values(), *net.buffers.values()):
            a[...] = 7
        net.load_state_dict(state, given)
        for name, a in (net.params | net.buffers).items():
            if not name.endswith(("seed", "count")):
                np.testing.assert_array_equal(a, (expected.params | expected.buffers)[name])


def test_tensors_that_numpy_cannot_read_are_named():
    net = Network([Dense(2, 2, bias=False)])
    for t in (torch.ones(2, 2, dtype=torch.bfloat16), torch.ones(2, 2, device="meta")):
        with pytest.raises(TypeError, match=r"^0\.weight is nothing that NumPy can read: "):
            net.load_state_dict({"0.weight": t})


def test_weights_go_back(rng):
    """A network's into the model that it came from, by the order of parameters, and into what is made of it."""
    net = from_torch(resnet()[0])
    net.theta = rng.standard_normal(net.n_params)
    module = to_torch(net)
    other = Network(net.layers, rng=0)
    other.load_state_dict(module.state_dict())
    np.testing.assert_array_equal(other.theta, net.theta)


@every_layer
def test_every_layer_as_a_module_and_back(layer, shape, rng, dtype):
    layer = Network([layer]).astype(dtype)
    for a in layer.params.values():
        a[...] = rng.standard_normal(a.shape)
    x = torch.from_numpy(rng.standard_normal(shape).astype(dtype))
    module = to_torch(layer)
    again = from_torch(module)
    drops = "Dropout" in repr(layer)
    for training in (False, True):
        form = copy.deepcopy(layer).for_training() if training else layer
        module.train(training)
        if training and drops:
            continue
        expected, back = form(x.numpy()), (again.for_training() if training else again)(x.numpy())
        close(module(x).detach(), expected, dtype)
        close(back, expected, dtype)


def test_what_pytorch_has_becomes_its_own():
    own = {"Passing", "Shifted"}
    for layer, _ in LAYERS:
        modules = {type(module).__name__ for module in to_torch(layer).modules()}
        held = any(name in repr(layer) for name in own) or "training=True" in repr(layer) or "same" in repr(layer)
        assert ("Module" in modules) == held, (layer, modules)


@pytest.mark.parametrize("module", [
    nn.LeakyReLU(0.3), nn.ELU(0.5), nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Sigmoid(), nn.Softplus(),
    nn.Tanh(), nn.ReLU(), nn.Identity(),
    nn.Linear(4, 4, bias=False), nn.LayerNorm(4), nn.LayerNorm(4, 0.1, bias=False), nn.LayerNorm(4, elementwise_affine=False),
    nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False, momentum=0.3)),
    nn.Sequential(nn.Linear(4, 3), nn.Identity(), nn.LeakyReLU(0.2)),
    Concat(nn.Identity(), nn.Linear(4, 2)), nn.Sequential(), Module(Dense(4, 3, dtype="float32")),
    Sum(Module(Network([Dense(4, 4, dtype="float32")])), nn.Tanh()),
], ids=lambda module: str(module).replace("\n", "")[:40])  # fmt: skip
def test_modules_of_features(module, rng):
    x = torch.from_numpy(rng.standard_normal((6, 4)).astype(np.float32))
    module(x)
    net, theirs = from_torch(module), copy.deepcopy(module)
    close(net(x.numpy()), theirs.eval()(x).detach(), np.float32)
    close(to_torch(net).eval()(x).detach(), theirs.eval()(x).detach(), np.float32)
    close(net.for_training()(x.numpy()), theirs.train()(x).detach(), np.float32)


@pytest.mark.parametrize("module", [
    nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2), nn.Conv2d(4, 4, 3, padding="same"),
    nn.Conv2d(4, 4, (4, 2), padding="same", dilation=2), nn.Conv2d(4, 3, 3, padding="valid", bias=False),
    nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
    nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=(1, 3)),
    nn.MaxPool2d(3, 2, 1, 2, ceil_mode=True), nn.AvgPool2d(3, 2, 1, True, False),
    nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()),
    nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Identity(), nn.Flatten()),
], ids=str)  # fmt: skip
def test_modules_of_images(module, rng):
    x = torch.from_numpy(rng.standard_normal((3, 4, 9, 8)).astype(np.float32))
    net = from_torch(module)
    close(net(x.numpy()), module(x).detach(), np.float32)
    close(to_torch(net)(x).detach(), module(x).detach(), np.float32)


@pytest.mark.parametrize("module", [
    nn.Conv1d(4, 6, 3, 2, 1, 1, 2), nn.Conv1d(4, 4, 3, padding="same"), nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(3, padding=1),
], ids=str)  # fmt: skip
def test_modules_of_signals(module, rng):
    x = torch.from_numpy(rng.standard_normal((3, 4, 11)).astype(np.float32))
    net = from_torch(module)
    close(net(x.numpy()), module(x).detach(), np.float32)
    close(to_torch(net)(x).detach(), module(x).detach(), np.float32)


def test_paddings_that_differ_at_the_sides(rng):
    x = rng.standard_normal((2, 2, 7, 6))
    for layer in (
        fastlec.Conv2d(2, 3, 3, padding=((0, 2), (1, 0)), rng=0),
        fastlec.Conv2d(2, 3, 3, stride=2, padding="same", rng=0),
        fastlec.ConvTranspose2d(2, 3, 3, padding=((0, 1), (1, 0)), rng=0),
        fastlec.ConvResidual(2, kernel_size=(2, 4), rng=0),
        fastlec.ProjectedConvResidual(2, 3, 4, stride=2, rng=0),
    ):
        close(to_torch(layer)(torch.from_numpy(x)).detach(), layer(x), np.float64)
    layer, x = fastlec.Conv1d(2, 3, 3, padding=(2, 0), rng=0), rng.standard_normal((2, 2, 7))
    close(to_torch(layer)(torch.from_numpy(x)).detach(), layer(x), np.float64)


def test_softplus_has_no_threshold():
    """PyTorch takes z for it above 20, which is 2e-9 too little: fastlec's own is kept, in what is made of it as well."""
    x = np.array([[20.5]])
    net = from_torch(nn.Sequential(nn.Linear(1, 1).double(), nn.Softplus()))
    net.theta = np.array([1.0, 0.0])
    assert net(x).item() == to_torch(net)(torch.from_numpy(x)).item() == fastlec.softplus(x).item() > 20.5


def test_tensors_are_copies():
    module = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    net = from_torch(module)
    net.theta = 0 * net.theta
    assert module[0].weight.all()
    back = to_torch(net)
    back[0].weight.data.fill_(1)
    assert not net.theta.any()
    own = to_torch(Shifted(3))
    own[0].b.data.fill_(1)
    assert Shifted(3)(np.zeros((1, 3))).sum() == 0


class Without(nn.Linear):
    """A class of one's own, whose forward nobody knows."""


@pytest.mark.parametrize(("module", "error", "message"), [
    (nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout2d())), TypeError, r"^1\.0, a Dropout2d, has no layer .*to_fastlec"),
    (Without(2, 2), TypeError, r"^module, a Without, has no layer of fastlec's.*torch\.onnx\.export"),
    (nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), ValueError, "has padding_mode='reflect'; expected 'zeros'"),
    (nn.BatchNorm2d(2, affine=False), ValueError, "has affine=False; expected True"),
    (nn.BatchNorm1d(2, track_running_stats=False), ValueError, "has track_running_stats=False"),
    (nn.BatchNorm1d(2, momentum=None), TypeError, "^module, a BatchNorm1d: momentum is None"),
    (nn.LayerNorm((2, 3)), ValueError, r"a LayerNorm: normalized_shape is \(2, 3\); expected one axis"),
    (nn.MaxPool2d(2, return_indices=True), ValueError, "has return_indices=True"),
    (nn.AvgPool2d(2, divisor_override=3), ValueError, "has divisor_override=3; expected None"),
    (nn.Upsample(scale_factor=1.5), TypeError, r"a Upsample: scale_factor is 1\.5"),
    (nn.Upsample(scale_factor=2, mode="bilinear"), ValueError, "has mode='bilinear'; expected 'nearest'"),
    (nn.Flatten(0), ValueError, "has start_dim=0; expected 1"),
    (nn.Softplus(beta=2.0), ValueError, r"has beta=2\.0; expected 1"),
    (nn.AdaptiveAvgPool2d(1), ValueError, "has no Flatten after it"),
    (nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), ValueError, r"has output_size=2; expected 1 or \(1, 1\)"),
    (nn.Linear(2, 2).half(), TypeError, r"weight has dtype torch\.float16; expected torch\.float32 or torch\.float64, one for all"),
    (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), TypeError, r"1\.weight has dtype torch\.float64"),
    (nn.Sequential(*[nn.Linear(2, 2)] * 2), ValueError, "^1, a Linear, is 0 too; expected parameters that are used once"),
    (nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), TypeError, "a ParametrizedLinear, has no layer"),
    (Dense(2, 2), TypeError, r"^module is Dense\(.*; expected a torch.nn.Module"),
    (None, TypeError, r"^module is None; expected a torch\.nn\.Module"),
], ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None)  # fmt: skip
def test_what_is_refused(module, error, message):
    with pytest.raises(error, match=message):
        from_torch(module)


def test_what_to_fastlec_gives_is_checked():
    class Odd(nn.Module):
        def to_fastlec(self):
            return [nn.Tanh(), Activation("relu"), "relu"]

    class Twice(nn.Linear):
        def to_fastlec(self):
            linear = nn.Linear(2, 2)
            return [linear, nn.Tanh(), linear]

    with pytest.raises(TypeError, match=r"^0\[2\], a str, is neither a module nor a layer"):
        from_torch(nn.Sequential(Odd()))
    with pytest.raises(ValueError, match=r"^0\[2\], a Linear, is 0\[0\] too; expected parameters that are used once"):
        from_torch(nn.Sequential(Twice(2, 2)))
    with pytest.raises(TypeError, match=r"net is Linear\(.*; expected a Layer or a Network"):
        to_torch(nn.Linear(2, 2))


def test_statistics_in_training_form_are_layers_of_their_own():
    """A layer that is always in its form for training has no module of PyTorch's that is."""
    for layer in (BatchNorm(3, training=True), BatchNorm2d(3, training=True)):
        assert isinstance(to_torch(layer)[0], Module)


def test_the_examples_of_the_docstrings():
    failed, examples = doctest.testmod(fastlec.torch.convert, extraglobs={"fastlec": fastlec, "torch": torch})
    assert failed == 0
    assert examples == 6
