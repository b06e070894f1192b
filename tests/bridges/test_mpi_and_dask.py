"""Ranks of MPI and of Dask: all that `on_ranks` asks, and how they end."""

import re
import shutil
import signal
import sys
import time

import numpy as np
import pytest
import ranks
from command import COMMAND, run, save_digits
from interpreter import finished, started
from on_ranks import OnRanks

needs_mpi = pytest.mark.skipif(shutil.which("mpiexec") is None, reason="there is no mpiexec")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="which rank was lost is told on Linux alone")


@needs_mpi
class TestMpi(OnRanks):
    @staticmethod
    def start(function, n, *arguments):
        pytest.importorskip("mpi4py")
        return ranks.run_mpi(function, n, *arguments)


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of processes on this machine."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    import distributed

    with distributed.Client(cluster) as client:
        client.wait_for_workers(3)
        yield client


class TestDask(OnRanks):
    @pytest.fixture(autouse=True)
    def starts(self, client):
        from fastlec import dask

        workers = sorted(client.nthreads())
        self.start = lambda function, n, *arguments: dask.run(client, function, *arguments, workers=workers[:n])


def test_blocks_of_dask_are_divided_in_their_order(client):
    import dask.array as da
    from dask import delayed

    from fastlec import dask

    X = np.arange(40.0).reshape(10, 4)
    chunks = da.from_array(X, chunks=(3, 2))
    parts = [delayed(np.full)(2, i) for i in range(4)]
    found = dask.run(client, ranks.given, chunks, parts, "as it is", workers=None)
    np.testing.assert_array_equal(np.concatenate([own for own, _, _ in found]), X)
    assert [len(own) for own, _, _ in found] == [3, 3, 4]
    assert [[int(a[0]) for a in own] for _, own, _ in found] == [[0], [1], [2, 3]]
    assert {word for _, _, word in found} == {"as it is"}
    with pytest.raises(ValueError, match=r"collections have \[3, 4\] blocks"):
        dask.run(client, ranks.given, chunks, parts[:3], "")
    workers = sorted(client.nthreads())
    with pytest.raises(ValueError, match="there are 1 blocks for 2 workers"):
        dask.run(client, ranks.given, chunks.rechunk((10, 4)), [], "", workers=workers[:2])
    with pytest.raises(ValueError, match="workers has 'nowhere'"):
        dask.run(client, ranks.given, 1, 2, 3, workers=["nowhere"])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "rank 1 has failed: ZeroDivisionError: on purpose"),
        ("nan", "training diverged at epoch 2, step 9: the loss of rank 1 is nan"),
        ("is killed", "rank 1 was lost with its worker"),
    ],
)
def test_a_rank_of_dask_that_fails_ends_all(client, how, said):
    from fastlec import dask

    with pytest.raises(dask.RankError, match=said):
        dask.run(client, ranks.fails, how, 1)


@needs_mpi
@on_linux
@pytest.mark.timeout(900)
def test_ranks_of_mpi_that_are_killed_leave_a_whole_checkpoint(tmp_path):
    pytest.importorskip("mpi4py")

    def start(*arguments):
        return ranks.run_mpi(*arguments, fails=True)

    for rank, done in ranks.killed_again_and_again(start, tmp_path):
        assert done.returncode
        assert f"fastlec: rank {rank} was lost; ranks: 0 is process" in done.stderr


@needs_mpi
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "RankError: rank 1 has failed: ZeroDivisionError: on purpose"),
        ("nan", "training diverged at epoch 2, step 9: the loss of rank 1 is nan"),
        pytest.param("is killed", r"^fastlec: rank 1 was lost; ranks: 0 is process \d+ on .*, 2 is process", marks=on_linux),
    ],
)
def test_a_rank_of_mpi_that_fails_ends_all(how, said):
    pytest.importorskip("mpi4py")
    done = ranks.run_mpi(ranks.fails, 3, how, 1, fails=True)
    assert done.returncode
    assert re.search(said, done.stderr, re.M)
    assert how == "is killed" or "was lost" not in done.stderr


# --- the command line --------------------------------------------------------------------------------------------------


TRAIN = ["train", "--data", "digits.npz", "--model", "mlp", "--depth", "1", "--width", "8"]


def command(*arguments, n=2):
    """mpiexec that starts the command n times."""
    return ["mpiexec", "-n", str(n), *COMMAND, *arguments]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pytest.importorskip("mpi4py")
    monkeypatch.chdir(tmp_path)
    save_digits("digits.npz", slice(200))
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def complaints(text):
    return [line for line in text.splitlines() if line.startswith("fastlec:")]


@needs_mpi
def test_ranks_of_a_command_print_and_write_once(folder, capsys):
    done = finished(command(*TRAIN, "--epochs", "2", "--checkpoint", "run.npz"))
    assert done.returncode == 0, done.stderr
    assert re.match(r"ranks: 0 is process \d+ on \S+, 1 is process \d+ on \S+\n", done.stdout)
    for once in ("digits.npz: 200 x 64", "epoch 1/2", "epoch 2/2", "saved to model.npz"):
        assert done.stdout.count(once) == 1
    assert names(folder) == ["digits.npz", "model.npz", "run.npz"]
    code, out, _ = run(capsys, "predict", "model.npz", "digits.npz")
    assert code == 0
    assert "of 200 samples" in out
    for n, epochs in ((3, "3"), (1, "4")):  # other ranks go on, and one process
        options = [*TRAIN, "--epochs", epochs, "--checkpoint", "run.npz", "--resume"]
        done = finished(command(*options, n=n))
        assert done.returncode == 0, done.stderr
        assert f"epoch {epochs}/{epochs}" in done.stdout
        assert "epoch 2/" not in done.stdout
    assert names(folder) == ["digits.npz", "model-2.npz", "model-3.npz", "model.npz", "run.npz"]


@needs_mpi
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["train", "--data", "nothing.npz"], "fastlec: nothing.npz: there is no such file or folder"),
        ([*TRAIN, "--checkpoint", "run.npz", "--resume"], "fastlec: Invalid value: --resume: there is no file run.npz"),
        (["train", "--epochs", "few"], "fastlec: Invalid value for '--epochs': "),
    ],
)
def test_ranks_of_a_command_that_cannot_begin_say_so_once(options, said, folder):
    done = finished(command(*options))
    assert done.returncode
    (line,) = complaints(done.stderr)
    assert line.startswith(said)
    assert names(folder) == ["digits.npz"]


@needs_mpi
def test_one_rank_of_a_command_that_fails_is_named(folder):
    done = finished([*command(*TRAIN, n=1), ":", *command("train", "--data", "nothing.npz", n=1)[1:]])
    assert done.returncode
    (line,) = complaints(done.stderr)
    assert line.startswith("fastlec: rank 1 has failed: ")
    assert "nothing.npz" in line
    assert names(folder) == ["digits.npz"]


@needs_mpi
def test_ctrl_c_ends_all_ranks_of_a_command(folder):
    with started(command(*TRAIN, "--epochs", "1000000", "--checkpoint", "run.npz")) as mpiexec:
        while not (folder / "run.npz").exists():
            assert mpiexec.poll() is None
            time.sleep(0.01)
        mpiexec.send_signal(signal.SIGINT)
        _, err = mpiexec.communicate(timeout=10)
    assert mpiexec.returncode
    assert complaints(err) == ["fastlec: interrupted"]
    assert names(folder) == ["digits.npz", "run.npz"]
