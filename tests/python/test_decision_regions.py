"""plot.decision_regions: whatever gives labels or probabilities to points of the plane."""

import sys

import numpy as np
import pytest

from fastlec import Dense, Network, datasets, plot

pytest.importorskip("matplotlib")
X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]])
BLUE, ORANGE, GREEN = np.array([[31, 119, 180], [255, 127, 14], [44, 160, 44]]) / 255  # of matplotlib's first colours


def right(points):
    return (points[:, 0] > 0.5).astype(int)


def picture(ax):
    """The colours (height, width, 3), from the bottom up, and where they lie."""
    (image,) = ax.images
    return np.asarray(image.get_array()), image.get_extent()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def faded(color, certainty=1.0):
    return 1 - 0.4 * certainty * (1 - color)


def test_areas_and_dots_have_the_colours_of_their_classes(frozen):
    asked = []
    ax = plot.new_figure().subplots()
    found = plot.decision_regions(lambda points: asked.append(points) or right(points), *frozen(X, right(X)), ax, resolution=10)
    assert found is ax
    colors, extent = picture(ax)
    np.testing.assert_allclose(extent, [-0.05, 1.05, -0.1, 2.1])
    assert colors.shape == (10, 10, 3)
    np.testing.assert_allclose(colors[:, :5], np.broadcast_to(faded(BLUE), (10, 5, 3)))
    np.testing.assert_allclose(colors[:, 5:], np.broadcast_to(faded(ORANGE), (10, 5, 3)))
    (points,) = asked
    assert (points.shape, points.dtype) == ((100, 2), np.float64)
    np.testing.assert_allclose(points[[0, 1, 10, -1]], [[0.005, 0.01], [0.115, 0.01], [0.005, 0.23], [0.995, 1.99]])
    dots = [(dots.get_offsets().tolist(), dots.get_facecolors()[0, :3].tolist()) for dots in ax.collections]
    assert dots == [(X[::2].tolist(), BLUE.tolist()), (X[1::2].tolist(), ORANGE.tolist())]
    assert legend(ax) == ["0", "1"]


def test_the_picture_has_y_upwards():
    ax = plot.decision_regions(lambda points: (points[:, 1] > 1).astype(int), X, right(X), resolution=4)
    colors, _ = picture(ax)
    assert ax.images[0].origin == "lower"
    np.testing.assert_allclose(colors[:, 0], [faded(BLUE)] * 2 + [faded(ORANGE)] * 2)


@pytest.mark.parametrize(
    "names", [np.array(["cat", "dog"]), np.array(["cat", "dog"], object), [-3, 7], [0.25, 0.5], [False, True]], ids=str
)
def test_labels_of_any_kind(names):
    names = np.asarray(names)
    ax = plot.decision_regions(lambda points: names[right(points)].tolist(), X, names[right(X)], resolution=6)
    assert legend(ax) == [str(name) for name in names]
    np.testing.assert_allclose(picture(ax)[0][0, [0, -1]], [faded(BLUE), faded(ORANGE)])


def test_classes_that_no_sample_has():
    ax = plot.decision_regions(lambda points: 2 * right(points), X, np.array([0, 1, 0, 1]), resolution=6)
    assert legend(ax) == ["0", "1"]
    np.testing.assert_allclose(picture(ax)[0][0, [0, -1]], [faded(BLUE), faded(GREEN)])


@pytest.mark.parametrize("names", [[0, 1], [3, 5], ["a", "b"]], ids=str)
def test_probabilities_fade(names):
    def predict(points):
        p = np.clip(points[:, :1], 0, 1)
        return np.concatenate([1 - p, p], axis=1)

    ax = plot.decision_regions(predict, X, np.array(names)[right(X)], resolution=11)
    assert legend(ax) == list(map(str, names))
    row = picture(ax)[0][0]
    np.testing.assert_allclose(row[[0, 10]], [faded(BLUE), faded(ORANGE)])
    np.testing.assert_allclose(row[5], faded(BLUE, 0.5))


def test_more_columns_than_labels_that_occur():
    """A classifier of three classes, of which the samples shown have two."""
    ax = plot.decision_regions(lambda points: np.eye(3)[2 * right(points)], X, np.array([0, 1, 0, 1]), resolution=6)
    np.testing.assert_allclose(picture(ax)[0][0, [0, -1]], [faded(BLUE), faded(GREEN)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network(dtype):
    points, y = datasets.make_blobs(60, 12)
    net = Network([Dense(2, 12, "identity", dtype=dtype)], rng=0)
    before = sys.modules.get("matplotlib.pyplot")
    for predict in (net.predict, net.predict_proba):
        ax = plot.decision_regions(predict, points, y, resolution=20)
        assert legend(ax) == list(map(str, range(12)))
    assert sys.modules.get("matplotlib.pyplot") is before


def test_many_classes_have_no_legend_and_one_point_has_a_picture():
    points, y = datasets.make_blobs(60, 30)
    assert plot.decision_regions(lambda p: np.zeros(len(p), int), points, y, resolution=5).get_legend() is None
    ax = plot.decision_regions(lambda p: np.full(len(p), "a"), X[:1], ["a"], resolution=5)
    np.testing.assert_allclose(picture(ax)[1], [-0.05, 0.05, -0.05, 0.05])


@pytest.mark.parametrize(
    ("error", "text", "arguments"),
    [
        (TypeError, "predict is 3; expected a function", {"predict": 3}),
        (ValueError, r"X has shape \(4,\); expected \(samples, features\)", {"X": np.zeros(4)}),
        (ValueError, r"X has shape \(4, 3\); expected \(4, 2\)", {"X": np.zeros((4, 3))}),
        (ValueError, r"X has shape \(0, 2\)", {"X": np.zeros((0, 2)), "y": []}),
        (ValueError, r"X\[3, 1\] is nan", {"X": np.where(np.arange(8).reshape(4, 2) == 7, np.nan, 0)}),
        (TypeError, "X has dtype complex128", {"X": X + 0j}),
        (TypeError, "X is a masked array", {"X": np.ma.array(X)}),
        (ValueError, r"y has shape \(3,\); expected \(4,\), one label", {"y": [0, 1, 2]}),
        (TypeError, "y has dtype object; expected labels that are numbers or text", {"y": np.array([0, None, 1, 2])}),
        (TypeError, "y has dtype complex128", {"y": np.zeros(4, complex)}),
        (ValueError, r"y\[2\] is inf", {"y": [0, 1, np.inf, 2]}),
        (ValueError, "resolution is 1; expected at least 2", {"resolution": 1}),
        (TypeError, "resolution is 9.5; expected an integer", {"resolution": 9.5}),
        (ValueError, "resolution is 4097; expected at most 4096", {"resolution": 4097}),
        (ValueError, r"what predict gave has shape \(3,\); expected \(9,\)", {"predict": lambda p: [0, 1, 2]}),
        (ValueError, r"what predict gave has shape \(\); expected \(9,\)", {"predict": lambda p: None}),
        (ValueError, r"what predict gave has shape \(2, 9\); expected \(9, 9\)", {"predict": lambda p: np.zeros((2, 9))}),
        (ValueError, r"probabilities of 3 classes; expected 2, .*: \[0, 7\]", {"predict": lambda p: np.eye(3)[right(p)]}),
        (ValueError, r"what predict gave\[0, 0\] is nan", {"predict": lambda p: np.full((9, 2), np.nan)}),
        (TypeError, "what predict gave has dtype complex128", {"predict": lambda p: np.zeros(9, complex)}),
    ],
)  # fmt: skip
def test_bad_arguments(error, text, arguments):
    settings = {"predict": right, "X": X, "y": [0, 7, 0, 7], "resolution": 3, **arguments}
    with pytest.raises(error, match=text):
        plot.decision_regions(**settings)
