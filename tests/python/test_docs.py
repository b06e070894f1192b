"""The documentation: its reference lists every public name and no other, and docstrings become reStructuredText as they should."""

import importlib
import importlib.util
import sys

import pytest
from public import ROOT, listed, module_of

import fastlec
from fastlec import curvature, reference, regression, testing

DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the sources are not here")


def _with_extras():
    """The bridges whose library is here."""
    return [importlib.import_module("fastlec.onnx")] if importlib.util.find_spec("onnx") else []


def test_the_reference_lists_every_public_name():
    names = listed()
    for module in (fastlec, curvature, testing, reference, regression, pytest.importorskip("fastlec.sklearn"), *_with_extras()):
        public = {name for name in module.__all__ if not isinstance(getattr(module, name), type(sys))}
        assert public - set(names[module.__name__]) == set()


@pytest.mark.parametrize("module", listed())
def test_the_reference_lists_each_name_once_and_no_other(module):
    found, names = module_of(module), listed()[module]
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(found, name)] == []


@pytest.fixture
def converted(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    plain_docstrings = importlib.import_module("plain_docstrings")

    def convert(text):
        lines = text.split("\n")
        plain_docstrings.convert(None, "function", "f", None, None, lines)
        return "\n".join(lines)

    return convert


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The sum |x|_1 of *all*, see `f`.", "The sum \\|x\\|\\_1 of \\*all\\*, see ``f``."),
        ("x : (m, n).  y, z : like x; a\n    longer text.", "- **x**: (m, n).\n- **y, z**: like x; a longer text."),
        ("x : any. Returns (x_1, y).", "- **x**: any.\n\nReturns (x\\_1, y)."),
        ("One: two.\n\n    y = W x\n      + b", "One: two.\n\n::\n\n    y = W x\n      + b"),
        ("- first `a`\n  and more;\n- second", "- first ``a`` and more;\n- second"),
        (":func:`fit` with ``x``", ":func:`fit` with ``x``"),
        (">>> f(*x)\n1", ">>> f(*x)\n1"),
        ("Sum.\n\nParameters\n----------\nx : *array*", "Sum.\n\nParameters\n----------\nx : *array*"),
    ],
)  # fmt: skip
def test_a_docstring_as_restructured_text(text, expected, converted):
    assert converted(text) == expected
