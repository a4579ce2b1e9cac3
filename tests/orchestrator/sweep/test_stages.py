"""The designs of each stage: warm starts that are missing, seeds to confirm, checkpoints to test."""

import json
from types import SimpleNamespace

import pytest
from helpers.tiny import tiny

from orchestrator.storage import Storage
from orchestrator.sweep import stages
from orchestrator.sweep.request import Request
from trainers.config import flatten, override
from trainers.objectives import Objectives

METRICS = {
    "psnr_y": 29.0,
    "warm/psnr_y": 30.0,
    "warm/swd": 150.0,
    "bicubic/psnr_y": 28.0,
    "bicubic/swd": 170.0,
}


def context(tmp_path, repeat_top=3, name="s", **more):
    options = {"repeat_top": repeat_top, "confirm_top": 2, "confirm_seeds": 3}
    request = Request(config=tiny(), name=name, storage=str(tmp_path), **options)
    plan = SimpleNamespace(
        warm_keys=["k0", "k1"],
        architectures=[{"generator.num_blocks": 1}, {"generator.num_blocks": 2}],
        missing=[1],
        phases=[tiny()] * 2,
        derived=[],
        digests={"test": "d", "train": "t"},
    )
    progress = SimpleNamespace(begin=lambda stage: None)
    return SimpleNamespace(
        request=request,
        plan=plan,
        storage=Storage(str(tmp_path)),
        objectives=Objectives("psnr_y", "swd", 1.5),
        capacity=SimpleNamespace(gpus=0),
        progress=progress,
        path=lambda part: f"s/{part}",
        **more,
    )


def screened(blocks, swd, **more):
    row = {"stage": "screen", "steps": 8, "diverged": False, "metrics": METRICS | {"swd": swd}}
    return row | {"values": {"generator.num_blocks": blocks}} | more


def test_only_missing_warm_starts_are_trained(tmp_path):
    sweep = context(tmp_path)
    assert stages.warm_designs(sweep) == ({"trial_id": "warm-k1", "generator.num_blocks": 2},)
    assert stages.derived_designs(sweep) == ()


def test_a_derived_warm_start_is_trained_after_those_that_it_may_begin_with(tmp_path):
    sweep = context(tmp_path)
    sweep.plan.missing, sweep.plan.derived = [0, 1], [1]
    part = {"run.psnr_steps": 3, "run.derived_from": "k0"}
    sweep.plan.phases = [tiny(), override(tiny(), part)]
    assert stages.warm_designs(sweep) == ({"trial_id": "warm-k0", "generator.num_blocks": 1},)
    [derived] = stages.derived_designs(sweep)
    assert derived == {"trial_id": "warm-k1", "generator.num_blocks": 2} | part


def test_each_confirmed_design_has_its_own_seeds_for_weights_and_data(tmp_path):
    lineage = {"segments": [[0, {}]], "parent": "", "start_step": 0, "end_step": 0}
    rows = [screened(4, 100.0), screened(8, 120.0, lineage=lineage), screened(16, 90.0)]
    designs = stages.confirm_designs(context(tmp_path), rows)
    assert [d["trial_id"] for d in designs] == [f"confirm-{p}-s{k}" for p in range(2) for k in range(3)]
    seed = tiny().run.seed
    assert [d["run.seed"] for d in designs[:3]] == [seed + 1, seed + 2, seed + 3]
    assert all(d["data.order_seed"] == d["run.seed"] for d in designs)
    assert [d["generator.num_blocks"] for d in designs[::3]] == [16, 4]
    followed = stages.confirm_designs(context(tmp_path), rows[1:2])
    assert followed[0]["lineage"] == lineage, "a design that changed as it trained is confirmed likewise"


def test_the_best_designs_are_repeated_once_and_the_best_half_of_them_twice_more(tmp_path):
    sweep, rows = context(tmp_path), [screened(n, float(n)) for n in (1, 2, 3, 4, 5)]
    first = stages.repeat_designs(sweep, rows, 0)
    assert [d["generator.num_blocks"] for d in first] == [1, 2, 3]
    assert {d["run.seed"] for d in first} == {1000}
    values = [{"generator.num_blocks": n, "run.seed": 1000} for n in (1, 2, 3)]
    swd = (100.0, 2.0, 3.0)  # the first was lucky when it was screened
    rows += [screened(0, w, stage="repeat") | {"values": v} for v, w in zip(values, swd, strict=True)]
    second = stages.repeat_designs(sweep, rows, 1)
    assert [(d["generator.num_blocks"], d["run.seed"]) for d in second] == [
        (2, 1001),
        (2, 1002),
        (3, 1001),
        (3, 1002),
    ]
    ids = {d["trial_id"] for d in (*first, *second)}
    assert len(ids) == 7
    confirmed = stages.confirm_designs(sweep, rows)
    assert not {d["run.seed"] for d in confirmed} & {1000, 1001, 1002}, "its seeds have chosen nothing"


def test_a_sweep_may_repeat_nothing(tmp_path):
    assert stages.repeat_designs(context(tmp_path, repeat_top=0), [screened(1, 1.0)], 0) == ()


def test_designs_of_one_architecture_and_seed_share_the_psnr_phase_of_their_confirmation(tmp_path, costs):
    sweep = context(tmp_path)
    rows = [screened(4, 100.0), screened(4, 90.0)]
    rows[1]["values"] = rows[1]["values"] | {"loss.adversarial_weight": 0.2}
    designs = stages.confirm_designs(sweep, rows)
    assert len(designs) == 6
    longer, *warm = stages.confirm_warm_designs(sweep, designs)
    assert [(d["run.seed"], d["generator.num_blocks"]) for d in warm] == [(1, 4), (2, 4), (3, 4)]
    assert all("loss.adversarial_weight" not in d for d in warm)
    run = tiny().run
    assert (longer["run.seed"], longer["run.psnr_steps"]) == (1, run.psnr_steps + 2.5 * run.gan_steps)
    evaluations = longer["run.psnr_steps"] / longer["run.psnr_eval_every_steps"]
    assert evaluations == pytest.approx(run.psnr_steps / run.psnr_eval_every_steps, rel=0.1), "as many"
    key = warm[0]["trial_id"].removeprefix("warm-")
    sweep.storage.write_text(f"warm/{key}/done.json", "{}")
    assert stages.confirm_warm_designs(sweep, designs) == (longer, *warm), "a resumed stage keeps its list"
    other = context(tmp_path, name="t")
    assert stages.confirm_warm_designs(other, designs) == (longer, *warm[1:]), "others reuse what is there"


def test_a_further_round_of_the_confirmation_has_only_the_seeds_that_are_missing(tmp_path, costs):
    sweep, rows = context(tmp_path), [screened(4, 100.0)]
    assert stages.confirm_designs(sweep, rows, 3) == (), "as many as were asked for: no further round"
    further = stages.confirm_designs(sweep, rows, 1)
    assert [d["trial_id"] for d in further] == ["confirm-from-1-0-s0", "confirm-from-1-0-s1"]
    whole = stages.confirm_designs(sweep, rows)
    assert [d["run.seed"] for d in further] == [d["run.seed"] for d in whole[1:]]
    phases = stages.confirm_warm_designs(sweep, further, "-from-1")
    assert [d["run.seed"] for d in phases] == [2, 3], "the longer PSNR phase belongs to the first round"
    assert stages.confirm_warm_designs(sweep, further, "-from-1") == phases, "a resumed stage keeps its list"
    assert len(stages.confirm_warm_designs(sweep, whole)) == 4, "each round has a list of its own"


@pytest.fixture
def costs(monkeypatch):
    """An update of the GAN phase costs 2.5 times one of the PSNR phase."""
    monkeypatch.setattr(stages, "step_flops", lambda config, phase: {"psnr": 2.0, "gan": 5.0}[phase])


def test_checkpoints_that_val_chose_are_measured_once_beside_what_they_must_better(
    tmp_path, monkeypatch, costs
):
    screen = screened(4, 100.0)
    config = flatten(override(tiny(), {"generator.num_blocks": 4}))
    confirmed = {"stage": "confirm", "trial_id": "confirm-0-s0", "finished": True, "checkpoint": "url"}
    confirmed |= {"warm": "warm/k/checkpoint", "config": config}
    diverged = confirmed | {"trial_id": "confirm-0-s1", "finished": False}
    rows = [screen, confirmed, diverged]
    asked, logged = [], []
    evaluation = {"summary": {"psnr_y": 31.0}, "per_image": {}, "keys": [], "protocol": {}}
    evaluation |= {"gpu_hours": 0.0, "cpu_hours": 0.1, "sentinels": {"noisy": {"beaten": True}}}

    def evaluate(pairs, images):
        asked.append((pairs, images.role, images.digest, images.objectives.perceptual))
        return [evaluation] * len(pairs)

    monkeypatch.setattr(stages, "evaluate_checkpoints", evaluate)
    record = SimpleNamespace(test=lambda stage, trial_id, evaluation: logged.append((stage, trial_id)))
    sweep = context(tmp_path, record=record)
    longer = stages.confirm_warm_designs(sweep, stages.confirm_designs(sweep, rows))[0]
    key = longer["trial_id"].removeprefix("warm-")
    warm = f"{tmp_path}/warm/k/checkpoint"
    done = {"checkpoint": "c", "metrics": {"psnr_y": 30.5, "swd": 90.0}}
    sweep.storage.write_text(f"warm/{key}/done.json", json.dumps(done))
    rows.append({"stage": "warm", "trial_id": f"warm-{key}"})
    row, network = stages.run_test(sweep, rows)
    long_url = f"{tmp_path}/warm/{key}/c"
    pairs = [("url", {"warm": warm, "longer": long_url}), (long_url, {})]
    assert asked == [(pairs, "test", "d", "swd")] and len(asked) == 1
    assert logged == [("confirm", "confirm-0-s0"), ("warm", f"warm-{key}")], "runs of this sweep"
    assert (row["trial_id"], row["of"], row["stage"]) == ("test-0-s0", "confirm-0-s0", "test")
    assert row["sentinels"] == evaluation["sentinels"]
    assert (network["trial_id"], network["of"]) == (f"psnr-{key}", f"warm-{key}")
    assert network["val"] == done["metrics"] and network["checkpoint"] == f"warm/{key}/c"
    again = stages.run_test(sweep, rows)
    assert len(asked) == 1 and json.loads(json.dumps(row)) == again[0], "test images are opened once a sweep"


def test_a_warm_start_that_is_better_than_a_collapsed_longer_phase_can_ship(tmp_path, costs):
    """A PSNR phase of 1,941 steps ended at bicubic's 23.3 dB, and shipped before its warm start of 23.7."""
    sweep, rows = context(tmp_path), [screened(4, 100.0)]
    designs = stages.confirm_designs(sweep, rows)
    first, *warm = stages.confirm_warm_designs(sweep, designs)

    def trained(phase, psnr):
        done = {"checkpoint": "c", "metrics": {"psnr_y": psnr, "swd": 100.0}}
        sweep.storage.write_text(
            f"warm/{phase['trial_id'].removeprefix('warm-')}/done.json", json.dumps(done)
        )

    def better():
        longer = stages.psnr_networks(sweep, stages.longer_designs(sweep, designs))
        assert [f"warm-{n.warm_key}" for n in longer] == [first["trial_id"]]
        return [f"warm-{n.warm_key}" for n in stages.better_warm_start(sweep, designs, longer)]

    trained(first, 30.0)
    assert better() == [], "none was trained"
    for phase, psnr in zip(warm, (29.0, 29.5, 29.2), strict=True):
        trained(phase, psnr)
    assert better() == [], "as nearly always: the longer phase is better"
    trained(first, 29.1)
    assert better() == [warm[1]["trial_id"]]
    assert stages.better_warm_start(sweep, designs, []) == [], "a sweep without PSNR phases"
