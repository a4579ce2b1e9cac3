"""Checks of settings: each raises UserError with the dotted name of the setting, e.g. optim.beta1."""

import math
from collections.abc import Container

from datasets.errors import UserError, unknown


def at_least(section: str, config: object, low: float, *names: str) -> None:
    """Require each field in `names` to be at least `low`."""
    for name in names:
        if getattr(config, name) < low:
            raise UserError(f"{section}.{name} must be at least {low}, but got {getattr(config, name)}")


def numbers(section: str, config: object) -> None:
    """Require finite numbers, and whole ones below 2**32, which libraries take as a seed."""
    for name, value in vars(config).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{section}.{name} must be a finite number, but got {value}")
        if isinstance(value, int) and abs(value) >= 2**32:
            raise UserError(f"{section}.{name} must be below 2**32, but got {value}")


def below_one(section: str, config: object, *names: str) -> None:
    """Require each field in `names` to be in [0, 1)."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise UserError(f"{section}.{name} must be in [0, 1), but got {getattr(config, name)}")


def known(section: str, config: object, *rows: tuple[str, str, Container[str]]) -> None:
    """Require one of the allowed names; a row is (kind of name for the message, field, allowed names)."""
    for kind, field, names in rows:
        if getattr(config, field) not in names:
            raise unknown(kind, getattr(config, field), names, f"{section}.{field}")


def must_be(section: str, config: object, field: str, wanted: object, why: str) -> None:
    """Require one value of `field`, for the reason `why`."""
    if getattr(config, field) != wanted:
        raise UserError(f"{section}.{field} must be {wanted} ({why}), but got {getattr(config, field)}")
