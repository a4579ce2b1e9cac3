"""YAML that a person wrote, and tables for our dataclasses: what does not fit is one sentence."""

import re
import reprlib
from collections import Counter
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from datasets.errors import UserError
from datasets.files import damaged

MAX_YAML = 1 << 18  # characters of a file that a person wrote: two seconds of parsing
T = TypeVar("T")


def build(cls: type[T], values: Any, where: str) -> T:
    """Return the dataclass `cls` of plain `values`; UserError naming `where` if they do not fit it."""
    hints = get_type_hints(cls)
    if not isinstance(values, dict):
        raise damaged(where, f"it holds a {type(values).__name__} instead of a table")
    for name, value in values.items():
        if name not in hints:
            raise damaged(where, f"{reprlib.repr(name)} is not known")
        if not _fits(value, hints[name]):
            raise damaged(where, f"{name} is {reprlib.repr(value)}")
    try:
        return cls(**values)
    except TypeError as error:
        raise damaged(where, str(error)) from None


def _fits(value: Any, hint: Any) -> bool:
    """Return True if a JSON value can be of a plain type; types that are not plain are not checked."""
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if get_origin(hint) is not None:
        origin = get_origin(hint)
        options = [a for a in get_args(hint) if a is not type(None)]
        if type(None) in get_args(hint):
            return value is None or any(_fits(value, option) for option in options)
        return (
            not isinstance(origin, type) or not issubclass(origin, dict | list) or isinstance(value, origin)
        )
    return not isinstance(hint, type) or hint not in (str, bool, dict, list) or isinstance(value, hint)


class _Loader(yaml.SafeLoader):
    """YAML by its core schema (YAML 1.2, chapter 10.3), without keys given twice and without aliases.

    YAML 1.1, PyYAML's default, also takes `no` for false, 010 for 8, 1:30 for 90 and 1e-4 for a text.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("an alias (*name) is not supported: write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := next((name for name, n in Counter(names).items() if n > 1), None):
            raise yaml.YAMLError(f"the key {reprlib.repr(twice)} is given twice")
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
     "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):  # fmt: skip
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node)))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: _float(loader.construct_scalar(node)))


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML document by its core schema.

    Raises:
        UserError: if it is not YAML, gives a key twice, uses aliases, or is too large or too deep.
    """
    if len(text) > MAX_YAML:
        raise UserError(f"it has {len(text):,} characters, more than {MAX_YAML:,}")
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - derived from SafeLoader: plain values alone
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UserError(" ".join(str(error).split())[:300]) from None
