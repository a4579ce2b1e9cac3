"""Names of sentinels for people: what a GAN must better to be shipped."""

from collections.abc import Sequence

SENTINELS = {
    "sharpened": "its warm start with an unsharp mask",
    "noisy": "its warm start with noise",
    "longer": "a longer PSNR phase of equal cost",
    "grid": "its warm start by the pattern on its upsampling grid",
}


def in_words(names: Sequence[str]) -> str:
    """Return what a GAN is no better than as one phrase; of more than two names the first is in it."""
    if len(names) > 2:
        return f"{SENTINELS[names[0]]}, nor in {len(names) - 1} other comparisons"
    return " or ".join(SENTINELS[name] for name in names)
