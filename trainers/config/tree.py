"""Read, change and hash a tree of settings by dotted names: flatten, override, from_flat, digest.

A dotted name (`generator.num_blocks`) is also the setting's command-line flag, its name in a search space and
its MLflow column.
"""

import copyreg
import dataclasses
import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from datasets.errors import UserError
from datasets.pixels import PixelFormat
from trainers import plugins
from trainers.config.generators import GENERATORS
from trainers.config.networks import unread_settings
from trainers.config.training import TrainConfig

C = TypeVar("C")


def flatten(config: object, prefix: str = "") -> dict[str, Any]:
    """Return all settings by dotted name, `{"generator.num_blocks": 16, ...}`; tuples become lists."""
    flat: dict[str, Any] = {}
    for f in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            flat.update(flatten(value, f"{prefix}{f.name}."))
        else:
            flat[prefix + f.name] = list(value) if isinstance(value, tuple) else value
    return flat


def portable(config: TrainConfig) -> dict[str, Any]:
    """Return all settings as `flatten` does, with the texts of the user's files that they name.

    `from_flat` and `override` understand both; settings that another process reads are written so.
    """
    flat = flatten(config)
    return flat | plugins.code_of(flat.values())


def override(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """Return `config` with the settings in `values` (by dotted name) replaced and all checks repeated.

    Another generator.kind also resets the generator's settings that it does not read, so that networks of
    different kinds can be compared over one recipe.

    Raises:
        UserError: a name does not exist (the message gives the nearest), a value has the wrong type, or a
            section refuses it.
    """
    known, values = flatten(config), plugins.take_code(values)
    for name in values:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise UserError(f"no setting '{name}'" + (f"; did you mean '{close[0]}'?" if close else ""))
    kind = values.get("generator.kind", config.generator.kind)
    if kind in GENERATORS and kind != config.generator.kind:
        reset = {"size": "", **unread_settings(kind)}
        values = {f"generator.{name}": value for name, value in reset.items()} | dict(values)
    return _replace(config, values, "")


def with_pixels(config: TrainConfig, pixels: PixelFormat) -> TrainConfig:
    """Return `config` for images of `pixels`, which the settings take over unless they name other ones.

    UserError if a network or a loss of `config` reads 8-bit RGB only.
    """
    if not config.data.pixels.is_rgb8 or pixels.is_rgb8:
        return config
    channels = {f"{name}.image_channels": pixels.channels for name in ("generator", "discriminator")}
    return override(config, {"data.bands": pixels.bands, "data.peak": pixels.peak, **channels})


def _replace(config: C, values: Mapping[str, Any], prefix: str) -> C:
    hints = get_type_hints(type(config))
    changed: dict[str, Any] = {}
    for f in dataclasses.fields(config):  # type: ignore[arg-type]
        name = prefix + f.name
        current = getattr(config, f.name)
        if dataclasses.is_dataclass(current):
            changed[f.name] = _replace(current, values, name + ".")
        elif name in values:
            changed[f.name] = _coerce(name, values[name], hints[f.name])
    return dataclasses.replace(config, **changed)  # type: ignore[type-var]


def _coerce(name: str, value: Any, hint: Any) -> Any:
    """Return `value` as the field's type; JSON turns tuples into lists and whole floats into ints."""
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return tuple(value)
    expected = hint if isinstance(hint, type) else tuple
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise UserError(f"{name} must be {getattr(hint, '__name__', hint)}, but got {value!r}")
    return value


def from_flat(values: Mapping[str, Any]) -> TrainConfig:
    """Return the inverse of `flatten` and `portable`; a name that is missing in `values` has its default."""
    return override(TrainConfig(), values)


def _reduce(config: TrainConfig) -> tuple[Any, ...]:
    """Pickle settings by name, with the texts of the user's files, so that a worker has these, too."""
    return from_flat, (portable(config),)


copyreg.pickle(TrainConfig, _reduce)  # type: ignore[arg-type]


def digest(values: Any) -> str:
    """Return 16 hex digits of the SHA-256 of `values` as canonical JSON; equal on every machine."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
