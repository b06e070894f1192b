"""The page of the documentation: what it says is what its code does."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "sklearn.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the sources are not here")
def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    assert len(blocks) >= 6
    for block in blocks:
        exec(block, names)
    assert names["accuracy"] > 0.95
    assert names["search"].score(names["X_test"], names["y_test"]) > -0.2
    assert names["losses"]["calibrated"] < 0.12
    assert len(names["search"].cv_results_["params"]) == 4
