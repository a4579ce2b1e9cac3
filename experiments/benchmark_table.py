"""One table of models and classical resizers on test sets: Markdown, CSV, LaTeX and per-image values.

upsweep benchmark runs/my/checkpoint --sets Set5=data/Set5 BSD100=data/BSD100

Published networks beside one's own, after upsweep weights, by the convention of most papers since 2018:

upsweep benchmark span_x4 dat_light_x4 realsr_df2k_x4 realesrgan_x4plus \
    --sets Set5=data/Set5 --metrics psnr_y_float ssim_y_float lpips_alex dists
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from experiments.common import cli
from orchestrator.registry.load_model import load_model
from orchestrator.tracking.server import default_uri
from orchestrator.tracking.table_run import log_table
from trainers.benchmarks.published import quoted_blocks
from trainers.benchmarks.sets import open_test_set
from trainers.benchmarks.table import Model, measure_all, numbers, write_all
from trainers.device import pick_device


@dataclass(frozen=True)
class BenchmarkOptions:
    """One table of models and classical resizers on test sets."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[MODEL ...]")] = ()
    """models:/NAME@ALIAS or folders of sweeps, runs, checkpoints, each also as NAME=...; all of one scale."""
    sets: tuple[str, ...] = ("demo",)
    """Test sets: folders (HR and LR pairs, or photographs) as NAME=FOLDER, or catalogue names."""
    scale: int = 4
    """Magnification, unless a model decides it."""
    metrics: tuple[str, ...] = ("psnr_y", "ssim_y")
    """Metrics, in the order of the columns."""
    degradation: str = "matlab"
    """Degradation that makes the inputs of sets without LR pictures."""
    quoted: bool = True
    """Add published numbers in separate blocks."""
    out: Path = Path("runs/benchmark")
    """Folder for table.md, table.csv, table.tex and per_image.parquet."""
    tracking_uri: str = default_uri("runs")
    """MLflow store that holds the registry and gets the table."""
    track: bool = True
    """Log the table to MLflow (experiment upsweep-benchmarks)."""
    device: str = "auto"
    """auto: CUDA, else the CPU; or a torch device name."""


def main(options: BenchmarkOptions) -> int:
    """Measure, print and write the table; return the exit code."""
    device = pick_device(options.device)
    models = []
    for named in options.models:
        name, _, place = named.rpartition("=")
        network, config = load_model(place, options.tracking_uri)
        models.append(Model(name or place, network.to(device), config.generator.scale))
    scale = models[0].scale if models else options.scale
    sets = [open_test_set(s, scale, options.degradation, options.out / "work") for s in options.sets]
    table = measure_all(models, sets, options.metrics, scale=scale, device=device, say=print)
    quoted = quoted_blocks(scale, [s.name for s in sets], options.metrics) if options.quoted else []
    print(write_all(options.out, table, quoted))
    if options.track:
        run_id = log_table(
            options.out, options.tracking_uri, options.out.name, numbers(table), table.protocols
        )
        print(f"logged to {options.tracking_uri} as run {run_id}")
    return 0


if __name__ == "__main__":
    cli.run(lambda: main(cli.parse(BenchmarkOptions)))
