"""Names of sentinels make a phrase after the name of a GAN."""

from orchestrator.results.sentinels import in_words


def test_each_comparison_that_fails_is_named():
    first = "not clearly better than its warm start, sharpened"
    assert in_words(["sharpened"]) == f"fails 1 comparison on test: {first}"
    assert in_words(["sharpened", "longer"]) == (
        f"fails 2 comparisons on test: {first}, nor than the PSNR network of equal cost"
    )
