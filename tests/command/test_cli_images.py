"""``fastlec train`` with networks of images: on the digits that come along, and on MNIST-style data in every kind of file."""

import gzip
import struct

import numpy as np
import pytest

from fastlec import Network, data
from fastlec.course import architectures, classifier, models
from fastlec.preprocessing import Preprocessing

pytest.importorskip("typer")
pytest.importorskip("rich")
from command import refused, run, save_digits

pytestmark = pytest.mark.usefixtures("folder")
OF_IMAGES = architectures.OF_IMAGES
N_PARAMS = {  # for digits of 8 x 8
    "lenet": 156 + 2416 + (256 * 120 + 120) + (120 * 84 + 84) + 850,
    "cnn": 320 + 18496 + (1024 * 128 + 128) + 1290,
    "resnet-cnn": 320 + 2 * (2 * 9 * 32 * 32 + 32) + 5130,
}


def trained(capsys, *options):
    """The output and the model of a training that must succeed."""
    code, out, err = run(capsys, "train", "--save", "new.npz", "--overwrite", *options)
    assert (code, err) == (0, "")
    return out, models.load_model("new.npz")


def tiny_mnist(shape=(28, 28), m=60, m_test=20):
    """Images X (m + m_test, height, width) uint8 and labels: a bright square in one of three places, and noise."""
    rng = np.random.default_rng(0)
    y = (np.arange(m + m_test) % 3).astype(np.uint8)
    X = rng.integers(0, 100, (m + m_test, *shape), dtype=np.uint8)
    for image, label in zip(X, y, strict=True):
        image[label * 5 : label * 5 + 5, :5] += 150
    X[0, 0, 0] = 255
    return X, y


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("architecture", OF_IMAGES)
def test_train_on_the_digits(capsys, architecture, folder):
    pytest.importorskip("matplotlib")
    out, model = trained(capsys, "--model", architecture, "--epochs", 2, "--plot", "net.png")
    assert "digits (UCI, 8 x 8): 1797 x 64 float32; sgd, at most 2 epochs" in out
    assert f"{architecture} of {N_PARAMS[architecture]} parameters" in out
    assert "2/2" in out
    assert "picture: net.png" in out
    assert float(out.strip().splitlines()[-1].split()[2].rstrip("%")) > 85
    assert all(len(line) <= 80 for line in out.splitlines())
    assert model.facts == models.Facts(architecture, 64, 10, Preprocessing(16.0, (8, 8), classes=tuple(range(10))))
    assert model.net.n_params == N_PARAMS[architecture]
    assert (folder / "net.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_array_equal(Network.load("new.npz").theta, model.net.theta)


@pytest.mark.parametrize(("architecture", "epochs"), [("lenet", 40), ("cnn", 20), ("resnet-cnn", 20)])
def test_epochs_by_default(capsys, architecture, epochs):
    save_digits("some.npz", slice(60))
    out, _ = trained(capsys, "--model", architecture, "--data", "some.npz")
    assert f"{epochs}/{epochs}" in out


@pytest.mark.parametrize("architecture", OF_IMAGES)
def test_every_file_of_the_same_images_gives_the_same_network(capsys, architecture, folder):
    X, y = tiny_mnist()
    (folder / "idx").mkdir()
    for name, array in (("train-images-idx3-ubyte", X[:60]), ("train-labels-idx1-ubyte", y[:60])):
        (folder / "idx" / name).write_bytes(idx(array))
    for name, array in (("t10k-images-idx3-ubyte", X[60:]), ("t10k-labels-idx1-ubyte", y[60:])):
        (folder / "idx" / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    np.savez("images.npz", X=X[:60], y=y[:60])
    np.savez("rows.npz", X=X[:60].reshape(60, 784), y=y[:60])
    np.savez("scaled.npz", X=X[:60].reshape(60, 784).astype(np.float32) / np.float32(255), y=y[:60])
    np.savetxt("rows.csv", np.column_stack([X[:60].reshape(60, 784), y[:60]]), delimiter=",", fmt="%d")
    np.savez("test.npz", X=X[60:], y=y[60:])

    thetas = []
    for name in ("idx", "images.npz", "rows.npz", "scaled.npz", "rows.csv"):
        out, model = trained(capsys, "--model", architecture, "--epochs", 1, "--lr", 0.01, "--data", name)
        assert ("test accuracy" in out) == (name == "idx")
        assert model.facts.input_shape == (1, 28, 28)
        thetas.append(model.net.theta)
    for theta in thetas[1:]:
        np.testing.assert_array_equal(theta, thetas[0])
    code, out, _ = run(capsys, "train", "--load", "new.npz", "--predict", "test.npz")
    assert code == 0
    expected = models.predict(models.load_model("new.npz"), (X[60:].reshape(20, 784) / 255).astype(np.float32))
    assert f"predicted: {' '.join(map(str, expected))}\n" in out


def test_what_was_learned_is_predicted_whatever_the_file(capsys):
    X, y = tiny_mnist((20, 12))
    np.savez("images.npz", X=X[:60], y=y[:60])
    _, model = trained(capsys, "--model", "cnn", "--epochs", 8, "--lr", 0.02, "--data", "images.npz")
    assert model.facts.image_shape == (20, 12)
    np.savez("images.npz", X=X[60:], y=y[60:])
    np.savetxt("rows.csv", X[60:].reshape(20, 240), delimiter=",", fmt="%d")
    for name in ("images.npz", "rows.csv"):
        code, _, err = run(capsys, "train", "--load", "new.npz", "--predict", name, "--output", f"{name}.txt")
        assert (code, err) == (0, "")
        assert np.mean(np.loadtxt(f"{name}.txt") == y[60:]) > 0.9


def test_colour_images(capsys):
    X, y = tiny_mnist((16, 16))
    np.savez("colour.npz", X=np.stack([X, X // 2, X // 3], axis=-1), y=y)
    _, model = trained(capsys, "--model", "lenet", "--epochs", 1, "--data", "colour.npz")
    assert model.facts.input_shape == (3, 16, 16)
    assert model.W.shape == (6, 3, 5, 5)


@pytest.mark.parametrize(
    ("architecture", "option"),
    [(name, "activation=tanh") for name in OF_IMAGES] + [("resnet-cnn", "depth=1"), ("resnet-cnn", "width=8")],
)
def test_options_of_new_networks_count(capsys, architecture, option):
    _, model = trained(capsys, "--model", architecture, "--epochs", 1, f"--{option}")
    name, value = option.split("=")
    expected = {"activation": "relu", "depth": 2, "width": 32} | {name: value if name == "activation" else int(value)}
    with_weights = [layer for layer in model.net.layers if layer.n_params]
    assert {layer.activation for layer in with_weights[:-1]} == {expected["activation"]}
    if architecture == "resnet-cnn":
        blocks = [layer for layer in model.net.layers if type(layer).__name__ == "ConvResidual"]
        assert len(blocks) == expected["depth"]
        assert model.W.shape == (expected["width"], 1, 3, 3)


def test_training_goes_on_from_a_saved_network(capsys):
    save_digits("rows.npz", slice(100))
    _, first = trained(capsys, "--model", "resnet-cnn", "--width", 4, "--epochs", 1, "--data", "rows.npz")
    more = ["--load", "new.npz", "--save", "more.npz", "--epochs", 1, "--lr", 1e-7, "--data", "rows.npz", "--dtype", "float64"]
    code, out, _ = run(capsys, "train", *more)
    assert code == 0
    assert f"resnet-cnn of {first.net.n_params} parameters" in out
    found = models.load_model("more.npz")
    assert found.net.dtype == np.float64
    assert found.facts == first.facts
    np.testing.assert_allclose(found.net.theta, first.net.theta, atol=1e-4)


@pytest.mark.parametrize("architecture", OF_IMAGES)
def test_threads_do_not_change_a_network(capsys, architecture):
    save_digits("some.npz", slice(200))
    options = ["--model", architecture, "--epochs", 1, "--data", "some.npz", "--threads"]
    one, two = (trained(capsys, *options, threads)[1].net.theta for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--model lenet --depth 2", "--depth does not change --model lenet, whose layers are fixed"),
        ("--model cnn --width 2", "--width does not change --model cnn, whose layers are fixed"),
        ("--model resnet-cnn --width 0", "--width"),
        ("--model resnet-cnn --width 1048576 --depth 1000", "is too large to be trained"),
        ("--model cnn --solver lbfgs", "--solver lbfgs does not train --model cnn; expected sgd, adam"),
        ("--model lenet --activation identity", "--activation"),
        ("--model resnet_cnn", "--model"),
        ("--model cnn --lr 1e30", "a lower learning rate than 1e+30 may help"),
        ("--model cnn --data odd.npz", "odd.npz: its samples have 63 features, which make no square image"),
        ("--model cnn --data channels_first.npz", "its images have shape (1, 8, 8); expected (height, width, channels)"),
        ("--load lenet.npz --activation tanh", "--activation is for new networks; lenet.npz has its own"),
        ("--load lenet.npz --model cnn", "--model is cnn; lenet.npz holds the model lenet"),
        ("--load lenet.npz --data wide.npz", "wide.npz: its images are 4 x 16; the model takes 8 x 8"),
        ("--load lenet.npz --predict wide.npz", "wide.npz: its images are 4 x 16; the model takes 8 x 8"),
        ("--load lenet.npz --predict odd.npz", "its samples have 63 features; expected 64"),
    ],
)
def test_bad_options_are_refused(capsys, folder, options, text):
    X, y = data.load_digits()
    np.savez("odd.npz", X=X[:50, :63], y=y[:50])
    np.savez("wide.npz", X=X[:50].reshape(50, 4, 16), y=y[:50])
    np.savez("channels_first.npz", X=X[:50].reshape(50, 1, 8, 8), y=y[:50])
    dataset = data.digits(np.float32)
    models.save_model("lenet.npz", classifier.new_network(dataset, "lenet", seed=0))
    refused(capsys, text, "train", *options.split())
    assert not (folder / "model.npz").exists()
