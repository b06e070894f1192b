"""``fastlec bench``: the same work in fastlec and in its peers, or in two builds of fastlec, timed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from .. import plot
from .files import Overwrite, Target, ready
from .options import ISA, DType, finite

SECONDS = 150  # within which cases begin, so that a run ends within three minutes


def bench(
    case: Annotated[list[str] | None, typer.Option(help="Only this case; may be repeated. (default: all)")] = None,
    dtype: Annotated[list[DType] | None, typer.Option(help="Only this precision; may be repeated. (default: both)")] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1 << 16, help="Threads of every library. (default: all)")] = None,
    isa: Annotated[
        ISA | None,
        typer.Option(help="The instruction set that fastlec uses and peers are held to. (default: the best of each)"),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="PYTHON", help="Instead of the peers the fastlec of this interpreter: is it slower?")
    ] = None,
    fail_below: Annotated[
        float | None, typer.Option(help="With --against: exit code 1 if a ratio is below this.", callback=finite(0))
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1 << 16, help="Turns of each contender at each case.")] = 10,
    full: Annotated[
        bool, typer.Option("--full", help="Every case. (default: what three minutes allow, or the cases named)")
    ] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Small sizes, once: does every case run?")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the numbers there.")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", help="Draw the ratios into this .png, .pdf or .svg.")] = None,
    overwrite: Overwrite = False,
) -> int:
    """Time the same work in fastlec and in every peer that is installed; or in this build of fastlec and in another one."""
    from .. import bench as benches
    from ..bench import cases

    try:
        cases.select(case)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if against is None and fail_below is not None:
        raise typer.BadParameter("--fail-below compares with another build: it needs --against.")
    if against is not None and picture is not None:
        raise typer.BadParameter("--plot draws the ratios to the peers: there are none with --against.")
    if against is not None and isa is not None:
        raise typer.BadParameter("--isa holds the peers: there are none with --against.")
    json, picture = ready(Target("--json", json), Target("--plot", picture, plot.check_path), overwrite=overwrite)
    work = {"cases": case, "dtypes": [str(one) for one in dtype or DType], "threads": threads, "smoke": smoke, "rounds": rounds}
    if against is None:
        progress = partial(typer.echo, err=True)  # tables come last, and torch.compile takes half a minute for a case
        seconds = None if full or smoke or case else SECONDS
        benches.run(**work, seconds=seconds, isa=isa and str(isa), json_path=json, plot_path=picture, progress=progress)
        return 0
    return 1 if benches.slower(benches.compare(against, **work, json_path=json), fail_below or 0.0) else 0
