"""Each exercise of the course's chapters has a solution that asserts what it claims. The documentation's build runs them."""

import ast
import re
from pathlib import Path

import pytest

COURSE = Path(__file__).parents[2] / "docs" / "course"
CHAPTERS = sorted(COURSE.glob("plot_*.py"))
EXERCISE = re.compile(r"^# (\d+)\. ", re.M)
SOLUTION = re.compile(r"^# \*\*Solution (\d+)\.\*\*", re.M)


def asserts(code):
    """Whether code, comments and all, asserts anything: by a statement or a result's `assert_passed`."""
    nodes = list(ast.walk(ast.parse(code)))
    return any(isinstance(node, ast.Assert) or getattr(node, "attr", None) == "assert_passed" for node in nodes)


def unsolved(page):
    """(the exercises' numbers, those of them without a solution that asserts something) of a chapter's text."""
    tasks, _, solutions = page.partition("# Exercises\n# ---------\n")[2].partition("# Solutions\n# ---------\n")
    exercises = [int(n) for n in EXERCISE.findall(tasks)]
    _, *parts = SOLUTION.split(solutions)
    solved = {int(n) for n, code in zip(parts[::2], parts[1::2], strict=True) if asserts("#" + code)}
    return exercises, sorted(set(exercises) ^ solved)


@pytest.mark.skipif(not COURSE.exists(), reason="the sources are not here")
def test_chapters_are_found():
    assert len(CHAPTERS) == 9


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_exercise_is_solved(path):
    exercises, missing = unsolved(path.read_text())
    assert exercises == list(range(1, len(exercises) + 1))
    assert 4 <= len(exercises) <= 6
    assert missing == []


PAGE = """
# %%
# Exercises
# ---------
#
# 1. One.
# 2. Two.
#
# Solutions
# ---------
#
# **Solution 1.** It is.

assert 1 == 1

# %%
# **Solution 2.** An assert in words, in a comment.

print("assert")  # assert
"""


def test_a_solution_that_asserts_nothing_is_found():
    assert unsolved(PAGE) == ([1, 2], [2])
    assert unsolved(PAGE.replace('print("assert")', "result.assert_passed()")) == ([1, 2], [])
    assert unsolved(PAGE.replace("**Solution 1.**", "So")) == ([1, 2], [1, 2])
