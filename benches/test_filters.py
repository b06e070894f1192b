"""Speed of image filtering."""

OPS = ("filter2d",)


def test_speed(benchmark, work):
    benchmark(work)
