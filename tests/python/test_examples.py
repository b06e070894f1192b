"""Pages of the documentation's gallery find what they say, and draw it."""

import json
from pathlib import Path

import pytest
from interpreter import output

PAGES = Path(__file__).parents[2] / "docs" / "examples"
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
    accuracy, pictures = found("plot_signals.py", "accuracy")
    assert accuracy > 0.92
    assert pictures == 2


def test_an_autoencoder_takes_the_noise_off_digits():
    before, after, pictures = found("plot_autoencoder.py", "before", "after")
    assert after < before / 5
    assert pictures == 2
