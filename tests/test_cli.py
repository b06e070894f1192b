"""The command line as a user meets it: what it prints, writes and returns, and how it refuses bad input."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fastlec import data, io

pytest.importorskip("typer")
pytest.importorskip("rich")
from fastlec import cli


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # as the command sets it for itself
    return tmp_path


@pytest.fixture
def model():
    io.save_model("model.npz", io.SoftmaxModel(np.ones((10, 64)), np.ones(10), (8, 8), 16.0))
    return "model.npz"


def save_digits(path, rows=slice(100), **changes):
    X, y = data.load_digits()
    np.savez(path, **{"X": (16 * X[rows]).astype(np.uint8), "y": y[rows], **changes})


def run(capsys, *args):
    code = cli.main([str(arg) for arg in args])
    return code, *capsys.readouterr()


def refused(capsys, text, *args):
    """Exit code 2, nothing but one line on stderr, which holds text."""
    code, _, err = run(capsys, *args)
    assert code == 2
    assert text in err
    assert err.startswith("fastlec: ")
    assert err.count("\n") == 1


def process(*args, **options):
    command = [sys.executable, "-c", "import sys; from fastlec.cli import main; sys.exit(main())", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_train_with_defaults(capsys):
    code, out, err = run(capsys, "train")
    assert (code, err) == (0, "")
    assert "digits (UCI, 8 x 8): 1797 x 64 float64" in out
    assert "60/60" in out
    assert "Confusion matrix" in out
    last = out.strip().splitlines()[-1]
    assert float(last.split()[2].rstrip("%")) > 94
    assert last.endswith("saved to model.npz")
    found = io.load_model("model.npz")
    assert (found.W.shape, found.image_shape, found.scale) == ((10, 64), (8, 8), 16)
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "newton-cg"])
def test_train_with_every_option(capsys, solver, folder):
    pytest.importorskip("matplotlib")
    save_digits("digits.npz", slice(None))
    options = [
        "--epochs=8",
        "--batch-size=50",
        "--lr=0.2",
        "--momentum=0.8",
        "--l2=1e-3",
        "--seed=3",
        "--dtype=float32",
        "--threads=1",
    ]
    paths = ["--data", "digits.npz", "--save", "new.npz", "--plot", "curves.png"]
    code, out, err = run(capsys, "train", "--solver", solver, *options, *paths)
    assert (code, err) == (0, "")
    assert "saved to new.npz" in out
    assert io.load_model("new.npz").W.dtype == np.float32
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "model.npz").exists()


def test_seed_and_threads(capsys):
    thetas = []
    for options in (("--threads", 1), ("--threads", 2), ("--seed", 5)):
        run(capsys, "train", "--epochs", 2, *options)
        thetas.append(io.load_model("model.npz").theta)
    np.testing.assert_array_equal(thetas[0], thetas[1])
    assert not np.array_equal(thetas[0], thetas[2])


def test_predict_after_training_and_with_a_saved_model(capsys, folder):
    save_digits("some.npz", slice(50))
    code, out, _ = run(capsys, "train", "--predict", "some.npz", "--output", "labels.txt")
    assert code == 0
    assert "some.npz: 50 samples" in out
    labels = np.loadtxt("labels.txt", dtype=int)
    assert f"accuracy {np.mean(labels == data.load_digits()[1][:50]):.2%} of 50 samples" in out
    before = (folder / "model.npz").read_bytes()

    np.savetxt("unlabelled.csv", 16 * data.load_digits()[0][:50], delimiter=",", fmt="%d")
    code, out, _ = run(capsys, "train", "--load", "model.npz", "--predict", "unlabelled.csv")
    assert code == 0
    assert f"predicted: {' '.join(map(str, labels[:40]))} ... (50 in all" in out
    assert "accuracy" not in out
    assert "training" not in out
    assert (folder / "model.npz").read_bytes() == before


def test_training_goes_on_from_a_saved_model(capsys):
    run(capsys, "train", "--dtype", "float32", "--epochs", 20)
    first = io.load_model("model.npz")
    code, _, _ = run(capsys, "train", "--load", "model.npz", "--save", "more.npz", "--epochs", 1, "--lr", 1e-6)
    assert code == 0
    more = io.load_model("more.npz")
    assert more.W.dtype == np.float32
    np.testing.assert_allclose(more.W, first.W, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--epochs 0", "--epochs"),
        ("--epochs many", "--epochs"),
        ("--batch-size 0", "--batch-size"),
        ("--batch-size -3", "--batch-size"),
        ("--lr 0", "--lr"),
        ("--lr -1", "--lr"),
        ("--lr nan", "--lr"),
        ("--lr inf", "--lr"),
        ("--momentum 1", "--momentum"),
        ("--momentum nan", "--momentum"),
        ("--l2 -1", "--l2"),
        ("--l2 inf", "--l2"),
        ("--seed -1", "--seed"),
        ("--threads 0", "--threads"),
        ("--threads 99999999999999999999", "--threads"),
        ("--dtype float16", "--dtype"),
        ("--solver adam", "--solver"),
        ("--data", "--data"),
        ("--no-such-option", "--no-such-option"),
        ("stray", "stray"),
        ("--output labels.txt", "--predict"),
        ("--save nowhere/model.npz", "no folder"),
        ("--save .", "not a regular file"),
        ("--plot nowhere/a.png", "no such folder"),
        ("--plot a.docx", ".png"),
        ("--data nowhere", "nowhere: there is no such file"),
        ("--load nowhere.npz", "nowhere.npz"),
        ("--load model.npz --predict nowhere.npz", "nowhere.npz"),
        ("--lr 1e300", "epoch 1, step"),
    ],
)
def test_bad_options_are_refused(capsys, model, folder, options, text):
    pytest.importorskip("matplotlib")
    before = (folder / model).read_bytes()
    refused(capsys, text, "train", *options.split())
    assert (folder / model).read_bytes() == before
    assert os.listdir() == [model]


@pytest.mark.parametrize(
    "command", ["", "fly", "check --dtype int8", "bench --threads 0", "bench --case nothing", "info extra"]
)
def test_bad_commands_are_refused(capsys, command):
    refused(capsys, "; see fastlec --help", *command.split())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"y": np.arange(99) % 10}, "99 labels; expected 100"),
        ({"y": np.full(100, -1)}, "is -1"),
        ({"y": np.full(100, 2**40)}, "class number"),
        ({"y": np.full(100, 2**30)}, "label 1073741824 among 100 samples"),
        ({"y": np.zeros(100, int)}, "every label is 0"),
        ({"X": np.full((100, 64), np.nan)}, "nan"),
        ({"X": np.array([None] * 100)}, "object"),
        ({"X": np.zeros((100, 0))}, "shape (100, 0)"),
    ],
)
def test_bad_data_are_refused(capsys, model, folder, changes, text):
    save_digits("bad.npz", **changes)
    before = (folder / model).read_bytes()
    refused(capsys, text, "train", "--data", "bad.npz")
    assert (folder / model).read_bytes() == before


def test_data_that_do_not_fit_the_model_are_refused(capsys, model):
    save_digits("wide.npz", X=np.ones((100, 65)))
    save_digits("more.npz", y=np.arange(100) % 11)
    save_digits("none.npz")
    refused(capsys, "65 features; the model takes 64", "train", "--load", model, "--data", "wide.npz")
    refused(capsys, "65 features; expected 64", "train", "--load", model, "--predict", "wide.npz")
    refused(capsys, "the label 10; the model knows the classes 0..9", "train", "--load", model, "--predict", "more.npz")
    refused(capsys, "holds no fastlec model", "train", "--load", "none.npz", "--predict", "none.npz")


def test_interrupt_ends_in_one_line_and_leaves_the_model(model, folder):
    before = (folder / model).read_bytes()
    training = process("train", "--epochs", "100000000", bufsize=1)
    assert "UCI" in training.stdout.readline()
    time.sleep(0.2)
    training.send_signal(signal.SIGINT)
    _, err = training.communicate(timeout=20)
    assert (training.returncode, err) == (130, "fastlec: interrupted\n")
    assert (folder / model).read_bytes() == before
    assert os.listdir() == [model]


def test_output_is_plain_where_only_ascii_can_be_shown():
    training = process("train", "--epochs", "3", env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"})
    out, err = training.communicate(timeout=60)
    assert (training.returncode, err) == (0, "")
    assert out.isascii()
    assert "\x1b" not in out
    assert "Confusion matrix" in out


def test_a_reader_that_leaves_early_is_no_error():
    with process("train", "--epochs", "3") as training:
        training.stdout.close()
        err = training.stderr.read()
        assert (training.wait(60), err) == (1, "")


def test_without_typer_one_line_says_what_to_install():
    code = "import sys; sys.modules['typer'] = None; from fastlec.cli import main; sys.exit(main(['train']))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "fastlec: the command line needs typer and rich: pip install 'fastlec[cli]'\n"


def test_importing_the_library_stays_light():
    code = "import sys, fastlec, fastlec.data, fastlec.io, fastlec.plot, fastlec.training; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scipy", "typer", "rich", "matplotlib"} & set(loaded)


def test_info(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0
    assert "fastlec" in out


class Result:
    def __init__(self, passed):
        self.passed = passed

    def __str__(self):
        return "epsilon zeroth first"


def test_check_prints_every_table_and_its_exit_code_tells(capsys, monkeypatch):
    checks = pytest.importorskip("fastlec.checks")
    for passed in (True, False):
        monkeypatch.setattr(
            checks, "run", lambda dtype, passed=passed: [("softmax", Result(True)), (f"tanh {dtype}", Result(passed))]
        )
        code, out, _ = run(capsys, "check", "--dtype", "float32")
        assert code == (0 if passed else 1)
        assert out.count("epsilon zeroth first") == 2
        assert f"{1 + passed} of 2 tests passed" in out
    assert out.endswith("failed: tanh float32\n")
