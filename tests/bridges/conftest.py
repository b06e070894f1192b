"""Tests of bridges to other libraries, the extra `test-bridges`. Modules skip themselves by the name of what is missing."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """torch.autograd.forward_ad compiles something when it is first used, which PyTorch itself deprecates."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"))
