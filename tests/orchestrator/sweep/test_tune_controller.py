"""Workers are used again, but never one in which a trial diverged or raised; who failed is tried again."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import ray
from helpers.paths import ROOT
from ray import tune
from ray.tune import Experiment
from ray.tune.search import BasicVariantGenerator, ConcurrencyLimiter, SearchGenerator
from ray.tune.utils import flatten_dict

from datasets.errors import UserError
from experiments.recipes.demo import demo
from orchestrator.cluster.connect import connect
from orchestrator.results.trial_report import Status, TrialReport
from orchestrator.search.hooks import active
from orchestrator.search.sampler import build_search
from orchestrator.storage import Storage
from orchestrator.sweep import tune_callback
from orchestrator.sweep.stage_runner import MAX_FAILURES
from orchestrator.sweep.tune_controller import (
    STATE_FILES,
    UpsweepTuneController,
    pack_snapshot,
    restore_snapshot,
    using_upsweep_controller,
)
from trainers.objectives import Objectives

REPORT = TrialReport(Status.COMPLETE, "gan", 1, 1, ranked={"psnr_y": 30.0, "swd": 9.0})


def test_a_snapshot_is_whole_and_replaces_what_is_torn(tmp_path):
    staging, storage = tmp_path / "staging", Storage(str(tmp_path / "runs"))
    staging.mkdir()
    for prefix in STATE_FILES:
        for session in ("2026-01-01_10-00-00", "2026-01-01_11-00-00"):
            (staging / f"{prefix}{session}.x").write_text(f"{prefix} of {session}")
    (staging / "trial.json").write_text("somebody else's")
    storage.write_bytes("s/tune/screen.snapshot", pack_snapshot(staging))
    storage.write_text("s/tune/screen/experiment_state-2026-01-01_12-00-00.json", "{torn")
    storage.write_text("s/tune/screen/tuner.pkl", "stays")
    assert restore_snapshot(storage, "s/tune/screen.snapshot", "s/tune/screen")
    expected = {f"{prefix}2026-01-01_11-00-00.x" for prefix in STATE_FILES} | {"tuner.pkl"}
    assert set(storage.listing("s/tune/screen")) == expected
    for prefix in STATE_FILES:
        text = storage.read_text(f"s/tune/screen/{prefix}2026-01-01_11-00-00.x")
        assert text == f"{prefix} of 2026-01-01_11-00-00"


def test_without_a_snapshot_no_trial_was_started(tmp_path):
    assert not restore_snapshot(Storage(str(tmp_path)), "s/tune/screen.snapshot", "s/tune/screen")


def test_a_damaged_snapshot_is_a_sentence_and_deletes_nothing(tmp_path):
    """Cut at any length, or with one bit changed: the state that is there stays."""
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "experiment_state-1.json").write_text("state" * 100)
    whole, storage = pack_snapshot(tmp_path / "staging"), Storage(str(tmp_path / "runs"))
    storage.write_text("s/tune/screen/experiment_state-0.json", "readable")
    flipped = whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:]
    for damaged in (b"", whole[:40], whole[:600], whole[:-1], flipped):
        storage.write_bytes("s/tune/screen.snapshot", damaged)
        with pytest.raises(UserError, match=r"s/tune/screen.snapshot is damaged, .*restore it from a copy"):
            restore_snapshot(storage, "s/tune/screen.snapshot", "s/tune/screen")
        assert storage.listing("s/tune/screen") == ["experiment_state-0.json"]
    storage.write_bytes("s/tune/screen.snapshot", whole)
    assert restore_snapshot(storage, "s/tune/screen.snapshot", "s/tune/screen")
    assert storage.listing("s/tune/screen") == ["experiment_state-1.json"]


@pytest.mark.parametrize("name", ["../../evil", "/evil", "experiment_state-/../../../evil", "tuner.pkl"])
def test_a_snapshot_writes_nothing_but_tunes_state(tmp_path, name):
    """Whoever may write the storage can make the hash, too; a member's name leads nowhere else."""
    content, storage = io.BytesIO(), Storage(str(tmp_path / "runs"))
    with tarfile.open(fileobj=content, mode="w") as tar:
        for member in ("experiment_state-1.json", name):
            info = tarfile.TarInfo(member)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
    digest = hashlib.sha256(content.getvalue()).hexdigest().encode()
    storage.write_bytes("s/tune/screen.snapshot", digest + b"\n" + content.getvalue())
    assert restore_snapshot(storage, "s/tune/screen.snapshot", "s/tune/screen")
    written = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert written == ["runs/s/tune/screen.snapshot", "runs/s/tune/screen/experiment_state-1.json"]


def test_tune_counts_no_callbacks_for_which_it_would_import_mlflow():
    """In a process of its own: here other tests have imported it."""
    code = """
import sys, ray.tune.tune
from orchestrator.sweep.tune_controller import using_upsweep_controller
try:
    with using_upsweep_controller(lambda snapshot: None, lambda: 1):
        ray.tune.tune.air_usage.tag_callbacks([ray.tune.Callback()])
except RuntimeError:
    pass  # no controller was made
before = "mlflow" in sys.modules
ray.tune.tune.air_usage.tag_callbacks([ray.tune.Callback()])
print(before, "mlflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_another_controller_than_ours_is_an_error():
    with pytest.raises(RuntimeError, match="no longer takes its controller from ray.tune.tune"):
        with using_upsweep_controller(lambda snapshot: None, lambda: 1):
            pass
    with pytest.raises(KeyError), using_upsweep_controller(lambda snapshot: None, lambda: 1):
        raise KeyError("what the block raised comes first")


@pytest.mark.parametrize("ahead", [1, 5])
def test_no_more_designs_are_drawn_than_there_is_room_for(ahead):
    """The sampler draws again when there is more room, and when there is less waits until fewer run."""
    search = build_search(space, Objectives.of(demo().objective), "s", 0, [], 20)
    search = ConcurrencyLimiter(search, max_concurrent=ahead)
    controller = UpsweepTuneController.__new__(UpsweepTuneController)
    controller._search_alg = SearchGenerator(search)
    drawn = iter(range(100))

    def draw_all():
        names = []
        while search.suggest(name := f"t{next(drawn)}"):
            names.append(name)
        return names

    controller._set_slots(3)
    running = draw_all()
    assert len(running) == 3 and controller._max_pending_trials == 3
    controller._set_slots(5)
    running += draw_all()
    assert len(running) == 5
    controller._set_slots(1)
    for name in running:
        assert not draw_all()
        search.on_trial_complete(name, flatten_dict(REPORT.to_result()))
    assert len(draw_all()) == 1


def space(trial):
    """One axis."""
    trial.suggest_float("loss.adversarial_weight", 0.0, 1.0)


def test_a_list_of_designs_follows_the_room_too():
    designs = BasicVariantGenerator(max_concurrent=1)
    designs.add_configurations(
        [Experiment("s", lambda config: None, config={"i": tune.grid_search([*"abcde"])})]
    )
    controller = UpsweepTuneController.__new__(UpsweepTuneController)
    controller._search_alg = designs
    assert [bool(designs.next_trial()) for _ in range(2)] == [True, False]
    controller._set_slots(3)
    assert [bool(designs.next_trial()) for _ in range(3)] == [True, True, False]


def test_a_snapshot_holds_the_designs_of_a_list_that_no_slot_was_free_for(tmp_path):
    """A driver killed while two of three PSNR phases ran could be resumed, but the third was never begun."""

    def generator():
        return BasicVariantGenerator(max_concurrent=2)

    def drawn(designs):
        trials = iter(designs.next_trial, None)
        return {trial.config["i"]: trial.trial_id for trial in trials}

    before, storage = generator(), Storage(str(tmp_path / "runs"))
    before.add_configurations(
        [Experiment("s", lambda config: None, config={"i": tune.grid_search([*"abc"])})]
    )
    running = drawn(before)
    assert list(running) == ["a", "b"]
    (tmp_path / "staging").mkdir()
    before.save_to_dir(str(tmp_path / "staging"), "2026-01-01_10-00-00")
    storage.write_bytes("warm.snapshot", pack_snapshot(tmp_path / "staging"))
    assert restore_snapshot(storage, "warm.snapshot", "warm")
    after = generator()
    after.restore_from_dir(str(tmp_path / "runs" / "warm"))
    assert not drawn(after), "two of them run"
    after.on_trial_complete(running["a"])
    assert list(drawn(after)) == ["c"]


@pytest.mark.parametrize(
    ("slots", "snapshots", "most"), [(4, 1 + 60, 4), (32, 1 + 60 // 2, 32 + 2), (160, 1 + 60 // 10, 160 + 10)]
)
def test_designs_that_are_drawn_at_once_have_one_snapshot(slots, snapshots, most):
    """Designs end one after the other; with many slots the next ones wait already, with one snapshot."""
    controller, saved, live = UpsweepTuneController.__new__(UpsweepTuneController), [], []
    drawn = iter(range(1, slots + 61))
    vars(controller).update(_trials=live, _pending_trials=set(), _running_trials=set(), _paused_trials=set())
    limiter = SimpleNamespace(max_concurrent=0)

    def next_trial():
        running = controller._pending_trials | controller._running_trials
        return next(drawn, None) if len(running) < limiter.max_concurrent else None

    def add(trial):
        live.append(trial)
        controller._pending_trials.add(trial)

    controller._search_alg = SimpleNamespace(
        is_finished=lambda: False, next_trial=next_trial, searcher=limiter
    )
    controller.add_trial, controller.save_to_dir = add, lambda: saved.append(len(live))
    controller._set_slots(slots)
    for _ in range(61):
        controller._maybe_update_trial_queue()
        assert len(controller._pending_trials | controller._running_trials) <= most
        while controller._pending_trials and len(controller._running_trials) < slots:
            controller._running_trials.add(controller._pending_trials.pop())
        controller._running_trials.discard(min(controller._running_trials))
    assert len(saved) == snapshots


@pytest.mark.slow
@pytest.mark.ray
def test_who_is_used_again(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.cluster.connect.usable_cpus", lambda: 1)
    ways = ["well", "well", "diverged", "well", "out of memory", "well"]
    designs = [{"how": way, "mark": str(tmp_path / "mark")} for way in ways]

    def trial(params):
        """Ends in one of three ways, and says in which process."""
        how, mark = designs[params["index"]].values()
        if how == "out of memory" and not os.path.exists(mark):
            open(mark, "w").close()
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        status = Status.DIVERGED if how == "diverged" else Status.COMPLETE
        tune.report({"pid": os.getpid(), **TrialReport(status=status).to_result()})

    kept = []
    with connect(None), using_upsweep_controller(kept.append, lambda: 1):
        grid = tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            param_space={"index": tune.grid_search(list(range(len(designs))))},
            tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=str(tmp_path), verbose=0, failure_config=tune.FailureConfig(max_failures=1)
            ),
        ).fit()
        pids = {r.metrics["config"]["index"]: r.metrics["pid"] for r in grid}
    assert ray.tune.tune.TuneController.__name__ == "TuneController", "nobody else is affected"
    assert len(kept) > len(designs), "one before each trial starts, and Tune's own"
    a, b, diverged, after, oom, last = (pids[i] for i in range(6))
    assert a == b == diverged, "reused after a trial that ended well"
    assert after != diverged, "not after one that diverged"
    assert oom != after, "nor after one that ran out of memory"
    assert last == oom


@pytest.mark.slow
@pytest.mark.ray
def test_a_trial_is_tried_again_as_often_as_it_gets_further(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.cluster.connect.usable_cpus", lambda: 2)

    def trial(params):
        """Killed after each report: one new step an attempt, or the same one again."""
        attempts = tmp_path / f"{params['way']}-attempts"
        with open(attempts, "a") as f:
            f.write("x")
        step = attempts.stat().st_size if params["way"] == "further" else 1
        status = Status.COMPLETE if step == 7 else Status.RUNNING
        tune.report(TrialReport(status, "psnr", step, latest={"psnr_y": 30.0}).to_result())
        if step < 7:
            time.sleep(1)  # the driver hears of it
            os.kill(os.getpid(), signal.SIGKILL)

    seen = tune_callback.StageCallback("s-screen")
    hooks = MagicMock()
    with active("s-screen", hooks), connect(None), using_upsweep_controller(lambda snapshot: None, lambda: 2):
        tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            param_space={"way": tune.grid_search(["further", "nowhere"])},
            run_config=tune.RunConfig(
                storage_path=str(tmp_path / "tune"),
                verbose=0,
                callbacks=[seen],
                failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            ),
        ).fit()
    ways = {seen.params[trial_id]["way"]: trial_id for trial_id in seen.params}
    assert [c["step"] for c in seen.curves[ways["further"]]] == [1, 2, 3, 4, 5, 6, 7]
    assert list(seen.errors) == [ways["nowhere"]]
    assert len((tmp_path / "nowhere-attempts").read_text()) == MAX_FAILURES + 1
