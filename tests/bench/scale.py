"""The driver alone, fed with reports that no worker sent: what a trial costs it as trials add up.

    PYTHONPATH=. OMP_NUM_THREADS=1 python tests/bench/scale.py [--trials 5000] [--reports 10] [--slots 800]

The product's controller, sampler, scheduler, callback, observer, record and snapshots are real, with MLflow's
writer process behind them; only Ray's workers are not: a double of Tune's actors answers with the next report
of a stream that depends on the number of the trial and its design alone. Time is virtual: a trial takes about
ten minutes, and snapshots are as far apart in that time as in a sweep. Designs are drawn until all measured
trials have ended, so that each tenth of them has as many draws. With --quick that is so in the second and the
last tenth; in the others designs are drawn at random, with few snapshots and two reports, and MLflow's writer
does not run. Prints CPU seconds of the driver per report and per trial (one draw, one end, its share of
starts and snapshots) for each tenth, the last one over the second, the driver's growth in memory, the
snapshots, and what the writer, the leaderboard and the report take. Trials end in bursts, so that tenths
differ in virtual time and in draws: each kind of work costs the mean of its tenth, and a trial has as much of
it in each. A shared machine is faster at one time than at another, by a fifth and more within minutes, so a
fixed piece of work is timed every two seconds, and the last lines give the same ratios in its units as well.
Asserts nothing.
"""

import argparse
import cProfile
import gc
import json
import os
import pickle
import pstats
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import ray.train._internal.storage as ray_storage  # noqa: E402
from helpers.fake_sweep import fake_sweep  # noqa: E402
from helpers.replayed_actors import STEPS, ReplayedActors, report_of  # noqa: E402
from helpers.replayed_actors import SWEEP as NAME  # noqa: E402
from optuna.samplers import RandomSampler  # noqa: E402
from ray.tune import ResumeConfig  # noqa: E402
from ray.tune.experiment import Experiment  # noqa: E402
from ray.tune.search import ConcurrencyLimiter, SearchGenerator  # noqa: E402
from rich.console import Console  # noqa: E402

from experiments.recipes import RECIPES  # noqa: E402
from experiments.spaces import SPACES  # noqa: E402
from orchestrator.cluster.connect import ENVIRONMENT  # noqa: E402
from orchestrator.console.progress_line import ProgressLine, StagePlan  # noqa: E402
from orchestrator.report.data import from_parts  # noqa: E402
from orchestrator.report.page import render_unfinished  # noqa: E402
from orchestrator.results.sweep_folder import write_rows  # noqa: E402
from orchestrator.schedulers.successive_halving import SuccessiveHalving  # noqa: E402
from orchestrator.search import study_export  # noqa: E402
from orchestrator.search.hooks import active  # noqa: E402
from orchestrator.search.sampler import build_search  # noqa: E402
from orchestrator.storage import Storage  # noqa: E402
from orchestrator.sweep.context import SweepContext  # noqa: E402
from orchestrator.sweep.request import Request  # noqa: E402
from orchestrator.sweep.stage import Stage  # noqa: E402
from orchestrator.sweep.stage_observer import StageObserver  # noqa: E402
from orchestrator.sweep.tune_callback import StageCallback  # noqa: E402
from orchestrator.sweep.tune_controller import UpsweepTuneController, restore_snapshot  # noqa: E402
from orchestrator.tracking.sweep_record import SweepRecord  # noqa: E402
from trainers.objectives import Objectives  # noqa: E402

SNAPSHOT_S = 5.0  # virtual seconds between snapshots
UNIT_EVERY_S = 2.0  # seconds between two timings of the fixed work
FIXED = [{"name": f"trial-{k}", "values": [k / 7, k / 11], "of": {str(k): k}} for k in range(2_000)]
METRICS = ("psnr_y", "lpips_alex", "ssim_y")


@dataclass
class Driver:
    """The product's driver of a screening stage, without Ray, and what it has cost so far."""

    controller: Any
    actors: ReplayedActors
    context: SweepContext
    callback: "CountingCallback"
    search: Any
    due: float = SNAPSHOT_S
    """When the next snapshot is due."""
    report_s: list[tuple[int, float]] = field(default_factory=list)
    """(trials that had ended, CPU seconds) of each step in which a trial reported and no more."""
    draw_s: list[tuple[int, float]] = field(default_factory=list)
    """The same of steps that drew a design, divided by the designs drawn."""
    end_s: list[tuple[int, float]] = field(default_factory=list)
    """The same of steps in which a trial ended and none was drawn, divided by the trials that ended."""
    other_s: list[tuple[int, float]] = field(default_factory=list)
    """The same of all other steps, such as starts."""
    snapshots: list[tuple[int, float, int]] = field(default_factory=list)
    """(trials that had ended, CPU seconds, bytes) of each snapshot."""
    unit_s: list[tuple[int, float]] = field(default_factory=list)
    """(trials that had ended, CPU seconds) of each timing of the fixed work."""
    unit_at: float = 0.0
    """When it is timed next, by time.monotonic."""

    def hurry(self, hurries: bool) -> None:
        """Draw designs at random, of trials of two reports, and keep snapshots only before trials start."""
        self.due = float("inf") if hurries else self.actors.now
        study = self.search._ot_study
        study.sampler = RandomSampler(seed=1) if hurries else self.search._sampler

    def _of_trials(self) -> tuple[int, int]:
        """Return how many trials were drawn and have ended."""
        study = self.search._ot_study
        return study._storage.get_n_trials(study._study_id), len(self.callback.rows)

    def run(self, trials: int) -> None:
        """Step until `trials` have ended."""
        while (ended := len(self.callback.rows)) < trials:
            if time.monotonic() >= self.unit_at:
                self.unit_s.append((ended, fixed_work_s()))
                self.unit_at = time.monotonic() + UNIT_EVERY_S
            if self.actors.now >= self.due:
                self.controller.save_to_dir()
                self.due = self.actors.now + SNAPSHOT_S
            seen, others, taken = self.callback.seen, self._of_trials(), len(self.snapshots)
            began = time.thread_time()
            self.controller.step()  # which takes a snapshot itself before trials start
            spent = time.thread_time() - began - sum(s for _, s, _ in self.snapshots[taken:])
            drawn, over = (now - before for now, before in zip(self._of_trials(), others, strict=True))
            reports = self.callback.seen - seen
            kind = (
                self.draw_s if drawn else self.end_s if over else self.report_s if reports else self.other_s
            )
            kind.append((ended, spent / (drawn or over or reports or 1)))


def fixed_work_s() -> float:
    """Return the CPU seconds of a piece of work that is always the same, of the kind that a driver does."""
    gc.disable()  # a collection would look at all that the driver keeps
    began = time.thread_time()
    for _ in range(2):
        json.dumps(FIXED)
        pickle.loads(pickle.dumps(FIXED))
        sorted(FIXED, key=lambda entry: (entry["values"][1], entry["name"]))
    spent = time.thread_time() - began
    gc.enable()
    return spent


class CountingCallback(StageCallback):
    """The product's callback, which also counts reports."""

    seen = 0

    def on_trial_result(self, *words: Any, **info: Any) -> None:
        super().on_trial_result(*words, **info)
        self.seen += 1


@contextmanager
def open_driver(
    folder: Path, trials: int, reports: int, slots: int, stopping: str = "none", resume: bool = False
) -> Iterator[Driver]:
    """Yield the driver of a stage that draws `trials` designs of the space `full` and runs `slots` at once.

    With `resume` it goes on from the snapshot that another one left in `folder`.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "inf"  # the driver saves by its virtual clock
    ray_storage._get_ray_train_session_dir = lambda: str(folder / "session")  # a folder of the running Ray's
    config, space = RECIPES["srgan_8"](), SPACES["full"]
    request = Request(config=config, name=NAME, storage=str(folder), trials=trials, space="full")
    storage = Storage(str(folder))
    plan = SimpleNamespace(request=request, storage=storage, digests={"train": "d" * 16}, ancestor=None)
    plan.inference_of, plan.space = lambda values: None, space
    capacity = SimpleNamespace(
        gpus=slots, trouble=None, current=lambda: SimpleNamespace(slots=lambda *_: slots)
    )
    record = SweepRecord(folder / NAME / "record", NAME, f"sqlite:///{folder}/mlflow.db")
    progress = ProgressLine(
        [StagePlan("screen", trials, 0, STEPS)], slots, Console(file=open(os.devnull, "w"))
    )
    progress.begin("screen")
    bicubic = {"psnr_y": 27.0, "lpips_alex": 0.4, "ssim_y": 0.75}
    protocol = {"psnr_y": "BT.601 Y, border of scale px", "lpips_alex": "AlexNet 0.1", "ssim_y": "as psnr_y"}
    context = SweepContext(plan, capacity, record, progress, None, bicubic, protocol)
    stage = Stage("screen", draws=True)
    milestones = [] if stopping == "none" else [round(STEPS * 0.3), round(STEPS * 0.6)]
    rule = "feasible_first" if stopping == "none" else stopping
    scheduler = SuccessiveHalving(context.objectives, milestones, 2, rule)
    callback = CountingCallback(stage.study_name(NAME), scheduler)
    search = build_search(space, Objectives.of(config.objective), callback.key, 0, list(space.points), trials)
    experiment = Experiment(
        "screen",
        lambda config: None,
        storage_path=str(folder / NAME / "tune"),
        num_samples=trials,
        resources_per_trial={"cpu": 1, "gpu": 1},
        max_failures=3,
    )
    generator = SearchGenerator(ConcurrencyLimiter(search, max_concurrent=slots))
    observer = StageObserver(context, stage, callback)
    driver: Driver

    class Controller(UpsweepTuneController):
        slots = staticmethod(observer.slots)

        @staticmethod
        def keep(content: bytes) -> None:
            storage.write_bytes(f"{NAME}/tune/screen.snapshot", content)

        def save_to_dir(self) -> None:
            began = time.thread_time()
            super().save_to_dir()
            size = (folder / NAME / "tune" / "screen.snapshot").stat().st_size
            driver.snapshots.append((len(callback.rows), time.thread_time() - began, size))

    numbers: dict[str, tuple[int, int]] = {}

    def result(trial: Any, sent: int) -> dict[str, Any]:
        mine = 2 if driver.due == float("inf") else reports
        number, mine = numbers.setdefault(trial.trial_id, (len(numbers), mine))
        return report_of(trial, sent, mine, number)

    actors, tune_folder = ReplayedActors(result, reports), f"{NAME}/tune/screen"
    everything = {"search_alg": generator, "scheduler": scheduler, "callbacks": [callback]}
    everything |= {
        "storage": experiment.storage,
        "reuse_actors": True,
        "resource_manager_factory": lambda: None,
    }
    if resume:
        assert restore_snapshot(storage, f"{tune_folder}.snapshot", tune_folder)
        everything |= {"resume_config": ResumeConfig()}
    # exports of the study keep their distance in the time of the sweep, as snapshots do
    clock = SimpleNamespace(monotonic=lambda: actors.now + time.thread_time())
    with active(callback.key, observer), patch.object(study_export, "time", clock):
        controller = Controller(**everything)
        controller._actor_manager = actors
        actors.trial_of = controller._actor_to_trial.__getitem__
        controller._resource_updater = SimpleNamespace(update_avail_resources=lambda: None)
        if not resume:
            generator.add_configurations([experiment])
        driver = Driver(controller, actors, context, callback, search)
        yield driver


def tenths(values: list[tuple[int, float]], trials: int) -> list[float]:
    """Return the mean in milliseconds in each tenth of the trials."""
    parts = [[v for place, v in values if 10 * place // trials == k] for k in range(10)]
    return [1000 * sum(part) / (len(part) or 1) for part in parts]


def parts_of_a_trial(driver: Driver, trials: int) -> dict[str, list[float]]:
    """Return milliseconds per trial in each tenth: a draw, an end, its share of all other work."""
    snapshots = [(ended, seconds) for ended, seconds, _ in driver.snapshots]
    over = max(1, len(driver.callback.rows))
    parts = {
        "draw": (driver.draw_s, 1.0),
        "end": (driver.end_s, 1.0),
        "others": (driver.other_s, len(driver.other_s) / over),
        "snapshots": (snapshots, len(snapshots) / over),
    }
    return {name: [each * v for v in tenths(values, trials)] for name, (values, each) in parts.items()}


def per_trial(driver: Driver, trials: int) -> list[float]:
    """Return milliseconds per trial in each tenth."""
    return [sum(values) for values in zip(*parts_of_a_trial(driver, trials).values(), strict=True)]


def _in_words(driver: Driver, trials: int, tenth: int) -> str:
    parts = parts_of_a_trial(driver, trials)
    return ", ".join(f"{name} {values[tenth]:.1f}" for name, values in parts.items())


def resident_mb() -> float:
    """Return the memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(
    trials: int, reports: int, slots: int, folder: Path, stopping: str, profile: str, quick: bool
) -> None:
    """Print what the driver costs."""
    profiler, spare = cProfile.Profile(), 2 * slots
    with open_driver(folder, trials + spare, reports, slots, stopping) as driver:
        record = driver.context.record
        if not quick:
            record.start({}, {}, {})
        before, began = resident_mb(), time.monotonic()
        if profile:
            profiler.enable()
        for tenth in range(10):
            driver.hurry(quick and tenth not in (1, 9))
            driver.run(trials * (tenth + 1) // 10)
            _, took, size = driver.snapshots[-1]
            print(
                f"{len(driver.callback.rows)} trials in {time.monotonic() - began:.0f} s, growth "
                f"{resident_mb() - before:.0f} MB, newest snapshot {size / 2**20:.2f} MB in "
                f"{1000 * took:.0f} ms; CPU ms per report "
                f"{tenths(driver.report_s, trials)[tenth]:.2f}, per trial "
                f"{per_trial(driver, trials)[tenth]:.2f} ({_in_words(driver, trials, tenth)})",
                flush=True,
            )
        profiler.disable()
    if profile:
        pstats.Stats(profiler).dump_stats(profile)
    costs_of = {"report": tenths(driver.report_s, trials), "trial": per_trial(driver, trials)}
    unit = tenths(driver.unit_s, trials)
    for words, costs in costs_of.items():
        ratio = costs[9] / (costs[1] or 1)
        print(
            f"CPU per {words}, last tenth over second: {ratio:.2f}; in units of the fixed work, which took "
            f"{unit[9] / (unit[1] or 1):.2f} times as long: {ratio * unit[1] / (unit[9] or 1):.2f}"
        )
    if not quick:
        began = time.monotonic()
        behind = record.writer._spool.path.stat().st_size - record.writer.progress().delivered_bytes
        delivered = record.close(600)
        took = time.monotonic() - began
        print(f"MLflow: {behind / 2**20:.1f} MB behind, whole {delivered} {took:.0f} s later")
    began, rows = time.monotonic(), list(driver.callback.rows.values())
    write_rows(driver.context.storage, NAME, rows)
    print(f"leaderboard.json of {len(rows)} rows written in {time.monotonic() - began:.1f} s")
    facts, _ = fake_sweep(folder / "facts")
    facts |= {
        "name": NAME,
        "objective": {"distortion": "psnr_y", "perceptual": "lpips_alex", "delta_db": 1.5},
    }
    began = time.monotonic()
    page = render_unfinished(from_parts(folder, facts, rows), "screen")
    print(f"report of {len(rows)} trials, {len(page) / 2**20:.1f} MB, in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--reports", type=int, default=10)
    parser.add_argument("--slots", type=int, default=800)
    parser.add_argument("--stopping", default="none")
    parser.add_argument("--profile", default="")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        measure(
            options.trials,
            options.reports,
            options.slots,
            place,
            options.stopping,
            options.profile,
            options.quick,
        )
