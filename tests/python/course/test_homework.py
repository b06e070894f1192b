"""The homework of the course, as the documentation has it: each task has a solution, and its networks learn what they should."""

import json
import re
from pathlib import Path

import pytest
from interpreter import output

PAGE = Path(__file__).parents[3] / "docs" / "examples" / "plot_homework.py"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the sources are not here")
SETS, KINDS, DEPTHS = ("spirals", "blobs", "peaks"), ("standard", "residual"), (1, 2, 4, 8)


@pytest.fixture(scope="module")
def found():
    """What the page finds, in a process of its own: pyplot has state."""
    pytest.importorskip("matplotlib")
    code = f"""
        import json, runpy, warnings
        import matplotlib
        matplotlib.use("Agg")
        warnings.simplefilter("error", UserWarning)
        page = runpy.run_path({str(PAGE)!r})
        from matplotlib import pyplot
        accuracies = [[*key, h.train_accuracy[-1], h.val_accuracy[-1]] for key, h in page["histories"].items()]
        tests = [[*key, type(test).__name__, bool(test.passed)] for key, test in page["tests"]]
        panels = [[ax.get_title() for ax in pyplot.figure(n).axes] for n in pyplot.get_fignums()]
        curves = pyplot.figure(4).axes
        epochs = [[line.get_xdata()[[0, -1]].tolist() for line in ax.lines if len(line.get_xdata())] for ax in curves]
        legends = [text.get_text() for ax in curves if ax.get_legend() for text in ax.get_legend().get_texts()]
        print(json.dumps([accuracies, tests, panels, epochs, legends]))
    """
    return json.loads(output(code).splitlines()[-1])


def test_each_task_names_its_chapter_and_has_a_solution():
    _, tasks, solutions = PAGE.read_text().split('"""', 2)
    tasks = dict(re.findall(r"^(\d)\. (.*(?:\n   .*)*)", tasks, re.M))
    assert list(tasks) == re.findall(r"^# \*\*Solution (\d)\.\*\*", solutions, re.M) == [str(n) for n in range(1, 7)]
    chapters = [re.findall(r"<sphx_glr_gallery_course_(plot_\w+\.py)>", text) for text in tasks.values()]
    assert all(chapters)
    for chapter in {name for names in chapters for name in names}:
        assert (PAGE.parents[1] / "course" / chapter).exists()


def test_every_network_passes_the_three_tests(found):
    tests = found[1]
    kinds = ("TaylorResult", "TaylorResult", "TransposeResult")
    assert tests == [[s, kind, d, result, True] for s in SETS for kind in KINDS for d in DEPTHS for result in kinds]


def test_deep_networks_learn_what_shallow_ones_cannot(found):
    accuracies = {(s, kind, d): (train, val) for s, kind, d, train, val in found[0]}
    assert list(accuracies) == [(s, kind, d) for s in SETS for kind in KINDS for d in DEPTHS]
    for (s, kind, d), (train, val) in accuracies.items():
        if s == "blobs" or d >= 4 or (kind == "residual" and d == 2):
            assert min(train, val) >= 0.95, (s, kind, d)
    for s, most in (("spirals", 0.8), ("peaks", 0.9)):  # one layer of 32
        assert max(*accuracies[s, "standard", 1], *accuracies[s, "residual", 1]) < most


def test_curves_go_over_the_epochs_and_the_legend_tells_their_lines(found):
    epochs, legends = found[3:]
    assert epochs == [[[1, 60]] * 8] * 6
    assert legends == ["1 layer", "2 layers", "4 layers", "8 layers", "training", "validation"]


def test_the_pictures_have_their_panels(found):
    least_squares, linear, first, curves, regions = found[2]
    assert least_squares == ["SGD on least squares"]
    assert [title.partition(":")[0] for title in linear] == [f"{s}, linear" for s in SETS]
    assert first == ["48 gradient and Jacobian tests"]
    assert curves == [f"{s}, {kind}" for kind in KINDS for s in SETS]
    assert [title.partition(":")[0] for title in regions] == [
        f"{s}, {kind}, {d}" for s in SETS for kind in KINDS for d in DEPTHS
    ]
