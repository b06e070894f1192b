"""plot.decision_regions: whatever gives labels or probabilities to points of the plane."""

import io
import sys
import warnings

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


def columns(points):
    """Probabilities of three classes."""
    return np.eye(3)[right(points)]


def three(points):
    return 3 * right(points)


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


KINDS = {
    "uint64": (np.array([1, 2**63 + 1], np.uint64), ["1", "9223372036854775809"]),
    "int64": (np.array([2**53, 2**53 + 1]), ["9007199254740992", "9007199254740993"]),
    "bool": (np.array([False, True]), ["False", "True"]),
    "Python's integers": (np.array([2**70, 2**70 + 1], object), [str(2**70), str(2**70 + 1)]),
    "objects": (np.array([False, 3.5], object), ["False", "3.5"]),
    "text": (np.array(["cat", "dog"], np.dtypes.StringDType()), ["cat", "dog"]),
}


@pytest.mark.parametrize(("names", "shown"), KINDS.values(), ids=KINDS)
def test_labels_stay_what_they_are(names, shown):
    ax = plot.decision_regions(lambda points: names[right(points)], X, names[right(X)], resolution=6)
    assert legend(ax) == shown
    np.testing.assert_allclose(picture(ax)[0][0, [0, -1]], [faded(BLUE), faded(ORANGE)])


@pytest.mark.parametrize("kind", [bool, np.uint64, np.int8, np.float32, object])
@pytest.mark.parametrize("other", [bool, np.uint64, np.int64, np.float64])
def test_equal_numbers_are_one_class_as_y_has_it(kind, other):
    ax = plot.decision_regions(lambda points: right(points).astype(other), X, right(X).astype(kind), resolution=6)
    assert legend(ax) == [str(label) for label in np.unique(right(X).astype(kind)).tolist()]
    np.testing.assert_allclose(picture(ax)[0][0, [0, -1]], [faded(BLUE), faded(ORANGE)])


def test_integers_of_different_signs_do_not_merge():
    big = np.array([2**63 + 1], np.uint64)
    ax = plot.decision_regions(lambda points: -np.ones(len(points), np.int64), X, np.repeat(big, 4), resolution=6)
    assert legend(ax) == ["9223372036854775809"]
    np.testing.assert_allclose(picture(ax)[0][0, 0], faded(BLUE))


@pytest.mark.parametrize(
    ("predict", "y", "classes", "left_and_right"),
    [
        (right, ["b", "a", "b", "a"], None, [BLUE, ORANGE]),
        (right, ["b", "a", "b", "a"], ["b", "a"], [ORANGE, BLUE]),
        (right, [0, 1, 0, 1], ["b", "a"], [ORANGE, BLUE]),
        (columns, [0, 2, 0, 2], None, [BLUE, ORANGE]),
        (columns, [1, 2, 1, 2], None, [BLUE, ORANGE]),
        (columns, [1, 2, 1, 2], [1, 2, 3], [BLUE, ORANGE]),
        (columns, [1, 2, 1, 2], [3, 2, 1], [GREEN, ORANGE]),
        (columns, ["a", "c", "a", "c"], ["c", "b", "a"], [GREEN, ORANGE]),
        (columns, [0, 1, 0, 1], ["c", "b", "a"], [GREEN, ORANGE]),
        (columns, [False, True, False, True], [False, True, 2], [BLUE, ORANGE]),
    ],
)
def test_what_columns_and_integers_stand_for(predict, y, classes, left_and_right):
    ax = plot.decision_regions(predict, X, y, classes=classes, resolution=6)
    np.testing.assert_allclose(picture(ax)[0][0, [0, -1]], [faded(color) for color in left_and_right])


@pytest.mark.parametrize("names", [np.array([1, 2, 3]), np.array(["a", "b", "c"])], ids=str)
def test_a_classifier_that_tells_its_classes(names):
    """Fitted on three classes, drawn with points of any two: areas and dots agree."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    points, y = datasets.make_blobs(300, 3)
    model = linear_model.LogisticRegression(C=100).fit(points, names[y])
    for shown in ([0, 1], [0, 2], [1, 2]):
        some = np.isin(y, shown)
        for predict in (model.predict, model.predict_proba):
            ax = plot.decision_regions(predict, points[some], names[y[some]], resolution=20)
            assert legend(ax) == [str(names[k]) for k in shown]
            image, (left, right, bottom, top) = picture(ax)
            for dots in ax.collections:
                x, z = dots.get_offsets().mean(axis=0)
                area = image[int(20 * (z - bottom) / (top - bottom)), int(20 * (x - left) / (right - left))]
                color = dots.get_facecolors()[0, :3]
                assert np.argmin(1 - area) == np.argmin(1 - color), (shown, predict)


def test_bad_axes_are_refused_before_anything_is_asked():
    with pytest.raises(TypeError, match="ax is a str; expected the Axes of a matplotlib figure, or None"):
        plot.decision_regions(lambda points: pytest.fail("asked"), X, right(X), "ax")
    with pytest.raises(TypeError, match="ax is a ndarray"):
        plot.confusion_matrix(np.eye(2), plot.new_figure().subplots(2))


@pytest.mark.parametrize("size", [1e-320, 1e20, 1e299])
def test_points_of_any_size(size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for points in (size * X, np.full((4, 2), size)):
            plot.decision_regions(right, points, right(X), resolution=6).figure.savefig(io.BytesIO())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network(dtype):
    points, y = datasets.make_blobs(60, 12)
    net = Network([Dense(2, 12, "identity", dtype=dtype)], rng=0)
    before = sys.modules.get("matplotlib.pyplot")
    for predict in (net.predict, net.predict_proba):
        ax = plot.decision_regions(predict, points, y, plot.new_figure().subplots(), resolution=20)
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
        (ValueError, r"probabilities of 3 classes, and y has the labels \[0, 7\]; pass", {"predict": columns}),
        (ValueError, "what predict gave has values from 0 to 2; .* pass net.predict_proba", {"predict": lambda p: 2 * columns(p)}),
        (ValueError, "what predict gave has values from -1 to -0.5; expected", {"predict": lambda p: -0.5 - columns(p) / 2}),
        (ValueError, r"what predict gave has shape \(9, 0\)", {"predict": lambda p: np.zeros((9, 0))}),
        (ValueError, r"classes is \[0, 7\]; expected 3 labels, one for each column", {"predict": columns, "classes": [0, 7]}),
        (ValueError, r"classes is \[0, 7, 0\]; expected labels that differ", {"predict": columns, "classes": [0, 7, 0]}),
        (ValueError, r"classes is \[\]; expected labels that differ", {"classes": []}),
        (ValueError, r"classes has shape \(\); expected \(1,\), one label for each class", {"classes": "abc"}),
        (TypeError, "classes has dtype object; expected labels", {"classes": [None]}),
        (ValueError, r"gave the labels \[0, 3\], and y has \['a', 'b', 'c'\].*0 to 2", {"y": list("abcb"), "predict": three}),
        (ValueError, r"gave the labels \[False, True\], and y", {"y": list("abab"), "predict": lambda p: p[:, 0] > 0.5}),
        (ValueError, r"gave the labels \['a'\], and y has \[0, 7\]", {"predict": lambda p: ["a"] * 9}),
        (TypeError, "y has dtype object; expected labels", {"y": np.array([0, "a", 1, 2], object)}),
        (ValueError, r"y\[1\] is nan", {"y": np.array([0, np.nan, 1, 2], object)}),
        (ValueError, r"X has values from -1e\+308 to 0; expected values that a picture", {"X": np.where(X > 0, -1e308, 0)}),
        (ValueError, r"X has values from -1e\+308 to 1e\+308; expected", {"X": np.where(X > 0, -1e308, 1e308)}),
        (TypeError, "ax is a int; expected the Axes", {"ax": 200}),
        (TypeError, "ax is a Figure; expected the Axes", {"ax": plot.new_figure()}),
        (ValueError, r"what predict gave\[0, 0\] is nan", {"predict": lambda p: np.full((9, 2), np.nan)}),
        (TypeError, "what predict gave has dtype complex128", {"predict": lambda p: np.zeros(9, complex)}),
    ],
)  # fmt: skip
def test_bad_arguments(error, text, arguments):
    settings = {"predict": right, "X": X, "y": [0, 7, 0, 7], "resolution": 3, **arguments}
    with pytest.raises(error, match=text):
        plot.decision_regions(**settings)
