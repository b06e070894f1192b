"""Steps of training on two ranks whose gradient is summed in one piece, and in buckets while the backward pass goes on, by turns.

    python benches/ranks_buckets.py [--rounds 10] [--latency 20 --bandwidth 1.25]
    mpiexec -n 2 python benches/ranks_buckets.py --mpi [--rounds 10]

The first has a link that is made up: a sum of n bytes ends latency + n / bandwidth (microseconds, GB/s) after it has begun, and
after the one before, and needs no core until then. So it shows the most that buckets can bring on such a link; ranks_scaling.py
tells what the sum itself costs. The second asks MPI on this machine, where the ranks' own cores move the bytes.
"""

import argparse
import time

from ranks_scaling import STEPS, network, step_seconds  # which sets the number of threads

import numpy as np  # isort: skip
from fastlec import shared  # isort: skip

# width and number of hidden layers, and samples of a step on each rank
SIZES = [(256, 1, 512), (1024, 1, 64), (512, 8, 64), (512, 8, 512), (1024, 4, 128)]


class Whole:
    """A communicator that cannot begin a sum."""

    def __init__(self, comm):
        self.rank, self.size, self.allreduce, self.fail = comm.rank, comm.size, comm.allreduce, comm.fail


class Linked(Whole):
    """A communicator over a link that is made up."""

    def __init__(self, comm, latency, per_byte):
        super().__init__(comm)
        self._sum, self._latency, self._per_byte, self._free = comm.allreduce, latency, per_byte, 0.0
        self.allreduce = lambda array: self.begin(array)()

    def begin(self, array):
        self._free = end = max(self._free, time.perf_counter()) + self._latency + array.nbytes * self._per_byte

        def wait():
            time.sleep(max(end - time.perf_counter(), 0))
            return self._sum(array)

        return wait


def compared(comm, rounds):
    """The seconds of a step, the least of all rounds: [in one piece, in buckets] for each size."""
    rng, found = np.random.default_rng(comm.rank), []
    for width, depth, batch in SIZES:
        net, X = network(width, depth), rng.standard_normal((STEPS * batch, 64), np.float32)
        y, ways = rng.integers(10, size=STEPS * batch), (Whole(comm), comm)
        times = [[step_seconds(net, X, y, comm.size * batch, comm=way) for way in ways] for _ in range(rounds)]
        found.append(np.min(times, axis=0))
    return found


def on_link(comm, rounds, latency, per_byte):
    return compared(Linked(comm, latency, per_byte), rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--latency", type=float, default=20, help="in microseconds")
    parser.add_argument("--bandwidth", type=float, default=1.25, help="in GB/s")
    parser.add_argument("--mpi", action="store_true", help="the ranks that mpiexec has started")
    given = parser.parse_args()
    if given.mpi:
        from fastlec.mpi import Comm

        found, link = compared(Comm(), given.rounds), "MPI"
        if Comm().rank:
            return
    else:
        found = shared.run(on_link, 2, given.rounds, 1e-6 * given.latency, 1e-9 / given.bandwidth)[0]
        link = f"a link of {given.latency:g} us and {given.bandwidth:g} GB/s that is made up"
    print(f"2 ranks of one thread, float32, {link}")
    print("width layers  batch   theta  one piece   buckets")
    for (width, depth, batch), (whole, buckets) in zip(SIZES, found, strict=True):
        size = network(width, depth).theta.nbytes / 1e6
        print(
            f"{width:5d} {depth:6d} {batch:6d} {size:5.2f}MB {1e3 * whole:8.2f}ms {1e3 * buckets:7.2f}ms ({whole / buckets:.2f})"
        )


if __name__ == "__main__":
    main()
