"""A wheel as it is installed: `python wheel.py [MODULE ...]` imports these modules in turn (numpy, torch, fastlec), then computes
with fastlec. For environments that need have neither a compiler nor pytest: cibuildwheel and .ci/release run it.

Exits with an error where fastlec is not an installed one, where results are wrong or depend on the number of threads, and where a
wheel carries an OpenMP library and fastlec computes with another one or with none.
"""

import importlib
import re
import sys
from pathlib import Path


def loaded(name):
    """The files of this name that the process has mapped, where the system tells."""
    maps = Path("/proc/self/maps")
    return set(re.findall(rf"\S*/{name}\S*", maps.read_text())) if maps.exists() else set()


def main():
    for name in sys.argv[1:]:
        importlib.import_module(name)
    import numpy as np

    import fastlec

    package = Path(fastlec.__file__).parent
    assert not (package.parent / "setup.py").exists(), f"{package} is not installed"
    carried = sorted((package.parent / "fastlec.libs").glob("libgomp*"))
    if carried:
        assert len(carried) == 1, carried
        assert str(carried[0]) in loaded("libgomp"), (carried, loaded("libgomp"))
        assert fastlec.show_config("dict")["openmp"], "a serial build"

    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 300))
    expected = np.exp(x - x.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    for dtype, tolerance in (("f4", 1e-6), ("f8", 1e-14)):
        given = x.astype(dtype)
        results = []
        for threads in (1, 2, None):
            fastlec.set_num_threads(threads)
            results.append(fastlec.softmax(given))
        assert abs(results[0] - expected).max() < tolerance
        assert all((result == results[0]).all() for result in results)
        image, weights = given[:60].reshape(5, 3, 60, 20), given[60, :81].reshape(3, 3, 3, 3)
        direct = sum(
            np.einsum("kc,nchw->nkhw", weights[:, :, i, j], image[:, :, i : i + 58, j : j + 18])
            for i in range(3)
            for j in range(3)
        )
        assert abs(fastlec.conv2d(image, weights) - direct).max() < 100 * tolerance
    value, gradient = fastlec.SoftmaxObjective(x, np.arange(len(x)) % 3).value_and_gradient(np.zeros(903))
    assert abs(value - np.log(3)) < 1e-12
    assert gradient.shape == (903,)
    print(f"fastlec {fastlec.__version__}, {fastlec.isa()}, {carried[0].name if carried else 'nothing carried'}: works")


if __name__ == "__main__":
    main()
