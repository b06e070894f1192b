"""Runs the cases through the contenders and times them, for one number of threads after the other.

How the comparison is kept fair:

- Each contender has a process of its own (`processes`), so that no library meets the threads, the memory or the settings of another
  one. They stay up during the whole run, and all but one wait.
- Threads are settled before any library loads: each process starts with the environment variables that libraries read, and bound
  to as many CPUs as it has threads, which is what the others (XLA's pool) go by. So one thread is one core, for everyone; and all
  processes are bound to the same CPUs.
- Where fastlec is held to an instruction set below the machine's best, so is every peer, by its own switch, set before it loads.
  One without a switch is left out.
- Every contender makes equal inputs from one seed, and its result is compared with the float64 reference first. One that fails or
  disagrees is reported and not timed.
- Contenders take turns, in a new random order each round, so that a slow spell of the machine hits all of them.
- Before each turn comes a pause: OpenBLAS, libgomp, XLA and ONNX Runtime keep their idle threads spinning for a while, which
  would slow the next contender. Then a few untimed calls wake this contender's own threads and bring the data to where it keeps
  it (calls so long that this does not matter do without).
- A contender whose turns would take more than 5 s in all gets fewer, which cannot matter to one so far behind.
- Short functions are called often enough per turn for the clock. Python's garbage collector is off. The minimum is what counts,
  since disturbances only add; the median tells how steady it is.
- A process that dies is begun again for the next case, which its contender has failed at. Without fastlec's the run ends.
- Results are all "reused" (out=, preallocated, bound, donated arrays) or all "fresh" (a new array each call, dropped at once);
  what libraries keep from dropped arrays for the next call, fastlec among them, they keep.
- A training step is checked once, from the same start for everyone; timed calls go on from there, each contender on its own.
- A plain copy of as many bytes takes its turn as well, in a process like the others: the measured limit of a case whose
  arithmetic is hidden.
"""

import importlib.util
import json
import math
import os
import random
import statistics
import sys
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from time import monotonic, sleep

import numpy as np

import fastlec

from .. import io
from .._kernels import runner
from . import cases as table
from . import kinds, machine, peers, report
from .processes import Died, Failed, Process

TURN = 2e-3  # s: the least time of one turn
WAKE = 20e-3  # s: longer calls need no untimed ones before
PAUSES = {1: 2e-3}  # s before each turn, by threads
PAUSE = 30e-3  # s, with more threads
PATIENCE = 5.0  # s: whose turns would take longer in all gets fewer
COPY = peers.Copy.name


def run(
    cases=None,
    dtypes=("float32", "float64"),
    threads=None,
    smoke=False,
    json_path=None,
    plot_path=None,
    rounds=10,
    contenders=None,
    isa=None,
    progress=None,
    seconds=None,
):
    """Times the cases in fastlec and in every peer that is installed, prints the tables and returns the report.

    cases : parts of names, or None for all. dtypes : of "float32", "float64". threads : a number or several, none above the
    CPUs at hand; None is 1 and all. smoke : smallest sizes, once, only to see that everything runs and agrees. json_path,
    plot_path : files to write (the picture needs matplotlib). contenders : names of libraries, or None for all. isa : the
    instruction set, "base", "avx2" or "avx512", that fastlec is to use and every peer is held to; None leaves all as they are.
    progress : called with a line of text before each case, and one with its times after it. seconds : no case begins later than
    that, and the first of each operation come first; None for all cases in the table's order.

    The report is the content of the JSON file: "machine", "isa" and whether peers are "held" to it, "libraries", "missing" (and
    why), "limits" and "results", in seconds and bytes. ValueError for an unknown case, dtype, number of threads or instruction set;
    RuntimeError if fastlec's process dies.
    """
    chosen, threads = table.select(cases), checked(dtypes, threads, isa)
    began = monotonic()
    if seconds is not None:
        chosen = table.spread(chosen)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.facts(),
        "isa": isa or fastlec.isa(),
        "held": below_best(isa),
        "smoke": smoke,
        "rounds": 1 if smoke else rounds,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "skipped": 0,
        "limits": [],
        "results": [],
    }
    progress = progress or (lambda line: None)
    for turn, count in enumerate(threads, 1):
        end = math.inf if seconds is None else began + seconds * turn / len(threads)
        progress(f"loading the libraries, {report.count_of(count)}")
        with processes(count, contenders, isa, smoke) as (found, missing):
            result["libraries"] = {name: process.facts()["version"] for name, process in found.items() if name != COPY}
            result["missing"] = missing
            for dtype in dtypes if COPY in found else ():
                result["limits"].append({"threads": count, "dtype": dtype} | found[COPY].ask(do="gemm", dtype=dtype))
            for case in (case.at(smoke) for case in chosen):
                for dtype in dtypes:
                    if monotonic() > end:
                        result["skipped"] += len(case.modes)
                        continue
                    expected = case.expected(case.make(np.random.default_rng(kinds.SEED), dtype))
                    for mode in case.modes:
                        at = f"{case.name} {dtype} {mode}, {report.count_of(count)}"
                        progress(at)
                        try:
                            outcome = compete(case, dtype, mode, expected, found, result["rounds"], **pace(count, smoke))
                        except Failed as error:
                            raise RuntimeError(f"{error}, at {at}") from None
                        result["results"].append(about(case, dtype, mode, count) | outcome)
                        progress(f"    {report.line(result['results'][-1])}")
    print(report.text(result))
    if json_path is not None:
        io.save_text(json_path, json.dumps(result, indent=1) + "\n")
    if plot_path is not None:
        report.plot(result, plot_path)
    return result


def about(case, dtype, mode, threads):
    """What a result says about its case."""
    work = {"case": case.name, "dtype": dtype, "mode": mode, "threads": threads}
    return work | {"bytes": case.bytes(dtype), "flops": case.flops}


def checked(dtypes, threads, isa=None):
    """The list of the numbers of threads, of a number, several, or None for 1 and all. ValueError for what cannot be."""
    for dtype in dtypes:
        if dtype not in kinds.SIZE:
            raise ValueError(f"dtypes has {dtype!r}; expected {' or '.join(kinds.SIZE)}")
    if isa is not None and isa not in runner.isas():
        raise ValueError(f"isa is {isa!r}; expected one of those that this machine has: {', '.join(runner.isas())}")
    if threads is None:
        threads = sorted({1, machine.cpus()})
    threads = [threads] if isinstance(threads, int) else list(threads)
    for count in threads:
        if not 1 <= count <= machine.cpus():
            raise ValueError(f"threads has {count}; expected 1 to {machine.cpus()}, the CPUs that this process may use")
    return threads


def below_best(isa):
    """Whether this is less than the machine has, so that others must be held to it."""
    return isa is not None and isa != runner.isas()[0]


def pace(threads, smoke):
    """The pause before each turn and the least time of one."""
    return {"pause": 0, "turn": 0} if smoke else {"pause": PAUSES.get(threads, PAUSE), "turn": TURN}


@contextmanager
def processes(threads, names, isa, smoke):
    """({name: process} of the contenders that take part and of the copy, {name: why} of those that do not, or not at all cases)."""
    found, missing, held = {}, {}, below_best(isa)
    with ExitStack() as stack:
        for kind in (*peers.PEERS, *(() if smoke else (peers.Copy,))):  # all begin before the first is waited for
            if names is not None and kind.name not in names and kind is not peers.Copy:
                continue
            if importlib.util.find_spec(kind.module) is None:
                missing[kind.name] = f"No module named {kind.module!r}"
            elif held and isa not in kind.HELD:
                missing[kind.name] = f"cannot be held to {isa}" if kind.HELD else "has no switch for instruction sets"
            else:
                switches = kind.HELD.get(isa, {}) if held or kind is peers.Fastlec else {}
                environment = os.environ | {"JAX_PLATFORMS": "cpu"} | switches
                plan = {"contender": kind.name, "threads": threads, "smoke": smoke, "held": held, "path": sys.path}
                found[kind.name] = stack.enter_context(Process(kind.name, [sys.executable], plan, environment))
                if held and kind.NOT_HELD:
                    missing[kind.name] = kind.NOT_HELD
        for name, process in list(found.items()):
            try:
                process.facts()
            except Failed as error:
                if name in (report.OURS, COPY):
                    raise RuntimeError(f"{error}, at start") from None
                missing[name] = str(error)
                del found[name]
        yield found, missing


def compete(case, dtype, mode, expected, found, rounds, pause=0.0, turn=0.0):
    """What everyone needed, and why those who failed did. found : {name: process}, in which the copy may be."""
    ready, failed = {}, {}

    def fail(process, error):
        died = isinstance(error, Died)
        if process.name == COPY or (died and process.name == report.OURS):
            raise error
        failed[process.name] = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        ready.pop(process.name, None)
        if died:
            process.restart()

    for name, process in found.items():
        try:
            if process.ask(do="build", name=case.name, dtype=dtype, mode=mode)["offered"]:
                wrong = None if name == COPY else kinds.disagreement(process.result(), expected, dtype, case.tolerance)
                if wrong:
                    failed[name] = wrong
                else:
                    ready[name] = process
        except Exception as error:  # a peer may fail in any way; that must not end the others' run
            fail(process, error)
    times = None
    while times is None:
        try:
            times = measure(ready, rounds, pause, turn)
        except Failed as error:  # in a call after the first: the others begin again
            fail(error.process, error)
    for process in found.values():
        try:
            process.ask(do="forget")
        except Failed as error:
            fail(process, error)
            times.pop(process.name, None)
    return {"copy": times.pop(COPY, None), "times": times, "failed": failed}


def measure(contenders, rounds, pause=0.0, turn=TURN, alike=False):
    """{name: {"min", "median"}}, s per call, of contenders that take turns, by their method `time`.

    alike : all do as many calls, of which the fastest needs a turn; and in the order given, then back, in place of a random one.
    """
    elapsed = {name: contender.time(1, 1) for name, contender in contenders.items()}
    if alike:
        elapsed = dict.fromkeys(elapsed, min(elapsed.values()))
    numbers = {name: calls_per_turn(seconds, turn) for name, seconds in elapsed.items()}
    turns = {name: max(1, min(rounds, round(PATIENCE / seconds))) for name, seconds in elapsed.items()}
    order, samples, shuffle = list(contenders), {name: [] for name in contenders}, random.Random(0).shuffle
    for past in range(rounds):
        if not alike:
            shuffle(order)
        for name in order:
            if past < turns[name]:
                sleep(pause)
                samples[name].append(contenders[name].time(*numbers[name]))
        order.reverse()
    return {name: {"min": min(times), "median": statistics.median(times)} for name, times in samples.items()}


def calls_per_turn(elapsed, turn=TURN):
    """(timed calls, untimed calls before them) for calls of so many seconds."""
    number = max(1, round(turn / elapsed))
    return number, max(1, number // 4) if elapsed < WAKE else 0
