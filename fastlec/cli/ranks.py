"""The ranks of a command that mpiexec has started several times. Rank 0 alone prints, and writes files."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE")  # what mpiexec of Open MPI and MPICH, and srun, tell


def started():
    """The communicator of this command's ranks, or None where it runs by itself. All but rank 0 print nothing from then on."""
    sizes = [os.environ[name] for name in _SIZES if name in os.environ]
    slurm = "PMIX_RANK" in os.environ and os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1"
    if not slurm and (not sizes or sizes[0] == "1"):
        return None
    from .._comm import Group
    from ..mpi import Comm

    comm = Comm()
    places = Group(comm).gather(f"{os.getpid()} on {socket.gethostname()}")
    if comm.rank:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    else:
        print("ranks:", ", ".join(f"{rank} is process {place}" for rank, place in enumerate(places)), flush=True)
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
