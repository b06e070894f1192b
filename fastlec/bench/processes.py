"""The processes in which contenders run, each a `worker` that answers requests, one line of JSON after the other."""

import json
import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
WORKER = str(Path(__file__).with_name("worker.py"))


class Failed(RuntimeError):
    """What a process was asked for ended in an error there. process : which one; it goes on."""

    def __init__(self, process, why):
        super().__init__(why)
        self.process = process


class Died(Failed):
    """The process has ended, or answers what nobody understands."""


class Process:
    """A process of `worker`, begun at once; `with` ends it. OSError or ValueError if there is no such command.

    name : for messages. command : what starts the interpreter. plan : the worker's arguments. environment : all its variables but
    those for threads, which follow from the plan.
    """

    def __init__(self, name, command, plan, environment):
        self.name, self._command, self._plan = name, [*command, "-P", WORKER], plan  # -P: not the fastlec beside us
        self._environment = {**environment, **dict.fromkeys(THREAD_VARIABLES, str(plan["threads"]))}
        self._start()

    def _start(self):
        """A session of its own has the compilers that it starts in it, and gets no Ctrl-C, which is for us to tell."""
        self._facts, self._errors = None, tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (closed with the process)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors, "text": True}
        try:
            self._process = subprocess.Popen(self._command, **pipes, env=self._environment, start_new_session=True)
        except BaseException:
            self._errors.close()
            raise
        self._send(self._plan)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with (
            suppress(BrokenPipeError),
            self._process,
            self._errors,
        ):  # closes the pipes, one of which may hold an unread request
            if self._process.poll() is None and hasattr(os, "killpg"):
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()

    def restart(self):
        self.__exit__()
        self._start()

    def facts(self):
        """What the process says about its contender once that is loaded, which is waited for. Failed if it cannot be."""
        if self._facts is None:
            self._facts = self._receive()
        return self._facts

    def ask(self, **request):
        """The answer; do : the worker's method, the others are its arguments. Failed if it ends in an error."""
        self.facts()
        self._send(request)
        return self._receive()

    def time(self, number, wake):
        """The seconds per call of `number` calls of what was built last, after `wake` untimed ones."""
        return self.ask(do="time", number=number, wake=wake)["seconds"]

    def result(self):
        """What the first call returned, a tuple of arrays."""
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "result.npz")
            self.ask(do="save", file=file)
            with np.load(file) as arrays:
                return tuple(arrays[name] for name in arrays.files)

    def _send(self, message):
        with suppress(BrokenPipeError):  # of a process that has ended, which `_receive` will find
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _receive(self):
        line = self._process.stdout.readline().strip()
        try:
            answer = json.loads(line)
        except ValueError:
            what = f"answered {line[:60]!r}" if line else f"ended with code {self._process.wait()}: {self._last_words()}"
            raise Died(self, f"the process of {self.name} {what}") from None
        if "failed" in answer:
            raise Failed(self, answer["failed"])
        return answer

    def _last_words(self):
        self._errors.seek(0)
        return ["it printed nothing", *self._errors.read().splitlines()][-1]
