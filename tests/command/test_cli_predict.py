"""``fastlec train`` on data of one's own and ``fastlec predict``: labels, scaling and columns go from the one to the other."""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from interpreter import finished

import fastlec
from fastlec import Network, io
from fastlec.course import models
from fastlec.preprocessing import Preprocessing

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("pandas")
from command import refused, run, save_digits

pytestmark = pytest.mark.usefixtures("folder")
KINDS = ("lily", "rose")


def flowers(m=40):
    """Two features of sizes far apart, and their kinds."""
    rng = np.random.default_rng(0)
    y = np.arange(m) % 2
    return np.stack([1e6 + 1e4 * (y + 0.2 * rng.normal(size=m)), 1e-3 * rng.normal(size=m)], axis=1), y


def write(path, columns, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([columns, *rows])


def write_flowers(path="flowers.csv"):
    X, y = flowers()
    write(path, ("size", "kind", "mass"), [(a, KINDS[k], b) for (a, b), k in zip(X.tolist(), y, strict=True)])


def table(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("model", ["softmax", "mlp", "resnet"])
def test_a_table_with_labels_of_text(capsys, model):
    write_flowers()
    code, out, err = run(capsys, "train", "--data", "flowers.csv", "--label", "kind", "--model", model, "--epochs", 20)
    assert (code, err) == (0, "")
    assert "separated by ';', labels in column 2 ('kind'), line 1 taken for names" in out
    assert "the classes lily, rose; features standardised" in out
    assert "validation accuracy 100.00%" in out
    own = Preprocessing.load("model.npz")
    assert (own.classes, own.columns, own.label) == (KINDS, ("size", "mass"), "kind")
    assert own == models.load_model("model.npz").preprocessing
    X, y = flowers()
    if model != "softmax":
        found = Network.load("model.npz").predict(own.features(X, np.float32))
        assert own.labels(found).tolist() == [KINDS[k] for k in y]

    write("new.csv", ("mass", "more", "size"), [(b, "text", a) for a, b in X.tolist()])
    code, out, err = run(capsys, "predict", "model.npz", "new.csv", "-o", "found.csv")
    assert (code, err) == (0, "")
    assert "new.csv: 40 samples; 20 of class lily, 20 of class rose" in out
    rows = table("found.csv")
    assert rows[0] == ["sample", "class", "probability"]
    assert [row[:2] for row in rows[1:]] == [[str(i + 1), KINDS[k]] for i, k in enumerate(y)]
    assert all(0.5 < float(row[2]) <= 1 for row in rows[1:])

    code, out, _ = run(capsys, "predict", "model.npz", "flowers.csv", "--proba", "--save", "all.csv")
    assert "accuracy 100.00% of 40 samples" in out
    rows = table("all.csv")
    assert rows[0] == ["sample", "class", "p(lily)", "p(rose)"]
    np.testing.assert_allclose(np.array([row[2:] for row in rows[1:]], float).sum(axis=1), 1, atol=1e-5)
    code, out, _ = run(capsys, "predict", "model.npz", "flowers.csv")
    lines = out.splitlines()
    assert lines[0] == "sample\tclass\tprobability"
    assert [line.split("\t")[:2] for line in lines[1:3]] == [["1", "lily"], ["2", "rose"]]
    code, out, _ = run(capsys, "train", "--load", "model.npz", "--predict", "new.csv", "--output", "labels.txt")
    assert Path("labels.txt").read_text().split() == [KINDS[k] for k in y]


def test_what_diverges_unscaled_is_told(capsys):
    write_flowers()
    for model in ("softmax", "mlp"):
        options = ("train", "--data", "flowers.csv", "--label", "kind", "--model", model, "--epochs", 5)
        assert run(capsys, *options, "--save", f"{model}.npz")[0] == 0
    np.savez("huge.npz", X=flowers()[0] * 1e30, y=flowers()[1])
    text = "NaN or infinity; the features reach 1.01e+36: standardise them (fastlec train does, without --no-scale)"
    refused(capsys, text, "train", "--data", "huge.npz", "--no-scale", "--model", "mlp")
    code, out, _ = run(capsys, "train", "--data", "flowers.csv", "--label", "kind", "--epochs", 5, "--no-scale")
    assert code == 0
    assert "features as they are" in out
    assert "\ndiverged: the loss ends at" in out
    assert "that of chance is 0.693; the features reach 1.01e+06: standardise them" in out
    save_digits("ones.npz", X=np.full((100, 2), np.nan))
    refused(capsys, "X[0, 0] is nan", "train", "--data", "ones.npz")
    y = np.arange(100) % 2
    np.savez("dead.npz", X=1e4 * np.random.default_rng(0).choice([-1, 1], (100, 3)), y=y)
    _, out, _ = run(capsys, "train", "--data", "dead.npz", "--no-scale", "--epochs", 3, "--lr", 1e-30)
    assert (
        "little was learnt: the loss ends at 0.693, that of chance is 0.693; the features reach 1e+04: standardise them" in out
    )
    _, out, _ = run(capsys, "train", "--data", "dead.npz", "--epochs", 3, "--lr", 1e-30)
    assert "little was learnt" not in out
    np.savez("images.npz", X=1e4 * np.random.default_rng(0).choice([-1, 1], (100, 8, 8)), y=y)
    _, out, _ = run(capsys, "train", "--data", "images.npz", "--epochs", 3)
    assert "diverged: the loss ends at" in out
    assert "the pixels reach 1e+04: expected grey levels from 0 to 1, or bytes" in out
    np.savez("few.npz", X=np.eye(3), y=[0, 1, 2])
    refused(capsys, "few.npz: y has 3 labels and no class of two samples", "train", "--data", "few.npz")


def test_labels_without_phantom_classes(capsys):
    X, y = flowers()
    np.savez("gaps.npz", X=X, y=np.array([-1, 7])[y])
    code, out, _ = run(capsys, "train", "--data", "gaps.npz", "--epochs", 10)
    assert code == 0
    assert "the classes -1, 7; features standardised" in out
    assert io.load_model("model.npz").W.shape == (2, 2)
    code, out, _ = run(capsys, "predict", "model.npz", "gaps.npz")
    assert "gaps.npz: 40 samples; 20 of class -1, 20 of class 7" in out
    np.savez("more.npz", X=X, y=np.array([-1, 8])[y])
    refused(capsys, "more.npz: has the label 8; the model knows the classes -1, 7", "predict", "model.npz", "more.npz")
    np.savez("one.npz", X=X, y=np.full(40, 7))
    for model in ("softmax", "mlp"):
        refused(
            capsys, "one.npz: every label is 7; expected two classes or more", "train", "--data", "one.npz", "--model", model
        )
    write("one.csv", ("a", "y"), [(1, "x"), (2, "x")])
    refused(capsys, "one.csv: every label is x; expected two classes or more", "train", "--data", "one.csv")
    assert sorted(os.listdir()) == ["gaps.npz", "model.npz", "more.npz", "one.csv", "one.npz"]


def test_labels_are_shown_in_pictures(capsys, folder):
    pytest.importorskip("matplotlib")
    X, y = flowers()
    np.savez("some.npz", X=np.tile(X, (1, 2)), y=np.array(["$a", "longer_name"])[y])
    options = ("--data", "some.npz", "--size", "2x2", "--epochs", 2, "--lr", 1e-9)
    code, _, err = run(capsys, "train", *options, "--plot", "picture.svg")
    assert (code, err) == (0, "")
    assert "longer_name" in (folder / "picture.svg").read_text() or (folder / "picture.svg").stat().st_size > 10_000


def test_images_in_folders(capsys, folder):
    pil = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(1)
    for name, level in (("dark", 40), ("light", 160)):
        (folder / "all" / name).mkdir(parents=True)
        for i in range(15):
            shape = (10 + i % 3, 9)
            pil.fromarray(rng.integers(level, level + 60, shape, dtype=np.uint8)).save(folder / "all" / name / f"{i}.png")
    refused(capsys, "expected one size, or --size", "train", "--data", "all", "--model", "lenet")
    code, out, err = run(capsys, "train", "--data", "all", "--size", "8", "--model", "lenet", "--epochs", 10)
    assert (code, err) == (0, "")
    assert "the classes dark, light; images of 8 x 8, divided by 255" in out
    code, out, err = run(capsys, "predict", "model.npz", "all/light", "-o", "found.csv")
    assert (code, err) == (0, "")
    assert "light: 15 samples; 15 of class light" in out
    assert table("found.csv")[1][:2] == ["0.png", "light"]
    code, out, _ = run(capsys, "predict", "model.npz", "all")
    assert "accuracy 100.00% of 30 samples" in out
    code, out, _ = run(capsys, "predict", "model.npz", "all/dark/3.png", "--proba")
    assert out.splitlines()[1].startswith("3.png\tdark\t")


def test_rows_are_images_where_that_is_said(capsys):
    save_digits("rows.npz", slice(300))
    run(capsys, "train", "--data", "rows.npz", "--epochs", 1)
    assert Preprocessing.load("model.npz").image_shape is None
    for options in (("--size", "8x8"), ("--model", "cnn")):
        run(capsys, "train", "--data", "rows.npz", "--epochs", 1, *options, "--save", "images.npz", "--overwrite")
        own = Preprocessing.load("images.npz")
        assert (own.image_shape, own.scale, own.mean) == ((8, 8), 16, None)
    refused(capsys, "64 features; expected images of 7 x 7", "train", "--data", "rows.npz", "--size", "7")


def test_without_header(capsys):
    with open("plain.csv", "w") as file:
        file.write("".join(f"{i % 2},{i},{-i}\n" for i in range(20)))
    run(capsys, "train", "--data", "plain.csv", "--label", "first", "--no-header", "--epochs", 1)
    assert Preprocessing.load("model.npz").label == "first"
    code, out, _ = run(capsys, "predict", "model.npz", "plain.csv")
    assert code == 0
    assert "accuracy" in out


def test_what_says_how_tables_are_read_is_of_both(capsys):
    text = "größe;art\n" + "".join(f"{i};{'jä' if i % 2 else 'nö'}\n" for i in range(20))
    Path("plain.csv").write_text(text, "latin-1")
    refused(capsys, "plain.csv, line 1: is not text in UTF-8; --encoding says in what", "train", "--data", "plain.csv")
    options = ["--encoding", "latin-1", "--epochs", 1]
    code, out, _ = run(capsys, "train", "--data", "plain.csv", "--predict", "plain.csv", *options)
    assert code == 0
    assert "accuracy" in out.partition("plain.csv: 20 samples")[2]
    assert Preprocessing.load("model.npz").classes == ("jä", "nö")
    Path("turned.csv").write_text("jä;1\nnö;2\n", "latin-1")
    more = ["--encoding", "latin-1", "--label", "first", "--no-header"]
    for command in (["train", "--load", "model.npz", "--predict", "turned.csv"], ["predict", "model.npz", "turned.csv"]):
        code, out, _ = run(capsys, *command, *more)
        assert code == 0
        assert "turned.csv: separated by ';', labels in column 1\n" in out
        assert "of 2 samples" in out
    np.savez("some.npz", X=[[1.0], [2.0]])
    code, out, _ = run(capsys, "train", "--data", "plain.csv", "--predict", "some.npz", "--label", "art", *options)
    assert code == 0
    assert "some.npz: 2 samples" in out


def test_iterations_are_no_epochs(capsys):
    write_flowers()
    _, out, _ = run(capsys, "train", "--data", "flowers.csv", "--label", "kind", "--solver", "lbfgs")
    assert "lbfgs, at most 1000 iterations" in out
    assert "iteration 1/1000: training loss" in out
    assert "epoch" not in out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("predict", "Missing argument 'MODEL'"),
        ("predict model.npz", "Missing argument 'DATA'"),
        ("predict nowhere.npz some.npz", "nowhere.npz"),
        ("predict model.npz nowhere.csv", "there is no such file"),
        ("predict some.npz some.npz", "holds no fastlec model"),
        ("predict model.npz some.npz -o some.npz", "is DATA, some.npz"),
        ("predict model.npz some.npz -o model.npz --overwrite", "is MODEL, model.npz"),
        ("predict model.npz some.npz -o nowhere/a.csv", "there is no folder"),
        ("predict model.npz wide.npz", "its samples have 65 features; expected 64"),
        ("predict model.npz bad.csv", "bad.csv, line 2, column 2: holds 'x'; expected a number"),
        ("train --label y", "--label says how to read --data or --predict, and neither is given"),
        ("train --no-header", "--header says how to read --data"),
        ("train --data bad.csv --encoding klingon", "encoding is 'klingon'; expected that of a text, such as latin-1"),
        ("train --size 8", "--size says how to read --data"),
        ("train --data some.npz --size 8by8", "'8by8' is no size of images, such as 28x28"),
        ("train --data some.npz --size 0", "'0' is no size"),
        ("train --data some.npz --label y", "some.npz: is no table of text"),
        ("train --data bad.csv", "bad.csv, line 2, column 2: holds 'x'; expected a number"),
        ("", "Missing command"),
    ],
)
def test_what_cannot_be_is_refused(capsys, options, text):
    io.save_model("model.npz", models.SoftmaxModel(np.ones((10, 64)), np.ones(10), Preprocessing(16.0, (8, 8))))
    save_digits("some.npz")
    save_digits("wide.npz", X=np.ones((100, 65)))
    with open("bad.csv", "w") as file:
        file.write("1,2,0\n1,x,1\n")
    before = {name: Path(name).read_bytes() for name in os.listdir()}
    refused(capsys, text, *options.split())
    assert {name: Path(name).read_bytes() for name in os.listdir()} == before


def test_models_of_before_are_read(capsys):
    """Their files do not say which classes there are: these are 0, 1, 2, ..."""
    meta = {"kind": "softmax", "n_classes": 3, "dtype": "float64", "image_shape": None, "scale": 2.0}
    io.save_arrays("model.npz", {"W": np.eye(3), "b": np.zeros(3)}, meta)
    expected = Preprocessing(2.0, classes=(0, 1, 2))
    assert io.load_model("model.npz").preprocessing == Preprocessing.load("model.npz") == expected
    np.savez("some.npz", X=np.eye(3))
    code, out, _ = run(capsys, "predict", "model.npz", "some.npz")
    assert code == 0
    assert [line.split("\t")[1] for line in out.splitlines()[1:4]] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mean": [1.0, 2.0, 3.0]}, "one of mean and std"),
        ({"mean": [1.0, 2.0], "std": [1.0, 1.0]}, "a mean that is not 3 finite numbers"),
        ({"mean": [1.0, 2.0, 3], "std": [1.0, 1.0, 1.0]}, "a mean that is not 3 finite numbers"),
        ({"mean": [0.0, 0.0, 0.0], "std": [1.0, 0.0, 1.0]}, "a std that is not 3 finite numbers"),
        ({"mean": "abc", "std": "abc"}, "a mean that is not"),
        ({"classes": ["a", "b"]}, "classes that are not 3 different labels"),
        ({"classes": ["a", "b", "b"]}, "classes that are not 3 different labels"),
        ({"classes": ["a", "b", 3]}, "classes that are not 3 different labels"),
        ({"classes": [1.5, 2.5, 3.5]}, "classes that are not 3 different labels"),
        ({"classes": [[1], [2], [3]]}, "classes that are not 3 different labels"),
        ({"columns": ["a", "b"]}, "columns that are not 3 names"),
        ({"columns": 3}, "columns that are not 3 names"),
        ({"label": 3}, "label 3; expected a column's name"),
        ({"scale": 0}, "scale 0; expected a positive number"),
    ],
)
def test_models_that_contradict_themselves(capsys, changes, text):
    meta = {"kind": "softmax", "n_classes": 3, "dtype": "float64", "image_shape": None, "scale": 2.0} | changes
    io.save_arrays("model.npz", {"W": np.eye(3), "b": np.zeros(3)}, json.loads(json.dumps(meta)))
    np.savez("some.npz", X=np.eye(3))
    refused(capsys, text, "predict", "model.npz", "some.npz")
    with pytest.raises(io.ModelError, match=r"^model\.npz: 'meta' says "):
        Preprocessing.load("model.npz")


def test_files_without_a_model():
    for meta in (
        {},
        {"kind": "network"},
        {"kind": "network", "facts": {}},
        {"kind": "network", "facts": 3},
        {"kind": "softmax"},
    ):
        io.save_arrays("a.npz", {}, meta)
        with pytest.raises(io.ModelError, match=r"a\.npz: holds no model that fastlec train wrote"):
            Preprocessing.load("a.npz")


def test_version_and_help(capsys):
    assert run(capsys, "--version") == (0, f"fastlec {fastlec.__version__}\n", "")
    code, out, err = run(capsys, "-h")
    assert (code, err) == (0, "")
    assert "predict" in out
    assert run(capsys, "predict", "-h")[0] == 0


def test_progress_where_there_is_no_terminal():
    done = finished([sys.executable, "-m", "fastlec", "train", "--epochs", "30"])
    lines = [line for line in done.stdout.splitlines() if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == [f"epoch {i}/30" for i in (1, *range(3, 31, 3))]


def test_the_losses_say_what_they_are_against(capsys):
    _, out, _ = run(capsys, "train", "--model", "mlp", "--epochs", 1)
    assert out.count("smoothing 0.1") == 2
    _, out, _ = run(capsys, "train", "--model", "mlp", "--epochs", 1, "--smoothing", 0, "--overwrite")
    assert "smoothing" not in out


def test_a_confusion_matrix_of_long_labels_shows_all_counts(capsys):
    X = np.eye(12)
    np.savez("some.npz", X=np.repeat(X, 12, axis=0), y=np.repeat([f"a_long_label_{i}" for i in range(12)], 12))
    _, out, _ = run(capsys, "train", "--data", "some.npz", "--epochs", 40)
    rows = [line.split() for line in out.splitlines() if line.strip().startswith("a_long_label_")]
    assert [row[1] for row in rows] == [f"({i})" for i in range(12)]
    assert all(len(row) == 14 for row in rows)
