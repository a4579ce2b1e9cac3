"""One table of models and classical resizers on test sets: Markdown, CSV, LaTeX and per-image values.

python experiments/benchmark_table.py runs/my/checkpoint --sets Set5=data/Set5 BSD100=data/BSD100
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from experiments.common import cli
from orchestrator.registry.load_model import load_model
from orchestrator.tracking.table_run import log_table
from trainers.benchmarks.published import quoted_blocks
from trainers.benchmarks.sets import open_test_set
from trainers.benchmarks.table import Model, measure_all, numbers, write_all
from trainers.device import pick_device


@dataclass(frozen=True)
class Args:
    """One table of models and classical resizers on test sets."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[MODEL ...]")] = ()
    """models:/NAME@ALIAS or folders of sweeps, runs, checkpoints, each also as NAME=...; all of one scale."""
    sets: tuple[str, ...] = ("demo",)
    """Test sets: folders (HR and LR pairs, or photographs) as NAME=FOLDER, or catalogue names."""
    scale: int = 4
    """Magnification, where no model decides it."""
    metrics: tuple[str, ...] = ("psnr_y", "ssim_y")
    """Metrics, in the order of the columns."""
    degradation: str = "matlab"
    """How inputs are made where a set ships none."""
    quoted: bool = True
    """Add published rows in blocks of their own."""
    out: Path = Path("runs/benchmark")
    """Folder for table.md, table.csv, table.tex and per_image.parquet."""
    tracking_uri: str = f"sqlite:///{Path('runs').resolve()}/mlflow.db"
    """MLflow store that holds the registry and gets the table."""
    track: bool = True
    """Log the table to MLflow (experiment upsweep-benchmarks)."""
    device: str = "auto"
    """auto: CUDA, else MPS, else CPU; or a torch device name."""


def main(args: Args) -> int:
    """Parse, measure, print and write the table."""
    device = pick_device(args.device)
    models = []
    for word in args.models:
        name, _, place = word.rpartition("=")
        network, config = load_model(place, args.tracking_uri)
        models.append(Model(name or place, network.to(device), config.generator.scale))
    scale = models[0].scale if models else args.scale
    sets = [open_test_set(s, scale, args.degradation, args.out / "work") for s in args.sets]
    table = measure_all(models, sets, args.metrics, scale=scale, device=device, say=print)
    quoted = quoted_blocks(scale, [s.name for s in sets]) if args.quoted else []
    print(write_all(args.out, table, quoted))
    if args.track:
        run_id = log_table(args.out, args.tracking_uri, args.out.name, numbers(table), table.protocols)
        print(f"logged to {args.tracking_uri} as run {run_id}")
    return 0


if __name__ == "__main__":
    cli.run(lambda: main(cli.parse(Args)))
