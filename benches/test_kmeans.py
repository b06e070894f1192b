"""Speed of K-means: Lloyd's iterations from given centers."""

OPS = ("kmeans",)


def test_speed(benchmark, work):
    benchmark(work)
