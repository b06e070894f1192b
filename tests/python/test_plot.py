"""Pictures: on the Axes that are given or on new ones, and without a trace in pyplot."""

import sys

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
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'fastlec\[plot\]'"):
        plot.check_path("a.png")
