"""The command line, called as a user does, for the tests of its parts."""

import sys

import numpy as np
from interpreter import started

from fastlec import cli, data

COMMAND = [sys.executable, "-c", "import sys; from fastlec.cli import main; sys.exit(main())"]


def save_digits(path, rows=slice(100), **changes):
    X, y = data.load_digits()
    np.savez(path, **{"X": (16 * X[rows]).astype(np.uint8), "y": y[rows], **changes})


def run(capsys, *args):
    code = cli.main([str(arg) for arg in args])
    return code, *capsys.readouterr()


def refused(capsys, text, *args):
    """Exit code 2, nothing but one line on stderr, which holds text."""
    code, _, err = run(capsys, *args)
    assert code == 2
    assert text in err
    assert err.startswith("fastlec: ")
    assert err.count("\n") == 1


def process(*args, **options):
    """with process(...) as training: the command in a process of its own, as `interpreter.started`."""
    return started([*COMMAND, *args], **options)
