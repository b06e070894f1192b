"""What every contender is: a library, and the methods by which it offers the operations of the cases."""

import importlib
import os
from types import MappingProxyType

import numpy as np

from ..clock import per_call
from ..images import Images
from ..kinds import FAMILY, SEED


class Peer:
    """name : as shown. module : what to import. HELD : instruction set -> the environment variables that hold the library to it,
    empty where it has no such switch. NOT_HELD : the cases that these do not hold and `offered` leaves out, in words."""

    name = module = NOT_HELD = None
    HELD = MappingProxyType({})
    held = False  # whether the environment holds it

    def __init__(self, threads):
        """ImportError if it is not installed."""
        self.threads = threads
        self.lib = importlib.import_module(self.module)
        self.version = getattr(self.lib, "__version__", "unknown")

    def offered(self, case):
        """The method for the case, or None if the library offers no such thing."""
        return getattr(self, case.op, None) or getattr(self, FAMILY.get(case.op, ""), None)

    def prepare(self, case, dtype, mode):
        """As `build`, of inputs made here, if they are needed."""
        return self.build(case, case.make(np.random.default_rng(SEED), dtype), mode) if self.offered(case) else None

    def build(self, case, inputs, mode):
        """The function to time, or None if the library offers no such thing. mode : "reused" or "fresh" results."""
        method = self.offered(case)
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
        return case.result(result) if case.op in ("dropout", "least_squares") else result

    def forget(self):
        """Drops what was compiled for the last case."""


class ImagesOnly:
    """A contender who has something of its own for images alone."""

    def offered(self, case):
        return super().offered(case) if isinstance(case, Images) else None


def fastest(*calls, times=5):
    """The fastest of some ways to the same result, each called so many times."""
    for call in calls:
        call()
    return min(calls, key=lambda call: min(per_call(call, 1) for _ in range(times)))


def added(name, value):
    """The value of an environment variable that is a list, with one entry more."""
    return f"{os.environ.get(name, '')} {value}".strip()


def flat(parts):
    """All arrays, each in C order, as one."""
    return np.concatenate([np.asarray(part).ravel() for part in parts])
