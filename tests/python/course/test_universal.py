"""Networks of one hidden layer approximate a function as closely as they are wide (lecture 3.1)."""

from itertools import pairwise

import numpy as np
import pytest

from fastlec import plot
from fastlec.course import universal


@pytest.fixture(scope="module")
def found():
    return list(universal.fits([1, 2, 4, 8, 16], samples=100))


def test_the_function_is_that_of_the_lecture():
    x = np.linspace(0.01, 1.01, 7)
    np.testing.assert_allclose(
        universal.target(x), np.stack([x, np.sin(10 * x), np.exp(2 * x)], 1) @ [0.3, 1.0, 0.5], rtol=1e-15
    )


def test_the_error_falls_with_the_width_by_orders_of_magnitude(found):
    rms = [fit.rms for fit in found]
    assert all(narrow > wide for narrow, wide in pairwise(rms)), rms
    assert rms[2] < 1e-2 * rms[0]
    assert rms[4] < 1e-4 * rms[0]
    assert found[4].largest < 1e-3


def test_a_fit_is_what_it_says(found):
    for fit in found:
        assert [type(layer).__name__ for layer in fit.net.layers] == ["Dense", "Dense"]
        assert fit.net.layers[0].params["W"].shape == (fit.width, 1)
        assert fit.net.n_params == universal.n_params(fit.width)
        error = fit.net(fit.x) - universal.target(fit.x)
        assert fit.largest == np.abs(error).max()
        assert fit.rms == pytest.approx(np.linalg.norm(error) / np.sqrt(len(error)))


@pytest.mark.parametrize(("activation", "factor"), [("sigmoid", 1e-3), ("relu", 0.2)])
def test_other_activations(activation, factor):
    rms = [fit.rms for fit in universal.fits([1, 8], samples=60, activation=activation)]
    assert rms[1] < factor * rms[0]


def test_the_seed_decides_the_fits():
    thetas = [next(universal.fits([6], samples=30, seed=seed)).net.theta for seed in (1, 1, 2)]
    np.testing.assert_allclose(thetas[0], thetas[1], rtol=1e-6)  # not bitwise: MINPACK's rounding depends on addresses
    assert not np.allclose(thetas[0], thetas[2], rtol=1e-3)


@pytest.mark.parametrize(
    ("widths", "samples", "text"),
    [
        ([0], 30, "widths has 0 after 0"),
        ([2, 2], 30, "widths has 2 after 2"),
        ([2, 10], 30, "samples is 30; expected 31 or more for a width of 10"),
    ],
)
def test_bad_widths_are_refused(widths, samples, text):
    with pytest.raises(ValueError, match=text):
        list(universal.fits(widths, samples=samples))


def test_unknown_activations_are_refused():
    with pytest.raises(ValueError, match="activation is 'sine'"):
        list(universal.fits([1], activation="sine"))


def test_the_picture(found, tmp_path):
    pytest.importorskip("matplotlib")
    plot.universal_report(tmp_path / "a.png", found, universal.target)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    function, *drawn = plot.approximations(found, universal.target).lines
    assert [line.get_label() for line in drawn] == ["width 1", "width 2", "width 4", "width 16"]
    misses = [np.abs(line.get_ydata() - function.get_ydata()).max() for line in drawn]
    assert min(misses[:2]) > 0.2  # the last that fails, beside the first that fits
    assert max(misses[2:]) < 0.02
    np.testing.assert_allclose(drawn[3].get_ydata(), function.get_ydata(), atol=1e-3)
    errors = plot.errors_by_width(found).lines[0]
    np.testing.assert_array_equal(errors.get_xydata(), [(fit.width, fit.rms) for fit in found])


def test_the_picture_of_one_fit():
    pytest.importorskip("matplotlib")
    (fit,) = universal.fits([2], samples=10)
    assert len(plot.approximations([fit], universal.target).lines) == 2
