"""Speed of second derivatives, many directions and derivatives by single samples."""

from fastlec.bench.second import OPS  # noqa: F401


def test_speed(benchmark, work):
    benchmark(work)
