"""Softmax regression and a residual network on a file larger than memory, against the same in memory and reading the file alone.

    python benches/larger_than_memory.py [--gigabytes 20] [--features 784] [--threads 1] [--rounds 3] [--folder .]

The file is written first, and removed in the end. For each task there are three times, taken by turns: that of reading the file
block by block alone; that of computing on as many samples in memory, those of one block over and over; and that of the task on the
stream. The ratio is the last to the longer of the others, once for the least times of all rounds and once for their medians. The
most memory that the process had is printed as well.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--gigabytes", type=float, default=20)
parser.add_argument("--features", type=int, default=784)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--folder", default=".")
given = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(given.threads)

import numpy as np  # noqa: E402  (it reads the environment)

import fastlec  # noqa: E402
from fastlec.data import Stream  # noqa: E402

CLASSES, PART, BATCH = 10, 20_000, 256


def written(path, m, n):
    """The file of m samples, part by part: random numbers, which no file system stores in less."""
    part = np.random.default_rng(0).standard_normal((PART, n), dtype=np.float32)
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (m, n)})
        for start in range(0, m, PART):
            file.write(np.roll(part, start // PART)[: m - start].data)
        file.flush()
        os.fsync(file.fileno())


def dropped(path):
    """Asks the system to forget what it has of the file in memory."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def residual_network(n):
    layers = [fastlec.Dense(n, 64, "tanh", dtype="float32"), fastlec.Residual(64, dtype="float32")]
    return fastlec.Network([*layers, fastlec.Dense(64, CLASSES, "identity", dtype="float32")], rng=0)


def main():
    n = given.features
    m = int(given.gigabytes * 1e9 / (4 * n))
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder, "X.npy")
        written(path, m, n)
        stream = Stream(np.load(path, mmap_mode="r"))
        block = next(stream.blocks()).X
        y = np.random.default_rng(1).integers(0, CLASSES, m)
        theta = np.zeros(CLASSES * (n + 1))
        passes = m / len(block)

        def softmax(X, y):
            fastlec.SoftmaxObjective(X, y, CLASSES).value_and_gradient(theta)

        def network(X, y):
            fastlec.fit(residual_network(n), X, y, batch_size=BATCH, epochs=1)

        def read():
            for _ in stream.blocks():
                pass

        print(f"{m} samples of {n} features, {given.gigabytes:g} GB, {given.threads} threads, {fastlec.isa()}")
        for task in (softmax, network):
            task(block, y[: len(block)])  # warm
            times = []
            for _ in range(given.rounds):
                dropped(path)
                alone = timed(read)
                in_memory = passes * statistics.median(timed(lambda: task(block, y[: len(block)])) for _ in range(20))  # noqa: B023
                dropped(path)
                times.append((alone, in_memory, timed(lambda: task(stream, y))))  # noqa: B023
            for what in min, statistics.median:
                alone, in_memory, streamed = map(what, zip(*times, strict=True))
                ratio = streamed / max(alone, in_memory)
                text = f"{task.__name__:8} {what.__name__:6} reading {alone:6.1f} s, in memory {in_memory:6.1f} s"
                print(f"{text}, streamed {streamed:6.1f} s: {ratio:.2f} times the longer", flush=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"most memory of the process: {peak:.2f} GB")


if __name__ == "__main__":
    main()
