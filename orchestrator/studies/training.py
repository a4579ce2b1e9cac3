"""One training of a study in its own folder: train or resume, measure, and write the result file.

`run_training` runs in this process or as a Ray task. Started again after a kill it resumes from the last
checkpoint; a training with a result file is not repeated.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from datasets.files import atomic_json, read_json
from orchestrator.cluster.worker import worker_device
from orchestrator.studies.evaluation import evaluate_network
from orchestrator.studies.spec import Training
from orchestrator.tracking.journal import Journal
from orchestrator.trial.inputs import Inputs, open_inputs
from trainers import checkpoint, preflight
from trainers.benchmarks.cost import latencies_ms, parameters
from trainers.config import TrainConfig
from trainers.inference.interpolation import interpolate
from trainers.monitor import FolderMonitor
from trainers.numerics import use_threads
from trainers.objectives import Objectives
from trainers.sentinels import strongest
from trainers.state import Diverged, History, TrainState
from trainers.training import TrainingRun

RESULT_FILE = "measured.json"


@dataclass(frozen=True)
class TrainingJob:
    """A training with the paths and facts that its process needs."""

    training: Training
    folder: str
    work_dir: str
    run_key: str
    after_folder: str
    """Folder of the training that it starts from; empty: it starts from new weights."""
    digests: tuple[tuple[str, str], ...]
    threads: int
    """Threads of torch; 0: torch's own choice."""


class StudyMonitor(FolderMonitor):
    """Writes the files of any run, and a journal for MLflow and the driver's progress line."""

    def __init__(self, folder: Path, config: TrainConfig, run_key: str) -> None:
        super().__init__(folder, config, say=lambda text: None)
        self.journal = Journal(folder / "journal.jsonl", run_key)
        self.began = time.monotonic()

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Journal losses, with the steps of both phases on one axis."""
        super().log(phase, step, values)
        self.journal.metrics(self._axis(phase, step), {f"{phase}/{k}": v for k, v in values.items()})

    def report(self, state: TrainState, progress: History) -> None:
        """Journal an evaluation on val, with the steps of both phases on one axis."""
        super().report(state, progress)
        values = {f"val/{k}": v for k, v in progress.latest().items()}
        values["seconds"] = time.monotonic() - self.began
        self.journal.metrics(self._axis(state.phase, state.step), values)

    def _axis(self, phase: str, step: int) -> int:
        return step + (self.config.run.psnr_steps if phase == "gan" else 0)


def is_done(folder: Path) -> bool:
    """Return True if the training in `folder` has its result file."""
    return (folder / RESULT_FILE).is_file()


def read_result(folder: Path) -> dict[str, Any]:
    """Return the measurements of a finished training."""
    return read_json(folder / RESULT_FILE)


def last_checkpoint(folder: Path, config: TrainConfig) -> Path:
    """Return the last checkpoint of the training in `folder`. RuntimeError if there is none."""
    last = FolderMonitor(folder, config).restore()
    if last is None:
        raise RuntimeError(f"{folder} holds no checkpoint")
    return last


def run_training(job: TrainingJob) -> None:
    """Train, measure and write the result file; do nothing if there is one.

    The cost in the result file is that of this attempt, without earlier ones that were killed.
    """
    folder = Path(job.folder)
    if is_done(folder):
        return
    if job.threads:
        use_threads(job.threads)
    folder.mkdir(parents=True, exist_ok=True)
    began, cpu_began = time.monotonic(), time.process_time()
    result = _train_and_measure(job)
    result |= {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu_began}
    atomic_json(folder / RESULT_FILE, result)


def _train_and_measure(job: TrainingJob) -> dict[str, Any]:
    """Return the result of a training; one that would start from a diverged network is not begun."""
    config, after = job.training.config, Path(job.after_folder)
    if job.after_folder:
        if read_result(after)["diverged"]:
            return {"diverged": f"it starts from {after.name}, which diverged", "tests": {}}
        if job.training.edit:
            return _edited(job, worker_device(config.run.device))
        source = str(last_checkpoint(after, config))
        config = replace(config, run=replace(config.run, start_from=source))
    device = worker_device(config.run.device)
    monitor = StudyMonitor(Path(job.folder), config, job.run_key)
    diverged = _train(config, job, monitor, device)
    result: dict[str, Any] = {"diverged": diverged, "tests": {}}
    if not diverged:
        result |= _measure(config, job, device)
    for name, test in result["tests"].items():
        monitor.journal.metrics(0, {f"test/{name}/{k}": v for k, v in test["summary"].items()})
    monitor.journal.close()
    return result


def _edited(job: TrainingJob, device: torch.device) -> dict[str, Any]:
    """Return the measurements of a sentinel: the edited outputs of the network that the job starts from.

    The edit's strength is the best on val by the objectives, feasible ones first, as in a sweep.
    """
    training, source = job.training, last_checkpoint(Path(job.after_folder), job.training.config)
    network = checkpoint.load_generator(source)[0].to(device)
    evaluator = _inputs(training.config, job, device).evaluator
    images = evaluator.upscale(network)
    objectives = Objectives.of(training.config.objective)
    strength = strongest(training.edit, images, evaluator.measure_images(images), evaluator, objectives)
    folder, work_dir = Path(job.folder) / "pictures", Path(job.work_dir)
    tests = {
        test.name: evaluate_network(network, training, test, folder, work_dir, device, strength)
        for test in training.tests
    }
    return {
        "diverged": "",
        "tests": tests,
        "strength": strength,
        "parameters": parameters(network),
        "log": [],
    }


def _train(config: TrainConfig, job: TrainingJob, monitor: StudyMonitor, device: torch.device) -> str:
    """Train both phases; return the step and term at which the training diverged, else ""."""
    loader, evaluator, _ = _inputs(config, job, device)
    if monitor.restore() is None:  # at the start only: refuse a loss term without a gradient
        preflight.term_gradients(config, *preflight.first_batch(loader))
    try:
        TrainingRun(config, loader, evaluator, monitor, device).train()
    except Diverged as diverged:
        return str(diverged)
    return ""


def _inputs(config: TrainConfig, job: TrainingJob, device: torch.device) -> Inputs:
    metrics = (config.objective.distortion, config.objective.perceptual)
    return open_inputs(config.data, config.generator.scale, metrics, job.work_dir, job.digests, device)


def _measure(config: TrainConfig, job: TrainingJob, device: torch.device) -> dict[str, Any]:
    folder = Path(job.folder)
    last = last_checkpoint(folder, config)
    network = checkpoint.load_generator(last)[0].to(device)
    training = replace(job.training, config=config)
    tests = {}
    for label, measured in [("", network), *_further_networks(job, config, network, device)]:
        for test in training.tests:
            own = replace(test, name=test.name + label)
            tests[own.name] = evaluate_network(
                measured, training, own, folder / "pictures", Path(job.work_dir), device
            )
    return {
        "tests": tests,
        "parameters": parameters(network),
        "latency_ms": latencies_ms([network], config.generator.scale)[0],
        "checkpoint": str(last),
        "log": _read_log(folder),
    }


def _further_networks(
    job: TrainingJob, config: TrainConfig, network: nn.Module, device: torch.device
) -> Iterator[tuple[str, nn.Module]]:
    """Yield interpolations and candidates, each with the suffix of its test sets' names."""
    if job.training.alphas:
        start, _ = checkpoint.load_generator(last_checkpoint(Path(job.after_folder), config))
        loader, _, _ = _inputs(config, job, device)
        for alpha in job.training.alphas:
            few = islice(loader.batches(0), config.run.bn_recalibration_batches)
            batches = (batch.lr_image for batch in few)
            yield f"@alpha{alpha:g}", interpolate(start.to(device), network, alpha, batches)
    if job.training.candidates:
        for folder in checkpoint.whole(Path(job.folder) / "candidates"):
            yield f"@step{int(folder.name)}", checkpoint.load_generator(folder)[0].to(device)


def _read_log(folder: Path) -> list[dict[str, Any]]:
    """Return metrics.jsonl, of repeated entries (phase, step, kind) the last one."""
    entries: dict[tuple[str, int, str], dict[str, Any]] = {}
    path = folder / "metrics.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off by a kill or a full disk
        entries[entry["phase"], entry["step"], "val" if "val" in entry else "log"] = entry
    return list(entries.values())
