"""Kills at moments drawn from a seed, counted: of a trial's process and of the driver, in every stage.

    UPSWEEP_CHAOS_KILLS=20 pytest -m slow -s tests/test_orchestrator_chaos.py

Deterministic setting (designs drawn before, nobody stopped): the leaderboard equals that of an undisturbed
sweep to the bit. Adaptive setting (TPE, early stopping): decisions depend on the order of arrival, so what is
checked is that nothing is lost, doubled or decided twice, and that every curve is that of its design alone.
"""

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

import pytest
import torch

from datasets.loader import TrainLoader, eval_pairs
from orchestrator.scheduler import Halving
from orchestrator.selection import Objectives
from orchestrator.trial import open_role
from trainers.checkpoint import generator_weights
from trainers.config import from_flat
from trainers.evaluate import Evaluator
from trainers.loop import Run
from trainers.state import Progress

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for trials in /proc"),
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(14400),
]
ROOT = Path(__file__).resolve().parent.parent
KILLS = int(os.environ.get("UPSWEEP_CHAOS_KILLS", "4"))
SEED = int(os.environ.get("UPSWEEP_CHAOS_SEED", "0"))
STAGES = ("warm", "screen", "confirm", "test")
A_SWEEP = 6  # kills that one sweep takes before it is left alone
SETTINGS = """
--recipe demo --confirm-top 1 --confirm-seeds 2 --local
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
DETERMINISTIC = ["--sampler", "grid", "--stopping", "none"]
ADAPTIVE = ["--sampler", "tpe", "--trials", "6"]
# what differs between two runs of the same thing: names, places and times
VOLATILE = ("trial_id", "of", "mlflow_run_id", "gpu_hours", "cpu_hours", "cost", "checkpoint", "strip")


class Sweep:
    """One sweep under fire, in a folder of its own."""

    def __init__(self, words):
        self.folder = Path(tempfile.mkdtemp(prefix="up"))
        (self.folder / "space.yaml").write_text(SPACE)
        self.storage, self.words = self.folder / "store", words
        self.home = self.storage / "s"
        self.env = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(self.folder)}
        self.env["RAY_worker_niceness"] = "0"  # on a busy machine polite workers take minutes to start
        self.env.pop("RAY_ADDRESS", None)

    def start(self):
        again = ["--resume", "s"] if (self.home / "sweep.json").exists() else ["--name", "s", *self.words]
        command = [sys.executable, str(ROOT / "experiments" / "sweep.py"), *again]
        log = open(self.folder / "log.txt", "a")
        with log:
            return subprocess.Popen(
                [*command, "--storage", str(self.storage)],
                env=self.env,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def stage(self):
        done = [s for s in ("warm", "screen", "confirm") if (self.home / "stages" / f"{s}.json").exists()]
        return STAGES[len(done)]

    def rows(self):
        return json.loads((self.home / "leaderboard.json").read_text())

    def ask(self, sql):
        with sqlite3.connect(self.storage / "mlflow.db") as database:
            return database.execute(sql).fetchall()

    def under_fire(self, kills, draw):
        """Run to the end through these (kind, earliest stage); (kind, stage) of each that hit something."""
        hit, left = [], list(kills)
        driver = self.start()
        while driver.poll() is None:
            due = left and STAGES.index(left[0][1]) <= STAGES.index(self.stage()) < 3
            if not (due and working(driver)):
                time.sleep(0.2)
                continue
            time.sleep(draw.uniform(0.0, 8.0))
            stage = self.stage()
            kind = left[0][0]
            if kind == "driver":
                victim = driver.pid
            else:
                trials = working(driver)
                victim = draw.choice(trials) if trials else None
            if victim is None or driver.poll() is not None or stage == "test":
                continue
            others = below(driver.pid)
            os.kill(victim, signal.SIGKILL)
            left.pop(0)
            hit.append((kind, stage))
            print(f"killed {kind} in {stage}", flush=True)
            if victim == driver.pid:
                driver.wait()
                wait_until_gone(others)
                driver = self.start()
        assert driver.returncode == 0, (self.folder / "log.txt").read_text()[-3000:]
        return hit


def below(pid):
    """Every process below one, by Linux' own table."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # it ended meanwhile
            continue
    found, front = [], [pid]
    while front:
        front = [child for child, parent in parents.items() if parent in front]
        found += front
    return found


def working(driver):
    """Processes of trials at work below a driver."""
    found = []
    for pid in below(driver.pid):
        try:
            if "ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
        except OSError:
            continue
    return found


def wait_until_gone(pids, seconds=60):
    """A killed driver's Ray goes down by itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.2)


@pytest.fixture
def sweep_of():
    """sweep_of(words) -> a Sweep; its folder goes with the test unless it failed."""
    made = []

    def go(words):
        made.append(Sweep([*SETTINGS, "--space", "space.yaml", *words]))
        return made[-1]

    yield go
    for sweep in made:
        shutil.rmtree(sweep.folder, ignore_errors=True)


def bare(rows):
    """Rows as they must be after any kills: without what names, places and clocks put in."""
    kept = []
    for row in rows:
        row = {k: v for k, v in row.items() if k not in VOLATILE}
        row["metrics"] = {k: v for k, v in row["metrics"].items() if k != "data_wait_share"}
        row["candidates"] = [{k: v for k, v in c.items() if k != "checkpoint"} for c in row["candidates"]]
        row["verdict"] = row["verdict"].partition("; loader-bound")[0]
        kept.append(row)
    return sorted(kept, key=lambda r: (r["stage"], json.dumps(r["values"], sort_keys=True)))


def fire(sweep_of, words, check, count, label):
    """Sweep after sweep, each through some of the kills, until all of them hit; what was hit."""
    draw, hit = random.Random(SEED), []
    kinds = [("driver", "trial")[k % 2] for k in range(2 * count)]
    while kinds:
        sweep = sweep_of(words)
        stages = sorted((STAGES[k // 2 % 3] for k in range(A_SWEEP)), key=STAGES.index)
        now = sweep.under_fire(list(zip(kinds, stages, strict=False)), draw)
        for kind, _ in now:
            kinds.remove(kind)
        check(sweep)
        hit += now
        shutil.rmtree(sweep.folder)
        print(f"{label}: {len(hit)} kills so far: {dict(Counter(hit))}", flush=True)
    return Counter(kind for kind, _ in hit)


def nothing_lost_or_doubled(sweep):
    """What holds in both settings."""
    rows = sweep.rows()
    assert not [r["verdict"] for r in rows if r["verdict"].startswith(("failed", "unfinished"))]
    assert len({r["trial_id"] for r in rows}) == len(rows), "every trial ended exactly once"
    runs = dict(sweep.ask("select run_uuid, status from runs"))
    assert set(runs) == {r["mlflow_run_id"] for r in rows} | {
        json.loads((sweep.home / "sweep.json").read_text())["parent_run_id"]
    }, "no MLflow run orphaned or doubled"
    assert set(runs.values()) == {"FINISHED"}
    once = "select count(*) from (select distinct run_uuid, key, step from metrics)"
    assert sweep.ask("select count(*) from metrics") == sweep.ask(once)


def test_deterministic_setting_gives_the_same_leaderboard_to_the_bit(sweep_of):
    undisturbed = sweep_of(DETERMINISTIC)
    assert undisturbed.under_fire([], random.Random(0)) == []
    expected = bare(undisturbed.rows())
    assert [r["stage"] for r in expected] == ["confirm"] * 2 + ["screen"] * 4 + ["test"] * 2 + ["warm"] * 2

    def check(sweep):
        nothing_lost_or_doubled(sweep)
        assert bare(sweep.rows()) == expected

    assert fire(sweep_of, DETERMINISTIC, check, KILLS, "deterministic") == {"driver": KILLS, "trial": KILLS}


def test_adaptive_setting_keeps_its_word(sweep_of):
    def check(sweep):
        nothing_lost_or_doubled(sweep)
        rows = [r for r in sweep.rows() if r["stage"] == "screen"]
        assert len(rows) == 6
        decisions_hold(sweep, rows)
        curves_are_their_designs_own(sweep, rows)

    assert fire(sweep_of, ADAPTIVE, check, KILLS, "adaptive") == {"driver": KILLS, "trial": KILLS}


def decisions_hold(sweep, rows):
    """The log, told to a new scheduler, gives the same answers; the rungs hold each trial once."""
    state = json.loads((sweep.home / "stages" / "screen-decisions.json").read_text())
    config = from_flat(json.loads((sweep.home / "sweep.json").read_text())["request"]["config"])
    milestones = [int(m) for m in state["recorded"]]
    scheduler = Halving(Objectives.of(config.objective), milestones, 2)
    for event in state["events"]:
        assert scheduler.decide(event["trial"], event["told"]) == event["answer"]
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
    """Each trial's curve, up to its stop, is what its design gives when it is run alone and undisturbed."""
    torch.set_num_threads(1)
    device, warm = torch.device("cpu"), {}
    for path in (sweep.storage / "warm").glob("*/checkpoint"):
        warm[json.loads((path / "config.json").read_text())["generator.norm"]] = path
    for row in rows:
        config = from_flat(row["config"])
        images = {role: open_role(config.data, role, sweep.storage) for role in ("train", "val")}
        loader = TrainLoader(images["train"], config.data, config.generator.scale, device=device)
        pairs = eval_pairs(images["val"], config.data, config.generator.scale, limit=config.data.eval_images)
        evaluator = Evaluator(pairs, ("psnr_y", "swd"), scale=config.generator.scale, device=device)
        monitor = Recorder()
        run = Run(config, loader, evaluator, monitor, device, stop=lambda: False)
        run.phase(run.start("gan", generator_weights(warm[config.generator.norm])), Progress())
        assert row["curve"] == monitor.points[: len(row["curve"])]
        assert row["curve"][-1][0] == row["steps"]
