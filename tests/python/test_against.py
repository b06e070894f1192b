"""fastlec bench --against: two processes take turns, results are compared bit for bit, and what an environment lacks is said."""

import json
import shlex
import sys
from pathlib import Path

import pytest

import fastlec
from fastlec import bench
from fastlec.bench import against, report

FOLDER = Path(fastlec.__file__).parent.parent
SAME = f"env PYTHONPATH={shlex.quote(str(FOLDER))} {shlex.quote(sys.executable)}"

# Runs the worker, the last argument, after a change of fastlec; without the package `bench`, which another version may lack.
CHANGED = """
import runpy, sys
import fastlec
sys.modules["fastlec.bench"] = None
{}
sys.argv = sys.argv[-1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def changed(tmp_path):
    """changed(code): the command of an interpreter whose fastlec is changed by this code."""

    def command(code):
        script = tmp_path / "changed.py"
        script.write_text(CHANGED.format(code))
        return f"{SAME} {shlex.quote(str(script))}"

    return command


def compare(python, cases=("relu-1e5",), **options):
    return bench.compare(python, cases=cases, dtypes=["float32"], threads=1, smoke=True, **options)


def test_the_same_build_on_both_sides(tmp_path, capsys):
    seen = []
    cases = ["softmax-64x10", "step-lenet", "conv-64x6x14x14", "hessian_mv_frozen"]
    result = compare(SAME, cases, json_path=tmp_path / "against.json", progress=seen.append)
    assert json.loads((tmp_path / "against.json").read_text()) == result
    assert result["this"] == result["other"]
    assert result["this"]["folder"] == str(FOLDER / "fastlec")
    assert [(entry["difference"], entry["failed"]) for entry in result["results"]] == [(0.0, {})] * 5
    assert seen[0] == "softmax-64x10 float32 reused, 1 thread"
    out = capsys.readouterr().out
    assert out.count("bitwise equal") == 5
    assert "5: geometric mean of the ratios" in out
    assert bench.slower(result, 0.0) == []
    assert bench.slower(result, 1e9) == result["results"]


def test_both_sides_have_their_turns(monkeypatch):
    asked = []

    class Side(against.Process):
        def ask(self, **request):
            asked.append((self._command[0], request["do"]))
            return super().ask(**request)

    monkeypatch.setattr(against, "Process", Side)
    monkeypatch.setattr(against.timing, "PATIENCE", 1e9)
    compare(SAME, rounds=3)
    assert [name for name, do in asked if do == "time"] == [
        sys.executable,
        "env",
    ] * 4  # reused, fresh: once each after calibration
    asked.clear()
    bench.compare(SAME, cases="relu-1e5", dtypes=["float32"], threads=1, rounds=3)
    turns = [name for name, do in asked if do == "time"]
    assert turns == [sys.executable, "env", *[sys.executable, "env", "env", sys.executable, sys.executable, "env"]] * 2


def test_other_results_are_measured(changed, capsys):
    result = compare(changed("relu = fastlec.relu; fastlec.relu = lambda x, out: relu(x, out=out) * (1 + 1e-6)"))
    assert [entry["difference"] for entry in result["results"]] == pytest.approx([1e-6] * 2, rel=0.2)
    assert "differ by" in capsys.readouterr().out


def test_results_that_cannot_be_compared(changed, capsys):
    others = {"relu": "f(x)[:-1]", "tanh": "f(x).astype(float)", "sigmoid": "f(x) * float('nan')"}
    code = (f"fastlec.{name} = lambda x, out, f=fastlec.{name}: {other}" for name, other in others.items())
    result = compare(changed("\n".join(code)), ["relu-1e5", "tanh-1e5", "sigmoid-1e5"])
    assert [entry["difference"] for entry in result["results"]] == [None] * 6
    assert capsys.readouterr().out.count("incomparable") == 6


def test_a_case_that_the_other_version_lacks_is_said(changed, capsys):
    result = compare(changed("del fastlec.relu"), ["relu-1e5", "tanh-1e5"])
    assert {entry["case"]: set(entry["times"]) for entry in result["results"]} == {
        "relu-1e5": set(),
        "tanh-1e5": {"this", "other"},
    }
    assert "other failed: relu-1e5 float32 reused, 1 thread: AttributeError: module 'fastlec' has no" in capsys.readouterr().out
    assert bench.slower(result, 0.0) == []


def test_a_case_that_fails_here_is_no_success(capsys):
    entry = {"case": "a", "dtype": "float32", "mode": "fresh", "threads": 2, "times": {}, "failed": {"this": "why"}}
    assert bench.slower({"results": [entry]}, 0.0) == [entry]
    assert capsys.readouterr().out == "failed: a float32 fresh, 2 threads\n"


def test_a_slow_median_or_a_slow_minimum_alone_is_noise():
    def entry(this, other):
        sides = {"this": this, "other": other}
        return {"case": "a", "dtype": "float32", "mode": "fresh", "threads": 1, "failed": {}} | {
            "times": {side: dict(zip(("min", "median"), seconds, strict=True)) for side, seconds in sides.items()}
        }

    slow, noisy, lucky = entry((2.0, 3.0), (1.0, 2.0)), entry((1.0, 9.0), (1.0, 2.0)), entry((2.0, 2.0), (1.0, 2.0))
    assert report.ratios(slow) == (0.5, 2 / 3)
    assert bench.slower({"results": [slow, noisy, lucky]}, 0.9) == [slow]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (None, "no-such-python does not run: .*No such file"),
        ("echo no module of this name >&2; exit 3", "does not run fastlec: .* ended with code 3: no module of this name"),
        ("exit 0", "does not run fastlec: .* ended with code 0: it printed nothing"),
        ("echo garbage; sleep 100", "does not run fastlec: .* answered 'garbage'"),
    ],
)
def test_a_broken_interpreter(script, message, tmp_path):
    python = tmp_path / "a folder" / "no-such-python"
    if script:
        python.parent.mkdir()
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    else:
        python = python.name
    with pytest.raises(ValueError, match=message):
        compare(str(python))


def test_a_process_that_dies(changed):
    with pytest.raises(RuntimeError, match=r"the process of .* ended with code 7: out of order"):
        compare(changed("import os; fastlec.relu = lambda x, out: (os.write(2, b'out of order'), os._exit(7))"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cases": "nothing"}, "no case has such a name"),
        ({"threads": 0}, "threads has 0"),
        ({"dtypes": ["f2"]}, "dtypes has 'f2'"),
    ],
)
def test_arguments_are_checked_before_a_process_starts(arguments, message):
    with pytest.raises(ValueError, match=message):
        bench.compare("no-such-python", **arguments)
