"""The ranks of a command that mpiexec has started several times. Rank 0 alone prints, and writes files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TELL = ("OMPI_COMM_WORLD_", "PMI_", "PMIX_")  # what mpiexec of Open MPI and MPICH, and srun, tell with RANK and SIZE


def _told(what: str) -> str | None:
    return next((os.environ[name + what] for name in _TELL if name + what in os.environ), None)


def _several() -> bool:
    slurm = "PMIX_RANK" in os.environ and os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1"
    return slurm or (_told("SIZE") or "1") != "1"


def started():
    """The communicator of this command's ranks, or None where it runs by itself. All but rank 0 print nothing from then on."""
    if not _several():
        return None
    from ..mpi import Comm

    comm = Comm()
    if comm.rank:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    else:
        print("ranks:", comm.processes, flush=True)
    return comm


@contextmanager
def watched() -> Iterator[None]:
    """What ends the command ends it on all ranks."""
    try:
        yield
    except BaseException as error:
        if "fastlec.mpi" in sys.modules:
            sys.modules["fastlec.mpi"].tell(error)
        raise


def told_by_root(usage: bool = False) -> bool:
    """Whether rank 0, which this process is not, says what ends the command. usage : its options, which all ranks read before they
    meet."""
    if "fastlec.mpi" in sys.modules:
        return sys.modules["fastlec.mpi"].told_by_root()
    return usage and _several() and (_told("RANK") or "0") != "0"
