"""The cost of a network as it is used for inference: parameters, multiply-accumulates, latency."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from datasets.text import short_number
from trainers.config import TrainConfig, override
from trainers.device import describe_device, wait_for_device
from trainers.memory import LiveBytes
from trainers.models import bands_of, deployed
from trainers.state import new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep


def parameters(network: nn.Module) -> int:
    """Return the number of parameters for inference, which papers quote: branches for training are merged."""
    return sum(p.numel() for p in deployed(network).parameters())


@torch.inference_mode()
def gmacs(network: nn.Module, scale: int) -> float:
    """Return billions of multiply-adds for one output of 1280 x 720, the size that papers quote.

    Counted on an output of 96 x 96, a multiple of every scale, and multiplied by the ratio of pixels:
    convolutional networks do equal work for each pixel. Interpolation is counted only if it is a convolution.
    """
    # the meta device computes nothing, so no optimised kernel of a real device changes the count
    shape_only = deployed(network).to("meta")
    with FlopCounterMode(display=False) as counter:
        shape_only(torch.zeros(1, bands_of(network), 96 // scale, 96 // scale, device="meta"))
    return counter.get_total_flops() / 2e9 * (1280 * 720) / 96**2


@lru_cache(maxsize=64)
def step_flops(config: TrainConfig, phase: str) -> float:
    """Return the floating-point operations of one update on one crop in `phase` (psnr or gan), on the CPU.

    Updates of a batch take as many for each crop, so ratios of phases hold for any batch size.
    """
    alone = {"data.batch_size": 1, "optim.micro_batches": 1, "run.compile": False, "run.precision": "fp32"}
    single, cpu = override(config, alone), torch.device("cpu")
    features = build_features(single, cpu) if phase == "gan" else None
    step = TrainStep(single, new_state(single, phase, cpu), features)
    side, small = single.data.crop_px, single.data.crop_px // single.generator.scale
    with FlopCounterMode(display=False) as counter:
        bands = single.generator.image_channels
        step(torch.rand(1, bands, side, side), torch.rand(1, bands, small, small))
    return float(counter.get_total_flops())


@dataclass(frozen=True)
class InferenceCost:
    """Latency and memory of one output of a stated size on a stated device."""

    ms: float
    """Median milliseconds."""
    memory_mb: float
    """Most megabytes of tensors at once, weights and both images included; the same on every device."""
    px: int
    """Side of the output in pixels."""
    device: str

    def describe(self) -> str:
        """Return a phrase such as "12 ms and 340 MB at 256x256 on NVIDIA H100"."""
        ms, mb = short_number(self.ms), short_number(self.memory_mb)
        return f"{ms} ms and {mb} MB at {self.px}x{self.px} on {self.device}"


def inference_cost(network: nn.Module, scale: int, px: int = 256) -> InferenceCost:
    """Return what one `px` x `px` output costs on the network's device."""
    device = next(network.parameters()).device
    threads = f", threads: {torch.get_num_threads()}" if device.type == "cpu" else ""
    (ms,) = latencies_ms([network], scale, px)
    return InferenceCost(ms, peak_mb(network, scale, px), px, describe_device(device) + threads)


@torch.inference_mode()
def peak_mb(network: nn.Module, scale: int, px: int = 256) -> float:
    """Return the most megabytes of tensors at once for one `px` x `px` output, its weights included."""
    used = deployed(network)
    with LiveBytes() as live:
        for tensor in (*used.parameters(), *used.buffers()):
            live.count(tensor)
        device = next(network.parameters()).device
        used(torch.rand(1, bands_of(network), px // scale, px // scale, device=device))
    return live.peak / 1e6


@torch.inference_mode()
def latencies_ms(networks: Sequence[nn.Module], scale: int, side: int = 256, repeats: int = 5) -> list[float]:
    """Return the median latency in ms of each network for one output of `side` x `side` px.

    It is that of `repeats` runs after a first one. All networks must be on one device. Their runs alternate,
    so that other load on the machine slows all of them alike.
    """
    ready = [deployed(network) for network in networks]
    if not ready:
        return []
    device = next(ready[0].parameters()).device
    inputs = [torch.rand(1, bands_of(n), side // scale, side // scale, device=device) for n in ready]
    times: list[list[float]] = [[] for _ in ready]
    for turn in range(repeats + 1):
        for network, x, own in zip(ready, inputs, times, strict=True):
            wait_for_device(device)
            start = time.perf_counter()
            network(x)
            wait_for_device(device)
            if turn:  # the first one warms up
                own.append(time.perf_counter() - start)
    return [1000 * float(np.median(own)) for own in times]
