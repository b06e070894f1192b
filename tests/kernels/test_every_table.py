"""Every kernel of every table beside that of the base table: the program check/main.c, for this machine and, where a cross compiler
is installed, for aarch64 under qemu-user."""

import os
import platform
import re
import shlex
import shutil
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import setups
from interpreter import finished

from fastlec._kernels import runner

CHECK = Path(__file__).parent / "check"
KERNELS = re.findall(r"^FL_KERNEL\((\w+)\)", (setups.ROOT / "csrc/kernels.def").read_text(), re.M)
COMPILER = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
CROSS, QEMU = "aarch64-linux-gnu-gcc", "qemu-aarch64"  # Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user


def flags_of(library):
    return [*library["cflags"], *(f"-D{name}={value}" for name, value in library["macros"]), "-Icsrc"]


def made(command, path, sources):
    """The file that this command writes, anew if it is older than one of the sources."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or max(source.stat().st_mtime for source in sources) > path.stat().st_mtime:
        done = finished([*command, "-o", str(path)], cwd=setups.ROOT, timeout=600)
        assert done.returncode == 0, done.stderr
    return str(path)


def compiled(compiler, libraries, folder):
    """The objects of these libraries."""

    def compile_one(unit):
        name, library, source = unit
        command = [*compiler, *flags_of(library), "-c", source]
        needed = [setups.ROOT / path for path in ["setup.py", *library["obj_deps"][source]] if path != "build/settings-kernels"]
        return made(command, folder / name / f"{source.replace('/', '-')}.o", needed)

    units = [(name, library, source) for name, library in libraries.items() for source in library["sources"]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, units))


def programs(compiler, libraries, folder, kernels):
    """The program for each dtype. kernels: the objects or archives to link."""
    sources = [*CHECK.iterdir(), *(setups.ROOT / "csrc").rglob("*.[hd]*"), *map(Path, kernels)]
    found = {}
    for dtype in ("f32", "f64"):
        flags = [*flags_of(libraries["fl_base"]), f"-I{CHECK}", "-O1", f"-DFL_DTYPE={dtype}", "-Werror", "-Wno-unused-function"]
        parts = [str(CHECK / "main.c"), "csrc/dispatch.c", *kernels, "-lm"]
        found[dtype] = made([*compiler, *flags, "-static", *parts], folder / f"check-{dtype}", sources)
    return found


def described(tmp_path_factory, machine):
    with pytest.MonkeyPatch.context() as patch:
        return setups.described(tmp_path_factory.mktemp("setup"), patch, machine)[0]


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """The command of the program for each dtype, with the kernels that the last build has left."""
    libraries, settings = described(tmp_path_factory, platform.machine()), setups.ROOT / "build/settings-kernels"
    archives = {path.stem.removeprefix("lib"): str(path) for path in setups.ROOT.glob("build/temp*/libfl_*.a")}
    if set(archives) != set(libraries) or "-fsanitize" in settings.read_text() or not shutil.which(COMPILER[0]):
        pytest.skip("there is no release build here, or no compiler")
    found = programs(COMPILER, libraries, tmp_path_factory.mktemp("check"), [archives[name] for name in libraries])
    return {dtype: [path] for dtype, path in found.items()}


@pytest.fixture(scope="module")
def aarch64(tmp_path_factory):
    """Likewise, for aarch64 under qemu-user, with kernels compiled for it in build/aarch64."""
    for tool in (CROSS, QEMU):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    libraries, folder = described(tmp_path_factory, "aarch64"), setups.ROOT / "build/aarch64"
    found = programs([CROSS], libraries, folder, compiled([CROSS], libraries, folder))
    return {dtype: [QEMU, path] for dtype, path in found.items()}


def told(command, tables, dtype):
    """What the program prints where all is well."""
    done = finished(command, timeout=290)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(r"^(\w+) (\w+): (\d+) kernels, (\d+) results$", done.stdout, re.M)
    assert [line[:3] for line in lines] == [(table, dtype, str(len(KERNELS))) for table in tables]
    assert all(int(results) > 1000 for *_, results in lines)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_every_table_of_this_cpu_agrees_with_base(native, dtype):
    told(native[dtype], runner.isas()[:-1], dtype)


@pytest.mark.timeout(1200)  # compiles all kernels, where it has not done so before
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_neon_agrees_with_base(aarch64, dtype):
    told(aarch64[dtype], ["neon"], dtype)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("isa", ["base", "neon"])
def test_every_function_of_the_vocabulary_on_aarch64(aarch64, tmp_path_factory, isa, dtype):
    library = described(tmp_path_factory, "aarch64")[f"fl_{isa}_{dtype}"]
    folder = tmp_path_factory.mktemp("vocabulary")
    source = CHECK.with_name("simd_check.c")
    command = [QEMU, made([CROSS, *flags_of(library), "-static", str(source), "-lm"], folder / "check", [source])]
    done = finished(command)
    assert (done.returncode, done.stdout) == (0, "")
