"""Mean opinion scores with intervals, raters who may not be relied on, and what may be said. Pure.

Raters and images are both samples, so intervals come from the bootstrap over both. Only sittings
that were scored to the end count: in half of one each model has other images. Where a picture came twice the
first score counts, and the second one tells how well the rater agrees with themselves.
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
    """How one person scored, all sessions together."""

    label: str
    """rater 1, rater 2, ...: what leaves this folder instead of the name."""
    name: str
    done: int
    total: int
    repeats: int
    """Pictures scored twice."""
    within_one: float | None
    """Share of those whose two scores differ by one at most; None without any."""
    hr: float | None
    nearest: float | None
    """Mean scores of the two ends of the scale, hidden among the rest."""
    doubts: tuple[str, ...]
    """Why the rater is flagged; empty for none."""
    finished: bool
    """Whether a whole session was scored."""


@dataclass(frozen=True)
class Score:
    """One model."""

    model: str
    mean: float
    interval: Interval | None
    """None where there is too little evidence for one, or nothing varies."""
    ratings: int
    counts: tuple[int, ...]
    """How often each of 1 to 5 was given."""
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
    """Everything that is told of a study."""

    reference: str
    raters: tuple[Rater, ...]
    panels: tuple[Panel, ...]
    """All finished raters; and, where some are flagged, the others alone."""
    notes: tuple[str, ...]


def mean_opinion_scores(
    sittings: Sequence[RatingSession],
    models: Sequence[str],
    images: Sequence[str],
    reference: str,
    min_consistency: float,
) -> Results:
    """The results of a study. `reference` is the model that the others are compared with."""
    people: dict[str, list[RatingSession]] = {}
    for sitting in sittings:
        people.setdefault(sitting.rater.casefold(), []).append(sitting)
    raters = tuple(
        _rater(f"rater {number}", own, min_consistency) for number, own in enumerate(people.values(), 1)
    )
    both = zip(raters, people.values(), strict=True)
    counted = [(rater, [s for s in own if s.finished]) for rater, own in both if rater.finished]
    kept = [(rater, own) for rater, own in counted if not rater.doubts]
    panels = [_panel("all raters", [own for _, own in counted], models, images, reference)] if counted else []
    if kept and len(kept) < len(counted):
        panels.append(_panel("without flagged raters", [own for _, own in kept], models, images, reference))
    shown = [line["shown"] for _, own in counted for s in own for line in s.ratings.values()]
    notes = _notes(raters, panels, min_consistency) + _smaller(shown)
    return Results(reference, raters, tuple(panels), notes)


def _rater(label: str, own: Sequence[RatingSession], min_consistency: float) -> Rater:
    differences = [d for sitting in own for d in _differences(sitting)]
    within = float(np.mean([abs(d) <= 1 for d in differences])) if differences else None
    hr, nearest = (_mean_of(own, model) for model in (HR, NEAREST))
    doubts = []
    if within is not None and len(differences) >= MIN_REPEATS and within < min_consistency:
        doubts.append(f"{within:.0%} of {len(differences)} repeats within one point")
    if hr is not None and nearest is not None and hr <= nearest:
        doubts.append(f"HR {hr:.2f} not above nearest {nearest:.2f}")
    done, total = sum(len(s.ratings) for s in own), sum(len(s.order) for s in own)
    whole = any(sitting.finished for sitting in own)
    return Rater(
        label, own[0].rater, done, total, len(differences), within, hr, nearest, tuple(doubts), whole
    )


def _differences(sitting: RatingSession) -> list[int]:
    """Second score minus first of each picture that was scored twice."""
    first = _firsts(sitting)
    return [
        line["score"] - first[line["image"], line["model"]]
        for line in sitting.ratings.values()
        if line["repeat"] and (line["image"], line["model"]) in first
    ]


def _firsts(sitting: RatingSession) -> dict[tuple[str, str], int]:
    lines = sitting.ratings.values()
    return {(line["image"], line["model"]): line["score"] for line in lines if not line["repeat"]}


def _mean_of(own: Sequence[RatingSession], model: str) -> float | None:
    scores = [score for s in own for (_, name), score in _firsts(s).items() if name == model]
    return float(np.mean(scores)) if scores else None


def _panel(
    title: str,
    people: Sequence[Sequence[RatingSession]],
    models: Sequence[str],
    images: Sequence[str],
    reference: str,
) -> Panel:
    given = [[_firsts(sitting) for sitting in own] for own in people]
    tables = {
        model: np.array([[np.mean([g[i, model] for g in own]) for i in images] for own in given])
        for model in models
    }
    differences = {m: _over_both(tables[m] - tables[reference]) for m in models if m != reference}
    verdicts = between_designs(differences, "max", min_images=MIN_IMAGES)
    scores = []
    for model in models:
        counts = Counter(g[i, model] for own in given for g in own for i in images)
        found = tuple(counts[score] for score in SCORES)
        mean, interval = float(tables[model].mean()), _interval(tables[model])
        scores.append(Score(model, mean, interval, sum(found), found, verdicts.get(model)))
    ranked = sorted(scores, key=lambda s: -s.mean)
    return Panel(title, len(people), len(images), tuple(ranked))


def _over_both(table: np.ndarray) -> Comparison:
    """The mean of [rater][image] against 0: raters and images resampled apart."""
    return hierarchical_bootstrap(table.tolist(), np.zeros_like(table).tolist())


def _interval(table: np.ndarray) -> Interval | None:
    """Limits within the scale; None below MIN_RATERS or MIN_IMAGES, or where all scores are equal."""
    if table.shape[0] < MIN_RATERS or table.shape[1] < MIN_IMAGES or table.min() == table.max():
        return None
    found = _over_both(table).interval
    return Interval(found.estimate, max(found.low, min(SCORES)), min(found.high, max(SCORES)), found.n)


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


def _smaller(shown: Sequence[float | None]) -> tuple[str, ...]:
    """A note where scores were given to pictures that stood smaller than their pixels."""
    share = np.mean([size is not None and size < 0.995 for size in shown]) if shown else 0.0
    return (
        (f"{share:.0%} of the scores were given to pictures shown smaller than their pixels.",)
        if share
        else ()
    )


def words(verdict: Verdict | None) -> str:
    """A verdict as people read it; empty for none."""
    if verdict is None:
        return ""
    if verdict.interval is None:
        return f"{NOT_ENOUGH} ({verdict.estimate:+.2f})"
    low, high = verdict.interval.low, verdict.interval.high
    return f"{verdict.word} ({verdict.estimate:+.2f} [{low:+.2f}, {high:+.2f}])"


def metrics(panels: Sequence[Panel], raters: Sequence[Rater]) -> Mapping[str, float]:
    """What MLflow keeps: mos/MODEL with its limits, of all raters and without the flagged ones."""
    values = {"raters": float(sum(r.finished for r in raters)), "flagged_raters": 0.0}
    values["flagged_raters"] += sum(bool(r.doubts) for r in raters if r.finished)
    for panel, prefix in zip(panels, ("", "unflagged/"), strict=False):
        for score in panel.scores:
            values[f"{prefix}mos/{score.model}"] = score.mean
            values[f"{prefix}ratings/{score.model}"] = float(score.ratings)
            if score.interval:
                values[f"{prefix}mos_low/{score.model}"] = score.interval.low
                values[f"{prefix}mos_high/{score.model}"] = score.interval.high
    return values
