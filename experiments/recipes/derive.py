"""What recipes share: one made from another by dotted names."""

from collections.abc import Callable
from typing import Any

from trainers.config import TrainConfig, override


def derived(base: Callable[[], TrainConfig], name: str, values: dict[str, Any]) -> TrainConfig:
    """The recipe `base` under another name, with some dotted names replaced."""
    return override(base(), {"recipe": name, **values})
