"""Blind opinion scores: a local page where people rate pictures of several models from 1 to 5.

    upsweep rate --images ours=out/ours theirs=out/theirs --hr photos --out runs/ratings/mine
    upsweep rate --model pick=runs/demo --test demo --out runs/ratings/demo
    upsweep rate --out runs/ratings/demo --results --sweep demo

A study is continued by naming its --out again: its scores are kept.
"""

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from datasets.errors import UserError
from experiments.common import cli
from orchestrator.rating.commands import open_or_create, print_results, serve
from orchestrator.rating.study import RatingRequest
from orchestrator.tracking.server import default_uri


@dataclass(frozen=True)
class RateOptions:
    """Blind opinion scores: a local page where people rate pictures of several models from 1 to 5."""

    request: Annotated[RatingRequest, tyro.conf.arg(name="")] = field(default_factory=RatingRequest)
    """Settings of a new study."""
    out: Path = Path("runs/ratings/first")
    """Folder of the study: pictures, scores, results."""
    port: int = 8765
    """Port of the page on 127.0.0.1; 0 takes a free one."""
    session: int = 1
    """Number of the session; another number lets raters rate again, in another order."""
    results: bool = False
    """Print and write the results instead of serving the page."""
    against: str = ""
    """Model that the others are compared with; empty: the first one."""
    min_consistency: float = 0.75
    """Share of repeated pictures with scores at most one apart, below which a rater is flagged."""
    sweep: str = ""
    """Sweep whose report gets the results as a section: its name in runs/, or its folder."""
    tracking_uri: str = default_uri("runs")
    """MLflow store that holds the registry and gets the results."""
    track: bool = True
    """Log results to MLflow (experiment upsweep-ratings)."""
    device: str = "auto"
    """auto: CUDA, else the CPU; or a torch device name."""


def main(options: RateOptions) -> int:
    """Serve the page or print the results; return the exit code."""
    if not options.results and (options.against or options.sweep):
        raise UserError("--against and --sweep need --results; add it, or leave them out")
    say = partial(print, flush=True)
    study = open_or_create(options.out, options.request, options.tracking_uri, options.device, say)
    if options.results:
        print_results(
            study,
            options.against,
            options.min_consistency,
            options.sweep,
            options.tracking_uri,
            options.track,
            say,
        )
    else:
        serve(study, options.port, options.session, say)
    return 0


if __name__ == "__main__":
    cli.run(lambda: main(cli.parse(RateOptions)))
