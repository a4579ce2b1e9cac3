"""A finished sweep keeps its answer, whatever happens to a command that resumes it."""

import json
from types import SimpleNamespace

import pytest
from helpers.fake_sweep import fake_sweep
from helpers.kills import nursery

from datasets.errors import UserError
from orchestrator.results.sweep_folder import read_facts, read_rows
from orchestrator.storage import Storage
from orchestrator.sweep import live_report, run
from orchestrator.sweep.request import Request


class Record:
    """A record whose MLflow takes everything."""

    def __init__(self, folder, sweep, tracking_uri, identity):
        self.sweep, self.page = sweep, ""
        self.writer = SimpleNamespace(
            start=lambda: None,
            run_ids=lambda: {},
            experiment_id=lambda: "",
            refusals=lambda: "MLflow refused 2 entries",
        )
        self.writer.spool_dir = folder / "spool"

    def finish(self, tags, files, pick=None):
        assert tags["status"] == "finished"

    def close(self):
        return True


@pytest.fixture
def request_of_demo(tmp_path, monkeypatch):
    facts, _ = fake_sweep(tmp_path / "demo")
    facts |= {"pick_design": "b4", "cost": 0.0, "counts": {}, "request": {}, "experiment_id": None}
    (tmp_path / "demo" / "sweep.json").write_text(json.dumps(facts))
    monkeypatch.setattr(run, "SweepRecord", Record)
    return Request(name="demo", storage=str(tmp_path))


class Killed(BaseException):
    """As kill -9: nothing of the process runs afterwards."""


def answer(storage):
    facts, rows = read_facts(storage, "demo"), read_rows(storage, "demo")
    assert facts["status"] == "finished" and facts["pick"] in {row["trial_id"] for row in rows}
    return facts, rows


def test_a_kill_at_any_write_leaves_the_answer(request_of_demo, tmp_path, monkeypatch):
    storage = Storage(str(tmp_path))
    before = answer(storage)
    monkeypatch.setattr(live_report, "build_report", lambda folder: folder / "report.html")
    for kill_at in range(12):
        writes = iter(range(100))
        real = Storage.write_bytes

        def write(self, name, content, kill_at=kill_at, writes=writes, real=real):
            if next(writes) >= kill_at and not name.endswith("alive.json"):
                raise Killed
            real(self, name, content)

        with monkeypatch.context() as patch:
            patch.setattr(Storage, "write_bytes", write)
            try:
                run.finish_again(request_of_demo, lambda line: None)
                done = True
            except Killed:
                done = False
        facts, rows = answer(storage)
        assert rows == before[1] and facts.pop("parent_run_id", None) is None and facts == before[0]
    assert done


def test_what_mlflow_refused_is_counted_and_told(request_of_demo):
    said = []
    run.finish_again(request_of_demo, said.append)
    assert said[-1] == "MLflow refused 2 entries"


def test_a_finished_sweep_is_not_trained_again(request_of_demo, tmp_path, monkeypatch):
    """Neither images, nor stages, nor Ray are looked at: a damaged stage cannot cost the answer."""
    monkeypatch.setattr(run, "make_plan", lambda *_: pytest.fail("a plan opens images"))
    (tmp_path / "demo" / "stages").mkdir()
    (tmp_path / "demo" / "stages" / "test.json").write_text("{")
    assert run.run_sweep(request_of_demo, None, resume=True, say=lambda _: None)["pick"] == "confirm-0-s1"
    (tmp_path / "demo" / "leaderboard.json").write_text('[{"trial_id":')
    before = (tmp_path / "demo" / "sweep.json").read_bytes()
    with pytest.raises(UserError, match=r"demo/leaderboard.json is damaged: it is not JSON"):
        run.run_sweep(request_of_demo, None, resume=True, say=lambda _: None)
    assert (tmp_path / "demo" / "sweep.json").read_bytes() == before


CHILD = """
from orchestrator.sweep.run import finish_again
from orchestrator.sweep.request import Request

def act(storage):
    finish_again(Request(name="demo", storage=storage), lambda line: None)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_of_a_process_that_resumes_a_finished_sweep(tmp_path):
    fake_sweep(tmp_path / "demo")
    facts = json.loads((tmp_path / "demo" / "sweep.json").read_text())
    facts |= {"pick_design": "b4", "cost": 0.0, "counts": {}, "request": {}, "tracking_uri": ""}
    (tmp_path / "demo" / "sweep.json").write_text(json.dumps(facts))
    storage, took = Storage(str(tmp_path)), 0.0
    pick = answer(storage)[0]["pick"]
    with nursery(CHILD) as processes:
        for k in range(21):
            if k:
                processes.kill_one(str(tmp_path), after_s=took * k / 21)
            else:
                took = processes.seconds(str(tmp_path))
            assert answer(storage)[0]["pick"] == pick, f"kill {k}"
    run.finish_again(Request(name="demo", storage=str(tmp_path)), lambda line: None)
    assert answer(storage)[0]["parent_run_id"]


def test_a_sweep_that_another_machine_resumes_finds_its_runs_in_mlflow(tmp_path):
    """The record lies in the machine's own folder; the identity follows from the sweep's beginning."""

    def identity(machine, started=12.5):
        request = Request(storage=str(tmp_path / machine), name="mine", tracking_uri="http://127.0.0.1:5000")
        record = run._open_record(request, {"started": started})
        return (record.writer.spool_dir / "identity.json").read_text()

    assert identity("here") == identity("there")
    assert identity("elsewhere", started=13.5) != identity("here")
