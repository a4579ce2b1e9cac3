"""Names of sentinels for people: what a GAN must better to be shipped."""

from collections.abc import Sequence

from datasets.text import count

SENTINELS = {
    "sharpened": "its warm start, sharpened",
    "noisy": "its warm start with added noise",
    "longer": "the PSNR network of equal cost",
    "grid": "its warm start, pattern of the upsampling grid",
}


def in_words(names: Sequence[str]) -> str:
    """Return which comparisons a GAN fails, as a phrase after its name."""
    others = ", nor than ".join(SENTINELS[name] for name in names if name != "grid")
    found = [f"not clearly better than {others}"] * bool(others)
    found += ["it draws the pattern of the upsampling grid"] * ("grid" in names)
    return f"fails {count(len(names), 'comparison')} on test: {'; '.join(found)}"
