"""Results as people and programs read them: text, CSV, an MLflow run, a section of a sweep's report.

Names of raters stay in the study's own folder; what leaves it says rater 1, rater 2.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from datasets.files import write_json
from orchestrator.rating.results import Panel, Rater, Results, Score, mean_opinion_scores, metrics, words
from orchestrator.rating.scores import RatingSession, sittings
from orchestrator.rating.study import HR, Study
from orchestrator.tracking.table_run import log_table
from trainers.benchmarks.formats import markdown

CONSISTENCY = "within one point"


def results_of(study: Study, reference: str, min_consistency: float) -> Results:
    """The results so far; `reference` is the first model where empty. UserError for an unknown one."""
    if not 0 <= min_consistency <= 1:
        raise UserError(f"--min-consistency must be between 0 and 1, but got {min_consistency}")
    if reference and reference not in study.models:
        raise UserError(f"--against must be one of {', '.join(study.models)}, but got '{reference}'")
    reference = reference or study.models[0]
    return mean_opinion_scores(sittings(study.folder), study.models, study.images, reference, min_consistency)


def text(results: Results, names: bool = False) -> str:
    """Markdown: a table for each panel, one of raters, the notes. `names` shows raters by name."""
    parts = [_panel_text(panel, results.reference) for panel in results.panels]
    rows = [_rater_cells(rater, names) for rater in results.raters]
    if rows:
        head = ["rater", "scored", "repeats", CONSISTENCY, "HR", "nearest", "flagged"]
        parts.append(markdown(head, rows))
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in results.notes)]) + "\n"


def _panel_text(panel: Panel, reference: str) -> str:
    head = ["model", "mean opinion score", "95 % interval", "ratings", f"against {reference}"]
    title = f"**{panel.title}: {panel.raters} raters, {panel.images} images**"
    return f"{title}\n\n{markdown(head, [score_cells(score) for score in panel.scores])}"


def score_cells(score: Score) -> list[str]:
    """One model's row."""
    name = f"{score.model} (hidden)" if score.model == HR else score.model
    limits = score.interval
    if limits:
        reach = f"{limits.low:.2f} to {limits.high:.2f}"
    else:
        reach = "all equal" if max(score.counts) == score.ratings else "too little evidence"
    return [name, f"{score.mean:.2f}", reach, str(score.ratings), words(score.against)]


def _rater_cells(rater: Rater, names: bool) -> list[str]:
    numbers = [
        "" if rater.within_one is None else f"{rater.within_one:.0%}",
        "" if rater.hr is None else f"{rater.hr:.2f}",
        "" if rater.nearest is None else f"{rater.nearest:.2f}",
    ]
    label = f"{rater.label} ({rater.name})" if names else rater.label
    done = f"{rater.done} of {rater.total}"
    return [label, done, str(rater.repeats), *numbers, "; ".join(rater.doubts)]


def write(study: Study, results: Results) -> Path:
    """results.md, scores.csv, raters.csv and ratings.csv below the study's results/; that folder."""
    folder = study.folder / "results"
    folder.mkdir(exist_ok=True)
    (folder / "results.md").write_text(text(results))
    scores = [_score_line(panel, score) for panel in results.panels for score in panel.scores]
    _write_csv(folder / "scores.csv", SCORE_COLUMNS, scores)
    people = [{name: getattr(rater, name) for name in RATER_COLUMNS} for rater in results.raters]
    _write_csv(folder / "raters.csv", RATER_COLUMNS, people)
    labels = {rater.name.casefold(): rater.label for rater in results.raters}
    lines = [line for s in sittings(study.folder) for line in _rating_lines(s, labels)]
    _write_csv(folder / "ratings.csv", RATING_COLUMNS, lines)
    return folder


SCORE_COLUMNS = (
    *("panel", "model", "mos", "low", "high", "ratings", "raters", "images"),
    *("difference", "difference_low", "difference_high", "verdict", "n1", "n2", "n3", "n4", "n5"),
)
RATER_COLUMNS = ("label", "done", "total", "repeats", "within_one", "hr", "nearest", "doubts")
RATING_COLUMNS = ("rater", "session", "position", "image", "model", "repeat", "score", "shown", "time")


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


def _rating_lines(sitting: RatingSession, labels: dict[str, str]) -> list[dict[str, Any]]:
    own = {"rater": labels[sitting.rater.casefold()], "session": sitting.session}
    return [own | line for _, line in sorted(sitting.ratings.items())]


def _write_csv(path: Path, columns: Sequence[str], lines: Iterable[dict[str, Any]]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for line in lines:
            writer.writerow({k: "; ".join(v) if isinstance(v, tuple) else v for k, v in line.items()})


def log(study: Study, results: Results, folder: Path, tracking_uri: str, sweep: str) -> str:
    """One MLflow run (experiment upsweep-ratings) with numbers and files; its id."""
    params = {
        "models": ", ".join(study.models),
        "images": str(len(study.images)),
        "pictures": study.digest,
        "reference": results.reference,
        "sweep": sweep,
        **{f"study.{name}": json.dumps(value) for name, value in study.request.items()},
    }
    values = metrics(results.panels, results.raters)
    return log_table(folder, tracking_uri, study.folder.name, values, params, kind="rating")


def into_report(study: Study, results: Results, sweep: Path) -> Path:
    """The results as a section of the report of the sweep in folder `sweep`; the report's path."""
    if not (sweep / "sweep.json").is_file():
        raise UserError(f"no sweep in {sweep}; --sweep is the name of one in runs/, or its folder")
    from orchestrator.report import build_report  # imports Optuna: seconds

    head = ["model", "mean opinion score", "95 % interval", "ratings", f"against {results.reference}"]
    panels = [
        {
            "title": f"{panel.title}: {panel.raters} raters, {panel.images} images",
            "rows": [score_cells(score) for score in panel.scores],
        }
        for panel in results.panels
    ]
    told = {"study": study.folder.name, "head": head, "panels": panels, "notes": list(results.notes)}
    (sweep / "ratings").mkdir(exist_ok=True)
    write_json(sweep / "ratings" / f"{study.folder.name}.json", told)
    return build_report(sweep)
