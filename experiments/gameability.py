"""Measure which metrics changes that restore nothing can better: python experiments/gameability.py FOLDER...

Each folder is a set of pictures. The table is Markdown; a plus means that the metric calls the change better.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import tyro
from PIL import Image
from rich.console import Console

from datasets.degrade import down
from datasets.errors import UserError
from experiments.common import cli
from orchestrator.console.bars import BatchProgress
from orchestrator.registry.load_model import load_model
from trainers.benchmarks.formats import markdown
from trainers.evaluate import resize_up
from trainers.metrics import require
from trainers.metrics.gameability import MANIPULATIONS, gains


@dataclass(frozen=True)
class Args:
    """Measure which metrics improve by changes that restore nothing: noise, sharpening, patterns."""

    folders: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER ...")] = ()
    """Sets of pictures; the table shows means over the sets."""
    metrics: tuple[str, ...] = ("lpips_alex", "lpips_vgg", "dists", "swd", "psnr_y", "ssim_y")
    """Metrics to test; those whose weights are missing are refused."""
    start: str = ""
    """Network whose results are changed (as upsweep upscale --model); empty: bicubic."""
    scale: int = 4
    """Magnification; a network's own must equal it."""
    count: int = 8
    """Pictures of each set, in the order of their names."""
    crop: int = 128
    """Side of the centre crop in pixels."""


def targets(folder: Path, args: Args) -> list[np.ndarray]:
    """Return the centres of a folder's first pictures, uint8 (crop, crop, 3), passing over smaller ones."""
    found = []
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        with Image.open(path) as image:
            left, top = ((n - args.crop) // 2 for n in image.size)
            if min(left, top) >= 0:
                found.append(
                    np.array(image.convert("RGB").crop((left, top, left + args.crop, top + args.crop)))
                )
        if len(found) == args.count:
            break
    if not found:
        raise UserError(f"{folder} has no picture of at least {args.crop} px; set --crop")
    return found


def main(args: Args) -> int:
    """Print the table."""
    if not args.folders:
        raise UserError("name at least one folder of pictures")
    require(args.metrics, "--metrics")
    network = load_model(args.start, "")[0].eval() if args.start else None
    found = []
    with BatchProgress(len(args.folders) * (len(MANIPULATIONS) + 3), Console(stderr=True)) as progress:
        for folder in args.folders:
            watch = partial(_show, progress, folder)
            found.append(_of_set(targets(Path(folder), args), network, args, watch))
    rows = [
        (name, *(f"{100 * np.mean([shares[name][m] for shares in found]):+.1f}" for m in args.metrics))
        for name in found[0]
    ]
    print(markdown(("change, gain in %", *args.metrics), rows))
    return 0


def _show(progress: BatchProgress, folder: str, change: str) -> None:
    progress.update(f"{folder}: {change}", 0, 1)


@torch.inference_mode()
def _of_set(
    hr: list[np.ndarray], network: torch.nn.Module | None, args: Args, watch: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    small = [down(torch.from_numpy(image).permute(2, 0, 1)[None], args.scale, "matlab") for image in hr]
    lr_images = [_pixels(image) for image in small]
    others = {
        kind: [resize_up(image, args.scale, kind) for image in lr_images]
        for kind in ("nearest", "lanczos", "bicubic")
    }
    if network is None:
        base = others.pop("bicubic")
    else:
        base = [_pixels((255 * network(image / 255).clamp(0, 1)).round()) for image in small]
    return gains(args.metrics, base, others, hr, args.scale, lr_images, watch)


def _pixels(image: torch.Tensor) -> np.ndarray:
    return image[0].permute(1, 2, 0).to(torch.uint8).numpy()


if __name__ == "__main__":
    cli.run(lambda: main(cli.parse(Args)))
