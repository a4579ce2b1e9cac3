"""Blind opinion scores: a local page where people rate pictures of several models from 1 to 5.

    upsweep rate --images ours=out/ours theirs=out/theirs --hr photos --out runs/ratings/mine
    upsweep rate --model pick=runs/demo --test demo --out runs/ratings/demo
    upsweep rate --out runs/ratings/demo --results --sweep demo

A study is continued by naming its --out again: its scores are kept.
"""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from datasets.errors import UserError
from datasets.files import alone
from experiments.common import cli
from orchestrator.rating import publish
from orchestrator.rating.scores import read_sessions
from orchestrator.rating.server import App, Server
from orchestrator.rating.study import RatingRequest, RatingStudy, open_study
from orchestrator.tracking.server import default_uri

Say = Callable[[str], None]


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
        print_results(study, options, say)
    else:
        serve(study, options.port, options.session, say)
    return 0


def open_or_create(
    folder: Path, request: RatingRequest, tracking_uri: str, device: str, say: Say
) -> RatingStudy:
    """Return the study in `folder`, made from `request` if there is none yet.

    Raises:
        UserError: if the study has other settings, or none can be made.
    """
    if study := open_study(folder, request):
        return study
    if not request.images and not request.model:
        raise UserError(
            f"there is no study in {folder}; name models by --images NAME=FOLDER or --model NAME=CHECKPOINT"
        )
    from orchestrator.rating.create import make_study  # imports torch: seconds

    return make_study(folder, request, tracking_uri, device, say)


def serve(study: RatingStudy, port: int, session_number: int, say: Say) -> None:
    """Serve the rating page until Ctrl-C.

    Raises:
        UserError: if the port is in use or another process serves the study.
    """
    with alone(study.folder / ".lock", f"serves {study.folder}"):
        app = App(study, session_number)
        with Server(app, port) as server:
            say(f"{app.total} pictures a rater; rate at {server.url} (this machine only; Ctrl-C ends it)")
            try:
                server.serve_forever(poll_interval=0.2)
            except KeyboardInterrupt:
                pass
    counts = [len(session.ratings) for session in read_sessions(study.folder)]
    say(f"\n{sum(counts)} scores by {sum(map(bool, counts))} raters are in {study.folder}")
    say(f"results: upsweep rate --out {shlex.quote(str(study.folder))} --results")


def print_results(study: RatingStudy, options: RateOptions, say: Say) -> None:
    """Print the results and write them as CSV, to MLflow and to the report of a sweep, as the options say.

    MLflow and the report get nothing before a rater has finished.
    """
    results = publish.compute_results(study, options.against, options.min_consistency)
    say(publish.to_markdown(results, names=True))
    folder = publish.write_tables(study, results)
    say(f"tables and every score: {folder}")
    if not results.panels:
        return
    if options.sweep:
        sweep = Path(options.sweep)
        sweep_dir = sweep if sweep.is_dir() else Path("runs") / sweep
        say(f"report: {publish.add_to_report(study, results, sweep_dir)}")
    if options.track:
        run_id = publish.log_to_mlflow(study, results, folder, options.tracking_uri, options.sweep)
        say(f"logged to {options.tracking_uri} as run {run_id}")


if __name__ == "__main__":
    cli.run(lambda: main(cli.parse(RateOptions)))
