"""Download the published weights that metrics need: python experiments/fetch_weights.py lpips_alex niqe.

Files go to the folder named by UPSWEEP_WEIGHTS, else to torch's download cache; hashes are checked.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from datasets.errors import UserError, unknown
from experiments.common import cli
from trainers.metrics import METRICS
from trainers.metrics.weights import fetch, missing


@dataclass(frozen=True)
class FetchOptions:
    """Download the published weights that metrics need; without a name, list what is missing."""

    metrics: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="METRIC ...")] = ()
    """Metrics whose files are downloaded: lpips_alex, lpips_vgg, dists, niqe, fid, kid."""


def main(options: FetchOptions) -> int:
    """Download, or list missing files. UserError if a metric is still unavailable."""
    for name in options.metrics:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    for name in options.metrics or METRICS:
        for file in missing(METRICS[name].needs):
            print(f"{name}: {fetch(file) if options.metrics else f'{file} is missing'}")
    if broken := [sentence for name in options.metrics if (sentence := METRICS[name].unavailable())]:
        raise UserError("; ".join(broken))
    return 0


if __name__ == "__main__":
    cli.run(lambda: main(cli.parse(FetchOptions)))
