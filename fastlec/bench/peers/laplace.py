"""laplace-torch."""

from itertools import chain

from ..nets import split
from .base import Peer


class Laplace(Peer):
    """On PyTorch, by its own default backend."""

    name, module = "laplace-torch", "laplace"
    NOT_HELD = "has no switch of its own"

    def __init__(self, threads):
        super().__init__(threads)
        import torch

        self.torch = torch
        torch.set_num_threads(threads)

    def offered(self, case):
        return None if self.held else super().offered(case)

    def laplace_variance(self, case, X, known, y, theta, out):
        """Of the outputs, which all that it predicts follows from."""
        torch, net = self.torch, case.shape[1]
        with torch.inference_mode(False):
            X, known, y, theta = (torch.from_numpy(a.copy()) for a in (X, known, y, theta))
            activations = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "identity": torch.nn.Identity}
            layers = ((torch.nn.Linear(layer.n_in, layer.n_out), activations[layer.activation]()) for layer in net[:-1])
            model = torch.nn.Sequential(*chain(*layers), torch.nn.Linear(net[-1].n_in, net[-1].n_out)).to(X.dtype)
            with torch.no_grad():
                for parameter, values in zip(model.parameters(), chain(*split(net, theta)), strict=True):
                    parameter.copy_(values)
            before = torch.get_default_dtype()
            torch.set_default_dtype(X.dtype)  # which the matrices that it keeps have
            found = self.lib.Laplace(model, "classification", subset_of_weights="last_layer", hessian_structure="full")
            found.fit(torch.utils.data.DataLoader(torch.utils.data.TensorDataset(known, y), batch_size=len(known)))
            torch.set_default_dtype(before)

        def work():
            with torch.inference_mode(False):
                return found._glm_predictive_distribution(X)[1].diagonal(dim1=1, dim2=2)

        return work
