"""The sentences on a sweep's hours: designs and runs of repeats, singular and plural, and the advice."""

import math
from dataclasses import replace

import pytest

from experiments import recipes
from orchestrator.sweep import hours_in_words
from orchestrator.sweep.wall_time import Pace, Sizes
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
    confirm = "confirm 1 design x 2 seeds of 400 PSNR and 200 GAN steps"
    assert hours_in_words.refitted("confirm", SIZES) == f"now planned: {confirm}"
    without = hours_in_words.refitted("confirm", replace(SIZES, repeat_top=0))
    assert without == f"now planned: repeat none, {confirm}"
    assert (
        hours_in_words.repeats(0) == "repeat none" and hours_in_words.repeats(1) == "repeat 1 design (3 runs)"
    )


def test_one_network_is_advised_where_it_trains_longer_and_designs_are_few():
    few = replace(SIZES, trials=2)
    words, flags = hours_in_words.advice(600, few, FULL, PACE, 21_600)
    assert words.startswith("with less than about 6 h here, train one network of the recipe's own design")
    assert " in place of a sweep: in about 10 minutes it gets 2," in words
    assert "each network of this sweep 400, and so much longer training gains more than the choice" in words
    assert words.endswith("among fewer than 8 designs")
    psnr, gan = (int(flag) for flag in flags.split()[1::2])
    assert PACE.psnr_phase(psnr) + PACE.gan_phase(gan) == pytest.approx(600, rel=0.02), "as long"
    whole_space = replace(FULL, trials=2)
    for seconds, sizes, full in ((600, SIZES, FULL), (30, few, FULL), (600, few, whole_space)):
        assert hours_in_words.advice(seconds, sizes, full, PACE, 21_600) == ("", "")
    whole, _ = hours_in_words.advice(36_000, few, FULL, PACE, 360_000)
    assert "in about 81 minutes it gets 24,000 PSNR steps" in whole, "the recipe's length, and its time"


def test_twice_the_hours_tell_how_much_better_a_choice_among_more_designs_is():
    more = hours_in_words.double(SIZES, replace(SIZES, trials=16, psnr_steps=800), 0.2)
    assert more.startswith("double   0.4 h would give 16 designs of 800 PSNR and 200 GAN steps instead of 8 ")
    assert "; the pick would lead an average design by 23% more (model), and longer training adds" in more
    same = hours_in_words.double(SIZES, replace(SIZES, psnr_steps=800), 0.2)
    assert same.endswith("instead of 8 designs of 400 PSNR and 200 GAN steps"), "as many designs"


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


def test_the_model_of_the_lead_is_that_of_normal_designs():
    assert hours_in_words.lead(replace(FULL, trials=1, repeat_top=0)) == 0
    few, many = replace(FULL, trials=8, repeat_top=0), replace(FULL, trials=64, repeat_top=0)
    assert hours_in_words.lead(few) == pytest.approx(1.42 * math.sqrt(0.7), rel=0.02), (
        "the mean of the largest of 8"
    )
    assert hours_in_words.lead(many) == pytest.approx(2.37 * math.sqrt(0.7), rel=0.02)
    assert hours_in_words.lead(FULL) > hours_in_words.lead(many), "repeats tell designs apart"
