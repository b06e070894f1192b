"""The examples in the docstrings of public names print what they say. With scipy-doctest numbers are compared as numbers."""

import doctest
import importlib.util
import inspect

import pytest

import fastlec
from fastlec import curvature, data, datasets, plot, preprocessing, reference, regression, testing, training


def public(module):
    """The names that a module offers: all of its functions where it does not say."""
    functions = (name for name, item in vars(module).items() if inspect.isfunction(item) and item.__module__ == module.__name__)
    return getattr(module, "__all__", [name for name in functions if not name.startswith("_")])


def examples():
    """A doctest for each public function, class and method that has examples."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    objects = {}
    modules = [fastlec, curvature, data, datasets, plot, preprocessing, reference, regression, testing, training]
    modules += [getattr(fastlec, name) for name in ("onnx", "sklearn") if importlib.util.find_spec(name)]
    for module in modules:
        for name in public(module):
            item = getattr(module, name)
            if not inspect.ismodule(item):
                objects.setdefault(id(item), (f"{module.__name__}.{name}", item))
    for name, item in objects.values():
        yield from (test for test in finder.find(item, name, globs={"fastlec": fastlec}) if test.examples)


def runner():
    try:
        import scipy_doctest
    except ImportError:
        return doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    return scipy_doctest.DTRunner(checker=scipy_doctest.DTChecker(config=scipy_doctest.DTConfig()), verbose=False)


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_example(example, capsys):
    if example.name.startswith("fastlec.plot."):
        pytest.importorskip("matplotlib")
    result = runner().run(example)
    assert result.attempted > 0
    assert result.failed == 0, capsys.readouterr().out


def test_the_derivative_tests_have_examples():
    assert {f"fastlec.testing.{name}" for name in ("gradient_test", "jacobian_test", "transpose_test", "check_layer")} <= {
        example.name for example in examples()
    }
