"""The perception-distortion plane: a PSNR network, the GAN that started from it, and everything between.

RMSE against a perceptual metric (NIQE where its model is at hand, else SWD) for checkpoints of the GAN phase
and for network interpolation, alpha on the GAN as in the ESRGAN paper; the regions of the PIRM challenge by
RMSE (Blau et al., 2018); a finished sweep's trials in a plane of their own, since their protocol is another.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from datasets.errors import UserError, unknown
from datasets.prepare import prepare_study_set
from orchestrator.analysis.intervals import Comparison, Interval, hierarchical_bootstrap, seed_level
from orchestrator.analysis.significance import Verdict, between_designs
from orchestrator.studies import figures
from orchestrator.studies.claims import ClaimResult, combined_status, format_verdict, status_of
from orchestrator.studies.kinds.dataset_matrix import on_set
from orchestrator.studies.plan import Study, named_sets
from orchestrator.studies.request import Request
from orchestrator.studies.results import Answer, Results, Table, shown
from orchestrator.studies.spec import TestSet, Training, open_test, seeded
from trainers.metrics import METRICS as KNOWN
from trainers.objectives import front as front_of

KIND = "perception_distortion"
BASELINES = ("bicubic",)
DEFAULTS, MINIATURE = ("div2k",), ("demo",)
PSNR, GAN = "PSNR phase", "GAN phase"
REGIONS = {"region 1": 11.5, "region 2": 12.5, "region 3": 16.0}
"""Largest RMSE of each (Blau et al., 2018, sec. 3)."""
SENSES = ("gan", "psnr")
SWEEP = "sweep.json"


def plan(
    request: Request,
    dry: bool = False,
    test: str = "bsd100",
    alphas: int = 11,
    alpha_on: str = "gan",
    sweep: str = "",
    test_crop_px: int = 0,
) -> Study:
    """Two trainings a seed. UserError for networks without both phases, or too few alphas."""
    config = request.config
    if alphas < 3:
        raise UserError(f"--alphas must be at least 3, two of which are the ends, but got {alphas}")
    if alpha_on not in SENSES:
        raise unknown("sense of alpha", alpha_on, SENSES, "--alpha-on")
    if not (config.run.psnr_steps and config.run.gan_steps):
        raise UserError("the plane needs both phases: set run.psnr_steps and run.gan_steps above 0")
    points = _trials(request.storage / sweep) if sweep else None
    ((_, spec),) = list(named_sets(request.data, MINIATURE if request.miniature else DEFAULTS).items())[:1]
    base = on_set(config, spec if dry else prepare_study_set(spec, "", request.storage))
    ((name, place),) = named_sets((test,), ()).items()
    on = TestSet(name, replace(base.data, test=place, eval_crop_px=test_crop_px))
    if not dry:
        open_test(on.data, request.storage)
    metrics = ("rmse_y", "psnr_y", perceptual())
    between = tuple(float(a) for a in np.linspace(0, 1, alphas)[1:-1].round(4))
    trainings = []
    for seed in range(request.seeds):
        start = seeded(replace(base, run=replace(base.run, gan_steps=0)), seed)
        gan = seeded(replace(base, run=replace(base.run, psnr_steps=0)), seed)
        first = Training(PSNR, seed, start, (on,), metrics)
        trainings += [
            first,
            Training(GAN, seed, gan, (on,), metrics, first.name, alphas=between, candidates=True),
        ]
    said = _conditions(request, alpha_on, name)

    def conclude(results: Results) -> Answer:
        return _conclude(results, name, between, alpha_on, points)

    return Study(KIND, tuple(trainings), conclude, said)


def perceptual() -> str:
    """NIQE where its model is at hand, else SWD: both need no network."""
    return "swd" if KNOWN["niqe"].unavailable() else "niqe"


def _conditions(request: Request, alpha_on: str, name: str) -> tuple[str, ...]:
    c = request.config
    said: tuple[str, ...] = (
        f"recipe {c.recipe}: {c.run.psnr_steps:,} PSNR and {c.run.gan_steps:,} GAN updates, measured on "
        f"{name}; {request.seeds} seeds",
        f"alpha is on the {alpha_on.upper()} network"
        + (" (the seed's sense)" if alpha_on == "psnr" else " (the ESRGAN paper's sense)")
        + "; batch norm measured anew on training images",
    )
    if perceptual() == "swd":
        said += (f"SWD in place of NIQE: {KNOWN['niqe'].unavailable()}",)
    return said


# -- what comes out --------------------------------------------------------------------------------------


def _conclude(
    results: Results, name: str, between: Sequence[float], alpha_on: str, points: list[dict[str, Any]] | None
) -> Answer:
    metric = results.done[0].training.metrics[2]
    stops = [0.0, *between, 1.0]
    per_alpha = {a: _at(results, name, a) for a in stops}
    checkpoints = _checkpoints(results, name, metric)
    bicubic = _per_image([results.baselines["bicubic"][name]], results.done[0].training.metrics)
    dots = _dots(per_alpha, bicubic, metric, alpha_on) + checkpoints
    dots.append(_baseline(results, name, metric))
    front = _front(dots)
    tables = [_table(per_alpha, bicubic, metric, alpha_on), _regions(dots, front)]
    drawn = {
        "plane.svg": figures.plane(
            f"{name}: {metric} against RMSE (bars: 95 % of the difference from bicubic)",
            dots,
            front,
            "rmse_y, grey levels",
            metric,
            REGIONS,
        ),
        "strip.png": _strip(results, name, between, alpha_on),
    }
    if points:
        drawn["sweep.svg"] = _sweep_plane(points)
    return Answer(tables, drawn, _claims(per_alpha, metric, results, name))


Values = dict[str, list[list[float]]]
"""Metric -> [seed][image]."""


def _at(results: Results, name: str, alpha: float) -> Values:
    """Per-image values of every seed at one alpha; at 0 and 1 those of the two networks."""
    arm, test = (PSNR, name) if alpha == 0 else (GAN, name if alpha == 1 else f"{name}@alpha{alpha:g}")
    done = results.of(arm)
    summaries = [d.found["tests"][test] for d in done]
    metrics = done[0].training.metrics
    return _per_image(summaries, metrics)


def _per_image(measured: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Values:
    """A row for each of `measured`; a metric of whole sets has one value in it."""
    return {m: [one["per_image"].get(m, [one["summary"][m]]) for one in measured] for m in metrics}


def _mean(values: Values, bicubic: Values, metric: str) -> Interval:
    """The mean over seeds and images with the interval of its difference from bicubic: images differ far
    more than networks do, so an interval of the mean itself would hide every distance in the plane."""
    rows, other = values[metric], bicubic[metric]
    interval = _difference(values, {metric: other * len(rows)}, metric, len(other[0])).interval
    at = float(np.mean(other))
    return replace(interval, estimate=at + interval.estimate, low=at + interval.low, high=at + interval.high)


def _difference(a: Values, b: Values, metric: str, images: int) -> Comparison:
    if len(a[metric][0]) == 1:
        return seed_level([r[0] for r in a[metric]], [r[0] for r in b[metric]], images)
    return hierarchical_bootstrap(a[metric], b[metric])


def _dots(per_alpha: dict[float, Values], bicubic: Values, metric: str, alpha_on: str) -> list[figures.Dot]:
    dots = []
    for alpha, values in per_alpha.items():
        x, y = (_mean(values, bicubic, m) for m in ("rmse_y", metric))
        limits = [(i.low, i.high) if np.isfinite(i.low) else None for i in (x, y)]
        word = f"{_sense(alpha, alpha_on):g}"
        dots.append(figures.Dot(x.estimate, y.estimate, "interpolation, by alpha", word, *limits))
    return dots


def _sense(alpha: float, alpha_on: str) -> float:
    return alpha if alpha_on == "gan" else round(1 - alpha, 4)


def _checkpoints(results: Results, name: str, metric: str) -> list[figures.Dot]:
    """Checkpoints on each seed's own front, one by one: they are no design's mean."""
    dots = []
    for done in results.of(GAN):
        for test, found in done.found["tests"].items():
            if "@step" in test:
                values = found["summary"]
                dots.append(figures.Dot(values["rmse_y"], values[metric], "checkpoints of the GAN phase"))
    return dots


def _baseline(results: Results, name: str, metric: str) -> figures.Dot:
    x, y = (results.baseline("bicubic", name, m) for m in ("rmse_y", metric))
    return figures.Dot(x, y, "bicubic", "bicubic")


def _front(dots: Sequence[figures.Dot]) -> list[tuple[float, float]]:
    """The points that no other one beats in both, from the least distortion on."""
    points = [(-d.x, -d.y) for d in dots]
    return sorted((dots[i].x, dots[i].y) for i in front_of(points))


def _table(per_alpha: dict[float, Values], bicubic: Values, metric: str, alpha_on: str) -> Table:
    rows = []
    for alpha, values in per_alpha.items():
        cells = []
        for m in ("rmse_y", "psnr_y", metric):
            i = _mean(values, bicubic, m)
            limits = f" [{shown(i.low, m)}, {shown(i.high, m)}]" if np.isfinite(i.low) else ""
            cells.append(shown(i.estimate, m) + limits)
        rows.append([f"{_sense(alpha, alpha_on):g}", *cells])
    title = "Mean over seeds and images, 95 % intervals of the difference from bicubic"
    return Table("alphas", title, [f"alpha on {alpha_on}", "rmse_y", "psnr_y", metric], rows)


def _regions(dots: Sequence[figures.Dot], front: Sequence[tuple[float, float]]) -> Table:
    rows: list[list[str | float]] = []
    below = 0.0
    for region, limit in REGIONS.items():
        inside = [d for d in dots if below < d.x <= limit]
        best = min(inside, key=lambda d: d.y, default=None)
        said = f"{best.series} {best.word}".strip() if best else "nothing lies here"
        rows.append([region, f"<= {limit:g}", said, f"{best.y:.2f}" if best else "", len(inside)])
        below = limit
    rows.append(["beyond", f"> {below:g}", "", "", sum(d.x > below for d in dots)])
    return Table(
        "regions",
        "PIRM regions by RMSE: the best in each",
        ["region", "rmse", "best", "its perception", "points"],
        rows,
    )


def _strip(results: Results, name: str, between: Sequence[float], alpha_on: str) -> bytes:
    kept, gan = results.folder / "pictures", results.of(GAN)[0]
    start = results.of(PSNR)[0].folder / "pictures"
    chosen = list(between)[:: max(1, len(between) // 3)]
    rows = [
        [
            kept / f"{name}-bicubic-{i}.png",
            start / f"{name}-{i}.png",
            *(gan.folder / "pictures" / f"{name}@alpha{a:g}-{i}.png" for a in chosen),
            gan.folder / "pictures" / f"{name}-{i}.png",
            kept / f"{name}-target-{i}.png",
        ]
        for i in range(3)
    ]
    words = [f"alpha {_sense(a, alpha_on):g}" for a in (0.0, *chosen, 1.0)]
    return figures.strip(rows, ["bicubic", *words, "target"], 200)


def _claims(per_alpha: dict[float, Values], metric: str, results: Results, name: str) -> list[ClaimResult]:
    images = len(results.of(PSNR)[0].found["tests"][name]["keys"])
    ends = _both(per_alpha[1.0], per_alpha[0.0], metric, images)
    middle = min(per_alpha, key=lambda a: abs(a - 0.5))
    between = {
        f"less RMSE at {middle:g} than at 1": _one(per_alpha[middle], per_alpha[1.0], "rmse_y", images),
        f"less {metric} at {middle:g} than at 0": _one(per_alpha[middle], per_alpha[0.0], metric, images),
    }
    return [
        _judged("gan-perception", ends),
        _judged("interpolation", between),
        _opposed(per_alpha, metric, images),
    ]


def _both(gan: Values, psnr: Values, metric: str, images: int) -> dict[str, Verdict]:
    """The GAN is better in perception, the PSNR network in distortion."""
    return {
        f"GAN minus PSNR, {metric}": _one(gan, psnr, metric, images),
        "PSNR minus GAN, rmse_y": _one(psnr, gan, "rmse_y", images),
    }


def _one(a: Values, b: Values, metric: str, images: int) -> Verdict:
    return between_designs({metric: _difference(a, b, metric, images)}, "min")[metric]


def _judged(name: str, verdicts: dict[str, Verdict]) -> ClaimResult:
    words = "; ".join(f"{what}: {format_verdict(v, 2)}" for what, v in verdicts.items())
    return ClaimResult(name, combined_status(verdicts), words)


def _opposed(per_alpha: dict[float, Values], metric: str, images: int) -> ClaimResult:
    """Rank correlation of RMSE and perception along alpha, one per seed: below 0 where they oppose."""
    seeds = len(per_alpha[0.0]["rmse_y"])
    found = []
    for k in range(seeds):
        pairs = [(np.mean(v["rmse_y"][k]), np.mean(v[metric][k])) for v in per_alpha.values()]
        x, y = zip(*pairs, strict=True)
        found.append(float(spearmanr(x, y).statistic))
    comparison = seed_level(found, [0.0] * seeds, images)
    verdict = between_designs({"rho": comparison}, "min")["rho"]
    return ClaimResult(
        "plane", status_of(verdict), f"rank correlation along alpha: {format_verdict(verdict, 2)}"
    )


# -- a sweep's trials ------------------------------------------------------------------------------------


def _trials(folder: Path) -> list[dict[str, Any]]:
    """The rows of a finished sweep. UserError where there is none."""
    path = folder / "leaderboard.json"
    if not path.is_file():
        raise UserError(f"--sweep: no sweep with a leaderboard in {folder}")
    rows = json.loads(path.read_text())
    facts = json.loads((folder / SWEEP).read_text())
    return [r | {"objective": facts["objective"]} for r in rows if not r["diverged"] and r["metrics"]]


def _sweep_plane(rows: list[dict[str, Any]]) -> bytes:
    """Screened and confirmed trials on val, by the sweep's own objectives."""
    objective = rows[0]["objective"]
    names = (objective["distortion"], objective["perceptual"])
    dots = [
        figures.Dot(r["metrics"][names[0]], r["metrics"][names[1]], r["stage"])
        for r in rows
        if r["stage"] in ("screen", "confirm") and all(n in r["metrics"] for n in names)
    ]
    front = sorted((dots[i].x, dots[i].y) for i in front_of([(d.x, -d.y) for d in dots]))
    return figures.plane("Trials of the sweep, on val", dots, front, names[0], names[1])
