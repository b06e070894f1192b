"""Runs the cases through the contenders and times them, one child process per number of threads.

How the comparison is kept fair:

- Threads are settled before any library loads: the child starts with the environment variables that libraries read, and bound
  to as many CPUs as it has threads, which is what the others (XLA's pool) go by. So one thread is one core, for everyone.
- Every contender's result is compared with the float64 reference first. One that fails or disagrees is reported and not timed.
- Contenders take turns, in a new random order each round, so that a slow spell of the machine hits all of them.
- Before each turn comes a pause: OpenBLAS, libgomp, XLA and ONNX Runtime keep their idle threads spinning for a while, which
  would slow the next contender. Then a few untimed calls wake this contender's own threads and bring the data to where it keeps
  it (calls so long that this does not matter do without).
- A contender whose turns would take more than 5 s in all gets fewer, which cannot matter to one so far behind.
- Short functions are called often enough per turn for the clock. Python's garbage collector is off. The minimum is what counts,
  since disturbances only add; the median tells how steady it is.
- Results are all "reused" (out=, preallocated, bound, donated arrays) or all "fresh" (a new array each call, dropped at once);
  what libraries keep from dropped arrays for the next call, fastlec among them, they keep.
- A training step is checked once, from the same start for everyone; timed calls go on from there, each contender on its own.
- A plain copy of as many bytes takes its turn as well: the measured limit of a case whose arithmetic is hidden.
"""

import gc
import json
import os
import random
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from time import sleep

import numpy as np

import fastlec

from .. import io
from . import cases as table
from . import kinds, machine, peers, report
from .clock import per_call

TURN = 2e-3  # s: the least time of one turn
WAKE = 20e-3  # s: longer calls need no untimed ones before
PAUSES = {1: 2e-3}  # s before each turn, by threads
PAUSE = 30e-3  # s, with more threads
PATIENCE = 5.0  # s: whose turns would take longer in all gets fewer
COPY = "copy"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
CHILD = """
import _signal
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # Ctrl-C, which the terminal sends both, is the parent's to tell
import json, os, sys
plan = json.load(sys.stdin)
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: plan["threads"]])
sys.path[:] = plan.pop("path")
from fastlec.bench.timing import child
child(**plan)
"""


def run(
    cases=None,
    dtypes=("float32", "float64"),
    threads=None,
    smoke=False,
    json_path=None,
    plot_path=None,
    rounds=10,
    contenders=None,
    progress=None,
):
    """Times the cases in fastlec and in every peer that is installed, prints the tables and returns the report.

    cases : parts of names, or None for all. dtypes : of "float32", "float64". threads : a number or several, none above the
    CPUs at hand; None is 1 and all. smoke : smallest sizes, once, only to see that everything runs and agrees. json_path,
    plot_path : files to write (the picture needs matplotlib). contenders : names of libraries, or None for all. progress :
    called with a line of text before each case.

    The report is the content of the JSON file: "machine", "libraries", "missing", "limits" and "results", in seconds and bytes.
    ValueError for an unknown case, dtype or number of threads; RuntimeError if a child process dies.
    """
    names, threads = [case.name for case in table.select(cases)], checked(dtypes, threads)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.facts(),
        "isa": fastlec.isa(),
        "smoke": smoke,
        "rounds": 1 if smoke else rounds,
        "limits": [],
        "results": [],
    }
    for count in threads:
        plan = {
            "threads": count,
            "names": names,
            "dtypes": list(dtypes),
            "smoke": smoke,
            "rounds": rounds,
            "contenders": contenders,
        }
        for event in _events(plan, progress):
            if "result" in event:
                result["results"].append(event["result"])
            else:
                result["limits"] += event.pop("limits")
                result.update(event)
    print(report.text(result))
    if json_path is not None:
        io.save_text(json_path, json.dumps(result, indent=1) + "\n")
    if plot_path is not None:
        report.plot(result, plot_path)
    return result


def checked(dtypes, threads):
    """The list of the numbers of threads, of a number, several, or None for 1 and all. ValueError for what cannot be."""
    for dtype in dtypes:
        if dtype not in kinds.SIZE:
            raise ValueError(f"dtypes has {dtype!r}; expected {' or '.join(kinds.SIZE)}")
    if threads is None:
        threads = sorted({1, machine.cpus()})
    threads = [threads] if isinstance(threads, int) else list(threads)
    for count in threads:
        if not 1 <= count <= machine.cpus():
            raise ValueError(f"threads has {count}; expected 1 to {machine.cpus()}, the CPUs that this process may use")
    return threads


def _events(plan, progress):
    """What the child with this plan has to say, as it says it."""
    count, at = plan["threads"], "start"
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(count)) | {"JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            json.dump({**plan, "path": sys.path}, process.stdin)
            process.stdin.close()
            for line in process.stdout:
                event = json.loads(line)
                if "at" in event:
                    at = event["at"]
                    if progress:
                        progress(f"{at}, {report.count_of(count)}")
                else:
                    yield event
        except BaseException:  # Ctrl-C, or whoever takes the events wants no more
            process.kill()
            raise
    if process.returncode:
        raise RuntimeError(f"the process with {report.count_of(count)} ended with code {process.returncode} at {at}")


def child(threads, names, dtypes, smoke, rounds, contenders):
    """All that a child process does. Its standard output is for events, a line of JSON each; libraries print to stderr."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(**event):
        print(json.dumps(event), file=channel, flush=True)

    tell(at="loading the libraries")
    found, missing = peers.contenders(threads, contenders)
    limits = [] if smoke else [{"threads": threads, "dtype": dtype, "gemm": machine.gemm_peak(dtype)} for dtype in dtypes]
    tell(libraries={peer.name: peer.version for peer in found}, missing=missing, limits=limits)
    for case in table.CASES:
        if case.name not in names:
            continue
        for dtype in dtypes:
            inputs = case.at(smoke).make(np.random.default_rng(1), dtype)
            expected = case.at(smoke).expected(inputs)
            for mode in case.modes:
                tell(at=f"{case.name} {dtype} {mode}")
                tell(
                    result=compete(case.at(smoke), dtype, mode, inputs, expected, found, threads, 1 if smoke else rounds, smoke)
                )


def compete(case, dtype, mode, inputs, expected, found, threads, rounds, smoke=False):
    """One result: what everyone needed, and why those who failed did."""
    calls, failed = {}, {}
    for peer in found:
        try:
            call = peer.build(case, inputs, mode)
            if call is None:
                continue
            wrong = kinds.disagreement(peer.arrays(case, call()), expected, dtype, case.tolerance)
        except Exception as error:  # a peer may fail in any way; that must not end the others' run
            wrong = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        if wrong:
            failed[peer.name] = wrong
        else:
            calls[peer.name] = call
    if not smoke:
        calls[COPY] = machine.copier(case.bytes(dtype), threads)
    times = measure(calls, rounds, 0 if smoke else PAUSES.get(threads, PAUSE), 0 if smoke else TURN)
    copy = times.pop(COPY, None)
    calls.clear()
    for peer in found:
        peer.forget()
    gc.collect()
    return {
        "case": case.name,
        "dtype": dtype,
        "mode": mode,
        "threads": threads,
        "bytes": case.bytes(dtype),
        "flops": case.flops,
        "copy": copy,
        "times": times,
        "failed": failed,
    }


def measure(calls, rounds, pause=0.0, turn=TURN):
    """{name: {"min", "median"}}, s per call, of functions without arguments that take turns."""
    numbers, turns, order, samples = {}, {}, list(calls), {name: [] for name in calls}
    shuffle = random.Random(0).shuffle
    enabled = gc.isenabled()
    gc.disable()
    try:
        for name, call in calls.items():
            elapsed = min(per_call(call, 1) for _ in range(2))
            numbers[name] = calls_per_turn(elapsed, turn)
            turns[name] = max(1, min(rounds, round(PATIENCE / elapsed)))
        for past in range(rounds):
            shuffle(order)
            for name in order:
                if past >= turns[name]:
                    continue
                call, (number, wake) = calls[name], numbers[name]
                sleep(pause)
                if wake:
                    per_call(call, wake)
                samples[name].append(per_call(call, number))
    finally:
        if enabled:
            gc.enable()
    return {name: {"min": min(times), "median": statistics.median(times)} for name, times in samples.items()}


def calls_per_turn(elapsed, turn=TURN):
    """(timed calls, untimed calls before them) for calls of so many seconds."""
    number = max(1, round(turn / elapsed))
    return number, max(1, number // 4) if elapsed < WAKE else 0
