"""``fastlec filter`` as a user meets it: what it writes for every kind of image, and how it refuses bad input."""

import io as memory
import struct
import sys
import zlib

import numpy as np
import pytest
from interpreter import finished

from fastlec import filter2d, filters, images

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("PIL")
from PIL import Image, JpegImagePlugin, PngImagePlugin
from special import special_files

from fastlec import cli


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photo(rng):
    """in.png, RGB, 30 wide and 20 high; its pixels."""
    pixels = rng.integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save("in.png")
    return pixels


def run(capsys, *args):
    capsys.readouterr()
    code = cli.main(["filter", *map(str, args)])
    return code, *capsys.readouterr()


def refused(capsys, text, *args):
    """Exit code 2, nothing but one line on stderr, which holds text."""
    code, out, err = run(capsys, *args)
    assert code == 2
    assert text in err
    assert err.startswith("fastlec: ")
    assert err.count("\n") == 1
    assert out == ""


def filtered(pixels, kernel, **options):
    """What the command must write: rounded, and clipped to the range of the pixels."""
    y = np.rint(filter2d(pixels.astype(np.float64), kernel, **options))
    return y.clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)


def opened(path):
    with Image.open(path) as image:
        image.load()
    return image


def read(path):
    return np.array(opened(path))


@pytest.mark.parametrize("name", filters.KERNELS)
def test_every_kernel(capsys, photo, name):
    code, out, err = run(capsys, "in.png", "out.png", "--kernel", name.replace("_", "-"))
    assert (code, err) == (0, "")
    kernel = filters.KERNELS[name]()
    size = f"{kernel.shape[0]} x {kernel.shape[1]}"
    assert out == f"in.png: 30 x 20; {name.replace('_', '-')} of {size}, reflect; written to out.png\n"
    np.testing.assert_array_equal(read("out.png"), filtered(photo, kernel))
    np.testing.assert_array_equal(read("in.png"), photo)


@pytest.mark.parametrize(
    ("options", "kernel"),
    [
        (["--kernel=box", "--size=5"], filters.box(5)),
        (["--kernel=gaussian", "--size=7"], filters.gaussian(7)),
        (["--kernel=gaussian", "--sigma=1.5"], filters.gaussian(sigma=1.5)),
        (["--kernel=gaussian", "--sigma=1.5", "--size=3"], filters.gaussian(3, 1.5)),
        (["--kernel=sharpen", "--amount=0.25"], filters.sharpen(0.25)),
        (["--kernel=unsharp", "--amount=2", "--size=3", "--sigma=2"], filters.unsharp(2, 3, 2)),
        (["--matrix", "0 -1 0; -1 5 -1; 0 -1 0"], filters.sharpen()),
        (["--matrix", "1,0,-1;2,0,-2;1,0,-1"], filters.sobel_x()),
        (["--matrix=.5 5e-1"], np.array([[0.5, 0.5]])),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_option(capsys, photo, options, kernel):
    assert run(capsys, "in.png", "out.png", *options)[0] == 0
    np.testing.assert_array_equal(read("out.png"), filtered(photo, kernel))


@pytest.mark.parametrize("mode", filters.MODES)
def test_modes(capsys, photo, mode):
    code, out, _ = run(capsys, "in.png", "out.png", "--kernel=box", "--size=9", "--mode", mode)
    assert code == 0
    assert f"box of 9 x 9, {mode};" in out
    np.testing.assert_array_equal(read("out.png"), filtered(photo, filters.box(9), mode=mode))


def test_gray_and_16_bits(capsys, rng):
    for dtype, kind in ((np.uint8, "L"), (np.uint16, "I;16")):
        pixels = rng.integers(0, np.iinfo(dtype).max, (12, 13), dtype, endpoint=True)
        for suffix in ("png", "tif"):
            Image.fromarray(pixels).save(f"in.{suffix}")
            assert run(capsys, f"in.{suffix}", f"out.{suffix}", "--kernel=sharpen", "--overwrite")[0] == 0
            assert opened(f"out.{suffix}").mode == kind
            np.testing.assert_array_equal(read(f"out.{suffix}"), filtered(pixels, filters.sharpen()))


def test_alpha_stays_and_weighs(capsys, rng):
    """A kernel that is nowhere negative gives the mean of premultiplied colours over that of alpha."""
    for channels, kind in ((2, "LA"), (4, "RGBA")):
        pixels = rng.integers(0, 256, (12, 13, channels), np.uint8)
        pixels[3:9, 4:9, -1] = 0
        Image.fromarray(pixels).save("in.png")
        assert run(capsys, "in.png", "out.png", "--kernel=gaussian", "--overwrite")[0] == 0
        found = read("out.png")
        assert opened("out.png").mode == kind
        np.testing.assert_array_equal(found[..., -1], pixels[..., -1])
        alpha = pixels[..., -1:].astype(float)
        means = filter2d(pixels[..., :-1] * alpha, filters.gaussian()) / np.maximum(filter2d(alpha, filters.gaussian()), 1e-9)
        seen = alpha[..., 0] > 0
        assert np.abs(found[seen][:, :-1] - means[seen]).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("name", [*filters.KERNELS, "gradient_magnitude"])
def test_hidden_colours_do_not_bleed(capsys, rng, name):
    """Whatever they are, what is seen is the same; a flat colour within stays flat; and one alpha everywhere changes nothing."""
    kernel = f"--kernel={name.replace('_', '-')}"
    pixels = rng.integers(0, 256, (20, 21, 4), np.uint8)
    hidden = np.zeros((20, 21), bool)
    hidden[5:16, 6:14] = True
    pixels[hidden, 3] = 0
    results = []
    for colour in (0, 255):
        pixels[hidden, :3] = colour
        Image.fromarray(pixels).save("in.png")
        assert run(capsys, "in.png", "out.png", kernel, "--overwrite")[0] == 0
        results.append(read("out.png")[~hidden])
    np.testing.assert_array_equal(*results)
    pixels[~hidden, :3], pixels[hidden, :3] = 77, (255, 0, 0)
    Image.fromarray(pixels).save("in.png")
    assert run(capsys, "in.png", "out.png", kernel, "--overwrite")[0] == 0
    flat = 0 if name == "gradient_magnitude" else round(77 * filters.KERNELS[name]().sum())
    assert (read("out.png")[~hidden, :3] == flat).all()
    pixels = rng.integers(0, 256, (9, 8, 4), np.uint8)
    results = []
    for alpha in (255, 100):
        pixels[..., 3] = alpha
        Image.fromarray(pixels).save("in.png")
        assert run(capsys, "in.png", "out.png", kernel, "--mode=constant", "--overwrite")[0] == 0
        results.append(read("out.png")[..., :3].astype(int))
    np.testing.assert_array_equal(results[0][2:-2, 2:-2], results[1][2:-2, 2:-2])


def test_huge_kernels_of_images_with_alpha(capsys, rng):
    pixels = rng.integers(0, 256, (6, 7, 4), np.uint8)
    Image.fromarray(pixels).save("in.png")
    assert run(capsys, "in.png", "out.png", "--matrix=-1e308 1e308; 0 0")[0] == 0
    assert np.isin(read("out.png")[..., :3], (0, 255)).all()


def test_palettes_bits_and_transparent_colours(capsys, photo):
    image = Image.fromarray(photo)
    for given, shown in ((image.quantize(9), "RGB"), (image.convert("1"), "L")):
        given.save("given.png")
        assert run(capsys, "given.png", "out.png", "--kernel=box", "--overwrite")[0] == 0
        assert opened("out.png").mode == shown
        np.testing.assert_array_equal(read("out.png"), filtered(np.array(given.convert(shown)), filters.box()))
    for given, shown in ((image.quantize(9), "RGBA"), (image.convert("L"), "LA"), (image, "RGBA")):
        key = photo[3, 4].tolist() if given is image else given.getpixel((4, 3))
        given.save("given.png", transparency=tuple(key) if given is image else key)
        assert run(capsys, "given.png", "out.png", "--kernel=box", "--overwrite")[0] == 0
        assert opened("out.png").mode == shown
        assert read("out.png")[3, 4, -1] == 0


def test_upright_and_in_its_colours(capsys, photo):
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned by 90 degrees
    Image.fromarray(photo).save("in.png", exif=exif, icc_profile=b"a profile")
    code, out, _ = run(capsys, "in.png", "out.png", "--kernel=identity")
    assert code == 0
    assert "in.png: 20 x 30;" in out
    np.testing.assert_array_equal(read("out.png"), np.rot90(photo, -1))
    found = opened("out.png")
    assert found.info["icc_profile"] == b"a profile"
    assert 0x0112 not in found.getexif()


def test_other_formats(capsys, photo):
    for name, kind in (("out.jpg", "JPEG"), ("out.BMP", "BMP"), ("out.tiff", "TIFF")):
        assert run(capsys, "in.png", name, "--kernel=box")[0] == 0
        assert opened(name).format == kind


def test_metadata_is_kept(capsys, photo):
    exif = Image.Exif()
    exif[0x8298], exif[0x8769], exif[0x8825] = "(c) me", {0x829A: 0.01}, {1: "N"}
    for given in ("in.jpg", "in.png", "in.tif"):
        options = {"exif": exif.tobytes(), "dpi": (300, 150), "icc_profile": b"a profile"}
        Image.fromarray(photo).save(given, **options)
        for target in ("out.jpg", "out.png", "out.tif", "out.webp"):
            code, out, _ = run(capsys, given, target, "--kernel=identity", "--overwrite")
            assert code == 0
            found = opened(target)
            facts = found.getexif()
            assert facts[0x8298] == "(c) me"
            assert facts.get_ifd(0x8825) == {1: "N"}
            assert float(facts.get_ifd(0x8769)[0x829A]) == 0.01
            assert found.info["icc_profile"] == b"a profile"
            if target == "out.webp":
                assert out.endswith("written to out.webp without dpi\n")
            else:
                assert found.info["dpi"] == pytest.approx((300, 150), rel=1e-3)
                assert out.endswith(f"written to {target}\n")
    assert run(capsys, "in.jpg", "out.bmp", "--kernel=box")[1].endswith("written to out.bmp without ICC profile, EXIF\n")


def test_what_is_not_kept_is_said(capsys, photo):
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "me")
    text.add_itxt("XML:com.adobe.xmp", "<x/>")
    Image.fromarray(photo).save("in.png", pnginfo=text)
    Image.fromarray(photo).save("in.jpg", xmp=b"<x/>", comment=b"made by me")
    Image.fromarray(photo).save("in.tif", tiffinfo={700: b"<x/>"})
    for given, lost in (("in.png", " without XMP, text"), ("in.jpg", " without XMP, comment"), ("in.tif", "")):
        out = run(capsys, given, "out.tif", "--kernel=box", "--overwrite")[1]
        assert out.endswith(f"written to out.tif{lost}\n")
    assert opened("out.tif").tag_v2[700] == b"<x/>"
    run(capsys, "in.tif", "out.png", "--kernel=box")
    assert "dpi" not in opened("out.png").info  # of which the file said none


def test_broken_exif_costs_no_picture(capsys, photo):
    Image.fromarray(photo).save("in.jpg", exif=b"Exif\0\0MM\0R\0\0\0\x08" + bytes(20))
    code, out, _ = run(capsys, "in.jpg", "out.png", "--kernel=identity")
    assert code == 0
    assert out.endswith("written to out.png without EXIF\n")
    np.testing.assert_array_equal(read("out.png"), read("in.jpg"))


def test_a_turned_picture_has_its_dpi_turned(capsys, photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    for given in ("in.jpg", "in.png", "in.tif"):
        Image.fromarray(photo[:20, :20]).save(given, exif=exif, dpi=(300, 150))
        assert run(capsys, given, "out.png", "--kernel=identity", "--overwrite")[0] == 0
        assert opened("out.png").info["dpi"] == pytest.approx((150, 300), rel=1e-3)
        assert 0x0112 not in opened("out.png").getexif()


def test_a_thumbnail_of_what_was_is_left_out(capsys, photo):
    file = memory.BytesIO()
    Image.fromarray(photo).save(file, "JPEG")
    thumbnail = file.getvalue()
    first = struct.pack("<HHHI4sI", 1, 0x8298, 2, 4, b"abc\0", 26)
    second = struct.pack("<H HHII HHII I", 2, 0x201, 4, 1, 56, 0x202, 4, 1, len(thumbnail), 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + second + thumbnail
    Image.fromarray(photo).save("in.jpg", exif=exif)
    assert opened("in.jpg").info["exif"].endswith(thumbnail)
    assert run(capsys, "in.jpg", "out.jpg", "--kernel=box")[0] == 0
    found = opened("out.jpg")
    assert dict(found.getexif()) == {0x8298: "abc"}
    assert thumbnail not in found.info["exif"]


def test_qualities(capsys, photo, folder):
    """A JPEG file is quantized as the one it comes from, or as asked; from other formats with 95; WebP loses nothing."""
    smooth = filtered(photo, filters.gaussian(9))
    Image.fromarray(smooth).save("in.jpg", quality=98, subsampling=0)
    Image.fromarray(smooth).save("low.jpg", quality=40, subsampling=2)
    Image.fromarray(smooth).save("in.png")
    for given, options, expected, sampling in (
        ("in.jpg", [], "in.jpg", 0),
        ("low.jpg", [], "low.jpg", 2),
        ("in.jpg", ["--quality=40"], "low.jpg", 0),
        ("in.png", ["--quality=98"], "in.jpg", 0),
    ):
        assert run(capsys, given, "out.jpg", "--kernel=identity", "--overwrite", *options)[0] == 0
        found = opened("out.jpg")
        assert found.quantization == opened(expected).quantization
        assert JpegImagePlugin.get_sampling(found) == sampling
    assert run(capsys, "in.png", "out.jpg", "--kernel=identity", "--overwrite")[0] == 0
    Image.fromarray(smooth).save("95.jpg", quality=95)
    assert opened("out.jpg").quantization == opened("95.jpg").quantization
    assert run(capsys, "in.png", "out.webp", "--kernel=identity")[0] == 0
    np.testing.assert_array_equal(read("out.webp"), smooth)
    assert run(capsys, "in.png", "small.webp", "--kernel=identity", "--quality=5")[0] == 0
    assert (folder / "small.webp").stat().st_size < (folder / "out.webp").stat().st_size


def animation(rng, *shape, kind=np.uint8):
    return [rng.integers(0, np.iinfo(kind).max, (12, 13, *shape), kind, endpoint=True) for _ in range(3)]


@pytest.mark.parametrize("name", ["in.png", "in.webp", "in.tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_every_frame(capsys, rng, name, channels):
    frames = animation(rng, channels)
    if channels == 4:
        for frame in frames:
            frame[..., 3] = 255
            frame[:4, :5, 3] = 60
    first, *others = map(Image.fromarray, frames)
    options = {"lossless": True} if name == "in.webp" else {}
    first.save(name, save_all=True, append_images=others, duration=[40, 50, 60], loop=3, **options)
    code, out, _ = run(capsys, name, name.replace("in", "out"), "--kernel=gradient-magnitude")
    assert code == 0
    assert f"{name}: 13 x 12, 3 frames; gradient-magnitude of 3 x 3, reflect;" in out
    found = images.read(name.replace("in", "out"))
    assert len(found.frames) == 3
    for y, frame in zip(found.frames, frames, strict=True):
        inside = np.s_[6:, 7:, :3]
        exact = np.hypot(*(filter2d(frame[..., :3], k) for k in (filters.sobel_x(), filters.sobel_y())))
        np.testing.assert_array_equal(y[inside], np.rint(exact).clip(0, 255)[inside])
    if name != "in.tif":
        assert (found.durations, found.loop) == ((40, 50, 60), 3)


def test_frames_of_gif(capsys, rng):
    """With at most 256 colours, and wholly transparent or not at all, nothing is lost; else the command says what."""
    frames = [frame // 128 * 255 for frame in animation(rng, 4)]
    first, *others = map(Image.fromarray, frames)
    first.save("in.gif", save_all=True, append_images=others, duration=[40, 50, 60], disposal=2)
    code, out, _ = run(capsys, "in.gif", "out.gif", "--kernel=identity")
    assert code == 0
    assert out.endswith("written to out.gif\n")
    found = images.read("out.gif")
    assert (found.durations, found.loop) == ((40, 50, 60), None)
    for y, frame in zip(found.frames, frames, strict=True):
        seen = frame[..., 3] > 0
        np.testing.assert_array_equal(y[..., 3], frame[..., 3])
        np.testing.assert_array_equal(y[seen], frame[seen])
    Image.fromarray(rng.integers(0, 256, (30, 30, 4), np.uint8)).save("many.png")
    out = run(capsys, "many.png", "out.gif", "--kernel=box", "--overwrite")[1]
    assert out.endswith("written to out.gif without colours beyond 256, partial transparency\n")


def test_frames_that_cannot_be_kept(capsys, rng, folder):
    first, *others = map(Image.fromarray, animation(rng, 3))
    first.save("in.png", save_all=True, append_images=others)
    refused(
        capsys, "out.jpg: cannot be written as JPEG: it holds one picture, not 3 frames", "in.png", "out.jpg", "--kernel=box"
    )
    first.save("in.tif", save_all=True, append_images=[others[0].resize((5, 5))])
    refused(
        capsys, "in.tif: cannot be read as an image: its pictures are of several sizes", "in.tif", "out.tif", "--kernel=box"
    )
    first.save("apart.png", save_all=True, append_images=others, default_image=True)
    refused(capsys, "apart.png: cannot be read as an image: its first picture is no part", "apart.png", "o.png", "--kernel=box")
    deep, *others = map(Image.fromarray, animation(rng, kind=np.uint16))
    deep.save("deep.tif", save_all=True, append_images=others)
    refused(capsys, "out.png: cannot be written as PNG: its frames hold 8 bits, not 16", "deep.tif", "out.png", "--kernel=box")
    assert run(capsys, "deep.tif", "out.tif", "--kernel=identity")[0] == 0
    for y, frame in zip(images.read("out.tif").frames, images.read("deep.tif").frames, strict=True):
        np.testing.assert_array_equal(y, frame, strict=True)
    assert not (folder / "out.jpg").exists()


def test_frames_that_are_too_many_to_be_honest(capsys, rng, monkeypatch):
    frames = [Image.fromarray(rng.integers(0, 256, (20, 30), np.uint8)) for _ in range(9)]
    frames[0].save("in.png", save_all=True, append_images=frames[1:])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    refused(capsys, "its 9 frames have 5400 pixels; expected at most 4000", "in.png", "out.png", "--kernel=box")


def deep_files(rng):
    """(name, content) of pictures with more than 8 bits a colour."""
    rows = rng.integers(0, 65536, (9, 24)).astype(">u2")

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    for kind, channels in ((2, 3), (4, 2), (6, 4)):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 24 // channels, 9, 16, kind, 0, 0, 0))
        pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
        yield f"{channels}.png", b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
    yield "a.ppm", b"P6 8 9 1023\n" + (rows % 1024).tobytes()
    yield "b.ppm", b"P3 1 1 65535\n1 2 3\n"
    tags = {256: 8, 257: 9, 262: 2, 273: 200, 277: 3, 278: 9, 279: rows.nbytes}
    entries = [(tag, struct.pack(">HHII", tag, 4, 1, value)) for tag, value in tags.items()]
    entries.append((258, struct.pack(">HHII", 258, 3, 3, 190)))
    entries.append((259, struct.pack(">HHIHH", 259, 3, 1, 1, 0)))
    directory = struct.pack(">H", len(entries)) + b"".join(entry for _, entry in sorted(entries)) + bytes(4)
    head = (b"MM\0*" + struct.pack(">I", 8) + directory).ljust(190, b"\0") + struct.pack(">HHH", 16, 16, 16)
    yield "a.tif", head.ljust(200, b"\0") + rows.tobytes()


def test_colours_of_more_than_8_bits_are_refused(capsys, rng, folder):
    for name, content in deep_files(rng):
        (folder / name).write_bytes(content)
        bits = 10 if name == "a.ppm" else 16
        text = f"{name}: cannot be read as an image: its numbers have {bits} bits, of which 8 would be left"
        refused(capsys, text, name, "out.png", "--kernel=box")
    Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save("in.sgi", bpc=2)
    refused(capsys, "in.sgi: cannot be read as an image: its numbers have 16 bits", "in.sgi", "out.png", "--kernel=box")
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize("suffix", ["jp2", "avif"])
def test_deep_colours_of_other_formats(capsys, rng, suffix):
    cv2 = pytest.importorskip("cv2")
    pixels = rng.integers(0, 1024, (64, 64, 3), np.uint16)
    try:
        written = cv2.imwrite(f"in.{suffix}", pixels, [cv2.IMWRITE_AVIF_DEPTH, 10] if suffix == "avif" else [])
    except cv2.error:
        written = False
    if not written or f".{suffix}" not in Image.registered_extensions():
        pytest.skip("no codec")
    refused(capsys, " bits, of which 8 would be left", f"in.{suffix}", "out.png", "--kernel=box")
    Image.fromarray((pixels // 4).astype(np.uint8)).save(f"in.{suffix}")
    assert run(capsys, f"in.{suffix}", "out.png", "--kernel=identity")[0] == 0


def test_results_below_0(capsys, photo):
    y = filter2d(photo, filters.sobel_x())
    magnitude = filters.gradient_magnitude(photo)
    stretched = (y - y.min()) * (255 / np.ptp(y))
    for options, expected in (
        (["--kernel=sobel-x"], y),
        (["--kernel=sobel-x", "--abs"], np.abs(y)),
        (["--kernel=sobel-x", "--offset=128"], y + 128),
        (["--kernel=sobel-x", "--abs", "--offset=-20.5"], np.abs(y) - 20.5),
        (["--kernel=sobel-x", "--normalize"], stretched),
        (["--kernel=sobel-x", "--abs", "--normalize"], np.abs(y) * (255 / np.abs(y).max())),
        (["--kernel=gradient-magnitude"], magnitude),
        (["--kernel=gradient-magnitude", "--normalize"], (magnitude - magnitude.min()) * (255 / np.ptp(magnitude))),
    ):
        code, _, err = run(capsys, "in.png", "out.png", "--overwrite", *options)
        assert (code, err) == (0, "")
        assert np.abs(read("out.png") - expected.clip(0, 255)).max() <= 0.5 + 1e-9


def test_normalize_is_of_what_is_seen(capsys, rng):
    pixels = np.full((6, 7, 4), 100, np.uint8)
    pixels[2:4, 2:4] = 0
    pixels[5, :, :3], pixels[0, :, :3] = 50, 150
    Image.fromarray(pixels).save("in.png")
    assert run(capsys, "in.png", "out.png", "--kernel=identity", "--normalize")[0] == 0
    assert np.unique(read("out.png")[pixels[..., 3] > 0][:, :3]).tolist() == [0, 128, 255]
    Image.fromarray(np.full((5, 5), 9, np.uint16)).save("flat.png")
    assert run(capsys, "flat.png", "out.png", "--kernel=box", "--normalize", "--overwrite")[0] == 0
    assert (read("out.png") == 0).all()


def test_the_input_is_replaced_only_when_asked(capsys, photo, folder):
    before = (folder / "in.png").read_bytes()
    (folder / "link.png").symlink_to("in.png")
    for target in ("in.png", "./in.png", "link.png"):
        refused(capsys, "OUT is IN, in.png; expected another file, or --overwrite", "in.png", target, "--kernel=box")
    assert (folder / "in.png").read_bytes() == before
    assert run(capsys, "in.png", "in.png", "--kernel=box", "--overwrite")[0] == 0
    np.testing.assert_array_equal(read("in.png"), filtered(photo, filters.box()))


def test_what_cannot_be_written_leaves_an_older_file_as_it_was(capsys, rng, folder):
    Image.fromarray(rng.integers(0, 256, (9, 9, 4), np.uint8)).save("in.png")
    (folder / "out.jpg").write_bytes(b"old")
    args = ["in.png", "out.jpg", "--kernel=box"]
    refused(capsys, "OUT out.jpg exists; expected another file, or --overwrite", *args)
    refused(
        capsys, "out.jpg: cannot be written as JPEG: it holds gray, RGB, not RGBA; expected .png or .tif", *args, "--overwrite"
    )
    assert (folder / "out.jpg").read_bytes() == b"old"
    assert sorted(path.name for path in folder.iterdir()) == ["in.png", "out.jpg"]


def damaged(name, photo):
    file = memory.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    whole = file.getvalue()
    text = {"empty": b"", "text": b"no image", "cut": whole[: len(whole) // 2], "header": whole[:20], "byte": bytearray(whole)}
    if name == "byte":
        text[name][len(whole) // 2] ^= 255
    return bytes(text[name])


@pytest.mark.parametrize("name", ["empty", "text", "cut", "header", "byte"])
def test_files_that_are_no_images(capsys, photo, folder, name):
    (folder / "bad.png").write_bytes(damaged(name, photo))
    refused(capsys, "bad.png: cannot be read as an image: ", "bad.png", "out.png", "--kernel=box")
    assert not (folder / "out.png").exists()


@pytest.mark.timeout(60)
def test_only_files_are_read(capsys, photo, folder):
    for name, text in special_files(".png").items():
        refused(capsys, f"{name}: cannot be read as an image: ", name, "out.png", "--kernel=box")
        refused(capsys, text, name, "out.png", "--kernel=box")
        if name != "nowhere.png":
            refused(capsys, "", "in.png", name, "--kernel=box", "--overwrite")
    assert not (folder / "out.png").exists()


def test_results_beyond_all_numbers_are_clipped(capsys, photo):
    """The sums of such kernels overflow on the way, and are no NaN for that."""
    code, _, err = run(capsys, "in.png", "out.png", "--matrix=-1e308 1e308; 0 0")
    assert (code, err) == (0, "")
    result = read("out.png")
    assert np.isin(result, (0, 255)).all()
    np.testing.assert_array_equal(result, filtered(photo, np.array([[-1e308, 1e308], [0, 0]])))


def test_kinds_of_pixels_that_are_not_supported(capsys, photo):
    Image.fromarray(photo).convert("CMYK").save("cmyk.tif")
    Image.fromarray(photo[..., 0].astype(np.float32)).save("float.tif")
    refused(capsys, "its pixels are of kind CMYK; expected gray, RGB or RGBA", "cmyk.tif", "out.png", "--kernel=box")
    refused(capsys, "its pixels are of kind F; expected gray, RGB or RGBA", "float.tif", "out.png", "--kernel=box")


def test_images_that_are_too_large_to_be_honest(capsys, photo, monkeypatch):
    for limit in (500, 100):  # Pillow warns above the limit, and refuses above twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        refused(capsys, "in.png: cannot be read as an image: Image size (600 pixels)", "in.png", "out.png", "--kernel=box")


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("expected one of --kernel and --matrix", ["in.png", "out.png"]),
        ("expected one of --kernel and --matrix", ["in.png", "out.png", "--kernel=box", "--matrix=1"]),
        (
            "--size does not go with --kernel gradient-magnitude",
            ["in.png", "out.png", "--kernel=gradient-magnitude", "--size=3"],
        ),
        ("--offset does not go with --normalize", ["in.png", "out.png", "--kernel=box", "--offset=3", "--normalize"]),
        ("--normalize: the result is too large", ["in.png", "out.png", "--matrix=1e308", "--normalize"]),
        ("--offset", ["in.png", "out.png", "--kernel=box", "--offset=nan"]),
        ("--quality", ["in.png", "out.jpg", "--kernel=box", "--quality=0"]),
        ("--quality", ["in.png", "out.jpg", "--kernel=box", "--quality=101"]),
        ("out.png: PNG has no quality to choose; expected .jpg", ["in.png", "out.png", "--kernel=box", "--quality=90"]),
        ("out.ico: an image's name ends with its kind", ["in.png", "out.ico", "--kernel=box"]),
        ("--size does not go with --kernel sobel-x", ["in.png", "out.png", "--kernel=sobel-x", "--size=3"]),
        ("--amount does not go with --kernel box", ["in.png", "out.png", "--kernel=box", "--amount=3"]),
        ("--sigma does not go with --matrix", ["in.png", "out.png", "--matrix=1", "--sigma=3"]),
        ("--kernel unsharp: size is 4; expected an odd number", ["in.png", "out.png", "--kernel=unsharp", "--size=4"]),
        ("--matrix '1 2; 3' is not rows of as many finite numbers", ["in.png", "out.png", "--matrix=1 2; 3"]),
        ("--matrix 'a' is not rows", ["in.png", "out.png", "--matrix=a"]),
        ("--matrix 'nan' is not rows", ["in.png", "out.png", "--matrix=nan"]),
        ("--matrix '' is not rows", ["in.png", "out.png", "--matrix="]),
        ("--matrix '1;' is not rows", ["in.png", "out.png", "--matrix=1;"]),
        ("'blur' is not one of", ["in.png", "out.png", "--kernel=blur"]),
        ("'edge' is not one of", ["in.png", "out.png", "--kernel=box", "--mode=edge"]),
        ("--size", ["in.png", "out.png", "--kernel=box", "--size=0"]),
        ("--sigma", ["in.png", "out.png", "--kernel=gaussian", "--sigma=0"]),
        ("--sigma", ["in.png", "out.png", "--kernel=gaussian", "--sigma=nan"]),
        ("--amount", ["in.png", "out.png", "--kernel=sharpen", "--amount=-1"]),
        ("missing.png: cannot be read as an image: No such file or directory", ["missing.png", "out.png", "--kernel=box"]),
        (".: cannot be read as an image: Is a directory", [".", "out.png", "--kernel=box"]),
        ("there is no folder", ["in.png", "missing/out.png", "--kernel=box"]),
        ("out.xyz: an image's name ends with its kind, such as .png", ["in.png", "out.xyz", "--kernel=box"]),
        ("out: an image's name ends with its kind", ["in.png", "out", "--kernel=box"]),
        ("OUT", ["in.png", "--kernel=box"]),
    ],
)
def test_bad_input(capsys, photo, folder, text, args):
    refused(capsys, text, *args)
    assert [path.name for path in folder.iterdir()] == ["in.png"]


def test_without_pillow(photo):
    code = "import sys; sys.modules['PIL'] = None; from fastlec.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "filter", "in.png", "out.png", "--kernel=box"]
    found = finished(command)
    assert found.returncode == 2
    assert found.stderr == "fastlec: image files need Pillow: pip install 'fastlec[image]'\n"
    code = "import sys, fastlec, fastlec.images; sys.exit('PIL' in sys.modules)"
    assert finished([sys.executable, "-c", code]).returncode == 0


def test_reading_and_writing_without_the_command(photo):
    picture = images.read("in.png")
    np.testing.assert_array_equal(picture.pixels, photo)
    assert picture.icc_profile is None
    assert picture.pixels.flags.writeable
    images.write("copy.png", picture)
    np.testing.assert_array_equal(read("copy.png"), photo)
