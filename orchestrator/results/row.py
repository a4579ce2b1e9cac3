"""One row of leaderboard.json: a trial's settings, metrics, cost and checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from orchestrator.results.labels import SEEDS, STEPS, label
from orchestrator.results.outcome import describe_outcome, remarks
from orchestrator.results.trial_report import Curve, Status, TrialReport
from trainers.config import TrainConfig, digest, flatten
from trainers.objectives import Objectives


class Row(TypedDict, total=False):
    """A trial as the leaderboard keeps it; plain JSON."""

    trial_id: str
    stage: str
    """warm, screen, repeat, confirm or test."""
    design: str
    """Short name for people."""
    values: dict[str, Any]
    """The settings in which this trial differs from the recipe."""
    config: dict[str, Any]
    """All settings."""
    metrics: dict[str, float]
    """Confirm: of the chosen checkpoint; test: on the test images; otherwise TrialReport.ranked. Those of the
    warm start are under warm/, those of bicubic under bicubic/; then diagnostics and gradient_share/."""
    protocol: dict[str, str]
    verdict: str
    """The outcome in words."""
    seed: int
    seconds: float
    """Wall time of its attempts, not that of starting its worker."""
    gpu_hours: float
    cpu_hours: float
    cost: float
    hardware: str
    """The GPU with its driver and libraries, or the CPU."""
    mlflow_run_id: str | None
    steps: int
    max_steps: int
    rung: int | None
    """The step at which early stopping ended the trial."""
    curve: list[list[float]]
    """[step, distortion, perception] of each evaluation in the last phase."""
    candidates: list[dict[str, Any]]
    checkpoint: str | None
    warm: str | None
    """Storage name of the network that the GAN phase started from."""
    strip: str | None
    """URL of the picture."""
    captions: list[str]
    """Test: a sentence for each row of the picture."""
    diverged: bool
    finished: bool
    lineage: dict[str, Any]
    chosen_step: int
    """Confirm: the step of the chosen checkpoint."""
    last: dict[str, float]
    """Confirm: step and metrics of the last checkpoint."""
    of: str
    """Test: trial_id of the network that was measured, a confirmed row or warm-KEY of a PSNR network."""
    inference: dict[str, Any]
    """ms and memory_mb of one output of px x px pixels on `device` (trainers/benchmarks/cost.py)."""
    per_image: dict[str, list[float]]
    keys: list[str]
    sentinels: dict[str, dict[str, Any]]
    """Test: sentinel -> interval of the network's difference in the perceptual metric, beaten, strength."""
    second_opinion: dict[str, dict[str, Any]]
    """Test: warm, longer -> metric that decides nothing, interval, beaten; {} if it was not measured."""
    val: dict[str, float]
    """Test, PSNR networks: metrics on val."""


@dataclass(frozen=True)
class EndedTrial:
    """Everything that is known of a trial when it ends."""

    stage: str
    trial_id: str
    design: str
    values: Mapping[str, Any]
    config: Mapping[str, Any]
    report: TrialReport
    """The trial's last report; its usage is that of all attempts."""
    curve: Curve
    stopped_at: int | None
    error: str
    lineage: Mapping[str, Any] | None = None
    strip: str | None = None
    warm: str | None = None


@dataclass(frozen=True)
class RowContext:
    """The settings that all rows of a sweep share."""

    objectives: Objectives
    metrics: tuple[str, ...]
    """Metrics measured on val: both objectives first."""
    bicubic: Mapping[str, float]
    protocol: Mapping[str, str]
    gpus: float
    """GPUs that a trial holds, or the share of one."""
    price: float
    """Price of a GPU-hour."""
    inference: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] = lambda values: None
    """The inference cost of a design by its values; None if it was not measured."""


def make_row(trial: EndedTrial, context: RowContext) -> Row:
    """Return the row of a trial."""
    report, curve = trial.report, trial.curve
    notes = remarks(report, curve, context.objectives, context.bicubic)
    row: Row = {
        "trial_id": trial.trial_id,
        "stage": trial.stage,
        "design": trial.design,
        "config": dict(trial.config),
        "metrics": metrics_of(report, context.metrics) | prefixed("bicubic", context.bicubic),
        "protocol": dict(context.protocol),
        "verdict": describe_outcome(trial.stage, report, trial.stopped_at, trial.error, notes),
        "seed": trial.config["run.seed"],
        "seconds": report.usage.seconds,
        **cost_of(report, context.gpus, context.price),  # type: ignore[typeddict-item]
        "hardware": report.hardware,
        "mlflow_run_id": None,
        "steps": report.step,
        "max_steps": report.max_steps,
        "rung": trial.stopped_at,
        "curve": [
            [c["step"], c[context.metrics[0]], c[context.metrics[1]]]
            for c in curve
            if c["phase"] == curve[-1]["phase"]
        ],
        "candidates": list(report.candidates),
        "checkpoint": report.checkpoint,
        "strip": trial.strip,
        "warm": trial.warm,
        "diverged": report.status is Status.DIVERGED,
        "finished": report.status is Status.COMPLETE,
        "values": dict(trial.values),
    }
    if cost := context.inference(trial.values):
        row["inference"] = dict(cost)
    if trial.lineage is not None:
        row["lineage"] = dict(trial.lineage)
    return row


def metrics_of(report: TrialReport, measured: Sequence[str]) -> dict[str, float]:
    """Return a report's metrics, those of its warm start, its diagnostics and its gradient shares."""
    own = {m: report.ranked[m] for m in measured if m in report.ranked}
    warm = {m: report.warm_start[m] for m in measured if m in report.warm_start}
    shares = prefixed("gradient_share", report.gradient_shares)
    return {k: float(v) for k, v in (own | prefixed("warm", warm) | report.diagnostics | shares).items()}


def prefixed(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    """Return `values` under the names PREFIX/NAME."""
    return {f"{prefix}/{name}": value for name, value in values.items()}


def cost_of(report: TrialReport, gpus: float, price: float) -> dict[str, float]:
    """Return gpu_hours, cpu_hours and cost of a trial that holds `gpus` GPUs at `price` an hour each."""
    gpu_hours = report.usage.seconds / 3600 * gpus if report.device == "cuda" else 0.0
    return {"gpu_hours": gpu_hours, "cpu_hours": report.usage.cpu_seconds / 3600, "cost": gpu_hours * price}


def design_key(row: Row) -> str:
    """Return a hash that all seeds of one design share, and no other design; labels may omit a setting."""
    values = {k: v for k, v in row["values"].items() if k not in SEEDS}
    lineage = row.get("lineage")
    return digest(values | ({"lineage": lineage["segments"]} if lineage else {}))


@dataclass(frozen=True)
class PsnrNetwork:
    """A network of the PSNR phase alone, trained for as much as both phases of a confirmed one cost."""

    warm_key: str
    values: Mapping[str, Any]
    config: TrainConfig
    checkpoint: str
    """Storage name."""
    val: Mapping[str, float]
    """Metrics on val."""


def psnr_row(network: PsnrNetwork, evaluation: Mapping[str, Any], price: float) -> Row:
    """Return the test stage's row of a PSNR network, which ships if no GAN does."""
    steps = network.config.run.psnr_steps
    row: Row = {
        "trial_id": f"psnr-{network.warm_key}",
        "stage": "test",
        "of": f"warm-{network.warm_key}",
        "design": label({k: v for k, v in network.values.items() if k not in SEEDS} | {STEPS: steps}),
        "config": flatten(network.config),
        "values": dict(network.values),
        "seed": network.config.run.seed,
        "verdict": f"measured on test: a PSNR phase of {steps} steps",
        "val": dict(network.val),
        "steps": steps,
        "max_steps": steps,
        "checkpoint": network.checkpoint,
        "rung": None,
        "strip": None,
        "warm": None,
        "diverged": False,
        "finished": True,
        "mlflow_run_id": None,
    }
    return {**row, **_measured(evaluation, price)}  # type: ignore[typeddict-item]


def _measured(evaluation: Mapping[str, Any], price: float) -> dict[str, Any]:
    """Return the entries of a row that the test stage measures."""
    return {
        "metrics": evaluation["summary"],
        "curve": [],
        "candidates": [],
        "protocol": evaluation["protocol"],
        "per_image": evaluation["per_image"],
        "keys": evaluation["keys"],
        "sentinels": evaluation.get("sentinels", {}),
        "second_opinion": evaluation.get("second_opinion", {}),
        "gpu_hours": evaluation["gpu_hours"],
        "cpu_hours": evaluation["cpu_hours"],
        "cost": evaluation["gpu_hours"] * price,
    }


def test_row(row: Row, evaluation: Mapping[str, Any], price: float) -> Row:
    """Return the test stage's row of a confirmed one: its checkpoint measured on the test images."""
    return {
        **row,
        "trial_id": row["trial_id"].replace("confirm", "test"),
        "stage": "test",
        "of": row["trial_id"],
        "verdict": "measured on test",
        **_measured(evaluation, price),  # type: ignore[typeddict-item]
    }
