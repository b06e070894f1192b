"""Builds the C kernels as static libraries, one for each instruction set and dtype, and the Cython modules that use them.

A file of csrc/kernels is compiled once for each of these libraries, all of them in parallel, and again when it or a header that it
includes has changed. csrc/table.c makes the table of the kernels of one instruction set.

FASTLEC_DEBUG=1      asserts, AddressSanitizer and UndefinedBehaviorSanitizer, Cython's bounds checks
FASTLEC_NO_OPENMP=1  serial, as where the compiler has no OpenMP
"""

import multiprocessing
import os
import platform
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path
from types import SimpleNamespace

import numpy
from Cython import __version__ as cython_version
from Cython.Build import cythonize
from Cython.Build.Dependencies import create_dependency_tree
from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("FASTLEC_DEBUG") == "1"
COMPILER = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
JOBS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
X86 = platform.machine().lower() in ("x86_64", "amd64")
ARM64 = platform.machine().lower() in ("aarch64", "arm64")
# Few x86-64 machines have no AVX2, and every aarch64 machine has NEON: there the table for any CPU is small rather than fast, a
# tenth of the wheel less. On aarch64 gcc would move loads up before it has registers for them, and keep sums of a tile in memory.
ISAS = {"base": ["-Os"] if X86 or ARM64 else []}
if X86:
    ISAS |= {"avx2": ["-march=x86-64-v3"], "avx512": ["-march=x86-64-v4"]}
elif ARM64:
    ISAS["neon"] = ["-fno-schedule-insns"]
DTYPES = ("f32", "f64")
KERNELS = sorted([*glob("csrc/kernels/**/*.c", recursive=True), *glob("csrc/shared/*.c")])
KERNEL_SETTINGS, MODULE_SETTINGS = Path("build", "settings-kernels"), Path("build", "settings-modules")  # of the last build
RUNNER = "fastlec._kernels.runner"  # the one module that starts teams of threads
MACROS = [("FL_X86", "1")] if X86 else [("FL_ARM64", "1")] if ARM64 else []
SMALL = ["-fno-asynchronous-unwind-tables"]  # 80 KB of the wheel; nothing in C here is unwound
# Kernels in which a loop stays one, whatever its body asks on the way: what would be worth a loop of its own is a constant there.
# 30 KB of the wheel, and no benchmark slower (AVX2); with these flags others were.
PLAIN_FLAGS = ["-fno-unswitch-loops", "-fno-split-loops"]
PLAIN = ("images", "norm_dense", "pack", "pool2d", "slope", "winograd", "winograd_pack", "winograd_weights")
# Modules with -O2: those that calls go through, and those with loops over elements. The others plan, and are smaller by -Os.
CALLED = ("runner", "memory", "plan", "calls", "map", "softmax", "xent", "linear", "single")
LINKED = (
    ["-Wl,-s", "-Wl,-z,noseparate-code", "-Wl,--build-id=none"] if sys.platform == "linux" else []
)  # no symbols, no padding
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


def included(path, isa="base", dtype="f32"):
    """The file and all of csrc that it includes, directly or not: what is made of it depends on these."""
    text = re.sub(r"FL_SIMD_HEADER\((\w+)\)", r'"simd/\1.h"', Path(path).read_text())
    text = text.replace('"simd/FL_ISA.h"', f'"simd/{isa}.h"').replace('"simd/FL_DTYPE.h"', f'"simd/{dtype}.h"')
    names = re.findall(r'^(?:#include|cdef extern from) "(.+)"', text, re.M)
    return sorted({path}.union(*(included(f"csrc/{name}", isa, dtype) for name in names)))


def outdated(path, sources):
    """Whether the file is older than one of those that it is made of, or is not there."""
    return not os.path.exists(path) or max(map(os.path.getmtime, sources)) > os.path.getmtime(path)


class build_kernels(build_clib):
    """Compiles what is out of date of all libraries at once, in a folder for each: they are made from the same sources."""

    def precompiled(self, named):
        """The library's name, and the flags that include simd/simd.h precompiled, where the library's files include it.

        The compiler's own headers of intrinsics take half a second to read: most of the time of a short kernel file. A compiler
        that cannot use what is precompiled reads the header itself.
        """
        name, library = named
        if not library["simd"]:
            return name, []
        header = Path(self.build_temp, name, "first.h")
        changed(header, '#include "simd/simd.h"\n')
        result = f"{header}.gch"
        if self.force or outdated(result, [str(header), *library["simd"]]):
            macros = [f"-D{macro}={value}" for macro, value in library["macros"]]
            command = [
                *self.compiler.compiler_so,
                *macros,
                "-Icsrc",
                *library["cflags"],
                "-x",
                "c-header",
                str(header),
                "-o",
                result,
            ]
            subprocess.run(command, check=False)
        return name, ["-include", str(header)]

    def build_libraries(self, libraries):
        def compiled(unit):
            name, library, source = unit
            folder = os.path.join(self.build_temp, name)
            (path,) = self.compiler.object_filenames([source], output_dir=folder)
            if self.force or outdated(path, library["obj_deps"][source]):
                plain = PLAIN_FLAGS if Path(source).stem in PLAIN else []
                flags = [*library["cflags"], *first[name], *plain]
                self.compiler.compile([source], folder, library["macros"], ["csrc"], extra_postargs=flags)
            return path

        units = [(name, library, source) for name, library in libraries for source in library["sources"]]
        units.sort(key=lambda unit: os.path.getsize(unit[2]), reverse=True)  # so that the last ones to run are short
        with ThreadPoolExecutor(JOBS) as pool:
            first = dict(pool.map(self.precompiled, libraries))
            paths = list(pool.map(compiled, units))
        for name, _ in libraries:
            Path(self.build_clib, self.compiler.library_filename(name)).unlink(missing_ok=True)  # it may have more
            objects = [path for unit, path in zip(units, paths, strict=True) if unit[0] == name]
            self.compiler.create_static_lib(objects, name, output_dir=self.build_clib)


class build_library(build_ext):
    """Compiles the modules that are out of date, all at once, and links them and the kernels into one library.

    Each module repeats some 8 KB of Cython's and the linker's: together they are a tenth smaller in the wheel, and load faster.
    """

    def build_extension(self, ext):
        def compiled(module):
            (path,) = self.compiler.object_filenames([module.source], output_dir=self.build_temp)
            if self.force or outdated(path, module.depends):
                self.compiler.compile(
                    [module.source], self.build_temp, ext.define_macros, ext.include_dirs, extra_postargs=module.flags
                )
            return path

        with ThreadPoolExecutor(JOBS) as pool:
            ext.extra_objects = list(pool.map(compiled, ext.modules))
        super().build_extension(ext)


# -fexpensive-optimizations: gcc then contracts to FMA at -O1 too, so that the debug build computes what the others do.
# Flags of an instruction set touch its kernels alone. No -ffast-math: it would change the whole process's floating point.
# The modules only plan: what -O3 adds to -O2 takes a fifth of their time to compile, and none of a call's. -g0: Python's own flags
# may have -g, and the linker removes what that adds.
common = ["-std=gnu11", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-psabi"]
common += ["-O1", "-fexpensive-optimizations", "-g", "-UNDEBUG", *SANITIZE] if DEBUG else ["-O2", "-g0", "-DNDEBUG", *SMALL]
kernel_flags = [
    *common,
    *([] if DEBUG else ["-O3"]),
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp-simd",
    "-fno-lto",
]
openmp = openmp_flags()
changed(
    KERNEL_SETTINGS,
    shlex.join([*COMPILER, *kernel_flags, *PLAIN_FLAGS, *PLAIN, *(flag for flags in ISAS.values() for flag in flags)]) + "\n",
)
module_flags = [*common, *([] if DEBUG else ["-fno-plt"]), "-Wno-unused-function", "-Wno-unused-parameter"]
# The wheel is compressed, and compresses strings better. Without "binding" functions are those of C modules: a sixth of each module
# less, and no slower to call; "clinic" tells inspect their arguments.
module_macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("CYTHON_COMPRESS_STRINGS", "0")]
directives = {
    "language_level": "3",
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
}
generators = [
    f"cython {cython_version}",
    f"numpy {numpy.__version__}",
    *map(str, [*module_macros, *directives.items(), *CALLED, *LINKED]),
]
changed(MODULE_SETTINGS, shlex.join([*COMPILER, *module_flags, *openmp, *generators]) + "\n")


def library(isa, sources, dtype=None):
    def depends(path):
        return [*included(path, isa, dtype or "f32"), str(KERNEL_SETTINGS)]

    return {
        "sources": sources,
        "cflags": [*kernel_flags, *ISAS[isa]],
        "macros": [*MACROS, ("FL_ISA", isa), *([("FL_DTYPE", dtype)] if dtype else [])],
        "obj_deps": {source: depends(source) for source in sources},
        "simd": depends("csrc/simd/simd.h") if dtype else None,
    }


# The tables come first: they need the kernels, which a linker looks for in what follows.
libraries = [(f"fl_{isa}", library(isa, ["csrc/table.c"])) for isa in ISAS]
libraries += [(f"fl_{isa}_{dtype}", library(isa, KERNELS, dtype)) for isa in ISAS for dtype in DTYPES]


def module(path):
    """What a module is compiled from and with."""
    name, source = ".".join(Path(path).with_suffix("").parts), str(Path(path).with_suffix(".c"))
    flags = [*module_flags, *([] if Path(path).stem in CALLED or DEBUG else ["-Os"]), *(openmp if name == RUNNER else [])]
    depends = sorted({source, *included("fastlec/_kernels/fl.pxd"), str(MODULE_SETTINGS)})
    return SimpleNamespace(name=name, source=source, depends=depends, flags=flags)


def library_of(modules):
    """The one library of all modules and kernels, which fastlec/_kernels/__init__.py finds them in."""
    result = Extension(
        "fastlec._kernels.library",
        ["csrc/dispatch.c"],
        depends=sorted(
            {
                *glob("csrc/**/*.[cdh]*", recursive=True),
                *(m.source for m in modules),
                str(KERNEL_SETTINGS),
                str(MODULE_SETTINGS),
            }
        ),
        include_dirs=["csrc", numpy.get_include()],
        define_macros=[*MACROS, *module_macros],
        extra_compile_args=module_flags,
        extra_link_args=[*openmp, *(SANITIZE if DEBUG else LINKED)],
        libraries=[name for name, _ in libraries],
        export_symbols=[f"PyInit_{m.name.rpartition('.')[2]}" for m in modules],
    )
    result.modules = modules
    return result


def translate(paths):
    """Has Cython write as C anew each module of whose files in this tree one is newer, or the settings are.

    Cython's own rule counts NumPy's files too, which are new in each environment that pip makes for a build.
    """
    tree = create_dependency_tree(quiet=True)

    def sources(path):
        return [name for name in tree.all_dependencies(path) if not os.path.isabs(name)]

    cythonize(
        [path for path in paths if outdated(Path(path).with_suffix(".c"), [*sources(path), str(MODULE_SETTINGS)])],
        force=True,
        nthreads=JOBS if multiprocessing.get_start_method() == "fork" else 0,  # other methods would run this file again
        compiler_directives=directives,
    )


modules = sorted(glob("fastlec/_kernels/**/*.pyx", recursive=True))
translate(modules)
setup(
    libraries=libraries,
    cmdclass={"build_clib": build_kernels, "build_ext": build_library},
    # Beside the sources the metadata would tell of a pytest plugin, by its name once it is installed, whoever runs pytest here.
    options={"egg_info": {"egg_base": "build"}},
    ext_modules=[library_of([module(path) for path in modules])],
)
