"""Speed of a dense layer: forward, and the products with its Jacobian and the transposed one."""

OPS = ("dense", "dense_jac_tmv", "dense_jac_mv")


def test_speed(benchmark, work):
    benchmark(work)
