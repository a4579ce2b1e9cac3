"""Results for people and programs: Markdown, CSV, an MLflow run, a section of a sweep's report.

Names of raters stay in the study's folder; everything that leaves it says rater 1, rater 2.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from datasets.files import atomic_json, atomic_write
from datasets.text import count
from orchestrator.rating.results import (
    Panel,
    Rater,
    RatingResults,
    Score,
    format_verdict,
    mean_opinion_scores,
    mlflow_metrics,
)
from orchestrator.rating.scores import RatingSession, read_sessions
from orchestrator.rating.study import HR, RatingStudy
from orchestrator.tracking.table_run import log_table
from trainers.benchmarks.formats import markdown

RATER_HEADER = ("rater", "scored", "repeats", "within one point", "HR", "nearest", "flagged")
SCORE_COLUMNS = (
    *("panel", "model", "mos", "low", "high", "ratings", "raters", "images"),
    *("difference", "difference_low", "difference_high", "verdict", "n1", "n2", "n3", "n4", "n5"),
)
RATER_COLUMNS = ("label", "done", "total", "repeats", "within_one", "hr", "nearest", "doubts")
RATING_COLUMNS = ("rater", "session", "position", "image", "model", "repeat", "score", "shown", "time")


def compute_results(study: RatingStudy, reference: str, min_consistency: float) -> RatingResults:
    """Return the results so far; an empty `reference` is the first model, an unknown one a UserError."""
    if not 0 <= min_consistency <= 1:
        raise UserError(f"--min-consistency must be between 0 and 1, but got {min_consistency}")
    if reference and reference not in study.models:
        raise UserError(f"--against must be one of {', '.join(study.models)}, but got '{reference}'")
    sessions, reference = read_sessions(study.folder), reference or study.models[0]
    return mean_opinion_scores(sessions, study.models, study.images, reference, min_consistency)


def to_markdown(results: RatingResults, names: bool = False) -> str:
    """Return a table for each panel, one of raters, and the notes; `names` shows raters by name."""
    parts = [
        f"**{_title(panel)}**\n\n{markdown(_header(results), map(_score_cells, panel.scores))}"
        for panel in results.panels
    ]
    if results.raters:
        parts.append(markdown(RATER_HEADER, [_rater_cells(rater, names) for rater in results.raters]))
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in results.notes)]) + "\n"


def _title(panel: Panel) -> str:
    return f"{panel.title}: {count(panel.raters, 'rater')}, {count(panel.images, 'image')}"


def _header(results: RatingResults) -> list[str]:
    return ["model", "mean opinion score", "95 % interval", "ratings", f"against {results.reference}"]


def _score_cells(score: Score) -> list[str]:
    name = f"{score.model} (hidden)" if score.model == HR else score.model
    if score.interval:
        interval = f"{score.interval.low:.2f} to {score.interval.high:.2f}"
    else:
        interval = "all equal" if max(score.counts) == score.ratings else "too little evidence"
    return [name, f"{score.mean:.2f}", interval, str(score.ratings), format_verdict(score.against)]


def _rater_cells(rater: Rater, names: bool) -> list[str]:
    return [
        f"{rater.label} ({rater.name})" if names else rater.label,
        f"{rater.done} of {rater.total}",
        str(rater.repeats),
        "" if rater.within_one is None else f"{rater.within_one:.0%}",
        "" if rater.hr is None else f"{rater.hr:.2f}",
        "" if rater.nearest is None else f"{rater.nearest:.2f}",
        "; ".join(rater.doubts),
    ]


def write_tables(study: RatingStudy, results: RatingResults) -> Path:
    """Write results.md, scores.csv, raters.csv and ratings.csv; return their folder, the study's results/."""
    folder = study.folder / "results"
    folder.mkdir(exist_ok=True)
    atomic_write(folder / "results.md", to_markdown(results).encode())
    scores = [_score_line(panel, score) for panel in results.panels for score in panel.scores]
    _write_csv(folder / "scores.csv", SCORE_COLUMNS, scores)
    raters = [{name: getattr(rater, name) for name in RATER_COLUMNS} for rater in results.raters]
    _write_csv(folder / "raters.csv", RATER_COLUMNS, raters)
    labels = {rater.name.casefold(): rater.label for rater in results.raters}
    lines = [line for session in read_sessions(study.folder) for line in _rating_lines(session, labels)]
    _write_csv(folder / "ratings.csv", RATING_COLUMNS, lines)
    return folder


def _score_line(panel: Panel, score: Score) -> dict[str, Any]:
    limits, against = score.interval, score.against
    line: dict[str, Any] = {"panel": panel.title, "model": score.model, "mos": score.mean}
    line |= {"ratings": score.ratings, "raters": panel.raters, "images": panel.images}
    if limits:
        line |= {"low": limits.low, "high": limits.high}
    if against:
        line |= {"difference": against.estimate, "verdict": against.word}
        if against.interval:
            line |= {"difference_low": against.interval.low, "difference_high": against.interval.high}
    return line | {f"n{k}": count for k, count in enumerate(score.counts, 1)}


def _rating_lines(session: RatingSession, labels: dict[str, str]) -> list[dict[str, Any]]:
    head = {"rater": labels[session.rater.casefold()], "session": session.number}
    return [head | line for _, line in sorted(session.ratings.items())]


def _write_csv(path: Path, columns: Sequence[str], lines: Iterable[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({k: "; ".join(v) if isinstance(v, tuple) else v for k, v in line.items()})
    atomic_write(path, text.getvalue().encode())


def log_to_mlflow(
    study: RatingStudy, results: RatingResults, folder: Path, tracking_uri: str, sweep: str
) -> str:
    """Log numbers and files as one MLflow run (experiment upsweep-ratings); return its id."""
    params = {
        "models": ", ".join(study.models),
        "images": str(len(study.images)),
        "pictures": study.digest,
        "reference": results.reference,
        "sweep": sweep,
        **{f"study.{name}": json.dumps(value) for name, value in study.request.items()},
    }
    values = mlflow_metrics(results.panels, results.raters)
    return log_table(folder, tracking_uri, study.folder.name, values, params, kind="rating")


def add_to_report(study: RatingStudy, results: RatingResults, sweep: Path) -> Path:
    """Add the results as a section to the report of the sweep in folder `sweep`; return the report's path."""
    if not (sweep / "sweep.json").is_file():
        raise UserError(f"no sweep in {sweep}; --sweep is the name of one in runs/, or its folder")
    from orchestrator.report import build_report  # imports Optuna: seconds

    section = {
        "study": study.folder.name,
        "head": _header(results),
        "panels": [
            {"title": _title(panel), "rows": [_score_cells(score) for score in panel.scores]}
            for panel in results.panels
        ],
        "notes": list(results.notes),
    }
    (sweep / "ratings").mkdir(exist_ok=True)
    atomic_json(sweep / "ratings" / f"{study.folder.name}.json", section, durable=False)
    return build_report(sweep)
