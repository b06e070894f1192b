"""Speed of matrix products, square and skinny."""

OPS = ("gemm", "gemm_nt", "gemm_tn")


def test_speed(benchmark, work):
    benchmark(work)
