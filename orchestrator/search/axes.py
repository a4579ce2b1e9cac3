"""The axes of a search space: choices, intervals of numbers, and values that follow from other axes.

An axis draws its value from an Optuna trial, or from a substitute with the same methods.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from orchestrator.results.labels import SWITCH_SUFFIX


@dataclass(frozen=True)
class Choice:
    """One of finitely many values."""

    values: tuple[Any, ...]

    def suggest(self, trial: Any, name: str, _: Mapping[str, Any]) -> Any:
        """Return the value that the sampler draws."""
        return trial.suggest_categorical(name, list(self.values))

    def every(self) -> tuple[Any, ...]:
        """Return all values, which are also those for a check of the space."""
        return self.values

    examples = every

    def holds(self, value: Any) -> bool:
        """Return True if a trial may have `value`."""
        return value in self.values


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included; a logarithmic scale draws each factor equally often."""

    low: float
    high: float
    log: ClassVar[bool] = False
    whole: ClassVar[bool] = False

    def suggest(self, trial: Any, name: str, _: Mapping[str, Any]) -> float:
        """Return the value that the sampler draws."""
        draw = trial.suggest_int if self.whole else trial.suggest_float
        return draw(name, self.low, self.high, log=self.log)

    def examples(self) -> tuple[float, ...]:
        """Return values for a check of the space."""
        return self.low, self.high

    def every(self) -> tuple[float, ...]:
        """Return all values; empty if there are too many to list."""
        return tuple(range(int(self.low), int(self.high) + 1)) if self.whole and not self.log else ()

    def holds(self, value: Any) -> bool:
        """Return True if a trial may have `value`."""
        kinds = int if self.whole else int | float
        return isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high

    def mistake(self) -> str:
        """Return the reason why this is not an axis; empty if it is one."""
        if self.whole and not all(type(end) is int for end in (self.low, self.high)):
            return f"needs whole numbers, but got {self.low} and {self.high}"
        if self.log and not 0 < self.low < self.high < math.inf:
            return f"on a logarithmic scale needs 0 < low < high, but got {self.low} and {self.high}"
        if not -math.inf < self.low < self.high < math.inf:
            return f"needs low < high, but got {self.low} and {self.high}"
        return ""


class Float(Interval):
    """A number on a linear scale."""


class Int(Interval):
    """A whole number on a linear scale."""

    whole = True


class LogInt(Interval):
    """A positive whole number on a logarithmic scale."""

    log, whole = True, True


@dataclass(frozen=True)
class LogFloat(Interval):
    """A positive number on a logarithmic scale; with `or_zero` it may also be switched off."""

    or_zero: bool = False
    log: ClassVar[bool] = True

    def suggest(self, trial: Any, name: str, values: Mapping[str, Any]) -> float:
        """Return the value that the sampler draws; a separate switch keeps the scale logarithmic."""
        if self.or_zero and not trial.suggest_categorical(name + SWITCH_SUFFIX, [False, True]):
            return 0.0
        return super().suggest(trial, name, values)

    def examples(self) -> tuple[float, ...]:
        """Return values for a check of the space."""
        return (self.low, self.high) + ((0.0,) if self.or_zero else ())


@dataclass(frozen=True)
class Derived:
    """A value that follows from other axes by a table, as in a fractional factorial design."""

    of: tuple[str, ...]
    table: tuple[tuple[tuple[Any, ...], Any], ...]

    def suggest(self, _: Any, name: str, values: Mapping[str, Any]) -> Any:
        """Return the value in the table; nothing is drawn."""
        return dict(self.table)[tuple(values[n] for n in self.of)]

    def examples(self) -> tuple[Any, ...]:
        """Return values for a check of the space."""
        return tuple(dict.fromkeys(value for _, value in self.table))


Axis = Choice | Interval | Derived
INTERVALS = {"float": Float, "int": Int, "log": LogFloat, "log_int": LogInt}
"""Names of the intervals in a YAML space."""


def as_point(values: Mapping[Any, Any], axes: Mapping[str, Axis]) -> dict[str, Any]:
    """Return a starting point for the sampler: an axis that may be off has a switch beside its value."""
    point: dict[str, Any] = {}
    for name, value in values.items():
        axis = axes.get(name)
        if isinstance(axis, LogFloat) and axis.or_zero:
            point[str(name) + SWITCH_SUFFIX] = bool(value)
        if not (isinstance(axis, LogFloat) and axis.or_zero and not value):
            point[str(name)] = value
    return point
