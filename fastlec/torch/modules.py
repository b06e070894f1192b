"""Layers and networks as modules of PyTorch."""

from __future__ import annotations

import copy

import torch

from ..layers import Layer
from .functions import check_layer
from .products import Call, applied, evaluated
from .tensors import DTYPES, array, check, places


class Module(torch.nn.Module):
    """A layer or network as a torch.nn.Module, whose parameters PyTorch's optimizers train.

    module(x) takes x of the CPU and of the parameters' dtype, torch.float32 or torch.float64.

    Parameters
    ----------
    layer : Layer
        A layer or a network, also of one's own. Parameters and buffers are its memory, so what is trained is the layer.

    Attributes
    ----------
    layer : Layer
        The layer of the module's arrays, also after ``module.double()``, copies, and ``load_state_dict``.

    See Also
    --------
    function, from_torch, to_torch

    Notes
    -----
    Parameters and buffers are named as the layer names them: "0.W", "1.running_mean". In training, as modules are until
    ``module.eval()``, it is the layer's form for training: batch normalisation takes the statistics of the batch and moves the
    running ones, dropout drops. Derivatives, vmap and errors are those of `function`; mapped by vmap, a call leaves buffers as they
    are.

    Examples
    --------
    >>> import torch
    >>> net = fastlec.Network([fastlec.Dense(4, 8), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> module = fastlec.torch.Module(net)
    >>> optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    >>> module(torch.ones(5, 4, dtype=torch.float64)).square().mean().backward()
    >>> before = net.theta.copy()
    >>> optimizer.step()
    >>> bool((net.theta != before).any()), list(module.state_dict())
    (True, ['0.W', '0.b', '1.W', '1.b'])
    """

    layer: Layer

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        check_layer(layer)
        arrays = layer.params | layer.buffers
        self.layer = layer if all(a.flags.writeable for a in arrays.values()) else copy.deepcopy(layer)
        for name, a in self.layer.params.items():
            module, own = self._holder(name, make=True)
            module.register_parameter(own, torch.nn.Parameter(torch.from_numpy(a)))
        for name, a in self.layer.buffers.items():
            module, own = self._holder(name, make=True)
            module.register_buffer(own, torch.from_numpy(a))
        self.register_load_state_dict_post_hook(_loaded)
        self._bind()

    def _holder(self, name, make=False):
        """(the module, its name there) of a parameter or buffer: "1.0.W" is W of the module 0 of the module 1."""
        module, (*path, own) = self, name.split(".")
        for part in path:
            if make and part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        return module, own

    def _bind(self):
        """Makes the layer's arrays the memory of the tensors, as they are where they may be other ones now. Where NumPy cannot read
        them, calls say why."""
        held = {name: self._holder(name) for name in self.layer.params | self.layer.buffers}
        tensors = {name: getattr(*where) for name, where in held.items()}
        dtypes = {t.dtype for t in tensors.values()}
        if all(t.is_cpu for t in tensors.values()) and dtypes <= set(DTYPES) and len(dtypes) < 2:
            arrays = {name: array(t) for name, t in tensors.items()}
            if any(a.ctypes.data != own.ctypes.data for a, own in zip(arrays.values(), self._arrays(), strict=True)):
                self.layer = self.layer.with_params({name: arrays[name] for name in self.layer.params})
                for name, own in self.layer.buffers.items():
                    own[...] = arrays[name]
                for (module, own), a in zip(held.values(), self._arrays(), strict=True):
                    getattr(module, own).data = torch.from_numpy(a)
        self._params = [held[name] for name in self.layer.params]
        self._own, self._forms = places(self.layer), (self.layer, self.layer.for_training())

    def _arrays(self):
        return [*self.layer.params.values(), *self.layer.buffers.values()]

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self._bind()
        return self

    def __getstate__(self):
        return {name: a for name, a in vars(self).items() if name not in ("_params", "_own", "_forms")}

    def __setstate__(self, state):
        super().__setstate__(state)
        self._bind()

    def extra_repr(self) -> str:
        """The layer, as a module's repr shows it.

        Returns
        -------
        str
            The repr of the layer.
        """
        return repr(self.layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output of the layer.

        Parameters
        ----------
        x : torch.Tensor, shape (m, ...)
            The samples.

        Returns
        -------
        torch.Tensor
            The output y.
        """
        layer = self._forms[self.training]
        tensors = (x, *(getattr(module, name) for module, name in self._params))
        check(layer.variables, tensors)
        moves = self.training and layer.buffers
        call = Call(layer, self._own, [a.copy() for a in layer.buffers.values()] if moves else None)
        y = (applied if moves else evaluated)(call, *tensors)
        if moves and call.jac is not None:
            layer.update_buffers(call.jac.kept)
        return y


def _loaded(module, incompatible):
    """After load_state_dict, which may have put other tensors in place."""
    module._bind()


class Branches(torch.nn.Module):
    """Modules that all take x."""

    def __init__(self, *branches: torch.nn.Module) -> None:
        super().__init__()
        for i, branch in enumerate(branches):
            self.add_module(str(i), branch)

    def outputs(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What each module makes of x.

        Parameters
        ----------
        x : torch.Tensor
            What all modules take.

        Returns
        -------
        list of torch.Tensor
            Their outputs.
        """
        return [branch(x) for branch in self._modules.values()]


class Sum(Branches):
    """The sum of what modules make of x, as `fastlec.Sum` is of layers.

    Parameters
    ----------
    *branches : torch.nn.Module
        The modules. With torch.nn.Identity() and another one it is a residual block.

    See Also
    --------
    fastlec.Sum, Concat, from_torch

    Examples
    --------
    >>> import torch
    >>> fastlec.torch.Sum(torch.nn.Identity(), torch.nn.ReLU())(torch.tensor([[-1.0, 2.0]]))
    tensor([[-1.,  4.]])
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of the outputs.

        Parameters
        ----------
        x : torch.Tensor
            What all modules take.

        Returns
        -------
        torch.Tensor
            The sum.
        """
        first, *others = self.outputs(x)
        return sum(others, first)


class Concat(Branches):
    """What modules make of x side by side, along the first axis of a sample, as `fastlec.Concat` is of layers.

    Parameters
    ----------
    *branches : torch.nn.Module
        The modules.

    See Also
    --------
    fastlec.Concat, Sum, from_torch

    Examples
    --------
    >>> import torch
    >>> fastlec.torch.Concat(torch.nn.Identity(), torch.nn.ReLU())(torch.tensor([[-1.0, 2.0]]))
    tensor([[-1.,  2.,  0.,  2.]])
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs side by side.

        Parameters
        ----------
        x : torch.Tensor
            What all modules take.

        Returns
        -------
        torch.Tensor
            The outputs, along axis 1.
        """
        return torch.cat(self.outputs(x), dim=1)
