"""Time the training step of each phase on this machine, for estimates made before a run begins."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from trainers.config import TrainConfig
from trainers.cuda_graph import WARM_UP as BEFORE_GRAPH
from trainers.cuda_graph import GraphedStep, accelerated
from trainers.device import wait_for_device
from trainers.state import PHASES, new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

WARM_UP = 2  # calls: the first ones allocate memory and choose algorithms
AT_LEAST, SECONDS = 3, 1.0  # timed calls, and how long they last together

Timer = Callable[[Callable[[], Any], torch.device], float]
"""Seconds of one call on a device; `timed` with or without settings of its own."""


def time_step(
    config: TrainConfig,
    batches: Iterator[tuple[Tensor, Tensor]],
    device: torch.device,
    phases: Sequence[str] = PHASES,
    timer: Timer | None = None,
) -> dict[str, float]:
    """Return the measured seconds of one update in each of `phases`, by name.

    Every step takes the next of `batches`, (hr, lr_image) in [0, 1] on `device`, so the time to load a batch
    is part of it. Networks and optimizers are new and are discarded.
    """
    seconds = {}
    for phase in phases:
        features = build_features(config, device) if phase == "gan" else None
        step = accelerated(TrainStep(config, new_state(config, phase, device), features))
        for _ in range(BEFORE_GRAPH + 1 if isinstance(step, GraphedStep) else 0):  # the last one records it
            step(*next(batches), None)
        seconds[phase] = (timer or timed)(lambda step=step: step(*next(batches), None), device)  # type: ignore[misc]
    return seconds


def timed(
    call: Callable[[], Any],
    device: torch.device,
    *,
    warm_up: int = WARM_UP,
    at_least: int = AT_LEAST,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the mean seconds of `call` by `clock`, after `warm_up` calls that are not counted.

    It is called until `at_least` calls and `seconds` have passed. Only the last call is waited for: a GPU
    works while the next call is prepared, as in training.
    """
    for _ in range(warm_up):
        call()
    wait_for_device(device)
    began, count = clock(), 0
    while count < at_least or clock() - began < seconds:
        call()
        count += 1
    wait_for_device(device)
    return (clock() - began) / count
