"""Upscale pictures with a trained network: files, folders or globs in, PNG, JPEG, WebP or TIFF out.

    upsweep upscale photo.jpg holiday/

Exit status: 0 all pictures done, 1 some failed (one sentence each), 2 a mistake in the command.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro
from rich.console import Console

from datasets.errors import UserError
from datasets.text import printable
from experiments.common import cli
from orchestrator.console.bars import BatchProgress
from orchestrator.registry.model_name import find_model
from orchestrator.tracking.server import default_uri


@dataclass(frozen=True)
class Args:
    """Upscale pictures with a trained network."""

    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE ...")] = ()
    """Pictures: files, folders (searched below as well) or globs."""
    out: Path = Path("upscaled")
    """Folder for the results, named NAME_x4.png."""
    model: str = ""
    """models:/NAME@ALIAS in the registry, a sweep of ./runs, the folder of a sweep, a run or a checkpoint, an
    exported *.onnx, or a weight file (*.pth, *.safetensors) of a public architecture of generator.kind or
    leftthomas/SRGAN; empty: the pick of the newest sweep in ./runs."""
    tracking_uri: str = default_uri("runs")
    """MLflow store that holds the registry."""
    format: Literal["png", "jpeg", "webp", "tiff"] = "png"
    """File format of the results; png and tiff keep 16 bit, tiff also many bands and the tags of a TIFF."""
    compare: bool = False
    """Also write NAME_x4_compare.png: bicubic on the left, the network on the right."""
    memory_mb: int = 256
    """Memory for the feature maps of one tile; more is slightly faster on large pictures."""
    device: str = "auto"
    """auto: CUDA, else the CPU; or a torch device name."""


def main(args: Args) -> int:
    """Upscale the pictures; return the exit status."""
    model = find_model(args.model, args.tracking_uri) if args.model else _newest_pick()
    _check_has_pick(Path(model))
    from orchestrator.registry.load_model import load_model  # torch: seconds
    from trainers.device import pick_device
    from trainers.inference.files import jobs, upscale_files

    network, config = load_model(model, args.tracking_uri)
    network.to(pick_device(args.device))
    scale = config.generator.scale
    console = Console(stderr=True)

    def say(sentence: str) -> None:
        console.print(printable(sentence), markup=False, highlight=False, soft_wrap=True)

    todo = jobs(list(args.images), args.out, args.format, scale, say)
    replaced = sum(job.target.exists() for job in todo)
    with BatchProgress(len(todo), console) as bar:
        failed = upscale_files(
            network,
            todo,
            scale=scale,
            memory_mb=args.memory_mb,
            compare=args.compare,
            pixel_format=config.data.pixels,
            say=say,
            progress=lambda job, done, total: bar.update(str(job.source), done, total),
        )
    done = f"{len(todo) - failed} of {len(todo)} pictures upscaled x{scale} into {printable(str(args.out))}"
    if len(todo) == 1 and not failed:
        done = f"{printable(todo[0].source.name)} upscaled x{scale} into {printable(str(todo[0].target))}"
    print(f"{done}, where {replaced} replaced an earlier result" if replaced else done)
    return 1 if failed else 0


def _check_has_pick(folder: Path) -> None:
    """Raise UserError if `folder` is that of a sweep without a pick, before imports that take seconds."""
    from orchestrator.results import sweep_folder
    from orchestrator.storage import Storage

    if (folder / sweep_folder.FACTS).is_file():
        sweep_folder.check_has_pick(sweep_folder.read_facts(Storage(str(folder.parent)), folder.name))


def _newest_pick() -> str:
    """Return the folder of the newest sweep in ./runs that picked a network, and print it.

    UserError if there is none.
    """
    from orchestrator.results.sweep_folder import newest_sweep
    from orchestrator.storage import Storage

    try:
        folder = f"runs/{newest_sweep(Storage('runs'))}"
    except UserError:
        raise UserError(
            "--model is missing, and ./runs has no finished sweep whose pick it could be"
        ) from None
    print(f"--model {folder}, the pick of the newest sweep", file=sys.stderr)
    return folder


if __name__ == "__main__":
    cli.run(lambda: main(cli.parse(Args)))
