"""--status and --stop, read from a sweep's files: running, died, finished, stage by stage."""

import json

import pytest

from datasets.errors import UserError
from orchestrator.storage import Storage
from orchestrator.sweep import heartbeat, status
from orchestrator.sweep.claim import ALIVE, this_driver


@pytest.fixture
def storage(tmp_path):
    storage = Storage(str(tmp_path / "runs"))
    facts = {"space": "demo", "recipe": "demo", "status": "running", "started": 0}
    storage.write_text("s/sweep.json", json.dumps(facts))
    return storage


def beats(storage):
    """Write the heartbeat of a driver that runs now: this process."""
    storage.write_text(f"s/{ALIVE}", this_driver(seconds=10.0).to_json())


def test_status_tells_the_running_from_the_dead(storage):
    assert status.status(storage, "s")[0].startswith("s: died, began")
    assert "--resume s" in status.status(storage, "s")[-1]
    beats(storage)
    assert status.status(storage, "s")[0].startswith("s: running, began")
    assert "--stop s" in status.status(storage, "s")[-1]
    assert not any("now" in line for line in status.status(storage, "s"))
    told = this_driver(seconds=10.0, progress="screen 3 of 8 done, about 2 min left")
    storage.write_text(f"s/{ALIVE}", told.to_json())
    assert "  now      screen 3 of 8 done, about 2 min left" in status.status(storage, "s")


def test_a_sweep_that_has_no_plan_yet_is_starting(tmp_path):
    """It was said not to exist for the first minute or two, while images and Ray were opened."""
    storage = Storage(str(tmp_path / "new"))
    beats(storage)
    assert status.status(storage, "s") == [
        "s: starting; its plan takes a minute or so, longer on a busy machine"
    ]
    with pytest.raises(UserError, match="sweep 's' is starting and cannot be asked yet"):
        status.stop(storage, "s")


def test_a_sweep_that_is_resumed_starts_again(storage):
    facts = {"space": "demo", "recipe": "demo", "status": "interrupted", "started": 0}
    storage.write_text("s/sweep.json", json.dumps(facts))
    assert "--resume s" in status.status(storage, "s")[-1]
    beats(storage)
    assert status.status(storage, "s") == ["s: starting again after it was interrupted"]
    ending = this_driver(seconds=10.0, progress="screen 3 of 8 done")
    storage.write_text(f"s/{ALIVE}", ending.to_json())
    assert "--resume s" in status.status(storage, "s")[-1], "its driver is about to end"


def test_what_cannot_be_stopped_is_said_in_a_sentence(storage):
    with pytest.raises(UserError, match="no sweep 'gone' in"):
        status.stop(storage, "gone")
    with pytest.raises(
        UserError, match="sweep 's' died, so there is nothing to stop; resume it with: .*--resume"
    ):
        status.stop(storage, "s")
    storage.write_text("s/sweep.json", json.dumps({"status": "finished"}))
    with pytest.raises(UserError, match="sweep 's' is not running, so there is nothing to stop"):
        status.stop(storage, "s")
    assert not storage.exists(f"s/{heartbeat.STOP}")


def test_each_stage_is_counted_by_the_kind_of_its_endings(storage):
    verdicts = [
        "screened to the end; undertrained",
        "screened out at step 6 of 12",
        "diverged: pixel at step 9",
    ]
    verdicts += ["screened out at step 8 of 12"]
    rows = [{"trial_id": f"screen-{k}", "stage": "screen", "verdict": v} for k, v in enumerate(verdicts)]
    storage.write_text("s/stages/screen.json", json.dumps(rows))
    storage.write_text("s/stages/warm.json", "[]")
    storage.write_text("s/trials/confirm-0-s0/x", "")
    lines = status.status(storage, "s")
    assert lines[1] == "  warm     no runs"
    assert lines[2] == "  screen   done: 2 screened out, 1 screened to the end, 1 diverged"
    assert lines[3] == "  repeat   not begun"
    assert lines[4] == "  confirm  1 trial begun" and lines[5] == "  test     not begun"


def test_repeated_runs_name_the_number_of_their_designs(storage):
    """A plan of 2 designs to repeat ended in 4 repeated, without a word of the seeds."""
    for part, designs in ((0, ("a", "b")), (1, ("a", "a"))):
        rows = [{"trial_id": f"repeat-{part}-{k}", "stage": "repeat"} for k in range(2)]
        rows = [r | {"design": d, "verdict": "repeated"} for r, d in zip(rows, designs, strict=True)]
        storage.write_text(f"s/stages/repeat-{part}.json", json.dumps(rows))
    assert status.status(storage, "s")[3] == (
        "  repeat   done: 4 repeated (of 2 designs, under several seeds)"
    )


def test_the_stage_that_a_running_sweep_is_in_has_begun_before_its_trials_have(storage):
    """The PSNR phases of the confirmation take minutes, in which it was said not to have begun."""
    beats(storage)
    for part in ("warm", "screen", "repeat-0", "repeat-1"):
        storage.write_text(f"s/stages/{part}.json", "[]")
    *_, confirm, test, _, _ = status.status(storage, "s")
    assert confirm == "  confirm  begun, with PSNR phases of its own" and test == "  test     not begun"


def test_further_rounds_of_the_confirmation_are_part_of_it_and_psnr_phases_say_so(storage):
    def confirmed(part, *names):
        rows = [
            {"trial_id": n, "stage": n.partition("-")[0], "verdict": "confirmed", "design": "a"}
            for n in names
        ]
        warm = [r | {"verdict": "PSNR phase trained; undertrained"} for r in rows if r["stage"] == "warm"]
        storage.write_text(f"s/stages/{part}.json", json.dumps(warm or rows))

    confirmed("warm-confirm", "warm-1", "warm-2")
    confirmed("confirm", "confirm-0-s0")
    expected = "  confirm  done: 2 trained (PSNR phases), 1 confirmed"
    assert status.status(storage, "s")[4] == expected
    storage.write_text("s/trials/confirm-0-s0/x", "")
    storage.write_text("s/stages/confirm-warm-from-1-planned.json", "[]")
    assert status.status(storage, "s")[4] == "  confirm  1 trial begun", "its PSNR phases are being trained"
    storage.write_text("s/trials/confirm-from-1-0-s0/x", "")
    assert status.status(storage, "s")[4] == "  confirm  2 trials begun"
    confirmed("warm-confirm-from-1", "warm-3")
    confirmed("confirm-from-1", "confirm-from-1-0-s0")
    expected = "  confirm  done: 3 trained (PSNR phases), 2 confirmed (of 1 design, under several seeds)"
    assert status.status(storage, "s")[4] == expected


def test_a_finished_sweep_names_its_pick_its_report_and_the_next_command(storage):
    facts = {"space": "d", "recipe": "d", "status": "finished", "started": 0, "name": "s"}
    facts |= {"pick_design": "b4 bn", "pick_reason": "best of 2", "tracking_uri": "", "pick": "test-0"}
    storage.write_text("s/sweep.json", json.dumps(facts))
    last = status.status(storage, "s")[6:]
    assert last[0] == "  pick: b4 bn (best of 2)"
    assert last[1].endswith("s/report.html") and "upsweep promote s" in last[-1]


def test_a_sweep_that_stopped_names_the_command_that_resumes_it(storage, monkeypatch):
    beats(storage)
    monkeypatch.setattr(status, "request_stop", lambda storage, name: True)
    assert status.stop(storage, "s").startswith("stopped; resume it with: upsweep sweep --resume s")
    monkeypatch.setattr(status, "request_stop", lambda storage, name: False)
    with pytest.raises(UserError, match="was asked to stop and still runs; see --status s"):
        status.stop(storage, "s")
