"""Sweeps on a cluster that others use too and whose nodes come and go."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from helpers import two_nodes
from helpers.chaos import Sweep

from trainers import checkpoint

pytestmark = [
    pytest.mark.skipif(not two_nodes.possible(), reason="needs mount namespaces"),
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
]


def until(true, sweep, driver, what, seconds=1200):
    """Wait for something that a running sweep is to do."""
    end = time.monotonic() + seconds
    while not true():
        assert driver.poll() is None and time.monotonic() < end, f"{what} did not happen: {sweep.said()}"
        time.sleep(0.2)


def test_a_node_that_joins_is_used_and_may_leave_again():
    sweep = Sweep(["--sampler", "tpe", "--trials", "8"], nodes=True, with_second=False)
    try:
        driver = sweep.start()
        until(sweep.nodes.trials, sweep, driver, "a trial on the head")
        assert len(sweep.nodes.trials()) == 1 and "1 node, 0 GPUs, 1 CPU cores now" in sweep.said()
        sweep.nodes.start_second()
        until(lambda: sweep.stage() == "screen", sweep, driver, "the screening")
        until(lambda: sweep.nodes.trials(second_only=True), sweep, driver, "a trial on the new node")
        assert "nodes have joined: 2 trials at once" in sweep.said()
        until(sweep.nodes.files, sweep, driver, "work on the new node's own disk")
        sweep.nodes.lose_second()
        until(lambda: "nodes have left: 1 trial at once" in sweep.said(), sweep, driver, "the loss")
        assert driver.wait(1800) == 0, sweep.said()
        rows = sweep.rows()
        assert [r["stage"] for r in rows].count("screen") == 8
        assert not [r["verdict"] for r in rows if r["verdict"].startswith(("failed", "unfinished"))]
    finally:
        sweep.close()


def test_two_sweeps_on_one_cluster_and_one_storage_do_not_mix():
    """The same images, space and seed, so the same warm starts, started together with nothing there yet."""
    sweep = Sweep(["--sampler", "tpe", "--trials", "4"], nodes=True)
    names = ("s", "other")
    try:
        drivers = {name: sweep.start(name) for name in names}
        for name, driver in drivers.items():
            assert driver.wait(1800) == 0, f"{name}: {sweep.said(name)}"
        found = {name: json.loads((sweep.storage / name / "leaderboard.json").read_text()) for name in names}
        for name, rows in found.items():
            stages = [r["stage"] for r in rows]
            assert [stages.count(s) for s in ("screen", "confirm", "test")] == [4, 2, 2]
            assert stages.count("warm") <= 2, "one per architecture, or none where the other sweep has it"
            assert not [r["verdict"] for r in rows if r["verdict"].startswith(("failed", "unfinished"))]
            own = optuna.load_study(study_name=None, storage=f"sqlite:///{sweep.storage / name / 'study.db'}")
            assert own.study_name == f"{name}-screen" and len(own.trials) == 4
            trials = {r["trial_id"].removeprefix("screen-") for r in rows if r["stage"] == "screen"}
            assert {t.user_attrs["trial"] for t in own.trials} == trials
            kept = [Path(r["checkpoint"]) for r in rows if r["checkpoint"]]
            assert kept and all(path.is_relative_to(sweep.storage / name) for path in kept)
        nobody_elses_runs(sweep, found)
        warm_starts_are_whole(sweep)
    finally:
        sweep.close()


def nobody_elses_runs(sweep, found):
    """Each sweep has an experiment with its own parent and children, and no metric of the other."""
    with closing(sqlite3.connect(sweep.storage / "mlflow.db")) as database:
        sql = "select r.run_uuid, e.name, r.status from runs r join experiments e using (experiment_id)"
        runs = {run: (experiment, status) for run, experiment, status in database.execute(sql)}
        tags = "select run_uuid, value from tags where key = 'upsweep.run_key'"
        keys = dict(database.execute(tags))
    for name, rows in found.items():
        parent = json.loads((sweep.storage / name / "sweep.json").read_text())["parent_run_id"]
        own = {run for run, (experiment, _) in runs.items() if experiment == f"upsweep/{name}"}
        assert own == {r["mlflow_run_id"] for r in rows} | {parent}
        assert {keys[run].partition("/")[0] for run in own} == {name}
        assert all(keys[r["mlflow_run_id"]].endswith(r.get("of", r["trial_id"])) for r in rows)
    assert {status for _, status in runs.values()} == {"FINISHED"}


def warm_starts_are_whole(sweep):
    """One marker per architecture; what it names, and whatever else was published, has its hashes."""
    keys = sorted((sweep.storage / "warm").iterdir())
    assert len(keys) == 2
    for key in keys:
        named = json.loads((key / "done.json").read_text())["checkpoint"]
        copies = [path for path in key.iterdir() if path.is_dir()]
        assert key / named in copies and len(copies) <= 2, "trained at most twice"
        for copy in copies:
            checkpoint.verify(copy)
