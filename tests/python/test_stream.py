"""Samples that are read block by block, from every kind of source: results as in memory, of which no more is taken than stated."""

import threading
from pathlib import Path

import numpy as np
import pytest
from interpreter import output

import fastlec
from fastlec import _stream
from fastlec.data import Stream

M, N, K = 1000, 7, 3


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return rng.standard_normal((M, N)).astype(np.float32), rng.integers(0, K, M), rng.random(M)


def memmap(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


def files(X, folder):
    for i in range(4):
        np.save(folder / f"{i}.npy", X[i * M // 4 : (i + 1) * M // 4])
    return [folder / f"{i}.npy" for i in range(4)]


def archives(X, folder):
    for i in range(4):
        np.savez(folder / f"{i}.npz", X=X[i * M // 4 : (i + 1) * M // 4])
    return [str(folder / f"{i}.npz") for i in range(4)]


class Batches:
    """An iterable with a length, as loaders of other libraries are."""

    def __init__(self, X, y=None, size=150):
        self.X, self.y, self.size, self.passes = X, y, size, 0

    def __len__(self):
        return -(-len(self.X) // self.size)

    def __iter__(self):
        self.passes += 1
        for i in range(0, len(self.X), self.size):
            part = slice(i, i + self.size)
            yield self.X[part] if self.y is None else (self.X[part], self.y[part])


def hdf(X, folder):
    h5py = pytest.importorskip("h5py")
    file = h5py.File(folder / "X.h5", "w")
    return file.create_dataset("X", data=X, chunks=(100, N))


def zarr(X, folder):
    return pytest.importorskip("zarr").array(X, chunks=(100, N))


SOURCES = {
    "array": lambda X, folder: X,
    "memmap": memmap,
    "part of a memmap": lambda X, folder: memmap(np.concatenate([X[:100], X, X[:10]]), folder)[100:-10],
    "strided memmap": lambda X, folder: memmap(np.repeat(X, 2, axis=0), folder)[::2],
    "memmap by columns": lambda X, folder: memmap(np.asfortranarray(X), folder),
    "other byte order": lambda X, folder: memmap(X.astype(">f4"), folder),
    "files": files,
    "archives": archives,
    "batches": lambda X, folder: Batches(X),
    "hdf": hdf,
    "zarr": zarr,
}


@pytest.mark.parametrize("readers", [1, 3])
@pytest.mark.parametrize("kind", SOURCES)
def test_each_source_gives_its_samples(kind, readers, samples, tmp_path):
    X = samples[0]
    stream = Stream(SOURCES[kind](X, tmp_path), block_bytes=3000, readers=readers)
    assert stream.shape == X.shape
    assert stream.dtype == np.float32
    for _ in range(2):
        blocks = list(stream.blocks())
        assert len(blocks) == len(stream.starts) > 3
        assert [block.start for block in blocks] == stream.starts
        assert np.array_equal(np.concatenate([block.X for block in blocks]), X)
    which = np.array([3, 999, 3, 500, -1])
    assert np.array_equal(stream[which], X[which])
    assert np.array_equal(stream[7], X[7])
    assert np.array_equal(stream[90:700:7], X[90:700:7])
    assert np.array_equal(np.asarray(stream, np.float64), X.astype(np.float64))
    assert stream[:0].shape == (0, N)


def objectives(X, y, w):
    net = fastlec.Network([fastlec.Dense(N, 5, dtype="float32"), fastlec.Dense(5, K, "identity", dtype="float32")], rng=0)
    given = {"l2": 0.1, "sample_weight": w}
    return (
        fastlec.SoftmaxObjective(X, y, K, **given),
        fastlec.LogisticObjective(X, y > 0, fit_bias=False, **given),
        fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, **given),
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("i", range(3))
def test_objectives_are_those_of_the_samples_in_memory(i, weighted, samples):
    X, y, w = samples
    w = w * (w > 0.5) if weighted else None
    f, streamed = (objectives(a, y, w)[i] for a in (X, Stream(X, block_bytes=3000)))
    rng = np.random.default_rng(1)
    theta, v = rng.standard_normal((2, f.n_params))
    calls = [
        lambda f: f.value(theta),
        lambda f: f.gradient(theta),
        lambda f: f.hessian_mv(theta, v),
        lambda f: f.hessian_operator(theta) @ np.stack([v, theta], axis=1),
        lambda f: f.value(theta, batch=np.arange(0, M, 3)),
        lambda f: f.gradient(theta, batch=slice(3, 90)),
    ]
    if i < 2:
        calls += [lambda f: f.hessian(theta), lambda f: f.predict_proba(theta), lambda f: f.data_gradient(theta)]
        calls += [lambda f: f.predict_proba(theta, Stream(X[:99])), lambda f: f.predict_proba(theta, X[:99])]
    else:
        calls += [
            lambda f: f.gauss_newton_mv(theta, v),
            lambda f: f.gauss_newton_matrix(theta),
            lambda f: f.sample_gradients(theta),
        ]
        calls += [lambda f: f.sample_gradient_norms(theta), lambda f: fastlec.gauss_newton(f, theta, max_iter=3).cost]
    for call in calls:
        expected = np.asarray(call(f))
        assert np.allclose(call(streamed), expected, rtol=2e-5, atol=2e-6 * abs(expected).max())


def test_the_sum_over_blocks_is_the_same_for_any_number_of_readers(samples):
    X, y, _ = samples
    for i in range(3):
        found = [objectives(Stream(X, block_bytes=3000, readers=r), y, None)[i] for r in (1, 4)]
        theta = np.full(found[0].n_params, 0.1)
        assert np.array_equal(found[0].gradient(theta), found[1].gradient(theta))


def test_kept_points_and_those_computed_anew_give_the_same(samples, monkeypatch):
    X, y, _ = samples
    monkeypatch.setattr("fastlec.training.linearized.KEPT_BYTES", 1)
    f, streamed = (objectives(a, y, None)[2] for a in (X, Stream(X, block_bytes=3000)))
    theta = np.full(f.n_params, 0.1)
    at = streamed.at(theta)
    assert sum(point is not None for point in at._points) == 1
    assert np.allclose(at.gradient, f.gradient(theta), atol=1e-6)
    for reduction in ("mean", "sum"):
        found, expected = (g.hessian_operator(theta, reduction=reduction) @ theta for g in (streamed, f))
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


def test_predictions(samples):
    X, y, _ = samples
    net = objectives(X, y, None)[2].net
    for other in (Stream(X, block_bytes=3000), Batches(X)):
        assert np.array_equal(net.predict(other), net.predict(X))
        assert np.allclose(net.predict_proba(other), net.predict_proba(X), atol=1e-6)


class Seen(fastlec.MeanSquaredError):
    """A loss that notes which targets the steps have."""

    def __init__(self):
        self.seen = []

    def value_and_gradient(self, output, y, sample_weight=None):
        self.seen.extend(y.ravel().tolist())
        return super().value_and_gradient(output, y, sample_weight)


def regression():
    return fastlec.Network([fastlec.Dense(N, 4, dtype="float32"), fastlec.Dense(4, 1, "identity", dtype="float32")], rng=0)


@pytest.mark.parametrize("in_order", [False, True])
def test_an_epoch_sees_each_sample_once_shuffled_by_blocks_and_within_them(in_order, samples):
    X, targets, loss = samples[0], np.arange(M), Seen()
    stream = Stream(Batches(X)) if in_order else Stream(X, block_bytes=4200)  # 150 samples
    fastlec.fit(regression(), stream, targets, loss=loss, batch_size=64, epochs=2, optimizer=fastlec.SGD(1e-9))
    first, second = (np.array(loss.seen[i * M : i * M + M], int) for i in range(2))
    assert len(loss.seen) == 2 * M
    assert np.array_equal(np.sort(first), targets)
    assert not np.array_equal(first, second)
    of_block = first // 150
    blocks = of_block[np.flatnonzero(np.diff(of_block, prepend=-1))]
    assert len(blocks) == 7  # each once
    assert np.array_equal(blocks, np.arange(7)) == in_order
    assert not np.array_equal(first[:150], np.sort(first[:150]))


@pytest.mark.parametrize(
    "given", [{}, {"validation": 0.2}, {"sample_weight": True, "class_weight": "balanced", "validation": 0.3}]
)
def test_training_gives_the_same_for_any_number_of_readers_and_learns(given, samples):
    X, y, w = samples
    X = X + 3 * np.eye(K, N, dtype=np.float32)[y]
    given = given | ({"sample_weight": w} if "sample_weight" in given else {})

    def trained(X):
        net = fastlec.Network([fastlec.Dense(N, 8, dtype="float32"), fastlec.Dense(8, K, "identity", dtype="float32")], rng=0)
        return net, fastlec.fit(net, X, y, epochs=5, optimizer=fastlec.SGD(0.1, momentum=0.9), **given)

    (net, history), (other, again), (_, expected) = map(
        trained, (Stream(X, block_bytes=3000), Stream(X, block_bytes=3000, readers=4), X)
    )
    assert np.array_equal(net.theta, other.theta)
    assert history.train_loss == again.train_loss
    assert np.isclose(history.train_loss[-1], expected.train_loss[-1], rtol=0.1)
    if "validation" in given:
        assert history.val_loss == again.val_loss
        assert np.isclose(history.val_loss[-1], expected.val_loss[-1], rtol=0.15)
        assert history.val_accuracy[-1] > 0.9


def test_validation_samples_may_be_a_stream(samples):
    X, y, w = samples
    for given in ((), (w,)):
        histories = [
            fastlec.fit(objectives(X, y, None)[2].net, X, y, epochs=2, validation=(held_out, y, *given))
            for held_out in (X, Stream(X, block_bytes=3000))
        ]
        assert np.allclose(histories[0].val_loss, histories[1].val_loss, rtol=1e-6)
        assert histories[0].val_accuracy == histories[1].val_accuracy


def test_training_on_what_is_not_finite_leaves_the_network(samples):
    X, y, _ = samples
    X = X.copy()
    X[777, 3] = np.nan
    net = objectives(X[:9], y[:9], None)[2].net
    before = net.theta.copy()
    with pytest.raises(FloatingPointError, match=r"^X\[777, 3\] is nan"):
        fastlec.fit(net, Stream(X, block_bytes=3000), y, epochs=1)
    assert np.array_equal(net.theta, before)


def test_training_goes_on_from_a_checkpoint(samples, tmp_path):
    X, y, _ = samples
    whole, parts = objectives(X, y, None)[2].net, objectives(X, y, None)[2].net
    fastlec.fit(whole, Stream(X, block_bytes=3000), y, epochs=4)
    for epochs in (2, 4):
        fastlec.fit(parts, Stream(X, block_bytes=3000, readers=2), y, epochs=epochs, checkpoint=tmp_path / "c.npz")
    assert np.array_equal(whole.theta, parts.theta)
    with pytest.raises(fastlec.io.ModelError, match="its samples is"):
        fastlec.fit(parts, Stream(X + 1, block_bytes=3000), y, epochs=5, checkpoint=tmp_path / "c.npz")


def test_estimators(samples, tmp_path):
    sklearn = pytest.importorskip("fastlec.sklearn")
    X, y, w = samples
    X = X + 3 * np.eye(K, N, dtype=np.float32)[y]
    names = np.array(["a", "b", "c"])[y]
    net = sklearn.NetClassifier((8,), epochs=10, random_state=0, learning_rate=0.01)
    for made in (lambda: sklearn.SoftmaxClassifier(), lambda: sklearn.SoftmaxClassifier(solver="sgd"), lambda: net):
        found, expected = (made().fit(a, names, sample_weight=w) for a in (Stream(X, block_bytes=3000), X))
        assert np.array_equal(found.predict(Stream(X)), found.predict(X))
        assert np.mean(found.predict(X) == expected.predict(X)) > 0.99
        assert np.isclose(found.score(Stream(X, block_bytes=999), names), expected.score(X, names), rtol=0.01)
        assert found.n_features_in_ == N
    found, expected = (sklearn.KMeans(K, random_state=0).fit(a) for a in (Stream(X, block_bytes=3000), X))
    assert np.isclose(found.inertia_, expected.inertia_, rtol=1e-3)
    assert np.allclose(found.transform(Stream(X, block_bytes=3000)), found.transform(X), atol=1e-5)
    assert np.isclose(found.score(Stream(X, block_bytes=3000)), found.score(X), rtol=1e-5)
    model = sklearn.NetRegressor((8,), epochs=3, random_state=0).fit(Stream(X), X @ np.ones(N))
    assert np.allclose(model.predict(Stream(X, block_bytes=3000)), model.predict(X), atol=1e-5)
    images, numbers = np.random.default_rng(0).random((40, 64)), np.arange(40) % 2
    model = sklearn.ConvNetClassifier((4,), epochs=1, random_state=0).fit(Stream(images, block_bytes=3000), numbers)
    assert np.allclose(model.predict_proba(Stream(images, block_bytes=3000)), model.predict_proba(images), atol=1e-6)
    model = sklearn.SoftmaxClassifier().fit(Batches(X, names), None)
    assert np.allclose(model.predict_proba(Batches(X)), model.predict_proba(X), atol=1e-6)
    with pytest.raises(ValueError, match="X has 2 features"):
        model.predict(Stream(X[:, :2]))
    with pytest.raises(TypeError, match=r"^y is None, and the stream X has no targets; expected targets$"):
        sklearn.SoftmaxClassifier().fit(Stream(X), None)


@pytest.mark.parametrize("weighted", [False, True])
def test_kmeans(weighted, samples):
    centers = np.array([[0] * N, [20] * N, [-20] * N])
    X, y, w = samples
    X, w = X + centers[y].astype(np.float32), w if weighted else None
    for given in ({}, {"algorithm": "bounds"}, {"batch_size": 50}):
        found = fastlec.kmeans(Stream(X, block_bytes=3000), K, rng=0, sample_weight=w, **given)
        expected = fastlec.kmeans(X, K, rng=0, sample_weight=w, **given)
        assert len(set(zip(found.labels.tolist(), y.tolist(), strict=True))) == K
        assert np.isclose(found.inertia, expected.inertia, rtol=0.02)
        assert np.array_equal(found.predict(Stream(X)), found.labels)


def test_targets_come_from_files_and_batches(samples, tmp_path):
    X, y, _ = samples
    for i in range(2):
        np.savez(tmp_path / f"{i}.npz", X=X[i * 500 : i * 500 + 500], y=y[i * 500 : i * 500 + 500])
    paths = [tmp_path / "0.npz", tmp_path / "1.npz"]
    theta = np.zeros(K * (N + 1))
    expected = fastlec.SoftmaxObjective(X, y, K).gradient(theta)
    for source in (paths, Batches(X, y), Stream(paths)):
        f = fastlec.SoftmaxObjective(source, None, K)
        assert np.array_equal(f.y, y)
        assert np.allclose(f.gradient(theta), expected, atol=1e-6)


def test_targets_that_are_missing(samples):
    X, net = samples[0], regression()
    for source, text in ((X, "^y is None; expected targets$"), (Stream(X), "^y is None, and the stream X has no targets")):
        for call in (fastlec.SoftmaxObjective, fastlec.LogisticObjective, lambda X, y: fastlec.fit(net, X, y)):
            with pytest.raises(TypeError, match=text):
                call(source, None)


@pytest.mark.parametrize("readers", [1, 3])
def test_blocks_are_read_ahead_and_no_more_than_stated(readers):
    held, most, lock, computing = 0, 0, threading.Lock(), threading.Event()

    class Rows:
        shape, dtype = (40, 2), np.dtype(np.float64)

        def __getitem__(self, part):
            nonlocal held, most
            with lock:
                held += 1
                most = max(most, held)
            if part.start:
                computing.set()
            return np.zeros((1, 2))

    for i, _ in enumerate(Stream(Rows(), block_bytes=1, readers=readers).blocks()):
        if i == 0:
            assert computing.wait(20)  # the next block is read while this one is in use
        with lock:
            held -= 1
    assert 2 <= most <= readers + 2


def test_an_error_of_a_source_ends_the_pass(samples):
    class Rows:
        shape, dtype = (40, 2), np.dtype(np.float64)

        def __getitem__(self, part):
            if part.start >= 20:
                raise OSError("the disk is gone")
            return np.zeros((1, 2))

    before = threading.active_count()
    f = fastlec.SoftmaxObjective(Stream(Rows(), block_bytes=16), np.arange(40) % 2)
    with pytest.raises(OSError, match="the disk is gone"):
        f.value(np.zeros(f.n_params))
    assert threading.active_count() == before


def test_what_is_not_finite_is_found(samples):
    X, y, _ = samples
    spoilt = X.copy()
    spoilt[777, 3] = np.inf
    f = fastlec.SoftmaxObjective(Stream(spoilt, block_bytes=3000), y, K)
    with pytest.raises(ValueError, match=r"^X\[777, 3\] is inf as float32"):
        f.value(np.ones(f.n_params))


def test_files_that_change_or_end_early(samples, tmp_path):
    X, y, _ = samples
    stream = Stream(memmap(X, tmp_path), block_bytes=3000)
    with open(tmp_path / "X.npy", "r+b") as file:
        file.truncate(5000)
    with pytest.raises(ValueError, match=r"^X: the file ends before sample \d+; expected 1000 samples$"):
        list(stream.blocks())
    batches = Batches(X, y)
    stream = Stream(batches)
    batches.y = y[::-1]
    with pytest.raises(ValueError, match=r"^batch 0 is another than in the first pass"):
        list(stream.blocks())


@pytest.mark.parametrize(
    ("X", "y", "error", "text"),
    [
        (3, None, TypeError, "X is 3; expected an array, an object with rows"),
        ([], None, ValueError, "X has no files or batches"),
        (["nothing.npy"], None, FileNotFoundError, "nothing.npy"),
        (["nothing.npz"], None, ValueError, "nothing.npz"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], None, ValueError, r"batch 1 holds float64 \(2, 4\); expected samples as in batch 0"),
        ([(np.zeros((2, 3)), np.zeros(3))], None, ValueError, r"batch 0: its targets have shape \(3,\); expected 2"),
        ([(np.zeros((2, 3)), np.zeros(2)), np.zeros((2, 3))], None, ValueError, "batch 1: its targets have none"),
        (np.zeros((4, 3)), np.zeros(3), ValueError, r"y has shape \(3,\); expected 4 targets"),
        (np.zeros((0, 3)), None, ValueError, r"X has shape \(0, 3\)"),
        (np.zeros((4, 3), complex), None, TypeError, "X has dtype complex128"),
        (np.float64(3), None, TypeError, "X is"),
    ],
)  # fmt: skip
def test_bad_sources(X, y, error, text):
    with pytest.raises(error, match=text):
        Stream(X, y)


def test_files_that_are_none(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"nothing of the kind")
    np.savez(tmp_path / "b.npz", Z=np.zeros(3))
    np.save(tmp_path / "c.npy", np.array([{}], object))
    with pytest.raises(ValueError, match=r"a\.npy: cannot be read as \.npy"):
        Stream([tmp_path / "a.npy"])
    with pytest.raises(ValueError, match=r"b\.npz: holds the arrays Z; expected X"):
        Stream([tmp_path / "b.npz"])
    with pytest.raises(ValueError, match=r"c\.npy: cannot be read as \.npy"):
        Stream([tmp_path / "c.npy"])


def test_large_files_are_streamed_and_small_ones_are_not(samples, tmp_path, monkeypatch):
    X, y, _ = samples
    mapped = memmap(X, tmp_path)
    assert isinstance(fastlec.SoftmaxObjective(mapped, y).X, np.ndarray)
    monkeypatch.setattr(_stream, "STREAMED_FROM", 1000)
    assert isinstance(fastlec.SoftmaxObjective(mapped, y).X, Stream)
    assert isinstance(fastlec.SoftmaxObjective(X, y).X, np.ndarray)  # in memory already
    stream = Stream(mapped)
    assert fastlec.SoftmaxObjective(stream, y).X is stream


def test_a_stream_of_a_stream_reads_its_samples_in_other_blocks(samples, tmp_path):
    X, y, _ = samples
    first = Stream(memmap(X, tmp_path), y, block_bytes=1 << 10).map(lambda x: 2 * x[:, :2]).astype(np.float32)
    other = Stream(first, block_bytes=1 << 20)
    assert len(other.starts) == 1 < len(first.starts)
    assert (other.shape, other.dtype) == (first.shape, first.dtype)
    assert np.array_equal(other[:], first[:])
    assert np.array_equal(other.y, y)
    assert np.array_equal(Stream(first, 1 - y).y, 1 - y)
    assert first.starts == Stream(first, block_bytes=1 << 10).starts


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells how much memory a process had")
def test_memory_stays_bounded(tmp_path):
    """Twice the limit is read, twice over; the limit leaves room for the interpreter, SciPy, and a few blocks."""
    code = f"""
        import resource
        from pathlib import Path
        import numpy as np
        import fastlec
        from fastlec.data import Stream
        X = np.lib.format.open_memmap({str(tmp_path / "X.npy")!r}, "w+", np.float32, (1_500_000, 100))  # 600 MB, of holes
        y = np.arange(len(X)) % 3
        del X
        resource.setrlimit(resource.RLIMIT_DATA, (300_000_000, resource.RLIM_INFINITY))
        X = np.load({str(tmp_path / "X.npy")!r}, mmap_mode="r")
        f = fastlec.SoftmaxObjective(Stream(X, block_bytes=1 << 23), y, 3)
        value, gradient = f.value_and_gradient(np.zeros(f.n_params))
        net = fastlec.Network([fastlec.Residual(100, dtype="float32"), fastlec.Dense(100, 3, "identity", dtype="float32")], rng=0)
        fastlec.fit(net, Stream(X, block_bytes=1 << 23), y, batch_size=1000, epochs=1)
        classes = net.predict(Stream(X, block_bytes=1 << 23))
        status = Path("/proc/self/status").read_text()
        peak = 1024 * int(status.split("VmHWM:")[1].split()[0])  # of this process alone, as getrusage does not have it
        print(abs(value - np.log(3)) < 1e-6, len(classes), peak < 300_000_000)
    """
    assert output(code) == "True 1500000 True"
