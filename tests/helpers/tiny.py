"""What several tests share: a run small enough for milliseconds, and pictures to run it on."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from trainers.config import TrainConfig, override

SMALL = {
    "data.crop_px": 16,
    "data.batch_size": 4,
    "generator.num_blocks": 1,
    "generator.channels": 8,
    "generator.norm": "batch",
    "discriminator.base_channels": 4,
    "discriminator.num_layers": 4,
    "discriminator.norm": "batch",
    "loss.pixel_weight": 0.5,
    "loss.content_weight": 0.0,
    "loss.content_layer": "conv2_1",
    "loss.content_weights": "random",
    "loss.adversarial_weight": 0.1,
    "optim.lr_psnr": 1e-3,
    "optim.lr_g": 1e-3,
    "optim.lr_d": 1e-3,
    "run.psnr_steps": 6,
    "run.gan_steps": 6,
    "run.psnr_eval_every_steps": 3,
    "run.eval_every_steps": 3,
    "run.log_every_steps": 2,
    "run.checkpoint_every_steps": 2,
    "run.ema_decay": 0.9,
    "run.bn_recalibration_batches": 2,
    "run.device": "cpu",
    "objective.perceptual": "swd",
}

PUBLIC = {
    "compact": {"num_feat": 8, "num_conv": 2},
    "span": {"feature_channels": 8},
    "plksr": {"dim": 16, "n_blocks": 2, "kernel_size": 5},
    "realplksr": {"dim": 16, "n_blocks": 2, "kernel_size": 5},
    "mosr": {"dim": 8, "n_block": 2},
    "omnisr": {"num_feat": 16, "res_num": 1},
    "swinir": {"embed_dim": 12, "depths": [2, 2], "num_heads": [2, 2], "upsampler": "pixelshuffledirect"},
    "dat": {
        "embed_dim": 128,
        "depth": [3],
        "num_heads": [2],
        "split_size": [4, 8],
        "expansion_factor": 2.0,
        "upsampler": "pixelshuffledirect",
    },
    "rcan": {"n_resgroups": 1, "n_resblocks": 2, "n_feats": 16, "reduction": 4},
}
"""The public architectures in sizes that spandrel recognises like the published ones."""


def noise(folder: Path, side: int = 48, count: int = 12) -> Path:
    """A new folder of square pictures, no two alike."""
    folder.mkdir()
    draw = np.random.default_rng(side)
    for k in range(count):
        pixels = draw.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:02d}.png")
    return folder


def tiny(**changes) -> TrainConfig:
    """The small run with some settings changed; `__` stands for the dot."""
    values = {name.replace("__", "."): value for name, value in changes.items()}
    return override(TrainConfig(), SMALL | values)


def small_recipe(config: TrainConfig) -> TrainConfig:
    """The recipe with few channels and blocks, on small crops, and VGG with random weights."""
    values = {"loss.content_weights": "random", "data.batch_size": 2, "data.crop_px": 32}
    values |= {"discriminator.base_channels": 4, "generator.channels": 8}
    if config.discriminator.kind in ("paper", "esrgan"):
        values["discriminator.image_px"] = 32
    if config.discriminator.kind == "esrgan":
        values["discriminator.num_layers"] = 6
    if config.generator.scale == 3:
        values["data.crop_px"] = 33
        values["discriminator.image_px"] = 33
    if not config.generator.kind.startswith("srcnn"):
        values["generator.num_blocks"] = 1
    return override(config, values)


def batch(index: int = 0, count: int = 4, side: int = 16, dtype: torch.dtype = torch.float32):
    """hr and lr_image in [0, 1], a pure function of `index`."""
    draw = torch.Generator().manual_seed(index)
    hr = torch.rand(count, 3, side, side, generator=draw, dtype=dtype)
    return hr, torch.nn.functional.avg_pool2d(hr, 4)


class Loader:
    """An endless stream like datasets.loader.TrainLoader's; `spoil` maps an index to a changed batch."""

    def __init__(self, spoil=None, **sizes) -> None:
        self.spoil, self.sizes = spoil or {}, sizes

    def batches(self, start_step: int = 0):
        index = start_step
        while True:
            hr, lr_image = batch(index, **self.sizes)
            if index in self.spoil:
                hr, lr_image = self.spoil[index](hr, lr_image)
            yield SimpleNamespace(hr=hr, lr_image=lr_image)
            index += 1


class Measure:
    """Stands for the evaluator: distortion against one fixed batch, and a second number."""

    def measure(self, generator):
        hr, lr_image = batch(10_000)
        with torch.no_grad():
            sr = generator(lr_image)
        mse = (sr - hr).square().mean()
        return SimpleNamespace(summary={"psnr_y": -10 * mse.log10().item(), "swd": sr.std().item()})


def snapshot(*modules) -> dict[str, torch.Tensor]:
    """Every parameter and buffer of the modules, copied."""
    return {f"{i}.{k}": v.clone() for i, m in enumerate(modules) if m for k, v in m.state_dict().items()}


def moments(optimizer) -> dict[str, torch.Tensor]:
    """Every tensor an optimizer remembers, copied."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{k}": v.clone() for i, s in state.items() for k, v in s.items() if torch.is_tensor(v)}


def same(a: dict, b: dict) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
