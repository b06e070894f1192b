"""Public names: where they are found, and what is imported for them."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest
from interpreter import output

import fastlec

ROOT = Path(fastlec.__file__).parent
PACKAGES = [".".join(path.parent.relative_to(ROOT.parent).parts) for path in sorted(ROOT.rglob("__init__.py"))]


@pytest.mark.parametrize("name", PACKAGES)
def test_names_that_a_package_offers(name):
    """Each is there; and no module has the name of a function or class, which it would shadow once it is imported."""
    if name in ("fastlec.onnx", "fastlec.torch"):
        pytest.importorskip(name.removeprefix("fastlec."))
    package = importlib.import_module(name)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    for offered in {*vars(package), *getattr(package, "__all__", ())}:
        found = getattr(package, offered)
        assert inspect.ismodule(found) or offered not in modules, offered


MODULES = ("cluster", "convolution", "explanation", "filters", "functional", "images", "linear", "robust")


@pytest.mark.parametrize("name", MODULES)
def test_dir_of_a_module_of_functions(name):
    """What users need, which has a docstring, and no more."""
    module = importlib.import_module(f"fastlec.{name}")
    assert dir(module) == sorted(module.__all__)
    assert all(getattr(module, offered).__doc__ for offered in module.__all__)


def test_paths_that_people_import_from():
    from fastlec import fit
    from fastlec.cli import main
    from fastlec.data import DataError, Dataset, class_count, load, load_digits, split
    from fastlec.io import ModelError, load_model, save_arrays
    from fastlec.training import train_softmax

    functions = (fit, main, class_count, load, load_digits, split, load_model, save_arrays, train_softmax)
    assert all(map(inspect.isfunction, functions))
    assert all(map(inspect.isclass, (DataError, Dataset, ModelError)))


def executed(node):
    """A node and those below it, but for what type checkers alone read."""
    yield node
    typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    for below in node.orelse if typing else ast.iter_child_nodes(node):
        yield from executed(below)


def imported(path):
    """The modules and packages of fastlec that a file imports, by their full names."""
    package = ("fastlec", *path.relative_to(ROOT).parent.parts)
    for node in executed(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(
                (*package[: len(package) - node.level + 1], *filter(None, [node.module])) if node.level else [node.module]
            )
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_the_library_does_not_import_what_is_made_with_it():
    """The course's applications, the command line, the benchmarks: but for a name of the course that training offers when asked."""
    made = ("cli", "course", "bench", "console")
    made_here = {*made, "__main__.py"}
    library = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in made_here]
    assert len(library) > 30
    for path in library:
        if path != ROOT / "training" / "__init__.py":
            assert not [name for name in imported(path) if name.startswith(tuple(f"fastlec.{part}" for part in made))], path


def test_what_takes_long_to_import_waits_until_it_is_asked_for():
    loaded = set(output("import sys, fastlec; fastlec.fit, fastlec.training; print(*sys.modules)").split())
    slow = (
        "cli",
        "course",
        "data",
        "datasets",
        "io",
        "onnx",
        "plot",
        "reference",
        "regression",
        "robust",
        "sklearn",
        "testing",
        "torch",
    )
    late = {f"fastlec.{name}" for name in slow}
    assert not {*late, "gzip", "onnx", "scipy", "sklearn", "torch", "zipfile"} & loaded


@pytest.mark.parametrize("folder", [False, True], ids=["none", "a folder of its name"])
@pytest.mark.parametrize(("bridge", "library"), [("torch", "PyTorch"), ("sklearn", "scikit-learn"), ("onnx", "onnx")])
@pytest.mark.parametrize("use", ["fastlec.{}", "import fastlec.{}", "from fastlec import {}", "hasattr(fastlec, '{}')"])
def test_a_bridge_says_which_extra_it_needs(use, bridge, library, folder, tmp_path):
    """In an ImportError, also to hasattr: no exception can be an AttributeError as well, for their layouts differ."""
    (tmp_path / bridge).mkdir()
    without = f"sys.path[:] = [{str(tmp_path)!r}]" if folder else f"sys.modules[{bridge!r}] = None"
    ask = f"import sys, fastlec; {without}\ntry: {use.format(bridge)}\nexcept ImportError as error: print(error)"
    assert output(ask) == f"fastlec.{bridge} needs {library}: pip install 'fastlec[{bridge}]'"


def test_no_package_imports_in_a_circle():
    """Parts of fastlec, packages and modules of the top, in an order in which each imports those before it alone. Of the top itself
    anything may be imported; and two names of the course are found where people look for them."""
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")} - {"__init__"}
    needs = {part: set() for part in parts}
    for path in ROOT.rglob("*.py"):
        own = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if own != "__init__" and path not in (ROOT / "training" / "__init__.py", ROOT / "io.py"):
            needs[own] |= {name.split(".")[1] for name in imported(path) if name.startswith("fastlec.")} & parts - {own}
    while needs:
        free = {part for part, others in needs.items() if not others & needs.keys()}
        assert free, f"a circle in {needs}"
        for part in free:
            del needs[part]
