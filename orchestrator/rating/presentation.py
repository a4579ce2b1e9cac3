"""The order in which each rater sees the pictures, and names that reveal nothing. Pure functions."""

import hashlib
import hmac
import random
from collections.abc import Sequence
from dataclasses import dataclass

NAME_DIGITS = 24


@dataclass(frozen=True)
class Presentation:
    """One picture as shown to a rater: indices into the study's images and models."""

    image: int
    model: int
    repeat: bool
    """True if the rater has seen this picture before."""


def presentation_order(images: int, models: int, repeats: int, seed: str) -> list[Presentation]:
    """Return every picture once in random order, and `repeats` of them a second time.

    Repeats come from the first third and are mixed into the second half, so that at least a sixth of all
    pictures is shown between the two. At most a third of the pictures can repeat.
    """
    draw = random.Random(seed)
    order = [Presentation(image, model, False) for image in range(images) for model in range(models)]
    draw.shuffle(order)
    half, again = len(order) // 2, draw.sample(order[: len(order) // 3], min(repeats, len(order) // 3))
    later = order[half:] + [Presentation(p.image, p.model, True) for p in again]
    draw.shuffle(later)
    return order[:half] + later


def choose_images(
    keys: Sequence[str], calibration: int, most: int, seed: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split `keys` into (images for calibration, images to rate), at most `most` to rate; 0: all others."""
    shuffled = random.Random(seed).sample(list(keys), len(keys))
    rated = shuffled[calibration:][: most or None]
    return tuple(shuffled[:calibration]), tuple(sorted(rated))


def opaque_name(secret: str, *parts: object) -> str:
    """Return a hexadecimal name of `parts` that reveals nothing about them without the secret (HMAC)."""
    text = "\x00".join(map(str, parts))
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:NAME_DIGITS]
