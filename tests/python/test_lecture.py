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

EQUATIONS = range(1, 40)
FIGURES = range(1, 8)
REMARKS = range(1, 3)
EXAMPLES = range(1, 2)
TITLES = {
    "chapter 1": "Over-fitting, regularization and L-shaped curves",
    "chapter 2": "Supervised Image Classification",
    "section 2.1": "Linear classifiers: Logistic regression",
    "section 2.1.1": "Adding the bias",
    "section 2.2": "Linear classifiers: Multinomial logistic (softmax) regression",
    "section 2.3": "Computing the derivatives of the linear classifiers",
    "section 2.3.1": "Computing the gradient of logistic regression",
    "section 2.3.2": "The gradient of softmax regression w.r.t the weights",
    "section 2.3.3": "The gradient of softmax regression w.r.t the data (needed for NN)",
    "contents 3": "Unsupervised classification with K-means Clustering",
    "contents 3.1": "Algorithm description",
    "contents 4": "Robust statistics in least squares problems",
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


NUMBER = r"\d+(?:\.\d+)*"
TO = r"(?: to |-|\u2013)"


def numbers(text):
    """["3", "4", "5"] of "3 to 5", likewise of "(3)-(5)"; ["2.1", "2.3"] of "2.1 and 2.3"."""
    for first, last in re.findall(rf"({NUMBER})\)?(?:{TO}\(?({NUMBER}))?", text):
        (*within, start), (*beside, end) = first.split("."), (last or first).split(".")
        if within == beside:
            yield from (".".join((*within, str(n))) for n in range(int(start), int(end) + 1))
        else:
            yield from (first, last)


def places(cell):
    """{"eq. 3", "eq. 4"} of "eq. 3 and 4", likewise of "eq. 3 to 4"."""
    kind, _, rest = cell.partition(" ")
    return {f"{kind} {number}" for number in numbers(rest)}


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
KINDS = {
    "eq": "eq.",
    "fig": "figure",
    "remark": "remark",
    "example": "example",
    "contents": "contents",
}  # others are of sections
CITATION = re.compile(
    r"(?<!(?<!lecture)'s )(?<!\d{4}, )(?<!\", )\b"
    r"(?:(?:(eq)(?:s?\.|uations?)|(fig)(?:s?\.|ures?)|(remark|example)s?|(contents)(?:, chapters?)?)"
    r"|sections?|chapters?|lecture(?:'s|[,:]?(?: \(?see)?)) "
    rf"(\(?{NUMBER}\)?(?:(?:, |,? and |,? or |{TO})\(?{NUMBER}\)?)*)"
    r"|(?:\(|\b(?:of|see) )(\d\.\d\.\d)\b",
    re.I,
)
SOURCES = [(folder, f"*.{kind}") for folder, kinds in (
    ("fastlec", ("py", "pyx", "pxd", "pyi", "md")),
    ("csrc", ("c", "h", "md")),
    ("docs", ("md", "py")),
) for kind in kinds]  # fmt: skip


def cited(text):
    """The places that a text cites: equations, figures and the like by kind, sections and chapters as "section"."""
    for *kinds, several, section in CITATION.findall(" ".join(text.split())):
        kind = KINDS.get("".join(kinds).lower(), "section")
        for number in numbers(several or section):
            yield f"section {number}" if "." in number and kind != "contents" else f"{kind} {number}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(lecture eq. 11 and\n    2.3.2), Remark 2", {"eq. 11", "section 2.3.2", "remark 2"}),
        ("lecture 2.1 to 2.3, eq. (22)", {"section 2.1", "section 2.2", "section 2.3", "eq. 22"}),
        ("(sections 3, 4.1.2), those of 4.1.3. See 0.5", {"section 3", "section 4.1.2", "section 4.1.3"}),
        ("(lecture 2.2, eq. 10)", {"section 2.2", "eq. 10"}),
        ("the lecture's eq. 7, the paper's section 9; Nocedal, 2006, chapters 7 and 9; \"A title\", eq. 99", {"eq. 7"}),
        ("eqs. 98 and 99", {"eq. 98", "eq. 99"}),
        ("Equation 99, equations (96), (97), and (98)", {"eq. 96", "eq. 97", "eq. 98", "eq. 99"}),
        ("eq. (96) to (99)", {"eq. 96", "eq. 97", "eq. 98", "eq. 99"}),
        ("eqs. 97-99; eqs. (5)\u2013(6) or 8", {"eq. 97", "eq. 98", "eq. 99", "eq. 5", "eq. 6", "eq. 8"}),
        ("Fig. 9, figs. 11 and 12, Figures 13 to 15", {f"figure {n}" for n in (9, 11, 12, 13, 14, 15)}),
        ("remarks 1 and 2, Examples 8, 9", {"remark 1", "remark 2", "example 8", "example 9"}),
        ("the lecture, see 4.1.9; lecture (see 4.8)", {"section 4.1.9", "section 4.8"}),
        ("the lecture's 4.7, the lecture (4.8), (lecture, 4.9)", {"section 4.7", "section 4.8", "section 4.9"}),
        ("sections 2.9 to 3.1", {"section 2.9", "section 3.1"}),
        ("(lecture, contents 4), contents 3.1; contents, chapter 6", {"contents 4", "contents 3.1", "contents 6"}),
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
