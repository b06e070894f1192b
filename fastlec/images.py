"""Image files as arrays and back, with Pillow (the extra ``image``), imported on first use."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import _check, io


class ImageError(ValueError):
    """An image file that cannot be read or written; the text names the file."""


class Picture(NamedTuple):
    """What an image file holds.

    pixels : (H, W) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGBA, all uint8, or (H, W) uint16.
    icc_profile : what the numbers mean as colours, or None.
    """

    pixels: np.ndarray
    icc_profile: bytes | None = None

    @property
    def colours(self) -> np.ndarray:
        """A view of the pixels without alpha."""
        with_alpha = self.pixels.ndim == 3 and self.pixels.shape[2] % 2 == 0
        return self.pixels[..., :-1] if with_alpha else self.pixels


def read(path: str | os.PathLike) -> Picture:
    """The first picture of an image file, upright: 8-bit gray or colour, with or without alpha or a palette, or 16-bit gray.

    Raises ImageError for what is no image, or is broken, of another kind, or larger than Pillow takes for honest, or cannot be
    opened; ImportError without Pillow. (16-bit colour comes as 8-bit: Pillow has no other.)
    """
    pil, path = _pillow(), _check.path(path)
    try:
        with io.open_file(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", pil.Image.DecompressionBombWarning)
            image = pil.ImageOps.exif_transpose(pil.Image.open(file))
            if image.mode in ("1", "L", "P", "RGB") and image.has_transparency_data:
                image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
            elif image.mode in ("1", "P"):
                image = image.convert("L" if image.mode == "1" else "RGB")
            if image.mode not in ("L", "LA", "RGB", "RGBA") and not image.mode.startswith("I;16"):
                raise ValueError(f"its pixels are of kind {image.mode}; expected gray, RGB or RGBA")
            pixels = np.array(image)
    except MemoryError:
        raise
    except Exception as problem:  # hostile bytes surface as nearly anything in Pillow's many decoders
        text = "not a kind that Pillow knows" if isinstance(problem, pil.UnidentifiedImageError) else io.words(problem)
        raise ImageError(f"{path}: cannot be read as an image: {text}") from problem
    return Picture(
        pixels.astype(np.uint8 if pixels.dtype == np.uint8 else np.uint16, copy=False), image.info.get("icc_profile")
    )


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels (H, W) or (H, W, 3) uint8 as an image of size (height, width): bilinear, and over all that a pixel covers."""
    pil = _pillow()
    if pixels.shape[:2] == tuple(size):
        return pixels
    return np.asarray(pil.Image.fromarray(pixels).resize(size[::-1], pil.Image.Resampling.BILINEAR))


def in_colour(pixels: np.ndarray) -> np.ndarray:
    """Gray (H, W) as (H, W, 3); colours stay."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def in_gray(pixels: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) uint8 as (H, W), by their luminance; gray stays."""
    return pixels if pixels.ndim == 2 else np.asarray(_pillow().Image.fromarray(pixels).convert("L"))


def check_path(path: str | os.PathLike) -> str:
    """Before work: the format that ``path`` names by its ending. ImageError, or io.ModelError, if it cannot be written to."""
    pil = _pillow()
    kind = pil.Image.registered_extensions().get(Path(path).suffix.lower())
    if kind not in pil.Image.SAVE:
        raise ImageError(f"{path}: an image's name ends with its kind, such as .png, .jpg or .tif")
    io.writable(path)
    return kind


def write(path: str | os.PathLike, picture: Picture) -> None:
    """Write a picture in the format of ``path``'s ending, all or nothing. ImageError if that format cannot hold it."""
    kind = check_path(path)
    with io.replacing(path) as file:
        try:
            _pillow().Image.fromarray(picture.pixels).save(file, kind, icc_profile=picture.icc_profile)
        except MemoryError:
            raise
        except Exception as problem:  # each of Pillow's many encoders has its own
            raise ImageError(f"{path}: cannot be written as {kind}: {io.words(problem)}") from problem


def _pillow():
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        raise ImportError("image files need Pillow: pip install 'fastlec[image]'") from error
    return PIL
