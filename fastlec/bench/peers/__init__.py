"""The contenders: fastlec and every library that offers the same work, each as fast as its users can make it. One file a library.

A peer's method named after an operation takes the case, its inputs and `out` (an array for the result, or None where a new one
is to be made) and returns a function of no arguments that does the work once; `Peer.build` finds it. What is not the work itself
happens before: sessions and graphs are built, arrays put where the library wants them, constants made. All get the same arrays,
samples as rows; results are arrays in the case's dtype.

Gradients are written by hand wherever that beats the library's own: those of JAX and PyTorch take half the time of automatic ones.
Losses come from the probabilities, -log p_y, wherever that is faster than log-softmax: it is unsafe where p_y underflows, which the
inputs here do not reach, and in the peers' favour.

A new library is a file with a subclass of `base.Peer` and an entry in PEERS.
"""

from .base import Peer
from .copy import Copy
from .faiss import Faiss
from .fastlec import Fastlec
from .jax import JAX, JAXNHWC
from .laplace import Laplace
from .least_squares import JAXopt, Optimistix
from .numpy import NumPy
from .onnx import ONNXRuntime
from .opencv import OpenCV
from .scipy import SciPy
from .sklearn import ScikitLearn
from .torch import PyTorch, PyTorchAutograd, PyTorchChannelsLast, PyTorchCompiled

__all__ = ["PEERS", "Copy", "Fastlec", "NumPy", "Peer", "SciPy", "named"]

PEERS = (
    Fastlec,
    NumPy,
    SciPy,
    ScikitLearn,
    Faiss,
    OpenCV,
    PyTorch,
    PyTorchChannelsLast,
    PyTorchAutograd,
    PyTorchCompiled,
    JAX,
    JAXNHWC,
    JAXopt,
    Optimistix,
    Laplace,
    ONNXRuntime,
)


def named(name):
    """The class of the contender of this name, or of the copy."""
    return next(kind for kind in (*PEERS, Copy) if kind.name == name)
