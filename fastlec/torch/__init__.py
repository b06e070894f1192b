"""fastlec in PyTorch: layers and networks in autograd and as modules, models from one to the other, operators for torch.compile.

It needs PyTorch, the extra ``torch``. Arrays and tensors of the CPU share memory: x, the parameters of a layer, and v go in as they
lie where they are contiguous, and what a layer of fastlec's own computes comes out as it lies.
"""

try:
    from torch.autograd import forward_ad as _  # noqa: F401, which a folder of the name torch has not
except ImportError as error:
    raise ImportError("fastlec.torch needs PyTorch: pip install 'fastlec[torch]'") from error

from . import ops
from .convert import from_torch, to_torch
from .functions import function
from .modules import Concat, Module, Sum

__all__ = ["Concat", "Module", "Sum", "from_torch", "function", "ops", "to_torch"]
