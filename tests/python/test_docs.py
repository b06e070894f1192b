"""The documentation: its reference lists every public name and no other, and docstrings hold no markup by chance."""

import ast
import importlib
import importlib.util
import re
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
def escaped():
    """The function of docs/conf.py, which is not imported: it needs what builds the documentation."""
    tree = ast.parse((DOCS / "conf.py").read_text())
    names = {"re": re}
    code = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "escape"]
    exec(compile(ast.Module(code, []), "conf.py", "exec"), names)

    def escape(text):
        lines = text.split("\n")
        names["escape"](None, "function", "f", None, None, lines)
        return "\n".join(lines)

    return escape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The sum |x|_1 of coef_, see `f_`.", "The sum \\|x\\|_1 of coef\\_, see `f_`."),
        ("``a|b`` and :func:`fit`, **a_b**", "``a|b`` and :func:`fit`, **a_b**"),
        ("Above\\_ \\|x\\|", "Above\\_ \\|x\\|"),
        (">>> f(x_)\n|x|\n\n|x|", ">>> f(x_)\n|x|\n\n\\|x\\|"),
        ("So::\n\n    |x|\n\n    x_\n\n|x|", "So::\n\n    |x|\n\n    x_\n\n\\|x\\|"),
        (".. note::\n\n   |x|", ".. note::\n\n   \\|x\\|"),
    ],
)  # fmt: skip
def test_marks_of_a_docstring_that_are_text(text, expected, escaped):
    assert escaped(text) == expected


def test_performance_lists_what_others_do_faster():
    """Each ratio below 0.95 of the tables is in the list, in the row of its name, and no other is."""
    _, _, after = (DOCS / "performance.md").read_text().partition("## Where others are ahead")
    listed, _, measured = after.partition("\n## ")

    def ratios(text, pattern):
        found = {}
        for name, cells in re.findall(r"^\| (\S.*?) (\|.*\|)$", text, re.M):
            found.setdefault(name, []).extend(x for x in re.findall(pattern, cells) if float(x) < 0.95)
        return {name: sorted(values) for name, values in found.items() if values}

    expected = ratios(measured, r"(?<=[|/] )\d+(?:\.\d+)?(?![-\d])")
    assert len(expected) > 10
    assert ratios(listed, r"(?<= )\d\.\d\d\b") == expected
