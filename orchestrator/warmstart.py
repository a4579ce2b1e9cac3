"""Pretrained generators shared by content: one PSNR phase per key, whoever trains it first."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import UserError
from trainers.config import TrainConfig, digest, flatten

if TYPE_CHECKING:  # spaces need the key's names for --help, where torch and pyarrow would cost seconds
    from orchestrator.storage import Storage

# Raised by hand whenever the same settings would train other weights than before.
STEP_SEMANTICS = 1

# Every setting outside these decides the PSNR phase and so belongs to the key. A name that ends with a dot
# stands for its whole section.
NOT_IN_KEY = (
    "recipe",
    "discriminator.",
    "objective.",
    "loss.",
    "data.val",
    "data.test",
    "data.gate",
    "data.train",  # stands in the key as the digest of its images
    "data.eval_images",
    "data.eval_crop_px",
    "data.eval_crop_at",
    "data.cache_gb",
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


def in_key(name: str) -> bool:
    """Whether a setting decides what the PSNR phase trains."""
    section = name.partition(".")[0] + "."
    return name in IN_KEY_ALL_THE_SAME or not (name in NOT_IN_KEY or section in NOT_IN_KEY)


def key(config: TrainConfig, train_digest: str) -> str:
    """16 hex digits that name the PSNR phase of `config` on the images of `train_digest`."""
    values = {name: value for name, value in flatten(config).items() if in_key(name)}
    if config.run.start_from:
        values["run.start_from"] = weights_digest(Path(config.run.start_from))
    return digest({"config": values, "train": train_digest, "step_semantics": STEP_SEMANTICS})


def weights_digest(checkpoint: Path) -> str:
    """What a checkpoint's generator is, wherever it lies. UserError where there is none."""
    try:
        hashes = json.loads((checkpoint / "manifest.json").read_text())["sha256"]
        return hashes["generator_ema.safetensors"]
    except (OSError, ValueError, KeyError):
        raise UserError(f"run.start_from: there is no checkpoint in {checkpoint}") from None


def folder(warm_key: str) -> str:
    """Where the warm start of `warm_key` lies under the storage root, shared by all sweeps."""
    return f"warm/{warm_key}"


def ready(storage: "Storage", warm_key: str) -> bool:
    """Whether it has been trained and published whole."""
    return storage.exists(f"{folder(warm_key)}/done.json")


def published(storage: "Storage", warm_key: str) -> str:
    """The storage name of its checkpoint; FileNotFoundError where none is ready."""
    done = json.loads(storage.read_text(f"{folder(warm_key)}/done.json"))
    return f"{folder(warm_key)}/{done.get('checkpoint', 'checkpoint')}"


def publish(storage: "Storage", warm_key: str, checkpoint: Path, metrics: Mapping[str, float]) -> None:
    """Publish a finished PSNR phase unless one is there; the marker that names its folder goes last.

    Two sweeps may train the same one at once. Each writes a folder of its own, so nobody ever reads half of
    one or one that was put together from both.
    """
    if ready(storage, warm_key):
        return
    name = f"checkpoint-{uuid.uuid4().hex[:8]}"
    storage.publish(checkpoint, f"{folder(warm_key)}/{name}")
    done = {"checkpoint": name, "metrics": dict(metrics)}
    storage.write_text(f"{folder(warm_key)}/done.json", json.dumps(done))
