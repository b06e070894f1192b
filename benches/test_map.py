"""Speed of elementwise functions."""

OPS = ("tanh", "sigmoid", "relu")


def test_speed(benchmark, work):
    benchmark(work)
