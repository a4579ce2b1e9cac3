"""Checks of a settings class: each raises UserError under the dotted name of the field."""

from datasets.errors import UserError, unknown


def at_least(section: str, config: object, low: float, *names: str) -> None:
    """Refuses a field of `config` below `low`, under its dotted name."""
    for name in names:
        if getattr(config, name) < low:
            raise UserError(f"{section}.{name} must be at least {low}, but got {getattr(config, name)}")


def known(section: str, config: object, *rows: tuple[str, str, tuple[str, ...]]) -> None:
    for kind, field, names in rows:
        if getattr(config, field) not in names:
            raise unknown(kind, getattr(config, field), names, f"{section}.{field}")


def must_be(section: str, config: object, field: str, wanted: object, why: str) -> None:
    if getattr(config, field) != wanted:
        raise UserError(f"{section}.{field} must be {wanted} ({why}), but got {getattr(config, field)}")
