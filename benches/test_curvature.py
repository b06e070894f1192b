"""Speed of curvature at work: Gram matrices, Gauss-Newton steps, least squares and Laplace's approximation."""

from fastlec.bench.curvature import OPS  # noqa: F401


def test_speed(benchmark, work):
    benchmark(work)
