"""``fastlec bench``: the same work in fastlec and in its peers, timed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import plot
from .files import Overwrite, Target, ready
from .options import DType


def bench(
    case: Annotated[list[str] | None, typer.Option(help="Only this case; may be repeated. (default: all)")] = None,
    dtype: Annotated[list[DType] | None, typer.Option(help="Only this precision; may be repeated. (default: both)")] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1 << 16, help="Threads of every library. (default: all)")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Small sizes, once: does every case run?")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the numbers there.")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", help="Draw the ratios into this .png.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Time the same work in fastlec and in every peer that is installed."""
    from .. import bench as benches
    from ..bench import cases

    try:
        cases.select(case)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    json, picture = ready(Target("--json", json), Target("--plot", picture, plot.check_path), overwrite=overwrite)
    dtypes = [str(one) for one in dtype or DType]
    benches.run(cases=case, dtypes=dtypes, threads=threads, smoke=smoke, json_path=json, plot_path=picture)
