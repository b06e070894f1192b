"""Pictures: on the Axes that are given or on those of pyplot; files without a trace in pyplot; what can be read in them."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fastlec import History, data, plot, testing
from fastlec.course import softmax
from fastlec.course.models import SoftmaxModel
from fastlec.course.trained import confusion_matrix


@pytest.fixture(scope="module")
def digits():
    return data.digits()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_plots_draw_on_the_axes_they_are_given(rng):
    pytest.importorskip("matplotlib")
    history = History([1.0, 0.5], [1.1, 0.8], [0.5, 0.75])
    axes = plot.new_figure().subplots(3)
    assert plot.loss_curves(history, axes[0]) is axes[0]
    assert [line.get_ydata().tolist() for line in axes[0].lines] == [[1.0, 0.5], [1.1, 0.8]]
    assert plot.confusion_matrix(np.array([[3, 1], [0, 4]]), axes[1]) is axes[1]
    assert [text.get_text() for text in axes[1].texts] == ["3", "1", "4"]
    W = rng.normal(size=(3, 6))
    shown = plot.weight_images(W, (2, 3)).images[0].get_array()
    np.testing.assert_allclose(shown[:2, :3], W[0].reshape(2, 3) / np.abs(W[0]).max())
    assert plot.weight_images(np.zeros((2, 12)), (2, 2, 3)).images[0].get_array().max() == 0


def test_plot_of_derivative_tests_names_what_failed(tmp_path, rng):
    pytest.importorskip("matplotlib")
    x = rng.normal(size=5)
    good = testing.gradient_test(lambda x: float(np.sum(np.sin(x))), np.cos, x, name="good")
    bad = testing.gradient_test(lambda x: float(np.sum(np.sin(x))), np.sin, x, name="bad")
    ax = plot.derivative_tests([("good", good), ("bad", bad)])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["failed: bad", "zeroth order: slope 1", "first order: slope 2"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), good.zeroth_errors / good.zeroth_errors[0])
    plot.derivative_report(tmp_path / "checks.png", [("good", good), ("bad", bad)])
    assert (tmp_path / "checks.png").read_bytes().startswith(b"\x89PNG")


def test_plots_without_axes_are_pyplots():
    """On its current Axes if these are empty, else on a new figure, so that plt.show() and notebooks show each."""
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    history, result = History([1.0, 0.5]), testing.gradient_test(lambda x: float(x @ x), lambda x: 2 * x, np.ones(3))
    for draw in (
        history.plot,
        result.plot,
        lambda: plot.confusion_matrix(np.eye(2)),
        lambda: plot.filters(np.ones((2, 1, 3, 3))),
    ):
        count = len(pyplot.get_fignums())
        assert draw().figure is pyplot.gcf()
        assert len(pyplot.get_fignums()) == count + 1
    axes = pyplot.figure().subplots(2)
    assert history.plot() is axes[1]
    pyplot.sca(axes[0])
    assert plot.l_curve(path_of(4)) is axes[0]


def path_of(decades):
    """A path whose norms span so many powers of ten."""
    return SimpleNamespace(residual_norms=np.logspace(0, decades, 9), solution_norms=np.logspace(decades, 0, 9), kind="ridge")


@pytest.mark.parametrize(
    ("losses", "ticks"),
    [
        ([1.25, 0.55], ["0.6", "0.8", "1", "1.2"]),
        ([3.0, 0.06], ["0.1", "0.2", "0.5", "1", "2"]),
        ([10.0, 0.001], ["$\\mathdefault{10^{-3}}$", "$\\mathdefault{10^{-1}}$", "$\\mathdefault{10^{1}}$"]),
    ],
)
def test_logarithmic_axes_have_ticks_to_read(losses, ticks):
    pytest.importorskip("matplotlib")
    ax = History(losses).plot()
    ax.figure.canvas.draw()
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    shown = [t.get_text() for t, y in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True) if low <= y <= high]
    assert set(ticks) <= set(shown)
    assert len(shown) <= 9
    assert not any(label.get_text() for label in ax.get_yticklabels(minor=True))


def test_losses_that_have_no_logarithm():
    pytest.importorskip("matplotlib")
    for losses in ([1.0, 0.0], [-1.0, -2.0], [np.nan, 0.0]):
        assert History(losses).plot().get_yscale() == "linear"
    assert History([np.inf, 2.0, np.nan]).plot().get_yscale() == "log"


def test_one_epoch_is_seen():
    pytest.importorskip("matplotlib")
    ax = plot.loss_curves(History([1.0], [1.1], [0.5]), plot.new_figure().add_subplot())
    assert {line.get_marker() for line in ax.lines} == {"o"}
    assert (ax.get_xticks().tolist(), ax.get_xlim()) == ([1], (0.5, 1.5))
    plot.loss_curves(History(), plot.new_figure().add_subplot()).get_figure().draw_without_rendering()


def test_the_legend_of_losses_is_inside_the_picture():
    """Also of a figure of one's own, which leaves no room below."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    for figure in (Figure(), Figure(layout="constrained"), plot.new_figure()):
        ax = plot.loss_curves(History([3.0, 2.0, 1.0]), figure.add_subplot())
        figure.draw_without_rendering()
        box = ax.get_legend().get_tightbbox()
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height


def test_names_of_layers_are_inside_the_picture(monkeypatch, tmp_path, rng):
    pytest.importorskip("matplotlib")
    figures, new_figure = [], plot.new_figure
    monkeypatch.setattr(plot, "new_figure", lambda *size: figures.append(new_figure(*size)) or figures[0])
    own = SimpleNamespace(classes=tuple(range(10)))
    model = SimpleNamespace(W=rng.normal(size=(32, 1, 3, 3)), image_shape=(8, 8), preprocessing=own)
    maps = {name: rng.random((16, 8, 8)) for name in ("image", "0 Conv2d", "1 ConvResidual", "2 ConvResidual", "3 AvgPool2d")}
    counts, name = 30 * np.eye(10, dtype=int), "359 validation samples of digits (UCI, 8 x 8)"
    history = History([1.0, 0.5, 0.2], [1.0, 0.6, 0.4], [0.3, 0.5, 0.6])
    plot.training_report(tmp_path / "a.png", history, model, counts, maps=maps, data=name, smoothing=0.1)
    assert figures[0].axes[0].get_ylabel() == "loss, labels smoothed by 0.1"
    for ax in figures[0].axes:
        box = ax.get_tightbbox()
        assert 0 <= box.x0 < box.x1 <= figures[0].bbox.width


def test_epochs_and_iterations_are_told_apart(digits):
    pytest.importorskip("matplotlib")
    for solver, unit in (("sgd", "epoch"), ("lbfgs", "iteration"), ("newton-cg", "iteration")):
        history = softmax.train_softmax(digits, solver=solver, epochs=2).history
        assert (history.unit, history.plot().get_xlabel()) == (unit, unit)
    assert plot.loss_curves(SimpleNamespace(train_loss=[2.0, 1.0])).get_xlabel() == "epoch"


def test_the_32_images_of_the_largest_weights(rng):
    pytest.importorskip("matplotlib")
    W = rng.normal(size=(40, 6)) * rng.permutation(np.arange(1, 41))[:, None]
    strongest = np.argsort(-np.linalg.norm(W, axis=1))[:32]
    ax = plot.weight_images(W, (2, 3), title="Weights")
    assert ax.get_title() == "Weights: the 32 of largest norm, of 40"
    assert [int(text.get_text()) for text in ax.texts] == strongest.tolist()
    np.testing.assert_allclose(ax.images[0].get_array()[:2, :3], W[strongest[0]].reshape(2, 3) / np.abs(W[strongest[0]]).max())
    key = ax.figure.axes[-1]
    assert [label.get_text() for label in key.get_yticklabels()] == ["-max", "0", "max"]
    few = plot.weight_images(W[:32], (2, 3))
    assert [text.get_text() for text in few.texts] == list(map(str, range(32)))
    assert few.get_title() == "Weights of each class"


def test_a_confusion_matrix_names_its_data_and_classes():
    pytest.importorskip("matplotlib")
    ax = plot.confusion_matrix(np.eye(3), classes=["ant", "bee", "cat"], data="30 samples of animals")
    assert ax.get_title() == "Confusion (30 samples of animals)"
    for axis in (ax.xaxis, ax.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["ant", "bee", "cat"]
    many = plot.confusion_matrix(np.eye(100))
    assert [label.get_text() for label in many.get_xticklabels()] == [str(i) for i in range(0, 100, 5)]
    with pytest.raises(ValueError, match=r"classes has 2 names; expected 3, one for each row of counts"):
        plot.confusion_matrix(np.eye(3), classes=["a", "b"])


def test_plots_leave_pyplot_alone(tmp_path, digits):
    pytest.importorskip("matplotlib")
    before = sys.modules.get("matplotlib.pyplot")
    trained = softmax.train_softmax(digits, epochs=2)
    counts = confusion_matrix(trained.y_val, trained.predicted, 10)
    plot.training_report(tmp_path / "a.png", trained.history, trained.model, counts)
    plot.training_report(tmp_path / "b.svg", trained.history, SoftmaxModel(trained.model.W, trained.model.b), counts)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "b.svg").read_bytes()
    assert sys.modules.get("matplotlib.pyplot") is before


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    for name in ("figure", "pyplot"):
        monkeypatch.setitem(sys.modules, f"matplotlib.{name}", None)
    with pytest.raises(ImportError, match=r"pip install 'fastlec\[plot\]'"):
        plot.check_path("a.png")
    with pytest.raises(ImportError, match=r"pip install 'fastlec\[plot\]'"):
        plot.confusion_matrix(np.eye(2))
