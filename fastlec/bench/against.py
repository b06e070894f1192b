"""This build of fastlec against that of another environment: `fastlec bench --against PYTHON`, the gate for a change of a kernel.

Two processes (`worker`), one for each environment, stay up during the whole run. They get one case after the other and take turns
at it, this one first in even rounds and the other one in odd rounds, so that a slow spell of the machine hits both; while one
computes, the other waits for its next request. Both are bound to the same CPUs, have as many threads, make equal inputs from one
seed and do as many calls per turn. How a turn is timed is told in `timing`.

A run of one build against itself shows how far apart two equal builds come out on this machine.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import sleep

import numpy as np

from .. import io
from . import cases as table
from . import machine, report, timing

SIDES = THIS, OTHER = "this", "other"


def compare(
    python, *, cases=None, dtypes=("float32", "float64"), threads=None, smoke=False, rounds=20, json_path=None, progress=None
):
    """Times the cases in this build and in that of another environment, prints the table and returns the report.

    python : the other environment's interpreter, or a command that starts it, as in "env PYTHONPATH=FOLDER python3". It does not
    get this process's PYTHONPATH. rounds : turns of each side at each case. The other arguments are those of `fastlec.bench.run`.

    The report is the content of the JSON file: "machine", "this", "other" (version, folder, instruction set of either fastlec) and
    "results", in seconds; a result's "difference" is 0 where both sides return the same bits, else the greatest distance of two
    entries as a part of the greatest entry, None where they cannot be compared.

    ValueError for an unknown case, dtype or number of threads, and for an interpreter that does not run or has no fastlec;
    RuntimeError if a process dies.
    """
    chosen, threads = table.select(cases), timing.checked(dtypes, threads)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.facts(),
        "smoke": smoke,
        "rounds": 1 if smoke else rounds,
        "results": [],
    }
    here, there = [sys.executable], _command(python)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for count in threads:
        plan = {"threads": count, "smoke": smoke}
        with _Side(there, plan, environment) as other, _Side(here, plan | {"path": sys.path}, os.environ) as this:
            sides = {THIS: this, OTHER: other}
            result.update({name: side.ask(do="facts") for name, side in sides.items()})
            for case in chosen:
                for dtype in dtypes:
                    for mode in case.modes:
                        if progress:
                            progress(f"{case.name} {dtype} {mode}, {report.count_of(count)}")
                        work = {"case": case.name, "dtype": dtype, "mode": mode, "threads": count}
                        result["results"].append(work | _compete(sides, work, result["rounds"], smoke))
    print(report.comparison(result))
    if json_path is not None:
        io.save_text(json_path, json.dumps(result, indent=1) + "\n")
    return result


def slower(result, ratio):
    """The results in which this side failed, or both ratios (by minimum, by median) are below `ratio`. Prints a line for each."""
    found = [
        entry
        for entry in result["results"]
        if THIS in entry["failed"] or (entry["times"] and max(report.ratios(entry)) < ratio)
    ]
    for entry in found:
        what = f"below {ratio:g}" if entry["times"] else "failed"
        print(f"{what}: {entry['case']} {entry['dtype']} {entry['mode']}, {report.count_of(entry['threads'])}")
    return found


def _command(python):
    return [python] if Path(python).exists() else shlex.split(python)


class _Side:
    """A process of `worker`; `with` ends it."""

    def __init__(self, command, plan, environment):
        self.command = command
        environment = {**environment, **dict.fromkeys(timing.THREAD_VARIABLES, str(plan["threads"]))}
        worker = str(Path(__file__).with_name("worker.py"))
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        try:
            self.process = subprocess.Popen(  # -P: not the fastlec beside which the command is called
                [*command, "-P", worker],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                text=True,
                env=environment,
            )
        except (OSError, ValueError) as error:
            self.errors.close()
            raise ValueError(f"{shlex.join(command)} does not run: {error}") from None
        try:
            self._send(plan)
            self.ask(do="facts")
        except RuntimeError as error:
            self.__exit__()
            raise ValueError(f"{shlex.join(command)} does not run fastlec: {error}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with suppress(BrokenPipeError), self.process, self.errors:  # closes the pipes, one of which may hold an unread request
            self.process.kill()

    def _send(self, message):
        with suppress(BrokenPipeError):  # of a process that has ended, which `ask` will find
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def ask(self, **request):
        self._send(request)
        line = self.process.stdout.readline().strip()
        try:
            return json.loads(line)
        except ValueError:
            what = f"answered {line[:60]!r}" if line else f"ended with code {self.process.wait()}: {self._last_words()}"
            raise RuntimeError(f"the process of {shlex.join(self.command)} {what}") from None

    def _last_words(self):
        self.errors.seek(0)
        return ["it printed nothing", *self.errors.read().splitlines()][-1]


def _compete(sides, work, rounds, smoke):
    """The times of both sides, how far apart their results are, and why a side failed."""
    case = {"name": work["case"], "dtype": work["dtype"], "mode": work["mode"]}
    built = {name: side.ask(do="build", **case) for name, side in sides.items()}
    failed = {name: answer["failed"] for name, answer in built.items() if "failed" in answer}
    if failed:
        return {"times": {}, "difference": None, "failed": failed}
    difference = 0.0 if built[THIS] == built[OTHER] else _difference(*map(_result, sides.values()))
    turn, pause = (0, 0) if smoke else (timing.TURN, timing.PAUSES.get(work["threads"], timing.PAUSE))
    elapsed = min(side.ask(do="time", number=1, wake=1)["seconds"] for side in sides.values())
    number, wake = timing.calls_per_turn(elapsed, turn)
    samples = {name: [] for name in sides}
    for past in range(max(1, min(rounds, round(timing.PATIENCE / elapsed)))):
        for name in SIDES if past % 2 == 0 else SIDES[::-1]:
            sleep(pause)
            samples[name].append(sides[name].ask(do="time", number=number, wake=wake)["seconds"])
    times = {name: {"min": min(seconds), "median": median(seconds)} for name, seconds in samples.items()}
    return {"times": times, "difference": difference, "failed": {}}


def _result(side):
    """What a side's first call returned."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "result.npz")
        side.ask(do="save", file=file)
        with np.load(file) as arrays:
            return [arrays[name] for name in arrays.files]


def _difference(this, other):
    """The greatest distance of two entries as a part of the greatest entry; None where shapes or dtypes differ, and for NaN."""
    if [(a.shape, a.dtype) for a in this] != [(a.shape, a.dtype) for a in other]:
        return None
    distances = []
    for a, b in zip(this, other, strict=True):
        b = b.astype(np.float64)
        distances.append(np.max(np.abs(a - b), initial=0.0) / np.max(np.abs(b), initial=np.finfo(np.float32).tiny))
    return float(max(distances)) if np.isfinite(distances).all() else None
