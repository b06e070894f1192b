"""``fastlec filter``: image filtering (lecture 5.1) of image files."""

from __future__ import annotations

import inspect
import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from .. import filters, images
from .files import Overwrite, Target, ready
from .options import finite

Kernel = StrEnum("Kernel", {name: name.replace("_", "-") for name in filters.KERNELS})
Mode = StrEnum("Mode", {mode: mode for mode in filters.MODES})


def _kernel(name: Kernel | None, matrix: str | None, **options: float | None) -> np.ndarray:
    """The kernel of that name with the options that were given, or the one written out."""
    options = {option: value for option, value in options.items() if value is not None}
    if (name is None) == (matrix is None):
        raise typer.BadParameter("expected one of --kernel and --matrix.")
    taken = () if name is None else inspect.signature(filters.KERNELS[name.name]).parameters
    for option in options:
        if option not in taken:
            raise typer.BadParameter(f"--{option} does not go with {f'--kernel {name}' if name else '--matrix'}.")
    if name is None:
        return _matrix(matrix)
    try:
        return filters.KERNELS[name.name](**options)
    except ValueError as error:
        raise typer.BadParameter(f"--kernel {name}: {error}.") from error


def _matrix(text: str) -> np.ndarray:
    """The array of "0 -1 0; -1 5 -1; 0 -1 0"."""
    try:
        matrix = np.array([[float(number) for number in row.replace(",", " ").split()] for row in text.split(";")])
    except ValueError:
        matrix = np.empty(0)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise typer.BadParameter(f"--matrix {text!r} is not rows of as many finite numbers, such as '0 -1 0; -1 5 -1; 0 -1 0'.")
    return matrix


def filter(
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image file: gray, RGB or RGBA, whose alpha stays as it is.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the filtered image goes; the ending says its kind.")],
    kernel: Annotated[
        Kernel | None, typer.Option(metavar="NAME", help=f"A kernel of image processing: {', '.join(Kernel)}.")
    ] = None,
    matrix: Annotated[str | None, typer.Option(help="A kernel of your own, such as '0 -1 0; -1 5 -1; 0 -1 0'.")] = None,
    size: Annotated[int | None, typer.Option(min=1, max=999, help="Rows and columns of box, gaussian, unsharp.")] = None,
    sigma: Annotated[
        float | None,
        typer.Option(callback=finite(0, 100, open_low=True), help="Standard deviation of gaussian, unsharp, in pixels."),
    ] = None,
    amount: Annotated[float | None, typer.Option(callback=finite(0), help="How much to sharpen, unsharp. (default: 1)")] = None,
    mode: Annotated[Mode, typer.Option(help="What lies beyond the image; constant: black.")] = Mode.reflect,
    overwrite: Overwrite = False,
) -> None:
    """Filter an image with a kernel (the convolution of lecture 5.1); the result is rounded and clipped to the pixels' range."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # which else tells stderr what it thinks of a broken file
    K = _kernel(kernel, matrix, size=size, sigma=sigma, amount=amount)
    (target,) = ready(Target("OUT", target, images.check_path), overwrite=overwrite, inputs={"IN": source})
    picture = images.read(source)
    try:
        filters.filter2d(picture.colours, K, mode=str(mode), out=picture.colours)
    except ValueError as error:
        raise typer.BadParameter(f"{f'--kernel {kernel}' if kernel else '--matrix'}: {error}.") from error
    images.write(target, picture)
    height, width = picture.pixels.shape[:2]
    print(f"{source}: {width} x {height}; {kernel or 'matrix'} of {K.shape[0]} x {K.shape[1]}, {mode}; written to {target}")
