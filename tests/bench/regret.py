"""Regret of whole simulated sweeps: how far the design that a sweep picks is from the best.

    PYTHONPATH=. OMP_NUM_THREADS=1 python tests/bench/regret.py [--sweeps 200] [--save FILE]

Each sweep runs the product's own sampler, sizes, order of designs and pick on the recorded problem of 324
designs, whose runs are redrawn (tests/bench/redrawn.py). Regret is the expected SWD x 1000 of what the picked
design ships under seeds that chose nothing, less the best design's; that of an average design is 9.5. All
arms of a sweep see the same redraws, so differences are paired. Steps are training steps of all runs but the
six shared warm starts (6,000 more). Prints means with 95 % intervals over sweeps; asserts nothing. With
--save, finished sweeps are read from that file and new ones appended, so a run can be continued.
"""

import argparse
import bisect
import itertools
import json
import logging
import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "bench")]

import curves  # noqa: E402
import numpy as np  # noqa: E402
from ray.tune.utils import flatten_dict  # noqa: E402
from redrawn import METRICS, Problem, warm_start  # noqa: E402
from replay import Curve, Decide, hypervolume, ray_asha, replay  # noqa: E402
from sweep import OBJECTIVE, OBJECTIVES, halving  # noqa: E402

from orchestrator.results.labels import design_of, settings_of  # noqa: E402
from orchestrator.results.leaderboard import best_designs  # noqa: E402
from orchestrator.results.row import Row  # noqa: E402
from orchestrator.results.trial_report import RANKED, TrialReport  # noqa: E402
from orchestrator.search.sampler import BUILDERS, ConstrainedOptunaSearch, build_search  # noqa: E402
from orchestrator.search.space import Choice, Space  # noqa: E402
from orchestrator.sweep import stages  # noqa: E402
from orchestrator.sweep.hours import repeat_runs  # noqa: E402
from orchestrator.sweep.result import confirmed_designs, pick  # noqa: E402
from trainers.warm_start_key import in_key  # noqa: E402

WHOLE, PSNR_STEPS = curves.BASE["run.gan_steps"], curves.BASE["run.psnr_steps"]
LONGER = PSNR_STEPS + round(1.75 * WHOLE)
"""Steps of the PSNR network of a confirmed architecture, the sentinel that costs as much as both phases."""
REPEATED, CONFIRMED = 40, 50
"""First redraws of repeats and of the confirmation; those before are for screening."""
AXES = curves.ARCHITECTURE | curves.GAN
DOZEN, TOP, SEEDS = Space("", {}).repeat_top, Space("", {}).confirm_top, Space("", {}).confirm_seeds
BEFORE, WITH = 50, 90
"""Designs whose screening and repeats fit into 15,000 steps, and, with the confirmation, into fba4cc1's."""


class Levels(Choice):
    """Values in order, told to the sampler as their places."""

    def suggest(self, trial: Any, name: str, _: Any) -> Any:
        """Return the value of the drawn place."""
        return self.values[trial.suggest_int(name, 0, len(self.values) - 1)]


class PickSearch(ConstrainedOptunaSearch):
    """The product's search with the criterion of the pick: perception alone, of designs above the floor."""

    def suggest(self, trial_id: str) -> Any:
        """Return the next design."""
        return super(ConstrainedOptunaSearch, self).suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Attach the distance from the floor, then tell Optuna."""
        assert result is not None
        report = TrialReport.from_result(result)
        infeasible, distance, _ = OBJECTIVES.order(report.ranked, report.warm_start)
        self._ot_trials[trial_id].set_constraint("floor", distance if infeasible else -1.0)
        super().on_trial_complete(trial_id, result, error)


def search_of(sampler: str, seed: int, trials: int) -> ConstrainedOptunaSearch:
    """Return the product's search, or TPE on the pick's criterion, whose axes have an order."""
    if sampler != "pick":
        space = Space("recorded", {name: Choice(tuple(values)) for name, values in AXES.items()})
        return build_search(space, OBJECTIVE, "regret", seed, [], trials, sampler)
    kinds = {name: Choice if len(values) == 2 else Levels for name, values in AXES.items()}
    space = Space("ordered", {name: kinds[name](tuple(values)) for name, values in AXES.items()})
    return PickSearch(
        space, metric=RANKED + "swd", mode="min", sampler=BUILDERS["tpe"](seed, trials), study_name="regret"
    )


@dataclass
class Sweep:
    """One simulated sweep: its rows so far, and the steps that they took."""

    problem: Problem
    seed: int
    twice: str = "mean"
    """A design that is drawn twice is another run of it (mean), or another design, as a neighbour would be if
    the axes were continuous (apart), or the run that is there, as in a space of lists (same)."""
    rows: list[Row] = field(default_factory=list)
    steps: float = 0.0

    def __post_init__(self) -> None:
        self.redraws = cache(lambda draw: self.problem.redraws([self.seed, draw] if draw else self.seed))

    def screen(
        self, sampler: str, trials: int, decide: Decide | None = None, most: float = math.inf
    ) -> "Sweep":
        """Screen designs of the sampler; with early stopping, as many as `most` steps allow."""
        search = search_of(sampler, self.seed, trials)
        runs: list[tuple[int, int]] = []
        values: list[dict[str, Any]] = []
        drawn: Counter[int] = Counter()

        def draw() -> Iterator[Curve]:
            for number in range(trials):
                design = self.problem.place[curves.name(settings_of(search.suggest(f"t{number}")))]
                draw = drawn[design] if self.twice == "apart" else 0
                place = drawn[design] % REPEATED if self.twice == "mean" else 0
                drawn[design] += 1
                values.append(json.loads(self.problem.names[design]) | ({"draw": draw} if draw else {}))
                runs.append((design, int(self.redraws(draw)[design, place])))
                yield self.problem.curve(*runs[-1])

        def ended(number: int, curve: Curve, step: int) -> None:
            run, ranked = runs[number], self.problem.ranked(*runs[number])
            if step < WHOLE:
                index = next(i for i, p in enumerate(curve.points) if p[0] == step)
                ranked = dict(zip(METRICS, curve.ranked(index, OBJECTIVES), strict=True))
            self._add("screen", run, values[number], ranked, step)
            warm = dict(zip(METRICS, curve.points[0][1:], strict=True))
            report = TrialReport(phase="gan", step=step, max_steps=WHOLE, ranked=ranked, warm_start=warm)
            search.on_trial_complete(f"t{number}", flatten_dict(report.to_result()))

        replay(draw(), decide, OBJECTIVES, self.problem.recorded.reference, most=most, ended=ended)
        return self

    def copy(self, trials: int) -> "Sweep":
        """Return the sweep as it was when so many trials had ended."""
        rows = self.rows[:trials]
        return replace(self, rows=rows, steps=sum(r["steps"] for r in rows))

    def repeat(self, top: int, repeats: tuple[int, int] = stages.REPEATS) -> "Sweep":
        """Repeat the best designs as the product does."""
        context, own = _context(repeat_top=top), stages.REPEATS
        stages.REPEATS = repeats
        for part in range(len(repeats)):
            for design in stages.repeat_designs(context, self.rows, part):
                run = self._run(design, REPEATED - stages.FIRST_REPEATED_SEED)
                self._add("repeat", run, design, self.problem.ranked(*run), WHOLE)
        stages.REPEATS = own
        return self

    def best(self) -> float:
        """Return the regret of the best design before the confirmation."""
        return self.problem.regret(best_designs(self.rows, OBJECTIVES, 1)[0]["values"])

    def confirm(self, top: int, seeds: int) -> float:
        """Confirm the best designs as the product does, and return the regret of the pick."""
        designs = stages.confirm_designs(_context(confirm_top=top, confirm_seeds=seeds), self.rows)
        phases = {curves.name({k: v for k, v in settings_of(d).items() if in_key(k)}) for d in designs}
        # designs of one architecture and seed share a PSNR phase; each architecture has a longer one
        self.steps += PSNR_STEPS * len(phases) + LONGER * len(phases) / seeds
        return self.pick_of(designs)

    def confirm_old(self, chosen: Sequence[Row]) -> float:
        """Confirm designs with five seeds and a PSNR phase for each, as fba4cc1 did; return the regret."""
        designs = [r["values"] | {"run.seed": seed} for r in chosen for seed in range(1, 6)]
        self.steps += PSNR_STEPS * len(designs)
        return self.pick_of(designs)

    def pick_of(self, designs: Sequence[dict[str, Any]]) -> float:
        """Return the regret of the pick after these runs of the confirmation."""
        runs = [(self._run(design, CONFIRMED - 1), design) for design in designs]
        rows = [self._add("confirm", run, d, self.problem.shipped(*run), WHOLE) for run, d in runs]
        best, _ = pick(confirmed_designs(rows), OBJECTIVES)
        assert best is not None  # its warm start is a candidate of every run, and feasible
        return self.problem.regret(next(r["values"] for r in rows if r["trial_id"] in best["trial_ids"]))

    def _run(self, design: dict[str, Any], first: int) -> tuple[int, int]:
        """Return a design's number, and the redraw of its run under its seed."""
        place = self.problem.place[curves.name(design_of(design))]
        return place, int(self.redraws(design.get("draw", 0))[place, first + design["run.seed"]])

    def _add(
        self, stage: str, run: tuple[int, int], values: dict[str, Any], metrics: dict[str, float], steps: int
    ) -> Row:
        row: Row = {
            "trial_id": f"{stage}-{len(self.rows)}",
            "stage": stage,
            "design": "",
            "values": {k: v for k, v in values.items() if k != "trial_id"},
            "metrics": metrics | warm_start(self.problem.curve(*run)),
            "steps": steps,
            "diverged": False,
            "finished": True,
        }
        self.rows.append(row)
        self.steps += steps
        return row


def _context(**sizes: int) -> Any:
    """Return what the product's stages read of a sweep."""
    config = SimpleNamespace(run=SimpleNamespace(seed=0))
    return SimpleNamespace(request=SimpleNamespace(config=config, **sizes), objectives=OBJECTIVES)


# -- arms -----------------------------------------------------------------------------------------------

Arms = dict[str, tuple[float, float]]
"""Arm -> (regret, steps)."""
LABELS = {"pick": "tpe on the pick's criterion"}


def present(sampler: str, problem: Problem, seed: int, twice: str) -> Arms:
    """Return the arms of the product's stages with a sampler."""
    screened, arms, name = Sweep(problem, seed, twice).screen(sampler, WITH), {}, LABELS.get(sampler, sampler)
    for trials in (BEFORE, WITH):
        sweep = screened.copy(trials)
        arms[f"{name}: {trials} designs"] = sweep.best(), sweep.steps
        arms[f"{name}: {trials} designs, repeats"] = sweep.repeat(DOZEN).best(), sweep.steps
        regret = sweep.confirm(TOP, SEEDS)
        arms[f"{name}: {trials} designs, repeats, {TOP} x {SEEDS}"] = regret, sweep.steps
    return arms


def fba4cc1(problem: Problem, seed: int, twice: str) -> Arms:
    """Return the arms of that commit's stages: early stopping, then five designs with five seeds each."""
    old, arms = Sweep(problem, seed, twice).screen("tpe", 64, halving(problem.recorded)), {}
    whole = best_designs([r for r in old.rows if r["steps"] == WHOLE], OBJECTIVES, 64)
    for name, chosen in (("best five", whole[:5]), ("spread over the front", spread(problem, whole))):
        sweep = old.copy(64)
        arms[f"fba4cc1: 64 designs, early stopping, 5 x 5 ({name})"] = sweep.confirm_old(chosen), sweep.steps
    return arms


def ray(problem: Problem, seed: int, twice: str) -> Arms:
    """Return the arms of Ray's own rules at the steps of `present`, from its warm starts."""
    arms: Arms = {}
    repeats = repeat_runs(DOZEN) * WHOLE
    for name, grace, brackets in (("ASHA", problem.recorded.milestones[0], 1), ("Hyperband", 20, 3)):
        np.random.seed(seed)  # Ray draws the bracket of a trial from the global state
        rule = ray_asha(OBJECTIVES, "swd", "min", WHOLE, grace, 3, brackets)
        sweep = Sweep(problem, seed, twice).screen("random", 400, rule, WITH * WHOLE + repeats)
        spent = list(itertools.accumulate(r["steps"] for r in sweep.rows))
        early = sweep.copy(bisect.bisect_right(spent, BEFORE * WHOLE + repeats))
        arms[f"Ray's {name}, random designs"] = early.best(), early.steps
        arms[f"Ray's {name}, random designs, {TOP} x {SEEDS}"] = sweep.confirm(TOP, SEEDS), sweep.steps
    return arms


def spread(problem: Problem, left: list[Row]) -> list[Row]:
    """Return the five rows that fba4cc1 confirmed: the best, then those that add most to the hypervolume."""
    left, chosen = list(left), list[Row]()
    while left and len(chosen) < 5:
        points = [OBJECTIVES.point(r["metrics"]) for r in chosen]
        areas = [
            hypervolume([*points, OBJECTIVES.point(r["metrics"])], problem.recorded.reference) for r in left
        ]
        chosen.append(left.pop(areas.index(max(areas)) if chosen else 0))
    return chosen


def sizes(problem: Problem, seed: int, twice: str) -> Arms:
    """Return arms of other sizes of the stages, with random designs, at up to 15,000 and 30,000 steps."""
    screened, arms = Sweep(problem, seed, twice).screen("random", 150), {}
    half = [(0, (0, 0)), (6, (1, 2)), (12, (1, 1)), (12, (1, 2)), (12, (2, 4)), (24, (1, 2))]
    plans = [(15_000, top, repeats, 0, 0) for top, repeats in half]
    plans += [
        (30_000, top, repeats, confirmed, seeds)
        for top, repeats in ((0, (0, 0)), (12, (1, 2)), (12, (2, 4)), (24, (1, 2)))
        for confirmed, seeds in ((1, 5), (2, 3), (2, 5), (3, 5))
    ]
    for most, top, repeats, confirmed, seeds in plans:
        taken = (top * repeats[0] + -(-top // 2) * repeats[1] + confirmed * seeds) * WHOLE
        trials = min(150, (most - taken - confirmed * (seeds * PSNR_STEPS + LONGER)) // WHOLE)
        if trials < max(10, top):
            continue
        sweep = screened.copy(trials).repeat(top, repeats)
        regret = sweep.confirm(confirmed, seeds) if confirmed else sweep.best()
        words = f"{trials} designs, {top} x {repeats[0]} and {-(-top // 2)} x {repeats[1]} repeats"
        arms[f"{most:,}: {words}, {confirmed} x {seeds} confirmed"] = regret, sweep.steps
    return arms


PARTS: dict[str, Callable[[Problem, int, str], Arms]] = {
    **{sampler: partial(present, sampler) for sampler in ("random", "tpe", "pick", "nsga2")},
    "fba4cc1": fba4cc1,
    "ray": ray,
    "sizes": sizes,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--twice", choices=("mean", "apart", "same"), default="mean", help="what a design drawn again is"
    )
    parser.add_argument("--save", type=Path, help="file of finished sweeps (JSON lines)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    lines = options.save.read_text().splitlines() if options.save and options.save.exists() else []
    found = {(part, seed): arms for part, seed, arms in map(json.loads, lines)}
    problem = Problem()
    for seed, part in itertools.product(range(options.sweeps), options.only):
        if (part, seed) not in found:
            found[part, seed] = PARTS[part](problem, seed, options.twice)
            if options.save:
                with options.save.open("a") as file:
                    file.write(json.dumps([part, seed, found[part, seed]]) + "\n")
    sweeps = [
        {k: v for part in options.only for k, v in found[part, seed].items()}
        for seed in range(options.sweeps)
    ]
    print(f"{options.sweeps} sweeps")
    for reference in REFERENCES:
        if reference in sweeps[0]:
            table(sweeps, reference)


def table(sweeps: Sequence[Arms], reference: str) -> None:
    """Print steps and regret of each arm, and its regret less that of the `reference`, paired."""
    print(f"\n{'':<72}{'steps':>8}{'regret':>15}   less that of {reference}")
    for name in sweeps[0]:
        regrets = np.array([[arms[name][0], arms[reference][0]] for arms in sweeps])
        steps = np.mean([arms[name][1] for arms in sweeps])
        print(f"{name:<72}{steps:>8,.0f}{_mean(regrets[:, 0]):>15}   {_mean(regrets[:, 0] - regrets[:, 1])}")


def _mean(values: np.ndarray) -> str:
    """Return a mean and the half-width of its 95 % interval (normal)."""
    return f"{values.mean():.2f} +- {1.96 * values.std(ddof=1) / math.sqrt(len(values)):.2f}"


REFERENCES = (
    f"random: {BEFORE} designs, repeats",
    f"random: {WITH} designs, repeats, {TOP} x {SEEDS}",
    "fba4cc1: 64 designs, early stopping, 5 x 5 (best five)",
    "fba4cc1: 64 designs, early stopping, 5 x 5 (spread over the front)",
)


if __name__ == "__main__":
    main()
