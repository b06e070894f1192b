"""Files that other libraries write: PyTorch's networks, scikit-learn's classifiers. fastlec gives the same of them."""

import warnings

import numpy as np
import pytest

import fastlec
from fastlec import Network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx_models import assert_close, run  # noqa: E402


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "net.onnx")


# --- PyTorch -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def lenet(nn):
    convolutions = [nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 3), nn.ReLU()]
    heads = [nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(16, 10), nn.Dropout(0.3), nn.Linear(10, 3)]
    return nn.Sequential(*convolutions, *heads), (1, 8, 8)


def features(nn):
    first = [nn.Linear(7, 8), nn.LayerNorm(8), nn.ELU(), nn.Linear(8, 8, bias=False), nn.LeakyReLU(0.2), nn.BatchNorm1d(8)]
    return nn.Sequential(*first, nn.Softplus(), nn.Linear(8, 4), nn.SiLU(), nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 3)), (7,)


def residual(nn):
    class Block(nn.Module):
        def __init__(self, c, out):
            super().__init__()
            self.first, self.second = nn.Conv2d(c, out, 3, stride=2, padding=1), nn.Conv2d(out, out, 3, padding=1)
            self.norms, self.shortcut = (
                nn.ModuleList([nn.BatchNorm2d(out), nn.BatchNorm2d(out)]),
                nn.Conv2d(c, out, 1, stride=2),
            )

        def forward(self, x):
            h = self.norms[0](self.first(x)).relu()
            return (self.norms[1](self.second(h)) + self.shortcut(x)).relu()

    blocks = [nn.Conv2d(1, 4, 3, padding=1), Block(4, 6), Block(6, 8)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)), (1, 8, 8)


def unet(nn):
    import torch

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.below = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2, padding=1)
            self.up, self.out = nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1), nn.Conv2d(8, 2, 1)

        def forward(self, x):
            x = self.down(x).relu()
            return self.out(torch.cat([x, self.up(self.below(x).relu())], dim=1))

    return nn.Sequential(Net(), nn.Upsample(scale_factor=2)), (1, 8, 8)


def flattened_by_its_size(nn):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.linear = nn.Conv2d(1, 2, 3), nn.Linear(72, 3)

        def forward(self, x):
            x = self.conv(x).sigmoid()
            return self.linear(x.view(x.size(0), -1))

    return Net(), (1, 8, 8)


def signals(nn):
    layers = [
        nn.Conv1d(2, 4, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(4, 3, 3, dilation=2),
        nn.AvgPool1d(2),
    ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 3)), (2, 16)


def exported(torch, make, path, free):
    """The module, in evaluation, after a pass through which batch statistics are not as they began; and samples."""
    torch.manual_seed(0)
    module, shape = make(torch.nn)
    x = torch.randn(8, *shape)
    module(x)
    module.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter needs nothing else, and is to be replaced
        axes = {"x": {0: "n"}} if free else None
        torch.onnx.export(module, (x,), path, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=axes)
    return module, x


@pytest.mark.parametrize("free", [True, False], ids=["any number of samples", "a fixed number"])
@pytest.mark.parametrize("make", [lenet, features, residual, unet, flattened_by_its_size, signals])
def test_networks_of_pytorch(make, free, torch, path):
    module, x = exported(torch, make, path, free)
    net = fastlec.onnx.load(path)
    assert isinstance(net, Network)
    with torch.no_grad():
        expected = module(x).numpy()
    assert_close(net(x.numpy()), expected, units=100)
    assert_close(net(x.numpy()), run(path, x.numpy())[0], units=100)
    assert_close(net(x[:3].numpy()), expected[:3], units=100)


def test_what_pytorch_names_its_weights_and_probabilities(torch, path):
    module, x = exported(torch, lambda nn: (nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)), (4,)), path, True)
    classifier = fastlec.onnx.load(path)
    assert_close(classifier(x.numpy()), module(x).detach().numpy())
    assert_close(classifier.net.params["0.W"], module[0].weight.detach().numpy())


def test_a_module_that_fastlec_has_not_is_refused_by_name(torch, path):
    exported(torch, lambda nn: (nn.Sequential(nn.Linear(4, 3), nn.Hardswish()), (4,)), path, True)
    with pytest.raises(
        fastlec.io.ModelError, match=r"net\.onnx: node 1 '/1/HardSwish', HardSwish: fastlec has no such operator"
    ):
        fastlec.onnx.load(path)


# --- scikit-learn ------------------------------------------------------------------------------------------------------


def probabilities(found):
    """What ONNX Runtime gives of a classifier: an array, or a list of dicts."""
    return np.array([list(row.values()) for row in found], np.float32) if isinstance(found, list) else found


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("labels", ["three", "two", "text"])
@pytest.mark.parametrize("kind", ["MLPClassifier", "LogisticRegression", "pipeline"])
def test_classifiers_of_scikit_learn(kind, labels, zipmap, path, rng):
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler

    X = rng.standard_normal((120, 5)).astype(np.float32)
    classes = X[:, :3].argmax(axis=1)
    y = {"three": classes, "two": (classes > 0).astype(int), "text": np.array(["no", "yes", "perhaps"])[classes]}[labels]
    mlp = MLPClassifier((8, 6), max_iter=20, random_state=0, activation="tanh")
    made = {
        "MLPClassifier": mlp,
        "LogisticRegression": LogisticRegression(),
        "pipeline": make_pipeline(StandardScaler(), Normalizer("l1"), mlp),
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 20 epochs are not enough for it
        made.fit(X, y)
    options = {"zipmap": zipmap}
    model = to_onnx(made, X[:1], options=options if kind != "pipeline" else {id(mlp): options})
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    net = fastlec.onnx.load(path)
    P = net(X)
    assert isinstance(net, Network) or isinstance(net.net, Network)
    assert_close(P, probabilities(run(path, X)[1]), units=100)
    np.testing.assert_allclose(P, made.predict_proba(X), atol=1e-5)
    assert (made.classes_[P.argmax(axis=1)] == made.predict(X)).all()


def test_a_network_within_a_classifier_can_be_trained_on(path, rng):
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.neural_network import MLPClassifier

    X = rng.standard_normal((60, 4)).astype(np.float32)
    y = X[:, :3].argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = MLPClassifier((8,), max_iter=5, random_state=0).fit(X, y)
    with open(path, "wb") as file:
        file.write(to_onnx(made, X[:1]).SerializeToString())
    net = fastlec.onnx.load(path).net
    history = fastlec.fit(net, X, y, optimizer=fastlec.Adam(0.01), epochs=30, rng=0)
    assert history.train_loss[-1] < history.train_loss[0] / 2


def test_regressors_of_scikit_learn(path, rng):
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.neural_network import MLPRegressor

    X = rng.standard_normal((60, 4)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, random_state=0).fit(X, X[:, 0] - X[:, 1])
    with open(path, "wb") as file:
        file.write(to_onnx(made, X[:1]).SerializeToString())
    net = fastlec.onnx.load(path)
    assert_close(net(X), run(path, X)[0], units=100)
    np.testing.assert_allclose(net(X).ravel(), made.predict(X), atol=1e-5)
