"""Speed of softmax regression, value with gradient and Hessian-vector products."""

OPS = ("value_and_gradient", "hessian_mv", "hessian_mv_frozen")


def test_speed(benchmark, work):
    benchmark(work)
