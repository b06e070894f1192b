"""The documentation's pages on ONNX and JAX: what they say is what their code does."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NEEDS = {"onnx": ("onnx", "onnxruntime"), "jax": ("jax",)}


@pytest.mark.skipif(not DOCS.exists(), reason="the sources are not here")
@pytest.mark.parametrize("page", NEEDS)
def test_a_page_runs(page, tmp_path, monkeypatch):
    for name in NEEDS[page]:
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    blocks, names = re.findall(r"^```python\n(.*?)^```", (DOCS / f"{page}.md").read_text(), re.M | re.S), {}
    assert len(blocks) >= 4
    try:
        for block in blocks:
            exec(block, names)
    finally:
        if "jax" in names:
            names["jax"].config.update("jax_enable_x64", False)  # as it is for other tests
