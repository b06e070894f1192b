"""The command line: ``fastlec train | predict | check | universal | overfit | filter | bench | info``.

It needs typer and rich, the extra ``cli``; ``info`` and ``--version`` do not.
Every command ends in one of four ways: 0; 1 where a check failed; 2 with one line on stderr where the input is bad;
130 after Ctrl-C. What it is to write is looked at before it begins (`files`), and it goes on if nobody reads what it prints
(`output`).
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np

import fastlec

from .. import io
from .._comm import RankError
from . import ranks
from .output import outlasting

try:
    import rich  # noqa: F401
    import typer
except ImportError as error:
    _MISSING = error.name
else:
    from .bench import bench
    from .check import check
    from .filter import filter
    from .overfit import overfit
    from .predict import predict
    from .train import train
    from .universal import universal

    _MISSING = None

_INTERRUPTED = 130
_BAD_INPUT = (ValueError, FloatingPointError, MemoryError, OSError, ImportError, RankError)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line ``args`` (by default the process's own) and return its exit code."""
    with outlasting() as output:
        code = _run(args)
        output.flush()
        if output.failure and not isinstance(output.failure, BrokenPipeError):  # whose reader wanted no more
            code = _complain(f"standard output: {io.words(output.failure)}", code or 2)
    return code


def _run(args: Sequence[str] | None) -> int:
    if _MISSING:
        plain = {("info",): info, ("--version",): _show_version}.get(tuple(sys.argv[1:] if args is None else args))
        if plain is None:
            return _complain("the command line needs typer and rich: pip install 'fastlec[cli]'", 2)
        return plain() or 0
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,  # whose panels break words
        help="Softmax regression, dense and residual networks of a deep-learning course.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_whole)
    for command, short in _commands().items():
        app.command(short_help=short)(_guarded(command))
    try:
        code = app(None if args is None else list(args), prog_name="fastlec", standalone_mode=False) or 0
    except _usage_error() as error:
        return _complain(f"{error.format_message().rstrip('.')}; see fastlec --help", 2, usage=True)
    except (KeyboardInterrupt, typer.Abort):  # typer makes either Abort or the exit code 130 of the first
        code = _INTERRUPTED
    return _complain("interrupted", code) if code == _INTERRUPTED else code


def _commands() -> dict[Callable[..., int | None], str]:
    """Each command, and what it does in a line."""
    return {
        train: "Train a classifier on digits, or on data of your own.",
        predict: "Predict the classes of samples with a saved model.",
        check: "Test every derivative in the library.",
        universal: "Show the universal approximation theorem at work.",
        overfit: "Show how polynomials of high degree learn noise.",
        filter: "Filter an image with a kernel.",
        bench: "Time fastlec beside other libraries, or another build.",
        info: "Show what a bug report needs: version, compiler, CPU.",
    }


def _usage_error() -> type[Exception]:
    """Click's own, or the one that newer releases of typer carry."""
    return typer.BadParameter.__base__


def _complain(text: object, code: int, usage: bool = False) -> int:
    """One line on stderr, whatever the text holds; of several ranks' the first one's."""
    if ranks.told_by_root(usage):
        return code
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(text).split()))
    print("fastlec:", line, file=sys.stderr)
    return code


def _guarded(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """The command, with what may go wrong turned into one line and an exit code."""

    @functools.wraps(command)
    def guarded(*args, **kwargs):
        try:
            with np.errstate(all="ignore"), ranks.watched():  # what overflows is seen in the result, and told in one line
                return command(*args, **kwargs)
        except KeyboardInterrupt:
            return _INTERRUPTED
        except _usage_error():
            raise
        except _BAD_INPUT as error:
            text = io.words(error) if str(error) else f"out of memory ({type(error).__name__})"
            named = f"{error.filename}: " if getattr(error, "filename", None) else ""  # of an OSError
            return _complain(f"{named}{text}", 2)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} in {place.filename}, line {place.lineno}: {error}"
            return _complain(f"a fault of fastlec's own, please report it: {what}", 2)

    return guarded


def _whole(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    """Softmax regression, dense and residual networks of a deep-learning course."""
    if version:
        _show_version()
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise _usage_error()("Missing command.")


def _show_version() -> None:
    print(f"fastlec {fastlec.__version__}")


def info() -> None:
    """Show version, compiler, instruction sets, OpenMP and threads: what a bug report needs."""
    fastlec.show_config()
