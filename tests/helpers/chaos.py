"""A sweep under fire: processes and nodes killed at moments drawn from a seed, and what holds after it."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from helpers.paths import ROOT
from helpers.two_nodes import SETTINGS as RAY_SETTINGS
from helpers.two_nodes import TRIAL, TwoNodes, below, trials_below, wait_until_gone

from datasets.loader import TrainLoader, eval_pairs
from orchestrator.results.trial_report import TrialReport
from orchestrator.schedulers.successive_halving import SuccessiveHalving
from orchestrator.trial.inputs import open_role
from trainers.checkpoint import generator_weights
from trainers.config import from_flat
from trainers.evaluate import Evaluator
from trainers.numerics import use_threads
from trainers.objectives import Objectives
from trainers.state import History
from trainers.training import TrainingRun

STAGES = ("warm", "screen", "repeat", "confirm", "test")
LAST_PARTS = {"repeat": "repeat-1"}  # file of a stage's last part, if that has another name than the stage
SETTINGS = """
--recipe demo --repeat-top 2 --confirm-top 1 --confirm-seeds 2
--run.psnr-steps 40 --run.gan-steps 32 --run.psnr-eval-every-steps 20 --run.eval-every-steps 4
--run.log-every-steps 4 --run.checkpoint-every-steps 4 --optim.lr-psnr 3e-3 --run.ema-decay 0.9
--generator.channels 24 --generator.num-blocks 1 --discriminator.base-channels 8 --discriminator.num-layers 4
--data.crop-px 48 --data.batch-size 4 --data.eval-images 8
""".split()
SPACE = """
axes:
  generator.norm: [batch, none]
  loss.adversarial_weight: [0.1, 1.0]
trials: 4
rungs: 2
reduction: 2
"""
# entries that differ between two runs of one sweep: names, places and times
VOLATILE = (
    "trial_id",
    "of",
    "mlflow_run_id",
    "gpu_hours",
    "cpu_hours",
    "cost",
    "seconds",
    "inference",
    "checkpoint",
    "strip",
    "warm",
)
TIMED = ("data_wait_share", "gpu_hours", "cpu_hours", "cost", "steps_per_second", "seconds")


class Sweep:
    """One sweep under fire, in a folder of its own, on this machine or on a cluster of two nodes."""

    def __init__(self, words, nodes=False, with_second=True):
        self.folder = Path(tempfile.mkdtemp(prefix="up"))
        (self.folder / "space.yaml").write_text(SPACE)
        self.storage, self.words = self.folder / "store", [*SETTINGS, "--space", "space.yaml", *words]
        self.home = self.storage / "s"
        self.env = os.environ | RAY_SETTINGS | {"TMPDIR": str(self.folder)}
        self.env.pop("RAY_ADDRESS", None)
        self.nodes = TwoNodes(self.folder, self.storage, with_second) if nodes else None
        self.place = ["--address", self.nodes.address] if self.nodes else ["--local"]
        self.lost = 0

    def start(self, name="s"):
        begun = (self.storage / name / "sweep.json").exists()
        again = ["--resume", name] if begun else ["--name", name, *self.words]
        command = [sys.executable, str(ROOT / "experiments" / "sweep.py"), *again, *self.place]
        with open(self.folder / f"{name}.txt", "a") as log:
            return subprocess.Popen(
                [*command, "--storage", str(self.storage)],
                env=self.env,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def close(self):
        if self.nodes:
            self.nodes.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stage(self):
        files = {s: self.home / "stages" / f"{LAST_PARTS.get(s, s)}.json" for s in STAGES[:-1]}
        done = [s for s, file in files.items() if file.exists()]
        return STAGES[len(done)]

    def said(self, name="s"):
        """Return the end of the drivers' output."""
        return (self.folder / f"{name}.txt").read_text()[-3000:]

    def rows(self):
        return json.loads((self.home / "leaderboard.json").read_text())

    def ask(self, sql):
        with sqlite3.connect(self.storage / "mlflow.db") as database:
            return database.execute(sql).fetchall()

    def working(self, driver, kind, stage):
        """Return the processes that such a kill would affect: they train or, in the test stage, measure."""
        task = "ray::evaluate" if stage == "test" else TRIAL
        if self.nodes:
            return self.nodes.trials(second_only=kind == "raylet", task=task)
        return trials_below(driver.pid, task)

    def under_fire(self, kills, draw):
        """Run to the end through these (kind, earliest stage); return (kind, stage) of each kill."""
        hit, left = [], list(kills)
        driver = self.start()
        while driver.poll() is None:
            due = left and STAGES.index(left[0][1]) <= STAGES.index(self.stage())
            if not (due and self.working(driver, left[0][0], self.stage())):
                time.sleep(0.2)
                continue
            time.sleep(draw.uniform(0.0, 1.0 if self.stage() == "test" else 8.0))  # a test task takes seconds
            kind, stage = left[0][0], self.stage()
            trials = self.working(driver, kind, stage)
            if not trials or driver.poll() is not None:
                continue
            driver = self._kill(kind, driver, draw.choice(trials))
            left.pop(0)
            hit.append((kind, stage))
            print(f"killed {kind} in {stage}", flush=True)
        assert driver.returncode == 0, self.said()
        return hit

    def _kill(self, kind, driver, trial):
        """Kill; return the driver that runs then: this one, or the one that resumes."""
        if kind == "raylet":
            self.lost += len(self.nodes.lose_second())
            self.nodes.start_second()
        elif kind == "trial":
            os.kill(trial, signal.SIGKILL)
        else:
            others = below(driver.pid)
            driver.kill()
            driver.wait()
            wait_until_gone(others)
            return self.start()
        return driver


def bare(rows):
    """Return rows as they must be after any kills: without names, places and times."""
    kept = []
    for row in rows:
        row = {k: v for k, v in row.items() if k not in VOLATILE}
        row["metrics"] = {k: v for k, v in row["metrics"].items() if k != "data_wait_share"}
        row["candidates"] = [{k: v for k, v in c.items() if k != "checkpoint"} for c in row["candidates"]]
        row["verdict"] = row["verdict"].partition("; loader-bound")[0]
        kept.append(row)
    return sorted(kept, key=lambda r: (r["stage"], json.dumps(r["values"], sort_keys=True)))


def differences(rows, expected):
    """Return what differs between two leaderboards of `bare` rows: stage, design, entry and both values."""
    found = [] if len(rows) == len(expected) else [("rows", len(rows), len(expected))]
    for row, other in zip(rows, expected, strict=False):
        keys = [key for key in {**row, **other} if row.get(key) != other.get(key)]
        found += [(other["stage"], other["design"], key, row.get(key), other.get(key)) for key in keys]
    return found


def recorded(sweep):
    """Return (stage, values) -> the design's metrics in MLflow with their steps, without times."""
    found = {}
    for row in sweep.rows():
        sql = f"select key, step, value from metrics where run_uuid = '{row['mlflow_run_id']}'"
        name = (row["stage"], json.dumps(row["values"], sort_keys=True))
        found[name] = sorted(m for m in sweep.ask(sql) if not m[0].endswith(TIMED))
    return found


def fire(words, kinds, check, count, label, seed, nodes=False):
    """Run sweeps until all kills have hit a trial; return their number by kind."""
    draw, hit, lost = random.Random(seed), [], 0
    left = dict.fromkeys(kinds, count)
    while any(left.values()):
        sweep = Sweep(words, nodes)
        try:
            now = sweep.under_fire(_plan(left, draw), draw)
            check(sweep)
        finally:
            sweep.close()
        for kind, _ in now:
            left[kind] -= 1
        hit, lost = hit + now, lost + sweep.lost
        print(f"{label}: {len(hit)} kills so far: {dict(Counter(hit))}, {lost} files lost", flush=True)
    # two nodes that die early can have had empty disks, four hardly
    assert not nodes or lost or count < 4, "the disks that went had something on them"
    return Counter(kind for kind, _ in hit)


def _plan(left, draw):
    """Return one kill of each kind that is due in each stage, in any order: (kind, earliest stage)."""
    left = dict(left)
    plan = []
    for stage in STAGES:
        for kind in draw.sample(sorted(left), len(left)):
            if left[kind]:
                left[kind] -= 1
                plan.append((kind, stage))
    return plan


def nothing_lost_or_doubled(sweep):
    """Assert that every trial ended once and MLflow holds each run and metric once."""
    rows = sweep.rows()
    lost = [r["verdict"] for r in rows if r["verdict"].startswith(("failed", "unfinished"))]
    assert not lost, lost
    assert len({r["trial_id"] for r in rows}) == len(rows), "every trial ended exactly once"
    runs = dict(sweep.ask("select run_uuid, status from runs"))
    assert set(runs) == {r["mlflow_run_id"] for r in rows} | {
        json.loads((sweep.home / "sweep.json").read_text())["parent_run_id"]
    }, "no MLflow run orphaned or doubled"
    assert set(runs.values()) == {"FINISHED"}
    once = "select count(*) from (select distinct run_uuid, key, step from metrics)"
    assert sweep.ask("select count(*) from metrics") == sweep.ask(once)


def decisions_hold(sweep, rows):
    """Assert that a new scheduler repeats the logged decisions, and that the rungs hold each trial once."""
    state = json.loads((sweep.home / "stages" / "screen-decisions.json").read_text())
    config = from_flat(json.loads((sweep.home / "sweep.json").read_text())["request"]["config"])
    milestones = [int(m) for m in state["recorded"]]
    scheduler = SuccessiveHalving(Objectives.of(config.objective), milestones, 2)
    for event in state["events"]:
        assert scheduler.decide(event["trial"], TrialReport(**event["report"])) == event["decision"]
    again = json.loads(json.dumps(scheduler.get_state()))
    assert again == state
    stopped = {r["trial_id"].removeprefix("screen-"): r["rung"] for r in rows if r["rung"] is not None}
    assert stopped == state["stopped"]
    for milestone in milestones:
        reached = {r["trial_id"].removeprefix("screen-") for r in rows if r["steps"] >= milestone}
        assert set(state["recorded"][str(milestone)]) == reached, "no rung entry lost or doubled"


class Recorder:
    """A monitor that keeps the curve."""

    def __init__(self):
        self.points = []

    def report(self, state, progress):
        latest = progress.latest()
        self.points.append([state.step, latest["psnr_y"], latest["swd"]])

    def log(self, *_): ...
    def save(self, *_): ...
    def keep_candidate(self, *_): ...
    def drop_candidate(self, *_): ...


def curves_are_their_designs_own(sweep, rows):
    """Assert that each curve, up to its stop, is that of the design when run alone and undisturbed."""
    use_threads(1)
    device = torch.device("cpu")
    for row in rows:
        config = from_flat(row["config"])
        images = {role: open_role(config.data, role, sweep.storage) for role in ("train", "val")}
        loader = TrainLoader(images["train"], config.data, config.generator.scale, device=device)
        pairs = eval_pairs(images["val"], config.data, config.generator.scale, limit=config.data.eval_images)
        evaluator = Evaluator(pairs, ("psnr_y", "swd"), scale=config.generator.scale, device=device)
        monitor = Recorder()
        run = TrainingRun(config, loader, evaluator, monitor, device, stop=lambda: False)
        run.run_phase(run.new_phase("gan", generator_weights(sweep.storage / row["warm"])), History())
        assert row["curve"] == monitor.points[: len(row["curve"])]
        assert row["curve"][-1][0] == row["steps"]
