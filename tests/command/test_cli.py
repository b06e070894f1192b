"""The command line as a user meets it: what it prints, writes and returns, and how it refuses bad input."""

import inspect
import os
import signal
import sys
import time

import numpy as np
import pytest
from interpreter import finished, output

import fastlec
from fastlec import Dense, Network, data, io
from fastlec.course import classifier, models, overfit
from fastlec.preprocessing import Preprocessing

pytest.importorskip("typer")
pytest.importorskip("rich")
from command import process, refused, run, save_digits

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def model():
    io.save_model("model.npz", models.SoftmaxModel(np.ones((10, 64)), np.ones(10), Preprocessing(16.0, (8, 8))))
    return "model.npz"


@pytest.fixture
def network():
    """A file of an untrained resnet for the digits."""
    model = classifier.new_network(data.digits(np.float32), "resnet", depth=1, width=4, activation="tanh", seed=0)
    models.save_model("network.npz", model)
    return "network.npz"


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
        run(capsys, "train", "--epochs", 2, "--save", "model.npz", "--overwrite", *options)
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


@pytest.mark.parametrize("architecture", ["mlp", "resnet"])
def test_train_a_network_with_defaults(capsys, architecture):
    code, out, err = run(capsys, "train", "--model", architecture)
    assert (code, err) == (0, "")
    assert "digits (UCI, 8 x 8): 1797 x 64 float32" in out
    assert "40/40" in out
    last = out.strip().splitlines()[-1]
    assert float(last.split()[2].rstrip("%")) >= 98
    assert all(len(line) <= 80 for line in out.splitlines())
    found = models.load_model("model.npz")
    assert found.facts == models.Facts(architecture, 64, 10, Preprocessing(16.0, (8, 8), classes=tuple(range(10))))
    n_params = {"mlp": 65 * 128 + 129 * 128 + 1290, "resnet": 65 * 128 + 2 * (2 * 128 * 128 + 128) + 1290}[architecture]
    assert f"{architecture} of {n_params} parameters" in out
    assert found.net.n_params == n_params
    np.testing.assert_array_equal(Network.load("model.npz").theta, found.net.theta)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("architecture", ["mlp", "resnet"])
def test_train_a_network_with_every_option(capsys, architecture, solver, folder):
    pytest.importorskip("matplotlib")
    save_digits("digits.npz", slice(None))
    options = [
        "--depth=3",
        "--width=16",
        "--activation=sigmoid",
        "--epochs=2",
        "--batch-size=50",
        "--lr=0.01",
        "--momentum=0.8",
        "--l2=1e-2",
        "--smoothing=0",
        "--seed=3",
        "--dtype=float64",
        "--threads=1",
    ]
    paths = ["--data", "digits.npz", "--save", "new.npz", "--plot", "curves.png"]
    code, out, err = run(capsys, "train", "--model", architecture, "--solver", solver, *options, *paths)
    assert (code, err) == (0, "")
    assert "2/2" in out
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "model.npz").exists()
    net = models.load_model("new.npz").net
    assert net.dtype == np.float64
    middle = 2 * ["Dense"] if architecture == "mlp" else 3 * ["Residual"]
    assert [type(layer).__name__ for layer in net.layers] == ["Dense", *middle, "Dense"]
    assert [layer.activation for layer in net.layers] == [*(len(middle) + 1) * ["sigmoid"], "identity"]
    assert net.layers[0].n_out == net.layers[-1].n_in == 16


@pytest.mark.parametrize(
    "option",
    ["depth=1", "width=9", "activation=tanh", "solver=adam", "lr=0.2", "momentum=0", "l2=0.1", "smoothing=0.5", "seed=1"],
)
def test_every_option_of_a_network_counts(capsys, option):
    thetas = []
    for name, more in (("one.npz", []), ("two.npz", [f"--{option}"])):
        assert run(capsys, "train", "--model=mlp", "--width=8", "--epochs=1", "--save", name, *more)[0] == 0
        thetas.append(models.load_model(name).net.theta)
    assert not np.array_equal(*thetas)


def test_a_network_predicts_what_it_learned_whatever_the_scale(capsys, folder):
    save_digits("some.npz", slice(50))
    code, out, _ = run(capsys, "train", "--model", "mlp", "--epochs", 5, "--predict", "some.npz", "--output", "labels.txt")
    assert code == 0
    labels = np.loadtxt("labels.txt", dtype=int)
    assert f"accuracy {np.mean(labels == data.load_digits()[1][:50]):.2%} of 50 samples" in out
    assert np.mean(labels == data.load_digits()[1][:50]) > 0.9
    before = (folder / "model.npz").read_bytes()
    np.savetxt("one.csv", 16 * data.load_digits()[0][:1], delimiter=",", fmt="%d")
    code, out, _ = run(capsys, "train", "--load", "model.npz", "--predict", "one.csv", "--dtype", "float64")
    assert code == 0
    assert f"predicted: {labels[0]}\n" in out
    assert (folder / "model.npz").read_bytes() == before


@pytest.mark.parametrize("more", [(), ("--dtype", "float64"), ("--model", "resnet")])
def test_training_goes_on_from_a_saved_network(capsys, network, more):
    first = models.load_model(network).net
    code, out, _ = run(capsys, "train", "--load", network, "--save", "more.npz", "--epochs", 1, "--lr", 1e-7, *more)
    assert code == 0
    assert f"resnet of {first.n_params} parameters" in out
    found = models.load_model("more.npz")
    assert str(found.net.dtype) == ("float64" if "float64" in more else "float32")
    np.testing.assert_allclose(found.net.theta, first.theta, atol=1e-4)
    assert found.facts == models.load_model(network).facts


def test_a_network_as_safetensors(capsys):
    pytest.importorskip("safetensors")
    run(capsys, "train", "--model", "mlp", "--epochs", 1, "--save", "model.safetensors")
    save_digits("some.npz", slice(50))
    code, out, _ = run(capsys, "train", "--load", "model.safetensors", "--predict", "some.npz")
    assert code == 0
    assert "accuracy" in out


def test_threads_do_not_change_a_network(capsys):
    thetas = []
    for threads in (1, 2):
        run(capsys, "train", "--model", "resnet", "--epochs", 1, "--threads", threads, "--save", f"{threads}.npz")
        thetas.append(models.load_model(f"{threads}.npz").net.theta)
    np.testing.assert_array_equal(*thetas)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--model tree", "--model"),
        ("--model mlp --depth 0", "--depth"),
        ("--model mlp --depth 1001", "--depth"),
        ("--model mlp --depth two", "--depth"),
        ("--model mlp --width 0", "--width"),
        ("--model mlp --width -8", "--width"),
        ("--model mlp --width 1048576 --depth 1000", "is too large to be trained"),
        ("--model mlp --activation identity", "--activation"),
        ("--model mlp --activation sine", "--activation"),
        ("--model mlp --smoothing 1", "--smoothing"),
        ("--model mlp --smoothing -0.1", "--smoothing"),
        ("--model mlp --smoothing nan", "--smoothing"),
        ("--model mlp --lr nan", "--lr"),
        ("--model mlp --l2 -1", "--l2"),
        ("--model mlp --solver lbfgs", "--solver lbfgs does not train --model mlp; expected sgd, adam"),
        ("--model resnet --solver newton-cg", "--solver newton-cg does not train --model resnet; expected sgd, adam"),
        ("--model softmax --solver adam", "--solver adam does not train --model softmax; expected sgd, lbfgs, newton-cg"),
        ("--depth 2", "--depth is for new networks; the model is softmax"),
        ("--width 2", "--width is for new networks; the model is softmax"),
        ("--model softmax --activation relu", "--activation is for new networks; the model is softmax"),
        ("--smoothing 0.1", "--smoothing is for networks; the model is softmax"),
        ("--load network.npz --width 4", "--width is for new networks; network.npz has its own"),
        ("--load network.npz --model mlp", "--model is mlp; network.npz holds the model resnet"),
        ("--load network.npz --model softmax", "--model is softmax; network.npz holds the model resnet"),
        ("--load model.npz --model resnet", "--model is resnet; model.npz holds the model softmax"),
        ("--load network.npz --solver lbfgs", "--solver lbfgs does not train --model resnet"),
        ("--model mlp --lr 1e30", "the loss is nan; a lower learning rate than 1e+30 may help\n"),
        ("--model mlp --lr 1e300 --solver adam", "epoch 1, step"),
    ],
)
def test_bad_options_of_networks_are_refused(capsys, model, network, folder, options, text):
    before = [(folder / name).read_bytes() for name in (model, network)]
    refused(capsys, text, "train", *options.split())
    assert [(folder / name).read_bytes() for name in (model, network)] == before
    assert sorted(os.listdir()) == [model, network]


def test_a_network_refuses_data_that_do_not_fit(capsys, network):
    save_digits("wide.npz", X=np.ones((100, 65)))
    save_digits("more.npz", y=np.arange(100) % 11)
    save_digits("few.npz", y=np.zeros(100, int))
    refused(capsys, "65 features; the model takes 64", "train", "--load", network, "--data", "wide.npz")
    refused(capsys, "65 features; expected 64", "train", "--load", network, "--predict", "wide.npz")
    refused(capsys, "the label 10; the model knows the classes 0..9", "train", "--load", network, "--data", "more.npz")
    refused(capsys, "the label 10; the model knows the classes 0..9", "train", "--load", network, "--predict", "more.npz")
    refused(capsys, "every label is 0", "train", "--model", "mlp", "--data", "few.npz")
    rows = np.minimum(np.arange(200_000) // 2, 99_999)
    np.savez("classes.npz", X=np.zeros((200_000, 1), np.float32), y=rows)
    refused(capsys, "100000 classes for each of 200000 samples", "train", "--model", "mlp", "--data", "classes.npz")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"architecture": "tree"}, "architecture 'tree'; expected one of mlp, resnet, lenet, cnn, resnet-cnn"),
        ({"architecture": "cnn"}, "64 features, which the layers do not take"),
        ({"architecture": ["mlp"]}, "architecture ['mlp']"),
        ({"n_features": 65, "image_shape": None}, "65 features, which the layers do not take"),
        ({"n_features": -1}, "n_features -1; expected an integer >= 1"),
        ({"n_features": "64"}, "n_features '64'"),
        ({"n_classes": 11}, "classes that are not 11 different labels"),
        ({"n_classes": True}, "n_classes True"),
        ({"image_shape": [8, 9]}, "image shape [8, 9]; samples have 64 features"),
        ({"image_shape": 64}, "image shape 64"),
        ({"scale": 0.0}, "scale 0.0; expected a positive number"),
        ({"scale": None}, "scale None"),
        ({"layers": []}, "expected []"),
        ({"layers": [{"kind": "Tree"}]}, "describes no network"),
        ({"kind": "tree"}, "kind 'tree'"),
    ],
)
def test_network_files_that_contradict_themselves_are_refused(capsys, network, changes, text):
    arrays, meta = io.load_arrays(network)
    facts = {name: value for name, value in changes.items() if name in meta["facts"]}
    io.save_arrays("bad.npz", arrays, meta | changes | {"facts": meta["facts"] | facts})
    refused(capsys, text, "train", "--load", "bad.npz", "--predict", network)


def test_network_files_without_the_facts_are_refused(capsys):
    Network([Dense(64, 10, "identity")]).save("plain.npz")
    refused(capsys, "expected a network that fastlec train wrote", "train", "--load", "plain.npz")
    facts = {"architecture": "mlp", "n_features": 5, "n_classes": 5, "image_shape": None, "scale": 1.0}
    nothing = [{"kind": "Activation", "activation": "relu"}]
    io.save_arrays("empty.npz", {}, {"kind": "network", "dtype": "float32", "layers": nothing, "facts": facts})
    refused(capsys, "no parameters", "train", "--load", "empty.npz")


def test_interrupting_a_network_leaves_the_model(model, folder):
    before = (folder / model).read_bytes()
    with process("train", "--model", "resnet", "--epochs", "1000000", bufsize=1) as training:
        assert "UCI" in training.stdout.readline()
        time.sleep(0.5)
        training.send_signal(signal.SIGINT)
        _, err = training.communicate(timeout=20)
    assert (training.returncode, err) == (130, "fastlec: interrupted\n")
    assert (folder / model).read_bytes() == before
    assert os.listdir() == [model]


def test_universal(capsys, folder):
    pytest.importorskip("matplotlib")
    options = ["--widths=1,4,12", "--samples=40", "--activation=sigmoid", "--seed=3", "--plot=errors.png"]
    code, out, err = run(capsys, "universal", *options)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "0.3 x + sin(10 x) + 0.5 exp(2 x) on [0.01, 1.01], 40 samples; sigmoid"
    rows = np.array([line.split() for line in lines[2:5]], float)
    np.testing.assert_array_equal(rows[:, :2], [(1, 4), (4, 13), (12, 37)])
    assert (np.diff(rows[:, 2:], axis=0) < 0).all()
    assert lines[5:] == ["picture: errors.png"]
    assert (folder / "errors.png").read_bytes().startswith(b"\x89PNG")


def test_universal_with_defaults(capsys):
    code, out, err = run(capsys, "universal")
    assert (code, err) == (0, "")
    rows = np.array([line.split() for line in out.splitlines()[2:]], float)
    assert rows[:, 0].tolist() == [1, 2, 4, 8, 16, 32]
    assert (np.diff(rows[:, 2]) < 0).all()
    assert rows[-1, 2] < 1e-5


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--widths 0", "'0' is not a list of whole numbers >= 1"),
        ("--widths 1,2,2", "'1,2,2'"),
        ("--widths 4,2", "'4,2'"),
        ("--widths 1,-2", "'1,-2'"),
        ("--widths 1,two", "'1,two'"),
        ("--widths 1.5", "'1.5'"),
        ("--widths ,", "','"),
        ("--widths 99999999999999999999", "whole numbers"),
        ("--widths 1,100", "--widths 100 has 301 parameters; expected --samples of at least as many, not 200"),
        ("--samples 3", "--samples"),
        ("--samples 1e3", "--samples"),
        ("--samples 100001", "--samples"),
        ("--widths 8 --samples 20", "not 20"),
        ("--activation identity", "--activation"),
        ("--seed -1", "--seed"),
        ("--plot nowhere/a.png", "there is no folder"),
        ("--plot a.docx", ".png"),
        ("--model mlp", "--model"),
        ("stray", "stray"),
    ],
)
def test_bad_options_of_universal_are_refused(capsys, folder, options, text):
    pytest.importorskip("matplotlib")
    refused(capsys, text, "universal", *options.split())
    assert os.listdir() == []


def test_overfit(capsys, folder):
    pytest.importorskip("matplotlib")
    options = ["--degrees=0,4,30", "--samples=61", "--noise=0.3", "--kind=fourier", "--seed=3", "--plot=fits.png"]
    code, out, err = run(capsys, "overfit", *options)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "0.3 x + sin(10 x) + 0.5 exp(2 x) on [0.01, 1.01], 61 samples, noise 0.3"
    fits = overfit.experiment(30, samples=61, noise=0.3, kind="fourier", seed=3).fits
    shown = [0, 4, fits.corner, 30]
    rows = np.array([line.split()[:5] for line in lines[2:6]], float)
    expected = np.stack([fits.degrees, fits.train_mse, fits.test_mse, fits.loo, fits.gcv], axis=1)
    np.testing.assert_allclose(rows, expected[shown], rtol=5e-3)
    least = int(np.argmin(fits.test_mse))
    assert lines[6] == f"corner of the training curve: degree {fits.corner}; least test error: degree {least}"
    assert lines[7].startswith("all degrees, regularized: corner of the L-curve at lambda ")
    oracle = np.array([line.split() for line in lines[-8:-1]], float)
    assert oracle[:, 0].tolist() == [10, 20, 50, 100, 199, 496, 991]
    assert (np.diff(oracle[:, 2]) < 0).all()
    assert lines[-1] == "picture: fits.png"
    assert (folder / "fits.png").read_bytes().startswith(b"\x89PNG")


def test_overfit_with_defaults(capsys):
    code, out, err = run(capsys, "overfit")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    corner = overfit.experiment().fits.corner
    degrees = sorted({1, 3, 5, 7, 10, 15, 20, 50, 100, corner})
    rows = lines[2 : 2 + len(degrees)]
    assert [int(row.split()[0]) for row in rows] == degrees
    assert [row.split()[0] for row in rows if row.endswith("  corner")] == [str(corner)]
    assert lines[2 + len(rows)].startswith(f"corner of the training curve: degree {corner}; ")
    assert all(len(line) <= 90 for line in lines)
    assert run(capsys, "overfit")[1] == out
    assert run(capsys, "overfit", "--seed", 1)[1] != out


def test_overfit_marks_the_corner_and_says_where_there_is_none(capsys):
    for degrees in ("5,7,30", "1,20"):  # it is shown where it is not asked for
        _, out, _ = run(capsys, "overfit", "--degrees", degrees, "--seed", 0)
        assert [line.split()[0] for line in out.splitlines() if line.endswith("  corner")] == ["7"]
    for degrees in ("0", "1,3"):
        code, out, err = run(capsys, "overfit", "--degrees", degrees, "--samples", 4, "--seed", 1)
        assert (code, err) == (0, "")
        assert "\nthe training curve has no corner; least test error: degree" in out
        assert "the L-curve has no corner" in out
        assert not [line for line in out.splitlines() if line.endswith("  corner")]


def test_the_module_is_the_command(capsys):
    done = finished([sys.executable, "-m", "fastlec", "overfit", "--degrees=1,3", "--samples=20"])
    code, out, err = run(capsys, "overfit", "--degrees=1,3", "--samples=20")
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err) == (0, out, "")
    done = finished([sys.executable, "-m", "fastlec", "fly"])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fastlec: ")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--degrees 5,5", "'5,5' is not a list of whole numbers >= 0, each larger than the last"),
        ("--degrees -1", "'-1'"),
        ("--degrees two", "'two'"),
        ("--degrees 101", "--degrees 101 is not less than --samples, 101"),
        ("--degrees 2000 --samples 3000", "--degrees 2000 is more than 1000"),
        ("--samples 3", "--samples"),
        ("--samples 10001", "--samples"),
        ("--noise 0", "--noise"),
        ("--kind legendre", "--kind"),
        ("--plot nowhere/a.png", "there is no folder"),
        ("--plot a.docx", ".png"),
        ("stray", "stray"),
    ],
)
def test_bad_options_of_overfit_are_refused(capsys, folder, options, text):
    pytest.importorskip("matplotlib")
    refused(capsys, text, "overfit", *options.split())
    assert os.listdir() == []


def test_interrupting_universal():
    with process("universal", "--widths", "1,200", "--samples", "2000", bufsize=1) as fitting:
        assert "samples" in fitting.stdout.readline()
        time.sleep(0.5)
        fitting.send_signal(signal.SIGINT)
        _, err = fitting.communicate(timeout=20)
    assert (fitting.returncode, err) == (130, "fastlec: interrupted\n")


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
        ("--plot nowhere/a.png", "there is no folder"),
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


NUMBERS = {
    "train": "epochs batch-size lr momentum l2 smoothing seed threads depth width",
    "filter a.png b.png --kernel unsharp": "size sigma amount",
    "universal": "samples seed widths",
    "overfit": "samples seed degrees noise",
    "bench": "threads",
}


@pytest.mark.parametrize(("command", "options"), NUMBERS.items(), ids=NUMBERS)
def test_numbers_that_are_none_or_too_large_are_refused(capsys, folder, command, options):
    for option in options.split():
        for value in ("nan", "-inf", "1" + "0" * 400, "9" * 5000, "-1", "text", ""):
            refused(capsys, f"--{option}", *command.split(), f"--{option}={value}")
    assert os.listdir() == []


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
        ({"y": np.full(100, 2**40)}, "every label is 1099511627776; expected two classes or more"),
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
    with process("train", "--epochs", "100000000", bufsize=1) as training:
        assert "UCI" in training.stdout.readline()
        time.sleep(0.2)
        training.send_signal(signal.SIGINT)
        _, err = training.communicate(timeout=20)
    assert (training.returncode, err) == (130, "fastlec: interrupted\n")
    assert (folder / model).read_bytes() == before
    assert os.listdir() == [model]


def test_output_is_plain_where_only_ascii_can_be_shown():
    with process("train", "--epochs", "3", env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}) as training:
        out, err = training.communicate(timeout=60)
    assert (training.returncode, err) == (0, "")
    assert out.isascii()
    assert "\x1b" not in out
    assert "Confusion matrix" in out


def test_without_typer_one_line_says_what_to_install():
    code = "import sys; sys.modules['typer'] = None; from fastlec.cli import main; sys.exit(main(['train']))"
    found = finished([sys.executable, "-c", code])
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "fastlec: the command line needs typer and rich: pip install 'fastlec[cli]'\n"


@pytest.mark.parametrize(("option", "shown"), [("info", "threads  "), ("--version", f"fastlec {fastlec.__version__}")])
def test_without_typer_and_rich_it_tells_what_a_bug_report_needs(option, shown):
    code = f"import sys; sys.modules |= dict(typer=None, rich=None); from fastlec.cli import main; sys.exit(main([{option!r}]))"
    found = finished([sys.executable, "-c", code])
    assert (found.returncode, found.stderr) == (0, "")
    assert shown in found.stdout


def test_importing_the_library_stays_light():
    code = "import sys, fastlec, fastlec.data, fastlec.io, fastlec.plot, fastlec.training; print(*sys.modules)"
    loaded = output(code).split()
    assert "fastlec" in loaded
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


def test_check_prints_a_line_for_each_test_and_its_exit_code_tells(capsys, monkeypatch):
    checks = pytest.importorskip("fastlec.testing.checks")
    for passed, more, tables in ((True, (), 0), (False, (), 1), (True, ("-v",), 2)):
        results = [("softmax", Result(True)), ("tanh float32", Result(passed))]
        monkeypatch.setattr(checks, "each", lambda dtype, names, results=results: iter(results))
        code, out, _ = run(capsys, "check", "--dtype", "float32", *more)
        assert code == (0 if passed else 1)
        assert "softmax: passed\n" in out
        assert f"tanh float32: {'passed' if passed else 'FAILED'}\n" in out
        assert out.count("epsilon zeroth first") == tables
        assert f"{1 + passed} of 2 tests passed" in out
        assert passed or out.endswith("failed: tanh float32\n")


def test_check_of_some(capsys):
    code, out, _ = run(capsys, "check", "--dtype", "float64", "SOFTMAX", "logsumexp")
    names = [line.split(":")[0] for line in out.splitlines()[:-1]]
    assert code == 0
    assert {"softmax", "log_softmax over axis 0", "logsumexp"} < set(names)
    assert all("softmax" in name.lower() or name.startswith("logsumexp") for name in names)
    refused(capsys, "'nothing' is in the name of no test", "check", "softmax", "nothing")


@pytest.mark.parametrize("command", ["", "train", "predict", "check", "universal", "overfit", "filter", "bench", "info"])
def test_help_breaks_no_words(capsys, monkeypatch, command):
    """All lines fit, and have each word of the help of each argument whole."""
    from fastlec.cli import app

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    code, out, err = run(capsys, *command.split(), "--help")
    assert (code, err) == (0, "")
    assert all(len(line) <= 80 for line in out.splitlines())
    function = getattr(app, command or "_whole")
    arguments = inspect.signature(function, eval_str=True).parameters.values()
    helps = [made.help for argument in arguments for made in getattr(argument.annotation, "__metadata__", ())]
    assert len(helps) >= len(arguments) - 1  # all but the context
    assert set(" ".join([*helps, inspect.getdoc(function)]).split()) <= set(out.split())
    assert "..." not in out.replace("[ARGS]...", "").replace("[NAME]...", "").replace("model-2.npz, ...", "")
