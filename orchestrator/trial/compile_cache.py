"""Kernels that torch.compile made for a design, kept in the storage for other nodes."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from orchestrator.storage import Storage
from trainers.config import TrainConfig, digest, flatten

FOLDER = "compiled"
SHAPING: tuple[str, ...] = (
    "generator.",
    "discriminator.",
    "loss.content_",
    "loss.perceptual",
    "data.crop_px",
    "data.batch_size",
    "optim.micro_batches",
    "optim.update_order",
    "run.precision",
)
"""Settings, or their beginnings, that decide the kernels; torch compiles what a file lacks."""


@contextmanager
def shared_kernels(
    storage: Storage, config: TrainConfig, device: torch.device, *, leads: bool
) -> Iterator[None]:
    """Load the kernels of designs like `config` before a trial, or store them after it if there were none.

    A cache that cannot be read or written is a warning, because the trial needs it only for speed.
    """
    if not config.run.compile:
        yield
        return
    name = f"{FOLDER}/{kernels_key(config, device)}"
    found = _attempt("read", lambda: _load(storage, name))
    yield
    if leads and not found:
        _attempt("stored", lambda: _save(storage, name))


def kernels_key(config: TrainConfig, device: torch.device) -> str:
    """Return the name of the kernels of a design on this kind of device and build of torch."""
    cpu = torch.backends.cpu.get_cpu_capability()
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    settings = {name: value for name, value in flatten(config).items() if name.startswith(SHAPING)}
    return digest({"torch": torch.__version__, "device": card, **settings})


def _load(storage: Storage, name: str) -> bool:
    if not storage.exists(name):
        return False
    return torch.compiler.load_cache_artifacts(storage.read_bytes(name)) is not None


def _save(storage: Storage, name: str) -> bool:
    made = torch.compiler.save_cache_artifacts()
    if made is not None:
        storage.write_bytes(name, made[0])  # also over a damaged file, which torch has reported
    return made is not None


def _attempt(done: str, work: Callable[[], bool]) -> bool:
    try:
        return work()
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        warnings.warn(f"run.compile: kernels of other nodes cannot be {done}: {reason}", stacklevel=3)
        return False
