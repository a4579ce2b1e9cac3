"""A space of the user's own, `path.py:Name` or `path.yaml`, read as text so that it travels with its sweep.

The class of a Python file lives in one fixed module, whatever file it came from: a driver that resumes
finds it under the name that the sweep's state was pickled with.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from datasets.errors import UserError, unknown
from orchestrator.search.space import SWITCH_SUFFIX, Axis, Choice, LogFloat, Space

MODULE = "upsweep_user_space"
YAML = (".yaml", ".yml")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class SpaceFile:
    """Where a space came from, and all of it: the file may be gone when its sweep is resumed."""

    spec: str
    """As given: `path.py:Name` or `path.yaml`."""
    text: str

    @property
    def stored_name(self) -> str:
        """Its name under STORAGE/NAME/submission."""
        return "space.yaml" if self.spec.endswith(YAML) else "space.py"

    def space(self) -> Space:
        """What the text says. UserError in one sentence where it says no space."""
        try:
            space = _from_yaml(self) if self.spec.endswith(YAML) else _from_python(self)
        except (UserError, SyntaxError, yaml.YAMLError) as error:
            words = " ".join(str(error).split())
            raise UserError(f"--space {self.spec}: {words}") from None
        return space


def is_file(spec: str) -> bool:
    """Whether `--space` names a file and not one of our own spaces."""
    return spec.endswith(YAML) or ".py:" in spec or spec.endswith(".py")


def read(spec: str) -> SpaceFile:
    """The file that `spec` names. UserError where there is none, or a Python file without `:Name`."""
    if spec.endswith(".py"):
        raise UserError(f"--space {spec} needs the class in it as well: --space {spec}:Name")
    path = Path(spec if spec.endswith(YAML) else spec.rpartition(":")[0]).expanduser()
    try:
        return SpaceFile(spec, path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--space {spec}: {path} cannot be read: {error}") from None


def _from_python(file: SpaceFile) -> Space:
    path, _, name = file.spec.rpartition(":")
    module = ModuleType(MODULE)
    module.__file__ = path
    sys.modules[MODULE] = module
    try:
        exec(compile(file.text, path, "exec"), module.__dict__)
    except (UserError, SyntaxError):
        raise
    except Exception as error:  # whatever a user's file may raise
        raise UserError(f"{type(error).__name__}: {error}") from None
    if not hasattr(module, name):
        raise unknown("space", name, [n for n in vars(module) if not n.startswith("_")])
    found = getattr(module, name)
    made = found() if callable(found) and not isinstance(found, Space) else found
    if not isinstance(made, Space):
        raise UserError(f"{name} must be an orchestrator.search.space.Space or make one, but got {made!r}")
    return made


def _from_yaml(file: SpaceFile) -> Space:
    values = yaml.safe_load(file.text)
    if not isinstance(values, dict) or not isinstance(values.get("axes"), dict):
        raise UserError("a space needs 'axes', a list of values or {log: [low, high]} for each setting")
    known = [f.name for f in fields(Space)]
    for key in values:
        if key not in known:
            raise unknown("key", str(key), known)
    if not isinstance(values.get("points", []), list):
        raise UserError("'points' must be a list of designs, each a table of settings")
    axes = {str(name): _axis(str(name), axis) for name, axis in values["axes"].items()}
    points = tuple(_point(dict(point), axes) for point in values.get("points", []))
    values |= {"axes": axes, "points": points}
    values.setdefault("name", Path(file.spec).stem)
    return Space(**values)


def _axis(name: str, axis: Any) -> Axis:
    """A list of values, or {log: [low, high], or_zero: true}."""
    if isinstance(axis, list) and axis:
        return Choice(tuple(_number(v) for v in axis))
    if isinstance(axis, Mapping) and {"log"} <= set(axis) <= {"log", "or_zero"}:
        ends = [_number(v) for v in axis["log"]] if isinstance(axis["log"], list) else []
        if len(ends) == 2 and all(isinstance(v, int | float) for v in ends):
            return LogFloat(float(ends[0]), float(ends[1]), bool(axis.get("or_zero", False)))
    raise UserError(f"{name} must be a list of values or {{log: [low, high]}}, but got {axis!r}")


def _point(given: Mapping[str, Any], axes: Mapping[str, Axis]) -> dict[str, Any]:
    """A design as the sampler knows it: an axis that may be off has a switch beside its value."""
    point: dict[str, Any] = {}
    for name, value in ((n, _number(v)) for n, v in given.items()):
        axis = axes.get(name)
        if isinstance(axis, LogFloat) and axis.or_zero:
            point[name + SWITCH_SUFFIX] = bool(value)
        if not (isinstance(axis, LogFloat) and axis.or_zero and not value):
            point[name] = value
    return point


def _number(value: Any) -> Any:
    """YAML reads 1e-4 as a word, because its numbers need a dot."""
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value
