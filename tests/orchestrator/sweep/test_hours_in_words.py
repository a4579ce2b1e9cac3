"""The sentences on a sweep's hours: designs and runs of repeats, singular and plural, and the advice."""

from dataclasses import replace

import pytest

from experiments import recipes
from orchestrator.sweep import hours_in_words
from orchestrator.sweep.hours import Pace, Sizes
from trainers.config import override

SIZES = Sizes(psnr_steps=400, gan_steps=200, trials=8, repeat_top=3, confirm_top=1, confirm_seeds=2)
FULL = Sizes(psnr_steps=24_000, gan_steps=12_000, trials=64, repeat_top=12, confirm_top=2, confirm_seeds=5)
PACE = Pace(psnr_step=0.05, gan_step=0.3, evaluation=0.8, start=8, test=16, ending=16, slots=2)


def test_what_is_planned_from_a_stage_on_counts_designs_and_runs_as_they_are_counted_later():
    """ "2 to repeat" became "4 runs" in the stage's own line."""
    last = "repeat 3 designs (7 runs), confirm 1 design x 2 seeds"
    assert hours_in_words.refitted("repeat", SIZES) == f"now planned: {last}"
    whole = hours_in_words.refitted("screen", SIZES)
    assert whole == f"now planned: screen 8 designs of 200 GAN steps, {last}"
    assert hours_in_words.refitted("confirm", SIZES) == "now planned: confirm 1 design x 2 seeds"
    assert (
        hours_in_words.repeats(0) == "repeat none" and hours_in_words.repeats(1) == "repeat 1 design (3 runs)"
    )


def test_one_network_is_advised_where_it_trains_longer_and_designs_too_shortly():
    words, flags = hours_in_words.advice(0.2, 600, SIZES, FULL, PACE, 3_960)
    assert words.startswith("with less than about 1.1 h here, train one network of the recipe's own design")
    assert " in place of a sweep: in at most 12 minutes it gets 2," in words
    assert "each network of this sweep 400, and below 1,500 PSNR steps longer training" in words
    psnr, gan = (int(flag) for flag in flags.split()[1::2])
    assert PACE.psnr_phase(psnr) + PACE.gan_phase(gan) == pytest.approx(600, rel=0.02), "as long"
    enough = replace(SIZES, psnr_steps=1_500)
    for seconds, sizes in ((600, enough), (30, SIZES)):
        assert hours_in_words.advice(0.2, seconds, sizes, FULL, PACE, 3_960) == ("", "")


def test_the_command_of_the_advice_has_the_settings_that_were_given():
    """A sweep of x2 was told to train a network of x4 instead, and the recipe was named twice."""
    config = override(recipes.build("demo"), {"generator.scale": 2, "data.train": "my photos"})
    given = [
        "--recipe",
        "--name",
        "--hours",
        "--generator.scale",
        "--run.psnr-steps",
        "--train",
        "--data.train",
    ]
    assert hours_in_words.train_command(config, given) == (
        "upsweep train --recipe demo --data.train 'my photos' --generator.scale 2"
    )


def test_the_command_of_the_advice_is_a_line_of_its_own():
    told = {"asked": 0.1, "one": "longer training gains more", "one_command": "upsweep train"}
    assert hours_in_words.one_network(told) == ["one      longer training gains more:", "    upsweep train"]
    before = {"one": "train one network: upsweep train"}
    assert hours_in_words.one_network(before) == hours_in_words.one_network({}) == []
