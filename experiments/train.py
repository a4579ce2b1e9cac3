"""Train one network on this machine: the PSNR phase, then the GAN phase. No cluster, no tracking server.

Called again with an equal --out it resumes from its last checkpoint; SIGTERM and SIGHUP save one and stop.
Over several GPUs of this machine: torchrun --nproc-per-node N experiments/train.py ...
"""

import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets import stopping
from experiments import recipes
from experiments.common import cli


@dataclass
class TrainOptions:
    """Options of a run; every setting follows under its dotted name."""

    out: str = ""
    """Folder for checkpoints, candidates and metrics.jsonl; empty: runs/train/RECIPE."""
    storage: str = "./runs"
    """Folder of imported images and decoded copies."""
    start: str = ""
    """Public weight file (*.pth, *.safetensors, https://...#sha256=HEX, or a name of upsweep weights) whose
    network is trained further. It decides the generator and replaces the PSNR phase, unless
    --run.psnr-steps is given."""
    start_licence: str = ""
    """Licence of that file, if it states none; it is stored with the run."""
    metrics: tuple[str, ...] = ()
    """Metrics that are measured on val beside the two objectives; if none is given, ssim_y, or ssim of images
    other than 8-bit RGB."""
    config: cli.Settings = field(default_factory=recipes.demo)


def main() -> int:
    """Train, then print the path of the best checkpoint."""
    options = cli.parse(TrainOptions, recipes.build)
    from trainers.start import start_in
    from trainers.state import Stopped
    from trainers.train import train

    storage = Path(options.storage).resolve()
    out = Path(options.out or f"{storage}/train/{options.config.recipe}").resolve()
    config = options.config
    if options.start:
        config, start = start_in(out, options.start, config, sys.argv[1:], storage, options.start_licence)
        print(f"start: {start.sentence}")
    try:
        best = train(config, out, storage, options.metrics)
    except Stopped as stopped:
        print(f"{stopped}; the same command resumes from there", file=sys.stderr)
        return stopping.exit_code()
    if os.environ.get("RANK", "0") != "0":
        return 0
    print(f"best checkpoint: {best}")
    if config.run.psnr_steps and config.run.gan_steps and best.name.isdigit() and not int(best.name):
        goal = config.objective
        near = f"a {goal.distortion} near its own"
        print(f"that is the warm start: no GAN step had a better {goal.perceptual} at {near}")
    model = shlex.quote(str(best))
    print(f"use it:          upsweep upscale IMAGE --model {model} --out upscaled")
    print(f"promote it:      upsweep promote --checkpoint {shlex.quote(str(out))} --model NAME")
    return 0


if __name__ == "__main__":
    cli.run(main)
