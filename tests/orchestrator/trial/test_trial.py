"""One trial without Ray: what it reports, publishes and says when it cannot go on."""

import json
import re
import shutil
import statistics
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.trials import FakeTune, photographs, run  # noqa: F401

from orchestrator.storage import Storage
from orchestrator.trial import inputs, monitor, warm_starts
from orchestrator.trial.lineage import Lineage
from trainers import checkpoint


def test_warm_then_screen_then_confirm(run, tmp_path):
    storage = Storage(str(tmp_path / "runs"))
    reports, warm = run("warm")
    assert [(r["phase"], r["step"], r["complete"]) for r in reports] == [
        ("psnr", 3, 0),
        ("psnr", 6, 0),
        ("psnr", 6, 1),
    ]
    assert warm_starts.ready(storage, warm.warm_key)

    reports, screen = run("screen")
    assert [(r["gan_step"], r["complete"]) for r in reports] == [(0, 0), (2, 0), (4, 0), (6, 0), (6, 1)]
    first, last = reports[0], reports[-1]
    assert first["psnr_y"] == first["warm/psnr_y"] == last["warm/psnr_y"], "step 0 is the warm start itself"
    assert last["gradient_share/adversarial"] > 0
    assert {c["step"] for c in last["candidates"]} >= {6}
    for candidate in last["candidates"]:
        checkpoint.load_generator(Path(candidate["checkpoint"]))
    assert storage.exists("s/trials/screen-1/strip.png")

    reports, confirm = run("confirm", **{"run.seed": 3})
    assert [r["phase"] for r in reports] == ["psnr"] * 2 + ["gan"] * 5
    assert storage.exists("s/trials/confirm-1/warm/manifest.json"), "its own PSNR phase, shared with nobody"
    assert not warm_starts.ready(storage, confirm.warm_key)


def test_what_a_trial_reports_is_its_best_so_far_and_the_last_beside_it(run):
    run("warm")
    reports, _ = run(
        "screen", **{"loss.adversarial_weight": 5.0, "optim.lr_g": 1e-2, "objective.delta_db": 50.0}
    )
    last = [r["last/swd"] for r in reports if "last/swd" in r]
    medians = [statistics.median(last[max(0, n - 3) : n]) for n in range(1, len(last) + 1)]
    assert medians != sorted(medians, reverse=True), "a trial that swings"
    told = [r["swd"] for r in reports if "last/swd" in r]
    assert told == [min(medians[:n]) for n in range(1, len(medians) + 1)]


def test_a_way_in_two_trials_ends_as_in_one(run, tmp_path):
    run("warm")
    whole, one = run("screen")
    reports, first = run("screen", Lineage(until=4))
    assert [(r["gan_step"], r["complete"]) for r in reports] == [(0, 0), (2, 0), (4, 0), (4, 1)]
    parent = Lineage(parent=reports[-1]["checkpoint"], since=4, until=6)
    later, two = run("screen", parent)
    assert [(r["gan_step"], r["complete"]) for r in later] == [(6, 0), (6, 1)]
    bare = {"psnr_y", "swd", "ssim_y", "warm/psnr_y", "warm/swd", "gradient_share/adversarial"}
    assert {k: v for k, v in later[-1].items() if k in bare} == {
        k: whole[-1][k] for k in bare & set(whole[-1])
    }
    files = [tmp_path / "runs" / t.monitor.pointer / "generator.safetensors" for t in (one, two)]
    assert files[0].read_bytes() == files[1].read_bytes(), "the schedule was cut, not compressed"
    assert {c["step"] for c in later[-1]["candidates"]} <= {4, 6}
    for candidate in later[-1]["candidates"]:
        assert Path(candidate["checkpoint"]).exists(), "earlier ones lie with the trial it goes on from"


def test_settings_change_at_their_step_and_a_confirmation_goes_the_same_way(run):
    strong = {"loss.adversarial_weight": 5.0}
    run("warm")
    usual, _ = run("screen")
    changed, trial = run("screen", Lineage(((0, {}), (4, strong))))
    same = [a["last/swd"] == b["last/swd"] for a, b in zip(changed[:4], usual[:4], strict=True)]
    assert same == [True, True, True, False]
    assert trial.config.loss.adversarial_weight == 5.0, "what the network was trained by last is what it says"
    reports, _ = run("confirm", Lineage(((0, {}), (4, strong))))
    assert [r["gan_step"] for r in reports if r["phase"] == "gan"] == [0, 2, 4, 6, 6]


def test_the_journal_travels_with_the_checkpoint(run, tmp_path):
    _, trial = run("warm")
    extra = checkpoint.read_extra(tmp_path / "runs" / trial.monitor.pointer)
    entries = [json.loads(line) for line in extra["journal"].splitlines()]
    assert {e["run_key"] for e in entries} == {"s/warm/warm-1"}
    assert max(e["step"] for e in entries) == 6


def flip(saved):
    """One bit of the state is another."""
    content = bytearray((saved / "state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (saved / "state.pt").write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (flip, "the checkpoint in .* is damaged: state.pt does not match its hash"),
        (lambda saved: (saved / "manifest.json").unlink(), "no checkpoint in .*: manifest.json is missing"),
        (shutil.rmtree, "no checkpoint in .*: manifest.json is missing"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_is_an_error_and_no_new_start(
    run, tmp_path, monkeypatch, harm, reason
):
    _, trial = run("warm")
    pointer = SimpleNamespace(as_directory=lambda: nullcontext(trial.scratch / "pointer"))
    monkeypatch.setattr(FakeTune, "get_checkpoint", lambda self: pointer)
    harm(tmp_path / "runs" / trial.monitor.pointer)
    reports, _ = run("warm")
    assert len(reports) == 1 and reports[0]["complete"] == 0
    assert re.fullmatch(reason, reports[0]["failed"])


@pytest.mark.parametrize("stage", ["warm", "screen"])
def test_a_diverged_trial_reports_finite_values_the_term_and_the_step(run, stage):
    if stage == "screen":
        run("warm")
    name = "optim.lr_psnr" if stage == "warm" else "optim.lr_g"
    reports, trial = run(stage, **{name: 1e30})
    last = reports[-1]
    assert last["diverged"] == 1 and last["complete"] == 0
    assert 1 <= last["diverged_step"] <= 6 and last["diverged_term"]
    assert last["psnr_y"] < 20, "the values of a mid-grey image"
    assert last["phase"] == ("psnr" if stage == "warm" else "gan")
    if stage == "screen":
        assert last["warm/psnr_y"] == reports[0]["warm/psnr_y"], "feasible for no rule"
    else:
        assert not warm_starts.ready(trial.storage, trial.warm_key), "nobody starts from it"


def test_a_trial_whose_warm_start_failed_says_so_and_is_not_tried_again(run):
    reports, trial = run("screen")
    assert [r["failed"] for r in reports] == [
        f"the PSNR phase that it starts from (warm-{trial.warm_key}) did not finish"
    ]


def test_a_design_gives_the_same_as_first_and_as_later_trial_of_a_worker(run):
    """A worker keeps its loader and evaluator for the next trial; nothing else may stay behind."""

    def curve(**settings):
        reports, trial = run("screen", **settings)
        timed = ("seconds", "cpu_seconds", "attempt", "attempt_spent", "journal", "checkpoint")
        timed += ("data_wait_share",)
        shown = [{k: v for k, v in r.items() if k not in timed} for r in reports]
        state = checkpoint.generator_weights(Path(shown[-1]["candidates"][-1]["checkpoint"]))
        return shown, {k: v.clone() for k, v in state.items()}

    run("warm")
    inputs.open_inputs.cache_clear()
    first, weights = curve()
    curve(**{"loss.adversarial_weight": 3.0, "optim.lr_g": 1e-2})
    run("screen", **{"optim.lr_g": 1e30})  # diverges
    again, same = curve()
    assert again == first
    assert weights.keys() == same.keys() and all(torch.equal(weights[k], same[k]) for k in weights)


def test_a_share_is_the_mean_over_its_phase_and_survives_a_resume(run, tmp_path):
    run("warm")
    reports, trial = run("screen", **{"run.log_every_steps": 1})
    entries = [json.loads(line) for line in trial.monitor.journal_path.read_text().splitlines()]
    name = "gradient_share/adversarial"
    logged = [e["values"][f"gan/{name}"] for e in entries if f"gan/{name}" in e.get("values", {})]
    assert len(logged) == 6 and len(set(logged)) > 1
    assert reports[-1][name] == pytest.approx(sum(logged) / 6)
    extra = checkpoint.read_extra(tmp_path / "runs" / trial.monitor.pointer)
    assert extra["shares"][name] == pytest.approx([sum(logged), 6])
    again = monitor.TrialMonitor(trial)
    again.shares, again.shares_phase = extra["shares"], extra["shares_phase"]
    again.log("gan", 7, {name: 0.0})
    assert again.logged[name] == pytest.approx(sum(logged) / 7)
    again.log("psnr", 1, {"gradient_share/pixel": 1.0})
    assert set(again.logged) == {"gradient_share/pixel"}, "a phase has its own mean"


def test_a_warm_start_begins_from_run_start_from(run, tmp_path):
    """As a run without a sweep does; its key names those weights, not the folder they lie in."""
    _, first = run("warm")
    source = tmp_path / "copied"
    shutil.copytree(tmp_path / "runs" / first.monitor.pointer, source)
    reports, second = run("warm", **{"run.start_from": str(source)})
    assert second.warm_key != first.warm_key
    assert reports[0]["psnr_y"] != first.evaluator.measure(first.warm_generator).summary["psnr_y"]
    moved = source.rename(tmp_path / "moved")
    _, third = run("screen", **{"run.start_from": str(moved)})
    assert third.warm_key == second.warm_key
