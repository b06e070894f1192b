"""The console script ``fastlec``, installed as a package of its own, ``fastlec_console``: importing a part of fastlec imports
fastlec first, which takes a good part of a second, and Ctrl-C is to end the command in one line from the script's first line on."""

import _signal as signal  # signal itself imports others for some milliseconds, in which Ctrl-C would be a traceback
import os


def main() -> int:
    """Run the command line and return its exit code."""
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so under nohup
    if interruptible:
        signal.signal(signal.SIGINT, _leave)
    try:
        from fastlec.cli import main as run

        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:
        _leave()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: nothing is left to be interrupted but Python's own end


def _leave(*_) -> None:
    """The end, at once: an exception would not do, for what is imported may catch it."""
    try:
        os.write(2, b"fastlec: interrupted\n")
    finally:
        os._exit(130)
