"""Speed of whole training steps and inference of networks of images."""

OPS = ("image_step", "image_inference")


def test_speed(benchmark, work):
    benchmark(work)
