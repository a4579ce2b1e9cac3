"""Optimizers of both networks, and their learning rates."""

import inspect
from typing import Any

import torch
from torch import nn

from trainers.config import OptimConfig


def _without_compiler(kind: type[torch.optim.Optimizer]) -> type[Any]:
    """Return an optimizer whose methods lack the decorators that import torch's compiler.

    That takes each worker three seconds. They keep the methods out of compiled graphs, where none is called.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    return type(kind.__name__, (kind,), methods | {"step": torch.no_grad()(inspect.unwrap(kind.step))})


Adam, AdamW, SGD = map(_without_compiler, (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD))


def build_optimizer(module: nn.Module, optim: OptimConfig, peak: float) -> torch.optim.Optimizer:
    """Return Adam, AdamW or SGD over `module`, with learning rate `peak` times the factor of each group.

    Fused, because only fused optimizers read the flag that skips updates that are not finite.
    """
    groups = _groups(module, optim.lr_tail_factor)
    made: torch.optim.Optimizer
    if optim.kind == "sgd":
        made = SGD(groups, lr=peak, momentum=optim.momentum, fused=True)
    elif optim.kind == "adamw":
        betas, decay = (optim.beta1, optim.beta2), optim.weight_decay
        made = AdamW(groups, lr=peak, betas=betas, weight_decay=decay, fused=True)
    else:
        made = Adam(groups, lr=peak, betas=(optim.beta1, optim.beta2), fused=True)
    set_rate(made, peak)
    return made


def _groups(module: nn.Module, tail_factor: float) -> list[dict]:
    """Return one parameter group, or two if the generator's last convolution has its own factor."""
    if tail_factor == 1.0 or not isinstance(tail := getattr(module, "tail", None), nn.Module):
        return [{"params": list(module.parameters()), "factor": 1.0}]
    last = list(tail.parameters())
    body = [p for p in module.parameters() if all(p is not q for q in last)]
    return [{"params": body, "factor": 1.0}, {"params": last, "factor": tail_factor}]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group: `rate` times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
