"""The second recorded problem: photographs of rooms, nine axes, published networks as loss and as measures.

    PYTHONPATH=. OMP_NUM_THREADS=1 python tests/bench/second.py [FILE]

tests/bench/curves/photos.jsonl (tests/bench/record.py) holds 96 designs drawn at random with three seeds of
both phases, and those of other architectures than the ancestor's again from derived warm starts. This prints,
for each metric, how well one seed ranks designs as another does (the noise ceiling of any claim about ranks),
how well early evaluations rank them as later ones, and how well derived warm starts rank them as the other
seeds do. `Photos` is the problem for simulated sweeps. Asserts nothing.
"""

import json
import math
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "bench")]

import numpy as np  # noqa: E402
from curves import name  # noqa: E402
from redrawn import DRAWS, Redrawn  # noqa: E402
from scipy.stats import spearmanr  # noqa: E402
from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: E402
from sklearn.gaussian_process.kernels import (  # noqa: E402
    RBF,
    ConstantKernel,
    DotProduct,
    Kernel,
    WhiteKernel,
)

from orchestrator.results.labels import settings_of  # noqa: E402
from orchestrator.schedulers.rungs import rungs  # noqa: E402
from orchestrator.search.proposals import draw  # noqa: E402
from orchestrator.search.space import Choice, LogFloat, Space  # noqa: E402
from trainers.config import ObjectiveConfig  # noqa: E402
from trainers.objectives import Objectives  # noqa: E402

FILE = Path(__file__).parent / "curves" / "photos.jsonl"
METRICS = ("psnr_y", "lpips_alex", "lpips_vgg", "dists")
SPACE = Space(
    "second_problem",
    {
        "generator.num_blocks": Choice((2, 4)),
        "generator.norm": Choice(("batch", "none")),
        "generator.upsampler": Choice(("pixel_shuffle", "nearest_conv")),
        "loss.adversarial_weight": LogFloat(0.005, 0.5),
        "loss.content_weight": LogFloat(0.01, 1.0),
        "loss.content_layer": Choice(("conv2_2", "conv3_3", "conv4_3")),
        "loss.pixel_weight": LogFloat(0.01, 1.0),
        "optim.lr_g": LogFloat(5e-5, 5e-4),
        "optim.lr_d": LogFloat(1e-4, 2e-3),
    },
)
EMA_DECAY = 0.99  # as recorded
GAN_IN_PSNR_STEPS = 13
"""Floating-point operations of an update of the GAN phase in those of the PSNR phase: 7 to 20 by layer."""
NEAREST = 6
"""Designs that lend a design the differences between their seeds."""
TRUTHS = 4000
"""Random designs, of which the best one has no regret."""

Runs = dict[str, dict[int, np.ndarray]]
"""Design -> seed -> curve (evaluations, metrics)."""


@dataclass
class RecordedRuns:
    """The curves in a file of tests/bench/record.py."""

    about: dict[str, Any]
    steps: list[int] = field(default_factory=list)
    runs: Runs = field(default_factory=dict)
    derived: Runs = field(default_factory=dict)
    diverged: int = 0

    @classmethod
    def read(cls, file: Path = FILE) -> "RecordedRuns":
        """Return the recording; the curve of a run that diverged goes on with its last values."""
        if not file.is_file():
            raise SystemExit(f"{file} is not there: record it with tests/bench/record.py")
        head, *lines = map(json.loads, file.read_text().splitlines())
        found = cls(head["about"])
        lines = [line for line in lines if "gan" in line]
        found.steps = [int(p[0]) for p in max((line["points"] for line in lines), key=len)]
        for line in lines:
            points = line["points"] + [line["points"][-1]] * (len(found.steps) - len(line["points"]))
            kept = found.derived if line.get("derived") else found.runs
            kept.setdefault(name(line["gan"]), {})[line["seed"]] = np.array([p[1:] for p in points])
            found.diverged += "diverged" in line
        return found

    @staticmethod
    def value(curve: np.ndarray, metric: str) -> float:
        """Return the best value of `metric` among the feasible checkpoints of a run."""
        if metric == METRICS[0]:
            return float(curve[1:, 0].max())
        feasible = curve[:, 0] >= curve[0, 0] - ObjectiveConfig().delta_db
        return float(curve[feasible, METRICS.index(metric)].min())


class Photos(Redrawn):
    """The problem for simulated sweeps, over the whole space.

    The expected curve of a design is the mean of a Gaussian process over the settings, whose kernel is fitted
    to the last evaluations: linear, plus an RBF with a length for each coordinate. (A quadratic fit predicted
    designs left out worse, and promised corners that trainings did not keep.) A run adds the difference of a
    run from the mean of its design's seeds, lent by one of the nearest designs. Costs are updates of the GAN
    phase.
    """

    unit = 1e-3
    reduction = 3

    def __init__(self, file: Path = FILE, perceptual: str = "lpips_alex") -> None:
        recording = RecordedRuns.read(file)
        self.objective = ObjectiveConfig(perceptual=perceptual)
        settings, bicubic = recording.about["settings"], recording.about["bicubic"]
        self.reference = Objectives.of(self.objective).point(bicubic)
        self.gan_steps = settings["run.gan_steps"]
        self.psnr_steps = round(settings["run.psnr_steps"] / GAN_IN_PSNR_STEPS)
        self.longer_steps = self.psnr_steps + self.gan_steps
        every = settings["run.eval_every_steps"]
        self.milestones = rungs(self.gan_steps, every, self.reduction, 2, EMA_DECAY)
        curves = np.array([list(seeds.values()) for seeds in recording.runs.values()])
        curves = curves[..., [0, METRICS.index(perceptual)]]  # design, seed, step, metric
        self.places = np.array([_place(json.loads(design)) for design in recording.runs])
        means, self.seeds = curves.mean(1), curves.shape[1]
        deviations = (curves - means[:, None]) * math.sqrt(self.seeds / (self.seeds - 1))
        super().__init__(recording.steps, deviations.reshape(-1, *means.shape[1:]))
        self.centre = means.mean(0)
        self.fits = [self._fit(means[..., metric] - self.centre[:, metric]) for metric in (0, 1)]
        found = [self.expected(settings_of(values)) for values in draw(SPACE, TRUTHS, seed=1)]
        truths = [self.ships(mean, alike).mean() for mean, alike in found]
        self.best, self.average = float(min(truths)), float(np.mean(truths))

    def _fit(self, curves: np.ndarray) -> tuple[Kernel, np.ndarray]:
        """Return the kernel of a metric, and the weights (designs, steps) of its designs' curves."""
        lengths = RBF(np.ones(self.places.shape[1]), (0.3, 30))
        process = GaussianProcessRegressor(
            DotProduct() + ConstantKernel() * lengths + WhiteKernel(0.1),
            n_restarts_optimizer=2,
            random_state=0,
        )
        kernel = process.fit(self.places, curves[:, -1] / curves[:, -1].std()).kernel_
        return kernel, np.linalg.solve(kernel(self.places), curves)

    def left_out(self) -> list[float]:
        """Return the share of each metric's variance, at the last step, that designs left out are given."""
        shares = []
        for kernel, weights in self.fits:
            error = weights[:, -1] / np.diag(np.linalg.inv(kernel(self.places)))
            shares.append(float(1 - error.var() / (kernel(self.places) @ weights[:, -1]).var()))
        return shares

    def expected(self, settings: Mapping[str, Any]) -> tuple[np.ndarray, Sequence[int]]:
        """Return the expected curve of a design, and the residuals that its runs may get."""
        place = _place(settings)[None]
        mean = [kernel(place, self.places)[0] @ weights for kernel, weights in self.fits]
        away = np.linalg.norm(self.places - place, axis=1)
        near = np.argsort(away, kind="stable")[:NEAREST, None]
        return self.centre + np.stack(mean, 1), (near * self.seeds + np.arange(self.seeds)).ravel().tolist()

    def space(self, ordered: bool = False) -> Space:
        """Return the space; its numbers have an order."""
        return SPACE

    def number(self, settings: Mapping[str, Any]) -> int:
        """Return the number of the design, which is added when it is first met."""
        key = name(dict(settings))
        return self.place[key] if key in self.place else self.add(key, *self.expected(settings))

    def redraw(self, seed: Sequence[int], design: int, run: int) -> int:
        """Return the residual of a design's run in the sweep `seed`."""
        return self.alike[design][self._draws(tuple(seed), self.names[design])[run]]

    @cache  # noqa: B019 one problem a process
    def _draws(self, seed: tuple[int, ...], design: str) -> np.ndarray:
        drawn = np.random.default_rng([*seed, zlib.crc32(design.encode())])
        return drawn.integers(len(self.alike[self.place[design]]), size=DRAWS)


def _place(settings: Mapping[str, Any]) -> np.ndarray:
    """Return where a design lies: each axis from -1 to 1, for lists one coordinate a value."""
    place: list[float] = []
    for axis, values in SPACE.axes.items():
        if isinstance(values, LogFloat):
            low, high, own = np.log([values.low, values.high, settings[axis]])
            place.append((2 * own - low - high) / (high - low))
        elif isinstance(values, Choice):
            place += [float(settings[axis] == value) for value in values.values[1:]]
    return np.array(place)


# -- ranks ----------------------------------------------------------------------------------------------

Values = Sequence[float]
"""One value of each design."""
Pairs = Sequence[tuple[Values, Values]]
"""Values to correlate with each other."""


def agreement(pairs: Pairs, less: Pairs = ()) -> str:
    """Return Spearman's rank correlation, the mean over `pairs`, with its bootstrap interval over designs.

    With `less` return the difference to those pairs, on the same designs.
    """

    def mean(values: np.ndarray, chosen: np.ndarray) -> float:  # values: (pairs, 2, designs)
        return float(np.mean([spearmanr(a[chosen], b[chosen]).statistic for a, b in values]))

    def difference(chosen: np.ndarray) -> float:
        return mean(np.array(pairs), chosen) - (mean(np.array(less), chosen) if less else 0.0)

    count = len(pairs[0][0])
    drawn = np.random.default_rng(0).integers(count, size=(2000, count))
    low, high = np.nanquantile([difference(chosen) for chosen in drawn], [0.025, 0.975])
    return f"{difference(np.arange(count)):.2f} [{low:.2f}, {high:.2f}]"


def ranks(recording: RecordedRuns) -> None:
    """Print the rank correlations of each metric."""
    runs, derived, value = recording.runs, recording.derived, recording.value
    seeds, half, end = sorted(next(iter(runs.values()))), len(recording.steps) // 2, len(recording.steps)
    print(f"{len(runs)} designs, {len(seeds)} seeds, {recording.diverged} runs diverged")
    print(f"\n{'rank correlation':<40}" + "".join(f"{metric:>20}" for metric in METRICS))

    def line(
        label: str, pairs: Callable[[str], Pairs], less: Callable[[str], Pairs] = lambda metric: ()
    ) -> None:
        print(f"{label:<40}" + "".join(f"{agreement(pairs(m), less(m)):>20}" for m in METRICS))

    def ships(kept: Runs, designs: Iterable[str], seed: int, metric: str) -> Values:
        return [value(kept[design][seed], metric) for design in designs]

    def of_seeds(metric: str, first: Runs, designs: Iterable[str], pairs: Iterable[tuple[int, int]]) -> Pairs:
        return [(ships(first, designs, a, metric), ships(runs, designs, b, metric)) for a, b in pairs]

    def halves(metric: str, at: int) -> Pairs:
        parts = range(1, at + 1), range(at + 1, end)
        early, late = ([value(runs[d][0][[0, *part]], metric) for d in runs] for part in parts)
        return [(early, late)]

    line("two seeds", partial(of_seeds, first=runs, designs=runs, pairs=list(combinations(seeds, 2))))
    for at in (half // 2, half):
        line(f"until step {recording.steps[at]}, and after it", partial(halves, at=at))
    others = [(seeds[0], seed) for seed in seeds[1:]]
    own = partial(of_seeds, first=runs, designs=derived, pairs=others)
    from_derived = partial(of_seeds, first=derived, designs=derived, pairs=others)
    line("own warm start, and two other seeds", own)
    line("derived, and those seeds", from_derived)
    line("the second less the first", from_derived, own)


if __name__ == "__main__":
    ranks(RecordedRuns.read(Path(sys.argv[1]) if sys.argv[1:] else FILE))
