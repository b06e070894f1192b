"""One contender of a comparison: a process that prepares and times the cases of this folder in one library.

`processes` starts this file with the interpreter of an environment. Its first line of input is the plan, the arguments of `Worker`,
answered with the facts about the contender; each further line is one request. All of them are JSON, and so is the line with which
each is answered. For `fastlec bench --against` the environment may hold an older fastlec: so nothing here uses more of fastlec
than its public names, and the modules that describe the cases come from this folder, as a package of their own.
"""

import gc
import hashlib
import importlib
import json
import os
import platform
import sys
import types

PACKAGE = "fastlec_bench_cases"


class Worker:
    """The requests, one method each; every one returns what the answer holds."""

    def __init__(self, threads, smoke, contender="fastlec", held=False, path=None):
        """held : whether the environment holds the library to an instruction set. path : of imports, in place of the interpreter's
        own."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        sys.path[:] = path or sys.path
        self.np = importlib.import_module("numpy")
        package = types.ModuleType(PACKAGE)
        package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
        sys.modules[PACKAGE] = package
        self.cases = {case.name: case.at(smoke) for case in importlib.import_module(f"{PACKAGE}.cases").CASES}
        self.machine = importlib.import_module(f"{PACKAGE}.machine")
        self.per_call = importlib.import_module(f"{PACKAGE}.clock").per_call
        self.peer = importlib.import_module(f"{PACKAGE}.peers").named(contender)(threads)
        self.peer.held = held
        self.forget()
        gc.disable()
        gc.freeze()  # what the libraries hold need not be looked through after every case

    def facts(self):
        return {
            "version": self.peer.version,
            "folder": os.path.dirname(self.peer.lib.__file__),
            "isa": getattr(self.peer.lib, "isa", lambda: None)(),
            "python": platform.python_version(),
            "numpy": self.np.__version__,
        }

    def build(self, name, dtype, mode):
        """Makes the inputs and the function to time, and calls it once. Answers whether the library offers such a thing."""
        self.forget()
        self.case = self.cases[name]
        self.call = self.peer.prepare(self.case, dtype, mode)
        if self.call is not None:
            self.result = self.call()
        return {"offered": self.call is not None}

    def _arrays(self):
        """What the first call returned."""
        result = self.peer.arrays(self.case, self.result)
        return [self.np.asarray(part) for part in (result if isinstance(result, tuple) else (result,))]

    def bits(self):
        """A hash of what the first call returned."""
        bits = hashlib.blake2b()
        for part in self._arrays():
            bits.update(f"{part.shape} {part.dtype.str}".encode() + part.tobytes())
        return {"bits": bits.hexdigest()}

    def save(self, file):
        """Writes what the first call returned into an .npz file."""
        self.np.savez(file, *self._arrays())
        return {}

    def time(self, number, wake):
        """The seconds per call of `number` calls, after `wake` untimed ones."""
        self.result = None
        if wake:
            self.per_call(self.call, wake)
        return {"seconds": self.per_call(self.call, number)}

    def forget(self):
        """Drops all that belongs to the last case."""
        self.case = self.call = self.result = None
        self.peer.forget()
        gc.collect()
        return {}

    def gemm(self, dtype):
        return {"gemm": self.machine.gemm_peak(dtype)}


def main():
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if worker:
                answer = getattr(worker, request.pop("do"))(**request)
            else:
                worker = Worker(**request)
                answer = worker.facts()
        except Exception as error:  # the case may need what this version does not have, or fail in any way
            answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps(answer), file=channel, flush=True)


if __name__ == "__main__":
    main()
