"""docs/lecture.md has all of the lecture; what it names is there; and what the sources cite of the lecture is in it."""

import ast
import importlib.util
import inspect
import pkgutil
import re
from functools import cache
from pathlib import Path

import pytest

import fastlec

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "lecture.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the sources are not here")

EQUATIONS = {1, *range(3, 40)}
FIGURES = range(3, 8)
REMARKS = range(1, 3)
EXAMPLES = range(1, 2)
TITLES = {
    "chapter 2": "Supervised Image Classification",
    "section 2.1": "Linear classifiers: Logistic regression",
    "section 2.1.1": "Adding the bias",
    "section 2.2": "Linear classifiers: Multinomial logistic (softmax) regression",
    "section 2.3": "Computing the derivatives of the linear classifiers",
    "section 2.3.1": "Computing the gradient of logistic regression",
    "section 2.3.2": "The gradient of softmax regression w.r.t the weights",
    "section 2.3.3": "The gradient of softmax regression w.r.t the data (needed for NN)",
    "chapter 3": "Neural Networks: definition",
    "section 3.1": "NNs as function interpolation: The Universal approximation theorem",
    "chapter 4": "Training of a Neural Network: minimizing the loss via back-propagation",
    "section 4.1": "Computing derivatives of Neural Networks",
    "section 4.1.1": "The derivatives of matrix-vector and matrix-matrix multiplications",
    "section 4.1.2": "The derivatives of standard neural networks",
    "section 4.1.3": "The derivatives of residual networks",
    "section 4.2": "Custom implementation of backward in Pytorch",
    "section 4.3": "Gradient and Jacobian verification",
    "chapter 5": "Convolutional Neural Networks (CNNs)",
    "section 5.1": "Standard convolution: image filtering",
}


def table():
    """[(place, what, names, tests)] of the page's rows, as they are written."""
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    return [row for row in rows if row[0] != "lecture"]


def places(cell):
    """{"eq. 3", "eq. 4"} of "eq. 3 and 4", likewise of "eq. 3 to 4"."""
    kind, _, numbers = cell.partition(" ")
    found = re.findall(r"[\d.]+", numbers)
    if " to " in numbers:
        found = range(int(found[0]), int(found[1]) + 1)
    return {f"{kind} {number}" for number in found}


def code(cell):
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def test_the_whole_lecture_is_there():
    numbered = {"eq.": EQUATIONS, "figure": FIGURES, "remark": REMARKS, "example": EXAMPLES}
    expected = {f"{kind} {n}" for kind, numbers in numbered.items() for n in numbers} | TITLES.keys()
    assert set().union(*(places(place) for place, *_ in table())) == expected
    assert {(place, title) for place, title in TITLES.items()} <= {(place, what) for place, what, *_ in table()}


def test_every_row_has_a_name_and_a_test_or_says_why_not():
    for place, _, names, tests in table():
        if names.startswith("none"):
            assert re.fullmatch(r"none: \w.*", names), place
            assert tests == "none", place
        else:
            assert code(names), place
            assert code(tests), place


@pytest.mark.parametrize("name", sorted({name for row in table() for name in code(row[2])}))
def test_names(name):
    """A command, a name of fastlec, or that with an argument that it takes."""
    command = re.fullmatch(r"fastlec (\w+)", name)
    if command:
        assert importlib.util.find_spec(f"fastlec.cli.{command[1]}")
        return
    path, argument = re.fullmatch(r"([\w.]+)(?:\((\w+)\))?", name).groups()
    if path.startswith("torch."):
        pytest.importorskip("torch", reason="PyTorch, the extra `torch`, is not installed")
    found = pkgutil.resolve_name(f"{fastlec.__name__}.{path}")
    if argument:
        assert argument in inspect.signature(found).parameters


@cache
def functions(path):
    """The names of all functions of a file of tests."""
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("test", sorted({test for row in table() for test in code(row[3])}))
def test_tests(test):
    path, function = test.split("::")
    assert function.startswith("test_")
    assert function in functions(ROOT / "tests" / path)


# What follows a year, a title or another genitive is of that work: "2006, chapter 7", "the paper's section 3".
NUMBERS = r"\d+(?:\.\d+)*"
CITATION = re.compile(
    r"(?<!(?<!lecture)'s )(?<!\d{4}, )(?<!\", )\b(eq\.|figure|remark|example|sections?|chapters?|lecture) \(?"
    rf"({NUMBERS}(?:(?:,| to| and) {NUMBERS})*)"
    r"|(?:\(|\bof )(\d\.\d\.\d)\b",
    re.I,
)
SOURCES = [(folder, f"*.{kind}") for folder, kinds in (
    ("fastlec", ("py", "pyx", "pxd", "pyi", "md")),
    ("csrc", ("c", "h", "md")),
    ("docs", ("md", "py")),
) for kind in kinds]  # fmt: skip


def cited(text):
    """The places that a text cites: equations, figures and the like by kind, sections and chapters as "section"."""
    for kind, numbers, section in CITATION.findall(" ".join(text.split())):
        for number in re.findall(NUMBERS, numbers or section):
            numbered = kind.lower() in ("eq.", "figure", "remark", "example") and "." not in number
            yield f"{kind.lower()} {number}" if numbered else f"section {number}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(lecture eq. 11 and\n    2.3.2), Remark 2", {"eq. 11", "section 2.3.2", "remark 2"}),
        ("lecture 2.1 to 2.3, eq. (22)", {"section 2.1", "section 2.3", "eq. 22"}),
        ("(sections 3, 4.1.2), those of 4.1.3. See 0.5", {"section 3", "section 4.1.2", "section 4.1.3"}),
        ("(lecture 2.2, eq. 10)", {"section 2.2", "eq. 10"}),
        ("the lecture's eq. 7, the paper's section 9; Nocedal, 2006, chapters 7 and 9; \"A title\", eq. 99", {"eq. 7"}),
    ],
)
def test_what_a_text_cites(text, expected):
    assert set(cited(text)) == expected


def test_what_is_cited_is_there():
    """In all that people read of fastlec: sources and documentation."""
    known = set().union(*(places(place) for place, *_ in table()))
    known |= {place.replace("chapter", "section") for place in known}
    paths = [path for folder, pattern in SOURCES for path in (ROOT / folder).rglob(pattern) if path != PAGE]
    found = {(place, str(path.relative_to(ROOT))) for path in paths for place in cited(path.read_text())}
    assert len(found) > 80
    assert sorted((place, path) for place, path in found if place not in known) == []
