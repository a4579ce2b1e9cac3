"""Which rater sees what when, and the names that say nothing. Pure functions of a secret and a rater."""

import hashlib
import hmac
import random
from collections.abc import Sequence
from dataclasses import dataclass

TOKEN_DIGITS = 24


@dataclass(frozen=True)
class Presentation:
    """One picture shown: indices into the study's images and models."""

    image: int
    model: int
    repeat: bool
    """Whether this rater has met the same picture before."""


def trials(images: int, models: int, repeats: int, seed: str) -> list[Presentation]:
    """Every picture once in random order, and `repeats` of them a second time.

    Repeats come from the first third and are mixed into the second half, so that at least a sixth of all
    pictures lies between the two. At most a third of the pictures can repeat.
    """
    draw = random.Random(seed)
    shown = [Presentation(image, model, False) for image in range(images) for model in range(models)]
    draw.shuffle(shown)
    half, again = len(shown) // 2, draw.sample(shown[: len(shown) // 3], min(repeats, len(shown) // 3))
    later = shown[half:] + [Presentation(t.image, t.model, True) for t in again]
    draw.shuffle(later)
    return shown[:half] + later


def choose(
    keys: Sequence[str], calibration: int, most: int, seed: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(images for calibration alone, images to be rated) of `keys`; at most `most` rated ones, 0 for all."""
    shuffled = random.Random(seed).sample(list(keys), len(keys))
    rated = shuffled[calibration:][: most or None]
    return tuple(shuffled[:calibration]), tuple(sorted(rated))


def opaque_name(secret: str, *parts: object) -> str:
    """A word that stands for `parts` and tells nothing about them without the secret."""
    text = "\x00".join(map(str, parts))
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:TOKEN_DIGITS]
