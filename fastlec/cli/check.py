"""``fastlec check``: the derivative tests (lecture 4.3) of all that the library has a derivative of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import plot
from .files import Overwrite, Target, ready
from .options import DType


def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Only the tests whose name has this in it, such as softmax. (default: all)"),
    ] = None,
    dtype: Annotated[DType | None, typer.Option(help="The precision to check in. (default: both)")] = None,
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Draw the errors, log-log, into this .png, .pdf or .svg.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="The table of every test, not only of those that fail.")
    ] = False,
    overwrite: Overwrite = False,
) -> int:
    """Run the gradient, Jacobian and transpose tests over everything there is; exit code 1 if one fails."""
    from ..testing import checks

    (picture,) = ready(Target("--plot", picture, plot.check_path), overwrite=overwrite)
    chosen = [check for check in checks.CHECKS if not names or any(name.lower() in check.lower() for name in names)]
    for name in names or ():
        if not any(name.lower() in check.lower() for check in chosen):
            raise typer.BadParameter(f"{name!r} is in the name of no test.")
    results = []
    for name, result in checks.each(dtype=dtype and str(dtype), names=chosen):
        results.append((name, result))
        print(f"{name}: {'passed' if result.passed else 'FAILED'}", flush=True)
        if verbose or not result.passed:
            print(f"{result}\n", flush=True)
    if picture:
        plot.derivative_report(picture, results)
        print(f"picture: {picture}")
    failed = [name for name, result in results if not result.passed]
    print(f"{len(results) - len(failed)} of {len(results)} tests passed" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0
