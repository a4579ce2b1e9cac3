"""The arms of the upsampler study: stages, equal parameters, open settings."""

import pytest
from helpers.studies import request, sets  # noqa: F401  (a fixture)

from datasets.errors import UserError
from orchestrator.studies.kinds import upsampler


def test_stages_follow_each_other_and_kept_ones_take_everything_over(tmp_path, sets):
    asked = request(tmp_path, "u", "miniature_upsampler", sets[:1])
    trainings = {t.arm: t for t in upsampler.plan(asked).trainings}
    assert trainings["5+5+5 stage 3"].after == trainings["5+5+5 stage 2"].name
    kept = trainings["5+5+5 stage 2, moments kept"]
    assert kept.after == trainings["5+5+5 stage 1"].name and kept.config.run.start_keeps_all
    plain, equal = (trainings[f"two transposed 15{more}"].config for more in ("", ", equal parameters"))
    shuffle = upsampler._parameters(trainings["pixel shuffle 15"].config)
    assert abs(upsampler._parameters(equal) - shuffle) < abs(upsampler._parameters(plain) - shuffle)


def test_settings_that_the_document_leaves_open_get_three_values(tmp_path, sets):
    asked = request(tmp_path, "u", "miniature_upsampler", sets[:1])
    base = asked.config
    arms = upsampler.arms(base, sensitivity=True)
    rates = {c.optim.lr_g for name, c in arms.items() if name.startswith("pixel shuffle 15")}
    batches = {c.data.batch_size for name, c in arms.items() if name.startswith("two transposed 15")}
    kinds = {c.generator.upsampler for c in arms.values()}
    assert len(rates) == 3 and len(batches) == 3
    assert {"transposed_conv", "transposed_conv_2", "transposed_conv_3"} <= kinds


def test_only_some_arms_are_trained_and_a_word_that_names_none_is_refused(tmp_path, sets):
    asked = request(tmp_path, "u", "miniature_upsampler", sets[:1])
    few = upsampler.plan(asked, sensitivity=False, only=("pixel shuffle 15", "5+5+5"))
    assert [t.arm for t in few.trainings] == ["pixel shuffle 15", *upsampler.STAGES]
    with pytest.raises(UserError, match="no arm 'pixel shufle'"):
        upsampler.plan(asked, only=("pixel shufle",))


def test_a_scale_without_two_doublings_is_refused(tmp_path, sets):
    with pytest.raises(UserError, match="interp_transposed needs two doublings"):
        upsampler.plan(request(tmp_path, "u", "miniature_upsampler", sets, generator__scale=2))
