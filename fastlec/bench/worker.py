"""One side of `fastlec bench --against`: a process that runs the cases of this folder with the fastlec of its own environment.

`against` starts this file with the interpreter of either environment. Its first line of input is the plan, each further line one
request, which it answers with one line; all of them are JSON. The other environment may hold an older fastlec: so nothing here uses
more of fastlec than its public names, and the modules that describe the cases come from this folder, as a package of their own.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C, which the terminal sends to all processes, is for `against` to report

import gc  # noqa: E402
import hashlib  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
import types  # noqa: E402

PACKAGE = "fastlec_bench_cases"


class Worker:
    """The requests, one method each; every one returns what the answer holds."""

    def __init__(self, threads, smoke, path=None):
        """path : of imports, in place of the interpreter's own."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        sys.path[:] = path or sys.path
        self.fastlec, self.np = importlib.import_module("fastlec"), importlib.import_module("numpy")
        package = types.ModuleType(PACKAGE)
        package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
        sys.modules[PACKAGE] = package
        self.cases = {case.name: case.at(smoke) for case in importlib.import_module(f"{PACKAGE}.cases").CASES}
        self.per_call = importlib.import_module(f"{PACKAGE}.clock").per_call
        self.peer = importlib.import_module(f"{PACKAGE}.peers.fastlec").Fastlec(threads)
        gc.disable()

    def facts(self):
        return {
            "version": self.fastlec.__version__,
            "folder": os.path.dirname(self.fastlec.__file__),
            "isa": self.fastlec.isa(),
            "python": platform.python_version(),
            "numpy": self.np.__version__,
        }

    def build(self, name, dtype, mode):
        """Makes the inputs and the function to time, and calls it once. Answers with a hash of what it returned."""
        self.call = self.result = None
        gc.collect()
        case = self.cases[name]
        self.call = self.peer.build(case, case.make(self.np.random.default_rng(1), dtype), mode)
        result = self.peer.arrays(case, self.call())
        self.result = [self.np.array(part) for part in (result if isinstance(result, tuple) else (result,))]
        bits = hashlib.blake2b()
        for part in self.result:
            bits.update(f"{part.shape} {part.dtype.str}".encode() + part.tobytes())
        return {"bits": bits.hexdigest()}

    def save(self, file):
        """Writes what the first call returned into an .npz file."""
        self.np.savez(file, *self.result)
        return {}

    def time(self, number, wake):
        """The seconds per call of `number` calls, after `wake` untimed ones."""
        if wake:
            self.per_call(self.call, wake)
        return {"seconds": self.per_call(self.call, number)}


def main():
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    worker = Worker(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # the case may need what this version does not have, or fail in any way
            answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps(answer), file=channel, flush=True)


if __name__ == "__main__":
    main()
