"""What users see: the names that the pages of the reference list, and the methods and properties of classes among them."""

import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "api"


def listed():
    """{module: the names that the pages of the reference list}, nothing where the sources are not here."""
    names, module = {}, None
    for page in sorted(PAGES.glob("*.md")):
        for kind, name in re.findall(r"^\.\. (currentmodule|autofunction|autoclass):: (\S+)$", page.read_text(), re.M):
            if kind == "currentmodule":
                module = name
            else:
                names.setdefault(module, []).append(name)
    return names


def module_of(name):
    """The module; the test is skipped where it needs an extra that is not here."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if "pip install" not in str(error):
            raise
        pytest.skip(str(error))


def members(cls):
    """(name, the function behind it) for each public method and property of fastlec's own."""
    for name in dir(cls):
        if name.startswith("_"):
            continue
        owner = next(base for base in cls.__mro__ if name in vars(base))
        item = inspect.getattr_static(cls, name)
        function = item.fget if isinstance(item, property) else getattr(cls, name)
        own = owner.__module__.startswith("fastlec") and getattr(function, "__module__", None) == owner.__module__
        if own and callable(function) and not inspect.isclass(function):
            yield name, function


def numpydoc_checks():
    """The checks of numpydoc that pyproject.toml leaves out."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]["checks"]
    assert settings[0] == "all"
    return set(settings[1:])
