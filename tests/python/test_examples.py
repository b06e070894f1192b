"""Pages of the documentation's gallery find what they say, and draw it."""

import json
from pathlib import Path

import pytest
from interpreter import output

PAGES = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.skipif(not PAGES.exists(), reason="the sources are not here")


def found(name, *names):
    """[the page's variables of these names, how many pictures it draws], in a process of its own: pyplot has state."""
    pytest.importorskip("matplotlib")
    code = f"""
        import json, runpy, warnings
        import matplotlib
        matplotlib.use("Agg")
        warnings.simplefilter("error", UserWarning)
        page = runpy.run_path({str(PAGES / name)!r})
        from matplotlib import pyplot
        print(json.dumps([*(page[name] for name in {names!r}), len(pyplot.get_fignums())]))
    """
    return json.loads(output(code).splitlines()[-1])


def test_signals_are_told_apart():
    accuracy, pictures = found("examples/plot_signals.py", "accuracy")
    assert accuracy > 0.92
    assert pictures == 2


def test_an_autoencoder_takes_the_noise_off_digits():
    before, after, pictures = found("examples/plot_autoencoder.py", "before", "after")
    assert after < before / 5
    assert pictures == 2


def test_an_inverse_problem_is_solved_with_its_uncertainty():
    errors, covered, pictures = found("tutorials/plot_inverse_problem.py", "errors", "covered")
    assert errors["network"] < 0.8 * errors["linear"] < errors["inverse"] / 100
    assert errors["network"] < errors["one step"] / 2
    assert covered["codes"] > 0.6
    assert covered["codes and decoder"] > 0.9
    assert pictures == 1


def test_a_network_solves_a_boundary_value_problem():
    error, errors, pictures = found("examples/plot_boundary_value.py", "error", "errors")
    assert error < 3e-8
    assert error < errors["Gauss-Newton, J J'"] < errors["L-BFGS"] / 100
    assert pictures == 2
