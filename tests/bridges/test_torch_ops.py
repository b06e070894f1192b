"""fastlec.torch.ops: operators of PyTorch, their derivatives, torch.compile, and what is refused."""

import doctest

import numpy as np
import pytest

import fastlec

torch = pytest.importorskip("torch", reason="PyTorch, the extra `torch`, is not installed")
from test_torch import values  # noqa: E402
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402
from torch.library import opcheck  # noqa: E402

from fastlec.torch import ops  # noqa: E402

F = torch.nn.functional


def turned(image, kernel):
    """filter2d of an odd kernel with zeros around the image."""
    planes = image[None] if image.ndim == 2 else image.movedim(2, 0)
    padding = [n // 2 for n in kernel.shape]
    y = F.conv2d(planes[:, None], kernel.flip(0, 1)[None, None], padding=padding)[:, 0]
    return y[0] if image.ndim == 2 else y.movedim(0, 2)


LABELS = torch.tensor([0, 2, 1, 2, 2])
SHAPES = {"x": (2, 4, 7, 6), "W": (6, 2, 3, 2), "b": (6,)}
CASES = {  # ours, PyTorch's, shapes of the tensors
    "conv2d": (
        lambda x, W, b: ops.conv2d(x, W, b, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
        lambda x, W, b: F.conv2d(x, W, b, (2, 1), (1, 2), (1, 2), 2),
        [(2, 4, 7, 6), (6, 2, 3, 2), (6,)],
    ),
    "conv2d same": (
        lambda x, W: ops.conv2d(x, W, padding="same"),
        lambda x, W: F.conv2d(x, W, padding="same"),
        [(2, 3, 5, 4), (2, 3, 3, 3)],
    ),
    "conv2d valid": (lambda x, W: ops.conv2d(x, W, padding="valid"), F.conv2d, [(2, 3, 5, 4), (2, 3, 3, 4)]),
    "softmax": (ops.softmax, lambda x: torch.softmax(x, -1), [(5, 4)]),
    "softmax of an axis": (lambda x: ops.softmax(x, 0), lambda x: torch.softmax(x, 0), [(5, 4)]),
    "softmax_cross_entropy": (lambda x: ops.softmax_cross_entropy(x, LABELS), lambda x: F.cross_entropy(x, LABELS), [(5, 3)]),
    "softmax_cross_entropy of probabilities": (
        lambda x: ops.softmax_cross_entropy(x, torch.eye(3, dtype=x.dtype)[LABELS] / 2),
        lambda x: F.cross_entropy(x, torch.eye(3, dtype=x.dtype)[LABELS] / 2),
        [(5, 3)],
    ),
    "dense": (ops.dense, F.linear, [(5, 3), (4, 3), (4,)]),
    "dense tanh": (lambda x, W: ops.dense(x, W, activation="tanh"), lambda x, W: torch.tanh(F.linear(x, W)), [(5, 3), (4, 3)]),
    "dense gelu": (
        lambda x, W, b: ops.dense(x, W, b, "gelu"),
        lambda x, W, b: F.gelu(F.linear(x, W, b)),
        [(2, 5, 3), (4, 3), (4,)],
    ),
    "filter2d": (lambda x, k: ops.filter2d(x, k, "constant"), turned, [(7, 6), (3, 5)]),
    "filter2d of colours": (lambda x, k: ops.filter2d(x, k, "constant"), turned, [(7, 6, 3), (3, 3)]),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES)


def made(case, rng, dtype="float64"):
    ours, theirs, shapes = CASES[case]
    return ours, theirs, [torch.from_numpy(rng.standard_normal(shape).astype(dtype)).requires_grad_() for shape in shapes]


@every_case
def test_values_and_gradients_are_those_of_pytorch(case, rng, dtype, tolerance):
    ours, theirs, inputs = made(case, rng, dtype)
    for found, expected in zip(values(ours, *inputs), values(theirs, *inputs), strict=True):
        assert found.dtype == expected.dtype
        bound = tolerance("product", dtype) * 30 * max(float(expected.abs().max()), 1)
        assert float((found - expected).abs().max()) <= bound


@every_case
def test_gradcheck(case, rng):
    ours, _, inputs = made(case, rng)
    assert gradcheck(ours, inputs)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("softmax")])
def test_softmax_and_its_loss_are_differentiated_twice(case, rng):
    ours, _, inputs = made(case, rng)
    assert gradgradcheck(ours, inputs)


@pytest.mark.parametrize("case", ["conv2d", "dense", "filter2d"])
def test_second_derivatives_of_others_are_refused(case, rng):
    ours, _, inputs = made(case, rng)
    (g,) = torch.autograd.grad(ours(*inputs).square().sum(), inputs[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        g.sum().backward()


@every_case
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of PyTorch's compiler
def test_one_graph_of_torch_compile(case, rng):
    """Forwards and backwards."""
    torch._dynamo.reset()
    ours, _, inputs = made(case, rng)
    compiled = torch.compile(lambda *t: torch.sin(ours(*t)) * 2, fullgraph=True, backend="aot_eager")
    for scale in (1, 3):
        found = values(compiled, *(t * scale for t in inputs))
        expected = values(lambda *t: torch.sin(ours(*t)) * 2, *(t * scale for t in inputs))
        assert all(map(torch.equal, found, expected))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_torch_compile_with_its_own_compiler(rng):
    """A step of a small network, with batches of two sizes."""
    torch._dynamo.reset()
    W1, W2 = (torch.from_numpy(rng.standard_normal(shape)).requires_grad_() for shape in ((4, 1, 3, 3), (3, 4 * 36)))

    def loss(x, labels):
        y = torch.relu(ops.conv2d(x, W1, padding="same"))
        return ops.softmax_cross_entropy(ops.dense(y.flatten(1), W2), labels)

    compiled = torch.compile(loss, fullgraph=True, dynamic=True)
    for m in (5, 7):
        x, labels = torch.from_numpy(rng.standard_normal((m, 1, 6, 6))), torch.arange(m) % 3
        for found, expected in zip(*(torch.autograd.grad(f(x, labels), (W1, W2)) for f in (compiled, loss)), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


X, W = torch.ones(2, 3, 5, 4, dtype=torch.float64), torch.ones(2, 3, 3, 2, dtype=torch.float64)
M, B = torch.rand(4, 3, dtype=torch.float64), torch.ones(4, dtype=torch.float64)


@pytest.mark.parametrize(("name", "arguments"), [
    ("conv2d", (X, W, None, [1, 2], [1, 0, 2, 1], [1, 1], 1)),
    ("conv2d_backward", (torch.ones(2, 2, 4, 3, dtype=torch.float64), X, W, [1, 2], [1, 0, 2, 0], [1, 1], 1, "xWb")),
    ("softmax", (M, 0)),
    ("softmax_cross_entropy", (M, torch.tensor([0, 1, 2, 2]))),
    ("dense", (M, torch.ones(4, 3, dtype=torch.float64), B, "silu")),
    ("dense", (M, torch.ones(4, 3, dtype=torch.float64), None, "relu")),
    ("dense_backward", (torch.ones(4, 4, dtype=torch.float64), M, torch.ones(4, 3, dtype=torch.float64), B,
                        torch.ones(4, 4, dtype=torch.float64), M.new_empty(0, 4), "tanh", "xWb")),
    ("filter2d", (M, torch.ones(2, 2, dtype=torch.float64), "mirror", 0.0)),
    ("filter2d_backward", (M, M, torch.ones(2, 2, dtype=torch.float64), "wrap", 0.0, "image kernel")),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_opcheck(name, arguments):
    differentiable = not name.endswith("backward")
    arguments = tuple(
        a.clone().requires_grad_(differentiable) if isinstance(a, torch.Tensor) and a.is_floating_point() else a
        for a in arguments
    )
    found = opcheck(getattr(torch.ops.fastlec, name).default, arguments)
    assert set(found.values()) == {"SUCCESS"}
    assert len(found) == 4


def test_arrays_in_place_where_they_can_be(rng):
    """Contiguous tensors are read as they lie, others through copies; none is written to."""
    x = torch.from_numpy(rng.standard_normal((6, 5)))
    for t in (x, x.T.contiguous().T, x.repeat_interleave(2, 1)[:, ::2]):
        before = t.clone()
        torch.testing.assert_close(ops.softmax(t), torch.softmax(x, -1), rtol=1e-13, atol=0)
        assert torch.equal(t, before)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: ops.softmax(torch.ones(2, 2).half()), TypeError, r"x has dtype torch\.float16; expected torch\.float32 or"),
    (lambda: ops.conv2d(X, W.float()), TypeError, r"W has dtype torch\.float32; expected torch\.float64, that of x"),
    (lambda: ops.conv2d(X, W[:, :2]), ValueError, r"W has shape"),
    (lambda: ops.conv2d(X, W, padding="same", stride=2), ValueError, 'padding is "same" and stride is'),
    (lambda: ops.conv2d(X, W, stride=0), ValueError, "stride is 0"),
    (lambda: ops.dense(M, M, activation="relu6"), ValueError, "activation is 'relu6'"),
    (lambda: ops.dense(M, M[:, :2]), ValueError, "x has samples of shape"),
    (lambda: ops.dense(M, B), (ValueError, RuntimeError), "W has shape"),
    (lambda: ops.softmax_cross_entropy(M, M.clone().requires_grad_()), TypeError, "labels requires grad"),
    (lambda: ops.softmax_cross_entropy(M, torch.tensor([0, 1, 2, 3])), ValueError, "labels has values from 0 to 3"),
    (lambda: ops.filter2d(M, M, mode="other"), ValueError, "mode is 'other'"),
    (lambda: ops.filter2d(B, M), ValueError, "image has shape"),
    (lambda: ops.softmax(M.to_sparse()), NotImplementedError, "fastlec::softmax"),
])  # fmt: skip
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_autocast_is_refused():
    with torch.autocast("cpu"), pytest.raises(RuntimeError, match=r"torch\.autocast is on for the CPU"):
        ops.softmax(M)


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(ops, extraglobs={"fastlec": fastlec}) == (0, 17)


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
@pytest.mark.parametrize("shape", [(5, 6), (1, 4), (3, 2, 3)], ids=str)
@pytest.mark.parametrize("size", [(3, 3), (4, 2), (1, 5), (8, 9)], ids=str)
def test_the_derivative_of_filter2d(mode, shape, size, rng):
    """<v, filter2d(image, kernel)> by unit images and kernels, also larger than the image."""
    image, kernel, v = rng.standard_normal(shape), rng.standard_normal(size), rng.standard_normal(shape)
    found = fastlec.filters.filter2d_jac_tmv(v, image, kernel, mode=mode)
    units = np.eye(image.size).reshape(-1, *shape)
    by_image = [(v * fastlec.filter2d(unit, kernel, mode=mode)).sum() for unit in units]
    by_kernel = [(v * fastlec.filter2d(image, unit, mode=mode)).sum() for unit in np.eye(kernel.size).reshape(-1, *size)]
    np.testing.assert_allclose(found["image"].ravel(), by_image, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["kernel"].ravel(), by_kernel, rtol=0, atol=1e-12)
