"""How a command ends: readers that leave, streams that are closed or full, Ctrl-C at any moment, kill -9."""

import io as memory
import os
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from interpreter import finished
from interpreter import run as run_code

import fastlec
from fastlec import cli, io

pytest.importorskip("typer")
pytest.importorskip("rich")
from command import COMMAND, process, run

from fastlec.cli.output import Output
from fastlec.course import models

pytestmark = pytest.mark.usefixtures("folder")
INSTALLED = find_spec("fastlec_console")  # not where the library is used from its folder
SCRIPT = Path(INSTALLED.origin if INSTALLED else Path(fastlec.__file__).parent / "console" / "__init__.py")
FULL = OSError(28, "No space left on device")


class Failing(memory.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def flush(self):
        raise self.error


def test_a_reader_that_leaves_costs_no_model():
    with process("train", "--epochs", "3") as training:
        training.stdout.readline()
        training.stdout.close()
        err = training.stderr.read()
        assert (training.wait(60), err) == (0, "")
    assert io.load_model("model.npz").W.shape == (10, 64)


@pytest.mark.parametrize(
    ("redirection", "code", "text"),
    [
        (">&-", 0, ""),
        ("<&- >&-", 0, ""),
        (">/dev/full", 2, "fastlec: standard output: No space left on device\n"),
        (">/dev/full 2>&-", 2, ""),
        (">&- 2>/dev/full", 0, ""),
    ],
)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_streams_that_are_closed_or_full_cost_no_model(redirection, code, text):
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, "train", "--epochs", "2"]
    done = finished(command)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", text)
    assert io.load_model("model.npz").W.shape == (10, 64)
    assert os.listdir() == ["model.npz"]


@pytest.mark.parametrize("command", ["info", "--help", "universal --widths 1 --samples 10"])
@pytest.mark.parametrize(
    ("error", "code", "text"),
    [(FULL, 2, "fastlec: standard output: No space left on device\n"), (BrokenPipeError(32, "Broken pipe"), 0, "")],
)
def test_every_command_outlasts_its_output(capsys, monkeypatch, command, error, code, text):
    monkeypatch.setattr(sys, "stdout", Failing(error))
    assert cli.main(command.split()) == code
    assert capsys.readouterr().err == text


def test_output_keeps_the_first_failure_and_drops_what_comes():
    for failed, error in ((Failing(FULL), FULL), (Failing(ValueError("closed")), None)):
        output = Output(failed)
        print("a", file=output, flush=True)
        print("b", file=output, flush=True)
        assert failed.getvalue() == "a\n"
        assert isinstance(output.failure, type(failed.error))
        assert error is None or output.failure is error


def test_names_of_any_bytes_are_shown(capsys):
    assert run(capsys, "train", "--epochs", 1, "--save", "a\udcff\n.npz")[0] == 0
    assert os.path.exists("a\udcff\n.npz")
    code, _, err = run(capsys, "train", "--data", "\x1b[31mno\n\udcff.csv")
    assert (code, err) == (2, "fastlec: \\x1b[31mno \\udcff.csv: there is no such file or folder\n")


def interrupted_at_import(name):
    """The console script, interrupted once ``name`` is about to be imported."""
    return run_code(
        f"""
        import os, runpy, signal, sys

        class Interruption:
            def find_spec(self, name, *rest):
                if name == {name!r}:
                    sys.meta_path.remove(self)
                    os.kill(os.getpid(), signal.SIGINT)

        signal.signal(signal.SIGINT, signal.default_int_handler)
        main = runpy.run_path({str(SCRIPT)!r})["main"]
        sys.meta_path.insert(0, Interruption())
        sys.argv = ["fastlec", "train", "--model", "mlp", "--epochs", "100000000"]
        sys.exit(main())
        """
    )


@pytest.mark.parametrize("name", ["fastlec", "numpy", "fastlec._kernels.plan", "fastlec.cli", "typer", "fastlec.data"])
def test_interrupting_the_console_script_while_it_starts(name):
    done = interrupted_at_import(name)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "fastlec: interrupted\n")


def test_the_console_script_imports_nothing_before_it_can_be_interrupted():
    """Beyond what every Python has loaded: Ctrl-C within an import would end in a traceback."""
    code = f"import sys; before = set(sys.modules); exec(open({str(SCRIPT)!r}).read()); print(set(sys.modules) - before)"
    done = finished([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("set()\n", "")


def is_timing(pid):
    """Whether it is one of bench's contenders well on its way: no fork of its parent any more, nor another child, which may have
    ended."""
    try:
        command, maps = (Path(f"/proc/{pid}/{name}").read_text() for name in ("cmdline", "maps"))
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "worker.py" in command and "numpy" in maps


@pytest.mark.parametrize("whom", [os.kill, os.killpg], ids=["process", "terminal"])
def test_interrupting_bench_ends_its_contenders_in_one_line(whom):
    """Nothing holds its outputs open any more."""
    if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
        pytest.skip("the system does not tell a process's children")
    with process("bench", "--smoke", "--case", "tanh") as bench:
        deadline = time.monotonic() + 60
        children = Path(f"/proc/{bench.pid}/task/{bench.pid}/children")
        while time.monotonic() < deadline:
            if any(map(is_timing, children.read_text().split())):
                break
            time.sleep(0.001)
        contenders = children.read_text().split()
        whom(bench.pid, signal.SIGINT)
        _, err = bench.communicate(timeout=60)
    assert not any(map(is_timing, contenders))
    assert (bench.returncode, err.splitlines()[-1]) == (130, "fastlec: interrupted")
    assert "Traceback" not in err


def test_the_console_script_runs_commands():
    code = f"import runpy, sys; sys.argv = ['fastlec', 'fly']; sys.exit(runpy.run_path({str(SCRIPT)!r})['main']())"
    done = run_code(code)
    assert (done.returncode, done.stdout) == (2, "")
    assert "see fastlec --help" in done.stderr


def test_interrupting_the_parser(capsys, monkeypatch):
    """Where no command has begun."""

    def interrupt(*args):
        raise KeyboardInterrupt

    from fastlec.cli import universal

    monkeypatch.setattr(universal, "whole_numbers", interrupt)
    code, out, err = run(capsys, "universal")
    assert (code, out, err.strip()) == (130, "", "fastlec: interrupted")


def test_faults_of_its_own_are_told_in_one_line(capsys, monkeypatch):
    def fault():
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(fastlec, "show_config", fault)
    code, _, err = run(capsys, "info")
    assert code == 2
    assert err.startswith("fastlec: a fault of fastlec's own, please report it: RuntimeError in ")
    assert err.endswith(": two lines\n")
    assert err.count("\n") == 1


NETWORK = ["train", "--model", "mlp", "--width", "16"]


def test_a_killed_training_goes_on_from_its_checkpoint(capsys, folder):
    """To the same bits as one that was not killed."""
    (folder / "model.npz").write_text("old")
    options = ["--epochs", "12", "--checkpoint", "run.npz"]
    with process(*NETWORK, *options) as training:
        deadline = time.monotonic() + 60
        while not os.path.exists("run.npz") and time.monotonic() < deadline:
            time.sleep(0.001)
        training.send_signal(signal.SIGKILL)
    assert io.load_arrays("run.npz")[1]["kind"] == "checkpoint"
    assert (folder / "model.npz").read_text() == "old"
    code, out, _ = run(capsys, *NETWORK, *options, "--resume", "--save", "resumed.npz")
    assert code == 0
    assert "12/12" in out
    assert run(capsys, *NETWORK, "--epochs", 12, "--save", "whole.npz")[0] == 0
    resumed, whole = (models.load_model(name).net.theta for name in ("resumed.npz", "whole.npz"))
    np.testing.assert_array_equal(resumed, whole)
    assert not [name for name in os.listdir() if name.endswith(".tmp")]


def test_a_checkpoint_of_another_training_is_refused(capsys, folder):
    assert run(capsys, *NETWORK, "--epochs", 1, "--checkpoint", "run.npz")[0] == 0
    before = (folder / "run.npz").read_bytes()
    for options, text in (
        (["--epochs", "2"], "--checkpoint run.npz exists; expected another file, or --resume or --overwrite"),
        (["--epochs", "2", "--resume", "--width", "8"], "is the checkpoint of another training"),
        (["--epochs", "2", "--resume", "--seed", "3"], "is the checkpoint of another training"),
    ):
        code, _, err = run(capsys, *NETWORK, *options, "--checkpoint", "run.npz")
        assert code == 2
        assert text in err
    assert (folder / "run.npz").read_bytes() == before
    again = [*NETWORK, "--seed", 3, "--epochs", 2, "--checkpoint", "run.npz", "--overwrite"]
    assert run(capsys, *again, "--lr", 1e38)[0] == 2
    assert (folder / "run.npz").read_bytes() == before  # nothing has come in its place
    assert run(capsys, *again)[0] == 0
    assert io.load_arrays("run.npz")[0]["history.train_loss"].shape == (2,)


def test_what_a_resumed_training_changes_is_noted(capsys, folder):
    assert run(capsys, *NETWORK, "--epochs", 1, "--checkpoint", "run.npz")[0] == 0
    options = ["--epochs", 2, "--batch-size", 64, "--checkpoint", "run.npz", "--resume"]
    assert "from epoch 2 on batch_size is 64; it was 32" in run(capsys, *NETWORK, *options)[1]
