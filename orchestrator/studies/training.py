"""One training of a study in a folder of its own: train or go on, measure, leave the mark that it is done.

The same function runs in this process or as a Ray task; a killed one, started again, goes on from its last
checkpoint, and one that is done is left alone.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from orchestrator.studies.evaluation import on_test
from orchestrator.studies.spec import Training
from orchestrator.tracking.journal import Journal
from orchestrator.trial.inputs import Inputs, open_inputs
from trainers import checkpoint, preflight
from trainers.benchmarks.cost import latency_ms, parameters
from trainers.config import TrainConfig
from trainers.device import pick_device
from trainers.inference.interpolation import interpolate
from trainers.monitor import FolderMonitor
from trainers.state import Diverged, History, TrainState
from trainers.training import TrainingRun

RESULT_FILE = "measured.json"


@dataclass(frozen=True)
class TrainingJob:
    """A training with the places and facts that its process needs."""

    training: Training
    folder: str
    work_dir: str
    run_key: str
    after: str
    """Folder of the training that it starts from; empty: none."""
    digests: tuple[tuple[str, str], ...]
    threads: int


class StudyMonitor(FolderMonitor):
    """Files as for any run, and a journal for MLflow and the driver's living line."""

    def __init__(self, folder: Path, config: TrainConfig, run_key: str) -> None:
        super().__init__(folder, config, say=lambda text: None)
        self.journal = Journal(folder / "journal.jsonl", run_key)
        self.began = time.monotonic()

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Losses, at the steps of both phases on one axis."""
        super().log(phase, step, values)
        self.journal.metrics(self._axis(phase, step), {f"{phase}/{k}": v for k, v in values.items()})

    def report(self, state: TrainState, progress: History) -> None:
        """Val, on the same axis."""
        super().report(state, progress)
        values = {f"val/{k}": v for k, v in progress.latest().items()}
        values["seconds"] = time.monotonic() - self.began
        self.journal.metrics(self._axis(state.phase, state.step), values)

    def _axis(self, phase: str, step: int) -> int:
        return step + (self.config.run.psnr_steps if phase == "gan" else 0)


def is_done(folder: Path) -> bool:
    """Whether the training in `folder` has been measured."""
    return (folder / RESULT_FILE).is_file()


def last_checkpoint(folder: Path, config: TrainConfig) -> Path:
    """Where the training in `folder` ended."""
    found = FolderMonitor(folder, config).restore()
    if found is None:
        raise RuntimeError(f"{folder} holds no checkpoint")
    return found


def run_training(job: TrainingJob) -> None:
    """Train, measure and mark as done; nothing where that was done before.

    What it cost is what this attempt cost: a killed one before it is not in the mark.
    """
    folder = Path(job.folder)
    if is_done(folder):
        return
    if job.threads:
        torch.set_num_threads(job.threads)
    folder.mkdir(parents=True, exist_ok=True)
    began, cpu_began = time.monotonic(), time.process_time()
    found = _found(job)
    found |= {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu_began}
    _write(folder / RESULT_FILE, json.dumps(found))


def _found(job: TrainingJob) -> dict[str, Any]:
    """What training and measuring brought; one that starts from a diverged network is not begun."""
    config, after = job.training.config, Path(job.after)
    if job.after:
        if json.loads((after / RESULT_FILE).read_text())["diverged"]:
            return {"diverged": f"it starts from {after.name}, which diverged", "tests": {}}
        source = str(last_checkpoint(after, config))
        config = replace(config, run=replace(config.run, start_from=source))
    device = pick_device(config.run.device)
    monitor = StudyMonitor(Path(job.folder), config, job.run_key)
    diverged = _train(config, job, monitor, device)
    found: dict[str, Any] = {"diverged": diverged, "tests": {}}
    if not diverged:
        found |= _measured(config, job, device)
    for name, test in found["tests"].items():
        monitor.journal.metrics(0, {f"test/{name}/{k}": v for k, v in test["summary"].items()})
    monitor.journal.close()
    return found


def _train(config: TrainConfig, job: TrainingJob, monitor: StudyMonitor, device: torch.device) -> str:
    """Both phases; what diverged, in words, or nothing."""
    loader, evaluator, _ = _inputs(config, job, device)
    if monitor.restore() is None:  # before anything is spent: a term that teaches nothing is refused
        preflight.term_gradients(config, *preflight.first_batch(loader))
    try:
        TrainingRun(config, loader, evaluator, monitor, device).train()
    except Diverged as diverged:
        return str(diverged)
    return ""


def _inputs(config: TrainConfig, job: TrainingJob, device: torch.device) -> Inputs:
    metrics = (config.objective.distortion, config.objective.perceptual)
    return open_inputs(config.data, config.generator.scale, metrics, job.work_dir, job.digests, device)


def _measured(config: TrainConfig, job: TrainingJob, device: torch.device) -> dict[str, Any]:
    last = last_checkpoint(Path(job.folder), config)
    network, _ = checkpoint.load_generator(last)
    network = network.to(device)
    pictures, work_dir = Path(job.folder) / "pictures", Path(job.work_dir)
    training = replace(job.training, config=config)
    tests = {}
    for label, measured in [("", network), *_others(job, config, network, device)]:
        for test in training.tests:
            labelled = replace(test, name=test.name + label)
            tests[labelled.name] = on_test(measured, training, labelled, pictures, work_dir, device)
    return {
        "tests": tests,
        "parameters": parameters(network),
        "latency_ms": latency_ms(network, config.generator.scale),
        "checkpoint": str(last),
        "log": _log_of(Path(job.folder)),
    }


def _others(
    job: TrainingJob, config: TrainConfig, network: nn.Module, device: torch.device
) -> Iterator[tuple[str, nn.Module]]:
    """Interpolations and candidates, each with the label that follows the name of the test set."""
    if job.training.alphas:
        start, _ = checkpoint.load_generator(last_checkpoint(Path(job.after), config))
        loader, _, _ = _inputs(config, job, device)
        for alpha in job.training.alphas:
            few = islice(loader.batches(0), config.run.bn_recalibration_batches)
            batches = (batch.lr_image for batch in few)
            yield f"@alpha{alpha:g}", interpolate(start.to(device), network, alpha, batches)
    if job.training.candidates:
        for folder in checkpoint.whole(Path(job.folder) / "candidates"):
            yield f"@step{int(folder.name)}", checkpoint.load_generator(folder)[0].to(device)


def _log_of(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl, the last line of each phase, step and kind."""
    lines: dict[tuple[str, int, str], dict[str, Any]] = {}
    path = folder / "metrics.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        entry = json.loads(line)
        lines[entry["phase"], entry["step"], "val" if "val" in entry else "log"] = entry
    return list(lines.values())


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)
