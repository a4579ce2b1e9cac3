"""Pretrained generators shared by content: one PSNR phase per key, whoever trains it first."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from orchestrator.storage import Storage
from trainers.checkpoint import generator_weights
from trainers.config import TrainConfig, digest, flatten

# Raised by hand whenever the same settings would train other weights than before.
STEP_SEMANTICS = 1

# Every setting outside these decides the PSNR phase and so belongs to the key.
NOT_IN_KEY = (
    "recipe",
    "discriminator.",
    "objective.",
    "loss.",
    "data.val",
    "data.test",
    "data.gate",
    "data.train",  # stands in the key as the digest of its images
    "data.eval_",
    "optim.lr_g",
    "optim.lr_d",
    "optim.gan_schedule",
    "optim.update_order",
    "run.gan_steps",
    "run.eval_every_steps",
    "run.psnr_eval_every_steps",
    "run.log_every_steps",
    "run.checkpoint_every_steps",
    "run.device",
    "run.threads",
)
IN_KEY_ALL_THE_SAME = ("loss.pixel", "loss.pixel_colors")


def key(config: TrainConfig, train_digest: str) -> str:
    """16 hex digits that name the PSNR phase of `config` on the images of `train_digest`."""
    values = {
        name: value
        for name, value in flatten(config).items()
        if name in IN_KEY_ALL_THE_SAME or not name.startswith(NOT_IN_KEY)
    }
    return digest({"config": values, "train": train_digest, "step_semantics": STEP_SEMANTICS})


def folder(warm_key: str) -> str:
    """Where the warm start of `warm_key` lies under the storage root, shared by all sweeps."""
    return f"warm/{warm_key}"


def ready(storage: Storage, warm_key: str) -> bool:
    """Whether it has been trained and published whole."""
    return storage.exists(f"{folder(warm_key)}/done.json")


def publish(storage: Storage, warm_key: str, checkpoint: Path, metrics: Mapping[str, float]) -> None:
    """Publish a finished PSNR phase; the marker goes last, so nobody reads half of it."""
    storage.publish(checkpoint, f"{folder(warm_key)}/checkpoint")
    storage.write_text(f"{folder(warm_key)}/done.json", json.dumps({"metrics": dict(metrics)}))


def weights(storage: Storage, warm_key: str, scratch: Path) -> dict[str, Tensor]:
    """The averaged generator weights that a GAN phase starts from."""
    return generator_weights(storage.fetch(f"{folder(warm_key)}/checkpoint", scratch))


def metrics(storage: Storage, warm_key: str) -> dict[str, Any]:
    """What the warm start measured on val when it was published."""
    return json.loads(storage.read_text(f"{folder(warm_key)}/done.json"))["metrics"]
