"""The designs of each stage: warm starts that are missing, seeds to confirm, checkpoints to test."""

import json
from types import SimpleNamespace

from helpers.tiny import tiny

from orchestrator.storage import Storage
from orchestrator.sweep import stages
from orchestrator.sweep.request import Request
from trainers.objectives import Objectives

METRICS = {
    "psnr_y": 29.0,
    "warm/psnr_y": 30.0,
    "warm/swd": 150.0,
    "bicubic/psnr_y": 28.0,
    "bicubic/swd": 170.0,
}


def context(tmp_path, **more):
    request = Request(config=tiny(), name="s", storage=str(tmp_path), confirm_top=2, confirm_seeds=3)
    plan = SimpleNamespace(
        warm_keys=["k0", "k1"],
        architectures=[{"generator.num_blocks": 1}, {"generator.num_blocks": 2}],
        missing=[1],
        digests={"test": "d"},
    )
    progress = SimpleNamespace(begin=lambda stage: None)
    return SimpleNamespace(
        request=request,
        plan=plan,
        storage=Storage(str(tmp_path)),
        objectives=Objectives("psnr_y", "swd", 1.5),
        capacity=None,
        progress=progress,
        path=lambda part: f"s/{part}",
        **more,
    )


def screened(blocks, swd, **more):
    row = {"stage": "screen", "steps": 8, "diverged": False, "metrics": METRICS | {"swd": swd}}
    return row | {"values": {"generator.num_blocks": blocks}} | more


def test_only_missing_warm_starts_are_trained(tmp_path):
    assert stages.warm_designs(context(tmp_path)) == ({"trial_id": "warm-k1", "generator.num_blocks": 2},)


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


def test_checkpoints_that_val_chose_are_measured_once(tmp_path, monkeypatch):
    confirmed = {"stage": "confirm", "trial_id": "confirm-0-s0", "finished": True, "checkpoint": "url"}
    diverged = confirmed | {"trial_id": "confirm-0-s1", "finished": False}
    asked, logged = [], []
    evaluation = {"summary": {"psnr_y": 31.0}, "per_image": {}, "keys": [], "protocol": {}}
    evaluation |= {"gpu_hours": 0.0, "cpu_hours": 0.1}

    def evaluate(pairs, role, request, digest, capacity):
        asked.append((pairs, role, digest))
        return [evaluation]

    monkeypatch.setattr(stages, "evaluate_checkpoints", evaluate)
    record = SimpleNamespace(test=lambda trial_id, evaluation: logged.append(trial_id))
    sweep = context(tmp_path, record=record)
    (row,) = stages.run_test(sweep, [confirmed, diverged])
    warm = f"{tmp_path}/s/trials/confirm-0-s0/warm"
    assert asked == [([("url", warm)], "test", "d")] and logged == ["confirm-0-s0"]
    assert (row["trial_id"], row["of"], row["stage"]) == ("test-0-s0", "confirm-0-s0", "test")
    again = stages.run_test(sweep, [confirmed, diverged])
    assert len(asked) == 1 and json.loads(json.dumps(row)) == again[0], "test images are opened once a sweep"
