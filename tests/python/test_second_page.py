"""The page on second derivatives: its examples run, one after the other, as a reader runs them."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "second.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the sources are not here")
def test_the_page_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["found"].cost < 1e-6  # peaks, by gauss_newton
    assert np.isfinite(names["net"].theta).all()
