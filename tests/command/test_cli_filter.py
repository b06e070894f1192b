"""``fastlec filter`` as a user meets it: what it writes for every kind of image, and how it refuses bad input."""

import io as memory
import sys

import numpy as np
import pytest
from interpreter import finished

from fastlec import filter2d, filters, images

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("PIL")
from PIL import Image
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


def test_alpha_stays(capsys, rng):
    for channels, kind in ((2, "LA"), (4, "RGBA")):
        pixels = rng.integers(0, 256, (12, 13, channels), np.uint8)
        Image.fromarray(pixels).save("in.png")
        assert run(capsys, "in.png", "out.png", "--kernel=gaussian", "--overwrite")[0] == 0
        found = read("out.png")
        assert opened("out.png").mode == kind
        np.testing.assert_array_equal(found[..., -1], pixels[..., -1])
        np.testing.assert_array_equal(found[..., :-1], filtered(pixels[..., :-1], filters.gaussian()))


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
    refused(capsys, "out.jpg: cannot be written as JPEG: cannot write mode RGBA as JPEG", *args, "--overwrite")
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
