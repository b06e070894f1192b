"""fastlec bench on the command line: what is passed on, and how the command ends."""

import pytest
from command import refused, run

from fastlec import bench


@pytest.fixture
def compared(monkeypatch):
    """What `bench.compare` was called with; every case is half as fast here as there."""
    calls = []
    entry = {"case": "relu-1e5", "dtype": "float32", "mode": "fresh", "threads": 1, "failed": {}}
    entry["times"] = {side: {"min": seconds, "median": seconds} for side, seconds in (("this", 2.0), ("other", 1.0))}

    def compare(python, **options):
        calls.append((python, options))
        return {"results": [entry]}

    monkeypatch.setattr(bench, "compare", compare)
    return calls


def test_the_options_are_passed_on(compared, capsys):
    options = ["--threads", 2, "--rounds", 7, "--case", "relu", "--dtype", "float32"]
    assert run(capsys, "bench", "--against", "old/bin/python", *options) == (0, "", "")
    work = {"cases": ["relu"], "dtypes": ["float32"], "threads": 2, "smoke": False, "rounds": 7, "json_path": None}
    assert compared == [("old/bin/python", work)]


def test_the_instruction_set_is_passed_on(capsys, monkeypatch):
    calls = []
    monkeypatch.setattr(bench, "run", lambda **options: calls.append(options))
    assert run(capsys, "bench", "--isa", "avx2", "--case", "relu") == (0, "", "")
    assert run(capsys, "bench", "--case", "relu") == (0, "", "")
    assert [options["isa"] for options in calls] == ["avx2", None]
    assert type(calls[0]["isa"]) is str
    refused(capsys, "'sse9' is not one of", "bench", "--isa", "sse9")


@pytest.mark.parametrize(("ratio", "code", "out"), [(0.4, 0, ""), (0.6, 1, "below 0.6: relu-1e5 float32 fresh, 1 thread\n")])
def test_a_slower_build_fails_if_asked(ratio, code, out, compared, capsys):
    assert run(capsys, "bench", "--against", "python", "--fail-below", ratio) == (code, out, "")


def test_what_does_not_go_together(capsys, tmp_path):
    refused(capsys, "--fail-below compares with another build: it needs --against", "bench", "--fail-below", 0.9)
    refused(capsys, "there are none with --against", "bench", "--against", "python", "--plot", tmp_path / "a.png")
    refused(capsys, "--isa holds the peers: there are none with --against", "bench", "--against", "python", "--isa", "avx2")
    refused(capsys, "no-such-python does not run", "bench", "--against", "no-such-python", "--case", "relu", "--smoke")
