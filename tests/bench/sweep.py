"""The steps that a sweep saves, and the quality of each stopping rule, on recorded curves of real training.

    PYTHONPATH=. OMP_NUM_THREADS=1 python tests/bench/sweep.py [--seeds 20] [--trials 64]

Prints, in training steps: what each arm needs to reach 0.95 of the hypervolume that the same sampler seed
reaches without any early stopping, and in all; how well each rung predicts the end; and the hypervolume of
each rule at equal steps on the recorded curves and on two synthetic families. Asserts nothing. The curves are
tests/bench/curves/demo.json (recorded by tests/bench/curves.py).
"""

import argparse
import json
import logging
import random
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "bench")]

import curves  # noqa: E402
import families  # noqa: E402
from ray.tune.utils import flatten_dict  # noqa: E402
from replay import Curve, Decide, Replay, ray_asha, replay, whole_trials  # noqa: E402
from scipy.stats import spearmanr  # noqa: E402

from orchestrator.results.labels import settings_of  # noqa: E402
from orchestrator.results.trial_report import TrialReport  # noqa: E402
from orchestrator.schedulers.rungs import rungs  # noqa: E402
from orchestrator.schedulers.successive_halving import SuccessiveHalving  # noqa: E402
from orchestrator.search.sampler import build_search  # noqa: E402
from orchestrator.search.space import Choice, Space  # noqa: E402
from trainers.config import ObjectiveConfig  # noqa: E402
from trainers.objectives import Objectives, Point  # noqa: E402

OBJECTIVE = ObjectiveConfig(perceptual="swd", delta_db=0.15)
OBJECTIVES = Objectives.of(OBJECTIVE)
CONFIRM = 12  # runs of both phases: 4 designs x 3 seeds, the share that 5 x 5 has of the default sweep
RUNGS, EMA_DECAY = 2, 0.97  # as recorded
SHARE = 0.95


class Recorded:
    """The recorded problem: a finite space with the curve of every design."""

    def __init__(self, reduction: int) -> None:
        data, self.reduction = curves.read(), reduction
        self.reference: Point = OBJECTIVES.point(data["bicubic"])
        self.axes = curves.ARCHITECTURE | curves.GAN
        self.psnr_steps = curves.BASE["run.psnr_steps"]
        self.gan_steps, self.every = curves.BASE["run.gan_steps"], curves.BASE["run.eval_every_steps"]
        self.architectures = len(data["psnr"])
        self.designs: dict[str, Curve] = {}
        for name, entry in data["gan"].items():
            architecture = {k: v for k, v in json.loads(name).items() if k in curves.ARCHITECTURE}
            early, share = data["psnr"][curves.name(architecture)], entry["adversarial_share"]
            self.designs[name] = Curve(entry["points"], share, self.psnr_steps, early)

    @property
    def milestones(self) -> list[int]:
        """The rungs that the product would set."""
        return rungs(self.gan_steps, self.every, self.reduction, RUNGS, EMA_DECAY)

    def tpe(self, seed: int, trials: int) -> tuple[Iterator[Curve], Callable[[int, Curve, int], None]]:
        """Return designs drawn by the product's sampler, and the function that reports their ends to it."""
        space = Space("recorded", {name: Choice(tuple(values)) for name, values in self.axes.items()})
        search = build_search(space, Objectives.of(OBJECTIVE), f"replay-{seed}", seed, [], trials)

        def draw() -> Iterator[Curve]:
            for number in range(trials):
                yield self.designs[curves.name(settings_of(search.suggest(f"t{number}")))]

        def ended(number: int, curve: Curve, step: int) -> None:
            index = next(i for i, p in enumerate(curve.points) if p[0] == step)
            ranked = dict(zip(("psnr_y", "swd"), curve.ranked(index, OBJECTIVES), strict=True))
            report = TrialReport(phase="gan", step=step, max_steps=curve.steps, ranked=ranked)
            search.on_trial_complete(f"t{number}", flatten_dict(report.to_result()))

        return draw(), ended


def halving(problem: Any, rule: str = "feasible_first", objectives: Objectives = OBJECTIVES) -> Decide:
    """Return the decisions of the product's scheduler."""
    return SuccessiveHalving(objectives, list(problem.milestones), problem.reduction, rule).decide


# -- efficiency ---------------------------------------------------------------------------------------

ARMS = (
    "no stopping",
    "ASHA, whole trials",
    "sharing",
    "stopping",
    "sharing + stopping",
    "the same, by front",
    "a coin",
    "inverted",
    "second sweep",
)
SHARING = ("sharing", "sharing + stopping", "the same, by front", "a coin", "inverted", "second sweep")
COIN = 0.41  # share of trials that the product's rule stops here
STOPPING = ("stopping", "sharing + stopping", "the same, by front", "second sweep")


def arm(problem: Recorded, name: str, seed: int, trials: int) -> Replay:
    """Run one sweep of `trials` designs."""
    designs, ended = problem.tpe(seed, trials)
    shared = name in SHARING
    if name == "ASHA, whole trials":
        most = problem.psnr_steps + problem.gan_steps
        asha = ray_asha(OBJECTIVES, "swd", "min", most, most // problem.reduction**RUNGS, problem.reduction)
        whole = (whole_trials(c) for c in designs)
        return replay(whole, asha, OBJECTIVES, problem.reference, ended=ended)
    warm = problem.architectures * problem.psnr_steps if shared and name != "second sweep" else 0
    rule = "front" if name == "the same, by front" else "feasible_first"
    decide = halving(problem, rule) if name in STOPPING else None
    if name == "a coin":
        draw = random.Random(seed)
        decide = at_rung(problem, lambda value, seen: draw.random() < COIN)
    if name == "inverted":
        keep = problem.reduction  # goes on only if it is among the worst by perception
        decide = at_rung(problem, lambda value, seen: sum(v < value for v in seen) >= -(-len(seen) // keep))
    return replay(
        designs, decide, OBJECTIVES, problem.reference, own_warm_start=not shared, spent=warm, ended=ended
    )


def at_rung(problem: Recorded, stops: Callable[[float, list[float]], bool]) -> Decide:
    """Return decisions at the first rung by `stops(own perception, those recorded so far)`, larger better."""
    seen: list[float] = []
    decided: dict[str, bool] = {}

    def decide(trial: str, report: TrialReport) -> str:
        if report.step >= problem.milestones[0] and trial not in decided:
            value = OBJECTIVES.point(report.ranked)[1]
            seen.append(value)
            decided[trial] = stops(value, seen)
        return "STOP" if decided.get(trial) else "CONTINUE"

    return decide


def efficiency(problem: Recorded, seeds: int, trials: int) -> None:
    """Print the steps of each arm, as ratios to no early stopping on the same sampler seed."""
    confirm = CONFIRM * (problem.psnr_steps + problem.gan_steps)
    runs = {name: [arm(problem, name, seed, trials) for seed in range(seeds)] for name in ARMS}
    base = runs["no stopping"]
    counts = f"{problem.psnr_steps}:{problem.gan_steps} PSNR:GAN steps, rungs {problem.milestones}"
    print(f"\n{trials} trials over {problem.architectures} architectures, {counts}, {seeds} sampler seeds;")
    print(f"medians; x: times less than without stopping; reached: seeds that came to {SHARE} of its volume")
    columns = ("screening", "x", "and confirming", "x", "steps to it", "x", "reached", "volume")
    print(f"{'':<20}" + "".join(f"{c:>15}" for c in columns))
    for name in ARMS:
        own = runs[name]
        ratios = [b.steps / r.steps for b, r in zip(base, own, strict=True)]
        sweeps = [(b.steps + confirm) / (r.steps + confirm) for b, r in zip(base, own, strict=True)]
        reached = [
            (b.steps_to(SHARE * b.volume()), r.steps_to(SHARE * b.volume()))
            for b, r in zip(base, own, strict=True)
        ]
        there = [(b, r) for b, r in reached if b and r]
        cells = [
            f"{statistics.median(r.steps for r in own):,.0f}",
            f"{statistics.median(ratios):.2f}",
            f"{statistics.median(r.steps + confirm for r in own):,.0f}",
            f"{statistics.median(sweeps):.2f}",
            f"{statistics.median(r for _, r in there):,.0f}" if there else "-",
            f"{statistics.median(b / r for b, r in there):.2f}" if there else "-",
            f"{len(there)}/{seeds}",
            f"{statistics.median(r.volume() / b.volume() for b, r in zip(base, own, strict=True)):.3f}",
        ]
        print(f"{name:<20}" + "".join(f"{c:>15}" for c in cells))


# -- how well a rung predicts ---------------------------------------------------------------------------


def correlations(problem: Recorded) -> None:
    """Print Spearman's rank correlation of the values at a step with the best of the evaluations after it.

    With the best of the whole trial, which contains the value at the step, curves without any effect of
    their design would correlate too.
    """
    final = [c.final(OBJECTIVES) for c in problem.designs.values()]
    print(f"\nrank correlation with later evaluations, over {len(final)} designs")
    print(f"{'step of the whole trial':<26}{'psnr_y':>8}{'swd':>8}")
    for step in (problem.psnr_steps // 5, problem.psnr_steps // 2, problem.psnr_steps):
        seen = [next(p for p in c.early if p[0] == step) for c in problem.designs.values()]
        _line(f"{step} (PSNR phase)", [p[1:] for p in seen], final)
    for milestone in sorted({problem.every, 2 * problem.every, *problem.milestones, problem.gan_steps // 2}):
        at = [next(i for i, p in enumerate(c.points) if p[0] >= milestone) for c in problem.designs.values()]
        seen = [c.ranked(i, OBJECTIVES) for c, i in zip(problem.designs.values(), at, strict=True)]
        later = [c.later(i, OBJECTIVES) for c, i in zip(problem.designs.values(), at, strict=True)]
        mark = " (rung)" if milestone in problem.milestones else ""
        _line(f"{problem.psnr_steps} + {milestone}{mark}", seen, later)


def _line(name: str, seen: list, final: list) -> None:
    rhos = [spearmanr([s[k] for s in seen], [f[k] for f in final]).statistic for k in (0, 1)]
    print(f"{name:<26}{rhos[0]:>8.2f}{rhos[1]:>8.2f}")


# -- the rules --------------------------------------------------------------------------------------------

RULES = ("feasible_first", "front", "ASHA on psnr_y", "ASHA on swd", "random")


def rules(problem: Any, seed: int, share: float, trials: int) -> dict[str, tuple[float, float]]:
    """Return hypervolume and pick of each rule after equally many GAN steps, over one order of designs."""
    draw = random.Random(seed)
    pool = problem.pool(seed) if hasattr(problem, "pool") else list(problem.designs.values())
    order = [draw.choice(pool) for _ in range(4 * trials)]
    most = share * trials * problem.gan_steps
    asha = {"ASHA on psnr_y": ("psnr_y", "max"), "ASHA on swd": ("swd", "min")}
    found = {}
    for name in RULES:
        if name in asha:
            decide: Decide | None = ray_asha(
                OBJECTIVES, *asha[name], problem.gan_steps, problem.milestones[0], problem.reduction
            )
        else:
            decide = None if name == "random" else halving(problem, name)
        result = replay(order, decide, OBJECTIVES, problem.reference, workers=4, most=most)
        found[name] = result.volume(), sharpest(result)
    return found


def sharpest(result: Replay) -> float:
    """Return the perceptual gain over bicubic of the best feasible whole trial: the default rule's aim."""
    feasible = [p[1] for _, p in result.whole if p[0] >= families.WARM[0] - OBJECTIVES.delta_db]
    return max(feasible, default=result.reference[1]) - result.reference[1]


def quality(problems: dict[str, Any], seeds: int, trials: int, share: float) -> None:
    """Print each rule relative to ASHA on the better of the two objectives, with intervals over seeds."""
    print(
        f"\nat equal steps ({share:g} of what {trials} whole trials take), {seeds} seeds; over ASHA on the "
        "better single objective,\nmean with a 95 % bootstrap interval"
    )
    found = {n: [rules(p, seed, share, trials) for seed in range(seeds)] for n, p in problems.items()}
    for index, title in enumerate(
        ("hypervolume of the whole trials", "perceptual gain of the best feasible")
    ):
        print(f"\n{title:<32}" + "".join(f"{name:>22}" for name in RULES))
        for label, runs in found.items():
            values = {n: [r[n][index] for r in runs] for n in RULES}
            best = max(("ASHA on psnr_y", "ASHA on swd"), key=lambda n: sum(values[n]))
            print(f"{label:<32}" + "".join(f"{_ratio(values[n], values[best]):>22}" for n in RULES))


def _ratio(own: list[float], other: list[float]) -> str:
    low, high = _interval(own, other)
    return f"{sum(own) / sum(other):.3f} ({low:.3f}-{high:.3f})"


def _interval(own: list[float], other: list[float], draws: int = 2000) -> tuple[float, float]:
    """Return the bootstrap interval of the ratio of means, resampling seeds."""
    draw, pairs, ratios = random.Random(0), list(zip(own, other, strict=True)), []
    for _ in range(draws):
        sample = draw.choices(pairs, k=len(pairs))
        ratios.append(sum(a for a, _ in sample) / sum(b for _, b in sample))
    ratios.sort()
    return ratios[int(0.025 * draws)], ratios[int(0.975 * draws)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--reduction", type=int, default=3, help="one in this many goes on at a rung")
    options = parser.parse_args()
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    recorded = Recorded(options.reduction)
    efficiency(recorded, options.seeds, options.trials)
    correlations(recorded)
    problems = {"recorded": recorded} | families.all_of(options.reduction)
    quality(problems, 30, options.trials, 0.5)
