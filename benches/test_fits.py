"""Speed of training whole estimators."""

OPS = ("fit_net", "fit_softmax")


def test_speed(benchmark, work):
    benchmark(work)
