"""Names of sentinels make a phrase after the name of a GAN."""

from orchestrator.results.sentinels import in_words, is_worse


def test_each_comparison_that_fails_is_named():
    first = "not clearly better than its warm start, sharpened"
    assert in_words(["sharpened"]) == f"fails 1 comparison on test: {first}"
    assert in_words(["sharpened", "longer"]) == (
        f"fails 2 comparisons on test: {first}, nor than the PSNR network of equal cost"
    )


def test_a_network_that_is_clearly_worse_is_said_to_be_worse():
    """ "Not clearly better" was read as a near tie, where the interval was wholly on the worse side."""
    told = in_words(["noisy", "longer"], ["longer"])
    assert told == (
        "fails 2 comparisons on test: worse than the PSNR network of equal cost; not clearly better than its "
        "warm start with added noise"
    )
    assert is_worse([0.15, 0.1, 0.2], "swd") and is_worse([-0.15, -0.2, -0.1], "psnr_y")
    unsure = (([0.1, -0.1, 0.2], "swd"), ([-0.1, -0.2, 0.1], "psnr_y"), ([0.1, None, 0.2], "swd"))
    assert not any(is_worse(interval, metric) for interval, metric in unsure)


def test_a_pattern_is_drawn_and_not_compared():
    """A GAN was "not clearly better than its warm start, pattern of the upsampling grid"."""
    drawn = "it draws the pattern of the upsampling grid"
    assert in_words(["grid"]) == f"fails 1 comparison on test: {drawn}"
    assert in_words(["noisy", "grid"]).endswith(f"than its warm start with added noise; {drawn}")
