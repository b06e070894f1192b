"""Speed of softmax and log-softmax."""

OPS = ("softmax", "log_softmax")


def test_speed(benchmark, work):
    benchmark(work)
