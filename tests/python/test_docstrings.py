"""Docstrings of public names: numpydoc finds no fault, every argument and result has a type, and the examples print what they say.

With scipy-doctest numbers in examples are compared as numbers.
"""

import doctest
import importlib.util
import inspect
import pydoc

import pytest
from public import listed, members, module_of, numpydoc_checks

import fastlec
from fastlec import curvature, data, datasets, plot, preprocessing, reference, regression, testing, training

# The modules whose docstrings are numpydoc's and whose arguments have types.
DONE = listed()
NAMES = [f"{module}.{name}" for module, names in listed().items() if module in DONE for name in names]


def found(path):
    module, _, name = path.rpartition(".")
    return getattr(module_of(module), name)


@pytest.mark.parametrize("path", NAMES)
def test_numpydoc_finds_no_fault(path):
    """pyproject.toml says which checks are left out. Methods need neither an example nor names to look at."""
    validate = pytest.importorskip("numpydoc.validate").validate
    left_out = {path: numpydoc_checks()}
    if inspect.isclass(found(path)):
        left_out |= {f"{path}.{name}": numpydoc_checks() | {"EX01", "SA01"} for name, _ in members(found(path))}
    faults = [(at, *fault) for at, ignored in left_out.items() for fault in validate(at)["errors"] if fault[0] not in ignored]
    assert faults == []


def located(name):
    """Whether there is such a name, or it is in a module whose extra is not here."""
    try:
        return pydoc.locate(name) is not None
    except pydoc.ErrorDuringImport as error:
        return "pip install" in str(error)


@pytest.mark.parametrize("path", NAMES)
def test_names_to_look_at_are_there(path):
    """Those under See Also: of the class, its module, fastlec, or another library."""
    docscrape = pytest.importorskip("numpydoc.docscrape")
    item, module = found(path), path.rpartition(".")[0]
    own = [inspect.getattr_static(item, name) for name, _ in members(item)] if inspect.isclass(item) else []
    for docstring in map(inspect.getdoc, (item, *own)):
        for names, _ in docscrape.NumpyDocString(docstring)["See Also"]:
            for name, _ in names:
                assert any(located(f"{place}{name}") for place in (f"{path}.", f"{module}.", "fastlec.", "")), name


@pytest.mark.parametrize("path", NAMES)
def test_every_argument_and_result_has_a_type(path):
    functions, missing = {path: found(path)}, []
    if inspect.isclass(found(path)):
        functions |= {f"{path}.{name}": function for name, function in members(found(path))}
    for name, function in functions.items():
        if inspect.isclass(function) and issubclass(function, Exception):
            continue  # whose arguments are Python's
        signature = inspect.signature(function)
        types = {given: p.annotation for given, p in signature.parameters.items() if given not in ("self", "cls")}
        if not inspect.isclass(function):
            types["return"] = signature.return_annotation
        missing += [f"{name}: {given}" for given, kind in types.items() if kind is inspect.Signature.empty]
    assert missing == []


def public(module):
    """The names that a module offers: all of its functions where it does not say."""
    functions = (name for name, item in vars(module).items() if inspect.isfunction(item) and item.__module__ == module.__name__)
    return getattr(module, "__all__", [name for name in functions if not name.startswith("_")])


def examples():
    """A doctest for each public function, class and method that has examples."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    objects = {}
    modules = [fastlec, curvature, data, datasets, plot, preprocessing, reference, regression, testing, training]
    modules += [getattr(fastlec, name) for name in ("onnx", "sklearn", "torch") if importlib.util.find_spec(name)]
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
