"""The tables of kernels: complete, in agreement with their declarations, chosen as told, and without instructions or symbols
that do not belong where they are."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from interpreter import finished, output, run

import fastlec
from fastlec._kernels import runner

ROOT = Path(__file__).parents[2]
V3 = {"avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}  # beyond x86-64-v2, as /proc/cpuinfo calls them
V4 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}

needs_sources = pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="the C sources are not here")


def tool(*command):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    done = finished(command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def built(pattern):
    """Files that the last build has left; skips where there was none, or one with sanitizers, which put in their own code."""
    settings = ROOT / "build" / "settings-kernels"
    files = sorted(ROOT.glob(f"build/temp*/{pattern}"))
    if not files or not settings.exists() or "-fsanitize" in settings.read_text():
        pytest.skip("no release build here")
    return files


@needs_sources
def test_cython_declares_the_kernels_of_the_list_in_its_order():
    kernels = re.findall(r"^FL_KERNEL\((\w+)\)", (ROOT / "csrc/kernels.def").read_text(), re.M)
    declared = (ROOT / "fastlec/_kernels/fl.pxd").read_text()
    assert re.findall(r"\bFL_KERNEL_(\w+)", declared) == kernels
    assert "fl_block_fn fn[FL_KERNELS][FL_DTYPES]" in declared  # as many as C says


@needs_sources
def test_cython_declares_every_field_of_the_jobs_in_c_order():
    """C lays a struct out by C's declaration; Cython's must name the same fields for it to mean the same."""

    def fields(text):
        for body, name in re.findall(r"typedef struct \{([^}]*)\} (fl_\w+_job);", text):
            yield name, re.findall(r"(\w+)(?=[,;])", body)

    def declared_fields(text):
        for name, body in re.findall(r"ctypedef struct (fl_\w+_job):\n((?:        .*\n)+)", text):
            yield name, re.findall(r"(\w+)(?=,|$)", body, re.M)

    headers = "".join(header.read_text() for header in (ROOT / "csrc/kernels").glob("**/*.h"))
    expected = dict(fields(re.sub(r"/\*.*?\*/", "", headers, flags=re.S)))
    assert len(expected) >= 5
    assert dict(declared_fields((ROOT / "fastlec/_kernels/fl.pxd").read_text())) == expected


def test_the_best_table_that_runs_here_is_the_default():
    here, compiled = runner.isas(), runner.compiled_isas()
    assert compiled[-1] == here[-1] == "base"
    assert here == [name for name in compiled if name in here]  # best first, as compiled
    assert output("import fastlec; print(fastlec.isa())") == here[0]
    assert output("import fastlec; print(fastlec.isa())", FASTLEC_ISA="") == here[0]


def test_the_tables_that_run_here_are_those_of_this_cpu():
    cpuinfo = Path("/proc/cpuinfo")
    if "avx2" not in runner.compiled_isas() or not cpuinfo.exists():
        pytest.skip("neither x86 nor Linux")
    features = set(re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.M)[1].split())
    assert ("avx2" in runner.isas()) == (features >= V3)
    assert ("avx512" in runner.isas()) == (features >= V3 | V4)


@pytest.mark.parametrize("name", runner.isas())
def test_each_table_can_be_asked_for(name):
    code = "import fastlec, numpy; print(fastlec.isa(), fastlec.softmax(numpy.zeros((3, 4))).sum())"
    assert output(code, FASTLEC_ISA=name) == f"{name} 3.0"


@pytest.mark.parametrize("name", ["sse9", "AVX2", " base", *(set(runner.compiled_isas()) - set(runner.isas()))])
def test_a_table_that_is_unknown_or_does_not_run_here_is_an_import_error(name):
    done = run("import fastlec", FASTLEC_ISA=name)
    assert done.returncode == 1
    choices = ", ".join(runner.isas())
    assert done.stderr.endswith(f"ImportError: FASTLEC_ISA names instruction set {name!r}: expected one of {choices}\n")
    with pytest.raises(ValueError, match="expected one of"):
        runner.select_isa(name)
    assert runner.isa() in runner.isas()


def test_a_table_is_selected_for_later_calls(isa):
    assert fastlec.isa() == runner.isa() == isa
    assert fastlec.show_config("dict")["isa"]["in use"] == isa


@pytest.mark.parametrize("limit", ["0", "-1", "two", "1.5", " "])
def test_a_bad_thread_limit_in_the_environment_is_an_import_error(limit):
    done = run("import fastlec", FASTLEC_NUM_THREADS=limit)
    assert done.returncode == 1
    assert done.stderr.endswith(f"ImportError: FASTLEC_NUM_THREADS is {limit!r}; expected an integer >= 1\n")


def test_the_thread_limit_of_the_environment_holds():
    code = "import fastlec; print(fastlec.get_num_threads())"
    assert output(code, FASTLEC_NUM_THREADS="1") == "1"
    assert output(code, FASTLEC_NUM_THREADS="") == output(code, FASTLEC_NUM_THREADS="9" * 20) == output(code)


def test_import_is_silent_and_light_and_changes_no_environment_variable():
    code = """
        import subprocess, sys
        import numpy
        before = subprocess.run(["env"], capture_output=True).stdout     # what C sees, which os.environ may not know of
        import fastlec
        assert subprocess.run(["env"], capture_output=True).stdout == before
        heavy = {"scipy", "typer", "click", "rich", "matplotlib", "sklearn", "torch", "threadpoolctl", "multiprocessing"}
        assert not heavy & {name.partition(".")[0] for name in sys.modules}
    """
    assert output(code, flags=("-W", "error", "-X", "dev")) == ""


def test_the_state_of_floating_point_stays_as_it_was():
    code = """
        import ctypes, threading
        import numpy as np

        libm = ctypes.CDLL(None)

        def state():
            env = (ctypes.c_uint8 * 64)()
            assert libm.fegetenv(env) == 0
            control = bytes(env[:2]) + bytes([env[28] & 0xC0, env[29]])      # x87 control word; MXCSR without its sticky flags
            tiny = np.full(1000, 5e-324)
            return control, libm.fegetround(), (tiny * 1).all(), np.float32(1e-45) * np.float32(1)

        before = state()
        import fastlec
        assert state() == before
        x = np.linspace(-800, 800, 600_000).reshape(-1, 10)
        for dtype in "f4", "f8":
            fastlec.softmax(x.astype(dtype)), fastlec.tanh(x.astype(dtype)), fastlec.sigmoid(x.astype(dtype))
        f = fastlec.SoftmaxObjective(x, np.arange(len(x)) % 3)
        f.value_and_gradient(np.ones(f.n_params))
        assert state() == before, (state(), before)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(state()))
        thread.start(), thread.join()
        assert seen == [before]
    """
    if not (Path("/proc/self/maps").exists() and "avx2" in runner.compiled_isas()):
        pytest.skip("the layout of fenv_t is known for Linux on x86-64")
    output(code)


def test_kernels_keep_subnormals(isa, dtype):
    tiny = np.full(1000, np.finfo(dtype).smallest_subnormal)
    assert (fastlec.relu(tiny) == tiny).all()
    assert (fastlec.tanh(tiny) == tiny).all()


def isa_of(file):
    """The instruction set of an object of the kernels, by its folder; "" for others."""
    library = next((name for name in file.parts if name.startswith("fl_")), "fl_")
    return library.split("_")[1]


def test_code_for_any_cpu_has_no_avx():
    """Objects that run before or without the choice of a table: one AVX instruction there kills the process on an old CPU. Their
    names begin with v, whatever the width of their registers; so do those of two that every CPU has."""
    if "avx2" not in runner.compiled_isas():
        pytest.skip("not x86")
    baseline = [file for file in built("**/*.o") if isa_of(file) in ("", "base")]
    assert {"gemm", "table", "dispatch", "runner"} <= {file.stem for file in baseline}
    for file in baseline:
        code = tool("objdump", "-d", "--no-show-raw-insn", str(file))
        assert not re.search(r"%[yz]mm|%k[0-7]\b|\tv(?!err|erw)\w+", code), file.name


@pytest.mark.parametrize(("name", "register"), [("avx2", "%ymm"), ("avx512", "%zmm")])
def test_code_for_wide_registers_uses_them(name, register):
    for file in built(f"fl_{name}_f*/**/*.o"):
        if file.stem in ("gemm", "softmax", "tile", "winograd"):
            assert tool("objdump", "-d", "--no-show-raw-insn", str(file)).count(register) > 100


def test_each_archive_defines_its_table_or_its_kernels_and_nothing_else():
    kernels = set(re.findall(r"^FL_KERNEL\((\w+)\)", (ROOT / "csrc/kernels.def").read_text(), re.M))
    for file in built("libfl_*.a"):
        name = file.stem.removeprefix("libfl_")
        defined = set(re.findall(r" [A-TV-Z] (\w+)$", tool("nm", "--defined-only", "--extern-only", str(file)), re.M))
        if "_" in name:
            isa, dtype = name.split("_")
            assert {f"fl_{kernel}_{dtype}_{isa}" for kernel in kernels} <= defined
            assert all(re.fullmatch(rf"fl_\w+_{dtype}_{isa}", symbol) for symbol in defined)
        else:
            assert defined == {f"fl_table_{name}"}


@needs_sources
def test_the_library_exports_the_initialisation_of_each_module_and_nothing_else():
    exported = re.findall(r" [A-TV-Z] (\w+)$", tool("nm", "-D", "--defined-only", runner.__file__), re.M)
    modules = {f"PyInit_{path.stem}" for path in (ROOT / "fastlec").rglob("*.pyx")}
    assert {symbol for symbol in exported if not symbol.startswith(("__odr_asan", "_init", "_fini"))} == modules
