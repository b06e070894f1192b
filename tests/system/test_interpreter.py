"""The processes that tests start end with them, whatever happens, and heed signals."""

import os
import select
import signal
import sys
import textwrap

import interpreter
import pytest
from interpreter import finished, output, started

FOREVER = [sys.executable, "-c", "import os, time; os.fork(); os.write(1, b'.'); time.sleep(1000)"]  # two processes


@pytest.fixture
def pipe():
    """(the end to read, the end to write, which children may hold)"""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def nobody_holds(reading):
    """There is an end of what the pipe gives, after a while."""
    return bool(select.select([reading], [], [], 60)[0]) and os.read(reading, 1) == b""


@pytest.mark.parametrize("error", [AssertionError, SystemExit])
def test_a_process_and_its_children_end_with_the_block(error, pipe):
    reading, writing = pipe

    def test():
        with started(FOREVER, pass_fds=[writing]) as process:
            os.close(writing)
            assert process.stdout.read(2) == ".."
            raise error

    with pytest.raises(error):
        test()
    assert nobody_holds(reading)


def test_a_process_and_its_children_end_when_the_tests_are_killed(pipe):
    reading, writing = pipe
    tests = f"""
        import os, signal, sys
        sys.path.insert(0, {os.path.dirname(interpreter.__file__)!r})
        from interpreter import started
        with started({FOREVER!r}, pass_fds=[{writing}]) as process:
            assert process.stdout.read(2) == ".."
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = finished([sys.executable, "-c", textwrap.dedent(tests)], pass_fds=[writing])
    os.close(writing)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert nobody_holds(reading)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"])
def test_a_signal_that_is_ignored_by_the_tests_is_not_ignored_by_what_they_start(name):
    """Nor by what they start in a thread."""
    child = f"import signal; print(signal.getsignal(signal.{name}) is signal.SIG_IGN)"
    tests = f"""
        import signal, sys
        signal.signal(signal.{name}, signal.SIG_IGN)
        sys.path.insert(0, {os.path.dirname(interpreter.__file__)!r})
        from concurrent.futures import ThreadPoolExecutor
        from interpreter import output
        with ThreadPoolExecutor() as pool:
            print(output({child!r}), pool.submit(output, {child!r}).result())
    """
    assert output(tests) == "False False"
