"""Names of sentinels make a phrase after the name of a GAN."""

from orchestrator.results.sentinels import in_words


def test_each_comparison_that_fails_is_named():
    first = "not clearly better than its warm start, sharpened"
    assert in_words(["sharpened"]) == f"fails 1 comparison on test: {first}"
    assert in_words(["sharpened", "longer"]) == (
        f"fails 2 comparisons on test: {first}, nor than the PSNR network of equal cost"
    )


def test_a_pattern_is_drawn_and_not_compared():
    """A GAN was "not clearly better than its warm start, pattern of the upsampling grid"."""
    drawn = "it draws the pattern of the upsampling grid"
    assert in_words(["grid"]) == f"fails 1 comparison on test: {drawn}"
    assert in_words(["noisy", "grid"]).endswith(f"than its warm start with added noise; {drawn}")
