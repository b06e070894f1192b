"""Image files as arrays and back, with Pillow (the extra ``image``), imported on first use."""

from __future__ import annotations

import io as memory
import math
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import _check, filters, io

__all__ = ["ImageError", "Picture", "filtered", "read", "write"]


def __dir__() -> list[str]:
    return __all__


class ImageError(ValueError):
    """An image file that cannot be read or written; the text names the file.

    See Also
    --------
    read, write

    Examples
    --------
    >>> from fastlec import images
    >>> images.read("none.png")
    Traceback (most recent call last):
        ...
    fastlec.images.ImageError: none.png: cannot be read as an image: No such file or directory
    """


class Picture(NamedTuple):
    """What an image file holds.

    Parameters
    ----------
    pixels : ndarray
        (H, W) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGBA, all uint8, or (H, W) uint16.
    icc_profile : bytes, optional
        What the numbers mean as colours.
    exif : bytes, optional
        What EXIF says of it, without a thumbnail; b"" where that is broken.
    dpi : tuple of float, optional
        Pixels per inch, across and down.
    jpeg : dict, optional
        Pillow's options for a JPEG file quantized as this one was.
    following : tuple of ndarray, optional
        The frames of an animation, or pages, after the first: arrays like `pixels`.
    durations : tuple of int, optional
        Those of all frames, in ms.
    loop : int, optional
        How often frames are shown: 0 for always, None for once.
    others : tuple of str, optional
        What else it says, in words: "XMP", "text", "comment".

    See Also
    --------
    read, write

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.images import Picture
    >>> half = np.array([[[0, 128]]], np.uint8)  # black, half transparent
    >>> Picture(half).over_white
    array([[127]], dtype=uint8)
    """

    pixels: np.ndarray
    icc_profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    jpeg: dict | None = None
    following: tuple[np.ndarray, ...] = ()
    durations: tuple[int, ...] = ()
    loop: int | None = None
    others: tuple[str, ...] = ()

    @property
    def over_white(self) -> np.ndarray:
        """The pixels as they are seen on white paper, (H, W) gray or (H, W, 3): without alpha, and without the colours it hides."""
        colours = without_alpha(self.pixels)
        if colours is self.pixels:
            return colours
        alpha = self.pixels[..., -1:].astype(np.uint16)
        seen = ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        return seen[..., 0] if seen.shape[2] == 1 else seen

    @property
    def frames(self) -> tuple[np.ndarray, ...]:
        """All of them; of most pictures one, the pixels."""
        return (self.pixels, *self.following)

    def with_frames(self, frames: list[np.ndarray]) -> Picture:
        """Replace the frames.

        Parameters
        ----------
        frames : list of ndarray
            As many other frames, arrays like `pixels`.

        Returns
        -------
        Picture
            A picture of these, which says the same.
        """
        return self._replace(pixels=frames[0], following=tuple(frames[1:]))


class _Kind(NamedTuple):
    """A format that can be written: Pillow's modes that it holds, what else it holds, and the options it is written with.

    with_quality : the options that go with a quality, or None where there is none.
    """

    modes: str
    holds: str = ""
    options: dict = {}  # noqa: RUF012
    with_quality: dict | None = None


_KINDS = {
    "PNG": _Kind("L LA RGB RGBA I;16", "frames icc_profile exif dpi"),
    "TIFF": _Kind("L LA RGB RGBA I;16", "frames icc_profile exif dpi"),
    "JPEG": _Kind("L RGB", "icc_profile exif dpi", {"quality": 95, "subsampling": 0}, {"subsampling": 0}),
    "WEBP": _Kind("L LA RGB RGBA", "frames icc_profile exif", {"lossless": True, "exact": True}, {}),
    "AVIF": _Kind(
        "L LA RGB RGBA", "frames icc_profile exif", {"quality": 95, "subsampling": "4:4:4"}, {"subsampling": "4:4:4"}
    ),
    "GIF": _Kind("L LA RGB RGBA", "frames"),
    "BMP": _Kind("L RGB", "dpi"),
    "JPEG2000": _Kind("L LA RGB RGBA I;16"),
    "PPM": _Kind("L RGB I;16"),
    "TGA": _Kind("L LA RGB RGBA"),
}
_NAMES = {"icc_profile": "ICC profile", "exif": "EXIF", "dpi": "dpi"}
_XMP = "XML:com.adobe.xmp"  # the name that a PNG file has for it
_MODES = {"L": "gray", "LA": "gray with alpha", "I;16": "16-bit gray"}  # in words, where Pillow's name is none
_ONE_PICTURE = ("MPO", "PSD", "ICO", "ICNS")  # whose other pictures, or layers, are parts or views of the first
_FRAMES = 4  # all frames together are at most so many of the largest picture that Pillow takes for honest
_LAYOUT = {
    *range(254, 270),
    273,
    274,
    *range(277, 285),
    *range(288, 294),
    296,
    297,
    301,
    *range(317, 326),
    330,
    *range(332, 350),
}
_LAYOUT |= {*range(512, 533), 34675}  # tags of a TIFF file that say how it stores its pixels, which is not how another one does


def read(path: str | os.PathLike) -> Picture:
    """Read an image file, upright.

    Parameters
    ----------
    path : str or path-like
        The file: 8-bit gray or colour, with or without alpha or a palette, or 16-bit gray, of any kind that Pillow knows.

    Returns
    -------
    Picture
        All frames or pages. Of files that hold other views of a picture (MPO), or its layers (PSD), it is the picture.

    Raises
    ------
    ImageError
        If the file cannot be opened, is no image, is broken, or larger than Pillow takes for honest; for colours of more than 8
        bits, of which Pillow drops the rest.
    ImportError
        If there is no Pillow.

    See Also
    --------
    write, Picture

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastlec import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "gray.png")
    ...     lost = images.write(path, images.Picture(np.array([[0, 128, 255]], np.uint8)))
    ...     print(images.read(path).pixels, lost)
    [[  0 128 255]] []
    """
    pil, path = _pillow(), _check.path(path)
    try:
        with io.open_file(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", pil.Image.DecompressionBombWarning)
            return _picture(pil, pil.Image.open(file), file)
    except MemoryError:
        raise
    except Exception as problem:  # hostile bytes surface as nearly anything in Pillow's many decoders
        text = "not a kind that Pillow knows" if isinstance(problem, pil.UnidentifiedImageError) else io.words(problem)
        raise ImageError(f"{path}: cannot be read as an image: {text}") from problem


def _picture(pil, image, file) -> Picture:
    count = 1 if image.format in _ONE_PICTURE else getattr(image, "n_frames", 1)
    most = pil.Image.MAX_IMAGE_PIXELS
    if count > 1 and most and count * math.prod(image.size) > _FRAMES * most:
        raise ValueError(f"its {count} frames have {count * math.prod(image.size)} pixels; expected at most {_FRAMES * most}")
    if count > 1 and image.info.get("default_image"):
        raise ValueError("its first picture is no part of its animation; expected one whose frames are all of it")
    jpeg = None
    if image.format in ("JPEG", "MPO") and image.quantization:
        jpeg = {"qtables": image.quantization, "subsampling": max(pil.JpegImagePlugin.get_sampling(image), 0)}
    frames, durations, first = [], [], None
    for i in range(count):
        if count > 1:
            image.seek(i)
        _refuse_deep(image, file)
        turned = image.getexif().get(274) in (5, 6, 7, 8)
        frame = pil.ImageOps.exif_transpose(image)
        durations.append(round(image.info.get("duration", 0)))
        frames.append(_plain(frame))
        if first is None:
            first = frame.info.get("icc_profile"), _exif(frame, image), _dpi(image.info.get("dpi"), turned)
    modes = {frame.mode for frame in frames}
    if len(modes) > 1 and "I;16" not in modes:
        mode = "RGBA" if any(mode.endswith("A") for mode in modes) else "RGB"
        frames = [frame.convert(mode) for frame in frames]
    if len({(frame.size, frame.mode) for frame in frames}) > 1:
        raise ValueError("its pictures are of several sizes or kinds; expected frames or pages that are alike")
    pixels = [_array(frame) for frame in frames]
    return Picture(pixels[0], *first, jpeg, tuple(pixels[1:]), tuple(durations), image.info.get("loop"), _others(image))


def _plain(image):
    """A picture of mode L, LA, RGB, RGBA or I;16..., without a palette or a transparent colour."""
    if image.mode in ("1", "L", "P", "RGB") and image.has_transparency_data:
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode in ("1", "P"):
        return image.convert("L" if image.mode == "1" else "RGB")
    if image.mode not in ("L", "LA", "RGB", "RGBA") and not image.mode.startswith("I;16"):
        raise ValueError(f"its pixels are of kind {image.mode}; expected gray, RGB or RGBA")
    if image.mode.startswith("I;16") and "transparency" in image.info:
        raise ValueError("it has a transparent shade among 16-bit ones; expected 8-bit gray, or none")
    return image


def _array(image) -> np.ndarray:
    pixels = np.array(image)
    return pixels.astype(np.uint8 if pixels.dtype == np.uint8 else np.uint16, copy=False)


def _refuse_deep(image, file) -> None:
    """ValueError where Pillow would cut the numbers of a picture that is not yet loaded to 8 bits."""
    bits = _bits(image, file)
    if bits > 8 and image.mode in ("L", "LA", "RGB", "RGBA"):
        raise ValueError(
            f"its numbers have {bits} bits, of which 8 would be left; expected 8-bit gray or colour, or 16-bit gray"
        )


def _bits(image, file) -> int:
    """Of the file's numbers, where its format can hold more than 8."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (1,)))
    if image.format in ("PNG", "SGI"):
        return 16 if any("16" in tile[0] or ";16" in str(tile[3]) for tile in image.tile) else 8
    if image.format == "PPM":
        return max([8, *(int(tile[3][1]).bit_length() for tile in image.tile if tile[0].startswith("ppm"))])
    if image.format == "DDS":
        return 16 if "BC6" in str(getattr(image, "pixel_format", "")) else 8
    if image.format == "JPEG2000":
        _, _, found = _after(file, b"\xff\x4f\xff\x51", 38 + 3 * 4).partition(b"\xff\x4f\xff\x51")
        return max((1 + (byte & 0x7F) for byte in found[38 : 38 + 3 * found[37] : 3]), default=8) if len(found) > 37 else 8
    if image.format == "AVIF":
        _, _, found = _after(file, b"av1C", 4).partition(b"av1C")
        return (12 if found[2] & 0x20 else 10) if len(found) > 2 and found[2] & 0x40 else 8
    return 8


def _after(file, mark: bytes, more: int) -> bytes:
    """What the file holds from its first mark on, within its first 64 KiB; its place is left as it is."""
    place = file.tell()
    file.seek(0)
    head = file.read(1 << 16)
    file.seek(place)
    at = head.find(mark)
    return head[at : at + len(mark) + more] if at >= 0 else b""


def _exif(upright, image) -> bytes | None:
    """The EXIF of a picture, whose thumbnail is left out: it shows what was. b"" if that is broken."""
    try:
        exif = upright.getexif() if image.format != "TIFF" else image.getexif()
        for tag in _LAYOUT & set(exif) if image.format == "TIFF" else ():
            del exif[tag]
        return exif.tobytes() if len(exif) else None
    except Exception:  # broken facts surface as nearly anything, and the pixels are whole
        return b""


def _others(image) -> tuple[str, ...]:
    """What a picture says beside its EXIF, which holds the XMP of a TIFF file, in words."""
    texts = set(getattr(image, "text", ())) - {_XMP}
    found = {
        "XMP": image.format != "TIFF" and {"xmp", _XMP} & set(image.info),
        "text": texts,
        "comment": image.info.get("comment"),
    }
    return tuple(name for name, value in found.items() if value)


def _dpi(dpi, turned: bool) -> tuple[float, float] | None:
    """As the file says it, if it can be written; of a picture that was turned the other way round."""
    try:
        across, down = (float(number) for number in dpi)
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not (1 <= across < 65536 and 1 <= down < 65536) or across == down == 1:  # which is Pillow's for a TIFF that says none
        return None
    return (down, across) if turned else (across, down)


def filtered(pixels: np.ndarray, kernel: np.ndarray, mode: str = "reflect") -> np.ndarray:
    """Filter the colours of a frame by `filters.filter2d`, as far as they are seen.

    Parameters
    ----------
    pixels : ndarray
        A frame of a `Picture`, with or without alpha.
    kernel : ndarray, shape (R, S)
        The kernel.
    mode : {"reflect", "mirror", "nearest", "wrap", "constant"}, optional
        What lies beyond the image, as in `filters.filter2d`. "constant" is opaque black.

    Returns
    -------
    ndarray of float64, shape (H, W) or (H, W, 3)
        Gray or colours, without alpha.

    See Also
    --------
    filters.filter2d

    Notes
    -----
    Where there is alpha, a pixel counts for its neighbours as far as it is seen: with the kernel k, alpha a and the colours c

        y[p] = c[p] sum_q k[q] + sum_q k[q] a[p - q] (c[p - q] - c[p]) / A[p],

    A[p] being the sum of abs(k[q]) a[p - q] over that of abs(k[q]). So hidden colours do not bleed, one alpha everywhere changes
    nothing, and a kernel that is nowhere negative gives the mean of premultiplied colours over that of alpha, times its sum.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec import filters, images
    >>> images.filtered(np.array([[0, 90, 0]], np.uint8), filters.box())
    array([[30., 30., 30.]])
    """
    if pixels.ndim == 2 or pixels.shape[2] % 2:
        return filters.filter2d(pixels.astype(np.float64), kernel, mode=mode)
    colours, alpha = pixels[..., :-1].astype(np.float64), pixels[..., -1:] / np.iinfo(pixels.dtype).max
    if (alpha == 1).all():
        y = filters.filter2d(colours, kernel, mode=mode)
    else:
        unit = np.abs(kernel).max() or 1.0
        kernel = kernel / unit  # whose sums cannot overflow
        seen, weight = (filters.filter2d(alpha, k, mode=mode, cval=1) for k in (kernel, np.abs(kernel)))
        y = filters.filter2d(colours * alpha, kernel, mode=mode) - colours * seen
        y = np.divide(y * np.abs(kernel).sum(), weight, out=np.zeros_like(y), where=weight > 1e-9)  # round-off is below
        with np.errstate(over="ignore"):
            y = unit * (colours * kernel.sum() + y)
    return y[..., 0] if y.shape[2] == 1 else y


def without_alpha(frame: np.ndarray) -> np.ndarray:
    """A view of the colours of a frame."""
    return frame[..., :-1] if frame.ndim == 3 and frame.shape[2] % 2 == 0 else frame


def with_colours(pixels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """A frame like ``pixels``, with its alpha if it has one, of other colours, rounded and clipped. ValueError for NaN."""
    if np.isnan(colours).any():
        raise ValueError("the result holds NaN")
    result = pixels.copy()
    of_colours = without_alpha(result)
    of_colours[...] = np.rint(colours).clip(0, np.iinfo(pixels.dtype).max).reshape(of_colours.shape)
    return result


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


def check_path(path: str | os.PathLike, quality: int | None = None) -> str:
    """Before work: the format that ``path`` names by its ending. ImageError, or io.ModelError, if it cannot be written to, or has
    no quality that could be chosen."""
    pil = _pillow()
    kind = pil.Image.registered_extensions().get(Path(path).suffix.lower())
    if kind not in _KINDS or kind not in pil.Image.SAVE:
        raise ImageError(f"{path}: an image's name ends with its kind, such as .png, .jpg or .tif")
    if quality is not None and _KINDS[kind].with_quality is None:
        raise ImageError(f"{path}: {kind} has no quality to choose; expected .jpg, .webp or .avif")
    io.writable(path)
    return kind


def write(path: str | os.PathLike, picture: Picture, *, quality: int | None = None) -> list[str]:
    """Write a picture in the format that the path's ending names, all or nothing.

    Parameters
    ----------
    path : str or path-like
        The file.
    picture : Picture
        The picture. A GIF file gets the nearest 256 colours for each frame.
    quality : int, optional
        From 1 to 100, of JPEG, WebP or AVIF. By default that of the file that a JPEG picture was read from, else 95; WebP is
        written without loss.

    Returns
    -------
    list of str
        The names of what the format cannot hold beside pixels.

    Raises
    ------
    ImageError
        If the format cannot hold the pixels, or all frames, or there is no such format.
    ImportError
        If there is no Pillow.

    See Also
    --------
    read, Picture

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastlec import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "white.bmp")
    ...     images.write(path, images.Picture(np.full((2, 2), 255, np.uint8), icc_profile=b"profile"))
    ['ICC profile']
    """
    kind, pil = check_path(path, quality), _pillow()
    facts = _KINDS[kind]
    images = [pil.Image.fromarray(frame) for frame in picture.frames]
    options, lost = {}, list(picture.others)
    for name in _NAMES:
        if (value := getattr(picture, name)) is not None:
            if value and name in facts.holds:
                options[name] = value
            else:
                lost.append(_NAMES[name])
    if quality is not None:
        options |= facts.with_quality | {"quality": quality}
    else:
        options |= picture.jpeg if kind == "JPEG" and picture.jpeg else facts.options
    if picture.following:
        options |= {"save_all": True, "append_images": images[1:], "duration": list(picture.durations)}
        if picture.loop is not None or kind != "GIF":  # which is shown once where it does not say
            options["loop"] = 1 if picture.loop is None else picture.loop
        if kind == "GIF":
            options["disposal"] = 2  # each frame is whole
    if kind == "GIF":
        lost += _beyond_gif(picture.frames)
    buffer = memory.BytesIO()  # the files of io.replacing cannot be read, as some encoders do
    with io.replacing(path) as file:
        try:
            if images[0].mode not in facts.modes.split():
                names = [
                    ", ".join(_MODES.get(mode, mode) for mode in modes) for modes in ([images[0].mode], facts.modes.split())
                ]
                raise ValueError(f"it holds {names[1]}, not {names[0]}; expected .png or .tif")
            if picture.following and "frames" not in facts.holds:
                raise ValueError(f"it holds one picture, not {len(images)} frames; expected .png, .gif, .webp or .tif")
            if picture.following and images[0].mode == "I;16" and kind != "TIFF":
                raise ValueError("its frames hold 8 bits, not 16; expected .tif")
            images[0].save(buffer, kind, **options)
        except MemoryError:
            raise
        except Exception as problem:  # each of Pillow's many encoders has its own
            raise ImageError(f"{path}: cannot be written as {kind}: {io.words(problem)}") from problem
        file.write(buffer.getbuffer())
    return lost


def _beyond_gif(frames) -> list[str]:
    """What of the frames' pixels a GIF file cannot hold."""
    colours, alphas = [], set()
    for frame in frames:
        if frame.ndim == 3 and frame.shape[2] % 2 == 0:
            alphas.update(np.unique(frame[..., -1]).tolist())
        colours.append(len(np.unique(frame.reshape(frame.shape[0] * frame.shape[1], -1), axis=0)))
    return ["colours beyond 256"] * (max(colours) > 256) + ["partial transparency"] * bool(alphas - {0, 255})


def _pillow():
    try:
        import PIL.Image
        import PIL.ImageOps
        import PIL.JpegImagePlugin
    except ImportError as error:
        raise ImportError("image files need Pillow: pip install 'fastlec[image]'") from error
    return PIL
