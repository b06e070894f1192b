"""Ranks of MPI and of Dask: all that `on_ranks` asks, and how they end."""

import re
import shutil

import numpy as np
import pytest
import ranks
from on_ranks import OnRanks

needs_mpi = pytest.mark.skipif(shutil.which("mpiexec") is None, reason="there is no mpiexec")


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
    with distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster:
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
@pytest.mark.timeout(900)
def test_ranks_of_mpi_that_are_killed_leave_a_whole_checkpoint(tmp_path):
    pytest.importorskip("mpi4py")

    def start(*arguments):
        return ranks.run_mpi(*arguments, fails=True)

    assert all(done.returncode for _, done in ranks.killed_again_and_again(start, tmp_path))


@needs_mpi
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "RankError: rank 1 has failed: ZeroDivisionError: on purpose"),
        ("nan", "training diverged at epoch 2, step 9: the loss of rank 1 is nan"),
        ("is killed", "EXIT CODE: 9|signal 9"),
    ],
)
def test_a_rank_of_mpi_that_fails_ends_all(how, said):
    pytest.importorskip("mpi4py")
    done = ranks.run_mpi(ranks.fails, 3, how, 1, fails=True)
    assert done.returncode
    assert re.search(said, done.stdout + done.stderr)
