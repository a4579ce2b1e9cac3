"""The two things people do with a study: let others rate, and read the results."""

from collections.abc import Callable
from pathlib import Path

from datasets.errors import UserError
from orchestrator.rating import publish
from orchestrator.rating.scores import sittings
from orchestrator.rating.server import App, Server
from orchestrator.rating.study import Request, Study, held, open_study

Say = Callable[[str], None]


def open_or_create(folder: Path, request: Request, tracking_uri: str, device: str, say: Say) -> Study:
    """The study in `folder`, made from `request` where there is none yet. UserError where that cannot be."""
    if study := open_study(folder, request):
        return study
    if not request.images and not request.model:
        raise UserError(
            f"there is no study in {folder}; name models by --images NAME=FOLDER or --model NAME=CHECKPOINT"
        )
    from orchestrator.rating.create import make_study  # imports torch: seconds

    return make_study(folder, request, tracking_uri, device, say)


def serve(study: Study, port: int, session: int, say: Say) -> None:
    """Let people rate until Ctrl-C. UserError where the port or the study is in use."""
    with held(study.folder):
        app = App(study, session)
        with Server(app, port) as server:
            say(f"{app.total} pictures a rater; rate at {server.address} (this machine only; Ctrl-C ends it)")
            try:
                server.serve_forever(poll_interval=0.2)
            except KeyboardInterrupt:
                pass
    said = [len(s.ratings) for s in sittings(study.folder)]
    say(f"\n{sum(said)} scores by {sum(map(bool, said))} raters are in {study.folder}")
    say(f"results: python experiments/rate.py --out {study.folder} --results")


def print_results(
    study: Study, against: str, min_consistency: float, sweep: str, tracking_uri: str, track: bool, say: Say
) -> None:
    """Print the results and write them: CSV, MLflow where `track`, the report where a sweep is named.

    MLflow and the report get nothing before somebody has finished.
    """
    place = Path("runs") / sweep if sweep and not Path(sweep).is_dir() else Path(sweep)
    results = publish.results_of(study, against, min_consistency)
    say(publish.text(results, names=True))
    folder = publish.write(study, results)
    say(f"tables and every score: {folder}")
    if not results.panels:
        return  # nothing that a record should hold
    if sweep:
        say(f"report: {publish.into_report(study, results, place)}")
    if track:
        run_id = publish.log(study, results, folder, tracking_uri, sweep)
        say(f"logged to {tracking_uri} as run {run_id}")
