"""The networks of images that ``fastlec train`` knows: their layers, what they take, how they are kept, trained and drawn."""

import numpy as np
import pytest

from fastlec import History, Network, data, io, plot
from fastlec.course import architectures, classifier, models
from fastlec.course.trained import confusion_matrix
from fastlec.preprocessing import Preprocessing

OF_IMAGES = architectures.OF_IMAGES


def images(rng, m=30, shape=(8, 8), n_classes=3, dtype=np.float32, known=True):
    X = rng.random((m, int(np.prod(shape)))).astype(dtype)
    return data.Dataset(X, np.arange(m) % n_classes, image_shape=shape if known else None, name="images")


def small(dataset, architecture, seed=0):
    options = {"width": 4} if architecture == "resnet-cnn" else {}
    return classifier.new_network(dataset, architecture, seed=seed, **options)


def test_lenet_is_that_of_the_paper_for_images_of_28_pixels(rng):
    net = classifier.new_network(images(rng, shape=(28, 28), n_classes=10), "lenet", seed=0).net
    shapes = [y.shape[1:] for y in net.activations(np.zeros((1, 1, 28, 28), np.float32))]
    assert shapes == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (400,), (120,), (84,), (10,)]
    assert net.n_params == 156 + 2416 + 48120 + 10164 + 850
    assert [layer.activation for layer in net.layers if layer.n_params] == [*4 * ["relu"], "identity"]


@pytest.mark.parametrize(
    ("architecture", "kinds"),
    [
        ("lenet", ["Conv2d", "AvgPool2d", "Conv2d", "Flatten", "Dense", "Dense", "Dense"]),
        ("cnn", ["Conv2d", "MaxPool2d", "Conv2d", "Flatten", "Dense", "Dense"]),
        ("resnet-cnn", ["Conv2d", "ConvResidual", "ConvResidual", "AvgPool2d", "Flatten", "Dense"]),
    ],
)
def test_small_images_are_pooled_less(rng, architecture, kinds):
    net = classifier.new_network(images(rng), architecture, seed=0).net
    assert [type(layer).__name__ for layer in net.layers] == kinds
    assert [y.shape[2:] for y in net.activations(np.zeros((1, 1, 8, 8), np.float32)) if y.ndim == 4][-1] == (4, 4)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (20, 5), (28, 28), (33, 29), (9, 8, 3)])
@pytest.mark.parametrize("architecture", OF_IMAGES)
def test_images_of_any_size_and_colour_give_classes(rng, architecture, shape):
    dataset = images(rng, m=4, shape=shape, n_classes=2)
    model = small(dataset, architecture)
    assert model.facts.input_shape == (*shape[2:], *shape[:2]) if shape[2:] else (1, *shape)
    assert np.isfinite(model.net(model.facts.inputs(dataset.X))).all()
    assert model.net.output_shape(model.facts.input_shape) == (2,)
    np.testing.assert_array_equal(models.predict(model, dataset.X), models.predict(model, dataset.X[::-1])[::-1])


def test_rows_become_images_with_their_channels_first(rng):
    facts = models.Facts("cnn", 24, 2, Preprocessing(image_shape=(4, 2, 3)))
    X = rng.random((5, 24))
    x = facts.inputs(X)
    assert (x.shape, x.flags.c_contiguous) == ((5, 3, 4, 2), True)
    np.testing.assert_array_equal(x[2, 1], X[2].reshape(4, 2, 3)[:, :, 1])
    grey = models.Facts("cnn", 24, 2, Preprocessing(image_shape=(4, 6))).inputs(X)
    assert grey.shape == (5, 1, 4, 6)
    assert np.shares_memory(grey, X)
    assert models.Facts("mlp", 24, 2, Preprocessing(image_shape=(4, 6))).inputs(X) is X


@pytest.mark.parametrize("architecture", OF_IMAGES)
def test_the_seed_and_the_dtype_of_a_new_network(rng, architecture, dtype):
    dataset = images(rng, dtype=dtype)
    first, same, other = (small(dataset, architecture, seed).net.theta for seed in (1, 1, 2))
    assert first.dtype == dtype
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_samples_that_may_be_images_are_square(rng):
    model = small(images(rng, shape=(64,), known=False), "cnn")
    assert (model.facts.image_shape, model.facts.input_shape) == ((8, 8), (1, 8, 8))
    with pytest.raises(
        data.DataError, match="images: its samples have 63 features, which make no square image; cnn takes images"
    ):
        small(images(rng, shape=(63,), known=False), "cnn")
    with pytest.raises(
        data.DataError, match=r"images: its images have shape \(1, 8, 8\); expected \(height, width, channels\)"
    ):
        small(images(rng, shape=(1, 8, 8)), "cnn")


def test_unknown_architectures_and_options_are_refused(rng):
    with pytest.raises(ValueError, match="architecture is 'tree'; expected one of mlp, resnet, lenet, cnn, resnet-cnn"):
        classifier.new_network(images(rng), "tree", seed=0)
    with pytest.raises(ValueError, match="architecture lenet has no option width; expected activation"):
        classifier.new_network(images(rng), "lenet", width=3, seed=0)
    with pytest.raises(MemoryError, match="too large to be trained"):
        classifier.new_network(images(rng), "resnet-cnn", width=1 << 20, depth=1000, seed=0)


@pytest.mark.parametrize("architecture", OF_IMAGES)
def test_a_trained_network_is_what_its_file_says(rng, architecture, folder):
    dataset = images(rng, shape=(9, 8))
    start = small(dataset, architecture)
    before = start.net.theta.copy()
    trained = classifier.train_network(dataset, start, epochs=2)
    np.testing.assert_array_equal(start.net.theta, before)
    assert len(trained.history) == 2
    np.testing.assert_array_equal(trained.predicted, models.predict(trained.model, dataset.X[data.split(dataset.y)[1]]))
    models.save_model("a.npz", trained.model)
    found = models.load_model("a.npz")
    assert (
        found.facts == trained.model.facts == models.Facts(architecture, 72, 3, Preprocessing(1.0, (9, 8), classes=(0, 1, 2)))
    )
    np.testing.assert_array_equal(found.net.theta, trained.model.net.theta)
    np.testing.assert_array_equal(models.predict(found, dataset.X), models.predict(trained.model, dataset.X))
    np.testing.assert_array_equal(Network.load("a.npz").theta, trained.model.net.theta)
    assert found.dtype == np.float32


@pytest.mark.parametrize("ended", [KeyboardInterrupt, FloatingPointError])
def test_what_is_done_survives_an_exception(rng, ended):
    dataset = images(rng, shape=(4, 4))
    seen = []

    def callback(epoch, history):
        seen.append(list(history.train_loss))
        if epoch == 2:
            raise ended("the loss is inf; and more")

    start = small(dataset, "cnn")
    with pytest.raises(ended) as caught:
        classifier.train_network(dataset, start, epochs=5, lr=0.25, callback=callback)
    assert caught.value.history.train_loss == seen[-1]
    assert caught.value.model.facts == start.facts
    assert np.isfinite(caught.value.model.net.theta).all()
    assert not np.array_equal(caught.value.model.net.theta, start.net.theta)
    if ended is FloatingPointError:
        assert str(caught.value) == "the loss is inf; a lower learning rate than 0.25 may help"


def test_samples_that_are_not_finite_are_not_trained_on(rng):
    """Nor is a lower learning rate the remedy."""
    dataset = images(rng, shape=(2, 3))
    dataset.X[:, 2] = np.inf
    with pytest.raises(FloatingPointError, match=r"^X\[0, 2\] is inf as float32; expected finite numbers$"):
        classifier.train_network(dataset, classifier.new_network(dataset, "mlp", width=4, seed=0), epochs=1)


def softmax(rng, dtype=np.float64):
    return models.SoftmaxModel(rng.normal(size=(3, 6)).astype(dtype), rng.normal(size=3).astype(dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_have_no_class(rng, value):
    network = classifier.new_network(images(rng, shape=(2, 3), dtype=np.float64), "mlp", width=4, seed=0)
    for model in (softmax(rng), network):
        X = rng.random((5, 6))
        assert models.predict(model, X).shape == (5,)
        X[3, 2] = value
        with pytest.raises(ValueError, match=rf"X\[3, 2\] is {value} as float64; expected finite numbers"):
            models.predict(model, X)


def test_outputs_that_overflow_have_no_class(rng):
    network = classifier.new_network(images(rng, shape=(2, 3)), "mlp", width=4, seed=0)
    network.net.theta = np.full_like(network.net.theta, 1e30)
    linear = models.SoftmaxModel(np.full((3, 6), 1e38, np.float32), np.zeros(3, np.float32))
    for model, text in (
        (network, r"the model's output\[0, 0\] is (inf|nan) as float32; expected finite numbers"),
        (linear, r"X\[0\] and theta are too large: their product overflows float32"),
    ):
        with pytest.raises(ValueError, match=f"^{text}"):
            models.predict(model, np.ones((2, 6), np.float32))


def test_networks_of_images_take_images_of_their_own_size(rng):
    model = small(images(rng, shape=(9, 8)), "cnn")
    with pytest.raises(data.DataError, match="images: its images are 8 x 9; the model takes 9 x 8"):
        classifier.train_network(images(rng, shape=(8, 9)), model, epochs=1)
    more = classifier.train_network(images(rng, shape=(72,), known=False), model, epochs=1)
    assert more.model.facts.image_shape == (9, 8)


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"image_shape": None}, "'meta' says no image shape; cnn takes images"),
        ({"image_shape": [64, 1]}, "'meta' says 64 features, which the layers do not take"),
        ({"image_shape": [4, 4, 4]}, "'meta' says 64 features, which the layers do not take"),
        ({"architecture": "mlp"}, "'meta' says 64 features, which the layers do not take"),
        ({"image_shape": [8, 9]}, "'meta' says image shape"),
    ],
)
def test_files_that_contradict_themselves_are_refused(rng, facts, text, folder):
    models.save_model("a.npz", small(images(rng), "cnn"))
    arrays, meta = io.load_arrays("a.npz")
    io.save_arrays("a.npz", arrays, meta | {"facts": meta["facts"] | facts})
    with pytest.raises(io.ModelError, match=text):
        models.load_model("a.npz")


def test_feature_maps_are_those_of_the_layers(rng):
    dataset = images(rng)
    model = small(dataset, "resnet-cnn")
    maps = models.feature_maps(model, dataset.X[3])
    assert list(maps) == ["image", "0 Conv2d", "1 ConvResidual", "2 ConvResidual", "3 AvgPool2d"]
    np.testing.assert_array_equal(maps["image"], dataset.X[3].reshape(1, 8, 8))
    np.testing.assert_array_equal(maps["0 Conv2d"], model.net.layers[0](dataset.X[3].reshape(1, 1, 8, 8))[0])
    means = maps["2 ConvResidual"].reshape(4, 4, 2, 4, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(maps["3 AvgPool2d"], means, rtol=1e-5, atol=1e-6)


def test_filters_are_drawn_each_in_its_own_range(rng):
    pytest.importorskip("matplotlib")
    W = rng.normal(size=(20, 3, 5, 4))
    W[1] = 0
    drawn = plot.filters(W).images
    assert len(drawn) == 20
    for image, w in zip(drawn, W.sum(axis=1), strict=True):
        np.testing.assert_allclose(image.get_array(), w / (np.abs(w).max() or 1))
    left, right, bottom, top = drawn[17].get_extent()
    assert (left, top) == (1, 1)  # the second of the second row
    assert (right - left) / (bottom - top) == pytest.approx(4 / 5)
    W = rng.normal(size=(65, 1, 3, 3))
    ax = plot.filters(W)
    assert (len(ax.images), ax.get_title()) == (32, "Filters of the first convolution: the 32 of largest norm, of 65")
    strongest = np.argsort(-np.linalg.norm(W.reshape(65, -1), axis=1))[:32]
    assert [int(text.get_text()) for text in ax.texts] == strongest.tolist()
    np.testing.assert_allclose(ax.images[31].get_array(), W[strongest[31], 0] / np.abs(W[strongest[31]]).max())
    assert [label.get_text() for label in ax.figure.axes[-1].get_yticklabels()] == ["-max", "0", "max"]


def test_feature_maps_are_drawn_layer_by_layer(rng):
    pytest.importorskip("matplotlib")
    maps = {"image": rng.random((1, 6, 6)), "0 Conv2d": rng.random((20, 6, 6)), "1 MaxPool2d": rng.random((3, 3, 3))}
    ax = plot.feature_maps(maps)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "image\n1 x 6 x 6",
        "0 Conv2d\n20 x 6 x 6",
        "1 MaxPool2d\n3 x 3 x 3",
    ]
    assert [image.get_extent()[3] for image in ax.images] == [0, *16 * [1], *3 * [2]]
    np.testing.assert_array_equal(ax.images[2].get_array(), maps["0 Conv2d"][1])
    assert ax.images[2].get_clim() == (maps["0 Conv2d"][:16].min(), maps["0 Conv2d"][:16].max())
    many = plot.feature_maps({str(i): np.zeros((1, 2, 2)) for i in range(30)})
    shown = [label.get_text().split()[0] for label in many.get_yticklabels()]
    assert (len(shown), shown[0], shown[-1]) == (8, "0", "29")


def test_the_report_of_a_network_of_images(rng, tmp_path):
    pytest.importorskip("matplotlib")
    dataset = images(rng, n_classes=2)
    model = small(dataset, "cnn")
    history, counts = History([1.0, 0.5], [1.1, 0.8], [0.5, 0.75]), confusion_matrix(dataset.y, dataset.y, 2)
    plot.training_report(tmp_path / "a.svg", history, model, counts, maps=models.feature_maps(model, dataset.X[0]))
    text = (tmp_path / "a.svg").read_text()
    for title in ("Loss", "Confusion (validation)", "Filters of the first convolution", "Feature maps of one image"):
        assert title in text
