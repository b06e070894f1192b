"""Code in an interpreter of its own: for what happens at import, in forked children and to a whole process."""

import os
import subprocess
import sys
import textwrap


def run(code, *, timeout=120, flags=("-W", "error"), cwd=None, **environment):
    """The finished process of this code: its returncode, stdout and stderr. No FASTLEC_* or OMP_* variable but those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FASTLEC_", "OMP_"))}
    command = [sys.executable, "-P", *flags, "-c", textwrap.dedent(code)]  # -P: not the folder fastlec of where we are
    return subprocess.run(
        command,
        cwd=cwd,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def output(code, **options):
    """What this code prints. It must succeed and leave stderr empty."""
    done = run(code, **options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()
