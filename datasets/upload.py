"""Training batches on the device, and copies from the host to it that nobody waits for.

A copy to CUDA waits for everything queued before it unless its source is pinned and it is asked not to.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Item = TypeVar("Item")


@dataclass(frozen=True)
class Batch:
    """A training batch on the device, float32 in [0, 1], with the bands of the images (RGB: 3)."""

    hr: Tensor
    """Targets, (N, bands, crop, crop)."""
    lr_image: Tensor
    """Network inputs made from `hr`, (N, bands, crop/scale, crop/scale); of scale 1, as large as `hr`."""
    indices: np.ndarray
    """Index in the image set of each crop's image, int64 (N,)."""


def pinned(x: Tensor, device: torch.device) -> Tensor:
    """Return `x` in pinned memory if it is to be copied to CUDA, else `x` itself."""
    return x.pin_memory() if device.type == "cuda" and not x.is_pinned() else x


def upload(x: Tensor, device: torch.device) -> Tensor:
    """Return `x` on `device`; the host does not wait for the copy."""
    return pinned(x, device).to(device, non_blocking=True)


def one_ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield batches whose copies and kernels were queued one batch ahead, on a CUDA stream of their own.

    They run beside the step that precedes them; the stream of the step waits for them on the device.
    """
    side = torch.cuda.Stream(device)

    def launch() -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(side):
            batch = next(batches)
        return batch, side.record_event()

    upcoming = launch()
    while True:
        batch, uploaded = upcoming
        upcoming = launch()
        step = torch.cuda.current_stream(device)
        step.wait_event(uploaded)
        for x in (batch.hr, batch.lr_image):
            x.record_stream(step)  # its memory is reused only when the step has read it
        yield batch


def prepared(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items of an endless iterator while a thread computes the next one."""
    with ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(next, items)
        while True:
            ready = upcoming.result()
            upcoming = thread.submit(next, items)
            yield ready
