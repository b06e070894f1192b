"""The command line: ``fastlec train | check | universal | filter | bench | info``. It needs typer and rich, the extra ``cli``.

Every command ends in one of four ways: 0; 1 where a check failed; 2 with one line on stderr where the input is bad;
130 after Ctrl-C.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import fastlec

from . import data as datasets
from . import images, io, plot

try:
    import rich  # noqa: F401
    import typer
except ImportError as error:
    _MISSING = error.name
else:
    from .cli_filter import filter
    from .cli_options import DType
    from .cli_train import train
    from .cli_universal import universal

    _MISSING = None

_BAD_INPUT = (datasets.DataError, io.ModelError, images.ImageError, plot.PlotError)
_BAD_INPUT += (FloatingPointError, MemoryError, OSError, ImportError)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line ``args`` (by default the process's own) and return its exit code."""
    if _MISSING:
        return _complain("the command line needs typer and rich: pip install 'fastlec[cli]'", 2)
    app = typer.Typer(add_completion=False, help="Softmax regression, dense and residual networks of a deep-learning course.")
    for command in (train, check, universal, filter, bench, info):
        app.command()(_guarded(command))
    usage_error = typer.BadParameter.__base__  # click's own, or the one that newer releases of typer carry
    try:
        return app(None if args is None else list(args), prog_name="fastlec", standalone_mode=False) or 0
    except usage_error as error:
        return _complain(f"{error.format_message().rstrip('.')}; see fastlec --help", 2)


def _complain(text: object, code: int) -> int:
    print("fastlec:", " ".join(str(text).split()), file=sys.stderr)
    return code


def _guarded(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """The command, with what may go wrong outside of this program turned into one line and an exit code."""

    @functools.wraps(command)
    def guarded(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            return _complain("interrupted", 130)
        except BrokenPipeError:  # the reader of our output, such as head, has left: nobody to tell
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except _BAD_INPUT as error:
            return _complain(str(error) or f"out of memory ({type(error).__name__})", 2)

    return guarded


def check(
    dtype: Annotated[DType | None, typer.Option(help="The precision to check in. (default: both)")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", help="Draw the errors, log-log, into this .png.")] = None,
) -> int:
    """Run the gradient, Jacobian and transpose tests over everything there is; exit code 1 if one fails."""
    from . import checks

    if picture:
        plot.check_path(picture)
    results = checks.run(dtype=dtype and str(dtype))
    for _, result in results:
        print(f"{result}\n")
    if picture:
        plot.derivative_report(picture, results)
        print(f"picture: {picture}")
    failed = [name for name, result in results if not result.passed]
    print(f"{len(results) - len(failed)} of {len(results)} tests passed" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def bench(
    case: Annotated[list[str] | None, typer.Option(help="Only this case; may be repeated. (default: all)")] = None,
    dtype: Annotated[list[DType] | None, typer.Option(help="Only this precision; may be repeated. (default: both)")] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1 << 16, help="Threads of every library. (default: all)")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Small sizes, once: does every case run?")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the numbers there.")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", help="Draw the ratios into this .png.")] = None,
) -> None:
    """Time the same work in fastlec and in every peer that is installed."""
    from . import bench as benches
    from .bench import cases

    try:
        cases.select(case)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if json:
        io.writable(json)
    if picture:
        plot.check_path(picture)
    dtypes = [str(one) for one in dtype or DType]
    benches.run(cases=case, dtypes=dtypes, threads=threads, smoke=smoke, json_path=json, plot_path=picture)


def info() -> None:
    """Show version, compiler, instruction sets, OpenMP and threads: what a bug report needs."""
    fastlec.show_config()
