"""The vocabulary of vectors, csrc/simd: simd_check.c compares each function with scalar code, for each dtype and ISA."""

import platform
import shlex
import shutil
import sysconfig
from pathlib import Path

import pytest
import setups
from interpreter import finished

from fastlec._kernels import runner

CHECK = Path(__file__).with_name("simd_check.c")
COMPILER = shlex.split(sysconfig.get_config_var("CC") or "cc")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return setups.described(tmp_path_factory.mktemp("setup"), patch, platform.machine())[0]


@pytest.mark.parametrize("level", ["-O1", "-O3"])  # -O1: vectors pass through memory; -O3: as kernels are compiled
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("isa", runner.isas())
def test_every_function_of_the_vocabulary(libraries, isa, dtype, level, tmp_path):
    if not shutil.which(COMPILER[0]):
        pytest.skip("there is no C compiler here")
    library = libraries[f"fl_{isa}_{dtype}"]
    flags = [
        *library["cflags"],
        *(f"-D{name}={value}" for name, value in library["macros"]),
        f"-I{setups.ROOT / 'csrc'}",
        level,
    ]
    built = finished([*COMPILER, *flags, "-Werror", str(CHECK), "-o", str(tmp_path / "check"), "-lm"])
    assert built.returncode == 0, built.stderr
    done = finished([str(tmp_path / "check")])
    assert (done.returncode, done.stdout) == (0, "")
