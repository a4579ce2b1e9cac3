"""Names of sentinels make a phrase after "is no better than"."""

from orchestrator.results.sentinels import in_words


def test_of_more_than_two_the_first_is_named_and_the_others_are_counted():
    first = "its warm start with an unsharp mask"
    assert in_words(["sharpened"]) == first
    assert in_words(["sharpened", "longer"]) == f"{first} or a longer PSNR phase of equal cost"
    assert in_words(["sharpened", "noisy", "longer", "grid"]) == f"{first}, nor in 3 other comparisons"
