"""The device of a task or trial: a GPU that Ray assigned to its process, never one that it merely sees.

Ray sets CUDA_VISIBLE_DEVICES for a worker that holds a GPU, but since 2.60 it hides none from a worker that
asked for none (ray#62492). Such a worker would train on the first card, beside the trial that holds it.
"""

import socket
import sys

import torch

from trainers.config import RunConfig, TrainConfig
from trainers.device import DeviceError, check_precision, describe_device, limit_memory, pick_device


def held_gpus() -> list[str] | None:
    """Return the ids of the GPUs that Ray assigned to this process; None if it is not a Ray worker."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    context = ray.get_runtime_context()
    return context.get_accelerator_ids()["GPU"] if context.worker.mode == ray.WORKER_MODE else None


def open_device(run: RunConfig, gpus: float) -> torch.device:
    """Return the device to train on, with its memory limited if this worker holds a share of a GPU (`gpus`).

    Raises:
        DeviceError: the device cannot be used, or not with run.precision.
    """
    device = worker_device(run.device)
    check_precision(device, run.precision)
    limit_memory(device, gpus)
    return device


def worker_device(name: str) -> torch.device:
    """Return the device for run.device `name`; "auto" is a GPU only if this worker holds one.

    Outside of a Ray worker it is `pick_device(name)`.

    Raises:
        DeviceError: this worker holds a GPU that torch cannot see or use, or `name` is a GPU and this worker
            holds none.
    """
    held = held_gpus()
    if held is None or name not in ("auto", "cuda") and not name.startswith("cuda:"):
        return pick_device(name)
    if not held:
        if name == "auto":
            return torch.device("cpu")
        raise DeviceError(
            f"run.device {name} needs a GPU, but Ray assigned none on {socket.gethostname()}: set run.device "
            f"auto, and check that nvidia-smi works where Ray was started"
        )
    device = pick_device(name)
    if device.type != "cuda":
        raise DeviceError(
            f"Ray assigned GPU {', '.join(held)} of {socket.gethostname()}, but torch sees no GPU there: "
            f"check that nvidia-smi works there, start a container with NVIDIA_VISIBLE_DEVICES=all (make "
            f"image sets it), or set run.device cpu"
        )
    return device


def memory_advice(config: TrainConfig, device: torch.device, gpus: float) -> str:
    """Return the reason and the remedies for a trial that ran out of memory on `gpus` of a GPU."""
    gpu = describe_device(device).partition(",")[0]
    part = f"a share of {gpus:g} of " if 0 < gpus < 1 else ""
    larger = " or give trials a larger --gpus-per-trial" if part else ""
    return (
        f"it needs more memory than {part}{gpu} has with data.batch_size {config.data.batch_size}: raise "
        f"optim.micro_batches (now {config.optim.micro_batches}), lower data.batch_size, set run.precision "
        f"bf16{larger}"
    )
