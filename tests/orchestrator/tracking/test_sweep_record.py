"""What the driver tells MLflow: costs, tables, the submission."""

import pytest
from pyarrow import parquet

from orchestrator.results import row
from orchestrator.results.trial_report import TrialReport, Usage
from orchestrator.tracking.run_key import VIEW_PAGE, VIEW_TAG, runs_view
from orchestrator.tracking.server import default_uri
from orchestrator.tracking.sweep_record import SweepRecord, per_image_table


@pytest.fixture
def told(tmp_path):
    """A record whose entries are kept here instead of being delivered."""
    record = SweepRecord(tmp_path / "record", "s", default_uri(tmp_path))
    record.entries = []
    record.writer.append = record.entries.extend
    return record


def of(record, kind):
    return [entry for entry in record.entries if entry["kind"] == kind]


def test_the_end_of_a_trial_has_its_verdict_and_costs(told):
    spent = row.cost_of(TrialReport(usage=Usage(7200.0, 360.0), device="cuda"), 0.5, 3.0)
    told.end_trial("screen", "screen-1", "screened out", spent, None, "s3://b/x", failed=False)
    assert of(told, "metrics")[0]["values"] == {
        "cost/gpu_hours": 1.0,
        "cost/cpu_hours": 0.1,
        "cost/total": 3.0,
    }
    assert of(told, "tags")[0]["tags"] == {"verdict": "screened out", "checkpoint": "s3://b/x"}


def test_what_the_sweep_judges_stands_at_its_step_beside_the_learning_curve(told):
    told.end_trial("screen", "screen-1", "screened", {}, None, None, failed=False, best=(180, {"swd": 90.5}))
    judged = next(e for e in of(told, "metrics") if "best/swd" in e["values"])
    assert (judged["step"], judged["values"]) == (180, {"best/swd": 90.5})


def test_runs_say_what_they_are_who_made_them_and_what_was_picked(told):
    told.writer.start = lambda: None
    told.start({}, {"command": "upsweep sweep --name s"}, {})
    told.start_trial("screen", "screen-1", "b4", {"run.seed": 0})
    answer = {"pick_design": "b4", "pick_reason": "better swd by 3"}
    told.finish(answer, [], pick={"swd": 90.5})
    tags = [entry["tags"] for entry in of(told, "start")]
    assert tags[0]["mlflow.source.name"] == "upsweep sweep --name s" and tags[0]["mlflow.user"]
    assert "best/METRIC is what the sweep judges" in tags[1]["mlflow.note.content"]
    assert of(told, "tags")[-1]["tags"]["mlflow.note.content"].startswith("Pick: b4 (better swd by 3). The")
    assert {"pick/swd": 90.5} in [entry["values"] for entry in of(told, "metrics")]


def test_the_objectives_of_a_sweep_are_the_columns_of_its_page(told):
    told.writer.start = lambda: None
    told.start({"objective.perceptual": "swd", "objective.distortion": "psnr_y"}, {}, {})
    (entry,) = of(told, "experiment_tags")
    assert entry["tags"] == {VIEW_TAG: runs_view("swd", "psnr_y")} and told.page == VIEW_PAGE


def test_without_objectives_there_is_no_view(told):
    told.writer.start = lambda: None
    told.start({}, {}, {})
    assert not of(told, "experiment_tags") and not told.page


def test_without_a_gpu_or_a_price_nothing_costs(told):
    spent = row.cost_of(TrialReport(usage=Usage(7200.0), device="cpu"), 0.0, 3.0)
    told.end_trial("screen", "screen-1", "screened out", spent, None, None, failed=True)
    assert of(told, "metrics")[0]["values"] == {"cost/gpu_hours": 0.0, "cost/cpu_hours": 0.0}


def test_test_numbers_of_every_image_are_a_table_on_the_confirmed_run(told):
    per_image = {"psnr_y": [30.0, 31.0], "warm/psnr_y": [29.0, 30.0], "bicubic/psnr_y": [28.0, 29.0]}
    told.test(
        "confirm", "confirm-0", {"summary": {"psnr_y": 30.5}, "keys": ["a", "b"], "per_image": per_image}
    )
    entry = of(told, "artifact")[0]
    assert entry["run_key"] == "s/confirm/confirm-0" and entry["artifact_path"] == "tables"
    lines = parquet.read_table(entry["path"]).to_pylist()
    assert len(lines) == 6
    assert {"image": "b", "model": "warm start", "metric": "psnr_y", "value": 30.0} in lines
    assert of(told, "metrics")[0]["values"] == {"test/psnr_y": 30.5}


def test_a_table_has_a_row_for_each_model_metric_and_image_in_order():
    table = per_image_table(["a", "b"], {("ours", "psnr_y"): [30, 31.0], ("bicubic", "psnr_y"): [28.0, 29.0]})
    assert table.column_names == ["image", "model", "metric", "value"]
    assert table.to_pydict()["value"] == [30.0, 31.0, 28.0, 29.0]
    with pytest.raises(ValueError, match="shorter"):
        per_image_table(["a", "b"], {("ours", "psnr_y"): [30.0]})
