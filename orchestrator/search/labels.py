"""Designs spelled out for people, and a design's settings without its conditional switches."""

from collections.abc import Mapping
from typing import Any

from datasets.text import short_number
from orchestrator.results.labels import SWITCH_SUFFIX

WORDS = {
    "generator.num_blocks": "{} residual blocks",
    "generator.norm": "{} norm",
    "generator.upsampler": "{} upsampler",
    "generator.kind": "{}",
    "run.derived_from": "derived from another's network",
}
"""Setting -> its phrase in a design that is spelled out."""
RENAMED = {"none norm": "no norm", "1 residual blocks": "1 residual block"}


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are settings of a config, without a space's switches."""
    return {k: v for k, v in values.items() if "." in k and not k.endswith(SWITCH_SUFFIX)}


def design_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a design, without the seeds."""
    return {k: v for k, v in settings_of(values).items() if k not in ("run.seed", "data.order_seed")}


def spelled_out(values: Mapping[str, Any]) -> str:
    """Return a design in words: "4 residual blocks, batch norm, adversarial weight 0.1"."""
    phrases = []
    for name, value in sorted(
        design_of(values).items(), key=lambda item: not item[0].startswith("generator.")
    ):
        text = short_number(value, 2) if isinstance(value, float) else str(value).replace("_", " ")
        text = text.replace(" conv", " convolution")
        phrase = WORDS.get(name, name.split(".")[-1].replace("_", " ") + " {}").format(text)
        phrases.append(RENAMED.get(phrase, phrase))
    return ", ".join(phrases) or "the recipe's own settings"
