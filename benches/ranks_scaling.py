"""Steps of training on several ranks: a model of their time, fitted on 1 and 2 ranks of this machine, and what it says of more.

    python benches/ranks_scaling.py [--rounds 10] [--latency US --bandwidth GB_PER_S]

Weak scaling: each rank has the same samples of a step, whatever the number of ranks P. With t1 the time of a step of one rank and V
the bytes of theta,

    t(P) = t1 max(1, P / cores) + latency ceil(log2 P) + 2 (P - 1) / P V / bandwidth

as a sum takes in a tree of messages, or in pieces that each rank sums a share of. Latency and bandwidth are those of two ranks
here, by least squares over the sizes of networks; with --latency and --bandwidth, those of a cluster's network. Not in it: ranks
that wait for a slower one, what they share of memory's bandwidth, and sums during the backward pass (ranks_buckets.py).
"""

import argparse
import math
import os
import time

os.environ |= dict.fromkeys(("FASTLEC_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import numpy as np  # it reads the environment

import fastlec

# width of two hidden layers, and samples of a step on each rank
SIZES = [(64, 64), (256, 64), (256, 512), (512, 256), (1024, 64), (512, 1024), (1024, 512)]
STEPS = 8  # of an epoch


def network(width, depth=1):
    layers = [fastlec.Dense(64, width, "relu", dtype="float32")]
    layers += [fastlec.Dense(width, width, "relu", dtype="float32") for _ in range(depth)]
    return fastlec.Network([*layers, fastlec.Dense(width, 10, "identity", dtype="float32")], rng=0)


def steps(comm, rounds):
    """The seconds of a step for each size, of rank 0 while the others wait and of all ranks together, by turns; the least of all
    rounds, which other work on the machine disturbs least; and those of a sum of 64 KiB."""
    rng = np.random.default_rng(comm.rank)
    data = []
    for width, batch in SIZES:
        X, y = rng.standard_normal((STEPS * batch, 64), np.float32), rng.integers(10, size=STEPS * batch)
        data.append((network(width), X, y, batch))
    found = np.full((2, len(SIZES)), np.inf)
    for _ in range(rounds):
        for i, (net, X, y, batch) in enumerate(data):
            if comm.rank == 0:
                found[0, i] = min(found[0, i], step_seconds(net, X, y, batch))
            comm.allreduce(np.zeros(1))  # the others wait for rank 0
            found[1, i] = min(found[1, i], step_seconds(net, X, y, comm.size * batch, comm=comm))
    return found, [net.theta.nbytes for net, *_ in data], min(_sum_seconds(comm) for _ in range(300))


def step_seconds(net, X, y, batch_size, **comm):
    """The least of the steps of three epochs."""
    began = {}  # the update of each step, for which the rate is asked last

    def rate(step):
        began[step] = time.perf_counter()
        return 1e-3

    fastlec.fit(net, X, y, batch_size=batch_size, epochs=3, optimizer=fastlec.SGD(rate), **comm)
    return float(np.diff(list(began.values())).min())


def _sum_seconds(comm):
    array = np.ones(1 << 14, np.float32)
    began = time.perf_counter()
    comm.allreduce(array)
    return time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--latency", type=float, help="of a message, in microseconds")
    parser.add_argument("--bandwidth", type=float, help="of a link, in GB/s")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    times, alone, sums = {}, np.inf, {}
    for ranks in (2, 3):
        found = fastlec.shared.run(steps, ranks, given.rounds)
        alone = np.minimum(alone, found[0][0][0])
        times[ranks] = np.max([own[1] for own, *_ in found], axis=0)
        sums[ranks] = max(least for *_, least in found)
    times[1], volume = alone, np.array(found[0][1])
    # relative errors count: the sizes' times are orders of magnitude apart
    A, excess = np.stack([np.ones(len(volume)), volume], axis=1), times[2] - times[1] * max(1, 2 / cores)
    latency, per_byte = np.maximum(np.linalg.lstsq(A / times[2][:, None], excess / times[2])[0], 0)
    print(f"{cores} cores; a rank has one thread; float32. A sum of 64 KiB takes {1e6 * sums[2]:.0f} us on 2 ranks")
    print(f"fitted to 2 ranks: latency {1e6 * latency:.0f} us, bandwidth {1e-9 / max(per_byte, 1e-15):.2f} GB/s")

    def model(ranks, latency, per_byte, cores):
        messages = math.ceil(math.log2(ranks))
        return times[1] * max(1, ranks / cores) + latency * messages + 2 * (ranks - 1) / ranks * volume * per_byte

    print("\nwidth  batch   theta  1 rank   2 ranks  of ideal  3 ranks (model, error)")
    predicted = model(3, latency, per_byte, cores)
    for i, (width, batch) in enumerate(SIZES):
        t1, t2, t3 = (1e3 * times[ranks][i] for ranks in (1, 2, 3))
        text = f"{width:5d} {batch:6d} {volume[i] / 1e6:5.2f}MB {t1:6.2f}ms {t2:7.2f}ms {t1 / t2:8.0%}"
        print(f"{text}  {t3:8.2f}ms ({1e3 * predicted[i]:.2f}ms, {predicted[i] / times[3][i] - 1:+.0%})")
    if given.latency is not None:
        latency = 1e-6 * given.latency
    if given.bandwidth is not None:
        per_byte = 1e-9 / given.bandwidth
    links = f"{1e6 * latency:.0f} us and {1e-9 / max(per_byte, 1e-15):.2f} GB/s between any two"
    print(f"\npredicted, each rank on a core of its own, {links}:")
    print("width  batch   16 ranks of ideal  256 ranks of ideal")
    many = {ranks: model(ranks, latency, per_byte, ranks) for ranks in (16, 256)}
    for i, (width, batch) in enumerate(SIZES):
        shown = (f"{1e3 * t[i]:9.2f}ms {times[1][i] / t[i]:8.0%}" for t in many.values())
        print(f"{width:5d} {batch:6d} {' '.join(shown)}")


if __name__ == "__main__":
    main()
