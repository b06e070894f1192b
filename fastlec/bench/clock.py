"""How long a call takes. Imports nothing of fastlec, for `worker` runs beside any version of it."""

from time import perf_counter


def per_call(call, number):
    """The mean time of `number` calls in a row, in seconds."""
    counter = [None] * number
    start = perf_counter()
    for _ in counter:
        call()
    return (perf_counter() - start) / number
