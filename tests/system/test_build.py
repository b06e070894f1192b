"""What is built and installed: the flags for each machine, the files of the package, its metadata and stubs."""

import ast
import importlib
import importlib.metadata
import re
import shutil
import subprocess
import tomllib
import types
from functools import partial
from pathlib import Path

import pytest
import setups
from interpreter import run

import fastlec

ROOT = Path(__file__).parents[2]
PACKAGE = Path(fastlec.__file__).parent
EXTRAS = {
    "bench",
    "cli",
    "dask",
    "docs",
    "image",
    "mpi",
    "onnx",
    "plot",
    "safetensors",
    "sklearn",
    "table",
    "test",
    "test-bridges",
}
EXTRAS |= {"torch", "types"}


@pytest.fixture
def described(tmp_path, monkeypatch):
    """described(machine, **environment): the libraries that setup.py describes there, by name, and the extension."""
    return partial(setups.described, tmp_path, monkeypatch)


def module_flags(extension):
    """All flags of what is not a kernel."""
    return [*extension.extra_compile_args, *extension.extra_link_args, *(flag for m in extension.modules for flag in m.flags)]


def all_flags(libraries, extension):
    return [flag for library in libraries.values() for flag in library["cflags"]] + module_flags(extension)


def module(extension, name):
    (found,) = (m for m in extension.modules if m.name == f"fastlec._kernels.{name}")
    return found


def of_isa(libraries, isa):
    """The libraries of an instruction set: its table, and its kernels for each dtype."""
    names = (f"fl_{isa}", f"fl_{isa}_f32", f"fl_{isa}_f64")
    return [libraries[name] for name in names]


def test_x86_gets_libraries_for_each_level_and_nothing_else_gets_its_flags(described):
    libraries, extension = described("x86_64")
    levels = {"base": [], "avx2": ["-march=x86-64-v3"], "avx512": ["-march=x86-64-v4"]}
    assert len(libraries) == 3 * len(levels)
    for isa, flags in levels.items():
        assert all([flag for flag in library["cflags"] if flag.startswith("-m")] == flags for library in of_isa(libraries, isa))
    assert not [flag for flag in module_flags(extension) if flag.startswith("-m")]
    assert not {"-ffast-math", "-Ofast", "-march=native", "-flto"} & set(all_flags(libraries, extension))
    assert all({"-fno-lto", "-ffp-contract=fast"} <= set(library["cflags"]) for library in libraries.values())


@pytest.mark.parametrize("machine", ["aarch64", "arm64"])
def test_arm_gets_neon_beside_the_portable_table(described, machine):
    libraries, extension = described(machine)
    assert list(libraries) == [
        "fl_base",
        "fl_neon",
        *(f"fl_{isa}_{dtype}" for isa in ("base", "neon") for dtype in ("f32", "f64")),
    ]
    assert extension.libraries == list(libraries)
    assert not [flag for flag in all_flags(libraries, extension) if flag.startswith("-m")]
    for part in (*[library["macros"] for library in libraries.values()], extension.define_macros):
        assert ("FL_ARM64", "1") in part
        assert ("FL_X86", "1") not in part


@pytest.mark.parametrize("machine", ["riscv64", "ppc64le"])
def test_other_architectures_get_the_portable_table_alone(described, machine):
    libraries, extension = described(machine)
    assert list(libraries) == ["fl_base", "fl_base_f32", "fl_base_f64"]
    assert extension.libraries == list(libraries)
    assert not [flag for flag in all_flags(libraries, extension) if flag.startswith(("-m", "-DFL_X86"))]
    assert all(("FL_X86", "1") not in library["macros"] for library in libraries.values())
    assert ("FL_X86", "1") not in extension.define_macros


def test_the_lists_of_csrc_and_the_libraries_agree(described):
    def listed(name, row):
        return re.findall(rf"^ *{row}\((\w+), ", (ROOT / "csrc" / name).read_text(), re.M)

    libraries = {name for machine in ("x86_64", "aarch64") for name in described(machine)[0]}
    isas, dtypes = listed("isas.def", "FL_ISA_ROW"), listed("dtypes.def", "ROW")
    assert sorted(libraries) == sorted([*(f"fl_{i}" for i in isas), *(f"fl_{i}_{d}" for i in isas for d in dtypes)])
    for name in (*isas, *dtypes):
        assert (ROOT / "csrc/simd" / f"{name}.h").exists()


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_kernels_include_what_they_use():
    """By themselves, not only after the header that the build puts before each."""
    for path in sorted((ROOT / "csrc").glob("kernels/**/*.c")):
        done = subprocess.run(
            ["cc", "-fsyntax-only", "-std=gnu11", "-Werror=implicit", "-Icsrc", "-DFL_ISA=base", "-DFL_DTYPE=f32", str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_kernels_are_rebuilt_when_what_they_include_has_changed_and_no_sooner(described):
    libraries, extension = described("x86_64")
    needed = libraries["fl_avx2_f64"]["obj_deps"]
    gemm = set(needed["csrc/kernels/gemm.c"])
    assert {"csrc/kernels/gemm.c", "csrc/kernels/gemm.h", "csrc/fl.h", "csrc/shared/rules.h"} <= gemm  # rules.h through gemm.h
    assert {"csrc/simd/avx2.h", "csrc/simd/f64.h"} <= gemm
    assert not {"csrc/simd/avx512.h", "csrc/simd/f32.h", "csrc/kernels/softmax.h", "csrc/kernels.def"} & gemm
    assert "csrc/kernels.def" in libraries["fl_avx2"]["obj_deps"]["csrc/table.c"]
    assert {"csrc/table.h", "csrc/kernels.def", "csrc/kernels/gemm.h"} <= set(module(extension, "gemm.jobs").depends)
    assert "csrc/kernels/gemm.c" in extension.depends  # it is linked with the kernels
    assert "csrc/kernels/gemm.c" not in module(extension, "runner").depends


def test_modules_are_translated_when_what_they_cimport_has_changed_and_no_sooner(described, tmp_path):
    def times():
        return {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "fastlec/_kernels").rglob("*.c")}

    def translated(**environment):
        before = times()
        described("x86_64", **environment)
        return {name for name, time in times().items() if before.get(name) != time}

    everything = {m.name.rpartition(".")[2] for m in described("x86_64")[1].modules}
    assert set(times()) == everything
    assert translated() == set()
    (tmp_path / "fastlec/_kernels/kmeans.pyx").touch()
    assert translated() == {"kmeans"}
    (tmp_path / "fastlec/_kernels/conv/winograd_guard.pxd").touch()
    assert "winograd" in (after := translated())
    assert not {"kmeans", "softmax"} & after
    assert translated(FASTLEC_DEBUG="1") == everything


def test_openmp_is_left_out_when_told_and_said_so(described, capsys):
    libraries, extension = described("x86_64", FASTLEC_NO_OPENMP="1")
    assert "-fopenmp" not in all_flags(libraries, extension)
    assert "OpenMP" in capsys.readouterr().err


def test_a_debug_build_has_asserts_and_sanitizers(described):
    libraries, extension = described("x86_64", FASTLEC_DEBUG="1")
    for flags in (libraries["fl_avx2_f32"]["cflags"], module(extension, "memory").flags):
        assert {"-UNDEBUG", "-fsanitize=address,undefined"} <= set(flags)
        assert "-DNDEBUG" not in flags
    libraries, extension = described("x86_64")
    assert not [flag for flag in all_flags(libraries, extension) if "sanitize" in flag]


def test_a_change_of_flags_rebuilds_what_has_them(described, tmp_path):
    def written(name):
        return (tmp_path / f"build/settings-{name}").stat().st_mtime_ns

    libraries, extension = described("x86_64")
    for library in libraries.values():
        assert all("build/settings-kernels" in needed for needed in library["obj_deps"].values())
    assert all("build/settings-modules" in needed for needed in [extension.depends, *(m.depends for m in extension.modules)])
    assert "build/settings-kernels" in extension.depends
    first = written("kernels"), written("modules")
    described("x86_64")
    assert (written("kernels"), written("modules")) == first  # nothing to do
    described("x86_64", FASTLEC_NO_OPENMP="1")
    assert written("kernels") == first[0]
    assert written("modules") != first[1]
    described("x86_64", FASTLEC_DEBUG="1")
    assert written("kernels") != first[0]


def test_the_package_holds_its_data_and_types():
    assert (PACKAGE / "py.typed").exists()
    assert 10_000 < (PACKAGE / "digits.npz").stat().st_size < 100_000


def compiled():
    """The names of all compiled modules, where the sources are."""
    return sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "fastlec").rglob("*.pyx"))


def of_module(module, value):
    """Whether it is defined there, not imported."""
    return not isinstance(value, types.ModuleType) and getattr(value, "__module__", None) in (None, module.__name__)


@pytest.mark.parametrize("name", compiled())
def test_stubs_name_what_the_compiled_modules_offer(name):
    """A module that offers Python nothing has no stub; they are for those who work on the sources, and not installed."""
    module, stub = importlib.import_module(name), ROOT / f"{name.replace('.', '/')}.pyi"
    named = set()
    for node in ast.parse(stub.read_text()).body if stub.exists() else []:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            named.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            named.add(node.target.id)
    assert named == {name for name, value in vars(module).items() if not name.startswith("_") and of_module(module, value)}
    assert bool(named) == stub.exists()


def test_a_tree_that_is_not_built_says_so(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "fastlec", ignore=shutil.ignore_patterns("*.so", "*.c"))
    done = run("import fastlec", PYTHONPATH=str(tmp_path))
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: fastlec is not built for this Python in {tmp_path / 'fastlec/_kernels'}: "
        "expected a compiled library there, as pip makes one"
    )


def test_a_module_that_is_not_there():
    with pytest.raises(ImportError, match="PyInit_nothing"):
        importlib.import_module("fastlec._kernels.nothing")


def test_stubs_are_those_of_compiled_modules():
    stubs = {str(path.relative_to(ROOT)).partition(".")[0].replace("/", ".") for path in (ROOT / "fastlec").rglob("*.pyi")}
    assert stubs <= set(compiled())


def test_every_package_is_installed():
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("the sources are not here")
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in (ROOT / "fastlec").rglob("__init__.py")}
    own = {"fastlec_console": "fastlec.console", "fastlec_pytest": "fastlec.pytest_plugin"}
    assert {own.get(name, name) for name in packages} == found


def test_metadata():
    try:
        distribution = importlib.metadata.distribution("fastlec")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fastlec is not installed")
    assert distribution.version == fastlec.__version__
    assert set(distribution.metadata.get_all("Provides-Extra")) == EXTRAS
    needed = {line.split(">")[0] for line in distribution.requires if "extra ==" not in line}
    assert needed == {"numpy", "scipy"}
    assert [script.value for script in distribution.entry_points if script.group == "console_scripts"] == [
        "fastlec_console:main"
    ]


def test_show_config_tells_what_a_bug_report_needs(capsys):
    facts = fastlec.show_config("dict")
    assert fastlec.show_config() is None
    printed = capsys.readouterr().out
    assert all(f"{name} " in printed for name in facts)
    assert f"fastlec    {fastlec.__version__}\n" in printed
    assert facts["isa"]["in use"] in facts["isa"]["available"]
    with pytest.raises(ValueError, match=r"^mode is 'xml'; expected 'stdout' or 'dict'$"):
        fastlec.show_config("xml")


def test_every_public_name_is_there():
    for name in fastlec.__all__:
        assert getattr(fastlec, name) is not None
    assert dir(fastlec) == sorted(fastlec.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fastlec.nothing
