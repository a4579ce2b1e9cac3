"""The cost of a network: parameters, multiply-accumulates, latency."""

import copy
import time

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trainers.device import wait_for_device


def parameters(network: nn.Module) -> int:
    """Trained numbers of `network`."""
    return sum(p.numel() for p in network.parameters())


@torch.inference_mode()
def gmacs(network: nn.Module, scale: int) -> float:
    """Billions of multiply-adds for one output of 1280 x 720, the size the literature quotes.

    Counted on a 96 x 96 output, a multiple of every scale, and scaled by the pixels: convolutional networks
    do equal work at each. Interpolation that is no convolution is not counted.
    """
    # on the meta device nothing is computed, and no shortcut of a real one changes the count
    shape_only = copy.deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter:
        shape_only(torch.zeros(1, 3, 96 // scale, 96 // scale, device="meta"))
    return counter.get_total_flops() / 2e9 * (1280 * 720) / 96**2


@torch.inference_mode()
def latency_ms(network: nn.Module, scale: int, side: int = 256, repeats: int = 5) -> float:
    """Median milliseconds of one `side` x `side` output on the network's device, after one warm-up."""
    device = next(network.parameters()).device
    x = torch.rand(1, 3, side // scale, side // scale, device=device)
    network(x)
    times = []
    for _ in range(repeats):
        wait_for_device(device)
        start = time.perf_counter()
        network(x)
        wait_for_device(device)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))
