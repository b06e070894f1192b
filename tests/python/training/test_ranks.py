"""Ranks over shared memory (`fastlec.shared`): all that `on_ranks` asks, and how they end."""

import re
import sys
import textwrap

import numpy as np
import pytest
import ranks
from interpreter import finished
from on_ranks import OnRanks

import fastlec
from fastlec import shared
from fastlec._comm import Group


class TestShared(OnRanks):
    start = staticmethod(ranks.run_shared)


def test_one_rank_has_its_own_array():
    (found,) = shared.run(ranks.sums, 1, [0, 5])
    assert len(found) == 6


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "rank 1 has failed: ZeroDivisionError: on purpose"),
        ("is killed", "rank 1 was killed by signal 9"),
        ("nan", "training diverged at epoch 2, step 9: the loss of rank 1 is nan"),
    ],
)
def test_a_rank_that_fails_ends_all(how, said):
    with pytest.raises(shared.RankError, match=said):
        shared.run(ranks.fails, 3, how, 1)


@pytest.mark.parametrize("guard", ["", "if __name__ == '__main__': "])
def test_ranks_that_cannot_begin(guard, tmp_path):
    """A script that starts ranks whenever it is imported, with arguments that no pipe holds unread."""
    code = f"""
        import numpy as np
        import fastlec
        def length(comm, X):
            return len(X)
        {guard}print(fastlec.shared.run(length, 2, np.ones(100_000)))
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(code))
    done = finished([sys.executable, "-P", str(tmp_path / "script.py")])
    if guard:
        assert done.stdout == "[100000, 100000]\n", done.stderr
    else:
        said = (
            r'RankError: rank [01] has ended with exit code 1 before it began; in a script .* under if __name__ == "__main__":$'
        )
        assert re.search(said, done.stderr, re.M)


def test_a_rank_that_ends_without_a_word():
    with pytest.raises(shared.RankError, match=r"^rank [01] has ended with exit code 3$"):
        shared.run(ranks.leaves, 2)


@pytest.mark.timeout(900)
def test_ranks_that_are_killed_leave_a_whole_checkpoint(tmp_path):
    for rank, error in ranks.killed_again_and_again(shared.run, tmp_path):
        assert isinstance(error, shared.RankError)
        assert str(error) == f"rank {rank} was killed by signal 9"


def on(n, function, *arguments):
    """What each of n ranks gives; n 0 for one process without a communicator."""
    return shared.run(function, n, *arguments) if n else [function(None, *arguments)]


@pytest.mark.parametrize(
    ("before", "after", "validated"),
    [
        (3, 2, {"validation": 0.2}),
        (2, 1, {"aside": 40}),
        (0, 2, {"aside": 40}),
        (2, 0, {"aside": 40, "class_weight": "balanced"}),
        (0, 1, {}),
    ],
)
def test_another_number_of_ranks_goes_on_from_a_checkpoint(before, after, validated, tmp_path):
    calls = ("norm", "adam", {"checkpoint": tmp_path / "run.npz", "epochs": 3, "weighted": True, **validated})
    theta, buffers, measured, *_ = on(before, ranks.trained_with, *calls)[0]
    again = on(after, ranks.trained_with, *calls)
    for own, running, same, *_ in again:  # the training is over
        assert np.array_equal(own, theta)
        assert all(np.array_equal(running[name], a) for name, a in buffers.items())
        assert same == measured
    calls[2]["epochs"] = 6
    more = on(after, ranks.trained_with, *calls)
    assert all(np.array_equal(own[0], more[0][0]) for own in more)
    assert more[0][2]["train_loss"][:3] == measured["train_loss"]
    assert more[0][2]["train_loss"][-1] < measured["train_loss"][-1]
    calls[2]["weighted"] = False
    with pytest.raises((fastlec.io.ModelError, shared.RankError), match="of another training: its samples is"):
        on(after, ranks.trained_with, *calls)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(0, 2, "one process, not 2 ranks;"), (0, 1, "one process, not 1 rank;"), (2, 0, "2 ranks, not one process;")],
)
def test_inside_an_epoch_only_as_many_ranks_go_on(before, after, said, tmp_path):
    path = tmp_path / "run.npz"
    assert "diverged at epoch 2, step 9" in on(before, ranks.inside_an_epoch, path, True)[0]
    for text in on(after, ranks.inside_an_epoch, path, False):
        assert re.search(f"ModelError: .*is of a place inside an epoch, with {said}", text)
    assert on(before, ranks.inside_an_epoch, path, False)[0] is None


def test_ranks_with_a_stream_go_on_with_the_same_parts(tmp_path):
    path = tmp_path / "run.npz"
    before = on(2, ranks.streamed_by_one, path, 2)[0]
    after = on(2, ranks.streamed_by_one, path, 3)
    assert after[0] == after[1]
    assert after[0][:2] == before
    for n in (0, 3):
        with pytest.raises((fastlec.io.ModelError, shared.RankError), match=r"its samples is .*stream X"):
            on(n, ranks.streamed_by_one, path, 4)


def test_what_ranks_must_agree_about():
    with pytest.raises(shared.RankError, match="rank 1 has 2 samples to train on, and batch_size 4 makes"):
        shared.run(ranks.unlike, 2, "few")
    with pytest.raises(shared.RankError, match="epochs is 2 on rank 1 and 1 on rank 0; expected the same on all ranks"):
        shared.run(ranks.unlike, 2, "epochs")


def test_arguments():
    with pytest.raises(TypeError, match="function is 3"):
        shared.run(3, 2)
    with pytest.raises(ValueError, match="n is 0"):
        shared.run(print, 0)


class Wrong:
    """Like a communicator."""

    def __init__(self, rank=0, size=1, allreduce=None):
        self.rank, self.size = rank, size
        self.allreduce = allreduce


@pytest.mark.parametrize(
    ("comm", "error", "said"),
    [
        (3, TypeError, "comm is 3, whose rank is None; expected an integer"),
        (Wrong(rank=1.0, allreduce=abs), TypeError, "whose rank is 1.0"),
        (Wrong(), TypeError, "expected an object with rank, size and allreduce"),
        (Wrong(2, 2, abs), ValueError, "comm has rank 2 of 2; expected 0 to 1"),
        (Wrong(0, 2, lambda a: None), TypeError, "comm.allreduce gave object"),
        (Wrong(0, 2, lambda a: a[:1]), TypeError, r"comm.allreduce gave int64 of shape \(1,\)"),
    ],
)
def test_what_is_no_communicator(comm, error, said):
    X, y = ranks.samples(30)
    with pytest.raises(error, match=said):
        ranks.fastlec.fit(ranks.network("plain"), X, y, comm=comm)


def test_a_sum_that_begins_gives_what_waits_for_it():
    comm = Wrong(0, 2, abs)
    comm.begin = lambda array: array.size
    with pytest.raises(TypeError, match=r"comm\.begin gave 2; expected a function"):
        Group(comm).begin(np.ones(2))


def test_one_rank_of_ones_own_trains_as_others_do():
    theta, *_ = ranks.trained(Wrong(allreduce=np.array), "norm", "sgd")
    one, _, _ = ranks.by_steps(1, "norm", "sgd")
    np.testing.assert_allclose(theta, one, rtol=1e-12, atol=1e-14)
