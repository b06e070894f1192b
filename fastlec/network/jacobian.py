"""The Jacobians of networks, which know the variable "theta" as well: all parameters in one flat vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _check
from .._typing import FloatArray
from ..layers.jacobian import Jacobian, PlannedJacobian
from ..layers.parameters import joined, views

if TYPE_CHECKING:
    from scipy.sparse import bsr_array, csr_array


class ThetaJacobian:
    """What a network's Jacobian adds: the variable "theta"."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that the methods know, "theta" among them."""
        return (*self.layer.variables, "theta")

    def shape_of(self, name: str) -> tuple[int, ...]:
        return (self.layer.n_params,) if name == "theta" else super().shape_of(name)

    shape_of.__doc__ = Jacobian.shape_of.__doc__

    def _by_variable(self, arrays):
        if "theta" not in arrays:
            return arrays
        others = {name: a for name, a in arrays.items() if name != "theta"}
        named = views(arrays["theta"], self.layer.params)
        return {
            name: named[name] + others[name] if name in others and name in named else a for name, a in (named | others).items()
        }

    def _by_variable_many(self, arrays):
        if "theta" not in arrays:
            return arrays
        theta, named, start = arrays["theta"], {}, 0
        for name, a in self.layer.params.items():
            named[name] = theta[:, start : start + a.size].reshape(len(theta), *a.shape)
            start += a.size
        others = {name: a for name, a in arrays.items() if name != "theta"}
        return {
            name: named[name] + others[name] if name in others and name in named else a for name, a in (named | others).items()
        }

    def _are_apart(self, names):
        return "theta" not in names or set(names) <= {"x", "theta"}

    def matrix(self, name: str) -> FloatArray | csr_array[Any, Any] | bsr_array[Any]:
        if name != "theta":
            return super().matrix(name)
        from scipy.sparse import hstack, issparse

        self._check_matrix(name)
        parts = [self.matrix(own) for own in self.layer.params]
        if parts and all(issparse(part) for part in parts):
            return hstack(parts, format="csr")
        parts = [part.toarray() if issparse(part) else part for part in parts]
        return np.hstack(parts) if parts else np.zeros((self.y.size, 0), self.y.dtype)

    matrix.__doc__ = Jacobian.matrix.__doc__


class NetworkJacobian(ThetaJacobian, Jacobian):
    """The Jacobian of a network that has layers of a user's own."""

    def _tmv(self, v, wrt, out):
        names = tuple(dict.fromkeys(own for name in wrt for own in (self.layer.params if name == "theta" else (name,))))
        found = self.layer.tmv(self.kept, v, names)
        if "theta" in wrt:
            found["theta"] = joined([found[name] for name in self.layer.params])
        return {name: _check.fill(out.get(name), found[name]) for name in wrt}

    def _hessian_mv(self, v, wrt, directions):
        """Forward over reverse, layer by layer: what comes back to a layer, and the derivative of that."""
        names = tuple(dict.fromkeys(own for name in wrt for own in (self.layer.params if name == "theta" else (name,))))
        found = self.layer.hessian_mv(self.kept, v, self._by_variable(directions), names)
        if "theta" in wrt:
            found["theta"] = joined([found[name] for name in self.layer.params])
        return {name: found[name] for name in wrt}


class PlannedNetworkJacobian(ThetaJacobian, PlannedJacobian):
    """The Jacobian of a network of fastlec's layers."""

    def matrix(self, name: str) -> FloatArray | csr_array[Any, Any] | bsr_array[Any]:
        if self.layer.couples_samples or not (self.layer._plans_second and self.layer._by_blocks):
            return super().matrix(name)
        if name != "x":
            self._check_matrix(name)
            found = self.blocks(name)
            return found.reshape(self.y.size, found.shape[-1])
        from scipy.sparse import bsr_array

        blocks = np.ascontiguousarray(self.blocks("x"))
        if not blocks.size:
            return super().matrix(name)
        m, *size = blocks.shape
        return bsr_array((blocks, np.arange(m), np.arange(m + 1)), shape=(self.y.size, self.x.size), blocksize=tuple(size))

    matrix.__doc__ = Jacobian.matrix.__doc__

    def _tmv(self, v, wrt, out):
        if self._are_apart(wrt):
            return super()._tmv(v, wrt, out)
        found = super()._tmv(v, tuple(name for name in wrt if name in ("x", "theta")), out)
        named = views(found["theta"], self.layer.params)
        return {name: found[name] if name in found else _check.fill(out.get(name), named[name].copy()) for name in wrt}
