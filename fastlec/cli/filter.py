"""``fastlec filter``: image filtering (lecture 5.1) of image files."""

from __future__ import annotations

import functools
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

_MAKES = {name: [make] for name, make in filters.KERNELS.items()} | {"gradient_magnitude": [filters.sobel_x, filters.sobel_y]}
Kernel = StrEnum("Kernel", {name: name.replace("_", "-") for name in _MAKES})
Mode = StrEnum("Mode", {mode: mode for mode in filters.MODES})


def _kernels(name: Kernel | None, matrix: str | None, **options: float | None) -> list[np.ndarray]:
    """The kernel of that name with the options that were given, or the one written out; two for the gradient's magnitude."""
    options = {option: value for option, value in options.items() if value is not None}
    if (name is None) == (matrix is None):
        raise typer.BadParameter("expected one of --kernel and --matrix.")
    makes = _MAKES[name.name] if name else []
    for option in options:
        if not makes or option not in inspect.signature(makes[0]).parameters:
            raise typer.BadParameter(f"--{option} does not go with {f'--kernel {name}' if name else '--matrix'}.")
    try:
        return [make(**options) for make in makes] or [_matrix(matrix)]
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


def _filtered(frame: np.ndarray, kernels: list[np.ndarray], mode: str) -> np.ndarray:
    """The colours of a frame filtered, float64; by several kernels, the root of the sum of squares."""
    with np.errstate(over="ignore"):
        return functools.reduce(np.hypot, [images.filtered(frame, kernel, mode) for kernel in kernels])


def _normalized(results: list[np.ndarray], frames: list[np.ndarray]) -> list[np.ndarray]:
    """The results from 0 for the lowest that is seen in any frame to all that pixels hold for the highest."""
    seen = [
        y[frame[..., -1] > 0] if frame.ndim == 3 and frame.shape[2] % 2 == 0 else y
        for y, frame in zip(results, frames, strict=True)
    ]
    low = min((y.min() for y in seen if y.size), default=0.0)
    high = max((y.max() for y in seen if y.size), default=0.0)
    if not np.isfinite(high - low):
        raise typer.BadParameter("--normalize: the result is too large for it.")
    return [(y - low) / ((high - low) or 1.0) * np.iinfo(frames[0].dtype).max for y in results]


def filter(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="An image file: gray, RGB or RGBA, whose alpha stays as it is; all of its frames."),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the filtered image goes; the ending says its kind.")],
    kernel: Annotated[
        Kernel | None,
        typer.Option(metavar="NAME", help=f"One of {', '.join(Kernel)}, which is the length of sobel-x and sobel-y."),
    ] = None,
    matrix: Annotated[str | None, typer.Option(help="A kernel of your own, such as '0 -1 0; -1 5 -1; 0 -1 0'.")] = None,
    size: Annotated[int | None, typer.Option(min=1, max=999, help="Rows and columns of box, gaussian, unsharp.")] = None,
    sigma: Annotated[
        float | None,
        typer.Option(callback=finite(0, 100, open_low=True), help="Standard deviation of gaussian, unsharp, in pixels."),
    ] = None,
    amount: Annotated[float | None, typer.Option(callback=finite(0), help="How much to sharpen, unsharp. (default: 1)")] = None,
    mode: Annotated[Mode, typer.Option(help="What lies beyond the image; constant: black.")] = Mode.reflect,
    absolute: Annotated[bool, typer.Option("--abs", help="Show results below 0, as of edge, by their absolute value.")] = False,
    offset: Annotated[
        float | None, typer.Option(callback=finite(-1e6, 1e6), help="Added to the result, such as 128, so that 0 is gray.")
    ] = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Stretch the result from black to white.")] = False,
    quality: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help="Of .jpg, .webp, .avif. (default: a JPEG as IN if that is one, or 95; WebP without loss; AVIF 95)",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Filter an image with a kernel (the convolution of lecture 5.1); the result is rounded and clipped to the pixels' range.

    Colours count as far as alpha lets them be seen. EXIF, resolution and ICC profile are kept.
    """
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # which else tells stderr what it thinks of a broken file
    kernels = _kernels(kernel, matrix, size=size, sigma=sigma, amount=amount)
    if normalize and offset is not None:
        raise typer.BadParameter("--offset does not go with --normalize, which shifts the result itself.")
    check = functools.partial(images.check_path, quality=quality)
    (target,) = ready(Target("OUT", target, check), overwrite=overwrite, inputs={"IN": source})
    picture = images.read(source)
    results = (_filtered(frame, kernels, str(mode)) for frame in picture.frames)
    if absolute:
        results = map(np.abs, results)
    try:
        if normalize:
            results = _normalized(list(results), picture.frames)
        frames = [images.with_colours(frame, y + (offset or 0)) for frame, y in zip(picture.frames, results, strict=True)]
    except ValueError as error:
        raise typer.BadParameter(f"{f'--kernel {kernel}' if kernel else '--matrix'}: {error}.") from error
    lost = images.write(target, picture.with_frames(frames), quality=quality)
    height, width = picture.pixels.shape[:2]
    count = f", {len(frames)} frames" if len(frames) > 1 else ""
    by = f"{kernel or 'matrix'} of {kernels[0].shape[0]} x {kernels[0].shape[1]}"
    without = f" without {', '.join(lost)}" if lost else ""
    print(f"{source}: {width} x {height}{count}; {by}, {mode}; written to {target}{without}")
