"""Mean opinion scores with intervals and verdicts, and raters whose scores are in doubt. Pure functions.

Raters and images are both samples, so intervals come from the bootstrap over both. Only finished sessions
count: in an unfinished one the models were rated on different images. If a picture was shown twice, the first
score counts, and the second one measures the rater's consistency.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datasets.text import count
from orchestrator.analysis.intervals import Comparison, Interval, hierarchical_bootstrap
from orchestrator.analysis.significance import MIN_SEEDS, NOT_ENOUGH, SEEDS_TO_BEAT, Verdict, between_designs
from orchestrator.rating.scores import SCORES, RatingSession
from orchestrator.rating.study import HR, NEAREST

# Raters take the part that seeds have in a sweep.
MIN_RATERS, RATERS_TO_BEAT = MIN_SEEDS, SEEDS_TO_BEAT
MIN_IMAGES = 5
"""Images below which there is no interval and no verdict; MIN_RATERS is the limit for raters.

Both come from simulated scores, in which raters, images and noise each had a standard deviation of about half
a point. With at least 3 raters and 5 images, 95 % intervals covered the true mean in 93 % to 98 % of the
simulations, but with 2 raters and 30 images in only 89 %.
"""
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
class RatingResults:
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
) -> RatingResults:
    """Return the results of a study; the other models are compared with `reference`."""
    by_name: dict[str, list[RatingSession]] = {}
    for session in sessions:
        by_name.setdefault(session.rater.casefold(), []).append(session)
    by_rater = list(by_name.values())
    raters = tuple(_rater(f"rater {i}", group, min_consistency) for i, group in enumerate(by_rater, 1))
    finished = [[s for s in group if s.finished] for group in by_rater]
    counted = [group for group in finished if group]
    unflagged = [g for g, rater in zip(finished, raters, strict=True) if g and not rater.doubts]
    panels = [_panel("all raters", counted, models, images, reference)] if counted else []
    if unflagged and len(unflagged) < len(counted):
        panels.append(_panel("without flagged raters", unflagged, models, images, reference))
    shown = [line["shown"] for group in counted for s in group for line in s.ratings.values()]
    notes = _notes(raters, panels, min_consistency) + _small_pictures(shown)
    return RatingResults(reference, raters, tuple(panels), notes)


def _rater(label: str, sessions: Sequence[RatingSession], min_consistency: float) -> Rater:
    """Summarise all sessions of one rater."""
    differences = [d for session in sessions for d in _differences(session)]
    within = float(np.mean([abs(d) <= 1 for d in differences])) if differences else None
    hr, nearest = (_mean_of(sessions, model) for model in (HR, NEAREST))
    doubts = []
    if within is not None and len(differences) >= MIN_REPEATS and within < min_consistency:
        doubts.append(f"{within:.0%} of {len(differences)} repeats within one point")
    if hr is not None and nearest is not None and hr <= nearest:
        doubts.append(f"HR {hr:.2f} not above nearest {nearest:.2f}")
    done, total = sum(len(s.ratings) for s in sessions), sum(len(s.order) for s in sessions)
    finished = any(session.finished for session in sessions)
    name, repeats = sessions[0].rater, len(differences)
    return Rater(label, name, done, total, repeats, within, hr, nearest, tuple(doubts), finished)


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


def _mean_of(sessions: Sequence[RatingSession], model: str) -> float | None:
    scores = [score for s in sessions for (_, name), score in _first_scores(s).items() if name == model]
    return float(np.mean(scores)) if scores else None


def _panel(
    title: str,
    by_rater: Sequence[Sequence[RatingSession]],
    models: Sequence[str],
    images: Sequence[str],
    reference: str,
) -> Panel:
    """Score the models by the finished sessions of several raters."""
    given = [[_first_scores(session) for session in sessions] for sessions in by_rater]
    tables = {  # [rater][image], the mean over the rater's sessions
        model: np.array([[np.mean([g[i, model] for g in of_rater]) for i in images] for of_rater in given])
        for model in models
    }
    differences = {m: _compare_with_zero(tables[m] - tables[reference]) for m in models if m != reference}
    verdicts = between_designs(differences, "max", min_images=MIN_IMAGES)
    scores = []
    for model in models:
        counts = Counter(g[i, model] for of_rater in given for g in of_rater for i in images)
        by_score = tuple(counts[score] for score in SCORES)
        mean, interval = float(tables[model].mean()), _interval(tables[model])
        scores.append(Score(model, mean, interval, sum(by_score), by_score, verdicts.get(model)))
    ranked = sorted(scores, key=lambda s: -s.mean)
    return Panel(title, len(by_rater), len(images), tuple(ranked))


def _compare_with_zero(table: np.ndarray) -> Comparison:
    """Compare the mean of `table` [rater][image] with 0; raters and images are both resampled."""
    return hierarchical_bootstrap(table.tolist(), np.zeros_like(table).tolist())


def _interval(table: np.ndarray) -> Interval | None:
    """Return the interval of the mean of `table` [rater][image], clipped to the scale of the scores.

    None with fewer than MIN_RATERS or MIN_IMAGES, or if all scores are equal.
    """
    if table.shape[0] < MIN_RATERS or table.shape[1] < MIN_IMAGES or table.min() == table.max():
        return None
    whole = _compare_with_zero(table).interval
    return Interval(whole.estimate, max(whole.low, min(SCORES)), min(whole.high, max(SCORES)), whole.n)


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
            f"Too little evidence for an interval or a verdict: {count(finished, 'rater')} and "
            f"{count(images, 'image')}, at least {MIN_RATERS} and {MIN_IMAGES} are needed."
        )
    elif finished < RATERS_TO_BEAT:
        notes.append(
            f"Fewer than {RATERS_TO_BEAT} raters: an estimate, no model can be said to beat another."
        )
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
