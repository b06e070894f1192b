"""Sets of points in the plane: their shapes, their labels, where their points lie."""

import numpy as np
import pytest

from fastlec import data, datasets

SETS = {"spirals": datasets.make_spirals, "blobs": datasets.make_blobs, "peaks": datasets.make_peaks}
every = pytest.mark.parametrize("make", SETS.values(), ids=SETS)


@every
@pytest.mark.parametrize(("n_samples", "n_classes"), [(1, 1), (7, 7), (100, 3), (101, 4), (1000, 12)])
def test_points_and_labels(make, n_samples, n_classes):
    X, y = make(n_samples, n_classes)
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((n_samples, 2), np.float64, (n_samples,), np.int64)
    assert np.isfinite(X).all()
    counts = np.bincount(y, minlength=n_classes)
    assert len(counts) == n_classes
    assert counts.max() - counts.min() <= 1
    assert n_classes == 1 or n_samples < 100 or (np.diff(y) != 0).mean() > 0.4  # in random order


@every
def test_a_seed_gives_the_same_points(make):
    (X, y), *others = [make(50, 3, noise=0.1, rng=rng) for rng in (0, np.random.default_rng(0), 1)]
    np.testing.assert_array_equal(make(50, 3, noise=0.1)[0], X)
    np.testing.assert_array_equal(others[0][0], X)
    np.testing.assert_array_equal(others[0][1], y)
    assert not np.array_equal(others[1][0], X)
    assert not np.array_equal(make(50, 3, noise=0.1, rng=None)[0], X)


@every
def test_noise_is_normal_and_of_that_deviation(make):
    """About the points without noise, which the same generator draws first."""
    clean, noisy = (make(4000, 4, noise=noise)[0] for noise in (0.0, 0.25))
    z = (noisy - clean) / 0.25
    assert abs(z.mean()) < 0.05
    assert z.std() == pytest.approx(1, abs=0.03)
    assert np.mean(np.abs(z) < 1) == pytest.approx(0.6827, abs=0.02)


def test_spirals_lie_on_their_curves():
    X, y = datasets.make_spirals(600, 3, noise=0, turns=2)
    r, phi = np.hypot(*X.T), np.arctan2(*X.T[::-1])
    assert 0.1 <= r.min() < 0.11 < 0.99 < r.max() <= 1
    turn = (phi / (2 * np.pi) - 2 * r - y / 3) % 1
    np.testing.assert_allclose(np.minimum(turn, 1 - turn), 0, atol=1e-12)


def test_blobs_lie_about_their_centres():
    X, y = datasets.make_blobs(20000, 4, noise=[0.1, 0.2, 0.3, 0.4])
    centres = np.array([X[y == k].mean(axis=0) for k in range(4)])
    np.testing.assert_allclose(np.hypot(*centres.T), np.sqrt(np.arange(4) / 3), atol=0.02)
    for k in range(4):
        np.testing.assert_allclose(np.cov(X[y == k].T), np.eye(2) * (0.1 * (k + 1)) ** 2, atol=0.008)


def test_peaks_are_levels_of_the_function():
    X, y = datasets.make_peaks(5000, 5)
    assert np.abs(X).max() <= 3
    z = datasets.peaks(*X.T)
    low, high = -6.5511333, 8.1062136  # the function's minimum and maximum, as MATLAB's documentation of peaks plots it
    np.testing.assert_array_equal(np.clip((z - low) / (high - low) * 5, 0, 4.9999).astype(int), y)
    inside = X[y == 2]  # the widest class: uniform over its region, so as often on the left as on the right of its own middle
    grid = np.random.default_rng(1).uniform(-3, 3, (200000, 2))
    region = grid[np.digitize(datasets.peaks(*grid.T), np.linspace(low, high, 6)[1:-1]) == 2]
    np.testing.assert_allclose(inside.mean(axis=0), region.mean(axis=0), atol=0.2)
    np.testing.assert_allclose(inside.std(axis=0), region.std(axis=0), atol=0.1)


def test_peaks_is_the_function_of_the_docstring():
    assert datasets.peaks(0.0, 0.0) == pytest.approx(3 * np.exp(-1) - np.exp(-1) / 3)
    assert datasets.peaks(1.0, 2.0) == pytest.approx(-10 * (0.2 - 1 - 32) * np.exp(-5) - np.exp(-8) / 3)
    assert datasets.peaks(np.zeros((2, 1)), np.zeros(3)).shape == (2, 3)


@pytest.mark.parametrize(
    ("x", "y", "dtype"),
    [
        ([0, 1], [[2], [3]], np.float64),
        (np.float32([0.5, 1]), np.float32(2), np.float32),
        (np.float16([0.5, 1]), np.float16(2), np.float32),
        (np.float16([0.5, 1]), 2, np.float64),
        (np.arange(6, dtype=">f8")[::2], np.array([True, False, True]), np.float64),
    ],
)
def test_peaks_of_any_real_numbers(x, y, dtype):
    z = datasets.peaks(x, y)
    expected = datasets.peaks(np.array(x, np.float64), np.array(y, np.float64))
    assert (z.dtype, z.shape) == (dtype, np.broadcast_shapes(np.shape(x), np.shape(y)))
    np.testing.assert_allclose(z, expected, rtol=100 * np.finfo(dtype).eps, atol=1e-6 if dtype == np.float32 else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_peaks_far_away_is_zero(dtype):
    most = np.finfo(dtype).max
    far = np.array([-np.inf, -most, -31, 31, 1e20, most, np.inf], dtype)
    with np.errstate(all="raise"):
        for x, y in ((far, dtype(0)), (dtype(0), far), (far, far), (far, -far)):
            np.testing.assert_array_equal(datasets.peaks(x, y), 0)
        datasets.peaks(np.linspace(-29, 29, 1000, dtype=dtype), dtype(1))


@pytest.mark.parametrize(
    ("error", "text", "x", "y"),
    [
        (ValueError, r"x has shape \(2,\) and y \(3,\); expected shapes that broadcast", np.ones(2), np.ones(3)),
        (TypeError, "x has dtype complex128", 1j, 0),
        (TypeError, "y has dtype <U1", 0, "a"),
        (TypeError, "y has dtype object", 0, None),
        (TypeError, "x is a masked array", np.ma.ones(2), 0),
        (MemoryError, "peaks of 1000000000000 points would take", np.zeros((10**6, 1)), np.zeros(10**6)),
    ],
)
def test_bad_arguments_of_peaks(error, text, x, y):
    with pytest.raises(error, match=text):
        datasets.peaks(x, y)


def test_peaks_of_thousands_of_classes():
    _, y = datasets.make_peaks(6000, 2000)
    assert (np.bincount(y) == 3).all()


def test_the_digits_are_those_of_data():
    assert datasets.load_digits is data.load_digits
    X, y = datasets.load_digits()
    assert (X.min(), X.max(), X.shape, y.shape) == (0, 1, (1797, 64), (1797,))


@every
@pytest.mark.parametrize(
    ("error", "text", "arguments"),
    [
        (ValueError, "n_samples is 0; expected at least", {"n_samples": 0}),
        (ValueError, "n_samples is 2; expected at least 3", {"n_samples": 2, "n_classes": 3}),
        (TypeError, "n_samples is 10.0; expected an integer", {"n_samples": 10.0}),
        (ValueError, "n_samples is an integer of 1329 bits; expected at most", {"n_samples": 10**400}),
        (MemoryError, "n_samples is 1000000000000000: so many points would take more", {"n_samples": 10**15}),
        (ValueError, "n_classes is 0; expected at least 1", {"n_classes": 0}),
        (TypeError, "n_classes is '3'; expected an integer", {"n_classes": "3"}),
        (ValueError, "noise is -0.1; expected a finite number >= 0", {"noise": -0.1}),
        (ValueError, "noise is nan", {"noise": float("nan")}),
        (ValueError, "noise is inf", {"noise": float("inf")}),
        (ValueError, r"noise is 1e\+308; expected less, so that all points are finite", {"noise": 1e308}),
        (TypeError, "noise is 'a'; expected a number", {"noise": "a"}),
        (TypeError, "noise is 1j; expected a number", {"noise": 1j}),
        (TypeError, "rng is 'a'; expected a seed", {"rng": "a"}),
        (ValueError, "rng is -1; expected a seed", {"rng": -1}),
    ],
)
def test_bad_arguments(make, error, text, arguments):
    with pytest.raises(error, match=text):
        make(**arguments)


@pytest.mark.parametrize(
    ("error", "text", "make", "arguments"),
    [
        (ValueError, "turns is 0; expected a number > 0", datasets.make_spirals, {"turns": 0}),
        (ValueError, "turns is inf", datasets.make_spirals, {"turns": float("inf")}),
        (ValueError, r"turns is 1e\+308; expected fewer", datasets.make_spirals, {"turns": 1e308}),
        (ValueError, r"noise is 1.5e\+308; expected less", datasets.make_blobs, {"noise": [0, 0, 0, 0, 1.5e308]}),
        (ValueError, r"noise has shape \(2,\); expected \(5,\), one for each class", datasets.make_blobs, {"noise": [1, 2]}),
        (ValueError, r"noise\[4\] is -1", datasets.make_blobs, {"noise": [0, 1, 2, 3, -1]}),
        (TypeError, "noise is a masked array", datasets.make_blobs, {"noise": np.ma.zeros(5)}),
    ],
)
def test_bad_arguments_of_one_set(error, text, make, arguments):
    with pytest.raises(error, match=text):
        make(**arguments)
