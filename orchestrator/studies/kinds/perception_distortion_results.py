"""Results of the perception-distortion study: the plane, values by alpha, the PIRM regions, and the claims.

The trials of a finished sweep are drawn in a separate plane, since they were measured by another protocol.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from datasets.errors import UserError
from datasets.files import read_json
from orchestrator.analysis.intervals import Comparison, Interval, hierarchical_bootstrap, welch_difference
from orchestrator.analysis.significance import Verdict, between_designs
from orchestrator.report.svg import Mark
from orchestrator.studies import figures
from orchestrator.studies.claims import LEAST, ClaimResult, decide
from orchestrator.studies.results import Answer, StudyResults, Table, format_value
from trainers.objectives import front as front_of

PSNR, GAN = "PSNR phase", "GAN phase"
REGIONS = {"region 1": 11.5, "region 2": 12.5, "region 3": 16.0}
"""Largest RMSE of each region of the PIRM challenge (Blau et al., 2018, sec. 3)."""
SWEEP = "sweep.json"

Points = Mapping[str, Sequence[Mark]]
"""Points of a plane, by the name of their series."""
Values = dict[str, list[list[float]]]
"""Metric -> [seed][image]; a set-level metric has one value in place of the images."""


@dataclass(frozen=True)
class Alphas:
    """The interpolated networks of a study."""

    between: Sequence[float]
    """Weights of the GAN network between 0 and 1."""
    on: str
    """The network that a printed alpha is the weight of: gan or psnr."""

    def printed(self, alpha: float) -> str:
        """Return the weight `alpha` of the GAN network as the study prints it."""
        return f"{alpha if self.on == 'gan' else round(1 - alpha, 4):g}"


def conclude(
    results: StudyResults, test: str, perceptual: str, alphas: Alphas, trials: list[dict[str, Any]]
) -> Answer:
    """Return the table by alpha, the regions, the plane, a strip, and the claims."""
    by_alpha = {a: _values_at(results, test, a) for a in (0.0, *alphas.between, 1.0)}
    metrics = results.done[0].training.metrics
    bicubic = _per_image([results.baselines["bicubic"][test]], metrics)
    rows: list[list[str | float]] = []
    interpolated = []
    for alpha, values in by_alpha.items():
        means = {m: _mean(values, bicubic, m) for m in metrics}
        rows.append([alphas.printed(alpha), *(_cell(m, interval) for m, interval in means.items())])
        rmse, perception = means["rmse_y"], means[perceptual]
        spread = (*_limits(rmse), *_limits(perception))
        word = alphas.printed(alpha)
        interpolated.append(Mark(rmse.estimate, perception.estimate, spread=spread, word=word))
    rows += [[name, *results.cells(name, test, metrics)] for name in results.baselines]
    points = {
        "interpolation, by alpha": interpolated,
        "checkpoints of the GAN phase": _checkpoints(results, perceptual),
    }
    for name in results.baselines:
        x, y = (results.baseline(name, test, m) for m in ("rmse_y", perceptual))
        points[name] = [Mark(x, y, word=name)]
    title = "Mean over seeds and images, 95 % intervals of the difference from bicubic"
    table = Table("alphas", title, [f"alpha on {alphas.on}", *metrics], rows)
    title = f"{test}: {perceptual} against RMSE (bars: 95 % of the difference from bicubic)"
    plane = figures.plane(title, points, _front(points), "rmse_y, grey levels", perceptual, REGIONS)
    drawn = {"plane.svg": plane, "strip.png": _strip(results, test, alphas)}
    if trials:
        drawn["sweep.svg"] = _sweep_plane(trials)
    images = len(results.of(PSNR)[0].measured["tests"][test]["keys"])
    further = [m for m in metrics[2:] if m != perceptual]
    return Answer(
        [table, _regions(points, perceptual)], drawn, _claims(by_alpha, perceptual, further, images)
    )


def _values_at(results: StudyResults, test: str, alpha: float) -> Values:
    """Return the values of every seed at one alpha; 0 and 1 are the PSNR and the GAN network."""
    suffix = "" if alpha in (0, 1) else f"@alpha{alpha:g}"
    done = results.of(GAN if alpha else PSNR)
    return _per_image([d.measured["tests"][test + suffix] for d in done], done[0].training.metrics)


def _per_image(measured: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Values:
    return {m: [one["per_image"].get(m, [one["summary"][m]]) for one in measured] for m in metrics}


def _mean(values: Values, bicubic: Values, metric: str) -> Interval:
    """Return the mean over seeds and images: one coordinate of a point in the perception-distortion plane.

    Its interval is that of the difference from bicubic on the same images, shifted by bicubic's mean. Images
    differ far more than networks do, so an interval of the mean itself would be wider than the distances
    between the networks in the plane.
    """
    rows, other = values[metric], bicubic[metric]
    interval = _difference(values, {metric: other * len(rows)}, metric, len(other[0])).interval
    at = float(np.mean(other))
    return replace(interval, estimate=at + interval.estimate, low=at + interval.low, high=at + interval.high)


def _difference(a: Values, b: Values, metric: str, images: int) -> Comparison:
    """Return a - b, paired by seed: every network of a seed begins with the PSNR network of that seed."""
    paired = len(a[metric]) == len(b[metric])
    if len(a[metric][0]) == 1:
        return welch_difference([r[0] for r in a[metric]], [r[0] for r in b[metric]], images, paired=paired)
    return hierarchical_bootstrap(a[metric], b[metric], paired=paired)


def _cell(metric: str, interval: Interval) -> str:
    estimate, low, high = (format_value(metric, v) for v in (interval.estimate, interval.low, interval.high))
    return f"{estimate} [{low}, {high}]" if np.isfinite(interval.low) else estimate


def _limits(interval: Interval) -> tuple[float, float]:
    """Return the ends of an interval; of an estimate without one, the estimate twice."""
    if np.isfinite(interval.low):
        return interval.low, interval.high
    return interval.estimate, interval.estimate


def _checkpoints(results: StudyResults, perceptual: str) -> list[Mark]:
    """Return the checkpoints on each seed's own front, each one alone: they have no mean over seeds."""
    return [
        Mark(m["summary"]["rmse_y"], m["summary"][perceptual])
        for done in results.of(GAN)
        for test, m in done.measured["tests"].items()
        if "@step" in test
    ]


def _front(points: Points, x_sign: int = -1) -> list[tuple[float, float]]:
    """Return the Pareto front of all points, the least x first; `x_sign` is 1 if more in x is better."""
    every = [mark for marks in points.values() for mark in marks]
    return sorted((every[i].x, every[i].y) for i in front_of([(x_sign * m.x, -m.y) for m in every]))


def _regions(points: Points, perceptual: str) -> Table:
    every = [(name, mark) for name, marks in points.items() for mark in marks]
    rows: list[list[str | float]] = []
    below = 0.0
    for region, limit in REGIONS.items():
        inside = [(name, mark) for name, mark in every if below < mark.x <= limit]
        label, best = "nothing lies here", ""
        if inside:
            name, mark = min(inside, key=lambda point: point[1].y)
            label = name if mark.word in name else f"{name} {mark.word}"
            best = format_value(perceptual, mark.y)
        rows.append([region, f"<= {limit:g}", label, best, len(inside)])
        below = limit
    rows.append(["beyond", f"> {below:g}", "", "", sum(mark.x > below for _, mark in every)])
    columns = ["region", "rmse", "best", "its perception", "points"]
    return Table("regions", "PIRM regions by RMSE: the best in each", columns, rows)


def _strip(results: StudyResults, test: str, alphas: Alphas) -> bytes:
    start, gan = results.of(PSNR)[0], results.of(GAN)[0]
    chosen = list(alphas.between)[:: max(1, len(alphas.between) // 3)]
    rows = []
    for i in range(3):
        bicubic, psnr, end, target = results.pictures(test, i, ["bicubic", start, gan, "target"])
        middle = (results.pictures(f"{test}@alpha{a:g}", i, [gan])[0] for a in chosen)
        rows.append([bicubic, psnr, *middle, end, target])
    titles = [f"alpha {alphas.printed(a)}" for a in (0.0, *chosen, 1.0)]
    return figures.strip(rows, ["bicubic", *titles, "target"], 200)


def _claims(
    by_alpha: dict[float, Values], perceptual: str, further: Sequence[str], images: int
) -> list[ClaimResult]:
    """Answer by RMSE and `perceptual`; the measures of `further` are listed and decide nothing."""

    def less(a: float, b: float, metric: str) -> Verdict:
        difference = _difference(by_alpha[a], by_alpha[b], metric, images)
        return between_designs({metric: difference}, "min", least=LEAST.get(metric, 0.0))[metric]

    middle = min(by_alpha, key=lambda a: abs(a - 0.5))
    ends = {
        f"GAN minus PSNR, {perceptual}:": less(1.0, 0.0, perceptual),
        "PSNR minus GAN, rmse_y:": less(0.0, 1.0, "rmse_y"),
    }
    between = {
        f"less RMSE at {middle:g} than at 1:": less(middle, 1.0, "rmse_y"),
        f"less {perceptual} at {middle:g} than at 0:": less(middle, 0.0, perceptual),
    }
    also = {f"GAN minus PSNR, {m}:": less(1.0, 0.0, m) for m in further}
    decisive, listed = (
        {f"rank correlation of RMSE and {m} along alpha:": _correlation(by_alpha, m, images) for m in metrics}
        for metrics in ((perceptual,), further)
    )
    return [
        decide("gan-perception", ends, also=also),
        decide("interpolation", between),
        decide("plane", decisive, decimals=2, also=listed),
    ]


def _correlation(by_alpha: dict[float, Values], perceptual: str, images: int) -> Verdict:
    """Return the verdict on the rank correlation of RMSE and perception, one per seed: below 0 if opposed."""
    correlations = []
    for k in range(len(by_alpha[0.0]["rmse_y"])):
        x, y = ([np.mean(v[m][k]) for v in by_alpha.values()] for m in ("rmse_y", perceptual))
        correlations.append(float(spearmanr(x, y).statistic))
    comparison = welch_difference(correlations, [0.0] * len(correlations), images)
    whole = comparison.interval
    inside = replace(whole, low=max(-1.0, whole.low), high=min(1.0, whole.high))
    comparison = replace(comparison, interval=inside)
    return between_designs({perceptual: comparison}, "min")[perceptual]


def read_trials(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a finished sweep, each with the sweep's objective. UserError if there is none."""
    path = folder / "leaderboard.json"
    if not path.is_file():
        raise UserError(f"--sweep: no sweep with a leaderboard in {folder}")
    objective = read_json(folder / SWEEP, keys=("objective",))["objective"]
    rows = read_json(path, list)
    return [r | {"objective": objective} for r in rows if not r["diverged"] and r["metrics"]]


def _sweep_plane(rows: list[dict[str, Any]]) -> bytes:
    """Draw screened and confirmed trials on val, by the sweep's own objectives."""
    objective = rows[0]["objective"]
    x, y = objective["distortion"], objective["perceptual"]
    measured = [r for r in rows if {x, y} <= set(r["metrics"])]
    points = {
        stage: [Mark(r["metrics"][x], r["metrics"][y]) for r in measured if r["stage"] == stage]
        for stage in ("screen", "confirm")
    }
    return figures.plane("Trials of the sweep, on val", points, _front(points, x_sign=1), x, y)
