"""fastlec.torch.Module: parameters and buffers that are PyTorch's and the layer's, training, copies, workers, what is refused."""

import copy
import io
import pickle

import numpy as np
import pytest

import fastlec
from fastlec import Activation, BatchNorm, BatchNorm2d, Conv2d, Dense, Dropout, Flatten, Network, Sum

torch = pytest.importorskip("torch", reason="PyTorch, the extra `torch`, is not installed")
from test_torch import Shifted, values  # noqa: E402
from torch.autograd.graph import save_on_cpu  # noqa: E402
from torch.func import functional_call  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from fastlec.torch import Module, function  # noqa: E402


@pytest.fixture
def net():
    block = Sum([Network([Conv2d(4, 4, 3, padding=1), BatchNorm2d(4)]), Activation("identity")])
    first = [Conv2d(1, 4, 3, padding=1, bias=False), BatchNorm2d(4), Activation("relu"), block]
    return Network([*first, Flatten(), Dropout(0.25), Dense(4 * 30, 3, "identity")], rng=0)


@pytest.fixture
def x(rng):
    return torch.from_numpy(rng.standard_normal((5, 1, 6, 5)))


def held(module):
    """{name: array} of parameters and buffers."""
    return {name: t.numpy() for name, t in module.state_dict().items()}


def test_its_tensors_are_the_layer_s_memory(net):
    module = Module(net)
    assert module.layer is net
    arrays = net.params | net.buffers
    assert held(module).keys() == arrays.keys()
    for name, a in held(module).items():
        assert a.ctypes.data == arrays[name].ctypes.data
    assert [name for name, _ in module.named_parameters()] == list(net.params)


def test_in_training_it_is_the_form_for_training(net, x):
    module, other = Module(net), copy.deepcopy(net)
    form = other.for_training()
    expected, jac = form.linearize(x.numpy())
    y = module(x)
    np.testing.assert_array_equal(y.detach(), expected)
    form.update_buffers(jac.kept)
    for name, a in other.buffers.items():
        np.testing.assert_array_equal(net.buffers[name], a)
    y.square().sum().backward()
    gradients = jac.tmv(2 * expected)
    for name, p in module.named_parameters():
        np.testing.assert_array_equal(p.grad, gradients[name])
    module.eval()
    before = {name: a.copy() for name, a in net.buffers.items()}
    np.testing.assert_array_equal(module(x).detach(), net(x.numpy()))
    assert all(np.array_equal(a, before[name]) for name, a in net.buffers.items())


def test_an_optimizer_of_pytorch_trains_the_layer(rng):
    X, y = fastlec.datasets.make_blobs(300, 3, rng=0)
    net = Network([Dense(2, 16), BatchNorm(16), Dense(16, 3, "identity")], rng=0)
    module = Module(net)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    data = DataLoader(list(zip(torch.from_numpy(X), y.tolist(), strict=True)), batch_size=50)
    for _ in range(20):
        for samples, labels in data:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(samples), labels).backward()
            optimizer.step()
    assert (net.predict(X) == y).mean() > 0.98


def test_frozen_parameters_have_no_gradient(net, x):
    module = Module(net)
    module.get_parameter("0.W").requires_grad_(False)
    module(x).sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None] == ["0.W"]


def by_torch_save(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("through", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), by_torch_save])
def test_copies_have_a_layer_of_their_own(through, net, x):
    module = Module(net).eval()
    other = through(module)
    assert torch.equal(other(x), module(x))
    arrays = other.layer.params | other.layer.buffers
    for name, a in held(other).items():
        assert a.ctypes.data == arrays[name].ctypes.data
        assert a.ctypes.data != held(module)[name].ctypes.data
    other.train()(x).sum().backward()
    assert not np.array_equal(other.layer.buffers["1.running_mean"], net.buffers["1.running_mean"])


def test_conversions_and_loaded_tensors(net, x):
    module = Module(net).eval()
    expected = module(x).detach()
    outer = torch.nn.Sequential(module, torch.nn.Identity()).float()
    assert module.layer.theta.dtype == np.float32
    assert module.layer.theta.ctypes.data == module.get_parameter("0.W").data_ptr()
    torch.testing.assert_close(outer(x.float()), expected.float(), rtol=1e-5, atol=1e-5)
    with pytest.raises(TypeError, match=r"x has dtype torch\.float16; expected torch\.float32 or torch\.float64"):
        outer.half()(x.half())
    outer.double()
    doubled = {name: 2 * t for name, t in outer.state_dict().items()}
    for assign in (False, True):
        outer.load_state_dict(doubled, assign=assign)
        for name, a in (module.layer.params | module.layer.buffers).items():
            np.testing.assert_array_equal(a, doubled[f"0.{name}"])
        doubled = {name: 2 * t for name, t in doubled.items()}
    with pytest.raises(TypeError, match="W is on the device meta"):
        module.to("meta")(x)


def test_a_layer_whose_arrays_are_read_only_is_copied():
    layer = Dense(2, 3).with_params({"W": np.zeros((3, 2)), "b": np.zeros(3)})
    layer.params["W"].flags.writeable = False
    module = Module(layer)
    torch.nn.init.ones_(module.W)
    assert not layer.params["W"].any()
    assert module.layer.params["W"].all()


def test_single_layers_and_layers_of_ones_own(rng):
    x = torch.from_numpy(rng.standard_normal((4, 3)))
    for layer in (Dense(3, 2), Shifted(3), Activation("relu"), Activation(np.sin, np.cos), BatchNorm(3)):
        module = Module(layer).eval()
        assert list(module.state_dict()) == list(layer.params | layer.buffers)
        np.testing.assert_array_equal(module(x).detach(), layer(x.numpy()))
        assert repr(layer) in repr(module)


def test_per_sample_gradients_and_ensembles(net, x):
    module = Module(net).eval()
    params = {name: p.detach() for name, p in module.named_parameters()}

    def loss(params, x):
        return functional_call(module, params, (x[None],)).square().sum()

    found = torch.func.vmap(torch.func.grad(loss), (None, 0))(params, x)
    y, jac = net.linearize(x.numpy())
    for name, gradient in jac.tmv(2 * y, per_sample=True).items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-11, atol=1e-12)
    ensemble = {name: torch.stack([p, 2 * p]) for name, p in params.items()}
    y = torch.func.vmap(lambda params: functional_call(module, params, (x,)))(ensemble)
    np.testing.assert_array_equal(y[1], functional_call(module, {name: 2 * p for name, p in params.items()}, (x,)))


def test_a_mapped_call_leaves_buffers_as_they_are(net, x):
    module = Module(net)
    before = {name: a.copy() for name, a in net.buffers.items()}
    torch.func.vmap(module, randomness="different")(torch.stack([x, x]))
    assert all(np.array_equal(a, before[name]) for name, a in net.buffers.items())


def test_hooks_take_the_buffers_of_the_call(net, x):
    """What is computed anew has the masks and statistics of then, though they have moved on."""
    modules = [Module(net), Module(copy.deepcopy(net))]
    with save_on_cpu():
        y = modules[0](x)
    expected = modules[1](x)
    modules[0](x), modules[1](x)
    for value in (y, expected):
        value.square().sum().backward()
    for p, q in zip(modules[0].parameters(), modules[1].parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


def test_a_training_call_with_one_value_of_a_channel_is_refused():
    module = Module(BatchNorm(3))
    with pytest.raises(ValueError, match="expected more than one value of each feature"):
        module(torch.ones(1, 3, dtype=torch.float64))
    assert not module.running_mean.any()


def test_inference_mode_and_no_grad(net, x):
    module = Module(net).eval()
    expected = module(x).detach()
    with torch.inference_mode():
        y = module(x)
    assert y.is_inference()
    assert torch.equal(y, expected)
    with torch.no_grad():
        assert not module(x).requires_grad
    with torch.inference_mode():
        inside = x.clone()
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        module(inside)  # as of PyTorch's own


def test_autocast_is_refused():
    layer, x = Dense(3, 2), torch.ones(4, 3, dtype=torch.float64)
    module, params = Module(layer), [torch.from_numpy(a) for a in layer.params.values()]
    for call in (lambda: module(x), lambda: function(layer)(x, *params)):
        with torch.autocast("cpu"):
            with pytest.raises(RuntimeError, match=r"torch\.autocast is on .* torch\.autocast\('cpu', enabled=False\)"):
                call()
            with torch.autocast("cpu", enabled=False):
                assert call().dtype == x.dtype


def test_threads_of_pytorch_change_nothing(threads, rng):
    """Results are those of any number of threads, to the bit, and neither library's setting is the other's."""
    layer = Conv2d(8, 16, 3, padding=1, rng=0)
    x = torch.from_numpy(rng.standard_normal((8, 8, 24, 24))).requires_grad_()
    params, found, before = [torch.from_numpy(a).requires_grad_() for a in layer.params.values()], [], torch.get_num_threads()
    try:
        for n in (1, 2, 4):
            torch.set_num_threads(n)
            found.append(values(function(layer), x, *params))
            assert torch.get_num_threads() == n
            assert fastlec.get_num_threads() <= threads
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(map(torch.equal, other, found[0]))


class Filtered(Dataset):
    """Images that the worker filters, and what a network that was trained in this process makes of them."""

    def __init__(self, net):
        self.net = net

    def __len__(self):
        return 6

    def __getitem__(self, i):
        image = fastlec.filter2d(np.full((6, 5), float(i)), np.ones((3, 3)))
        return (
            image[None],
            self.net(image[None, None])[0],
            Module(self.net).eval()(torch.from_numpy(image[None, None]))[0].detach(),
        )


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on one core
def test_workers_of_a_data_loader(net, x):
    """They are forks of a process whose threads have computed."""
    Module(net)(x.repeat(20, 1, 1, 1)).sum().backward()
    for images, outputs, same in DataLoader(Filtered(net), batch_size=3, num_workers=2):
        assert torch.equal(outputs, same)
        torch.testing.assert_close(outputs, torch.from_numpy(net(images.numpy())), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("layer", [None, np.tanh, torch.nn.Linear(2, 2)])
def test_what_is_no_layer_is_refused(layer):
    with pytest.raises(TypeError, match=r"layer is .*; expected a Layer or a Network"):
        Module(layer)


@pytest.mark.parametrize("use", ["softmax", "tanh", "logsumexp", "filter2d"])
def test_numpy_functions_refuse_tensors_that_require_grad(use):
    """By an error that says where such belong; others they take."""
    t = torch.ones(3, 3, dtype=torch.float64)
    arguments = (t.numpy(),) if use == "filter2d" else ()
    getattr(fastlec, use)(t, *arguments)
    with pytest.raises(TypeError, match=r"is a tensor that requires grad; expected an array: .*fastlec\.torch"):
        getattr(fastlec, use)(t.requires_grad_(), *arguments)


def test_layers_and_losses_refuse_tensors_that_require_grad():
    t = torch.ones(3, 3, dtype=torch.float64, requires_grad=True)
    labels = np.zeros(3, int)
    for call in (
        lambda: Dense(3, 2)(t),
        lambda: Dense(3, 2).linearize(t),
        lambda: Dense(3, 2).linearize(np.ones((3, 3)))[1].tmv(t[:, :2]),
        lambda: fastlec.softmax_cross_entropy(t, labels),
        lambda: fastlec.conv2d(t[None, None], np.ones((1, 1, 2, 2))),
        lambda: fastlec.conv2d(np.ones((1, 1, 3, 3)), t[None, None]),
        lambda: fastlec.matmul(t, t),
        lambda: fastlec.SoftmaxObjective(t, labels),
        lambda: fastlec.kmeans(t, 2),
        lambda: fastlec.fit(Network([Dense(3, 2)]), t, labels, epochs=1),
        lambda: Network([Dense(3, 2)]).predict(t),
    ):
        with pytest.raises(TypeError, match=r"is a tensor that requires grad; .*fastlec\.torch"):
            call()
