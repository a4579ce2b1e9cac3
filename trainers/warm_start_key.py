"""The key that names a PSNR phase by everything that decides its weights."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import UserError
from trainers.config import TrainConfig, digest, flatten

if TYPE_CHECKING:  # spaces need the key's names for --help, where torch and pyarrow would cost seconds
    pass


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


def warm_start_key(config: TrainConfig, train_digest: str) -> str:
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
