"""What every command asks of the files that it is to write, before it begins."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .. import io

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist; without it, they are refused.")]
_MAY_REPLACE = (("--save", "--load"), ("OUT", "IN"))  # which may be one file, with --overwrite


def _place(path: Path) -> str:
    """Where the path leads; the path itself where the system does not say, which whoever opens it will tell."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return os.fspath(path)


def _is_output(path: str) -> bool:
    """Whether standard output or standard error are redirected into this file."""
    try:
        there = os.stat(path)
        return any(os.path.samestat(there, os.fstat(descriptor)) for descriptor in (1, 2))
    except OSError:
        return False


@dataclass(frozen=True)
class Target:
    """A file that a command is to write.

    option : that names it.  path : or None, where nothing is to be written.
    check : called with the path, it raises where that cannot be written: there is no such folder, the suffix is of another
    format, a library is not installed.
    named : by the user; if not, the name counts up where there is such a file.
    remedy : the options that help where there is one.
    """

    option: str
    path: Path | None
    check: Callable[[Path | io.FreeName], object] = io.writable
    named: bool = True
    remedy: str = "--overwrite"


def ready(
    *targets: Target, overwrite: bool, inputs: Mapping[str, Path | None] | None = None
) -> list[Path | io.FreeName | None]:
    """The paths to write the targets to. Raises, before anything is done, for what could not be written in the end, for files that
    exist, unless they may be overwritten, and for one file that two options name.

    inputs : the files that the command reads, by option.
    """
    paths = []
    owners = {_place(path): (option, path) for option, path in (inputs or {}).items() if path}
    for target in targets:
        if target.path is None:
            paths.append(None)
            continue
        paths.append(target.path if overwrite and target.named else io.FreeName(target.path))
        target.check(target.path if target.named else paths[-1])
        place = _place(target.path)
        if target.named and _is_output(place):
            raise typer.BadParameter(f"{target.option} {target.path} is where the output of this command goes.")
        option, path = owners.setdefault(place, (target.option, target.path))
        may_be = (target.option, option) in _MAY_REPLACE
        if option != target.option and not may_be:
            raise typer.BadParameter(f"{target.option} is {option}, {path}; expected another file.")
        if target.named and not overwrite and os.path.lexists(place):
            what = f"is {option}, {path}" if may_be else f"{path} exists"
            raise typer.BadParameter(f"{target.option} {what}; expected another file, or {target.remedy}.")
    return paths
