"""Speed of robust linear regression."""

OPS = ("robust_lstsq",)


def test_speed(benchmark, work):
    benchmark(work)
