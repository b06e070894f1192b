"""This build of fastlec against that of another environment: `fastlec bench --against PYTHON`, the gate for a change of a kernel.

Two processes (`processes`), one for each environment, stay up during the whole run. They get one case after the other and take
turns at it, this one first in even rounds and the other one in odd rounds, so that a slow spell of the machine hits both; while one
computes, the other waits for its next request. Both are bound to the same CPUs, have as many threads, make equal inputs from one
seed and do as many calls per turn. How a turn is timed is told in `timing`.

A run of one build against itself shows how far apart two equal builds come out on this machine.
"""

import json
import os
import shlex
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from .. import io
from . import cases as table
from . import machine, report, timing
from .processes import Died, Failed, Process

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
        with ExitStack() as stack:
            this = stack.enter_context(_process(here, plan | {"path": sys.path}, os.environ))
            other = stack.enter_context(_process(there, plan, environment))
            sides = {THIS: this, OTHER: other}
            for name, side in sides.items():
                try:
                    result[name] = side.facts()
                except Failed as error:
                    raise ValueError(f"{side.name} does not run fastlec: {error}") from None
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


def _process(command, plan, environment):
    try:
        return Process(shlex.join(command), command, plan, environment)
    except (OSError, ValueError) as error:
        raise ValueError(f"{shlex.join(command)} does not run: {error}") from None


def _compete(sides, work, rounds, smoke):
    """The times of both sides, how far apart their results are, and why a side failed."""
    failed = {}
    for name, side in sides.items():
        try:
            side.ask(do="build", name=work["case"], dtype=work["dtype"], mode=work["mode"])
        except Died:
            raise
        except Failed as error:
            failed[name] = str(error)
    if failed:
        return {"times": {}, "difference": None, "failed": failed}
    this, other = sides.values()
    difference = 0.0 if this.ask(do="bits") == other.ask(do="bits") else _difference(this.result(), other.result())
    times = timing.measure(sides, rounds, **timing.pace(work["threads"], smoke), alike=True)
    return {"times": times, "difference": difference, "failed": {}}


def _difference(this, other):
    """The greatest distance of two entries as a part of the greatest entry; None where shapes or dtypes differ, and for NaN."""
    if [(a.shape, a.dtype) for a in this] != [(a.shape, a.dtype) for a in other]:
        return None
    distances = []
    for a, b in zip(this, other, strict=True):
        b = b.astype(np.float64)
        distances.append(np.max(np.abs(a - b), initial=0.0) / np.max(np.abs(b), initial=np.finfo(np.float32).tiny))
    return float(max(distances)) if np.isfinite(distances).all() else None
