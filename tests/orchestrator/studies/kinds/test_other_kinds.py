"""Colouring, edges to photo and the upsampler study at their smallest scale, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.studies import request, sets  # noqa: F401  (a fixture)
from helpers.tiny import batch, tiny

from datasets.errors import UserError
from orchestrator.studies import evaluation, extra_metrics, run
from orchestrator.studies.claims import MECHANICS, UNTESTED
from orchestrator.studies.kinds import colorize, edges_to_photo, upsampler
from orchestrator.studies.results import Results
from trainers import checkpoint
from trainers.state import new_state
from trainers.train_step import TrainStep


def carry_out(module, asked, **more):
    return run.run_study(module.plan(asked, **more), asked, module.BASELINES, say=lambda text: None)


def statuses(answer):
    return {c.id: c.status for c in answer.claims}


def test_colouring_measures_colour_against_the_grey_input(tmp_path, sets):  # noqa: F811
    answer = carry_out(colorize, request(tmp_path, "colorize", "miniature_colorize", sets, run__gan_steps=1))
    rows = {(row[0], row[1]): row for row in answer.tables[0].rows}
    assert rows["warm", "grey input"][-1] == "0.000", "grey has no saturation"
    assert float(rows["warm", "one tint"][6]) < float(rows["warm", "grey input"][6]), "reddish all over"
    assert {"strip-warm.png", "strip-cold.png", "bars-chroma.svg"} == set(answer.figures)
    assert statuses(answer)["colour-towers"] == UNTESTED, "two sets were given, the third is missing"


def test_edges_run_every_scale_with_both_losses_and_one_arm_elsewhere(tmp_path, sets):  # noqa: F811
    sizes = {"data__crop_px": 48, "data__eval_crop_px": 48}  # x16 shaves 16 px on each side
    asked = request(tmp_path, "edges", "miniature_edges", sets, run__gan_steps=1, run__psnr_steps=1, **sizes)
    study = edges_to_photo.plan(asked)
    arms = [t.arm for t in study.trainings]
    assert len(arms) == 11 and arms[0] == "warm x1 L1" and arms[-1] == "cold x4 L1"
    answer = run.run_study(study, asked, edges_to_photo.BASELINES, say=lambda text: None)
    assert {"edges-faces", "edges-artefacts", "edges-l1-l2", "edges-rooms"} == set(statuses(answer))
    assert any(row[0] == "mean image warm-x16" for row in answer.tables[0].rows)


def test_the_upsampler_study_explains_the_schedule(tmp_path, sets):  # noqa: F811
    asked = request(
        tmp_path, "upsampler_study", "miniature_upsampler", sets[:1], run__psnr_steps=0, run__gan_steps=2
    )
    answer = carry_out(upsampler, asked, sensitivity=False)
    names = [row[0] for row in answer.tables[0].rows]
    assert "two transposed, VGG 15 (vgg19-random)" in names and names[-1] == "bicubic"
    assert "5+5+5 stage 3, moments kept (vgg19-random)" in names
    factors = [float(row[2]) for row in answer.tables[2].rows]
    assert factors[0] == 1 and factors[2] / factors[1] == pytest.approx(12.75**2, rel=0.01)
    found = {c.id: c for c in answer.claims}
    for name in ("staged-loss", "staged-worse", "interp-better", "vgg-blurred"):
        assert found[name].status == UNTESTED and found[name].why.startswith(MECHANICS)
    assert found["shuffle-bicubic"].status != UNTESTED, "an arm without VGG may stand"
    assert {"psnr.svg", "losses.svg", "strip.png"} == set(answer.figures)


def test_stages_follow_each_other_and_kept_ones_take_everything_over(tmp_path, sets):  # noqa: F811
    asked = request(tmp_path, "u", "miniature_upsampler", sets[:1])
    trainings = {t.arm: t for t in upsampler.plan(asked, sensitivity=False).trainings}
    assert trainings["5+5+5 stage 3"].after == trainings["5+5+5 stage 2"].name
    kept = trainings["5+5+5 stage 2, moments kept"]
    assert kept.after == trainings["5+5+5 stage 1"].name and kept.config.run.start_keeps_all
    plain, equal = (trainings[f"two transposed 15{more}"].config for more in ("", ", equal parameters"))
    shuffle = upsampler._parameters(trainings["pixel shuffle 15"].config)
    assert abs(upsampler._parameters(equal) - shuffle) < abs(upsampler._parameters(plain) - shuffle)


def test_a_diverged_stage_is_said_and_nothing_starts_from_it(tmp_path, sets):  # noqa: F811
    asked = request(tmp_path, "u", "miniature_upsampler", sets[:1], run__psnr_steps=0, optim__lr_g=1e30)
    study = upsampler.plan(asked, sensitivity=False)
    names = {"5+5+5 stage 1", "5+5+5 stage 2"}
    few = replace(
        study, trainings=tuple(t for t in study.trainings if t.arm in names), conclude=Results.diverged
    )
    with pytest.raises(AttributeError):  # the answer of this test is a list of words
        run.run_study(few, asked, (), say=lambda text: None)
    said = run._results(few, asked, (), print).diverged()
    assert "diverged at step" in said[0] and "starts from 5-5-5-stage-1-s0, which diverged" in said[1]


def test_what_the_seed_leaves_open_gets_three_values_each(tmp_path, sets):  # noqa: F811
    asked = request(tmp_path, "u", "miniature_upsampler", sets[:1])
    base = asked.config
    arms = upsampler.arms(base, sensitivity=True)
    rates = {c.optim.lr_g for name, c in arms.items() if name.startswith("pixel shuffle 15")}
    batches = {c.data.batch_size for name, c in arms.items() if name.startswith("two transposed 15")}
    kinds = {c.generator.upsampler for c in arms.values()}
    assert len(rates) == 3 and len(batches) == 3
    assert {"transposed_conv", "transposed_conv_2", "transposed_conv_3"} <= kinds


def test_moments_go_by_the_name_of_their_weight(tmp_path, sets):  # noqa: F811
    first = tiny(run__psnr_steps=0, generator__upsampler="interp_transposed", loss__pixel_weight=1.0)
    state = new_state(first, "gan", evaluation.CPU)
    TrainStep(first, state)(*batch())
    state.step = 1
    checkpoint.save(tmp_path / "before", first, state)
    second = replace(first, generator=replace(first.generator, upsampler="transposed_conv"))
    after = new_state(second, "gan", evaluation.CPU)
    checkpoint.take_over(tmp_path / "before", after, evaluation.CPU)
    names = [name for name, _ in after.generator.named_parameters()]
    moments = after.opt_g.state_dict()["state"]
    old = {n: state.opt_g.state[p] for n, p in state.generator.named_parameters()}
    assert 0 < len(moments) < len(names), "the new doubling begins without"
    for i, values in moments.items():
        assert (values["exp_avg"] == old[names[i]]["exp_avg"]).all()
    assert len(after.opt_d.state_dict()["state"]) == len(list(after.discriminator.parameters()))
    psnr = new_state(second, "psnr", evaluation.CPU)
    with pytest.raises(UserError, match="ended in its gan phase, this run begins with psnr"):
        checkpoint.take_over(tmp_path / "before", psnr, evaluation.CPU)


def test_a_task_or_scale_that_cannot_be_is_refused(tmp_path, sets):  # noqa: F811
    with pytest.raises(
        UserError, match="colouring is data.input grey at generator.scale 1, but got image at 4"
    ):
        colorize.plan(request(tmp_path, "c", "miniature_matrix", sets))
    with pytest.raises(UserError, match="needs data.input edges, but got image"):
        edges_to_photo.plan(request(tmp_path, "e", "miniature_matrix", sets))
    odd = request(tmp_path, "e", "miniature_edges", sets, data__crop_px=24, data__eval_crop_px=24)
    with pytest.raises(UserError, match="scale 16 is impossible here: data.crop_px=24"):
        edges_to_photo.plan(odd)
    with pytest.raises(UserError, match="interp_transposed needs two doublings"):
        upsampler.plan(request(tmp_path, "u", "miniature_upsampler", sets, generator__scale=2))


def test_chroma_error_by_hand():
    grey, red = np.full((16, 16, 3), 100, np.uint8), np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 100
    cb, cr = -0.299 * 100 * 0.564, 0.701 * 100 * 0.713
    assert extra_metrics.chroma_error(red, grey) == pytest.approx(np.sqrt((cb**2 + cr**2) / 2), rel=1e-6)
    assert extra_metrics.saturation(grey, red) == 0 and extra_metrics.saturation(red, red) == 1
    framed = grey.copy()
    framed[:2] = framed[-2:] = framed[:, :2] = framed[:, -2:] = (100, 0, 0)
    assert extra_metrics.chroma_centre(framed, grey) == 0 < extra_metrics.chroma_border(framed, grey)
