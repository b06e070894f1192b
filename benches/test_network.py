"""Speed of whole training steps and inference of networks."""

OPS = ("step", "inference", "jac_mv", "jac_tmv")


def test_speed(benchmark, work):
    benchmark(work)
