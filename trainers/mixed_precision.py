"""Networks that compute in bf16: their weights are cast once per update and not at every call."""

import copy
from itertools import chain

import torch
from torch import Tensor, nn

# Layers whose weights autocast would cast. Subclasses are left to autocast: layers.LastConv stays in float32,
# and the weight of a spectrally normalised layer is another at every call.
CAST = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.PReLU)


class ComputeCopy:
    """A network to call under autocast, and the tensors to differentiate instead of the network's parameters.

    With `bf16`, `module` is a copy of `network` whose convolutions hold their weights in bf16; buffers and
    all other parameters are those of `network` itself. Autocast alone casts every weight at every call, and
    every gradient back: 216 kernels of a small SRGAN's step, 1,583 of ESRGAN's. Without `bf16` it is
    `network`.
    """

    def __init__(self, network: nn.Module, *, bf16: bool) -> None:
        self.sources: list[Tensor] = []
        self.copies: list[Tensor] = []
        self.module = self._copied(network) if bf16 else network
        self.parameters = list(self.module.parameters())
        """In the order of network.parameters()."""

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the weights. Call it after every update: fused optimizers change them without a trace."""
        if self.sources:
            torch._foreach_copy_(self.copies, self.sources)

    def _copied(self, network: nn.Module) -> nn.Module:
        shared = {id(t): t for t in chain(network.parameters(), network.buffers())}
        module = copy.deepcopy(network, shared)  # type: ignore[arg-type]
        cast: dict[int, nn.Parameter] = {}
        for layer in module.modules():
            if type(layer) not in CAST:
                continue
            for name, p in layer.named_parameters(recurse=False):
                if id(p) not in cast:
                    cast[id(p)] = nn.Parameter(p.detach().to(torch.bfloat16), requires_grad=p.requires_grad)
                    self.sources.append(p)
                    self.copies.append(cast[id(p)])
                setattr(layer, name, cast[id(p)])
        return module
