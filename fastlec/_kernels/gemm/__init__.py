"""Products of matrices."""

from .jobs import product
from .single import matmul

__all__ = ["matmul", "product"]
