"""Each rater has an own order of pictures; opaque names reveal nothing."""

import re

from orchestrator.rating.presentation import choose_images, opaque_name, presentation_order


def test_every_picture_comes_once_and_repeats_come_late():
    order = presentation_order(10, 5, 7, "Ada/1")
    first = [(t.image, t.model) for t in order if not t.repeat]
    assert sorted(first) == [(i, m) for i in range(10) for m in range(5)]
    again = {(t.image, t.model): place for place, t in enumerate(order) if t.repeat}
    assert len(again) == 7
    gaps = [
        place - next(p for p, t in enumerate(order) if (t.image, t.model) == k) for k, place in again.items()
    ]
    assert min(gaps) >= 50 // 6


def test_each_rater_and_session_has_another_order():
    assert presentation_order(6, 4, 3, "Ada/1") == presentation_order(6, 4, 3, "Ada/1")
    assert len({tuple(presentation_order(6, 4, 3, seed)) for seed in ("Ada/1", "Ada/2", "Bo/1")}) == 3


def test_at_most_a_third_repeats():
    assert sum(t.repeat for t in presentation_order(2, 3, 50, "x")) == 2


def test_calibration_images_are_never_rated():
    calibration, rated = choose_images("abcdefgh", 2, 3, "seed")
    assert len(calibration) == 2 and len(rated) == 3 and not set(calibration) & set(rated)


def test_opaque_names_depend_on_the_secret_and_on_each_part():
    assert opaque_name("s", "a", "bc") != opaque_name("s", "ab", "c") and opaque_name(
        "s", "a"
    ) != opaque_name("t", "a")
    assert re.fullmatch("[0-9a-f]{24}", opaque_name("s", "a"))
