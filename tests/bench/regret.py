"""Regret of whole simulated sweeps: how far the design that a sweep picks is from the best.

    PYTHONPATH=. OMP_NUM_THREADS=1 python tests/bench/regret.py [--problem demo] [--sweeps 200] [--save FILE]

Each sweep runs the product's own sampler, sizes, order of designs and pick on a recorded problem, whose runs
are redrawn: `demo`, 324 designs (tests/bench/redrawn.py), or `photos` (tests/bench/second.py). Regret is the
expected perception (SWD, or LPIPS x 1000) of what the picked design ships under seeds that chose
nothing, less the best design's. All arms of a sweep see the same redraws, so differences are paired. Steps
are those of all runs but the shared warm starts. Prints means with 95 % intervals over sweeps; asserts
nothing. With --save, finished sweeps are read from that file and new ones are appended to it, so that a run
can be continued.
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
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "bench")]

import numpy as np  # noqa: E402
from ray.tune.utils import flatten_dict  # noqa: E402
from redrawn import Demo, Redrawn  # noqa: E402
from replay import Curve, Decide, hypervolume, ray_asha, replay  # noqa: E402
from second import Photos  # noqa: E402
from sweep import halving  # noqa: E402

from orchestrator.analysis.intervals import welch_difference  # noqa: E402
from orchestrator.results.labels import design_of, settings_of  # noqa: E402
from orchestrator.results.leaderboard import best_designs  # noqa: E402
from orchestrator.results.row import Row  # noqa: E402
from orchestrator.results.trial_report import RANKED, TrialReport  # noqa: E402
from orchestrator.search.sampler import BUILDERS, ConstrainedOptunaSearch, build_search  # noqa: E402
from orchestrator.search.space import Space  # noqa: E402
from orchestrator.sweep import stages  # noqa: E402
from orchestrator.sweep.result import confirmed_designs, pick  # noqa: E402
from orchestrator.sweep.wall_time import repeat_runs  # noqa: E402
from trainers.warm_start_key import in_key  # noqa: E402

REPEATED, CONFIRMED = 40, 50
"""First redraws of repeats and of the confirmation; those before are for screening."""
DOZEN, TOP, SEEDS = Space("", {}).repeat_top, Space("", {}).confirm_top, Space("", {}).confirm_seeds
BEFORE, WITH = 50, 90
"""Designs whose screening and repeats fit into 15,000 steps, and, with the confirmation, into fba4cc1's."""


def search_of(problem: Redrawn, sampler: str, seed: int, trials: int) -> ConstrainedOptunaSearch:
    """Return the product's search, or TPE on the pick's criterion, whose axes have an order."""
    if sampler != "pick":
        return build_search(problem.space(), problem.objectives, "regret", seed, [], trials, sampler)
    return ConstrainedOptunaSearch(
        objectives=problem.objectives,
        space=problem.space(ordered=True),
        metric=[RANKED + problem.objective.perceptual],
        mode=["min"],
        sampler=BUILDERS["tpe"](seed, trials),
        study_name="regret",
    )


@dataclass
class Sweep:
    """One simulated sweep: its rows so far, and the steps that they took."""

    problem: Redrawn
    seed: int
    twice: str = "mean"
    """A design that is drawn twice is another run of it (mean), or another design, as a neighbour would be if
    the axes were continuous (apart), or the run that is there, as in a space of lists (same)."""
    rows: list[Row] = field(default_factory=list)
    steps: float = 0.0

    def screen(
        self, sampler: str, trials: int, decide: Decide | None = None, most: float = math.inf
    ) -> "Sweep":
        """Screen designs of the sampler; with early stopping, as many as `most` steps allow."""
        problem, search = self.problem, search_of(self.problem, sampler, self.seed, trials)
        runs: list[tuple[int, int]] = []
        values: list[dict[str, Any]] = []
        drawn: Counter[int] = Counter()

        def draw() -> Iterator[Curve]:
            for number in range(trials):
                design = problem.number(settings_of(search.suggest(f"t{number}")))
                draw = drawn[design] if self.twice == "apart" else 0
                place = drawn[design] % REPEATED if self.twice == "mean" else 0
                drawn[design] += 1
                values.append(json.loads(problem.names[design]) | ({"draw": draw} if draw else {}))
                runs.append((design, self._residual(draw, design, place)))
                yield problem.curve(*runs[-1])

        def ended(number: int, curve: Curve, step: int) -> None:
            run, ranked = runs[number], problem.ranked(*runs[number])
            if step < problem.gan_steps:
                index = next(i for i, p in enumerate(curve.points) if p[0] == step)
                ranked = dict(zip(problem.metrics, curve.ranked(index, problem.objectives), strict=True))
            self._add("screen", run, values[number], ranked, step)
            warm, whole = dict(zip(problem.metrics, curve.points[0][1:], strict=True)), problem.gan_steps
            report = TrialReport(phase="gan", step=step, max_steps=whole, ranked=ranked, warm_start=warm)
            search.on_trial_complete(f"t{number}", flatten_dict(report.to_result()))

        replay(draw(), decide, problem.objectives, problem.reference, most=most, ended=ended)
        return self

    def copy(self, trials: int) -> "Sweep":
        """Return the sweep as it was when so many trials had ended."""
        rows = self.rows[:trials]
        return replace(self, rows=rows, steps=sum(r["steps"] for r in rows))

    def repeat(self, top: int, repeats: tuple[int, int] = stages.REPEATS) -> "Sweep":
        """Repeat the best designs as the product does."""
        context, own = self._context(repeat_top=top), stages.REPEATS
        stages.REPEATS = repeats
        for part in range(len(repeats)):
            for design in stages.repeat_designs(context, self.rows, part):
                run = self._run(design, REPEATED - stages.FIRST_REPEATED_SEED)
                self._add("repeat", run, design, self.problem.ranked(*run), self.problem.gan_steps)
        stages.REPEATS = own
        return self

    def best(self) -> float:
        """Return the regret of the best design before the confirmation."""
        return self.problem.regret(best_designs(self.rows, self.problem.objectives, 1)[0]["values"])

    def confirm(self, top: int, seeds: int, drop_after: int = 0) -> float:
        """Confirm the best designs as the product does, and return the regret of the pick.

        With `drop_after`, hopeless designs are trained with so many seeds only, which the product does not.
        """
        designs = stages.confirm_designs(self._context(confirm_top=top, confirm_seeds=seeds), self.rows)
        # designs of one architecture and seed share a PSNR phase; each architecture has a longer one
        self.steps += self.problem.longer_steps / seeds * len(_phases(designs))
        if drop_after:
            hopeless = self._hopeless(designs, drop_after)
            designs = tuple(
                d for d in designs if d["run.seed"] <= drop_after or self._run(d, 0)[0] not in hopeless
            )
        self.steps += self.problem.psnr_steps * len(_phases(designs))
        return self.pick_of(designs)

    def _hopeless(self, designs: Sequence[dict[str, Any]], seeds: int) -> set[int]:
        """Return the designs whose perception under the first seeds is worse than the best one's.

        The 95 % t-interval of the differences paired by seed must exclude 0.
        """
        shipped: dict[int, list[float]] = {}
        for design in designs:
            if design["run.seed"] <= seeds:
                run = self._run(design, CONFIRMED - 1)
                metrics = self.problem.shipped(*run)
                shipped.setdefault(run[0], []).append(metrics[self.problem.objective.perceptual])
        best = min(shipped.values(), key=np.mean)
        against = {d: welch_difference(values, best, 0, paired=True) for d, values in shipped.items()}
        return {design for design, found in against.items() if found.interval.low > 0}

    def confirm_old(self, chosen: Sequence[Row]) -> float:
        """Confirm designs with five seeds and a PSNR phase for each, as fba4cc1 did; return the regret."""
        designs = [r["values"] | {"run.seed": seed} for r in chosen for seed in range(1, 6)]
        self.steps += self.problem.psnr_steps * len(designs)
        return self.pick_of(designs)

    def pick_of(self, designs: Sequence[dict[str, Any]]) -> float:
        """Return the regret of the pick after these runs of the confirmation."""
        runs = [(self._run(design, CONFIRMED - 1), design) for design in designs]
        shipped, steps = self.problem.shipped, self.problem.gan_steps
        rows = [self._add("confirm", run, d, shipped(*run), steps) for run, d in runs]
        best, _ = pick(confirmed_designs(rows), self.problem.objectives)
        assert best is not None  # its warm start is a candidate of every run, and feasible
        return self.problem.regret(next(r["values"] for r in rows if r["trial_id"] in best["trial_ids"]))

    def _run(self, design: dict[str, Any], first: int) -> tuple[int, int]:
        """Return a design's number, and the redraw of its run under its seed."""
        number = self.problem.number(design_of(design))
        return number, self._residual(design.get("draw", 0), number, first + design["run.seed"])

    def _residual(self, draw: int, design: int, run: int) -> int:
        """Return the residual of a run; a design that is drawn again as another one has draws of its own."""
        return self.problem.redraw((self.seed, draw) if draw else (self.seed,), design, run)

    def _context(self, **sizes: int) -> Any:
        """Return what the product's stages read of a sweep."""
        request = SimpleNamespace(config=SimpleNamespace(run=SimpleNamespace(seed=0)), **sizes)
        return SimpleNamespace(request=request, objectives=self.problem.objectives)

    def _add(
        self, stage: str, run: tuple[int, int], values: dict[str, Any], metrics: dict[str, float], steps: int
    ) -> Row:
        row: Row = {
            "trial_id": f"{stage}-{len(self.rows)}",
            "stage": stage,
            "design": "",
            "values": {k: v for k, v in values.items() if k != "trial_id"},
            "metrics": metrics | self.problem.warm_start(self.problem.curve(*run)),
            "steps": steps,
            "diverged": False,
            "finished": True,
        }
        self.rows.append(row)
        self.steps += steps
        return row


def _phases(designs: Sequence[dict[str, Any]]) -> set[str]:
    """Return the PSNR phases of these runs."""
    return {str({k: v for k, v in sorted(settings_of(d).items()) if in_key(k)}) for d in designs}


# -- arms -----------------------------------------------------------------------------------------------

Arms = dict[str, tuple[float, float]]
"""Arm -> (regret, steps)."""
LABELS = {"pick": "tpe on the pick's criterion"}


def present(sampler: str, problem: Redrawn, seed: int, twice: str) -> Arms:
    """Return the arms of the product's stages with a sampler."""
    screened, arms, name = Sweep(problem, seed, twice).screen(sampler, WITH), {}, LABELS.get(sampler, sampler)
    for trials in (BEFORE, WITH):
        sweep = screened.copy(trials)
        arms[f"{name}: {trials} designs"] = sweep.best(), sweep.steps
        arms[f"{name}: {trials} designs, repeats"] = sweep.repeat(DOZEN).best(), sweep.steps
        regret = sweep.confirm(TOP, SEEDS)
        arms[f"{name}: {trials} designs, repeats, {TOP} x {SEEDS}"] = regret, sweep.steps
    return arms


def fba4cc1(problem: Redrawn, seed: int, twice: str) -> Arms:
    """Return the arms of that commit's stages: early stopping, then five designs with five seeds each."""
    stopping, objectives = halving(problem, objectives=problem.objectives), problem.objectives
    old, arms = Sweep(problem, seed, twice).screen("tpe", 64, stopping), {}
    whole = best_designs([r for r in old.rows if r["steps"] == problem.gan_steps], objectives, 64)
    for name, chosen in (("best five", whole[:5]), ("spread over the front", spread(problem, whole))):
        sweep = old.copy(64)
        arms[f"fba4cc1: 64 designs, early stopping, 5 x 5 ({name})"] = sweep.confirm_old(chosen), sweep.steps
    return arms


def ray(problem: Redrawn, seed: int, twice: str) -> Arms:
    """Return the arms of Ray's own rules at the steps of `present`, from its warm starts."""
    arms: Arms = {}
    whole, metric = problem.gan_steps, problem.objective.perceptual
    repeats = repeat_runs(DOZEN) * whole
    for name, grace, brackets in (("ASHA", problem.milestones[0], 1), ("Hyperband", whole // 10, 3)):
        np.random.seed(seed)  # Ray draws the bracket of a trial from the global state
        rule = ray_asha(problem.objectives, metric, "min", whole, grace, 3, brackets)
        sweep = Sweep(problem, seed, twice).screen("random", 400, rule, WITH * whole + repeats)
        spent = list(itertools.accumulate(r["steps"] for r in sweep.rows))
        early = sweep.copy(bisect.bisect_right(spent, BEFORE * whole + repeats))
        arms[f"Ray's {name}, random designs"] = early.best(), early.steps
        arms[f"Ray's {name}, random designs, {TOP} x {SEEDS}"] = sweep.confirm(TOP, SEEDS), sweep.steps
    return arms


def spread(problem: Redrawn, left: list[Row]) -> list[Row]:
    """Return the five rows that fba4cc1 confirmed: the best, then those that add most to the hypervolume."""
    left, chosen, objectives = list(left), list[Row](), problem.objectives
    while left and len(chosen) < 5:
        points = [objectives.point(r["metrics"]) for r in chosen]
        areas = [hypervolume([*points, objectives.point(r["metrics"])], problem.reference) for r in left]
        chosen.append(left.pop(areas.index(max(areas)) if chosen else 0))
    return chosen


def drop(problem: Redrawn, seed: int, twice: str) -> Arms:
    """Return the arms of confirmations, with and without hopeless designs dropped after three seeds."""
    screened, arms = Sweep(problem, seed, twice).screen("random", WITH).repeat(DOZEN), {}
    for top, (name, after) in itertools.product((2, 3), (("", 0), (", hopeless designs dropped", 3))):
        sweep = replace(screened, rows=list(screened.rows), steps=0.0)
        arms[f"{top} x {SEEDS} confirmed{name}"] = sweep.confirm(top, SEEDS, after), sweep.steps
    return arms


def few(problem: Redrawn, seed: int, twice: str) -> Arms:
    """Return the arms of few random designs, the best of which is chosen by one run each."""
    screened = Sweep(problem, seed, twice).screen("random", 32)
    sweeps = {n: screened.copy(n) for n in (1, 2, 4, 8, 16, 32)}
    return {f"random: {n} designs, one run each": (s.best(), s.steps) for n, s in sweeps.items()}


def sizes(problem: Redrawn, seed: int, twice: str) -> Arms:
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
        taken = (top * repeats[0] + -(-top // 2) * repeats[1] + confirmed * seeds) * problem.gan_steps
        taken += confirmed * (seeds * problem.psnr_steps + problem.longer_steps)
        trials = min(150, (most - taken) // problem.gan_steps)
        if trials < max(10, top):
            continue
        sweep = screened.copy(trials).repeat(top, repeats)
        regret = sweep.confirm(confirmed, seeds) if confirmed else sweep.best()
        words = f"{trials} designs, {top} x {repeats[0]} and {-(-top // 2)} x {repeats[1]} repeats"
        arms[f"{most:,}: {words}, {confirmed} x {seeds} confirmed"] = regret, sweep.steps
    return arms


PARTS: dict[str, Callable[[Redrawn, int, str], Arms]] = {
    **{sampler: partial(present, sampler) for sampler in ("random", "gp", "tpe", "pick", "nsga2")},
    "fba4cc1": fba4cc1,
    "ray": ray,
    "drop": drop,
    "few": few,
    "sizes": sizes,
}


PROBLEMS: dict[str, Callable[[], Redrawn]] = {"demo": Demo, "photos": Photos}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--problem", choices=PROBLEMS, default="demo")
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
    problem = PROBLEMS[options.problem]()
    print(f"regret of an average design: {(problem.average - problem.best) / problem.unit:.2f}")
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
    "random: 1 designs, one run each",
    f"2 x {SEEDS} confirmed",
    f"random: {BEFORE} designs, repeats",
    f"random: {WITH} designs, repeats, {TOP} x {SEEDS}",
    "fba4cc1: 64 designs, early stopping, 5 x 5 (best five)",
    "fba4cc1: 64 designs, early stopping, 5 x 5 (spread over the front)",
)


if __name__ == "__main__":
    main()
