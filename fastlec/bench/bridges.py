"""The kinds of benchmark cases about fastlec in PyTorch: a function and its gradient by autograd, whoever computes them."""

from dataclasses import dataclass
from importlib.util import find_spec

from fastlec import reference

from .images import Convolution, sums_tolerance
from .kinds import OPS as KINDS
from .kinds import CrossEntropy

HAS_TORCH = find_spec("torch") is not None


class _ByAutograd:
    """What both kinds share."""

    modes = ("fresh",)
    out_shape = None

    def expected(self, inputs):
        return OPS[self.op](self, *inputs)


@dataclass(frozen=True)
class ConvolutionGradient(_ByAutograd, Convolution):
    """A convolution forwards and backwards, by W and b, and by x unless x are images, with up to 3 channels. Inputs: x, W, b, v."""

    @property
    def first(self):
        return self.layer.n_in <= 3

    @property
    def flops(self):
        x_shape, layer = self.shape
        return (2 if self.first else 3) * x_shape[0] * layer.flops(x_shape[1:])

    def make(self, rng, dtype):
        x_shape, layer = self.shape
        return tuple(rng.standard_normal(shape, dtype=dtype) for shape in (x_shape, *layer.shapes, self.y_shape))

    @property
    def tolerance(self):
        """That of the gradient by W, in which most terms are added."""
        return sums_tolerance(self.shape[0][0] * self.y_shape[2] * self.y_shape[3])


@dataclass(frozen=True)
class LossGradient(_ByAutograd, CrossEntropy):
    """The loss and its gradient. Inputs: logits, labels."""


def by_autograd(function, leaves, v=None):
    """The call that computes function(*leaves) and its gradients by them, of arrays or tensors; of a number also that. Out of
    inference mode, where a process has it."""
    import torch

    with torch.inference_mode(False):
        leaves = [torch.as_tensor(a).detach().requires_grad_() for a in leaves]

    def work():
        with torch.inference_mode(False):
            y = function(*leaves)
            gradients = torch.autograd.grad(y, leaves, v)
            return (y.detach(), *gradients) if v is None else gradients

    return work


def convolution_by_autograd(case, conv2d, x, W, b, v):
    """`by_autograd` of a function with the arguments of PyTorch's conv2d."""
    import torch

    options = case.layer.options
    with torch.inference_mode(False):
        x, v = torch.as_tensor(x), torch.as_tensor(v)
    if case.first:
        return by_autograd(lambda W, b: conv2d(x, W, b, **options), (W, b), v)
    return by_autograd(lambda x, W, b: conv2d(x, W, b, **options), (x, W, b), v)


def _gradients(case, x, W, b, v):
    found = reference.conv2d_jac_tmv(v, x, W, **case.layer.options)
    return tuple(found[name] for name in ("x", "W", "b") if name != "x" or not case.first)


OPS = {"autograd_conv": _gradients, "autograd_cross_entropy": KINDS["cross_entropy"]} if HAS_TORCH else {}
