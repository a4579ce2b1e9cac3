"""The cost of orchestration: per image, per trial, per report, and the driver's growth in memory.

    PYTHONPATH=. OMP_NUM_THREADS=1 python tests/bench/overhead.py [--trials 1000] [--reports 10]

Image: CPU seconds per crop of the product's own trial in a Ray worker, over those of its loop alone: inside
the same process, where what is not the loop is timed by itself (checkpoints, reports, journal, opening and
closing), and over a bare loop in a process of its own, which brings the noise of two runs. Start: seconds
from the end of a trial to the first work of the next in the same worker. No-op: trials that only report,
through the product's callback, scheduler, search and record; the driver's CPU time per report (decision and
record), and per trial with all that goes with it (sampler, snapshots, Tune), in the second and the last
tenth, and its memory. Asserts nothing.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402
from ray import tune  # noqa: E402

from experiments.recipes.demo import demo  # noqa: E402
from orchestrator.cluster import connect  # noqa: E402
from orchestrator.results.row import Row  # noqa: E402
from orchestrator.results.trial_report import Status, TrialReport  # noqa: E402
from orchestrator.schedulers.successive_halving import SuccessiveHalving  # noqa: E402
from orchestrator.search.hooks import active  # noqa: E402
from orchestrator.search.sampler import build_search  # noqa: E402
from orchestrator.search.space import LogFloat, Space  # noqa: E402
from orchestrator.sweep.tune_callback import StageCallback  # noqa: E402
from orchestrator.sweep.tune_controller import using_upsweep_controller  # noqa: E402
from orchestrator.tracking.sweep_record import SweepRecord  # noqa: E402
from orchestrator.trial.inputs import open_inputs, open_role  # noqa: E402
from orchestrator.trial.monitor import TrialMonitor  # noqa: E402
from orchestrator.trial.spec import TrialSpec  # noqa: E402
from orchestrator.trial.trial import run_trial  # noqa: E402
from trainers.config import TrainConfig, flatten, override  # noqa: E402
from trainers.monitor import SilentMonitor  # noqa: E402
from trainers.objectives import Objectives  # noqa: E402
from trainers.state import History  # noqa: E402
from trainers.training import TrainingRun  # noqa: E402

CONFIG = override(
    demo(),
    {"run.psnr_steps": 240, "run.psnr_eval_every_steps": 120, "run.checkpoint_every_steps": 120},
)
METRICS = ("psnr_y", "swd")
KEY = "noop/screen"


class NoMonitor(SilentMonitor):
    """A monitor that keeps nothing."""

    def __init__(self) -> None: ...

    def restore(self) -> None: ...


def bare(config: TrainConfig, folder: Path) -> float:
    """Return the CPU seconds of the PSNR phase without any orchestration."""
    device = torch.device("cpu")
    inputs = open_inputs(config.data, config.generator.scale, METRICS, str(folder), (), device)
    run = TrainingRun(config, inputs.loader, inputs.evaluator, NoMonitor(), device)
    state = run.new_phase("psnr")
    began = time.process_time()
    run.run_phase(state, History())
    return time.process_time() - began


MONITOR_CALLS = ("log", "report", "save", "keep_candidate", "drop_candidate")


def clocked(cls: type, names: Sequence[str], spent: dict[str, float], key: str) -> None:
    """Add the CPU seconds of each call of these methods to spent[key]."""

    def timed(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any) -> Any:
            began = time.process_time()
            try:
                return original(*words)
            finally:
                spent[key] += time.process_time() - began

        return call

    for name in names:
        setattr(cls, name, timed(getattr(cls, name)))


def in_workers(config: TrainConfig, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Run this phase as `rounds` trials of the product in one worker; return the last result of each."""
    digests = {r: open_role(config.data, r, folder).digest for r in ("train", "val")}
    designs = tuple({"trial_id": f"warm-{k}", "run.seed": k} for k in range(rounds))
    spec = TrialSpec("s", "warm", str(folder), str(folder), flatten(config), digests, designs, 1, METRICS)

    def timed(params: dict[str, Any]) -> None:
        if not hasattr(TrainingRun, "spent"):  # this worker's first trial
            TrainingRun.spent = {}
            clocked(TrainingRun, ["run_phase"], TrainingRun.spent, "run_phase")
            clocked(TrialMonitor, MONITOR_CALLS, TrainingRun.spent, "monitor")
        TrainingRun.spent |= {"run_phase": 0.0, "monitor": 0.0}
        began = {"wall": time.time(), "cpu": time.process_time()}
        run_trial(params, spec)
        spent = {
            "cpu": time.process_time() - began["cpu"],
            "loop": TrainingRun.spent["run_phase"] - TrainingRun.spent["monitor"],
        }
        tune.report(spent | {"began": began["wall"], "ended": time.time()})

    with connect.connect(None), using_upsweep_controller(lambda content: None, lambda: 1):
        grid = tune.Tuner(
            tune.with_resources(timed, {"cpu": 1}),
            param_space={"index": tune.grid_search(list(range(rounds)))},
            tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
        ).fit()
    return sorted((r.metrics for r in grid), key=lambda m: m["began"])


def images(rounds: int) -> None:
    """Print the ratio per image, and the time between two trials of one worker."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare(CONFIG, folder)  # fills the cache
        alone = [bare(CONFIG, folder) for _ in range(rounds)]
        results = in_workers(CONFIG, folder, rounds + 1)[1:]  # the first imports torch
        alone += [bare(CONFIG, folder) for _ in range(rounds)]
    crops = CONFIG.run.psnr_steps * CONFIG.data.batch_size
    own, other = min(t["cpu"] for t in results), min(alone)
    inside = [t["cpu"] / t["loop"] for t in results]
    print(
        f"CPU time per crop over that of the loop in the same worker: {statistics.median(inside):.4f} "
        f"({min(inside):.4f} to {max(inside):.4f} of {len(inside)})"
    )
    print(
        f"CPU time per crop: in a worker {1000 * own / crops:.3f} ms, bare {1000 * other / crops:.3f} ms, "
        f"ratio {own / other:.3f} (best of {len(results)} and {len(alone)}); medians "
        f"{statistics.median(t['cpu'] for t in results) / statistics.median(alone):.3f}"
    )
    gaps = [b["began"] - a["ended"] for a, b in zip(results, results[1:], strict=False)]
    print(
        f"from the end of a trial to the next in a warm worker: {statistics.median(gaps):.2f} s "
        f"(longest {max(gaps):.2f})"
    )


class TimedHalving(SuccessiveHalving):
    """The product's scheduler, with the CPU seconds of the driver's thread that each decision took."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.decisions: list[float] = []

    def on_trial_result(self, *words: Any) -> str:
        began = time.thread_time()
        decision = super().on_trial_result(*words)
        self.decisions.append(time.thread_time() - began)
        return decision


class Timed(StageCallback):
    """The product's callback, with the CPU seconds that each report and each new trial took."""

    def __init__(self, key: str, scheduler: SuccessiveHalving) -> None:
        super().__init__(key, scheduler)
        self.report_s: list[float] = []
        self.starts: list[float] = [time.process_time()]

    def on_trial_start(self, *words: Any, **info: Any) -> None:
        super().on_trial_start(*words, **info)
        self.starts.append(time.process_time())

    def on_trial_result(self, *words: Any, **info: Any) -> None:
        began = time.thread_time()  # the process has others: the writer's, and Ray's
        super().on_trial_result(*words, **info)
        self.report_s.append(time.thread_time() - began)


class RecordingHooks:
    """Hooks of a stage that pass entries to the record and draw designs without end."""

    def __init__(self, record: SweepRecord) -> None:
        self.record = record

    def on_resume(self, ended: list[str]) -> None: ...

    def on_start(self, tune_id: str, params: dict[str, Any]) -> None:
        self.record.start_trial("screen", tune_id, "no-op", {"run.seed": 0, **params})

    def on_report(self, tune_id: str, result: dict[str, Any]) -> None:
        self.record.append(TrialReport.from_result(result).journal)

    def on_end(self, tune_id: str) -> Row:
        spent = {"gpu_hours": 0.0, "cpu_hours": 0.0}
        self.record.end_trial("screen", tune_id, "no-op", spent, None, None, failed=False)
        return {"trial_id": tune_id}

    def on_search_saved(self, study: Any) -> None: ...

    def write_page(self, name: str, content: bytes) -> None: ...

    def is_budget_spent(self, drawn: int) -> bool:
        return False


def no_op(trials: int, reports: int, folder: Path) -> dict[str, float]:
    """Run trials that only report; return the driver's CPU milliseconds per report and its growth in MB."""
    space = Space("noop", {"loss.adversarial_weight": LogFloat(1e-3, 1)})
    objectives = Objectives("psnr_y", "swd", 1.5)
    scheduler = TimedHalving(objectives, [3, 6], 2)
    callback = Timed(KEY, scheduler)

    def trial(params: dict[str, Any]) -> None:
        weight = params["loss.adversarial_weight"]
        for step in range(1, reports + 1):
            report = TrialReport(
                status=Status.COMPLETE if step == reports else Status.RUNNING,
                phase="gan",
                step=step,
                max_steps=reports,
                ranked={"psnr_y": 29.0 - weight, "swd": 150.0 - step * weight},
                latest={"psnr_y": 29.0},
                warm_start={"psnr_y": 29.0, "swd": 150.0},
                gradient_shares={"adversarial": 0.2},
            )
            tune.report(report.to_result())

    record = SweepRecord(folder / "record", "noop", f"sqlite:///{folder}/mlflow.db")
    record.start({}, {}, {})
    snapshot = folder / "snapshot"
    controller = using_upsweep_controller(snapshot.write_bytes, lambda: 2)
    with active(KEY, RecordingHooks(record)), connect.connect(None), controller:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=build_search(space, Objectives.of(demo().objective), KEY, 0, [], trials),
                scheduler=scheduler,
                num_samples=trials,
                max_concurrent_trials=2,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0, callbacks=[callback]),
        ).fit()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    delivered = record.close(120)
    trials_ms = [1000 * (b - a) for a, b in zip(callback.starts, callback.starts[1:], strict=False)]
    times = zip(scheduler.decisions, callback.report_s, strict=True)
    reports_ms = [1000 * (decided + recorded) for decided, recorded in times]
    return {
        "reports": len(reports_ms),
        "report_ms_early": _part(reports_ms, 1),
        "report_ms_late": _part(reports_ms, 9),
        "trial_ms_early": _part(trials_ms, 1),
        "trial_ms_late": _part(trials_ms, 9),
        "growth_mb": (after - before) / 1024,
        "delivered": delivered,
        "ended": len(callback.rows),
    }


def _part(values: list[float], tenth: int) -> float:
    """Return the mean of that tenth of the values."""
    size = len(values) // 10
    return statistics.fmean(values[tenth * size : (tenth + 1) * size])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--reports", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    images(options.rounds)
    with tempfile.TemporaryDirectory() as name:
        for key, value in no_op(options.trials, options.reports, Path(name)).items():
            print(f"{options.trials} no-op trials: {key} {value:.4g}")
