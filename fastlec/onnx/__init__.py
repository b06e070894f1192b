"""ONNX files: networks of fastlec's as models that other programs run, and models from elsewhere as networks.

It needs the library onnx, the extra ``onnx``. Nothing is computed by it: it reads and writes the files alone.

writer                   export: what nodes each kind of layer becomes
reader, constants        load: the file, checked, as a graph; nodes of constants
node, operators, images  load: what layer, or function of arrays, each node becomes
model                    load: the `Network` of these, or a `Model` of a graph that is none
backend                  the interface of ONNX's own tests, `onnx.backend.base.Backend`
"""

try:
    from onnx import ModelProto as _of_onnx  # noqa: F401  # which a folder of the name onnx has not
except ImportError as error:
    raise ImportError("fastlec.onnx needs onnx: pip install 'fastlec[onnx]'") from error

from .backend import Backend
from .model import Model, load
from .writer import export

__all__ = ["Backend", "Model", "export", "load"]
