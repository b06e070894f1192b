"""Speed of convolutions and their derivatives."""

OPS = ("conv", "conv_data_gradient", "conv_weight_gradient", "conv_jac_mv")


def test_speed(benchmark, work):
    benchmark(work)
