"""The plan of a sweep: rungs, segments, expected work, and its words."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from helpers.tiny import tiny

from experiments import recipes, spaces
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.request import Request
from trainers.config import override


class Images(list):
    location = "shards"
    manifest = SimpleNamespace(name="mine", notes={}, rejected=0, splits={"gate": SimpleNamespace(count=40)})


def plan(space="demo", missing=(0, 1), derived=False, **options):
    request = Request(config=recipes.demo(), name="s", **options).filled(spaces.build(space))
    images = {"train": Images(range(90)), "test": Images(range(33))}
    architectures = [{"generator.num_blocks": 1}, {"generator.num_blocks": 2}, {"generator.num_blocks": 3}]
    part = {"run.psnr_steps": 72, "run.derived_from": "a"}
    phases = [override(request.config, values) for values in ({}, part if derived else {}, {})]
    return SweepPlan(
        request, spaces.build(space), None, images, architectures, ["a", "b", "c"], list(missing), phases
    )


def test_the_expected_work_counts_what_early_stopping_leaves():
    demo = plan(stopping="feasible_first")
    assert demo.milestones == [60] and demo.generations == []
    warm, screen, repeat, confirm_warm, confirm = demo.stages()
    assert (warm.runs, warm.psnr_steps, warm.gan_steps) == (2, 480, 0)
    assert (screen.runs, screen.gan_steps) == (8, 120)
    assert screen.share == pytest.approx((60 + (120 - 60) / 2) / 120)
    assert (repeat.runs, repeat.psnr_steps, repeat.gan_steps) == (2 + 2 * 1, 0, 120)
    assert (confirm_warm.runs, confirm_warm.psnr_steps, confirm_warm.gan_steps) == (3, 480, 0)
    assert (confirm.runs, confirm.psnr_steps, confirm.gan_steps) == (2, 0, 120)
    assert plan().stages()[1].share == 1.0 and plan().milestones == [], "whole trials unless asked for less"
    one = plan("balance", missing=())
    one.architectures = [{}]
    assert one.stages()[3].runs == one.request.confirm_seeds + 1, (
        "designs of one architecture share PSNR phases"
    )


def test_a_population_is_as_much_work_in_segments():
    config = recipes.demo()
    whole = plan("balance", trials=8, stopping="pbt")
    assert whole.generations[-1] == config.run.gan_steps and whole.milestones == []
    screen = whole.stages()[1]
    assert screen.runs == 8 * len(whole.generations)
    assert screen.runs * screen.share == pytest.approx(8)


def test_the_plan_in_words():
    lines = plan(stopping="feasible_first").describe()
    assert lines[0] == "warm     2 PSNR runs of 480 steps, one per architecture (1 more are there already)"
    assert lines[1].endswith("up to 120 GAN steps from a shared warm start; one in 2 goes on at step 60")
    assert lines[2] == "repeat   the best 2 under another seed, then the best twice more (4 runs)"
    assert plan(repeat_top=1).describe()[2] == "repeat   the best design under three other seeds"
    assert plan(repeat_top=3).describe()[2].endswith("then the best 2 twice more (7 runs)")
    assert lines[3].startswith("confirm  1 design x 2 seeds, with at most 3 PSNR phases of their own")
    assert lines[4] == "test     3 networks on 33 images that nothing before has seen"
    assert lines[5].startswith("in all   about ") and lines[6].startswith("images   ")
    limited = plan(max_gpu_hours=3.0, ranks_per_trial=2).describe()
    assert limited[6] == "budget   no new designs after 3 GPU-hours; the rest comes on top"
    assert plan().heading == "recipe   demo over space demo: x4, 64 px crops; psnr_y and swd decide"
    assert limited[5].endswith(", shared by 2 ranks")
    second = plan()
    second.request = replace(second.request, second_opinion="dists")
    assert second.heading.endswith("; psnr_y and swd decide, dists gives a second opinion on test")


def test_the_plan_of_derived_warm_starts():
    two = plan(derived=True)
    assert (two.stages()[0].runs, two.stages()[0].psnr_steps) == (2, (480 + 72) / 2)
    assert two.describe()[0] == (
        "warm     1 PSNR run of 480 steps and 1 of 72 that begin with its network, one per architecture "
        "(1 more are there already)"
    )


def test_the_plan_of_a_fidelity_sweep():
    config = override(recipes.demo(), {"run.gan_steps": 0, "objective.perceptual": "ssim_y"})
    space = spaces.build("fidelity")
    request = Request(config=config, name="s", trials=6, stopping="feasible_first").filled(space)
    images = {"train": Images(range(90)), "test": Images(range(33))}
    made = SweepPlan(request, space, None, images, space.architectures())
    assert made.milestones[-1] == 360 < config.run.psnr_steps
    work = {stage.name: (stage.runs, stage.psnr_steps, stage.gan_steps) for stage in made.stages()}
    assert work["screen"] == (6, 480, 0) and work["confirm"] == (10, 480, 0)
    assert work["warm"][0] == work["repeat"][0] == work["confirm-warm"][0] == 0
    lines = made.describe()
    assert lines[0] == "warm     none: networks start from random weights, and bicubic is what to beat"
    assert lines[1].startswith("screen   6 trials of up to 480 PSNR steps; one in 3 goes on at step")
    assert (request.repeat_top, request.opponent) == (0, "bicubic")


def test_the_plan_says_what_the_import_left_out_and_that_the_gate_is_empty(monkeypatch):
    left = {"notes": {"passed_over": {"train": "6 .heic", "val": "6 .heic"}}, "rejected": 2}
    gate = {"splits": {"gate": SimpleNamespace(count=0)}}
    monkeypatch.setattr(Images, "manifest", SimpleNamespace(name="mine", **left, **gate))
    images, gate_line = plan().describe()[-2:]
    assert images == "images   mine: 0 gate; passed over 6 .heic; 2 images left out, see shards/rejected.csv"
    assert gate_line.startswith("gate     mine has no image for it")


@pytest.mark.parametrize(
    ("images", "other_gate", "said"), [(2, "", True), (30, "", False), (2, "faces", False)]
)
def test_the_plan_says_beforehand_that_a_small_gate_decides_nothing(monkeypatch, images, other_gate, said):
    splits = {"gate": SimpleNamespace(count=images)}
    manifest = SimpleNamespace(name="mine", notes={}, rejected=0, splits=splits)
    monkeypatch.setattr(Images, "manifest", manifest)
    made = plan()
    config = override(made.request.config, {"data.gate": other_gate})
    made = replace(made, request=replace(made.request, config=config))
    lines = made.describe()
    assert made.gate_images == (None if other_gate else images)
    assert any(line.startswith("gate     mine has 2 of the 30 images") for line in lines) == said
    remedy = "--gate FOLDER with 30 or more images of your kind; a set of 88 or more"
    assert any(remedy in line for line in lines) == said


def test_val_is_measured_by_one_protocol(monkeypatch):
    from orchestrator.sweep import plan as module

    made = []
    monkeypatch.setattr(module, "open_evaluator", lambda *args, limit: made.append((*args, limit)) or args)
    request = SimpleNamespace(config=tiny(), metrics=("psnr_y", "swd"))
    SweepPlan(request, None, None, {"val": "images"}, [], []).val_evaluator()
    data, scale = tiny().data, tiny().generator.scale
    assert made == [("images", data, scale, ("psnr_y", "swd"), data.eval_images)]
