"""A plain copy, which is no library but a limit."""

from ..machine import copier
from .base import Peer
from .numpy import NumPy


class Copy(Peer):
    """Of as many bytes as the case moves at least. Its process also tells how fast NumPy's matrix products are."""

    name, module, HELD = "copy", "numpy", NumPy.HELD

    def prepare(self, case, dtype, mode):
        return copier(case.bytes(dtype), self.threads)
