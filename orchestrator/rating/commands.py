"""The commands of experiments/rate.py: let people rate a study, print its results."""

import shlex
from collections.abc import Callable
from pathlib import Path

from datasets.errors import UserError
from datasets.files import alone
from orchestrator.rating import publish
from orchestrator.rating.scores import read_sessions
from orchestrator.rating.server import App, Server
from orchestrator.rating.study import RatingRequest, RatingStudy, open_study

Say = Callable[[str], None]


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


def print_results(
    study: RatingStudy,
    against: str,
    min_consistency: float,
    sweep: str,
    tracking_uri: str,
    track: bool,
    say: Say,
) -> None:
    """Print the results and write them as CSV, to MLflow if `track`, and to the report of `sweep` if named.

    MLflow and the report get nothing before a rater has finished.
    """
    sweep_dir = Path("runs") / sweep if sweep and not Path(sweep).is_dir() else Path(sweep)
    results = publish.compute_results(study, against, min_consistency)
    say(publish.to_markdown(results, names=True))
    folder = publish.write_tables(study, results)
    say(f"tables and every score: {folder}")
    if not results.panels:
        return
    if sweep:
        say(f"report: {publish.add_to_report(study, results, sweep_dir)}")
    if track:
        run_id = publish.log_to_mlflow(study, results, folder, tracking_uri, sweep)
        say(f"logged to {tracking_uri} as run {run_id}")
