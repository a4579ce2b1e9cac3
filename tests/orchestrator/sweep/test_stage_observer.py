"""The driver's side of a stage: the progress line's best, the row of a trial, what MLflow is told."""

from types import SimpleNamespace

import pytest
from helpers.tiny import tiny

from datasets.errors import UserError
from orchestrator.results.trial_report import Status, TrialReport, Usage
from orchestrator.storage import Storage
from orchestrator.sweep.context import SweepContext
from orchestrator.sweep.request import Request
from orchestrator.sweep.stage import Stage
from orchestrator.sweep.stage_observer import StageObserver
from orchestrator.sweep.tune_callback import StageCallback
from trainers.config import override

WARM = {"psnr_y": 30.0, "swd": 150.0}
BICUBIC = {"psnr_y": 28.0, "swd": 170.0}


class Calls:
    """Remembers every call of a method, by name."""

    def __init__(self):
        self.made = {}

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.made.setdefault(name, []).append((args, kwargs))


@pytest.fixture
def observer(tmp_path):
    """observer(stage) -> a StageObserver whose record and progress line remember their calls"""

    def make(stage="screen", gpus=0.0):
        config = override(tiny(), {"objective.delta_db": 1.5, "objective.perceptual": "swd"})
        request = Request(config=config, name="s", storage=str(tmp_path), price_per_gpu_hour=2.0)
        plan = SimpleNamespace(request=request, storage=Storage(str(tmp_path)), digests={"train": "d"})
        plan.ancestor = None
        plan.inference_of = lambda values: None
        capacity = SimpleNamespace(gpus=gpus)
        progress = Calls()
        progress.best = None
        context = SweepContext(plan, capacity, Calls(), progress, None, BICUBIC, {"swd": "protocol"})
        callback = StageCallback(f"s-{stage}")
        callback.params["t1"] = {"generator.num_blocks": 4, "loss.adversarial_weight": 0.1}
        return StageObserver(context, Stage(stage), callback)

    return make


def report(psnr, swd, **more):
    values = {"psnr_y": psnr, "swd": swd}
    return TrialReport(
        phase="gan", step=4, max_steps=8, ranked=values, latest=values, warm_start=WARM, **more
    )


def note_after(observer, *reports):
    for one in reports:
        observer.on_report("t1", one.to_result())
    return observer.context.progress.note


def test_the_progress_line_shows_the_best_feasible_trial(observer):
    shown = observer()
    feasible, below_floor, better = report(29.0, 120.0), report(20.0, 10.0), report(28.6, 110.0)
    assert note_after(shown, feasible) == "stage's best swd 120 at 29.00 dB (bicubic swd 170 at 28.00 dB)"
    assert "swd 120 at 29.00 dB" in note_after(shown, below_floor), "10 dB below its warm start"
    assert "swd 110 at 28.60 dB" in note_after(shown, better)


def test_until_a_trial_is_feasible_the_nearest_to_its_floor_is_shown(observer):
    assert "at 27.00 dB" in note_after(
        observer(), report(20.0, 10.0), report(27.0, 140.0), report(26.0, 90.0)
    )


def test_a_diverged_or_failed_trial_is_never_the_best(observer):
    shown = observer()
    shown.on_report("t1", report(29.0, 1.0, status=Status.DIVERGED).to_result())
    shown.on_report("t1", TrialReport(Status.FAILED, "gan").to_result())
    assert "note" not in vars(shown.context.progress)


def test_the_first_machine_whose_device_fails_ends_the_stage(observer, monkeypatch):
    shown = observer()
    monkeypatch.setattr(SweepContext, "slots", lambda self: 4)
    shown.on_report("t1", TrialReport(Status.FAILED, reason="its warm start did not finish").to_result())
    assert shown.slots() == 4, "the fault of one trial"
    failed = TrialReport(Status.FAILED, reason="torch sees no GPU on node-7", machine_fault=True)
    shown.on_report("t1", failed.to_result())
    with pytest.raises(UserError, match="torch sees no GPU on node-7; the sweep can be resumed once"):
        shown.slots()
    shown.callback.reports["t1"] = failed
    assert not shown.callback.is_over("t1"), "a resumed sweep runs it"


def test_a_trial_that_failed_on_a_full_disk_ends_the_stage_and_runs_again_on_a_resume(observer, monkeypatch):
    shown = observer()
    monkeypatch.setattr(SweepContext, "slots", lambda self: 4)
    shown.callback.errors["t1"] = "ValueError: its own fault"
    shown.on_end("t1")
    assert shown.slots() == 4 and shown.callback.is_over("t1")
    shown.callback.errors["t1"] = "OSError: [Errno 28] No space left on device: 'state.pt'"
    shown.on_end("t1")
    with pytest.raises(OSError, match="No space left on device"):
        shown.slots()
    assert not shown.callback.is_over("t1"), "a resumed sweep runs it"


def test_journal_and_steps_are_handed_on(observer):
    shown = observer()
    shown.on_report("t1", report(29.0, 120.0, journal=({"kind": "metrics"},), usage=Usage(7.0)).to_result())
    assert shown.context.record.made["append"] == [((({"kind": "metrics"},),), {})]
    assert shown.context.progress.made["step"] == [(("t1", "gan", 4, 7.0), {})]


def test_an_ended_trial_has_one_row_and_its_run_ends_with_the_same_numbers(observer):
    shown = observer(gpus=1.0)
    done = report(29.0, 120.0, status=Status.COMPLETE, usage=Usage(3600.0, 1800.0), device="cuda")
    shown.callback.reports["t1"], shown.callback.curves["t1"] = done, []
    row = shown.on_end("t1")
    assert row["trial_id"] == "screen-t1" and row["design"].startswith("b4 adv=0.1")
    assert shown.context.ended == {"screen-t1": row}, "for the report of the running sweep"
    assert row["metrics"]["swd"] == 120.0 and row["metrics"]["warm/swd"] == 150.0
    assert (row["gpu_hours"], row["cpu_hours"], row["cost"]) == (1.0, 0.5, 2.0)
    assert row["config"]["generator.num_blocks"] == 4
    (stage, trial_id, verdict, cost, picture, _), options = shown.context.record.made["end_trial"][0]
    assert (stage, trial_id, verdict) == ("screen", "screen-t1", row["verdict"])
    assert cost == {"gpu_hours": 1.0, "cpu_hours": 0.5, "cost": 2.0} and picture is None
    assert options == {"failed": False, "best": (4, {"psnr_y": 29.0, "swd": 120.0})}


def test_a_trial_that_failed_before_its_first_report_has_a_row(observer):
    shown = observer()
    shown.callback.errors["t1"] = "out of memory"
    row = shown.on_end("t1")
    assert row["verdict"] == "failed: out of memory" and not row["finished"]
    assert shown.context.record.made["end_trial"][0][1] == {"failed": True, "best": (0, {})}


def test_a_confirmed_trial_is_worth_its_best_kept_checkpoint(observer):
    shown = observer("confirm")
    kept = tuple(
        {"step": s, "psnr_y": 29.0, "swd": swd, "checkpoint": f"c{s}"} for s, swd in ((2, 110.0), (8, 130.0))
    )
    done = report(29.0, 120.0, status=Status.COMPLETE, candidates=kept, checkpoint="c8")
    shown.callback.reports["t1"] = done
    row = shown.on_end("t1")
    assert (row["chosen_step"], row["checkpoint"], row["metrics"]["swd"]) == (2, "c2", 110.0)
    assert row["last"] == {"step": 8, "psnr_y": 29.0, "swd": 130.0}
    assert shown.context.progress.note.startswith("stage's best swd 110 at 29.00 dB"), "what the row says"


def test_trials_that_ended_before_a_restart_count_as_done(observer):
    shown = observer()
    shown.on_resume(["t1", "t2"])
    assert [args for args, _ in shown.context.progress.made["end"]] == [("t1",), ("t2",)]


def test_the_best_run_before_a_stop_is_still_the_best_after_it(observer):
    """ "best swd 130.5" became 138.1 after a resume, as if the run had been lost."""
    shown = observer()
    shown.callback.reports["t1"] = report(29.0, 120.0, status=Status.COMPLETE)
    shown.on_resume(["t1"])
    assert "swd 120 at 29.00 dB" in note_after(shown, report(29.0, 130.0))
    shown = observer("confirm")
    metrics = {"psnr_y": 29.0, "swd": 110.0, "warm/psnr_y": 29.0, "warm/swd": 150.0}
    shown.callback.rows["t1"] = {"finished": True, "diverged": False, "metrics": metrics}
    shown.on_resume(["t1"])
    assert "swd 110 at 29.00 dB" in shown.context.progress.note
