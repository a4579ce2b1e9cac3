"""Mean opinion scores with intervals and verdicts, and raters whose scores are in doubt. Pure functions.

Raters and images are both samples, so intervals come from the bootstrap over both. Only finished sessions
count: in an unfinished one the models were rated on different images. If a picture was shown twice, the first
score counts, and the second one measures the rater's consistency.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.analysis.intervals import Comparison, Interval, hierarchical_bootstrap
from orchestrator.analysis.significance import MIN_SEEDS, NOT_ENOUGH, SEEDS_TO_BEAT, Verdict, between_designs
from orchestrator.rating.scores import SCORES, RatingSession
from orchestrator.rating.study import HR, NEAREST

MIN_RATERS = MIN_SEEDS
MIN_IMAGES = 5
"""In simulated panels of scores (rater, image and noise each about half a point, rounded to 1 to 5) 95 %
intervals covered the truth 93 % to 98 % of the time from 3 raters and 5 images on, 89 % at 2 and 30."""
MIN_REPEATS = 3


@dataclass(frozen=True)
class Rater:
    """The scores of one person over all sessions, in summary."""

    label: str
    """rater 1, rater 2, ...: stands for the name outside the study's folder."""
    name: str
    done: int
    total: int
    repeats: int
    """Pictures scored twice."""
    within_one: float | None
    """Share of repeats whose two scores differ by at most one; None without repeats."""
    hr: float | None
    nearest: float | None
    """Mean scores of HR and of nearest neighbour, hidden among the models."""
    doubts: tuple[str, ...]
    """Reasons to flag the rater; empty if there are none."""
    finished: bool
    """True if at least one session is finished."""


@dataclass(frozen=True)
class Score:
    """The mean opinion score of one model."""

    model: str
    mean: float
    interval: Interval | None
    """None if there is too little evidence for one, or all scores are equal."""
    ratings: int
    counts: tuple[int, ...]
    """Number of scores 1, 2, 3, 4 and 5."""
    against: Verdict | None
    """The difference to the reference model; None for that model itself."""


@dataclass(frozen=True)
class Panel:
    """The scores of one group of raters, best model first."""

    title: str
    raters: int
    images: int
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Results:
    """The results of a study."""

    reference: str
    raters: tuple[Rater, ...]
    panels: tuple[Panel, ...]
    """All finished raters; then the unflagged ones, if some are flagged."""
    notes: tuple[str, ...]


def mean_opinion_scores(
    sessions: Sequence[RatingSession],
    models: Sequence[str],
    images: Sequence[str],
    reference: str,
    min_consistency: float,
) -> Results:
    """Return the results of a study; the other models are compared with `reference`."""
    people: dict[str, list[RatingSession]] = {}
    for session in sessions:
        people.setdefault(session.rater.casefold(), []).append(session)
    raters = tuple(
        _rater(f"rater {number}", own, min_consistency) for number, own in enumerate(people.values(), 1)
    )
    both = zip(raters, people.values(), strict=True)
    counted = [(rater, [s for s in own if s.finished]) for rater, own in both if rater.finished]
    unflagged = [(rater, own) for rater, own in counted if not rater.doubts]
    panels = [_panel("all raters", [own for _, own in counted], models, images, reference)] if counted else []
    if unflagged and len(unflagged) < len(counted):
        own_sessions = [own for _, own in unflagged]
        panels.append(_panel("without flagged raters", own_sessions, models, images, reference))
    shown = [line["shown"] for _, own in counted for s in own for line in s.ratings.values()]
    notes = _notes(raters, panels, min_consistency) + _small_pictures(shown)
    return Results(reference, raters, tuple(panels), notes)


def _rater(label: str, own: Sequence[RatingSession], min_consistency: float) -> Rater:
    differences = [d for session in own for d in _differences(session)]
    within = float(np.mean([abs(d) <= 1 for d in differences])) if differences else None
    hr, nearest = (_mean_of(own, model) for model in (HR, NEAREST))
    doubts = []
    if within is not None and len(differences) >= MIN_REPEATS and within < min_consistency:
        doubts.append(f"{within:.0%} of {len(differences)} repeats within one point")
    if hr is not None and nearest is not None and hr <= nearest:
        doubts.append(f"HR {hr:.2f} not above nearest {nearest:.2f}")
    done, total = sum(len(s.ratings) for s in own), sum(len(s.order) for s in own)
    finished = any(session.finished for session in own)
    return Rater(
        label, own[0].rater, done, total, len(differences), within, hr, nearest, tuple(doubts), finished
    )


def _differences(session: RatingSession) -> list[int]:
    """Return second score minus first of each picture that was scored twice."""
    first = _first_scores(session)
    return [
        line["score"] - first[line["image"], line["model"]]
        for line in session.ratings.values()
        if line["repeat"] and (line["image"], line["model"]) in first
    ]


def _first_scores(session: RatingSession) -> dict[tuple[str, str], int]:
    """Return (image, model) -> the first score."""
    lines = session.ratings.values()
    return {(line["image"], line["model"]): line["score"] for line in lines if not line["repeat"]}


def _mean_of(own: Sequence[RatingSession], model: str) -> float | None:
    scores = [score for s in own for (_, name), score in _first_scores(s).items() if name == model]
    return float(np.mean(scores)) if scores else None


def _panel(
    title: str,
    people: Sequence[Sequence[RatingSession]],
    models: Sequence[str],
    images: Sequence[str],
    reference: str,
) -> Panel:
    given = [[_first_scores(session) for session in own] for own in people]
    tables = {
        model: np.array([[np.mean([g[i, model] for g in own]) for i in images] for own in given])
        for model in models
    }
    differences = {m: _over_both(tables[m] - tables[reference]) for m in models if m != reference}
    verdicts = between_designs(differences, "max", min_images=MIN_IMAGES)
    scores = []
    for model in models:
        counts = Counter(g[i, model] for own in given for g in own for i in images)
        by_score = tuple(counts[score] for score in SCORES)
        mean, interval = float(tables[model].mean()), _interval(tables[model])
        scores.append(Score(model, mean, interval, sum(by_score), by_score, verdicts.get(model)))
    ranked = sorted(scores, key=lambda s: -s.mean)
    return Panel(title, len(people), len(images), tuple(ranked))


def _over_both(table: np.ndarray) -> Comparison:
    """Compare the mean of `table` [rater][image] with 0, resampling raters and images."""
    return hierarchical_bootstrap(table.tolist(), np.zeros_like(table).tolist())


def _interval(table: np.ndarray) -> Interval | None:
    """Return limits within the scale; None below MIN_RATERS or MIN_IMAGES, or if all scores are equal."""
    if table.shape[0] < MIN_RATERS or table.shape[1] < MIN_IMAGES or table.min() == table.max():
        return None
    limits = _over_both(table).interval
    return Interval(limits.estimate, max(limits.low, min(SCORES)), min(limits.high, max(SCORES)), limits.n)


def _notes(raters: Sequence[Rater], panels: Sequence[Panel], min_consistency: float) -> tuple[str, ...]:
    finished = sum(rater.finished for rater in raters)
    notes = []
    if len(raters) > finished:
        notes.append(
            f"{len(raters) - finished} of {len(raters)} raters have not finished and are not counted."
        )
    if not panels:
        return (*notes, "Nobody has scored everything yet: there is no result.")
    images = panels[0].images
    if finished < MIN_RATERS or images < MIN_IMAGES:
        notes.append(
            f"Too little evidence for an interval or a verdict: {finished} raters and {images} images, at "
            f"least {MIN_RATERS} and {MIN_IMAGES} are needed."
        )
    elif finished < SEEDS_TO_BEAT:
        notes.append(f"Fewer than {SEEDS_TO_BEAT} raters: an estimate, no model can be said to beat another.")
    if any(rater.finished and rater.repeats < MIN_REPEATS for rater in raters):
        notes.append(f"Fewer than {MIN_REPEATS} repeats a rater: consistency is not judged.")
    flagged = sum(bool(rater.doubts) for rater in raters if rater.finished)
    rule = f"below {min_consistency:.0%} of repeats within one point, or HR not above nearest"
    notes.append(f"{flagged} of {finished} raters flagged ({rule}).")
    if flagged == finished:
        notes.append("Every rater is flagged: do not rely on these scores.")
    return tuple(notes)


def _small_pictures(shown: Sequence[float | None]) -> tuple[str, ...]:
    """Return a note if scores were given to pictures shown smaller than their pixels."""
    share = np.mean([size is not None and size < 0.995 for size in shown]) if shown else 0.0
    note = f"{share:.0%} of the scores were given to pictures shown smaller than their pixels."
    return (note,) if share else ()


def format_verdict(verdict: Verdict | None) -> str:
    """Return the verdict with difference and interval; empty for None."""
    if verdict is None:
        return ""
    if verdict.interval is None:
        return f"{NOT_ENOUGH} ({verdict.estimate:+.2f})"
    low, high = verdict.interval.low, verdict.interval.high
    return f"{verdict.word} ({verdict.estimate:+.2f} [{low:+.2f}, {high:+.2f}])"


def mlflow_metrics(panels: Sequence[Panel], raters: Sequence[Rater]) -> Mapping[str, float]:
    """Return mos/MODEL with its limits, of all raters and (unflagged/) without the flagged ones."""
    finished = [r for r in raters if r.finished]
    values = {"raters": float(len(finished)), "flagged_raters": float(sum(bool(r.doubts) for r in finished))}
    for panel, prefix in zip(panels, ("", "unflagged/"), strict=False):
        for score in panel.scores:
            values[f"{prefix}mos/{score.model}"] = score.mean
            values[f"{prefix}ratings/{score.model}"] = float(score.ratings)
            if score.interval:
                values[f"{prefix}mos_low/{score.model}"] = score.interval.low
                values[f"{prefix}mos_high/{score.model}"] = score.interval.high
    return values
