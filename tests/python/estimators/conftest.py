"""Small data for estimators."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, the extra `sklearn`, is not installed")
from fastlec.data import load_digits

NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


@pytest.fixture(scope="session")
def digits():
    """600 images (600, 64) of the first four digits, in float32, and the digits' names."""
    X, y = load_digits()
    some = np.flatnonzero(y < 4)[:600]
    return X[some].astype(np.float32), NAMES[y[some]]


@pytest.fixture(scope="session")
def table():
    """(X (200, 5), numbers that depend on it)."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 5))
    return X, np.sin(X[:, 0]) + X[:, 1] * 0.5 + 0.05 * rng.standard_normal(200)


@pytest.fixture
def command(capsys):
    """A function that runs the command line, which must succeed."""
    pytest.importorskip("typer")
    from command import run

    def succeeded(*args):
        code, _, err = run(capsys, *args)
        assert code == 0, err

    return succeeded
