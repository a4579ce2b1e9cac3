"""A stage under Tune: when it is complete, and what is read back instead of run again."""

import json
import shutil
from types import SimpleNamespace

import pytest

from datasets.errors import UserError
from orchestrator.results.trial_report import Status, TrialReport
from orchestrator.storage import Storage
from orchestrator.sweep import stage_runner
from orchestrator.sweep.context import BudgetWatch, SweepContext
from orchestrator.sweep.request import Request
from orchestrator.sweep.stage import Stage
from orchestrator.sweep.stage_observer import StageObserver
from orchestrator.sweep.tune_callback import StageCallback
from orchestrator.sweep.tune_controller import pack_snapshot


def context(tmp_path, **request):
    """A sweep on a machine without GPUs."""
    plan = SimpleNamespace(request=Request(name="s", **request), storage=Storage(str(tmp_path)))
    progress = SimpleNamespace(begin=lambda stage: None, end=lambda trial: None, expect=lambda *runs: None)
    return SweepContext(plan, SimpleNamespace(gpus=0), None, progress, None, {}, {})


@pytest.mark.parametrize(
    ("ended", "hours", "complete"),
    [
        (4, 0.0, True),
        (3, 0.0, False),  # Ctrl-C
        (3, 5.0, True),  # the budget ended the drawing, now or before a restart
        (0, 5.0, False),  # stopped before the first
    ],
)
def test_a_screen_is_complete_with_fewer_designs_only_if_the_budget_is_spent(
    tmp_path, ended, hours, complete
):
    sweep, stage = context(tmp_path, trials=4, max_gpu_hours=2.0), Stage("screen", draws=True)
    sweep.count([{"trial_id": "a", "gpu_hours": hours}])
    callback = StageCallback("s-screen")
    callback.params = {f"t{k}": {} for k in range(ended)}
    callback.reports = dict.fromkeys(callback.params, TrialReport(status=Status.COMPLETE))
    observer = StageObserver(sweep, stage, callback)
    assert stage_runner._is_complete(sweep, stage, callback, observer) == complete
    assert bool(sweep.budget.reached) == (complete and ended < 4)
    if ended:
        callback.reports["t0"] = TrialReport()
        assert not stage_runner._is_complete(sweep, stage, callback, observer), "one is still running"


def test_a_budget_that_was_reached_stays_reached(tmp_path):
    sweep = context(tmp_path, max_gpu_hours=2.0)
    assert not sweep.is_budget_spent(1.0, 2)
    assert sweep.is_budget_spent(3.0, 2)
    assert sweep.is_budget_spent(0.0, 2) and sweep.budget.reached == "the 2 GPU-hours of --max-gpu-hours"


def test_gpu_hours_of_finished_stages_and_running_trials_add_up(tmp_path):
    sweep = context(tmp_path, max_gpu_hours=3.0)
    sweep.count([{"trial_id": "a", "gpu_hours": 1.0}, {"trial_id": "b", "gpu_hours": 1.5}])
    assert sweep.budget == BudgetWatch(gpu_hours=2.5)
    assert not sweep.is_budget_spent(0.4, 2)
    assert sweep.is_budget_spent(0.4 + 0.1, 2)


def test_a_stage_that_was_done_before_is_read_back(tmp_path):
    rows = [{"trial_id": "warm-a", "stage": "warm", "gpu_hours": 2.0}]
    (tmp_path / "s" / "stages").mkdir(parents=True)
    (tmp_path / "s" / "stages" / "warm.json").write_text(json.dumps(rows))
    sweep = context(tmp_path)
    assert stage_runner.run_stage(sweep, Stage("warm", ({"trial_id": "warm-a"},))) == rows
    assert sweep.budget.gpu_hours == 2.0, "what it cost counts towards the budget"


def test_a_missing_snapshot_of_trials_that_began_is_no_new_beginning(tmp_path, monkeypatch):
    """Its absence proves nothing: new designs would be drawn and paid for, and the old ones lost."""
    sweep, stage = context(tmp_path), Stage("screen", draws=True)
    monkeypatch.setattr(stage_runner, "_function_and_resources", lambda _: (lambda config: None, {"cpu": 1}))
    monkeypatch.setattr(stage_runner, "_spec", lambda *_: None)
    (tmp_path / "s" / "trials" / "screen-1a2b" / "attempt-1").mkdir(parents=True)
    (tmp_path / "s" / "tune" / "screen").mkdir(parents=True)
    (tmp_path / "s" / "tune" / "screen" / "tuner.pkl").write_text("Tune's")
    with pytest.raises(
        UserError, match=r"tune/screen.snapshot is missing, though trials of stage screen began"
    ):
        stage_runner._tuner(sweep, stage)
    assert (tmp_path / "s" / "tune" / "screen" / "tuner.pkl").exists()
    shutil.rmtree(tmp_path / "s" / "tune" / "screen")
    sweep.storage.write_bytes("s/tune/screen.snapshot", pack_snapshot(tmp_path))
    with pytest.raises(
        UserError, match="tune/screen/tuner.pkl is missing, though trials of stage screen began"
    ):
        stage_runner._tuner(sweep, stage)


def test_a_stage_without_designs_has_no_rows_and_is_done(tmp_path):
    assert stage_runner.run_stage(context(tmp_path), Stage("warm")) == []
    assert json.loads((tmp_path / "s" / "stages" / "warm.json").read_text()) == []


def test_rows_of_a_list_are_sorted_and_drawn_ones_keep_their_order():
    callback = StageCallback("s-screen")
    callback.params = {"t2": {}, "t1": {}}
    callback.rows = {"t1": {"trial_id": "a"}, "t2": {"trial_id": "b"}}
    assert [r["trial_id"] for r in stage_runner._rows(Stage("screen", draws=True), callback)] == ["b", "a"]
    assert [r["trial_id"] for r in stage_runner._rows(Stage("warm", ({},)), callback)] == ["a", "b"]
