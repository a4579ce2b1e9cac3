"""Derive a recipe from another one by dotted names."""

from collections.abc import Callable
from typing import Any

from trainers.config import TrainConfig, override


def derived(base: Callable[[], TrainConfig], name: str, values: dict[str, Any]) -> TrainConfig:
    """Return the recipe `base` under another name, with the settings in `values` replaced."""
    return override(base(), {"recipe": name, **values})
