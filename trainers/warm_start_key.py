"""The warm-start key: a hash of everything that decides the weights of a PSNR phase."""

import json
from pathlib import Path

from datasets.errors import UserError
from trainers.config import TrainConfig, digest, flatten

# Increase by hand whenever equal settings would train other weights than before.
STEP_SEMANTICS = 1

# All settings but these belong to the key. A name that ends with a dot stands for its whole section.
NOT_IN_KEY = (
    "recipe",
    "discriminator.",
    "objective.",
    "loss.",
    "data.val",
    "data.test",
    "data.gate",
    "data.train",  # the key has the digest of its images instead
    "data.train_degradation",  # the key has the one of the PSNR phase instead
    "data.psnr_degradation",
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
    "run.cuda_graph",
    "run.deterministic",
    "run.device",
    "run.threads",
)
# Settings that came later: at these values they are left out, so that older keys remain.
ADDED_LATER = {
    "data.rotate": False,
    "generator.size": "",
    "optim.weight_decay": 0.01,
    "data.bands": ["red", "green", "blue"],
    "data.peak": 255,
    "generator.image_channels": 3,
    "run.derived_from": "",
}
EXCEPTIONS_IN_KEY = ("loss.pixel", "loss.pixel_colors")


def in_key(name: str) -> bool:
    """Return True if the setting `name` decides the weights of the PSNR phase."""
    section = name.partition(".")[0] + "."
    return name in EXCEPTIONS_IN_KEY or not (name in NOT_IN_KEY or section in NOT_IN_KEY)


def warm_start_key(config: TrainConfig, train_digest: str) -> str:
    """Return 16 hex digits that identify the PSNR phase of `config` on the images of `train_digest`.

    UserError if run.start_from names a folder without a checkpoint.
    """
    values = {name: value for name, value in flatten(config).items() if in_key(name)}
    values = {n: value for n, value in values.items() if n not in ADDED_LATER or value != ADDED_LATER[n]}
    if degradation := config.data.psnr_degradation or config.data.train_degradation:
        values["data.psnr_degradation"] = degradation
    if config.run.start_from:
        values["run.start_from"] = weights_digest(Path(config.run.start_from))
    return digest({"config": values, "train": train_digest, "step_semantics": STEP_SEMANTICS})


def weights_digest(checkpoint: Path) -> str:
    """Return the SHA-256 of a checkpoint's averaged generator, which does not depend on its path.

    UserError if there is no checkpoint.
    """
    try:
        hashes = json.loads((checkpoint / "manifest.json").read_text())["sha256"]
        return hashes["generator_ema.safetensors"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"run.start_from: there is no checkpoint in {checkpoint}") from None
