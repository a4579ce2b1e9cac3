"""Short names of designs for people, and a design's settings without its conditional switches."""

from collections.abc import Mapping
from typing import Any

from orchestrator.search.space import SWITCH_SUFFIX


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are settings of a config, without a space's switches."""
    return {k: v for k, v in values.items() if "." in k and not k.endswith(SWITCH_SUFFIX)}


def design_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that make the design, without the seeds."""
    return {k: v for k, v in settings_of(values).items() if k not in ("run.seed", "data.order_seed")}


def label(values: Mapping[str, Any]) -> str:
    """A readable name for a design: "b4 bn shuffle adv=0.1"."""
    words = []
    short = {
        "generator.norm": {"batch": "bn", "none": "no-bn"},
        "generator.upsampler": {
            "pixel_shuffle": "shuffle",
            "transposed_conv": "transposed",
            "nearest_conv": "nearest",
        },
    }
    for name, value in sorted(values.items(), key=lambda item: not item[0].startswith("generator.")):
        if name.endswith(SWITCH_SUFFIX):
            continue
        if name == "generator.num_blocks":
            words.append(f"b{value}")
        elif name in short:
            words.append(short[name].get(value, str(value)))
        else:
            key = name.split(".")[-1].removesuffix("_weight")
            words.append(
                f"{SHORT_NAMES.get(key, key)}={value:.2g}" if isinstance(value, float) else f"{key}={value}"
            )
    return " ".join(words) or "as the recipe"


SHORT_NAMES = {"adversarial": "adv", "content": "vgg", "pixel": "pix"}
