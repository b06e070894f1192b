"""``python -m fastlec``: the command ``fastlec``, run by this interpreter."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
