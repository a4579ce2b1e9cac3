"""The layout of STORAGE/NAME: other programs read these names, so they are pinned."""

import json
from pathlib import Path

import pytest
from helpers.rows import row

from datasets.errors import UserError
from orchestrator.results import sweep_folder
from orchestrator.storage import Storage


@pytest.fixture
def storage(tmp_path):
    return Storage(str(tmp_path))


def test_every_file_has_its_name(storage, tmp_path):
    sweep_folder.write_facts(storage, "s", {"name": "s"})
    sweep_folder.write_rows(storage, "s", [row()])
    sweep_folder.write_stage(storage, "s", "screen", [row()])
    sweep_folder.write_stage(storage, "s", "screen-decisions", {"events": []})
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    stages = {"s/stages/screen.json", "s/stages/screen-decisions.json"}
    assert names == {"s/sweep.json", "s/leaderboard.json"} | stages
    assert sweep_folder.REPORT == "report.html"
    decisions = json.loads((tmp_path / "s" / "stages" / "screen-decisions.json").read_text())
    assert decisions == {"events": []}


def test_the_leaderboard_is_a_list_of_rows(storage, tmp_path):
    sweep_folder.write_rows(storage, "s", [row()])
    assert sweep_folder.read_rows(storage, "s") == [row()]
    assert isinstance(json.loads((tmp_path / "s" / "leaderboard.json").read_text()), list)


def test_facts_are_read_back_and_sorted_for_people(storage, tmp_path):
    sweep_folder.write_facts(storage, "s", {"seed": 0, "name": "s"})
    assert sweep_folder.read_facts(storage, "s") == {"seed": 0, "name": "s"}
    assert (tmp_path / "s" / "sweep.json").read_text() == '{\n "name": "s",\n "seed": 0\n}\n'


def test_a_stage_is_done_when_its_file_is_there(storage):
    assert sweep_folder.read_stage(storage, "s", "warm") is None
    sweep_folder.write_stage(storage, "s", "warm", [])
    assert sweep_folder.read_stage(storage, "s", "warm") == []


def test_an_unknown_sweep_is_an_error_that_names_the_known_ones(storage):
    with pytest.raises(UserError, match=r"no sweep 'b' in .*; known: none"):
        sweep_folder.read_facts(storage, "b")
    sweep_folder.write_facts(storage, "a", {})
    storage.write_text("other/file.json", "{}")
    assert sweep_folder.exists(storage, "a") and not sweep_folder.exists(storage, "other")
    assert sweep_folder.sweep_names(storage) == ["a"]
    with pytest.raises(UserError, match="no sweep 'b' in .*; known: a"):
        sweep_folder.read_facts(storage, "b")
    storage.write_text("b/claims/000001.json", "{}")
    with pytest.raises(UserError, match="sweep 'b' has no plan yet: it is starting, .* or was killed"):
        sweep_folder.read_facts(storage, "b")


def test_the_newest_sweep_is_the_last_that_ended_with_a_pick(storage):
    with pytest.raises(UserError, match="no finished sweep with a pick in .*; set --storage or run a sweep"):
        sweep_folder.newest_sweep(storage)
    ends = {"old": (1.0, "t"), "new": (2.0, "t"), "no-pick": (3.0, None), "runs": (None, None)}
    for name, (ended, pick) in ends.items():
        sweep_folder.write_facts(storage, name, {"ended": ended, "pick": pick})
    assert sweep_folder.newest_sweep(storage) == "new"


def test_images_are_kept_in_the_storage_or_beside_it(monkeypatch, tmp_path):
    monkeypatch.delenv("UPSWEEP_WORK_DIR", raising=False)
    assert sweep_folder.work_dir(str(tmp_path)) == tmp_path
    assert sweep_folder.work_dir("s3://bucket/runs") == Path("runs").resolve()
    monkeypatch.setenv("UPSWEEP_WORK_DIR", str(tmp_path / "own"))
    assert sweep_folder.work_dir("s3://bucket/runs") == tmp_path / "own"
    assert sweep_folder.work_dir(str(tmp_path)) == tmp_path, "a folder needs no other"


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"ended": '])
def test_one_damaged_sweep_is_passed_over_when_the_newest_is_sought(storage, damage, capsys):
    sweep_folder.write_facts(storage, "good", {"ended": 1.0, "pick": "t"})
    storage.write_text("bad/sweep.json", damage)
    assert sweep_folder.newest_sweep(storage) == "good"
    assert "sweep 'bad' is passed over: " in (said := capsys.readouterr().err) and "is damaged" in said
