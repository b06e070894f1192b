"""What setup.py describes, without building it: its libraries and its extension. Cython leaves empty files."""

import runpy
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def described(folder, monkeypatch, machine, **environment):
    """The libraries that setup.py describes on such a machine, by name, and the extension. It runs in a copy in this folder."""
    if not (ROOT / "setup.py").exists():
        pytest.skip("the sources are not here")
    setuptools = pytest.importorskip("setuptools")
    if not (folder / "setup.py").exists():
        shutil.copytree(ROOT / "csrc", folder / "csrc")
        shutil.copytree(ROOT / "fastlec/_kernels", folder / "fastlec/_kernels", ignore=shutil.ignore_patterns("*.so", "*.c"))
        shutil.copy(ROOT / "setup.py", folder)
    cython = pytest.importorskip("Cython.Build")
    told = {}

    def cythonize(paths, **_):
        for path in paths:
            Path(path).with_suffix(".c").write_text("")

    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(cython, "cythonize", cythonize)
        patch.setattr("platform.machine", lambda: machine)
        patch.setattr(setuptools, "setup", told.update)
        for name in ("FASTLEC_DEBUG", "FASTLEC_NO_OPENMP"):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        runpy.run_path("setup.py")
    (extension,) = told["ext_modules"]
    return dict(told["libraries"]), extension
