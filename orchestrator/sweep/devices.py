"""The part of a cluster that the trials of a request use, and the refusal of trials that can never start."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from datasets.errors import UserError
from orchestrator.cluster.capacity import Capacity
from orchestrator.sweep.request import Request


def usable_capacity(request: Request, capacity: Capacity, say: Callable[[str], Any] = print) -> Capacity:
    """Return `capacity` as the trials of `request` use it.

    Without its GPUs if run.device names another device; with a GPU that is not there yet if --gpus-per-trial
    was given: trials wait for it, because a cluster may start its first GPU when a trial asks for one.

    Raises:
        UserError: a trial can never start, so that it would wait for ever.
    """
    device = request.config.run.device
    if device != "auto" and not device.startswith("cuda"):
        if request.gpus_per_trial:
            raise UserError(f"--gpus-per-trial and run.device {device} exclude each other; leave out one")
        capacity = replace(capacity, gpus=0)
        if device.startswith("mps"):  # a GPU that Ray does not count
            capacity = replace(capacity, cpus=request.ranks, live=None)
    elif request.gpus_per_trial and not capacity.gpus:
        if capacity.local:
            raise UserError(
                f"--gpus-per-trial {request.gpus_per_trial:g} needs a GPU, but Ray finds none here: check "
                f"nvidia-smi, or leave it out to train on CPU cores (--ranks-per-trial sets processes)"
            )
        say("no GPU is here yet: trials wait for the first, because --gpus-per-trial was given")
        return replace(capacity, gpus=math.ceil(request.gpus), cpus=max(capacity.cpus, request.ranks))
    elif not (capacity.local or capacity.cpus or capacity.gpus):
        say("no worker is here, nor is it known how large one is: trials will wait for CPU cores alone")
        say("if workers have GPUs, stop this and pass --gpus-per-trial 1")
    if request.ranks > 1 and (capacity.cpus < request.ranks or 0 < capacity.gpus < request.ranks):
        needed = "GPU and a CPU core" if capacity.gpus else "CPU core"
        raise UserError(
            f"each of the {request.ranks} ranks needs a {needed}, but there is {capacity.description}; lower "
            f"--ranks-per-trial or --gpus-per-trial, or use a larger cluster"
        )
    return capacity
