"""What every contender is: a library, and the methods by which it offers the operations of the cases."""

import importlib

import numpy as np

from ..images import Images
from ..kinds import FAMILY


class Peer:
    """name : as shown. module : what to import."""

    name = module = None

    def __init__(self, threads):
        """ImportError if it is not installed."""
        self.threads = threads
        self.lib = importlib.import_module(self.module)
        self.version = getattr(self.lib, "__version__", "unknown")

    def build(self, case, inputs, mode):
        """The function to time, or None if the library offers no such thing. mode : "reused" or "fresh" results."""
        method = getattr(self, case.op, None) or getattr(self, FAMILY.get(case.op, ""), None)
        if method is None:
            return None
        reused = mode == "reused" and case.out_shape is not None
        out = self.take(np.empty(case.out_shape, inputs[0].dtype)) if reused else None
        return method(case, *map(self.take, inputs), out)

    def take(self, array):
        """The array as the library wants it."""
        return array

    def arrays(self, case, result):
        """What the function returned, as the case has it: where a library's images or parameters lie otherwise."""
        return result

    def forget(self):
        """Drops what was compiled for the last case."""


class ImagesOnly:
    """A contender who has something of its own for images alone."""

    def build(self, case, inputs, mode):
        return super().build(case, inputs, mode) if isinstance(case, Images) else None


def flat(parts):
    """All arrays, each in C order, as one."""
    return np.concatenate([np.asarray(part).ravel() for part in parts])
