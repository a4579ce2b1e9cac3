"""What a person finds in MLflow: documented filters find the runs they promise, and the pages show them."""

import re
import shutil
import subprocess
from urllib.parse import quote

import pytest
from helpers.mlflow_server import Server
from helpers.paths import ROOT
from helpers.webdriver import CHROMIUM

from orchestrator.tracking.journal import Journal
from orchestrator.tracking.run_key import RUNS_PAGE, VIEW_PAGE
from orchestrator.tracking.server import default_uri
from orchestrator.tracking.sweep_record import SweepRecord

DESIGNS = {"b4 bn shuffle adv=0.1": "batch", "b4 no-bn shuffle adv=0.3": "none"}


def documented_filters():
    """The filter strings of docs/mlflow.md."""
    return re.findall(r"^ {4}((?:tags|params|metrics)\..*)$", (ROOT / "docs/mlflow.md").read_text(), re.M)


@pytest.fixture
def store(tmp_path, migrated_database):
    """The folder of a database with one told sweep, and its experiment's id."""
    from orchestrator.tracking.delivery import Delivery

    shutil.copy(migrated_database, tmp_path / "server.db")
    uri = default_uri(tmp_path).replace("mlflow.db", "server.db")
    record = SweepRecord(tmp_path / "record", "demo", uri)
    record.writer.start = lambda: None  # delivered below, in this process
    record.start({"objective.perceptual": "swd", "objective.distortion": "psnr_y"}, {}, {})
    for k, (design, norm) in enumerate(DESIGNS.items()):
        config = {"run.seed": 1, "generator.norm": norm}
        stages = {"screen": "screened out at step 60 of 240", "confirm": "confirmed"}
        for stage, words in (stages | ({} if k else {"repeat": "repeated"})).items():
            name = f"{stage}-{k}"
            record.start_trial(stage, name, design, config)
            trial = Journal(tmp_path / f"{name}.jsonl", f"demo/{stage}/{name}")
            trial.metrics(10, {"val/psnr_y": 28.5 + k})
            record.append(trial.drain())
            best = (10, {"psnr_y": 28.625 + k, "swd": 101.0})
            record.end_trial(stage, name, words, {"gpu_hours": 0.1}, None, None, failed=False, best=best)
        evaluation = {"summary": {"swd": 100.0 + 30 * k}, "keys": ["a"], "per_image": {"psnr_y": [30.0]}}
        record.test("confirm", f"confirm-{k}", evaluation)
    record.finish({"status": "finished"}, [])
    delivery = Delivery(record.writer.spool_dir, uri, record.experiment)
    while delivery.step():
        pass
    return tmp_path, delivery


def test_the_documented_filters_find_the_runs_they_promise(store):
    _, delivery = store
    found = [
        [run.info.run_name for run in delivery.client.search_runs([delivery.experiment_id], text)]
        for text in documented_filters()
    ]
    assert found == [
        ["confirm b4 no-bn shuffle adv=0.3 seed 1"],
        ["screen b4 no-bn shuffle adv=0.3"],
        ["confirm b4 bn shuffle adv=0.1 seed 1"],
        ["repeat b4 bn shuffle adv=0.1 seed 1"],
    ]


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")
def test_the_pages_list_the_runs_and_complain_of_nothing(store):
    folder, delivery = store
    server = Server(folder)
    server.start()
    try:
        page = f"{server.uri}/#/experiments/{delivery.experiment_id}/runs"
        everything, console = look(page.removesuffix("runs") + RUNS_PAGE, folder / "profile")
        assert "6 matching runs" in everything
        names = [run.info.run_name for run in delivery.client.search_runs([delivery.experiment_id])]
        assert all(name in everything for name in names), "no trial is folded below the sweep"
        viewed, some = look(page.removesuffix("runs") + VIEW_PAGE, folder / "profile")
        assert "6 matching runs" in viewed and all(name in viewed for name in names)
        assert all(text in viewed for text in ("best/swd", "best/psnr_y", "28.625", "29.625"))
        sorted_by = quote("metrics.`test/swd`", safe="")  # without it children hide below their parent
        chosen = f"?searchFilter={quote(documented_filters()[0], safe='')}&orderByKey={sorted_by}"
        filtered, more = look(page + chosen, folder / "profile")
        assert "confirm b4 no-bn shuffle adv=0.3 seed 1" in filtered and "1 matching run" in filtered
        run = delivery.run_ids["demo/confirm/confirm-0"]
        shown, rest = look(f"{page}/{run}", folder / "profile")
        assert "generator.norm" in shown and "confirmed" in shown and "test/swd" in shown
    finally:
        server.kill()
    assert [line for line in console + some + more + rest if re.search("error|failed", line, re.I)] == []


def look(address, profile):
    """The text of the page after its scripts ran, and what they wrote on the console."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += ["--window-size=1280,900", "--virtual-time-budget=40000", "--enable-logging=stderr"]
    done = subprocess.run([*command, "--dump-dom", address], capture_output=True, text=True, timeout=120)
    text = re.sub(r"<style.*?</style>|<script.*?</script>|<[^>]+>", " ", done.stdout, flags=re.S)
    return " ".join(text.split()), [line for line in done.stderr.splitlines() if "CONSOLE" in line]
