"""The same work in fastlec and in every peer that is installed, checked to agree and timed in turns: `fastlec bench`.

The modules:

    cases               the table of what is run
    kinds, images       what a case of each kind is, and what is right
    nets, image_nets    descriptions of networks
    peers               how each library does the work best, one file a library
    machine             the limits of the machine
    processes, worker   a process for each contender
    timing              takes the times of all contenders; says how the comparison is kept fair
    against             this build of fastlec against that of another environment
    report              prints and draws the results
"""

from .against import compare, slower
from .timing import run

__all__ = ["compare", "run", "slower"]
