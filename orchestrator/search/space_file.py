"""A user's own space, `path.py:Name` or `path.yaml`, read as text, which is stored with its sweep.

The code of a Python file runs in one module of a fixed name, so that a driver that resumes a sweep can
unpickle objects of the user's class.
"""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from datasets.errors import UserError, unknown
from datasets.files import user_path
from datasets.parsing import parse_yaml
from orchestrator.search.axes import INTERVALS, Axis, Choice, LogFloat, as_point
from orchestrator.search.space import Space
from trainers.plugins import execute, named

MODULE = "upsweep_user_space"
YAML = (".yaml", ".yml")
KINDS: dict[str, type] = {"axes": dict, "points": list, "only_if": dict}
"""Keys of a YAML space and their types; the others are a text or a whole number, as their defaults are."""


@dataclass(frozen=True)
class SpaceFile:
    """The name and the text of a file with a space; the file may be gone when its sweep is resumed."""

    spec: str
    """As given: `path.py:Name` or `path.yaml`."""
    text: str

    @property
    def stored_name(self) -> str:
        """The name of the copy in STORAGE/NAME/submission."""
        return "space.yaml" if _is_yaml(self.spec) else "space.py"

    def read_beside(self, path: str) -> str:
        """Return the text of a file that the space names by its path from the space's own folder."""
        return (_path(self.spec).parent / user_path(path)).read_text()

    def space(self) -> Space:
        """Return the space that the text defines.

        Raises:
            UserError: in one sentence, if it defines none.
        """
        try:
            return _from_yaml(self) if _is_yaml(self.spec) else _from_python(self)
        except UserError as error:
            sentence = " ".join(str(error).split())
            raise UserError(f"--space {self.spec}: {sentence}") from None


def is_file(spec: str) -> bool:
    """Return True if `--space` names a file, and not one of our own spaces."""
    return _is_yaml(spec) or ".py:" in spec or spec.endswith(".py")


def _is_yaml(spec: str) -> bool:
    return spec.lower().endswith(YAML)


def _path(spec: str) -> Path:
    return user_path(spec if _is_yaml(spec) else spec.rpartition(":")[0])


def read(spec: str) -> SpaceFile:
    """Read the file that `spec` names.

    Raises:
        UserError: it cannot be read, or it is a Python file without `:Name`.
    """
    if spec.endswith(".py"):
        raise UserError(f"--space {spec} also needs the name of the class in it: --space {spec}:Name")
    path = _path(spec)
    try:
        return SpaceFile(spec, path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--space {spec}: {path} cannot be read: {error}") from None


def _from_python(file: SpaceFile) -> Space:
    path, _, name = file.spec.rpartition(":")
    space = named(execute(file.text, path, MODULE), name, "space")
    if callable(space) and not isinstance(space, Space):
        space = space()
    if not isinstance(space, Space):
        raise UserError(f"{name} must be an orchestrator.search.space.Space or return one, but got {space!r}")
    return space


def _from_yaml(file: SpaceFile) -> Space:
    values = parse_yaml(file.text)
    if not isinstance(values, dict) or not isinstance(values.get("axes"), dict):
        raise UserError("a space needs 'axes', a list of values or {KIND: [low, high]} for each setting")
    known = {f.name: f.default for f in fields(Space)}
    for key, value in values.items():
        if key not in known:
            raise unknown("key", str(key), known)
        kind = KINDS.get(key, str if key == "name" else type(known[key]))
        if type(value) is not kind:
            raise UserError(f"{key!r} must be a {kind.__name__}, but got {reprlib.repr(value)}")
    axes = {str(name): _axis(str(name), axis) for name, axis in values["axes"].items()}
    points = tuple(_point(point, axes) for point in values.get("points", []))
    for name, condition in values.get("only_if", {}).items():
        if not isinstance(condition, dict):
            raise UserError(
                f"only_if of {name} must be a table of settings, but got {reprlib.repr(condition)}"
            )
    values |= {"axes": axes, "points": points}
    values.setdefault("name", Path(file.spec).stem)
    return Space(**values)


def _axis(name: str, axis: Any) -> Axis:
    """Return the axis of a list of values, or of {KIND: [low, high]}, with `or_zero` for log alone."""
    if isinstance(axis, list) and axis and all(map(_is_value, axis)):
        if len({(type(v), v) for v in axis}) < len(axis):
            raise UserError(f"{name} lists a value twice: {reprlib.repr(axis)}")
        return Choice(tuple(axis))
    kinds = [key for key in axis if key != "or_zero"] if isinstance(axis, dict) else []
    if len(kinds) == 1 and kinds[0] in INTERVALS and ("or_zero" not in axis or kinds == ["log"]):
        ends, or_zero = axis[kinds[0]], axis.get("or_zero", False)
        numbers = isinstance(ends, list) and len(ends) == 2 and all(type(v) in (int, float) for v in ends)
        if numbers and isinstance(or_zero, bool):
            interval = INTERVALS[kinds[0]]
            low, high = ends if interval.whole else map(float, ends)
            return LogFloat(low, high, or_zero) if interval is LogFloat else interval(low, high)
    raise UserError(
        f"{name} must be a list of values or {{KIND: [low, high]}}, with one of the kinds "
        f"{', '.join(INTERVALS)}, but got {reprlib.repr(axis)}"
    )


def _is_value(value: Any) -> bool:
    """Return True for a text, a finite number or a truth value."""
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _point(given: Any, axes: Mapping[str, Axis]) -> dict[str, Any]:
    """Return a starting point of the file."""
    if not isinstance(given, dict) or not all(map(_is_value, given.values())):
        raise UserError(f"a point must be a table of settings and values, but got {reprlib.repr(given)}")
    return as_point(given, axes)
