"""What setup.py describes, without building it: its libraries and extension modules."""

import runpy
import shutil
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def described(folder, monkeypatch, machine, **environment):
    """The libraries and extension modules that setup.py describes on such a machine, by name. It runs in a copy in this folder."""
    if not (ROOT / "setup.py").exists():
        pytest.skip("the sources are not here")
    setuptools = pytest.importorskip("setuptools")
    if not (folder / "setup.py").exists():
        shutil.copytree(ROOT / "csrc", folder / "csrc")
        shutil.copytree(ROOT / "fastlec/_kernels", folder / "fastlec/_kernels", ignore=shutil.ignore_patterns("*.so"))
        shutil.copy(ROOT / "setup.py", folder)
    cython = types.ModuleType("Cython.Build")
    cython.cythonize = lambda modules, **_: modules
    told = {}
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(sys.modules, "Cython", types.ModuleType("Cython"))
        patch.setitem(sys.modules, "Cython.Build", cython)
        patch.setattr("platform.machine", lambda: machine)
        patch.setattr(setuptools, "setup", told.update)
        for name in ("FASTLEC_DEBUG", "FASTLEC_NO_OPENMP"):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        runpy.run_path("setup.py")
    return dict(told["libraries"]), {module.name: module for module in told["ext_modules"]}
