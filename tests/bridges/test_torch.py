"""fastlec.torch: layers in PyTorch's autograd, forwards and backwards, and what is refused."""

import copy
import doctest
import io
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import fastlec
from fastlec import (
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
    Network,
    ProjectedResidual,
    Residual,
    Sum,
    Upsample2d,
)

torch = pytest.importorskip("torch", reason="PyTorch, the extra `torch`, is not installed")
from torch.autograd import forward_ad, gradcheck, gradgradcheck  # noqa: E402
from torch.autograd.graph import allow_mutation_on_saved_tensors, save_on_cpu, saved_tensors_hooks  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"


class Passing(Layer):
    """y = x, whose methods give what they got."""

    def __init__(self):
        super().__init__()

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x, None

    def mv(self, kept, directions):
        return directions["x"]

    def tmv(self, kept, v, wrt):
        return dict.fromkeys(wrt, v)


class Shifted(Layer):
    """y = x + b, a layer of one's own with a parameter."""

    def __init__(self, n):
        super().__init__({"b": np.zeros(n)})

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x + self.params["b"], x

    def mv(self, x, directions):
        return sum(directions.values(), np.zeros_like(x))

    def tmv(self, kept, v, wrt):
        return {name: v if name == "x" else v.sum(axis=0) for name in wrt}


LAYERS = [
    (Dense(3, 2, "tanh"), (5, 3)),
    (Dense(3, 2, "identity", bias=False), (5, 3)),
    (Residual(4, 3), (3, 4)),
    (ProjectedResidual(3, 4, "sigmoid"), (3, 3)),
    (Conv2d(2, 4, 3, "tanh", stride=2, padding=1, groups=2), (2, 2, 5, 4)),
    (ConvResidual(2), (2, 2, 3, 4)),
    (AvgPool2d(2), (2, 2, 4, 5)),
    (MaxPool2d(3, stride=2, padding=1), (2, 2, 5, 4)),
    (ConvTranspose2d(4, 2, (3, 2), "tanh", stride=2, padding=1, output_padding=(1, 0), groups=2), (2, 4, 3, 2)),
    (Conv1d(2, 4, 3, "tanh", stride=2, padding=1, groups=2), (2, 2, 7)),
    (AvgPool1d(2), (2, 2, 5)),
    (MaxPool1d(3, stride=2, padding=1), (2, 2, 5)),
    (GlobalAvgPool2d(), (2, 2, 3, 2)),
    (Upsample2d((2, 1)), (2, 2, 3, 2)),
    (AvgPool2d(2, 2, 1, ceil_mode=True, count_include_pad=False), (2, 2, 4, 5)),
    (MaxPool2d(2, 2, "same", dilation=2, ceil_mode=True), (2, 2, 5, 4)),
    (BatchNorm2d(2), (3, 2, 2, 3)),
    (BatchNorm2d(2, training=True), (3, 2, 2, 3)),
    (BatchNorm(4), (3, 4)),
    (BatchNorm(4, training=True), (3, 4)),
    (LayerNorm(4), (3, 4)),
    (Dropout(0.5, training=True, rng=0), (3, 4)),
    (Flatten(), (2, 3, 2)),
    (Activation("relu"), (3, 4)),
    (Network([Conv2d(1, 2, 3, "relu"), MaxPool2d(2), Flatten(), Dense(8, 3), Residual(3)]), (2, 1, 7, 6)),
    (Network([Network([Dense(2, 3)]), Shifted(3)]), (4, 2)),
    (Sum([Network([Conv2d(2, 2, 3, padding=1), BatchNorm2d(2)]), Activation("identity")]), (2, 2, 3, 4)),
    (Concat([Dense(2, 3), Shifted(2), Activation("identity")]), (4, 2)),
    (Passing(), (2, 3)),
    (Shifted(3), (2, 3)),
]  # fmt: skip
NAMES = [f"{i} {type(layer).__name__}" for i, (layer, _) in enumerate(LAYERS)]
every_layer = pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=NAMES)


def holds_own(layer):
    """Whether there is a layer of one's own in it, which has no second derivative."""
    return isinstance(layer, Passing | Shifted) or any(map(holds_own, getattr(layer, "layers", ())))


second = pytest.mark.parametrize(
    ("layer", "shape"),
    [row for row in LAYERS if not holds_own(row[0])],
    ids=[name for name, (layer, _) in zip(NAMES, LAYERS, strict=True) if not holds_own(layer)],
)


def tensors(layer, shape, rng, dtype="float64"):
    """x and the parameters: random, and asking for gradients."""
    shapes = [shape, *(a.shape for a in layer.params.values())]
    return [torch.from_numpy(rng.standard_normal(s).astype(dtype)).requires_grad_() for s in shapes]


@pytest.fixture
def dense(rng):
    """(f, x, W, b) of a Dense layer."""
    layer = Dense(3, 2)
    return fastlec.torch.function(layer), *tensors(layer, (5, 3), rng)


@every_layer
def test_gradcheck_backward_and_forward(layer, shape, rng):
    f = fastlec.torch.function(layer)
    assert issubclass(f, torch.autograd.Function)
    inputs = tensors(layer, shape, rng)
    assert gradcheck(f.apply, inputs, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True)


@second
def test_gradgradcheck(layer, shape, rng):
    f = fastlec.torch.function(layer)
    assert gradgradcheck(f.apply, tensors(layer, shape, rng), check_fwd_over_rev=True, check_batched_grad=True)


@every_layer
def test_it_is_the_layer_with_these_parameters(layer, shape, rng, dtype, tolerance):
    """Value, JacTMV and JacMV, to the bit: what is computed is the layer, in the dtype of the tensors."""
    x, *params = tensors(layer, shape, rng, dtype)
    before = [t.detach().clone() for t in (x, *params)]
    y = fastlec.torch.function(layer)(x, *params)
    named = dict(zip(layer.params, (p.detach().numpy() for p in params), strict=True))
    expected, jac = layer.with_params(named).linearize(x.detach().numpy())
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y.detach(), expected)
    v = torch.from_numpy(rng.standard_normal(y.shape).astype(dtype))
    found = torch.autograd.grad(y, (x, *params), v)
    for name, gradient in jac.tmv(v.numpy(), layer.variables).items():
        np.testing.assert_array_equal(found[layer.variables.index(name)], gradient)
    with forward_ad.dual_level():
        dy = forward_ad.unpack_dual(fastlec.torch.function(layer)(forward_ad.make_dual(x, x), *params)).tangent
        np.testing.assert_array_equal(dy.detach(), jac.mv(x=x.detach().numpy()))
    assert all(torch.equal(t, old) for t, old in zip((x, *params), before, strict=True))


@pytest.mark.parametrize("make", [
    lambda: (Conv2d(3, 4, 3, "relu", padding=1), (2, 3, 8, 9), lambda x, W, b: torch.relu(torch.conv2d(x, W, b, padding=1))),
    lambda: (
        ConvTranspose2d(4, 6, (3, 4), "relu", stride=2, padding=(1, 2), output_padding=1, dilation=2, groups=2),
        (2, 4, 8, 9),
        lambda x, W, b: torch.relu(torch.nn.functional.conv_transpose2d(x, W, b, 2, (1, 2), 1, 2, 2)),
    ),
    lambda: (
        Conv1d(4, 6, 5, "relu", stride=2, padding=3, dilation=2, groups=2),
        (2, 4, 30),
        lambda x, W, b: torch.relu(torch.conv1d(x, W, b, 2, 3, 2, 2)),
    ),
    lambda: (GlobalAvgPool2d(), (3, 4, 5, 6), lambda x: x.mean((2, 3))),
    lambda: (Upsample2d((2, 3)), (3, 4, 5, 6), lambda x: torch.nn.Upsample(scale_factor=(2, 3))(x)),
    lambda: (AvgPool1d(3, 2, 1), (3, 4, 30), lambda x: torch.nn.functional.avg_pool1d(x, 3, 2, 1)),
    lambda: (MaxPool1d(3, 2, 1), (3, 4, 30), lambda x: torch.nn.functional.max_pool1d(x, 3, 2, 1)),
    lambda: (Dense(7, 5), (6, 7), lambda x, W, b: torch.tanh(torch.nn.functional.linear(x, W, b))),
])  # fmt: skip
def test_it_agrees_with_pytorch(make, rng, dtype, tolerance):
    layer, shape, theirs = make()
    x, *params = tensors(layer, shape, rng, dtype)
    ours = fastlec.torch.function(layer)
    depth = params[0][0].numel() if params else x[0, 0].numel()
    for found, expected in zip(values(ours, x, *params), values(theirs, x, *params), strict=True):
        bound = tolerance("product", dtype) * np.sqrt(max(depth, found.numel() // depth)) * float(expected.abs().max())
        assert float((found - expected).abs().max()) <= bound


def values(f, *inputs):
    """y, and the gradients of the sum of its squares."""
    y = f(*inputs)
    return y.detach(), *torch.autograd.grad((y**2).sum(), inputs)


def test_arrays_and_tensors_share_memory(rng):
    """Where they are large."""
    layer = Dense(300, 200)
    f, (x, W, b) = fastlec.torch.function(layer), tensors(layer, (50, 300), rng)
    y = f(x, W, b)
    jac = y.grad_fn.call.jac
    arrays = {x: jac.x, W: jac.layer.params["W"], b: jac.layer.params["b"], y: jac.y}
    assert [t.data_ptr() for t in arrays] == [a.ctypes.data for a in arrays.values()]


def test_a_network_whose_memory_it_is_is_used_itself(rng):
    """So an optimizer of PyTorch trains it."""
    net = Network([Dense(300, 200, rng=0), Dense(200, 50, rng=1)])
    f, x = fastlec.torch.function(net), torch.from_numpy(rng.standard_normal((5, 300)))
    params = [torch.from_numpy(a).requires_grad_() for a in net.params.values()]
    assert f(x, *params).grad_fn.call.jac.layer is net
    before = net.theta.copy()
    f(x, *params).square().mean().backward()
    torch.optim.SGD(params, lr=0.1).step()
    gradient = torch.cat([p.grad.ravel() for p in params])
    np.testing.assert_array_equal(net.theta, torch.from_numpy(before).add(gradient, alpha=-0.1))
    with torch.no_grad():
        np.testing.assert_array_equal(f(x, *params), net(x.numpy()))


def test_other_views_of_a_layer_s_memory_are_what_they_say(rng):
    """They begin where the parameters do, and have other values."""
    layer, x = Dense(3, 3), torch.from_numpy(rng.standard_normal((5, 3)))
    f, (W, b) = fastlec.torch.function(layer), map(torch.from_numpy, layer.params.values())
    b += 1
    assert torch.equal(f(x, W, b), torch.from_numpy(layer(x.numpy())))
    for other in (W.T, torch._neg_view(W), W[:1].expand(3, 3)):
        torch.testing.assert_close(f(x, other, b), torch.tanh(x @ other.T + b), rtol=1e-13, atol=1e-13)


def test_tensors_of_any_strides(dense):
    f, x, W, b = dense
    expected = values(f, x, W, b)
    apart = [t.detach().repeat_interleave(2, -1)[..., ::2].requires_grad_() for t in (x, W, b)]
    turned = [t.detach().T.contiguous().T.requires_grad_() if t.ndim > 1 else t for t in (x, W, b)]
    negative = [torch.complex(t * 0, -t).conj().imag.detach().requires_grad_() for t in (x, W, b)]
    assert all(t.is_neg() for t in negative)
    for inputs in (apart, turned, negative):
        for found, right in zip(values(f, *inputs), expected, strict=True):
            assert torch.equal(found, right)


def test_a_gradient_of_zero_strides(dense):
    """What sum() sends back is one number, expanded."""
    f, x, W, b = dense
    v = torch.ones(5, 2, dtype=x.dtype)
    for found, right in zip(
        torch.autograd.grad(f(x, W, b).sum(), (x, W, b)), torch.autograd.grad(f(x, W, b), (x, W, b), v), strict=True
    ):
        assert torch.equal(found, right)


def test_no_samples(dense):
    f, x, W, b = dense
    y = f(x[:0], W, b)
    assert y.shape == (0, 2)
    assert not torch.autograd.grad(y.sum(), W)[0].any()


def test_only_what_is_asked_for_is_computed(dense, monkeypatch):
    f, x, W, b = dense
    asked = []
    tmv = fastlec.layers.jacobian.PlannedJacobian.tmv
    monkeypatch.setattr(
        fastlec.layers.jacobian.PlannedJacobian, "tmv", lambda jac, v, wrt: asked.append(list(wrt)) or tmv(jac, v, wrt)
    )
    f(x.detach(), W, b).sum().backward()
    f(x.detach(), W.detach(), b).sum().backward()
    assert asked == [["W", "b"], ["b"]]
    assert not f(*(t.detach() for t in (x, W, b))).requires_grad


def test_what_a_layer_of_ones_own_gives_is_copied(rng):
    """Its arrays may be those that it got: PyTorch adds to gradients in place, and no two may be one memory."""
    x = torch.from_numpy(rng.standard_normal((2, 3))).requires_grad_()
    v = torch.ones_like(x)
    y = fastlec.torch.function(Passing())(x)
    (gradient,) = torch.autograd.grad(y, x, v)
    assert len({t.data_ptr() for t in (x, y, v, gradient)}) == 4
    (fastlec.torch.function(Passing())(x) + x).sum().backward()
    assert torch.equal(x.grad, 2 * v)


def test_running_statistics_stay(rng):
    layer = BatchNorm2d(2, training=True)
    before = {name: a.copy() for name, a in layer.buffers.items()}
    fastlec.torch.function(layer)(*tensors(layer, (3, 2, 2, 2), rng)).sum().backward()
    for name, a in layer.buffers.items():
        np.testing.assert_array_equal(a, before[name])


def test_transforms_of_functions(dense):
    f, *inputs = dense
    x, W, b = (t.detach() for t in inputs)
    y, jac = Dense(3, 2).with_params({"W": W.numpy(), "b": b.numpy()}).linearize(x.numpy())
    v = torch.ones(5, 2, dtype=x.dtype)
    gradient = torch.func.grad(lambda W: f(x, W, b).sum())(W)
    value, vjp = torch.func.vjp(lambda x: f(x, W, b), x)
    _, dy = torch.func.jvp(lambda x, b: f(x, W, b), (x, b), (x, b))
    np.testing.assert_array_equal(value, y)
    np.testing.assert_array_equal(gradient, jac.tmv(v.numpy())["W"])
    np.testing.assert_array_equal(vjp(v)[0], jac.tmv(v.numpy())["x"])
    np.testing.assert_array_equal(dy, jac.mv(x=x.numpy(), b=b.numpy()))


def grad(y, x, **options):
    return torch.autograd.grad(y.sum(), x, **options)[0]


def backward_of_backward(f, x):
    return grad(grad(f(x), x, create_graph=True) + x, x)


def forward_of_backward(f, x):
    with forward_ad.dual_level():
        x = forward_ad.make_dual(x, torch.ones_like(x))
        return forward_ad.unpack_dual(grad(f(x), x)).tangent


def forward_of_the_vector(f, x):
    """The tangent is of v, and came after the call."""
    y = f(x)
    with forward_ad.dual_level():
        v = forward_ad.make_dual(torch.ones_like(y), y.detach())
        return forward_ad.unpack_dual(torch.autograd.grad(y, x, v)[0]).tangent


def backward_of_forward(f, x):
    with forward_ad.dual_level():
        dy = forward_ad.unpack_dual(f(forward_ad.make_dual(x, x.detach() ** 2))).tangent
    return grad(dy.sum() + x.sum(), x)


def func_grad_of_jvp(f, x):
    return torch.func.grad(lambda x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1].square().sum())(x)


def forward_of_func_vjp(f, x):
    """A transform whose backward pass records no graph."""
    with torch.no_grad():
        return torch.func.jvp(lambda x: torch.func.vjp(f, x)[1](torch.ones(5, 2, dtype=x.dtype))[0], (x,), (x,))[1]


def func_grad_of_grad(f, x):
    return torch.func.grad(lambda x: torch.func.grad(lambda x: f(x).square().sum())(x).sum())(x)


def func_jvp_of_grad(f, x):
    return torch.func.jvp(torch.func.grad(lambda x: f(x).sum()), (x,), (x,))[1]


def func_hessian(f, x):
    """Forward over backward, mapped by vmap."""
    return torch.func.hessian(lambda x: f(x).square().sum())(x)


def older_hessian(f, x):
    """Backward over backward, mapped by the older vmap."""
    return torch.autograd.functional.hessian(lambda x: f(x).square().sum(), x, vectorize=True)


def one_sample_at_a_time(f, x):
    return torch.func.vmap(torch.func.grad(lambda row: f(row[None]).square().sum()))(x)


@pytest.mark.parametrize(
    "derivative",
    [
        backward_of_backward,
        forward_of_backward,
        forward_of_the_vector,
        backward_of_forward,
        func_grad_of_jvp,
        forward_of_func_vjp,
        func_grad_of_grad,
        func_jvp_of_grad,
        func_hessian,
        older_hessian,
        one_sample_at_a_time,
    ],
)
def test_derivatives_of_derivatives_and_transforms(derivative, dense):
    """Those of PyTorch's own operations."""
    f, x, W, b = dense
    found, expected = (derivative(h, x) for h in (lambda x: f(x, W, b), lambda x: torch.tanh(x @ W.T + b)))
    assert float(expected.detach().abs().max()) > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def func_jvp_of_jvp(f, x):
    return torch.func.jvp(lambda x: torch.func.jvp(f, (x,), (x,))[1], (x,), (x,))


def three_times(f, x):
    return grad(grad(grad(f(x), x, create_graph=True), x, create_graph=True), x)


def forward_of_three_times(f, x):
    return torch.func.jvp(torch.func.grad(lambda x: torch.func.grad(lambda x: f(x).sum())(x).sum()), (x,), (x,))


@pytest.mark.parametrize("more", [func_jvp_of_jvp, three_times, forward_of_three_times])
def test_derivatives_that_are_refused(more, dense):
    f, x, W, b = dense
    with pytest.raises(RuntimeError, match=r"differentiate (twice|three times) .* once_differentiable"):
        more(lambda x: f(x, W, b), x)


@pytest.mark.parametrize("layer", [Shifted(3), Network([Dense(3, 3), Shifted(3)]), Sum([Dense(3, 3), Shifted(3)])])
def test_second_derivatives_that_would_not_be_exact_are_refused(layer, rng):
    x, *params = tensors(layer, (5, 3), rng)
    with pytest.raises(RuntimeError, match=r"differentiate twice .* once_differentiable: a Shifted has no exact second"):
        backward_of_backward(lambda x: fastlec.torch.function(layer)(x, *params), x)


@pytest.mark.parametrize("i", range(3), ids=["x", "W", "b"])
def test_what_is_written_to_before_backward_is_refused(i, dense):
    f, *inputs = dense
    y = f(*inputs)
    with torch.no_grad():
        inputs[i].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_result_that_is_written_to_before_backward_is_refused(dense):
    f, *inputs = dense
    y = f(*inputs)
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_what_numpy_writes_before_backward_is_not_seen(rng):
    """As the docstring says, for nobody tells PyTorch: a limit, not a promise."""
    net = Network([Dense(300, 300)])
    x, params = torch.ones(5, 300, dtype=torch.float64), [torch.from_numpy(a).requires_grad_() for a in net.params.values()]
    x.requires_grad_()
    y = fastlec.torch.function(net)(x, *params)
    (right,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    net.theta = 2 * net.theta
    assert torch.allclose(torch.autograd.grad(y.sum(), x)[0], 2 * right)
    assert "net.theta = ..." in fastlec.torch.function.__doc__


@pytest.mark.parametrize("i", range(4), ids=["x", "W", "b", "y"])
def test_where_tensors_may_be_written_to_the_gradient_is_that_of_the_call(i, dense):
    f, *inputs = dense
    _, *expected = values(f, *inputs)
    v = 2 * f(*inputs).detach()
    with allow_mutation_on_saved_tensors():
        inputs.append(f(*inputs))
        y = inputs[3] * 1
        with torch.no_grad():
            inputs[i].add_(1)
        found = torch.autograd.grad(y, inputs[:3], v)
    assert all(map(torch.equal, found, expected))


@every_layer
@pytest.mark.parametrize("hooks", [
    save_on_cpu,
    lambda: saved_tensors_hooks(torch.clone, torch.clone),
], ids=["save_on_cpu", "copies"])  # fmt: skip
def test_hooks_of_saved_tensors(hooks, layer, shape, rng):
    """What is computed anew is the same to the bit."""
    f, inputs = fastlec.torch.function(layer), tensors(layer, shape, rng)
    expected = values(f, *inputs)
    with hooks():
        y = f(*inputs)
    found = torch.autograd.grad((y**2).sum(), inputs)
    assert all(map(torch.equal, (y, *found), expected))


def test_what_hooks_give_is_what_counts(dense):
    """Not the memory of the call, which may have been written to since."""
    f, *inputs = dense
    doubled = [(2 * t.detach()).requires_grad_() for t in inputs]
    expected = torch.autograd.grad(f(*doubled).sum(), doubled)
    with saved_tensors_hooks(lambda t: t, lambda t: 2 * t):
        y = f(*inputs)
    assert all(map(torch.equal, torch.autograd.grad(y.sum(), inputs), expected))


def test_vmap_of_samples_is_one_call(dense, monkeypatch):
    """The mapped axis is folded into that of the samples, and gradients of single samples are one call as well."""
    f, *inputs = dense
    x, W, b = (t.detach() for t in inputs)
    calls = []
    for name in ("value", "linearized"):
        of = getattr(fastlec.torch.products.Call, name)
        monkeypatch.setattr(
            fastlec.torch.products.Call,
            name,
            lambda call, *t, of=of, name=name: calls.append((name, t[0].shape)) or of(call, *t),
        )
    many = torch.stack([x, 2 * x, -x])
    y = torch.func.vmap(lambda x: f(x, W, b))(many)
    assert calls == [("value", (15, 3)), ("linearized", (15, 3))]
    torch.testing.assert_close(y, torch.stack([f(x, W, b) for x in many]), rtol=1e-14, atol=1e-14)
    calls.clear()
    gradients = torch.func.vmap(torch.func.grad(lambda W, row: f(row[None], W, b).square().sum()), (None, 0))(W, x)
    assert calls == [("value", (5, 3)), ("linearized", (5, 3))]
    expected = [grad(f(row[None], inputs[1], b).square(), inputs[1]) for row in x]
    torch.testing.assert_close(gradients, torch.stack(expected), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("layer", [BatchNorm(4, training=True), Dense(4, 4)], ids=["coupled", "mapped parameters"])
def test_vmap_where_samples_cannot_be_one_batch(layer, rng):
    f, inputs = fastlec.torch.function(layer), [t.detach() for t in tensors(layer, (3, 4), rng)]
    mapped = [torch.stack([t, t + 1, 3 * t]) for t in inputs]
    if layer.couples_samples:
        mapped[1:] = inputs[1:]
    dims = tuple(0 if m is not t else None for m, t in zip(mapped, inputs, strict=True))
    found = torch.func.vmap(f.apply, dims)(*mapped)
    rows = [[t if d is None else t[i] for t, d in zip(mapped, dims, strict=True)] for i in range(3)]
    assert torch.equal(found, torch.stack([f(*row) for row in rows]))


def test_vmap_along_any_axis_and_over_nothing(dense):
    f, *inputs = dense
    x, W, b = (t.detach() for t in inputs)
    many = torch.stack([x, 2 * x])
    expected = torch.func.vmap(lambda x: f(x, W, b))(many)
    found = torch.func.vmap(lambda x: f(x, W, b), in_dims=2, out_dims=1)(many.movedim(0, 2))
    assert torch.equal(found.movedim(1, 0), expected)
    nested = torch.func.vmap(torch.func.vmap(lambda x: f(x, W, b)))(torch.stack([many, many]))
    torch.testing.assert_close(nested, torch.stack([expected, expected]), rtol=1e-14, atol=1e-14)
    assert torch.func.vmap(lambda x: f(x, W, b))(many[:0]).shape == (0, 5, 2)
    assert torch.func.vmap(lambda W: f(x, W, b))(W.expand(0, 2, 3)).shape == (0, 5, 2)


def by_pickle(f):
    return pickle.loads(pickle.dumps(f))


def by_pickle_in_python(f):
    return pickle._loads(pickle._dumps(f))


def by_torch_save(f):
    file = io.BytesIO()
    torch.save(f, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


class Held(torch.nn.Module):
    """What holds a function."""

    def __init__(self, layer):
        super().__init__()
        self.f = fastlec.torch.function(layer)
        self.params = torch.nn.ParameterList(torch.from_numpy(a) for a in layer.params.values())

    def forward(self, x):
        return self.f(x, *self.params)


Derived = type("Derived", (fastlec.torch.function(Dense(3, 2, rng=0)),), {"__module__": __name__})


@pytest.mark.parametrize("through", [by_pickle, by_pickle_in_python, by_torch_save, copy.copy, copy.deepcopy])
def test_what_holds_a_function_can_be_pickled(through, rng):
    x = torch.from_numpy(rng.standard_normal((5, 3)))
    for layer in (Dense(3, 2), Network([Dense(3, 4), Residual(4)])):
        held = Held(layer)
        again = through(held)
        assert issubclass(again.f, torch.autograd.Function)
        assert torch.equal(again(x), held(x))
        assert all(map(np.array_equal, again.f.layer.params.values(), layer.params.values()))
    assert through(Derived) is Derived


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda x, W, b: (x.to("meta"), W, b), TypeError, "x is on the device meta; expected a tensor of the CPU"),
        (lambda x, W, b: (x, W.to("meta"), b), TypeError, "W is on the device meta"),
        (lambda x, W, b: (x.bfloat16(), W, b), TypeError, r"x has dtype torch\.bfloat16; expected torch\.float32"),
        (lambda x, W, b: (x.half(), W.half(), b.half()), TypeError, r"x has dtype torch\.float16"),
        (lambda x, W, b: (x.long(), W, b), TypeError, r"x has dtype torch\.int64"),
        (lambda x, W, b: (x + 0j, W, b), TypeError, r"x has dtype torch\.complex128"),
        (lambda x, W, b: (x, W.float(), b), TypeError, r"W has dtype torch\.float32; expected torch\.float64, that of x"),
        (lambda x, W, b: (x.to_sparse(), W, b), TypeError, r"x has the layout torch\.sparse_coo; expected a dense tensor"),
        (lambda x, W, b: (x.detach().numpy(), W, b), TypeError, r"x is a ndarray; expected a torch\.Tensor"),
        (lambda x, W, b: (x, W, None), TypeError, r"b is a NoneType; expected a torch\.Tensor"),
        (lambda x, W, b: (x,), TypeError, r"1 tensors are given; expected 3, of \('x', 'W', 'b'\)"),
        (lambda x, W, b: (), TypeError, "0 tensors are given; expected 3"),
        (lambda x, W, b: (x, W, b, b), TypeError, "4 tensors are given; expected 3, of"),
        (lambda x, W, b: (x, W.T, b), ValueError, r"params\['W'\] has shape \(3, 2\); expected \(2, 3\)"),
        (lambda x, W, b: (x, W, b[:1]), ValueError, r"params\['b'\] has shape \(1,\); expected \(2,\)"),
        (lambda x, W, b: (x.T, W, b), ValueError, r"x has samples of shape \(5,\); expected \(3,\)"),
        (lambda x, W, b: (x[0, 0], W, b), ValueError, "x is a number; expected an array of samples"),
    ],
)  # fmt: skip
def test_tensors_that_are_refused(wrong, error, message, dense):
    f, *inputs = dense
    for call in (f, f.apply):
        with pytest.raises(error, match=message):
            call(*wrong(*inputs))


def test_tensors_by_name_are_refused(dense):
    f, x, W, b = dense
    for call in (f, f.apply):
        with pytest.raises(TypeError, match=r"W, b is given by name; expected tensors by position, x, W, b"):
            call(x, W=W, b=b)


@pytest.mark.parametrize("layer", [np.tanh, Dense, torch.nn.Linear(2, 2), None, "relu"])
def test_layers_that_are_refused(layer):
    with pytest.raises(TypeError, match=r"layer is .*; expected a Layer or a Network"):
        fastlec.torch.function(layer)


@pytest.mark.parametrize(("module", "examples"), [("functions", 6), ("modules", 12)])
def test_the_examples_of_the_docstrings(module, examples):
    assert doctest.testmod(getattr(fastlec.torch, module), extraglobs={"fastlec": fastlec}) == (0, examples)


@pytest.fixture(scope="module")
def page():
    """What the page's code defines, run from top to bottom."""
    if not DOCS.exists():
        pytest.skip("the sources are not here")
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", (DOCS / "pytorch.md").read_text(), re.M | re.S):
        exec(block, names)
    return names


def test_my_relu_of_the_page(page, rng):
    """The lecture's first example of section 4.2."""
    x = torch.from_numpy(rng.standard_normal((4, 5))).requires_grad_()
    assert gradcheck(page["MyReLU"].apply, (x,), check_forward_ad=True)
    for found, right in zip(values(page["MyReLU"].apply, x), values(torch.relu, x), strict=True):
        assert torch.equal(found, right)


def test_linear_of_the_page(page, rng):
    """The lecture's second example of section 4.2."""
    inputs = tensors(Dense(3, 2), (5, 3), rng)
    assert gradcheck(page["Linear"].apply, inputs, check_forward_ad=True)
    for found, right in zip(values(page["Linear"].apply, *inputs), values(torch.nn.functional.linear, *inputs), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-13, atol=1e-13)


def test_both_of_the_page_are_layers(page, rng):
    inputs = tensors(Dense(3, 2), (5, 3), rng)
    for own, layer, given in (("MyReLU", Activation("relu"), inputs[:1]), ("Linear", Dense(3, 2, "identity"), inputs)):
        for found, right in zip(values(page[own].apply, *given), values(fastlec.torch.function(layer), *given), strict=True):
            torch.testing.assert_close(found, right, rtol=1e-13, atol=1e-13)


def test_the_page_trains(page):
    assert page["losses"][-1] < 0.1 * page["losses"][0]


def test_pooling_of_pytorch(rng, dtype):
    """Values and gradients of many windows, and which of them there are."""
    close, found = {"rtol": 0, "atol": 8 * np.finfo(dtype).eps}, 0
    for _ in range(300):
        size, stride, dilation = rng.integers(1, 5, (3, 2)).tolist()
        padding = [int(rng.integers(n // 2 + 1)) for n in size]
        ceil_mode, count_include_pad = (bool(flag) for flag in rng.integers(2, size=2))
        x = rng.standard_normal((2, 2, *rng.integers(1, 12, 2))).astype(dtype)
        for layer, theirs in (
            (
                AvgPool2d(size, stride, padding, ceil_mode, count_include_pad),
                torch.nn.AvgPool2d(size, stride, padding, ceil_mode, count_include_pad),
            ),
            (
                MaxPool2d(size, stride, padding, dilation, ceil_mode=ceil_mode),
                torch.nn.MaxPool2d(size, stride, padding, dilation, ceil_mode=ceil_mode),
            ),
        ):
            given = torch.tensor(x, requires_grad=True)
            try:
                expected = theirs(given)
            except RuntimeError:  # the windows are larger than the padded image
                with pytest.raises(ValueError, match="expected at most the padded image's"):
                    layer(x)
                continue
            if torch.isinf(expected).any():  # a window without a pixel, which fastlec has not
                continue
            y, jac = layer.linearize(x)
            v = rng.standard_normal(y.shape).astype(dtype)
            expected.backward(torch.from_numpy(v))
            np.testing.assert_allclose(y, expected.detach(), **close)
            np.testing.assert_allclose(jac.tmv(v)["x"], given.grad, **close)
            found += 1
    assert found > 300
