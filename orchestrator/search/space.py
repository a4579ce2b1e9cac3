"""Search spaces as tables of axes under dotted config names; our own are in experiments/spaces.py.

A space is called with an Optuna trial (define-by-run), counts its architectures, and is checked against
the config before a sweep starts. Plain data, so that it pickles with a sweep's state.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datasets.errors import UserError, unknown
from orchestrator.search.axes import (
    SWITCH_SUFFIX,
    Axis,
    Choice,
    Derived,
    Float,
    Int,
    Interval,
    LogFloat,
    LogInt,
    as_point,
)
from trainers import plugins
from trainers.config import TrainConfig, flatten, override
from trainers.plugins import is_own
from trainers.warm_start_key import in_key

__all__ = ["Choice", "Derived", "Float", "Int", "LogFloat", "LogInt", "Space"]

FIXED_PER_SWEEP = (  # settings that all trials of a sweep share, because they decide how results are measured
    "recipe",
    "objective.",
    "generator.scale",
    "data.train",
    "data.val",
    "data.test",
    "data.gate",
    "data.degradation",
    "data.psnr_degradation",
    "data.input",
    "data.canny",
    "data.eval",
    "data.mode",
    "run.gan_steps",
    "run.eval_every_steps",
)
LENGTHS = ("run.psnr_steps", "run.psnr_eval_every_steps")
CHECKED_DESIGNS = 1000
SMALLEST = {"trials": 1, "repeat_top": 0, "confirm_top": 1, "confirm_seeds": 1, "reduction": 2, "rungs": 0}
SAMPLERS = ("gp", "random", "nsga2", "tpe", "grid")
STOPPING = ("feasible_first", "front", "asha", "none", "pbt")
POPULATION = 4  # the smallest population, since population based training replaces a quarter of it


@dataclass(frozen=True)
class Space:
    """Axes by dotted name, starting points, and suggested options of a sweep."""

    name: str
    axes: dict[str, Axis]
    points: tuple[dict[str, Any], ...] = ()
    """Designs to try first: published recipes, or a spread over the architectures."""
    only_if: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Axis -> settings that must hold for it to be drawn."""
    trials: int = 64
    repeat_top: int = 12
    confirm_top: int = 2
    confirm_seeds: int = 5
    reduction: int = 3
    """Early stopping keeps one of this many at each rung."""
    rungs: int = 2
    sampler: str = "gp"
    """The sampler if --sampler names none (orchestrator/search/sampler.py)."""
    stopping: str = "none"
    """The rule of early stopping if --stopping names none (orchestrator/schedulers/rules.py)."""
    excluded: tuple[dict[str, Any], ...] = ()
    """Architectures that no trial may have, set by a sweep for those slower than objective.max_ms."""
    fidelity: bool = False
    """The axes are those of the PSNR phase, for sweeps without a GAN phase; such a sweep sets it."""

    def __call__(self, trial: Any) -> dict[str, Any]:
        """Return the values of one design, drawn by `trial`; those of derived axes follow."""
        return self._draw(self.axes, trial)

    def _draw(self, names: Iterable[str], trial: Any) -> dict[str, Any]:
        """Return the values of those of these axes whose condition holds, drawn by `trial`."""
        values: dict[str, Any] = {}
        for name in names:
            if all(values.get(k) == v for k, v in self.only_if.get(name, {}).items()):
                values[name] = self.axes[name].suggest(trial, name, values)
        return values

    def own_names(self) -> list[str]:
        """Return the values of all axes that name something in a file of the user."""
        axes = [self.axes[name] for name in plugins.SETTINGS if name in self.axes]
        return [str(value) for axis in axes for value in axis.examples() if is_own(value)]

    def pinned(self, read: Callable[[str], str]) -> "Space":
        """Return the space with such names pinned to the texts that `read` returns for their paths.

        Raises:
            UserError: a file cannot be read.
        """
        if not self.own_names():
            return self

        def pin(name: str, value: Any) -> Any:
            return plugins.pin(name, value, read) if name in plugins.SETTINGS else value

        axes: dict[str, Axis] = {
            name: Choice(tuple(pin(name, v) for v in axis.values)) if isinstance(axis, Choice) else axis
            for name, axis in self.axes.items()
        }
        points = tuple({name: pin(name, v) for name, v in point.items()} for point in self.points)
        return replace(self, axes=axes, points=points)

    def beginning_with(self, config: TrainConfig) -> "Space":
        """Return the space with the design that `config` has itself as its starting point, if it has none.

        So the first of few designs is the recipe's. A space that does not hold it stays as it is.
        """
        if self.points or self.only_if:
            return self
        settings = flatten(config)
        point = as_point({name: settings.get(name) for name in self.axes}, self.axes)
        for name, value in point.items():
            axis = self.axes.get(name)  # a switch has none
            if isinstance(axis, Derived) or (axis is not None and not axis.holds(value)):
                return self
        return replace(self, points=(point,))

    def architectures(self) -> list[dict[str, Any]]:
        """Return every distinct setting of the axes that decide a warm start; of a fidelity sweep, which has
        none, of those that decide the network.

        Raises:
            UserError: one of them is continuous.
        """
        names = [n for n in self.axes if self.decides_architecture(n)]
        distinct: list[dict[str, Any]] = []
        for name in names:
            if _is_open(self.axes[name]):
                what = "network" if self.fidelity else "PSNR phase"
                raise UserError(
                    f"space {self.name}: {name} changes the {what}, so it must be a list of values"
                )
        for values in self._combinations(names):
            if values not in distinct and self.allows(values):
                distinct.append(values)
        return distinct

    def allows(self, values: Mapping[str, Any]) -> bool:
        """Return True unless the design of these values has an excluded architecture."""
        return not self.excluded or self.architecture_of(values) not in self.excluded

    def architecture_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the part of a design's values that its architecture consists of."""
        return {n: v for n, v in values.items() if n in self.axes and self.decides_architecture(n)}

    def decides_architecture(self, name: str) -> bool:
        """Return True if designs that differ in the setting `name` are different architectures."""
        return name.startswith("generator.") if self.fidelity else in_key(name)

    def grid(self) -> tuple[dict[str, Any], ...]:
        """Return every design, as starting points.

        Raises:
            UserError: an axis is continuous.
        """
        for name, axis in self.axes.items():
            if isinstance(axis, Interval) and _is_open(axis):
                raise UserError(
                    f"space {self.name}: {name} runs from {axis.low} to {axis.high} and has no grid; give it "
                    f"a list of values, or choose another --sampler"
                )
        drawn = [n for n, a in self.axes.items() if not isinstance(a, Derived)]
        points: list[dict[str, Any]] = []
        for values in self._combinations(list(self.axes)):
            point = {n: v for n, v in values.items() if n in drawn}
            if point not in points and self.allows(values):
                points.append(point)
        return tuple(points)

    def _combinations(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the values of these axes for every combination of those that are drawn; some may be equal."""
        axes = {n: axis for n in names if not isinstance(axis := self.axes[n], Derived)}
        drawn = list(axes)
        for combination in itertools.product(*(axis.every() for axis in axes.values())):
            yield self._draw(names, FixedTrial(dict(zip(drawn, combination, strict=True))))

    def check(self, config: TrainConfig) -> None:
        """Check the space against a config, with every combination of values, or a sample of very many.

        Raises:
            UserError: an axis is not a setting that may differ between trials, or `config` refuses a design.
        """
        self._check_itself()
        if self.fidelity and config.run.gan_steps:
            raise UserError(
                f"space {self.name} is for sweeps without a GAN phase: set run.gan_steps 0 and "
                f"objective.perceptual to a second distortion metric, or choose another --space"
            )
        for name in self.axes:
            if name.startswith(FIXED_PER_SWEEP) and name != "data.train_degradation":
                raise UserError(
                    f"space {self.name}: {name} decides how results are measured, so trials that differ in "
                    f"it cannot be compared; set it for the whole sweep"
                )
            if self.fidelity and name in LENGTHS:
                raise UserError(f"space {self.name}: without a GAN phase all trials need the same {name}")
            if self.fidelity and not in_key(name) and name != "data.train_degradation":
                raise UserError(
                    f"space {self.name}: {name} has no effect without a GAN phase (run.gan_steps 0): choose "
                    f"a --space of networks, pixel losses and rates, such as fidelity"
                )
        self.architectures()
        for values in self._designs():
            override(config, values)
        for point in self.points:
            self._check_point(point)

    def _check_itself(self) -> None:
        """Raise UserError if the space contradicts itself, as a user's own file may."""
        if not self.axes:
            raise UserError(f"space {self.name} needs at least one axis")
        for option, least in SMALLEST.items():
            value = getattr(self, option)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UserError(
                    f"space {self.name}: {option} must be a number of {least} or more, but got {value}"
                )
        for option, table in (("sampler", SAMPLERS), ("stopping", STOPPING)):
            if getattr(self, option) not in table:
                raise unknown(option, getattr(self, option), table, f"{option} of space {self.name}")
        for name, axis in self.axes.items():
            if isinstance(axis, Interval) and (mistake := axis.mistake()):
                raise UserError(f"space {self.name}: {name} {mistake}")
        order = list(self.axes)
        for name, condition in self.only_if.items():
            for other in (name, *condition):
                if other not in self.axes:
                    raise unknown("axis", other, self.axes, f"only_if of space {self.name}")
                if order.index(other) > order.index(name):
                    raise UserError(f"space {self.name}: {name} depends on {other}, so it must come after it")

    def _check_point(self, point: Mapping[str, Any]) -> None:
        for name, value in point.items():
            axis = self.axes.get(name.removesuffix(SWITCH_SUFFIX))
            if axis is None or isinstance(axis, Derived):
                raise UserError(f"space {self.name}: a starting point sets {name}, which is not an axis")
            if not name.endswith(SWITCH_SUFFIX) and not axis.holds(value):
                raise UserError(f"space {self.name}: a starting point sets {name} to {value}, off its axis")

    def _designs(self) -> Iterator[dict[str, Any]]:
        """Yield the designs of all combinations of example values, or of a quick sample of them."""
        names = [n for n, a in self.axes.items() if not isinstance(a, Derived)]
        examples = [self.axes[n].examples() for n in names]
        if math.prod(len(e) for e in examples) <= CHECKED_DESIGNS:
            combinations: Iterable[tuple[Any, ...]] = itertools.product(*examples)
        else:
            draw = random.Random(0)
            combinations = (tuple(draw.choice(e) for e in examples) for _ in range(CHECKED_DESIGNS))
        for combination in combinations:
            yield self(FixedTrial(dict(zip(names, combination, strict=True))))


def _is_open(axis: Axis) -> bool:
    """Return True if an axis has too many values to list."""
    return isinstance(axis, Interval) and not axis.every()


class FixedTrial:
    """A substitute for an Optuna trial, whose draws are given; a switch is on if its axis is not 0."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def suggest_categorical(self, name: str, _: Sequence[Any]) -> Any:
        value = self.values[name.removesuffix(SWITCH_SUFFIX)]
        return bool(value) if name.endswith(SWITCH_SUFFIX) else value

    def suggest_float(self, name: str, *_: float, log: bool) -> Any:
        return self.values[name]

    suggest_int = suggest_float
