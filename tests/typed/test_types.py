"""Types: what mypy and pyright say of a program that uses the whole library, of mistakes, and of the library's own names.

They are slow where they start with nothing, and skipped where they are not installed: the extras `test` and `types` hold them.
"""

import importlib.util
import inspect
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from interpreter import finished
from public import ROOT, listed, members, module_of

import fastlec

HERE = Path(__file__).parent
LIBRARY = Path(fastlec.__file__).parents[1]
FOUND = {} if LIBRARY.name == "site-packages" else {"PYTHONPATH": str(LIBRARY)}  # so that processes import what is tested
STUBS = sorted((ROOT / "fastlec" / "_kernels").rglob("*.pyi"))


def tool(module, *arguments, **environment):
    """The finished process of a module of this Python, which finds the library that is tested."""
    if not importlib.util.find_spec(module.partition(".")[0]):
        pytest.skip(f"{module} is not installed")
    command = [sys.executable, "-Pm", module, *map(str, arguments)]
    here = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    }  # where pyright looks for Python's packages
    return finished(command, timeout=280, cwd=HERE, env=os.environ | FOUND | here | environment)


def planted():
    """The numbers of the lines of mistakes.py that have one."""
    return [n for n, line in enumerate((HERE / "mistakes.py").read_text().splitlines(), 1) if line.endswith("# error")]


def test_the_program_runs():
    done = finished([sys.executable, "-W", "error", HERE / "program.py"], env=os.environ | FOUND)
    assert (done.returncode, done.stderr) == (0, "")


def test_mypy(pytestconfig):
    cache = pytestconfig.cache.mkdir("mypy")
    done = tool(
        "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--cache-dir", cache, "program.py", "mistakes.py"
    )
    errors = re.findall(r"^(\w+\.py):(\d+): error: .*$", done.stdout, re.M)
    assert "program.py" not in dict(errors), done.stdout
    assert sorted({int(line) for _, line in errors}) == planted(), done.stdout


@pytest.mark.parametrize("mode", ["basic", "strict"])
def test_pyright(mode, tmp_path):
    for name in ("program.py", "mistakes.py"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": mode}))
    done = tool("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", tmp_path)
    found = {"program.py": [], "mistakes.py": []}
    for item in json.loads(done.stdout)["generalDiagnostics"]:
        found[Path(item["file"]).name].append((item["range"]["start"]["line"] + 1, item["message"]))
    assert found["program.py"] == []
    assert sorted({line for line, _ in found["mistakes.py"]}) == planted(), found["mistakes.py"]


def public_symbols():
    """The names under which pyright knows what users see: those of the modules that define them."""
    for module, names in listed().items():
        for name in names:
            item = getattr(module_of(module), name)
            yield f"{module}.{name}"
            yield f"{item.__module__}.{item.__qualname__}"
            if inspect.isclass(item):
                yield from (f"{function.__module__}.{function.__qualname__}" for _, function in members(item))


def test_pyright_knows_the_types_of_public_names():
    for name in ("sklearn", "torch", "onnx"):
        pytest.importorskip(name)
    done = tool("pyright", "--outputjson", "--pythonpath", sys.executable, "--ignoreexternal", "--verifytypes", "fastlec")
    known = {symbol["name"]: symbol["isTypeKnown"] for symbol in json.loads(done.stdout)["typeCompleteness"]["symbols"]}
    public = {name for name in public_symbols() if name in known}
    unknown = sorted(name for name in public if not known[name])
    assert len(public) > 400
    assert len(unknown) <= 0.05 * len(public), unknown


@pytest.mark.skipif(not STUBS, reason="the sources are not here")
def test_stubs_say_what_the_compiled_modules_are(tmp_path, pytestconfig):
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\nfollow_imports = skip\nignore_errors = true\n")
    allowed = tmp_path / "allowed"
    allowed.write_text(r".*\.(__test__|__pyx_capi__)" + "\n")  # what Cython adds
    modules = [".".join(stub.relative_to(ROOT).with_suffix("").parts) for stub in STUBS]
    options = ("--mypy-config-file", settings, "--ignore-disjoint-bases", "--allowlist", allowed, "--ignore-unused-allowlist")
    done = tool("mypy.stubtest", *options, *modules, MYPYPATH=str(ROOT))
    assert done.returncode == 0, done.stdout + done.stderr
