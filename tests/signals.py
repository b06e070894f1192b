"""What tests of forks and of signals share: code that forks in an interpreter of its own, the exception that an alarm raises."""

import os
import signal

import pytest
from interpreter import output

SETUP = """
    import multiprocessing, os, threading
    import numpy as np
    import fastlec
    from fastlec._kernels import runner

    x = np.random.default_rng(0).normal(size=(30_000, 20))
    f = fastlec.SoftmaxObjective(x, np.arange(len(x)) % 10)
    theta = np.ones(f.n_params)

    def bits():
        loss, gradient = f.value_and_gradient(theta)
        return fastlec.softmax(x).tobytes(), loss, gradient.tobytes()

    def in_child(function):
        receive, send = os.pipe()
        if os.fork() == 0:
            os.write(send, repr(function()).encode())
            os._exit(0)
        os.close(send)
        assert os.wait()[1] == 0
        return eval(os.read(receive, 1 << 16))
"""
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
needs_signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timer signals")


def forked(code, **options):
    """The output of SETUP and this code. Newer versions of Python warn of any fork beside threads."""
    return output(SETUP + code, flags=("-W", "error", "-W", "ignore::DeprecationWarning"), **options)


class Alarm(KeyboardInterrupt):
    """What the handler of the tests raises: Ctrl-C by another name, so that pytest does not take it for its own."""
