"""What one run leaves in its folder."""

import json

import torch
from helpers.tiny import tiny

from datasets.text import format_duration
from trainers import checkpoint
from trainers.config import override
from trainers.monitor import FolderMonitor, SilentMonitor
from trainers.state import History, new_state

CPU = torch.device("cpu")


def some(folder, said):
    config = tiny()
    progress = History(curve=[{"step": 0, "psnr_y": 20.0, "swd": 3.0}])
    return FolderMonitor(folder, config, said.append), new_state(config, "psnr", CPU), progress


def test_nothing_is_written_before_the_first_word(tmp_path):
    monitor, _, _ = some(tmp_path / "out", [])
    assert monitor.restore() is None and not (tmp_path / "out").exists()


def test_a_report_is_a_line_for_the_file_and_one_for_the_reader(tmp_path):
    said = []
    monitor, state, progress = some(tmp_path, said)
    state.step = 3
    monitor.log("psnr", 2, {"pixel": 0.5})
    monitor.report(state, progress)
    state.step = 6
    monitor.report(state, progress)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[0] == {"phase": "psnr", "step": 2, "log": {"pixel": 0.5}}
    assert lines[1] == {"phase": "psnr", "step": 3, "val": {"psnr_y": 20.0, "swd": 3.0}}
    assert said[0].startswith("psnr       3/6  psnr_y 20  swd 3")
    assert said[1].endswith("  0:00 left of this phase")


def test_the_time_left_is_that_of_each_phase_by_its_own_pace(tmp_path, monkeypatch):
    """A GAN phase of 22 minutes began with "5:39 left", as if its steps were PSNR steps."""
    clock, said = iter((0.0, 10.0, 12.0, 52.0, 92.0)), []
    monkeypatch.setattr("trainers.monitor.time.monotonic", lambda: next(clock))
    monitor, state, progress = some(tmp_path, said)
    for state.phase, state.step in (("psnr", 1), ("psnr", 3), ("gan", 0), ("gan", 2), ("gan", 4)):
        monitor.report(state, progress)
    run = monitor.config.run
    ends = [line.rpartition("  ")[2] for line in said]
    assert ends[:3] == ["", f"0:{5 * (run.psnr_steps - 3):02d} left of this phase", ""]
    assert ends[3:] == [f"{format_duration(20 * (run.gan_steps - step))} left" for step in (2, 4)]
    config = override(monitor.config, {"run.gan_steps": 0})
    clock, alone = iter((0.0, 10.0)), FolderMonitor(tmp_path / "alone", config, said.append)
    for state.phase, state.step in (("psnr", 1), ("psnr", 3)):
        alone.report(state, progress)
    assert said[-1].endswith(" left"), "no phase comes after it"


def test_the_newest_checkpoint_replaces_the_one_before_and_what_a_kill_left(tmp_path):
    monitor, state, progress = some(tmp_path, [])
    for state.phase, state.step in (("psnr", 6), ("gan", 2), ("gan", 10)):
        monitor.save(state, progress)
        (tmp_path / "checkpoints" / f".gan-half.{state.step}").mkdir()
        (tmp_path / "checkpoints" / f".gan-half.{state.step}" / "manifest.json").write_text("{}")
        assert monitor.restore().name == f"{state.phase}-{state.step:08d}"
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == [".gan-half.10", "gan-00000010"]


def test_the_gan_phase_comes_after_the_psnr_phase_whatever_the_steps(tmp_path):
    monitor, state, progress = some(tmp_path, [])
    for state.phase, state.step in (("gan", 2), ("psnr", 90)):
        checkpoint.save(tmp_path / "checkpoints" / f"{state.phase}-{state.step:08d}", tiny(), state)
    assert monitor.restore().name == "gan-00000002"


def test_candidates_are_kept_and_dropped_by_step(tmp_path):
    monitor, state, progress = some(tmp_path, [])
    monitor.keep_candidate(state, progress)
    (folder,) = checkpoint.whole(tmp_path / "candidates")
    assert checkpoint.read_extra(folder) == {"step": 0, "val": {"psnr_y": 20.0, "swd": 3.0}}
    monitor.drop_candidate(0)
    monitor.drop_candidate(0)
    assert not checkpoint.whole(tmp_path / "candidates")


def test_other_ranks_write_nothing_and_resume_from_the_same_place(tmp_path):
    monitor, state, progress = some(tmp_path / "out", [])
    other = SilentMonitor(monitor)
    other.log("psnr", 1, {})
    for call in (other.report, other.save, other.keep_candidate):
        call(state, progress)
    other.drop_candidate(0)
    assert not (tmp_path / "out").exists()
    monitor.save(state, progress)
    assert other.restore() == monitor.restore() is not None


def test_what_is_judged_is_the_median_of_the_last_three():
    curve = [{"step": i, "psnr_y": v} for i, v in enumerate([1.0, 9.0, 2.0, 30.0])]
    assert History(curve=curve).smoothed() == {"psnr_y": 9.0}
    assert History(curve=curve[:1]).smoothed() == {"psnr_y": 1.0} == History(curve=curve[:1]).latest()


def test_a_run_is_worth_its_best_median_so_far():
    curve = [{"step": k, "psnr_y": 20.0, "swd": float(v)} for k, v in enumerate([9, 5, 7, 6, 1, 8, 9])]

    def order(metrics):
        return metrics["swd"]

    worth = [History(curve=curve[:n]).best_smoothed(order)["swd"] for n in range(1, 8)]
    assert worth == [9.0, 7.0, 7.0, 6.0, 6.0, 6.0, 6.0], "one lucky evaluation is no worth"
