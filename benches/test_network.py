"""Speed of whole training steps and inference of networks."""

OPS = ("step", "inference")


def test_speed(benchmark, work):
    benchmark(work)
