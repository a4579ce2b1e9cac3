"""The text form of training degradations, such as "blur:0.2-3,down,noise:1-25,jpeg:30-95"; no torch.

An alternative is a chain of steps with commas between them, a preset, or the name of a fixed degradation.
Several alternatives with + between them are a mixture, of which each image draws one.
"""

import re
from typing import NamedTuple

from datasets.errors import UserError, unknown

PRESETS = ("bsrgan", "real_esrgan")
BOUNDS: dict[str, tuple[float, float]] = {
    "blur": (0.0, 20.0),  # sigma of Gaussians in pixels, round or not
    "resize": (0.05, 4.0),  # factor, by one of three interpolations
    "noise": (0.0, 100.0),  # Gaussian, in grey levels
    "grey_noise": (0.0, 100.0),  # equal in all channels
    "poisson": (0.0, 10.0),  # factor on shot noise
    "sinc": (0.1, 1.0),  # cutoff as a share of the highest frequency
    "jpeg": (1.0, 100.0),  # quality
}
"""Step -> smallest and largest number that it takes."""
DOWN = "down"
"""The step that shrinks to LR size by MATLAB's bicubic; without it the end of a chain does."""

_NUMBER = r"[0-9]+\.?[0-9]*|\.[0-9]+"


class ParsedStep(NamedTuple):
    """A step, a preset or a fixed degradation, with its bounds (0, 0 if it takes none)."""

    name: str
    low: float = 0.0
    high: float = 0.0


def parse(text: str, fixed: tuple[str, ...]) -> list[list[ParsedStep]]:
    """Return the alternatives of `text`; `fixed` names degradations that stand alone, as presets do.

    UserError if the text has another form, or a number is out of bounds.
    """
    chains = [chain.strip() for chain in text.split("+")]
    whole = (*PRESETS, *fixed)
    return [
        [ParsedStep(chain)] if chain in whole else [_step(step.strip()) for step in chain.split(",")]
        for chain in chains
    ]


def _step(text: str) -> ParsedStep:
    name, _, bounds = text.partition(":")
    if text == DOWN:
        return ParsedStep(DOWN)
    if name not in BOUNDS:
        raise unknown("degradation", name, (*PRESETS, DOWN, *BOUNDS), "data.train_degradation")
    least, most = BOUNDS[name]
    match = re.fullmatch(rf"({_NUMBER})(?:-({_NUMBER}))?", bounds)
    low, high = (float(match[1]), float(match[2] or match[1])) if match else (1.0, 0.0)
    if not least <= low <= high <= most:
        raise UserError(
            f"data.train_degradation: {name} needs two numbers of {least:g} to {most:g}, as in "
            f"{name}:{least:g}-{most:g}, but got {text!r}"
        )
    return ParsedStep(name, low, high)
