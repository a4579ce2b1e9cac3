"""Designs for people: short names, and spelled out; a design's settings without a space's switches."""

from collections.abc import Mapping
from typing import Any

from datasets.text import count, short_number
from trainers.warm_start_key import in_key

SWITCH_SUFFIX = "?"  # suffix of the switch that turns an axis on or off; it is not a setting
OMITTED = (SWITCH_SUFFIX, "_every_steps")  # how often something is measured is not part of a design
STEPS = "run.psnr_steps"
SEEDS = ("run.seed", "data.order_seed")
SHORT_NAMES = {"adversarial": "adv", "content": "vgg", "pixel": "pix"}
SHORT_VALUES = {
    "generator.norm": {"batch": "bn", "none": "no-bn"},
    "generator.upsampler": {
        "pixel_shuffle": "shuffle",
        "transposed_conv": "transposed",
        "nearest_conv": "nearest",
    },
}
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
    return {k: v for k, v in settings_of(values).items() if k not in SEEDS}


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


def label(values: Mapping[str, Any]) -> str:
    """Return a readable name of a design: "b4 bn shuffle adv=0.1", "PSNR network b4, 1,560 steps".

    A design without settings of the GAN phase, but with its own number of PSNR steps, is a PSNR network.
    """
    steps = values.get(STEPS)
    if steps is not None and all(in_key(name) or name.endswith(OMITTED) for name in values):
        others = {name: value for name, value in values.items() if name != STEPS}
        return f"PSNR network {_words(others) or 'of the recipe'}, {count(steps, 'step')}"
    return _words(values) or "as the recipe"


def _words(values: Mapping[str, Any]) -> str:
    words = []
    for name, value in sorted(values.items(), key=lambda item: not item[0].startswith("generator.")):
        key = name.split(".")[-1].removesuffix("_weight")
        if name.endswith(OMITTED):
            continue
        if name == "generator.num_blocks":
            words.append(f"b{value}")
        elif name == STEPS:
            words.append(f"{value:,} PSNR steps")
        elif name == "run.derived_from":
            words.append("derived")
        elif name in ("generator.kind", "generator.size"):
            words.append(str(value))
        elif name in SHORT_VALUES:
            words.append(SHORT_VALUES[name].get(value, str(value)))
        elif isinstance(value, float):
            words.append(f"{SHORT_NAMES.get(key, key)}={short_number(value, 2)}")
        else:
            words.append(f"{key}={value}")
    return " ".join(words)
