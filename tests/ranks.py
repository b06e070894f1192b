"""What ranks do in the tests of communicators, whatever starts them: functions of a communicator, and what the tests look at."""

import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import fastlec
import fastlec.curvature
import fastlec.training
from fastlec._comm import group_of

HERE = Path(__file__).parent


# --- what starts ranks -----------------------------------------------------------------------------------------------


def run_shared(function, n, *args):
    from fastlec import shared

    return shared.run(function, n, *args)


def run_mpi(function, n, *args, fails=False):
    """What the ranks give; with fails, the finished mpiexec, whatever its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "call").write_bytes(pickle.dumps((function.__name__, args)))
        command = ["mpiexec", "-n", str(n), sys.executable, str(HERE / "ranks.py"), folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        if fails:
            return done
        assert done.returncode == 0, done.stderr
        return [pickle.loads(Path(folder, str(rank)).read_bytes()) for rank in range(n)]


def _mpi_rank(folder):
    from mpi4py import MPI

    name, args = pickle.loads(Path(folder, "call").read_bytes())
    found = globals()[name](MPI.COMM_WORLD, *args)
    Path(folder, str(MPI.COMM_WORLD.rank)).write_bytes(pickle.dumps(found))


# --- sums ------------------------------------------------------------------------------------------------------------


def sums(comm, sizes):
    """Whether each rank has the sum of float64, float32 and int64 arrays, and their bytes."""
    from fastlec._comm import Group

    group, found = group_of(comm), []
    for size in sizes:
        for dtype in (np.float64, np.float32, np.int64):
            parts = [_numbers(size, rank).astype(dtype) for rank in range(group.size)]
            total = group.sum(parts[group.rank])
            if dtype == np.int64:
                assert np.array_equal(total, np.sum(parts, axis=0))
            else:
                eps = np.finfo(dtype).eps
                assert (
                    np.abs(total - np.sum(parts, axis=0, dtype=np.float64)) <= 4 * eps * np.sum(np.abs(parts), axis=0)
                ).all()
            found.append(total.tobytes())
    assert isinstance(group, Group)
    assert group.gather({"rank": group.rank}) == [{"rank": rank} for rank in range(group.size)]
    assert group.of_root(lambda: group.rank) == 0
    assert group.any(group.rank == group.size - 1)
    assert not group.any(False)
    spoilt = group.sum(np.array([np.nan if group.rank == 0 else 1.0, np.inf, 1.0]))
    assert np.isnan(spoilt[0])
    assert spoilt[1] == np.inf
    assert spoilt[2] == group.size
    return found


def _numbers(size, rank):
    return 1000 * np.random.default_rng(rank).standard_normal(size)


def disagree(comm):
    group = group_of(comm)
    try:
        group.agree({"a": 1, "b": group.rank})
    except ValueError as error:
        return str(error)
    return None


def given(comm, *arguments):
    return arguments


# --- training --------------------------------------------------------------------------------------------------------


def samples(m=203, features=6, classes=3, dtype=np.float64):
    rng = np.random.default_rng(0)
    y = rng.integers(classes, size=m)
    X = rng.standard_normal((classes, features))[y] + 0.7 * rng.standard_normal((m, features))
    return X.astype(dtype), y


def shard(rank, size, m):
    """Uneven shares of m samples: the first rank has most."""
    ends = [0, *(m * (size + 1 + rank) // (2 * size) for rank in range(size))]
    return slice(ends[rank], ends[rank + 1])


def network(kind, dtype=np.float64):
    fl = fastlec
    if kind == "plain":
        layers = [fl.Dense(6, 8, "tanh", dtype=dtype), fl.Dense(8, 3, "identity", dtype=dtype)]
    elif kind == "norm":
        branch = fl.Network([fl.Dense(8, 8, "identity", dtype=dtype), fl.BatchNorm(8, dtype=dtype)])
        body = fl.Sum([branch, fl.Dense(8, 8, "tanh", dtype=dtype)])
        first = [fl.Dense(6, 8, "identity", dtype=dtype), fl.BatchNorm(8, dtype=dtype), fl.Activation("tanh")]
        layers = [*first, body, fl.Dense(8, 3, "identity", dtype=dtype)]
    elif kind == "images":
        first = [fl.Conv2d(1, 4, 2, "identity", dtype=dtype), fl.BatchNorm2d(4, dtype=dtype), fl.Activation("relu")]
        layers = [*first, fl.Flatten(), fl.Dense(8, 3, "identity", dtype=dtype)]
    else:
        layers = [fl.Dense(6, 8, "tanh", dtype=dtype), fl.Dropout(0.3), fl.Dense(8, 3, "identity", dtype=dtype)]
    return fl.Network(layers, rng=0)


OPTIMIZERS = {
    "sgd": lambda: fastlec.SGD(0.1, momentum=0.9),
    "adam": lambda: fastlec.Adam(0.01),
    "clipped": lambda: fastlec.ClipNorm(fastlec.SGD(0.1), 0.1),
}


def trained(comm, kind, optimizer, dtype="float64", weighted=False, epochs=3, batch_size=40, aside=None, **more):
    """fit on uneven shards: everything that it leaves behind. aside : the first so many samples validate."""
    net, (X, y) = network(kind, dtype), samples(dtype=dtype)
    X = X.reshape(-1, 1, 2, 3) if kind == "images" else X
    own = shard(comm.rank, comm.size, len(X)) if comm else slice(None)
    weight = np.linspace(0.1, 3, len(X))[own] if weighted else None
    if aside:
        some = shard(comm.rank, comm.size, aside) if comm else slice(aside)
        more["validation"] = X[some], y[some]
    history = fastlec.fit(
        net,
        X[own],
        y[own],
        sample_weight=weight,
        optimizer=OPTIMIZERS[optimizer](),
        epochs=epochs,
        batch_size=batch_size,
        comm=comm,
        **more,
    )
    measured = {name: getattr(history, name) for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")}
    return net.theta.copy(), {name: a.copy() for name, a in net.buffers.items()}, measured, history.best_epoch, history.notes


def inside_an_epoch(comm, checkpoint, spoilt):
    """A training that is spoilt a step after a checkpoint inside its second epoch, or goes on from that: what is raised."""
    settings = {"loss": _SpoiltLoss(spoilt), "checkpoint": checkpoint, "checkpoint_steps": 8, "batch_size": 32}
    try:
        trained(comm, "plain", "sgd", **settings)
    except (FloatingPointError, fastlec.io.ModelError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def streamed_by_one(comm, checkpoint, epochs):
    """The losses of a training where rank 0 alone reads its samples from a Stream."""
    X, y = samples()
    own = shard(comm.rank, comm.size, len(X)) if comm else slice(None)
    X = fastlec.data.Stream(X[own], block_bytes=X[:30].nbytes) if comm and comm.rank == 0 else X[own]
    return fastlec.fit(network("plain"), X, y[own], epochs=epochs, checkpoint=checkpoint, comm=comm).train_loss


def trained_with(comm, kind, optimizer, more):
    return trained(comm, kind, optimizer, **more)


class Deferred:
    """A communicator whose sums that are begun are made no sooner than they are waited for."""

    def __init__(self, comm):
        self.comm, self.rank, self.size = comm, comm.rank, comm.size
        self.allreduce, self.fail = comm.allreduce, comm.fail

    def begin(self, array):
        return lambda: self.comm.allreduce(array)


def trained_in_buckets(comm, *arguments):
    """`trained`, the gradient summed in small buckets; and how many sums were begun in a step, of a batch of 40 out of 203."""
    from fastlec import _comm
    from fastlec.training import ranks

    begun, begin, bucket = [], _comm.Group.begin, ranks.BUCKET

    def counted(group, array):
        begun.append(array.size)
        return begin(group, array)

    comm = _comm.group_of(comm).comm
    try:
        _comm.Group.begin, ranks.BUCKET = counted, 64
        found = trained(comm if hasattr(comm, "begin") else Deferred(comm), *arguments)
    finally:
        _comm.Group.begin, ranks.BUCKET = begin, bucket
    return found, len(begun) / (3 * math.ceil(203 / 40))


def by_steps(size, kind, optimizer, dtype="float64", weighted=False, epochs=3, batch_size=40):
    """What `trained` gives on that many ranks, by steps of one process on the whole batches."""
    net, (X, y) = network(kind, dtype), samples(dtype=dtype)
    X = X.reshape(-1, 1, 2, 3) if kind == "images" else X
    weight = np.linspace(0.1, 3, len(X)) if weighted else np.ones(len(X))
    step = fastlec.training_step(net, fastlec.SoftmaxCrossEntropy(), OPTIMIZERS[optimizer](), len(X))
    rng, steps, losses = np.random.default_rng(0), math.ceil(len(X) / batch_size), []
    for _ in range(epochs):
        seed, parts, total = int(rng.integers(1 << 53)), [], 0.0
        for rank in range(size):
            own = np.arange(len(X))[shard(rank, size, len(X))]
            order = own[np.random.default_rng((seed, rank)).permutation(len(own))]
            parts.append(np.split(order, [len(own) * (t + 1) // steps for t in range(steps - 1)]))
        for batches in zip(*parts, strict=True):
            rows = np.concatenate(batches)
            total += len(rows) * step._on_weighted(X[rows], y[rows], weight[rows] / weight.mean() if weighted else None)
        losses.append(total / len(X))
    return net.theta, net.buffers, losses


# --- objectives ------------------------------------------------------------------------------------------------------


def objective(comm, kind, weighted, l2=1e-2):
    """An objective on uneven shards; comm None for that of all samples."""
    X, y = samples(90)
    own = shard(comm.rank, comm.size, len(X)) if comm else slice(None)
    weight = np.linspace(0.1, 3, len(X))[own] * (1e3 if weighted == "large" else 1) if weighted else None
    if kind == "softmax":
        return fastlec.SoftmaxObjective(X[own], y[own], l2=l2, sample_weight=weight, comm=comm)
    if kind == "logistic":
        return fastlec.LogisticObjective(X[own], y[own] > 0, l2=l2, sample_weight=weight, comm=comm)
    if kind == "ignored":
        loss = fastlec.SoftmaxCrossEntropy(ignore_index=9)
        y = np.where(np.arange(len(y)) % 5 == 0, 9, y)
        return fastlec.Objective(network("plain"), loss, X[own], y[own], l2=l2, sample_weight=weight, comm=comm)
    loss, targets = fastlec.SoftmaxCrossEntropy(), y
    if kind == "squares":
        loss, targets = fastlec.MeanSquaredError(), np.eye(3)[y]
    return fastlec.Objective(network("plain"), loss, X[own], targets[own], l2=l2, sample_weight=weight, comm=comm)


def derivatives(comm, kind, weighted):
    """{name: what an objective gives}, by methods that all ranks call."""
    f = objective(comm, kind, weighted)
    rng = np.random.default_rng(3)
    theta, v = rng.standard_normal((2, f.n_params))
    value, gradient = f.value_and_gradient(theta)
    found = {"value": value, "value alone": f.value(theta), "gradient": gradient, "product": f.hessian_mv(theta, v)}
    found["operator"] = f.hessian_operator(theta) @ v
    if kind in ("softmax", "logistic"):
        return found | {"hessian": f.hessian(theta)}
    found["of the sum"] = f.hessian_operator(theta, reduction="sum") @ v
    at = f.at(theta)
    found |= {"at": at.value, "its gradient": at.gradient, "gauss-newton": at.gauss_newton_mv(v)}
    found["matrix"] = f.gauss_newton_matrix(theta, reduction="sum")
    found["diagonal"] = f.gauss_newton_diagonal(theta)
    found["fisher"] = fastlec.curvature.empirical_fisher(f, theta)
    found["fisher operator"] = fastlec.curvature.empirical_fisher_operator(f, theta) @ v
    factors = fastlec.curvature.kronecker_factors(f, theta)
    found["factors"] = np.concatenate([a.ravel() for pair in factors.values() for a in pair])
    return found


def minimised(comm, kind, solver):
    """(theta, F) where a solver ends."""
    f = objective(comm, kind, True)
    theta = np.zeros(f.n_params) if kind in ("softmax", "logistic") else f.net.theta.copy()
    if solver in ("dense", "cg", "auto"):
        found = fastlec.gauss_newton(f, theta, solver=solver)
        return found.x, found.cost
    if solver in ("lbfgs", "newton-cg"):
        theta, _ = fastlec.training.minimize_scipy(f, theta, solver)
        return theta, f.value(theta)
    from scipy.optimize import minimize

    hessp = f.hessian_mv if solver == "Newton-CG" else None
    found = minimize(f.value_and_gradient, theta, jac=True, hessp=hessp, method=solver)
    return found.x, found.fun


def clustered(comm, weighted, **settings):
    """kmeans on uneven shards: (centers, inertia, iterations, the labels of the rank's own samples)."""
    X = 5 * np.random.default_rng(1).standard_normal((7, 4))[np.arange(3000) % 7]
    X += np.random.default_rng(2).standard_normal(X.shape)
    own = shard(comm.rank, comm.size, len(X)) if comm else slice(None)
    weight = np.linspace(0.1, 3, len(X))[own] if weighted else None
    if settings.get("init") == "far":  # two centers lose all samples
        settings["init"] = np.concatenate([X[:5], [[900.0] * 4, [-900.0] * 4]])
    elif settings.get("init") == "given":
        settings["init"] = X[:7]
    found = fastlec.kmeans(X[own], 7, rng=0, sample_weight=weight, comm=comm, **settings)
    return found.centers, found.inertia, found.n_iter, found.labels.copy()


def clusterings(comm, calls):
    return [clustered(comm, weighted, **settings) for weighted, settings in calls]


def out_of_step(comm):
    """What is said where ranks have other theta."""
    f = objective(comm, "softmax", False)
    try:
        f.value(np.full(f.n_params, float(comm.rank)))
    except ValueError as error:
        return str(error)
    return None


def several(comm, calls):
    """What functions of this module give, [(name, arguments)], one after the other."""
    return [globals()[name](comm, *arguments) for name, arguments in calls]


# --- failures --------------------------------------------------------------------------------------------------------


def fails(comm, how, rank, checkpoint=None):
    """A training of which one rank fails in its third epoch."""
    X, y = samples()
    own = shard(comm.rank, comm.size, len(X))

    def callback(progress):
        if progress.epoch == 2 and comm.rank == rank:
            if how == "raises":
                raise ZeroDivisionError("on purpose")
            if how == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)

    loss = _SpoiltLoss(comm.rank == rank) if how == "nan" else None
    fastlec.fit(
        network("plain"), X[own], y[own], loss=loss, epochs=10**6, comm=comm, callbacks=[callback], checkpoint=checkpoint
    )


def leaves(comm):
    os._exit(3)


def unlike(comm, what):
    """Ranks that do not fit together."""
    X, y = samples(40)
    own = slice(0, 2) if what == "few" and comm.rank else slice(None)
    epochs = 1 + comm.rank if what == "epochs" else 1
    fastlec.fit(network("plain"), X[own], y[own], batch_size=4, epochs=epochs, comm=comm)


class _SpoiltLoss:
    """A cross-entropy that becomes NaN on one rank."""

    def __init__(self, spoilt):
        self._spoilt, self._loss, self._calls = spoilt, fastlec.SoftmaxCrossEntropy(), 0

    def __repr__(self):
        return "SpoiltLoss()"

    def targets(self, y, shape, dtype):
        return self._loss.targets(y, shape, dtype)

    def value_and_gradient(self, output, y):
        self._calls += 1
        loss, gradient = self._loss.value_and_gradient(output, y)
        return (math.nan if self._spoilt and self._calls > 8 else loss), gradient


def long_training(comm, checkpoint, epochs, folder, pause=0.0):
    """A training with a checkpoint; the folder has the ranks' process ids, once they are ranks."""
    comm = group_of(comm)
    Path(folder, f"pid{comm.rank}").write_text(str(os.getpid()))
    net, (X, y) = network("norm"), samples()
    own = shard(comm.rank, comm.size, len(X))
    wait = [lambda _: time.sleep(pause)]
    history = fastlec.fit(net, X[own], y[own], epochs=epochs, comm=comm, checkpoint=checkpoint, callbacks=wait)
    return net.theta.copy(), history.train_loss


def killed_again_and_again(start, folder, times=20, n=2):
    """Kills a rank at random moments of a training that goes on from its checkpoint each time; what start(...) raises or gives goes
    to the list that is returned. In the end it is finished, and has the bits of one that was never stopped."""
    rng, checkpoint, ended, epochs = np.random.default_rng(), Path(folder, "run.npz"), [], 0
    for _ in range(times):
        for old in Path(folder).glob("pid*"):
            old.unlink()
        rank, delay, killed = int(rng.integers(n)), rng.uniform(0, 0.6), []
        killer = threading.Thread(target=_kill, args=(folder, n, rank, delay, killed))
        killer.start()
        try:
            ended.append((rank, start(long_training, n, checkpoint, 10**6, folder, 0.01)))
        except Exception as error:
            ended.append((rank, error))
        took = time.monotonic() - killed[0]
        killer.join()
        assert took < 10, "the other ranks have gone on"
        if checkpoint.exists():  # a whole one, and never an older one than before
            with np.load(checkpoint) as arrays:
                before, epochs = epochs, len(arrays["history.train_loss"])
            assert epochs >= before
    assert epochs
    resumed = run_shared(long_training, n, checkpoint, epochs + 2, folder)
    whole = run_shared(long_training, n, None, epochs + 2, folder)
    for (theta, losses), (expected, all_losses) in zip(resumed, whole, strict=True):
        assert np.array_equal(theta, expected)
        assert losses == all_losses
    return ended


def _kill(folder, n, rank, delay, killed):
    files = [Path(folder, f"pid{i}") for i in range(n)]
    while not all(file.exists() and file.read_text() for file in files):
        time.sleep(0.01)
    time.sleep(delay)
    killed.append(time.monotonic())
    os.kill(int(files[rank].read_text()), signal.SIGKILL)


if __name__ == "__main__":
    sys.modules["ranks"] = sys.modules["__main__"]  # what was pickled by the test is of that name
    sys.path.insert(0, str(HERE))
    _mpi_rank(sys.argv[1])
