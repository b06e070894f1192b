"""Folders of images as arrays: a subfolder for each class, read by Pillow (the extra ``image``)."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from . import images
from ._check import memory_size
from .io import words
from .preprocessing import DataError, Preprocessing

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".pgm", ".ppm", ".pnm")
_TESTS = ("test", "val", "valid", "validation")  # folders beside train, the first that there is


def read(path: Path, size, like: Preprocessing | None, *, labelled: bool) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """X (m, height, width) or (m, height, width, 3) uint8 of the images, transparent pixels as on white paper; y (m,) the names of
    their folders, whole numbers where all are; X_test and y_test of those in ``test`` (or ``val``) where they are in
    ``train``; and the files of X.

    size : (height, width) to resize to, or None where all are of one.  like : a model's, whose size and colours they get.
    labelled : False where path may also be one image, or a folder of images.  DataError for what is none of these.
    """
    if like is not None:
        if like.image_shape is None:
            raise DataError(f"{path}: holds images; the model takes samples that are none")
        size, colour = like.image_shape[:2], like.image_shape[2:] == (3,)
    else:
        colour = None
    if not path.is_dir():
        if labelled:
            raise DataError(f"{path}: is one image; expected a folder with a subfolder of images for each class")
        return {"X": _pixels([path], size, colour)}, (path.name,)
    parts = {folder.name.lower(): folder for folder in _entries(path) if folder.is_dir()}
    test = next((part for part in _TESTS if part in parts and _classes(parts[part])), None)
    if "train" in parts and _classes(parts["train"]):
        files = {"": _classes(parts["train"])} | ({"_test": _classes(parts[test])} if test else {})
    else:
        files = {"": _classes(path)}
    plain = _images(path)
    if not labelled and plain and not files[""]:
        return {"X": _pixels(plain, size, colour)}, tuple(file.name for file in plain)
    if not files[""]:
        text = "train-images-idx3-ubyte and train-labels-idx1-ubyte (or .gz), or a subfolder of images for each class"
        there = next((f"; {folder.name} in it has such" for folder in parts.values() if _classes(folder)), "")
        raise DataError(f"{path}: expected the files {text}, in it{there}")
    every = [file for end in files for _, file in files[end]]
    X, raw, start = _pixels(every, size, colour), {}, 0
    number = int if all(re.fullmatch(r"0|-?[1-9]\d{0,17}", name, re.ASCII) for end in files for name, _ in files[end]) else str
    for end, found in files.items():
        raw[f"X{end}"] = X[start : start + len(found)]
        raw[f"y{end}"] = np.array([number(name) for name, _ in found])
        start += len(found)
    return raw, tuple(f"{name}/{file.name}" for name, file in files[""])


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(entry for entry in path.iterdir() if not entry.name.startswith((".", "__")))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {words(error)}") from error


def _images(folder: Path) -> list[Path]:
    return [file for file in _entries(folder) if file.suffix.lower() in SUFFIXES and not file.is_dir()]


def _classes(path: Path) -> list[tuple[str, Path]]:
    """(name of the subfolder, image) for each image."""
    return [(folder.name, file) for folder in _entries(path) if folder.is_dir() for file in _images(folder)]


def _pixels(files: list[Path], size, colour: bool | None) -> np.ndarray:
    """The images as one array of bytes, in colour if one of them is, or as told."""
    pictures = []
    for file in files:
        try:
            pixels = images.read(file).over_white
        except images.ImageError as error:
            raise DataError(str(error)) from error
        if pixels.dtype == np.uint16:
            pixels = np.rint(pixels / 257).astype(np.uint8)
        if isinstance(size, tuple):
            pixels = images.resized(pixels, size)
        elif pictures and pixels.shape[:2] != pictures[0].shape[:2]:
            theirs, first = (" x ".join(map(str, a.shape[:2])) for a in (pixels, pictures[0]))
            raise DataError(f"{file}: is {theirs}, {files[0].name} is {first}; expected one size, or --size HEIGHTxWIDTH")
        pictures.append(pixels)
        if 3 * math.prod(pixels.shape[:2]) * len(files) > memory_size() // 8:
            raise DataError(f"{file.parent}: {len(files)} images of {pixels.shape} are too large for this machine's memory")
    colour = any(pixels.ndim == 3 for pixels in pictures) if colour is None else colour
    return np.stack([images.in_colour(pixels) if colour else images.in_gray(pixels) for pixels in pictures])
