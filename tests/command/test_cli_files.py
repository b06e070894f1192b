"""What the commands write: nothing is replaced unasked, all that could go wrong in the end is said before the beginning."""

import os
import sys

import numpy as np
import pytest
from interpreter import finished

from fastlec import data, io
from fastlec.course import classifier, models
from fastlec.preprocessing import Preprocessing

pytest.importorskip("typer")
pytest.importorskip("rich")
from command import COMMAND, refused, run, save_digits

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def softmax(folder):
    io.save_model("softmax.npz", models.SoftmaxModel(np.ones((10, 64)), np.ones(10), Preprocessing(16.0, (8, 8))))
    return "softmax.npz"


@pytest.fixture
def untrained(monkeypatch):
    """Nothing may be computed: a command that begins its work fails the test."""

    def began(*args, **kwargs):
        pytest.fail("the work began")

    from fastlec import bench, filters
    from fastlec.course import overfit, softmax, universal
    from fastlec.testing import checks

    for module, name in (
        (softmax, "train_softmax"),
        (classifier, "train_network"),
        (checks, "run"),
        (universal, "fits"),
        (overfit, "experiment"),
        (bench, "run"),
        (filters, "filter2d"),
    ):
        monkeypatch.setattr(module, name, began)


def test_models_count_up_and_none_is_replaced(capsys, folder):
    contents = []
    for name in ("model.npz", "model-2.npz", "model-3.npz"):
        code, out, _ = run(capsys, "train", "--epochs", 1, "--seed", len(contents))
        assert code == 0
        assert out.endswith(f"saved to {name}\n")
        contents.append((folder / name).read_bytes())
    assert [path.read_bytes() for path in (folder / "model.npz", folder / "model-2.npz")] == contents[:2]
    assert len(set(contents)) == 3
    assert run(capsys, "train", "--epochs", 1, "--overwrite")[1].endswith("saved to model-4.npz\n")
    assert sorted(os.listdir()) == [f"model{end}.npz" for end in ("-2", "-3", "-4", "")]


def test_a_model_that_comes_while_another_is_trained_stays(capsys, folder, monkeypatch):
    save = models.save_model

    def late(path, model):
        (folder / "named.npz").write_text("of another process")
        save(path, model)

    monkeypatch.setattr(models, "save_model", late)
    code, out, _ = run(capsys, "train", "--epochs", 1, "--save", "named.npz")
    assert code == 0
    assert out.endswith("saved to named-2.npz\n")
    assert (folder / "named.npz").read_text() == "of another process"
    assert io.load_model("named-2.npz").W.shape == (10, 64)


NAMED = {
    "--save": "train --save old.npz",
    "--plot": "train --plot old.png",
    "--output": "train --predict some.npz --output old.txt",
    "--checkpoint": "train --model mlp --checkpoint old.npz",
    "universal": "universal --plot old.png",
    "overfit": "overfit --plot old.png",
    "check": "check --plot old.png",
    "bench --json": "bench --smoke --json old.json",
    "bench --plot": "bench --smoke --plot old.png",
    "filter": "filter in.png old.png --kernel box",
}


@pytest.mark.parametrize("command", NAMED.values(), ids=NAMED)
@pytest.mark.usefixtures("untrained")
def test_files_that_exist_are_refused(capsys, folder, command):
    for extra in ("matplotlib", "PIL"):
        pytest.importorskip(extra)
    save_digits("some.npz")
    old = next(folder / word for word in command.split() if word.startswith("old."))
    old.write_text("old")
    option = "OUT" if command.startswith("filter") else command.split()[command.split().index(old.name) - 1]
    refused(capsys, f"{option} {old.name} exists; expected another file, or --", *command.split())
    assert old.read_text() == "old"


def test_files_are_overwritten_when_asked(capsys, folder):
    pytest.importorskip("matplotlib")
    save_digits("some.npz")
    for name in ("a.npz", "a.png", "a.txt", "checkpoint.npz", "u.png"):
        (folder / name).write_text("old")
    command = "train --model mlp --width 4 --epochs 1 --save a.npz --plot a.png --predict some.npz --output a.txt"
    assert run(capsys, *command.split(), "--checkpoint", "checkpoint.npz", "--overwrite")[0] == 0
    assert run(capsys, *["universal", "--widths", "1", "--samples", "10", "--plot", "u.png", "--overwrite"])[0] == 0
    assert models.load_model("a.npz").facts.architecture == "mlp"
    assert io.load_arrays("checkpoint.npz")[1]["kind"] == "checkpoint"
    assert len(np.loadtxt("a.txt")) == 100
    for name in ("a.png", "u.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_a_model_may_go_back_to_where_it_was_loaded_from(capsys, softmax):
    command = ["train", "--load", softmax, "--save", softmax, "--epochs", 1]
    refused(capsys, "--save is --load, softmax.npz; expected another file, or --overwrite", *command)
    assert run(capsys, *command, "--overwrite")[0] == 0
    assert not (io.load_model(softmax).W == 1).all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--save a.npz --plot a.npz", "a picture's name ends with"),
        ("--save a.npz --predict some.npz --output ./a.npz", "--output is --save, a.npz; expected another file"),
        ("--predict some.npz --output some.npz --overwrite", "--output is --predict, some.npz; expected another file"),
        ("--data some.npz --save some.npz --overwrite", "--save is --data, some.npz; expected another file"),
        ("--data some.npz --save link.npz --overwrite", "--save is --data, some.npz; expected another file"),
        ("--model mlp --checkpoint model.npz", "--checkpoint is --save, model.npz; expected another file"),
        ("--load softmax.npz --predict some.npz --output softmax.npz --overwrite", "--output is --load, softmax.npz"),
    ],
)
@pytest.mark.usefixtures("untrained")
def test_one_file_for_two_options(capsys, softmax, options, text, folder):
    pytest.importorskip("matplotlib")
    save_digits("some.npz")
    os.symlink("some.npz", "link.npz")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    refused(capsys, text, "train", *options.split())
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


SUFFIX = "a model's name ends with .npz or .safetensors"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--save m.pt", SUFFIX),
        ("--save m.h5 --model mlp", SUFFIX),
        ("--save m.txt", SUFFIX),
        ("--save m.npz/m.npz", "there is no folder"),
        ("--save file/m.npz", "there is no folder"),
        (f"--save {'m' * 300}.npz", "File name too long"),
        ("--save /proc/m.npz", "cannot be written"),
        ("--save /dev/full", "not a regular file"),
        ("--save loop.npz", "Too many levels of symbolic links"),
        ("--plot a.docx", "a picture's name ends with .png, .pdf, .svg"),
        ("--plot folder.png", "not a regular file"),
        ("--predict some.npz --output nowhere/labels.txt", "there is no folder"),
        ("--predict some.npz --output .", "not a regular file"),
        ("--predict nowhere.csv", "nowhere.csv: there is no such file"),
        ("--predict wide.npz", "wide.npz: its samples have 65 features; expected 64"),
        ("--predict nan.npz", "nan.npz: X[1, 2] is nan as float64; expected finite numbers"),
        ("--predict more.npz", "more.npz: has the label 10; the model knows the classes 0..9"),
        ("--model mlp --predict wide.npz", "65 features; expected 64"),
        ("--model cnn --predict images.npz", "its images are 4 x 16; the model takes 8 x 8"),
        ("--load softmax.npz --epochs 1 --predict more.npz", "the label 10"),
        ("--checkpoint c.npz", "--checkpoint is for networks; the model is softmax"),
        ("--model mlp --checkpoint nowhere/c.npz", "there is no folder"),
        ("--model mlp --checkpoint c.safetensors", "a checkpoint's name ends with .npz"),
        ("--model mlp --resume", "--resume goes on from a checkpoint and needs --checkpoint"),
        ("--model mlp --resume --checkpoint c.npz", "--resume: there is no file c.npz"),
        ("--load softmax.npz --predict some.npz --save m.npz", "--save is of a training"),
        ("--load softmax.npz --predict some.npz --checkpoint c.npz", "--checkpoint is of a training"),
    ],
)
@pytest.mark.usefixtures("untrained", "softmax")
def test_what_could_not_be_done_in_the_end_is_said_before(capsys, folder, options, text):
    pytest.importorskip("matplotlib")
    X, y = data.load_digits()
    save_digits("some.npz")
    save_digits("wide.npz", X=np.ones((100, 65)))
    save_digits("nan.npz", X=np.where(np.arange(64) == 2, np.where(np.arange(100) == 1, np.nan, 0)[:, None], X[:100]))
    save_digits("more.npz", y=np.arange(100) % 11)
    np.savez("images.npz", X=X[:50].reshape(50, 4, 16), y=y[:50])
    (folder / "file").touch()
    (folder / "folder.png").mkdir()
    os.symlink("loop.npz", "loop.npz")
    before = sorted(os.listdir())
    refused(capsys, text, "train", *options.split())
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("module", "command", "text"),
    [
        ("safetensors", "train --save m.safetensors", "pip install 'fastlec[safetensors]'"),
        ("safetensors", "train --model mlp --save m.SafeTensors", "pip install 'fastlec[safetensors]'"),
        ("matplotlib.figure", "train --plot a.png", "pip install 'fastlec[plot]'"),
        ("matplotlib.figure", "universal --plot a.png", "pip install 'fastlec[plot]'"),
        ("matplotlib.figure", "overfit --plot a.png", "pip install 'fastlec[plot]'"),
        ("matplotlib.figure", "check --plot a.png", "pip install 'fastlec[plot]'"),
        ("matplotlib.figure", "bench --smoke --plot a.png", "pip install 'fastlec[plot]'"),
        ("PIL", "filter in.png a.png --kernel box", "pip install 'fastlec[image]'"),
    ],
)
@pytest.mark.usefixtures("untrained")
def test_libraries_that_are_missing_are_named_before(capsys, monkeypatch, module, command, text):
    for part in (module, "safetensors.numpy", "PIL.Image"):
        monkeypatch.setitem(sys.modules, part, None)
    refused(capsys, text, *command.split())
    assert os.listdir() == []


@pytest.mark.parametrize(("free", "options"), [(100_000, []), (350_000, ["--checkpoint", "c.npz"])])
@pytest.mark.usefixtures("untrained")
def test_a_disk_that_is_too_full_is_told_before(capsys, monkeypatch, free, options):
    """A checkpoint is parameters and velocities, and there are two where one takes the other's place."""
    disk = os.statvfs_result((1, 1, 10**6, free, free, 1000, 1000, 1000, 0, 255))
    monkeypatch.setattr(io.os, "statvfs", lambda path: disk)
    text = f"cannot be written: it takes {417_952 if options else 104_488} bytes, and {free} are left on the disk"
    refused(capsys, text, "train", "--model", "mlp", *options)
    assert os.listdir() == []


def test_where_the_output_goes_is_no_place_for_a_model(folder, softmax):
    save_digits("some.npz")
    command = ["train", "--load", softmax, "--predict", "some.npz", "--output", "/dev/stdout", "--overwrite"]
    with open("out.txt", "w") as out:
        done = finished([*COMMAND, *command], stdout=out)
    assert done.returncode == 2
    assert "--output /dev/stdout is where the output of this command goes" in done.stderr
    assert (folder / "out.txt").read_text() == ""


def test_a_folder_that_is_gone(capsys, folder):
    gone = folder / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    refused(capsys, "model.npz: cannot be written: No such file or directory", "train", "--epochs", 1)
    refused(capsys, "x.csv: there is no such file", "train", "--data", "x.csv", "--save", folder / "m.npz")


def test_a_softmax_model_as_safetensors(capsys):
    pytest.importorskip("safetensors")
    for name in ("m.npz", "m.safetensors"):
        assert run(capsys, "train", "--epochs", 1, "--save", name)[0] == 0
    one, two = models.load_model("m.npz"), models.load_model("m.safetensors")
    np.testing.assert_array_equal(one.theta, two.theta, strict=True)
    assert (one.image_shape, one.scale) == (two.image_shape, two.scale)
    save_digits("some.npz")
    assert run(capsys, "train", "--load", "m.safetensors", "--predict", "some.npz")[0] == 0


def test_a_picture_that_fails_costs_nothing_else(capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    from fastlec import plot

    def full(*args, **options):
        raise io.ModelError("a.png: cannot be written: No space left on device")

    monkeypatch.setattr(plot, "training_report", full)
    code, out, err = run(capsys, "train", "--epochs", 1, "--plot", "a.png")
    assert (code, err) == (2, "fastlec: a.png: cannot be written: No space left on device\n")
    assert out.endswith("saved to model.npz\n")
    assert io.load_model("model.npz").W.shape == (10, 64)


def test_predictions_are_written_all_or_nothing(capsys, folder, monkeypatch, softmax):
    save_digits("some.npz")
    (folder / "labels.txt").write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io.os, "fsync", full)
    command = ["train", "--load", softmax, "--predict", "some.npz", "--output", "labels.txt", "--overwrite"]
    refused(capsys, "labels.txt: cannot be written: No space left on device", *command)
    assert (folder / "labels.txt").read_text() == "old"
    assert sorted(os.listdir()) == ["labels.txt", softmax, "some.npz"]
