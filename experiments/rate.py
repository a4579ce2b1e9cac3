"""Blind opinion scores: a local page where people rate pictures of several models from 1 to 5.

    python experiments/rate.py --images ours=out/ours theirs=out/theirs --hr photos --out runs/ratings/mine
    python experiments/rate.py --model pick=runs/demo --test demo --out runs/ratings/demo
    python experiments/rate.py --out runs/ratings/demo --results --sweep demo

The same --out goes on with a study: scores that were given stay.
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


@dataclass(frozen=True)
class Args:
    """Blind opinion scores: a local page where people rate pictures of several models from 1 to 5."""

    request: Annotated[RatingRequest, tyro.conf.arg(name="")] = field(default_factory=RatingRequest)
    """What is rated."""
    out: Path = Path("runs/ratings/first")
    """Folder of the study: its pictures, what raters said, results."""
    port: int = 8765
    """Port of the page on 127.0.0.1; 0 takes a free one."""
    session: int = 1
    """Another number lets the same raters sit again, in another order."""
    results: bool = False
    """Print and write the results instead of serving the page."""
    against: str = ""
    """Model that the others are compared with; the first one where empty."""
    min_consistency: float = 0.75
    """Share of repeated pictures with scores at most one apart, below which a rater is flagged."""
    sweep: str = ""
    """Sweep whose report gets the results as a section: its name in runs/, or its folder."""
    tracking_uri: str = f"sqlite:///{Path('runs').resolve()}/mlflow.db"
    """MLflow store that holds the registry and gets the results."""
    track: bool = True
    """Log results to MLflow (experiment upsweep-ratings)."""
    device: str = "auto"
    """auto: CUDA, else MPS, else CPU; or a torch device name."""


def main(args: Args) -> int:
    """Parse, then serve the page or tell the results."""
    if not args.results and (args.against or args.sweep):
        raise UserError("--against and --sweep say how results are told; add --results")
    say = partial(print, flush=True)
    study = open_or_create(args.out, args.request, args.tracking_uri, args.device, say)
    if args.results:
        print_results(
            study, args.against, args.min_consistency, args.sweep, args.tracking_uri, args.track, say
        )
    else:
        serve(study, args.port, args.session, say)
    return 0


if __name__ == "__main__":
    cli.run(lambda: main(cli.parse(Args)))
