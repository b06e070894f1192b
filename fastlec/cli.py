"""The command line: ``fastlec train | check | universal | filter | bench | info``. It needs typer and rich, the extra ``cli``.

Every command ends in one of four ways: 0; 1 where a check failed; 2 with one line on stderr where the input is bad;
130 after Ctrl-C. What it is to write is looked at before it begins (`cli_files`), and it goes on if nobody reads what it prints
(`cli_output`).
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

import fastlec

from . import io, plot
from .cli_output import outlasting

try:
    import rich  # noqa: F401
    import typer
except ImportError as error:
    _MISSING = error.name
else:
    from .cli_files import Overwrite, Target, ready
    from .cli_filter import filter
    from .cli_options import DType, finite
    from .cli_train import train
    from .cli_universal import universal

    _MISSING = None

_INTERRUPTED = 130
_BAD_INPUT = (ValueError, FloatingPointError, MemoryError, OSError, ImportError)


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
        return _complain("the command line needs typer and rich: pip install 'fastlec[cli]'", 2)
    app = typer.Typer(add_completion=False, help="Softmax regression, dense and residual networks of a deep-learning course.")
    for command in (train, check, universal, filter, bench, info):
        app.command()(_guarded(command))
    try:
        code = app(None if args is None else list(args), prog_name="fastlec", standalone_mode=False) or 0
    except _usage_error() as error:
        return _complain(f"{error.format_message().rstrip('.')}; see fastlec --help", 2)
    except (KeyboardInterrupt, typer.Abort):  # typer makes either Abort or the exit code 130 of the first
        code = _INTERRUPTED
    return _complain("interrupted", code) if code == _INTERRUPTED else code


def _usage_error() -> type[Exception]:
    """Click's own, or the one that newer releases of typer carry."""
    return typer.BadParameter.__base__


def _complain(text: object, code: int) -> int:
    """One line on stderr, whatever the text holds."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(text).split()))
    print("fastlec:", line, file=sys.stderr)
    return code


def _guarded(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """The command, with what may go wrong turned into one line and an exit code."""

    @functools.wraps(command)
    def guarded(*args, **kwargs):
        try:
            with np.errstate(all="ignore"):  # what overflows is seen in the result, and told in one line
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


def check(
    dtype: Annotated[DType | None, typer.Option(help="The precision to check in. (default: both)")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", help="Draw the errors, log-log, into this .png.")] = None,
    overwrite: Overwrite = False,
) -> int:
    """Run the gradient, Jacobian and transpose tests over everything there is; exit code 1 if one fails."""
    from .testing import checks

    (picture,) = ready(Target("--plot", picture, plot.check_path), overwrite=overwrite)
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
    against: Annotated[
        str | None, typer.Option(metavar="PYTHON", help="Instead of the peers the fastlec of this interpreter: is it slower?")
    ] = None,
    fail_below: Annotated[
        float | None, typer.Option(help="With --against: exit code 1 if a ratio is below this.", callback=finite(0))
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1 << 16, help="Turns of each contender at each case.")] = 10,
    smoke: Annotated[bool, typer.Option("--smoke", help="Small sizes, once: does every case run?")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the numbers there.")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", help="Draw the ratios into this .png.")] = None,
    overwrite: Overwrite = False,
) -> int:
    """Time the same work in fastlec and in every peer that is installed; or in this build of fastlec and in another one."""
    from . import bench as benches
    from .bench import cases

    try:
        cases.select(case)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if against is None and fail_below is not None:
        raise typer.BadParameter("--fail-below compares with another build: it needs --against.")
    if against is not None and picture is not None:
        raise typer.BadParameter("--plot draws the ratios to the peers: there are none with --against.")
    json, picture = ready(Target("--json", json), Target("--plot", picture, plot.check_path), overwrite=overwrite)
    work = {"cases": case, "dtypes": [str(one) for one in dtype or DType], "threads": threads, "smoke": smoke, "rounds": rounds}
    if against is None:
        benches.run(**work, json_path=json, plot_path=picture)
        return 0
    return 1 if benches.slower(benches.compare(against, **work, json_path=json), fail_below or 0.0) else 0


def info() -> None:
    """Show version, compiler, instruction sets, OpenMP and threads: what a bug report needs."""
    fastlec.show_config()
