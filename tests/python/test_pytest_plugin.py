"""The pytest plugin: its fixtures fail a test with the table of errors, and pytest does not import fastlec for it."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from interpreter import finished, output

import fastlec

INSTALLED = find_spec("fastlec_pytest")  # not where the library is used from its folder
PLUGIN = Path(INSTALLED.origin if INSTALLED else Path(fastlec.__file__).parent / "pytest_plugin" / "__init__.py")

TESTS = """
import fastlec
import numpy as np

x = np.linspace(0.1, 1, 5)


def test_right(gradient_test, jacobian_test, transpose_test, check_layer):
    assert gradient_test(lambda x: np.sin(x).sum(), np.cos, x).passed
    assert jacobian_test(np.sin, lambda x, v: np.cos(x) * v, x).passed
    assert transpose_test(lambda x, v: np.cos(x) * v, lambda x, u: np.cos(x) * u, x).passed
    assert check_layer(fastlec.Dense(3, 2, rng=0), np.ones((4, 3))).passed


def test_wrong_gradient(gradient_test):
    gradient_test(lambda x: np.sin(x).sum(), np.sin, x)


def test_wrong_jacobian(jacobian_test):
    jacobian_test(np.sin, lambda x, v: v, x)


def test_wrong_transpose(transpose_test):
    transpose_test(lambda x, v: np.cos(x) * v, lambda x, u: 2 * u, x)


def test_wrong_layer(check_layer):
    class Wrong(fastlec.Layer):
        def output_shape(self, shape):
            return shape

        def evaluate(self, x):
            return np.sin(x), x

        def mv(self, x, directions):
            return directions["x"]

        def tmv(self, x, v, wrt):
            return {"x": v}

    check_layer(Wrong(), x[:, None])
"""


def run(path, *options):
    options = ["-q", "-p", "no:cacheprovider", *(() if INSTALLED else ("-p", "fastlec.pytest_plugin")), *options]
    return finished([sys.executable, "-P", "-m", "pytest", *options, str(path)], cwd=path.parent)


def test_fixtures_pass_what_is_right_and_fail_what_is_wrong(tmp_path):
    path = tmp_path / "test_mine.py"
    path.write_text(TESTS)
    done = run(path)
    assert done.returncode == 1, done.stderr
    assert "4 failed, 1 passed" in done.stdout
    assert "the derivative is wrong" in done.stdout
    assert "epsilon  zeroth error  order   first error  order" in done.stdout
    for name in ("gradient", "jacobian", "transpose", "layer"):
        assert f"FAILED test_mine.py::test_wrong_{name} - AssertionError" in done.stdout


def test_fixtures_are_listed_with_a_line(tmp_path):
    path = tmp_path / "test_mine.py"
    path.write_text(TESTS)
    listed = run(path, "--fixtures").stdout
    for name in ("gradient_test", "jacobian_test", "transpose_test", "check_layer"):
        assert f"fastlec.testing.{name}, which fails the test unless the result has passed." in listed


def test_the_plugin_imports_no_more_than_pytest():
    ask = f"""
        import importlib.util, sys
        import pytest
        before = set(sys.modules)
        spec = importlib.util.spec_from_file_location("fastlec_pytest", {str(PLUGIN)!r})
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        print(*sorted(set(sys.modules) - before))
        """
    assert output(ask) == ""


@pytest.mark.skipif(not INSTALLED, reason="fastlec is not installed")
def test_pytest_finds_the_plugin():
    from importlib.metadata import entry_points

    assert [entry.value for entry in entry_points(group="pytest11") if entry.name == "fastlec"] == ["fastlec_pytest"]
