"""``fastlec check``: the derivative tests (lecture 4.3) of all that the library has a derivative of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import plot
from .files import Overwrite, Target, ready
from .options import DType


def check(
    dtype: Annotated[DType | None, typer.Option(help="The precision to check in. (default: both)")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", help="Draw the errors, log-log, into this .png.")] = None,
    overwrite: Overwrite = False,
) -> int:
    """Run the gradient, Jacobian and transpose tests over everything there is; exit code 1 if one fails."""
    from ..testing import checks

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
