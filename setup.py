"""Builds the C kernels once for each instruction set, as static libraries, and the Cython modules that use them.

FASTLEC_DEBUG=1      asserts, AddressSanitizer and UndefinedBehaviorSanitizer, Cython's bounds checks
FASTLEC_NO_OPENMP=1  serial, as where the compiler has no OpenMP
"""

import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from glob import glob
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FASTLEC_DEBUG") == "1"
COMPILER = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
X86 = platform.machine().lower() in ("x86_64", "amd64")
ISAS = {"base": []} | ({"avx2": ["-march=x86-64-v3"], "avx512": ["-march=x86-64-v4"]} if X86 else {})
SETTINGS = Path("build", "settings")  # compiler and flags of the last build
DEPENDS = [
    *sorted(glob("csrc/**/*.h", recursive=True)),
    "csrc/kernels.def",
    str(SETTINGS),
]  # a change to one rebuilds everything
MACROS = [("FL_X86", "1")] if X86 else []
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


def works(source, flags):
    """Whether the compiler turns this into a program with these flags, without a warning."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "probe.c")
        path.write_text(source)
        command = [*COMPILER, "-Werror", *flags, str(path), "-o", str(path.with_suffix(""))]
        return subprocess.run(command, capture_output=True).returncode == 0


def openmp_flags():
    probe = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
    if os.environ.get("FASTLEC_NO_OPENMP") != "1" and works(probe, ["-fopenmp"]):
        return ["-fopenmp"]
    print(f"fastlec: no OpenMP with {shlex.join(COMPILER)}: building a library that computes on one core", file=sys.stderr)
    return []


def changed(path, text):
    """Writes the file if it does not hold this text already, and whether it did not. What depends on it is then rebuilt."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True


# -fexpensive-optimizations: gcc then contracts to FMA at -O1 too, so that the debug build computes what the others do.
# ISA flags touch isa_*.c alone. No -ffast-math: it would change the whole process's floating point.
common = ["-std=gnu11", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-psabi"]
common += ["-O1", "-fexpensive-optimizations", "-g", "-UNDEBUG", *SANITIZE] if DEBUG else ["-O3", "-DNDEBUG"]
kernel_flags = [*common, "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-fno-lto"]
openmp = openmp_flags()
rebuild = changed(SETTINGS, shlex.join([*COMPILER, *kernel_flags, *openmp]) + "\n")
libraries = [
    (
        f"fl_{isa}",
        {
            "sources": [f"csrc/isa_{isa}.c"],
            "cflags": [*kernel_flags, *march],
            "macros": MACROS,
            "include_dirs": ["csrc"],
            "obj_deps": {"": DEPENDS},
        },
    )
    for isa, march in ISAS.items()
]


def extension(path):
    name = ".".join(Path(path).with_suffix("").parts)
    runner = name == "fastlec._kernels.runner"  # the one module that holds the tables; the others reach it through its .pxd
    team = openmp if runner else []
    debug = SANITIZE if DEBUG else []
    return Extension(
        name,
        [path] + (["csrc/dispatch.c"] if runner else []),
        depends=DEPENDS,
        include_dirs=["csrc", numpy.get_include()],
        define_macros=[*MACROS, ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=[*common, "-Wno-unused-function", "-Wno-unused-parameter", *team],
        extra_link_args=[*team, *debug] + ([] if DEBUG else ["-Wl,-s"] if sys.platform == "linux" else []),
        libraries=[f"fl_{isa}" for isa in ISAS] if runner else [],
    )


setup(
    libraries=libraries,
    ext_modules=cythonize(
        [extension(path) for path in sorted(glob("fastlec/_kernels/**/*.pyx", recursive=True))],
        force=rebuild,
        compiler_directives={
            "language_level": "3",
            "boundscheck": DEBUG,
            "initializedcheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "embedsignature": True,
        },
    ),
)
