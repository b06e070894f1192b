"""Speed of functions of fastlec in PyTorch's autograd."""

from fastlec.bench.bridges import OPS  # noqa: F401


def test_speed(benchmark, work):
    benchmark(work)
