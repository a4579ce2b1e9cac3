"""A whole sweep, small, through its own command: what it leaves behind, and that a kill costs nothing."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
import pytest
from helpers import own_code
from helpers.paths import ROOT
from helpers.small_sweep import NETWORKS
from PIL import Image

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]

TINY = (
    """
--recipe demo --space balance --trials 3 --repeat-top 1 --confirm-top 1 --confirm-seeds 2 --local
--run.psnr-steps 60 --run.gan-steps 12 --run.psnr-eval-every-steps 20 --run.eval-every-steps 2
--run.log-every-steps 5 --run.checkpoint-every-steps 4
""".split()
    + NETWORKS
)


class Place:
    """A storage of its own, and a temporary folder whose path is short enough for Ray's sockets."""

    def __init__(self, folder):
        self.folder, self.storage = Path(folder), Path(folder) / "store"
        self.env = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TMPDIR": str(folder)}
        self.env.pop("RAY_ADDRESS", None)

    def command(self, script, *words):
        return [sys.executable, str(ROOT / "experiments" / script), *words, "--storage", str(self.storage)]

    def run(self, script, *words):
        return subprocess.run(
            self.command(script, *words), env=self.env, cwd=self.folder, capture_output=True, text=True
        )

    def start(self, script, *words):
        log = open(self.folder / "log.txt", "a")
        with log:
            return subprocess.Popen(
                self.command(script, *words),
                env=self.env,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def rows(self, name):
        return json.loads((self.storage / name / "leaderboard.json").read_text())

    def facts(self, name):
        return json.loads((self.storage / name / "sweep.json").read_text())

    def ask(self, sql, *values):
        with sqlite3.connect(self.storage / "mlflow.db") as database:
            return database.execute(sql, values).fetchall()


@pytest.fixture
def place():
    folder = tempfile.mkdtemp(prefix="up")
    yield Place(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def finished():
    """One sweep, looked at by several tests."""
    folder = tempfile.mkdtemp(prefix="up")
    place = Place(folder)
    done = place.run("sweep.py", "--name", "tiny", *TINY)
    assert done.returncode == 0, done.stderr
    place.said = done.stdout
    yield place
    shutil.rmtree(folder, ignore_errors=True)


def test_it_says_where_it_runs_what_it_plans_and_what_comes_next(finished):
    said = finished.said
    assert "running on this machine: 1 node, 0 GPUs" in said
    assert "warm     1 PSNR run of 60 steps" in said
    assert "pick: " in said
    assert f"report:  {finished.storage}/tiny/report.html" in said
    assert f"promote: upsweep promote tiny --storage {finished.storage}" in said
    assert (finished.storage / "tiny" / "report.html").stat().st_size > 10_000


STAGES = ["warm", *["screen"] * 3, *["repeat"] * 3, *["warm"] * 3, *["confirm"] * 2, *["test"] * 3]
"""The confirmation warms two seeds, and trains a longer PSNR phase, which is tested beside both."""


def test_the_leaderboard_holds_what_everything_else_relies_on(finished):
    rows = finished.rows("tiny")
    assert [r["stage"] for r in rows] == STAGES
    for row in rows:
        keys = "trial_id stage config metrics protocol verdict seed gpu_hours mlflow_run_id design curve"
        assert set(keys.split()) <= set(row)
        assert {"psnr_y", "swd", "ssim_y", "bicubic/psnr_y", "bicubic/swd"} <= set(row["metrics"])
        assert row["config"]["generator.channels"] == 24
        assert set(row["protocol"]) >= {"psnr_y", "swd"}
        assert row["gpu_hours"] == 0
    assert len({r["trial_id"] for r in rows}) == len(rows)
    confirmed, tested = [[r for r in rows if r["stage"] == s] for s in ("confirm", "test")]
    assert {r["seed"] for r in confirmed} == {1, 2}
    gans, longer = tested[:2], tested[2]
    assert [r["of"] for r in gans] == [r["trial_id"] for r in confirmed]
    assert longer["of"] in {r["trial_id"] for r in rows if r["stage"] == "warm"} and longer["steps"] > 60
    assert all(set(r["sentinels"]) == {"sharpened", "noisy", "longer", "grid"} for r in gans)
    assert all(len(r["per_image"]["psnr_y"]) == len(r["keys"]) > 20 for r in tested)
    assert all(Path(r["checkpoint"], "manifest.json").exists() for r in confirmed)


def test_verdicts_are_words_and_no_trial_is_left_without_one(finished):
    verdicts = {r["trial_id"]: r["verdict"] for r in finished.rows("tiny")}
    known = ("PSNR phase trained", "screened to the end", "repeated", "confirmed", "measured on test")
    psnr = [v for trial, v in verdicts.items() if trial.startswith("psnr-")]
    assert len(psnr) == 1 and re.fullmatch(r"measured on test: a PSNR phase of \d+ steps", psnr[0])
    assert all(v.startswith(known) for v in verdicts.values() if v not in psnr), verdicts


def test_sweep_json_is_the_sweeps_own_account(finished):
    facts = finished.facts("tiny")
    assert facts["status"] == "finished" and facts["started"] < facts["ended"]
    assert facts["warm_starts"] == {"trained": 1, "reused": 0}
    assert facts["counts"]["screen"] == 3 and facts["counts"]["diverged"] == 0
    confirmed = [r for r in finished.rows("tiny") if r["stage"] == "confirm"]
    assert facts["gan_pick"] in [r["trial_id"] for r in confirmed]
    [longer] = [r["trial_id"] for r in finished.rows("tiny") if r["trial_id"].startswith("psnr-")]
    assert facts["pick"] == (longer if facts["unbeaten"] else facts["gan_pick"])
    assert facts["front"] == [r["trial_id"] for r in confirmed]
    assert {"val", "test"} == set(facts["bicubic"])


@pytest.mark.slow
def test_a_whole_sweep_of_two_ranks_per_trial_on_just_enough_cores(place):
    """That a trial ends as in one process is test_orchestrator_distributed_ray's business."""
    if len(os.sched_getaffinity(0)) != 2:
        pytest.skip("for two cores: a driver that held one would wait for its own ranks")
    words = ("--ranks-per-trial", "2", "--trials", "1", "--repeat-top", "0", "--confirm-seeds", "1")
    done = place.run("sweep.py", "--name", "pair", *TINY, *words)
    assert done.returncode == 0, done.stderr
    assert "crops, shared by 2 ranks" in done.stdout
    rows = place.rows("pair")
    assert [r["stage"] for r in rows] == ["warm", "screen", *["warm"] * 2, "confirm", *["test"] * 2]
    assert all(r["finished"] and r["cpu_hours"] > 0 and r["gpu_hours"] == 0 for r in rows)
    curves = [len(r["curve"]) for r in rows]
    assert sorted(curves[2:4]) == [3, 4], "the longer PSNR phase has one evaluation more"
    assert curves[:2] + curves[4:] == [3, 7, 7, 0, 0], "once each, though two ranks measure"
    assert place.facts("pair")["request"]["ranks_per_trial"] == 2
    params = dict(place.ask("select key, value from params where run_uuid = ?", rows[4]["mlflow_run_id"]))
    assert params["generator.channels"] == "24", "one run, as of any trial"


def test_mlflow_has_a_parent_and_a_child_for_each_trial(finished):
    facts, rows = finished.facts("tiny"), finished.rows("tiny")
    runs = dict(finished.ask("select run_uuid, status from runs"))
    children = {r["mlflow_run_id"] for r in rows}
    assert set(runs) == children | {facts["parent_run_id"]}, "one run for each, and no others"
    assert len(children) == 12, "a network's test numbers belong to the run that trained it"
    assert set(runs.values()) == {"FINISHED"}
    parents = finished.ask("select distinct value from tags where key = 'mlflow.parentRunId'")
    assert parents == [(facts["parent_run_id"],)]
    for row in rows:
        params = dict(finished.ask("select key, value from params where run_uuid = ?", row["mlflow_run_id"]))
        assert params["generator.channels"] == "24"
        assert float(params["loss.adversarial_weight"]) == row["config"]["loss.adversarial_weight"]
    for row in (r for r in rows if r["stage"] == "test"):
        sql = "select value from metrics where run_uuid = ? and key = 'test/psnr_y'"
        assert finished.ask(sql, row["mlflow_run_id"]) == [(row["metrics"]["psnr_y"],)]


def test_every_gan_trial_has_a_strip_and_no_number_twice(finished):
    artifacts = finished.storage / "mlartifacts"
    for row in finished.rows("tiny"):
        found = list(artifacts.glob(f"{row['mlflow_run_id']}/artifacts/images/strip.*"))
        assert len(found) == (not row["trial_id"].startswith(("warm-", "psnr-")))
    total = "select count(*) from metrics"
    once = "select count(*) from (select distinct run_uuid, key, step from metrics)"
    assert finished.ask(total) == finished.ask(once) != [(0,)]


def test_a_second_sweep_reuses_the_warm_start_and_the_pick_can_be_judged(finished):
    plan = finished.run("sweep.py", "--name", "again", "--dry-run", *TINY)
    assert "0 PSNR runs of 60 steps, one per architecture (1 more are there already)" in plan.stdout
    judged = finished.run("promote.py", "tiny", "--dry-run")
    assert judged.returncode in (0, 3), judged.stderr
    assert "Traceback" not in judged.stderr and "psnr_y" in judged.stdout


def wait_for(condition, process, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.05)


OTHERS = [pytest.param(stage, marks=pytest.mark.slow) for stage in ("screen", "repeat", "confirm")]


@pytest.mark.parametrize("stage", ["warm", *OTHERS])
def test_a_killed_driver_resumes_and_nothing_is_lost_or_doubled(stage, place):
    """Killed while the stage's first checkpoint exists and its rows do not; in warm, two designs wait."""
    words = " ".join(TINY).replace("--generator.num-blocks 1 ", "").split()  # the space varies them
    words += ["--space", "demo", "--trials", "4"]
    driver = place.start("sweep.py", "--name", "tiny", *words)
    trials = place.storage / "tiny" / "trials"
    wait_for(lambda: list(trials.glob(f"{stage}-*/attempt-*/*/manifest.json")), driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    part = "repeat-0" if stage == "repeat" else stage
    assert not (place.storage / "tiny" / "stages" / f"{part}.json").exists()
    started = place.facts("tiny")["started"]

    refused = place.run("sweep.py", "--name", "tiny", *words)
    assert refused.returncode == 2 and "resume it with --resume tiny" in refused.stderr
    done = place.run("sweep.py", "--resume", "tiny")
    assert done.returncode == 0, done.stderr
    rows, facts = place.rows("tiny"), place.facts("tiny")
    assert facts["started"] == started and facts["status"] == "finished"
    stages = [r["stage"] for r in rows]
    assert [stages.count(s) for s in ("warm", "screen", "repeat", "confirm")] == [7, 4, 3, 2]
    assert stages.count("test") in (3, 4), "one more if a warm start is better than the longer PSNR phase"
    assert not [r["verdict"] for r in rows if r["verdict"].startswith(("failed", "unfinished"))]
    runs = place.ask("select run_uuid, status from runs")
    assert len(runs) == 1 + 7 + 4 + 3 + 2, "no run orphaned or doubled"
    assert {status for _, status in runs} == {"FINISHED"}
    assert all(r["mlflow_run_id"] in dict(runs) for r in rows)
    total = "select count(*) from metrics"
    assert place.ask(total) == place.ask(
        "select count(*) from (select distinct run_uuid, key, step from metrics)"
    )


@pytest.mark.slow
def test_own_network_loss_and_metric_are_killed_resumed_promoted_and_used_without_their_file(place):
    path = own_code.write(place.folder)
    own = ("--generator.kind", "mine.py:Net", "--objective.perceptual", "mine.py:score")
    own += ("--loss.extra", "mine.py:edge_loss", "--loss.extra-weight", "0.1", "--generator.norm", "batch")
    own += ("--trials", "1", "--repeat-top", "0", "--confirm-seeds", "1")
    driver = place.start("sweep.py", "--name", "tiny", *TINY, *own)
    wait_for(
        lambda: list((place.storage / "tiny" / "trials").glob("screen-*/attempt-*/*/manifest.json")), driver
    )
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    path.unlink()
    done = place.run("sweep.py", "--resume", "tiny")
    assert done.returncode == 0, done.stderr
    rows = place.rows("tiny")
    assert [r["stage"] for r in rows] == ["warm", "screen", *["warm"] * 2, "confirm", *["test"] * 2]
    pinned = {name: rows[0]["config"][name] for name in ("generator.kind", "loss.extra")}
    assert re.fullmatch(r"mine\.py:Net-[0-9a-f]{12}", pinned["generator.kind"])
    assert all(r["config"] == r["config"] | pinned and r["finished"] for r in rows)
    (score,) = {m for r in rows for m in r["metrics"] if m.startswith("mine.py:score-")}
    assert score in (place.storage / "tiny" / "report.html").read_text()

    promoted = place.run("promote.py", "tiny", "--force", "it is a toy")
    assert promoted.returncode == 0 and "upsweep-tiny v1: promoted to champion" in promoted.stdout
    cards = place.ask("select description from model_versions")
    assert all(value in cards[0][0] for value in (*pinned.values(), score))
    Image.new("RGB", (20, 12), "teal").save(place.folder / "a.png")
    words = [sys.executable, str(ROOT / "experiments/upscale.py"), "a.png", "--model"]
    words += ["models:/upsweep-tiny@champion", "--tracking-uri", f"sqlite:///{place.storage}/mlflow.db"]
    subprocess.run(words, env=place.env, cwd=place.folder, check=True)
    assert Image.open(place.folder / "upscaled/a_x4.png").size == (80, 48)


@pytest.mark.slow
def test_own_code_that_only_workers_cannot_import_is_one_sentence_before_anything_is_trained(place):
    broken = "import os\nif {'RAY_RAYLET_PID', 'RAY_JOB_ID'} & os.environ.keys(): import absent_here\n"
    own_code.write(place.folder, broken + own_code.CODE)
    words = ("--name", "tiny", *TINY, "--generator.kind", "mine.py:Net", "--generator.norm", "batch")
    done = place.run("sweep.py", *words)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if "absent_here" in line]
    assert re.search(r"generator.kind mine.py:Net-\w+: ModuleNotFoundError: No module named", sentence)
    own_code.write(place.folder)  # mended: the name is free, and nothing was trained
    plan = place.run("sweep.py", *words, "--dry-run")
    assert plan.returncode == 0 and "warm     1 PSNR run of 60 steps" in plan.stdout


@pytest.mark.slow
def test_a_population_killed_twice_ends_as_an_undisturbed_one(place):
    """What is decided between two parts follows from their rows, so the answer is the same to the bit."""
    words = [*TINY, "--trials", "5", "--stopping", "pbt", "--run.ema-decay", "0.5"]
    done = place.run("sweep.py", "--name", "quiet", *words)
    assert done.returncode == 0, done.stderr
    assert "the last quarter takes over from the first at 6" in done.stdout
    shutil.rmtree(place.storage / "warm")  # the second sweep is to be killed as often as it likes
    trials = place.storage / "tiny" / "trials"
    for part in ("g0", "g1"):
        begin = ["--resume", "tiny"] if part == "g1" else ["--name", "tiny", *words]
        driver = place.start("sweep.py", *begin)
        wait_for(lambda p=part: list(trials.glob(f"screen-{p}-*/attempt-*/*/manifest.json")), driver)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    done = place.run("sweep.py", "--resume", "tiny")
    assert done.returncode == 0, done.stderr

    def told(name):
        kept = ("stage", "design", "verdict", "curve", "course", "steps", "trial_id")
        numbers = ("psnr_y", "swd", "ssim_y")
        return [{k: r.get(k) for k in kept} | {m: r["metrics"][m] for m in numbers} for r in place.rows(name)]

    assert told("tiny") == told("quiet")
    screened = [r for r in place.rows("tiny") if r["stage"] == "screen"]
    assert len(screened) == 5 and sum("took over" in r["verdict"] for r in screened) == 1
    decided = json.loads((place.storage / "tiny" / "stages" / "screen-decisions.json").read_text())
    assert [d["step"] for d in decided] == [6]


@pytest.mark.slow
def test_a_population_whose_members_span_two_ranks_decides_as_one_of_single_processes(place):
    """Each part of a member is a trial of its own, and so is its group of ranks."""
    words = [*TINY, "--trials", "5", "--confirm-seeds", "1", "--stopping", "pbt", "--run.ema-decay", "0.5"]
    for name, ranks in (("alone", "1"), ("pair", "2")):
        done = place.run("sweep.py", "--name", name, *words, "--ranks-per-trial", ranks)
        assert done.returncode == 0, done.stderr
    alone, pair = place.rows("alone"), place.rows("pair")
    stages = ["screen"] * 5 + ["repeat"] * 3
    assert [r["stage"] for r in alone] == ["warm", *stages, *["warm"] * 2, "confirm", *["test"] * 2]
    assert [r["stage"] for r in pair] == [*stages, "confirm", *["test"] * 2], "warm starts are shared"
    shared = [r for r in alone if r["stage"] != "warm"]
    for ours, theirs in zip(pair, shared, strict=True):  # the same sums in another order
        assert ours["design"] == theirs["design"]
        assert ours["metrics"]["psnr_y"] == pytest.approx(theirs["metrics"]["psnr_y"], abs=0.02)
        assert ours["metrics"]["swd"] == pytest.approx(theirs["metrics"]["swd"], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_in_good_order_and_says_how_to_go_on(place, number, code):
    """The signal goes to the whole process group, as from timeout(1), a scheduler or a terminal."""
    driver = place.start("sweep.py", "--name", "tiny", *TINY, "--run.gan-steps", "400")
    trials = place.storage / "tiny" / "trials"
    wait_for(lambda: list(trials.glob("screen-*/attempt-*/*/manifest.json")), driver)
    os.killpg(driver.pid, number)
    assert driver.wait(timeout=120) == code
    said = (place.folder / "log.txt").read_text()
    assert "Traceback" not in said
    assert f"stopped; resume it with: upsweep sweep --resume tiny --storage {place.storage}" in said
    assert place.facts("tiny")["status"] == "interrupted"
    assert ("KILLED",) in place.ask("select status from runs")


@pytest.mark.slow
def test_without_a_psnr_phase_bicubic_is_what_to_beat(place):
    words = [*TINY, "--trials", "2", "--confirm-seeds", "1", "--run.psnr-steps", "0"]
    done = place.run("sweep.py", "--name", "scratch", *words)
    assert done.returncode == 0, done.stderr
    assert "warm     none: networks start from random weights, and bicubic is what to beat" in done.stdout
    rows = place.rows("scratch")
    assert [r["stage"] for r in rows] == ["screen"] * 2 + ["repeat"] * 3 + ["confirm", "test"]
    for row in rows:
        assert row["metrics"]["warm/psnr_y"] == row["metrics"]["bicubic/psnr_y"] and row["warm"] is None
    assert place.facts("scratch")["pick"] == "confirm-0-s0"


@pytest.mark.slow
def test_a_fidelity_sweep_has_no_gan_phase_and_its_pick_is_judged_by_the_gate(place):
    words = ["--trials", "2", "--confirm-top", "1", "--confirm-seeds", "1", "--space", "fidelity_balance"]
    words += ["--run.gan-steps", "0", "--objective.perceptual", "ssim_y", "--objective.delta-db", "3"]
    words += ["--optim.lr-psnr", "1e-3"]  # the recipe's: the space varies it
    done = place.run("sweep.py", "--name", "fidelity", *TINY, *words)
    assert done.returncode == 0, done.stderr
    assert "screen   2 trials of up to 60 PSNR steps" in done.stdout
    rows = place.rows("fidelity")
    assert [r["stage"] for r in rows] == ["screen"] * 2 + ["confirm", "test"]
    assert all(r["max_steps"] == 60 and r["warm"] is None and not r.get("sentinels") for r in rows)
    facts = place.facts("fidelity")
    assert (
        facts["pick"] == "confirm-0-s0" and "below bicubic, LR consistency of 32 dB" in facts["pick_reason"]
    )
    promoted = place.run("promote.py", "fidelity", "--dry-run")
    assert promoted.returncode in (0, 3) and "LR consistency of" in promoted.stdout, promoted.stderr


@pytest.mark.slow
def test_a_sweep_in_which_nothing_was_confirmed_says_so_by_its_exit_code(place):
    words = [*TINY, "--trials", "1", "--optim.lr-g", "1e30"]
    done = place.run("sweep.py", "--name", "broken", *words)
    assert done.returncode == 3, done.stderr
    assert "no design was confirmed, so there is nothing to promote" in done.stderr
    assert "--status broken" in done.stderr and "promote:" not in done.stdout


MINE = """
from orchestrator.search.space import LogFloat, Space

class Mine(Space):
    def __init__(self):
        super().__init__(name="mine", axes={"loss.adversarial_weight": LogFloat(0.01, 1)}, trials=3)
"""


@pytest.mark.slow
def test_another_shell_stops_a_sweep_of_a_users_own_space_and_it_goes_on_without_the_file(place):
    path = place.folder / "mine.py"
    path.write_text(MINE)
    words = [*TINY, "--space", f"{path}:Mine", "--run.gan-steps", "200"]
    driver = place.start("sweep.py", "--name", "tiny", *words)
    trials = place.storage / "tiny" / "trials"
    wait_for(lambda: list(trials.glob("screen-*/attempt-*/*/manifest.json")), driver)
    assert "tiny: running" in place.run("sweep.py", "--status", "tiny").stdout
    stopped = place.run("sweep.py", "--stop", "tiny")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout.startswith("stopped; resume it with: upsweep sweep --resume tiny")
    assert driver.wait(timeout=60) == 130
    assert "Traceback" not in (place.folder / "log.txt").read_text()
    assert "tiny: interrupted" in place.run("sweep.py", "--status", "tiny").stdout
    again = place.run("sweep.py", "--stop", "tiny")
    assert again.returncode == 2 and "is not running, so there is nothing to stop" in again.stderr

    path.unlink()
    done = place.run("sweep.py", "--resume", "tiny")
    assert done.returncode == 0, done.stderr
    stages = [r["stage"] for r in place.rows("tiny")]
    assert [stages.count(s) for s in ("warm", "screen", "confirm", "test")] == [4, 3, 2, 3]
    study = optuna.load_study(study_name="tiny-screen", storage=f"sqlite:///{place.storage}/tiny/study.db")
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 3


@pytest.mark.slow
def test_a_spent_budget_ends_the_drawing_of_designs_and_what_is_there_is_confirmed(place):
    done = place.run("sweep.py", "--name", "tiny", *TINY, "--hours", "1e-6")
    assert done.returncode == 0, done.stderr
    stages = [r["stage"] for r in place.rows("tiny")]
    assert [stages.count(s) for s in ("screen", "repeat", "confirm")] == [1, 3, 2], "what is given stays"


THIRD = """
axes:
  optim.lr_g: [1e-5, 1e30, 1e-4]
  loss.adversarial_weight: [0.05, 0.2]
sampler: grid
trials: 6
"""


def no_constant(word):
    raise AssertionError(f"{word} reached a file")


@pytest.mark.slow
def test_a_space_of_which_a_third_diverges_is_answered_by_the_rest(place):
    (place.folder / "third.yaml").write_text(THIRD)
    done = place.run("sweep.py", "--name", "tiny", *TINY, "--space", "third.yaml", "--trials", "6")
    assert done.returncode == 0, done.stderr
    assert "2 trials diverged; report.html names step and term" in done.stdout
    for name in ("leaderboard.json", "sweep.json", "stages/screen.json", "stages/screen-decisions.json"):
        json.loads((place.storage / "tiny" / name).read_text(), parse_constant=no_constant)
    rows = [r for r in place.rows("tiny") if r["stage"] == "screen"]
    diverged = [r for r in rows if r["diverged"]]
    assert {r["config"]["optim.lr_g"] for r in diverged} == {1e30} and len(diverged) == 2
    for row in diverged:
        assert re.fullmatch(r"diverged: \w+ at step [1-9]\d*", row["verdict"]), row["verdict"]
        attempts = list((place.storage / "tiny" / "trials" / row["trial_id"]).glob("attempt-*"))
        assert len(attempts) <= 1, "never tried again"
    facts = place.facts("tiny")
    assert all(d["val"]["psnr_y"] > 20 for d in facts["designs"]), "nobody confirms what diverged"
    study = optuna.load_study(study_name="tiny-screen", storage=f"sqlite:///{place.storage}/tiny/study.db")
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 6
    worst = [t for t in study.trials if t.params["optim.lr_g"] == 1e30]
    assert all(list(t.constraints.values()) == [2.0] for t in worst)
    healthy = {t.number for t in study.trials} - {t.number for t in worst}
    assert {t.number for t in study.best_trials} <= healthy
