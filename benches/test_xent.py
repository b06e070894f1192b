"""Speed of cross-entropy with its gradient."""

OPS = ("cross_entropy",)


def test_speed(benchmark, work):
    benchmark(work)
