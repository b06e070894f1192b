"""Polynomials of all degrees through a noisy sample, the oracle, the L-curve (lecture 1)."""

import numpy as np
import pytest

from fastlec import plot, regression
from fastlec.course import overfit


@pytest.fixture(scope="module")
def found():
    return overfit.experiment(30, samples=61, seed=1)


@pytest.fixture(scope="module")
def rows():
    return overfit.oracle_errors((0.1, 0.02, 0.005))


def test_an_experiment_is_what_it_says(found):
    assert found.x[[0, -1]].tolist() == [0.01, 1.01]
    np.testing.assert_array_equal(found.y_true, regression.generate_true_model(found.x).y_true)
    assert np.std(found.y - found.y_true) == pytest.approx(0.5, rel=0.3)
    assert found.fits.degrees.tolist() == list(range(31))
    assert found.fits.test_mse[found.best_degree] == found.fits.test_mse.min()
    assert found.fits.test_mse[30] > 1.1 * found.fits.test_mse.min()  # over-fitting
    assert found.path_test_mse[found.corner.index] < found.fits.test_mse[30]


def test_the_path_penalizes_high_degrees(found):
    lam = found.path.parameters[120]
    alpha = found.path.coefficients[120] / np.arange(1, 32) ** 2.0
    Q, weights = found.fits.basis.Q, np.arange(1, 32) ** 4.0
    np.testing.assert_allclose(alpha, np.linalg.solve(Q.T @ Q + lam * np.diag(weights), Q.T @ found.y), rtol=1e-9)


def test_the_seed_decides_the_experiment(found):
    again, other = (overfit.experiment(30, samples=61, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(again.fits.test_mse, found.fits.test_mse)
    assert not np.allclose(other.y, found.y)


def test_the_oracle_gets_better_with_more_samples(rows):
    assert [row.samples for row in rows] == [10, 50, 199]
    assert [row.samples for row in overfit.oracle_errors(seed=1)] == [10, 20, 50, 100, 199, 496, 991]
    assert rows[0].mean_mse > 3 * rows[1].mean_mse > 6 * rows[2].mean_mse
    fine = np.linspace(0.01, 1.01, 1001)
    error = regression.true_basis(fine) @ (rows[0].alpha - [0.3, 1, 0.5])
    assert rows[0].mse == pytest.approx(np.mean(error**2))


def test_an_l_curve_without_a_corner():
    assert overfit.experiment(3, samples=4, seed=1).corner is None


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="degree is 5; expected at most 4"):
        overfit.experiment(5, samples=5)
    with pytest.raises(ValueError, match="samples is 1"):
        overfit.experiment(0, samples=1)
    with pytest.raises(ValueError, match="kind is 'power'"):
        overfit.experiment(1, kind="power")


def test_the_picture(found, rows, tmp_path):
    pytest.importorskip("matplotlib")
    plot.overfit_report(tmp_path / "a.png", found, [1, 5, 30], rows)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    ax = plot.fits_by_degree(found, [1, 5])
    assert [line.get_label().split(":")[0] for line in ax.lines] == ["measurements", "function", "degree 1", "degree 5"]
    np.testing.assert_allclose(ax.lines[3].get_ydata(), found.fits.predict(found.x, 5))
    ax = plot.errors_by_degree(found.fits)
    labels = ["train error", "test error", "leave-one-out error", "GCV error", f"corner: degree {found.fits.corner}"]
    assert [line.get_label() for line in ax.lines] == labels
    np.testing.assert_array_equal(ax.lines[1].get_xydata()[:, 1], found.fits.test_mse)
    np.testing.assert_array_equal(plot.oracle_errors(rows).lines[0].get_xydata(), [(row.samples, row.mse) for row in rows])
    curve, corner = plot.l_curve(found.path, found.corner).lines
    assert np.min(np.abs(curve.get_xydata() / corner.get_xydata() - 1).max(axis=1)) < 0.1


def test_the_picture_of_what_has_no_corner_and_no_test_set(found):
    pytest.importorskip("matplotlib")
    assert len(plot.l_curve(found.path).lines) == 1
    assert len(plot.errors_by_degree(regression.fit_polynomials([0, 1, 2, 3, 4], [0, 1, 0, 1, 0])).lines) == 4
    assert len(plot.errors_by_degree(regression.fit_polynomials([0, 1, 2, 3], [0, 1, 0, 1])).lines) == 3
