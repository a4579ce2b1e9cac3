"""The device under test, sizes that fit it, and rows of the table that a GPU day writes."""

import platform
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image

from datasets.image_set import ImageSet, open_images
from experiments.recipes import build
from trainers.config import TrainConfig, override

SMALL = {
    "generator.channels": 8,
    "generator.num_blocks": 1,
    "discriminator.base_channels": 4,
    "discriminator.image_px": 32,
    "loss.content_layer": "conv2_1",
    "data.crop_px": 32,
    "data.batch_size": 2,
}


@dataclass(frozen=True)
class Row:
    """One line of the table: a measured value, or a check that passed or failed."""

    name: str
    value: str
    wanted: str = ""
    passed: bool | None = None
    """None if nothing was wanted of the value."""
    numbers: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain values for JSON."""
        return asdict(self)


@dataclass
class Place:
    """A device with its sizes; `small` runs every line of code in seconds on a CPU and measures nothing."""

    device: torch.device
    small: bool
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="gpu-day-")))
    peers: dict[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Return the number of steps that a check of the loop takes."""
        return 1 if self.small else 20

    def config(self, recipe: str, **changes: object) -> TrainConfig:
        """Return the recipe with random features, on this device; `__` in a name stands for the dot."""
        values: dict[str, object] = {name.replace("__", "."): v for name, v in changes.items()}
        base: dict[str, object] = {
            "run.device": str(self.device),
            "data.flip": True,
            "objective.perceptual": "swd",  # needs no weights
        }
        config = build(recipe)
        if config.loss.content_weight:
            base["loss.content_weights"] = "random"
        if self.small:
            values |= SMALL | (
                {"discriminator.num_layers": 6} if config.discriminator.kind == "esrgan" else {}
            )
        return override(config, base | values)

    def batch(self, config: TrainConfig, seed: int = 0, dtype: torch.dtype | None = None) -> tuple:
        """Return random hr and lr_image in [0, 1] of the sizes that `config` trains on."""
        draw = torch.Generator().manual_seed(seed)
        shape = (config.data.batch_size, 3, config.data.crop_px, config.data.crop_px)
        hr = torch.rand(shape, generator=draw, dtype=dtype or torch.get_default_dtype()).to(self.device)
        hr = hr.contiguous(memory_format=torch.channels_last)
        return hr, torch.nn.functional.avg_pool2d(hr, config.generator.scale)

    def photographs(self, side: int, count: int) -> Path:
        """Return a folder of `count` smooth random pictures of `side` pixels, made once."""
        folder = self.folder / f"pictures-{side}-{count}"
        if not folder.is_dir():
            folder.mkdir(parents=True)
            for k in range(count):
                draw = np.random.default_rng(k)
                coarse = draw.integers(0, 256, (max(2, side // 16),) * 2 + (3,), dtype=np.uint8)
                Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(
                    folder / f"{k:04d}.png"
                )
        return folder

    def images(self, config: TrainConfig, side: int, count: int) -> ImageSet:
        """Return the train role of such pictures, imported as a user's would be."""
        spec = str(self.photographs(side, count))
        data = override(config, {"data.train": spec}).data
        return open_images(spec, "train", work_dir=self.folder / "work", data=data)

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, call: Callable[[], object], at_least: int = 5, lasting: float = 0.5) -> float:
        """Return the mean seconds of `call`, warmed up; the host runs ahead of the device as in training."""
        if self.small:
            call()
            return 1e-3
        for _ in range(3):
            call()
        self.wait()
        began, count = perf_counter(), 0
        while count < at_least or perf_counter() - began < lasting:
            call()
            count += 1
            if count % at_least == 0:
                self.wait()
        self.wait()
        return (perf_counter() - began) / count

    def describe(self) -> dict[str, str]:
        """Return card, driver and versions for the head of the table."""
        facts = {"torch": torch.__version__, "python": platform.python_version()}
        if self.device.type == "cuda":
            properties = torch.cuda.get_device_properties(self.device)
            facts["card"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
            facts["cudnn"] = str(torch.backends.cudnn.version())
            query = [
                "nvidia-smi",
                "--query-gpu=driver_version,clocks.max.sm,power.limit",
                "--format=csv,noheader",
            ]
            answer = subprocess.run(query, capture_output=True, text=True, timeout=30)
            facts["driver, clock, power"] = answer.stdout.strip().split("\n")[0]
        else:
            cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
            facts["card"] = f"none: {cpu.group(1) if cpu else platform.machine()}"
        return facts


def passed(name: str, ok: bool, value: str, wanted: str, **numbers: float) -> Row:
    """Return the row of a check."""
    return Row(name, value, wanted, bool(ok), numbers)


def largest(pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Return the largest relative difference of pairs of tensors, each against the norm of the second."""
    return max(((a.cpu() - b.cpu()).norm() / b.cpu().norm().clamp_min(1e-30)).item() for a, b in pairs)
