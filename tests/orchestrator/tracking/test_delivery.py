"""Every entry of a spool reaches MLflow once, whatever was killed or lost before."""

import shutil
import time

import pytest
from helpers.tracking import points

from datasets.files import atomic_json
from orchestrator.tracking import delivery as delivery_module
from orchestrator.tracking.journal import AppendOnlyFile, Journal
from orchestrator.tracking.server import default_uri
from orchestrator.tracking.writer import Writer


@pytest.fixture
def place(tmp_path, migrated_database):
    """A spool folder with an identity, its database address, and a maker of Delivery objects."""
    spool = tmp_path / "spool"
    spool.mkdir()
    atomic_json(spool / "identity.json", {"identity": "0123abcd"}, durable=False)
    shutil.copy(migrated_database, tmp_path)
    uri = default_uri(tmp_path)
    return spool, uri, lambda: delivery_module.Delivery(spool, uri, "upsweep")


def fill(spool, key="demo/screen/a", steps=range(5), **settings):
    journal = Journal(spool.parent / f"{key.replace('/', '_')}.jsonl", key)
    journal.start("b4 bn", {"generator.num_blocks": 4, **settings}, {"seed": 1}, "demo")
    for step in steps:
        journal.metrics(step, {"psnr_y": 20.0 + step, "loss_g": 1.0})
    AppendOnlyFile(spool / "spool.jsonl").append(journal.drain())
    return journal


def test_runs_are_made_with_their_parent_params_tags_and_points(place):
    spool, uri, connect = place
    journal = fill(spool, **{f"long.name_{i}": "x" * 900 for i in range(250)}, huge="y" * 9000)
    journal.tags({"verdict": "beats bicubic"})
    journal.input("demo", "ab" * 8, "/data/demo", "train")
    journal.experiment_tags({"mlflow.sharedViewState.upsweep": "{}"})
    journal.end("FINISHED")
    AppendOnlyFile(spool / "spool.jsonl").append(journal.drain())
    delivery = connect()
    assert delivery.step() and not delivery.step()
    experiment = delivery.client.get_experiment(delivery.experiment_id)
    assert experiment.tags["mlflow.sharedViewState.upsweep"] == "{}"
    run = delivery.client.get_run(delivery.run_ids["demo/screen/a"])
    assert run.info.run_name == "b4 bn" and run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == delivery.run_ids["demo"]
    assert run.data.tags["upsweep.run_key"] == "demo/screen/a"
    assert run.data.tags["verdict"] == "beats bicubic" and run.data.tags["seed"] == "1"
    assert len(run.data.params) == 252 and run.data.params["long.name_7"] == "x" * 900
    assert run.data.params["huge"] == "y" * 5997 + "..."
    assert run.inputs.dataset_inputs[0].dataset.digest == "ab" * 8
    assert set(points(uri, run.info.run_id)) == {(n, s) for n in ("psnr_y", "loss_g") for s in range(5)}


def test_artifacts_lie_beside_the_database_whatever_the_working_directory(place, tmp_path, monkeypatch):
    spool, uri, connect = place
    (tmp_path / "strip.png").write_bytes(b"png")
    journal = fill(spool)
    journal.artifact(tmp_path / "strip.png", "strips")
    journal.artifact(tmp_path / "gone.png", "strips")
    AppendOnlyFile(spool / "spool.jsonl").append(journal.drain())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    delivery = connect()
    delivery.step()
    run = delivery.client.get_run(delivery.run_ids["demo/screen/a"])
    assert run.info.artifact_uri.startswith((tmp_path / "mlartifacts").as_uri())
    assert [found.path for found in delivery.client.list_artifacts(run.info.run_id, "strips")] == [
        "strips/strip.png"
    ]
    assert "gone.png" in (spool / "rejected.jsonl").read_text()


def test_a_block_sent_twice_is_stored_once(place):
    spool, uri, connect = place
    fill(spool)
    first = connect()
    first.step()  # killed here: the offset was not written down
    second = connect()
    assert second.step()
    assert second.run_ids == first.run_ids
    assert all(len(values) == 1 for values in points(uri, second.run_ids["demo/screen/a"]).values())


def test_a_replayed_step_with_another_time_is_dropped_even_after_a_restart(place):
    spool, uri, connect = place
    fill(spool)
    first = connect()
    first.step()
    before = points(uri, first.run_ids["demo/screen/a"])
    atomic_json(spool / "progress.json", {"offset": first.offset}, durable=False)
    time.sleep(0.002)
    (spool.parent / "demo_screen_a.jsonl").unlink()  # the trial moved and lost its journal
    fill(spool, steps=range(3, 8))
    connect().step()
    after = points(uri, first.run_ids["demo/screen/a"])
    assert {point: after[point] for point in before} == before
    assert set(after) - set(before) == {(n, s) for n in ("psnr_y", "loss_g") for s in (5, 6, 7)}


def test_a_lost_spool_finds_its_runs_and_their_points_by_identity(place, tmp_path):
    spool, uri, connect = place
    fill(spool)
    run_ids = connect().run_ids
    delivery = connect()
    delivery.step()
    run_ids = delivery.run_ids
    for name in ("spool.jsonl", "runs.json"):
        (spool / name).unlink()
    (tmp_path / "demo_screen_a.jsonl").unlink()
    fill(spool, steps=range(7))
    again = connect()
    again.step()
    assert again.run_ids == run_ids
    stored = points(uri, run_ids["demo/screen/a"])
    assert len(stored) == 14 and all(len(values) == 1 for values in stored.values())


def test_another_sweep_of_the_same_name_gets_runs_of_its_own(place):
    spool, _, connect = place
    fill(spool)
    first = connect()
    first.step()
    atomic_json(spool / "identity.json", {"identity": "4567cdef"}, durable=False)
    (spool / "runs.json").unlink()
    second = connect()
    second.step()
    assert set(first.run_ids) == set(second.run_ids)
    assert not set(first.run_ids.values()) & set(second.run_ids.values())


def test_a_value_that_is_not_finite_becomes_a_tag(place):
    spool, uri, connect = place
    journal = fill(spool, steps=[])
    journal.metrics(7, {"loss_g": float("inf"), "psnr_y": 20.0})
    journal.metrics(8, {"loss_g": float("nan")})
    AppendOnlyFile(spool / "spool.jsonl").append(journal.drain())
    delivery = connect()
    delivery.step()
    run = delivery.client.get_run(delivery.run_ids["demo/screen/a"])
    assert run.data.tags["upsweep.nonfinite.loss_g"] == "inf at step 7"
    assert set(points(uri, run.info.run_id)) == {("psnr_y", 7)}


def test_strange_names_and_broken_entries_do_not_stop_delivery(place):
    spool, uri, connect = place
    journal = Journal(spool.parent / "j.jsonl", 'it\'s "quoted"\n<b>/screen/`a`')
    journal.start("<script>\0" + "n" * 9000, {"../up": "\0", "a&b=c": "1"}, {"t<>": "v" * 9000})
    journal.metrics(1, {"/psnr'y": 1.0, "a//b": 2.0, "": 3.0})
    entries = journal.drain()
    broken = [{"run_key": "x", "kind": "metrics"}, {"run_key": "x", "kind": "what"}]
    AppendOnlyFile(spool / "spool.jsonl").append(broken + entries)
    delivery = connect()
    delivery.step()
    assert "KeyError" in (spool / "rejected.jsonl").read_text()
    run = delivery.client.get_run(delivery.run_ids[journal.run_key])
    assert run.data.params == {"_up": "", "a_b_c": "1"}
    assert len(points(uri, run.info.run_id)) == 3


def test_an_answer_lost_while_a_run_was_made_does_not_double_the_run(place, monkeypatch):
    spool, _, connect = place
    fill(spool)
    delivery = connect()
    create = delivery.client.create_run
    calls = []

    def lossy(*arguments):
        run = create(*arguments)
        if not calls:
            calls.append(run.info.run_id)
            raise ConnectionError("the answer was lost")
        return run

    monkeypatch.setattr(delivery.client, "create_run", lossy)
    with pytest.raises(ConnectionError):
        delivery.step()
    delivery.step()
    assert calls[0] in delivery.run_ids.values()
    assert len(delivery.client.search_runs([delivery.experiment_id])) == 2


def test_a_deleted_run_costs_its_own_entries_only(place):
    spool, uri, connect = place
    fill(spool)
    delivery = connect()
    delivery.step()
    delivery.client.delete_run(delivery.run_ids["demo/screen/a"])
    journal = Journal(spool.parent / "demo_screen_a.jsonl", "demo/screen/a")
    journal.drain()
    journal.metrics(99, {"psnr_y": 1.0})
    AppendOnlyFile(spool / "spool.jsonl").append(journal.drain())
    fill(spool, key="demo/screen/b")
    delivery.step()
    assert len(points(uri, delivery.run_ids["demo/screen/b"])) == 10
    assert '"step": 99' in (spool / "rejected.jsonl").read_text()


def test_what_was_put_aside_because_runs_and_experiment_were_deleted_is_counted_and_told(place):
    spool, uri, connect = place
    journal = fill(spool)
    delivery = connect()
    delivery.step()
    assert Writer(spool, uri, "upsweep").refusals() == ""
    for run_id in delivery.run_ids.values():
        delivery.client.delete_run(run_id)
    delivery.client.delete_experiment(delivery.experiment_id)
    for step in (99, 100):
        journal.metrics(step, {"psnr_y": 1.0})
    journal.end("FINISHED")
    AppendOnlyFile(spool / "spool.jsonl").append(journal.drain())
    delivery.step()
    said = Writer(spool, uri, "upsweep").refusals()
    assert said.startswith("MLflow refused 3 entries of the record, the first because of MlflowException: ")
    assert f"they are in {spool}/rejected.jsonl, and the files of results are whole" in said
