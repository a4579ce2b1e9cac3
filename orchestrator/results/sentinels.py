"""Names of sentinels for people: what a GAN must better to be shipped."""

from collections.abc import Sequence

from datasets.text import count

SENTINELS = {
    "sharpened": "its warm start with an unsharp mask",
    "noisy": "its warm start with noise",
    "longer": "a longer PSNR phase of equal cost",
    "grid": "its warm start in the pattern of the upsampling grid",
}


def in_words(names: Sequence[str]) -> str:
    """Return which comparisons a GAN fails, as a phrase after its name."""
    others = ", nor than ".join(SENTINELS[name] for name in names)
    return f"fails {count(len(names), 'comparison')} on test: not clearly better than {others}"
