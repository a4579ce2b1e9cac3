"""Short names of designs for people."""

from collections.abc import Mapping
from typing import Any

from datasets.text import count, short_number
from trainers.warm_start_key import in_key

SWITCH_SUFFIX = "?"  # suffix of the switch that turns an axis on or off; it is not a setting
OMITTED = (SWITCH_SUFFIX, "_every_steps")  # how often something is measured is not part of a design
STEPS = "run.psnr_steps"
SHORT_NAMES = {"adversarial": "adv", "content": "vgg", "pixel": "pix"}
SHORT_VALUES = {
    "generator.norm": {"batch": "bn", "none": "no-bn"},
    "generator.upsampler": {
        "pixel_shuffle": "shuffle",
        "transposed_conv": "transposed",
        "nearest_conv": "nearest",
    },
}


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
