"""The gate's measurement of a candidate and its references, and the decision; here or in a Ray task.

No MLflow: networks from a registry are loaded beforehand and sent with the task.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from datasets.address import masked
from datasets.errors import UserError
from datasets.text import count, printable
from orchestrator.analysis.intervals import Interval
from orchestrator.cluster import connect
from orchestrator.cluster.tasks import run_tasks
from orchestrator.cluster.worker import worker_device
from orchestrator.console.bars import BatchProgress, importing
from orchestrator.registry.candidate import Candidate
from orchestrator.registry.gate import ANCHORS, Decision, Thresholds, decide, difference_to
from orchestrator.registry.gate_images import TIMED_RUNS, GateImages, Measured
from trainers.config import TrainConfig
from trainers.evaluate import Evaluation


@dataclass(frozen=True)
class Champion:
    """The registered model that a candidate must beat."""

    uri: str
    config: TrainConfig  # stays before the network, as in Candidate
    generator: nn.Module
    first: "Champion | None" = None
    """The first champion of the candidate's objectives, if it is another version."""


@dataclass(frozen=True)
class GateResult:
    """A decision with the metrics and the digests of the images that it rests on."""

    decision: Decision
    candidate: Evaluation
    references: dict[str, Evaluation]
    gate_digest: str
    train_digest: str
    gains: Mapping[str, Interval]
    """Metric -> candidate minus bicubic, at gate.LEVEL."""
    pictures: Mapping[str, Any]
    """`png`, input, bicubic, ours and target of three gate images, and `captions`; empty without bands."""
    sets: Mapping[str, str]
    """Role (train, gate) -> the name that its images were imported under."""
    sides: tuple[int, int]
    """Shortest and longest side of the gate images, in pixels."""


def evaluate_at(
    address: str | None,
    candidate: Candidate,
    champion: Champion | None,
    work_dir: Path,
    thresholds: Thresholds,
) -> GateResult:
    """Evaluate on the Ray cluster at `address`, on a GPU if it has one; None means in this process.

    UserError as from `evaluate_candidate`, or if no cluster answers at `address`.
    """
    console = Console(stderr=True)
    if address is None:
        return evaluate_candidate(candidate, champion, work_dir, thresholds, console)
    _say(console, f"importing and measuring on the cluster at {address}")
    with connect.connect(address) as capacity:
        arguments = (candidate, champion, work_dir, thresholds)
        return run_tasks(evaluate_candidate, [arguments], gpus=1.0 if capacity.gpus else 0.0)[0]


def evaluate_candidate(
    candidate: Candidate,
    champion: Champion | None,
    work_dir: Path,
    thresholds: Thresholds,
    console: Console | None = None,
) -> GateResult:
    """Measure on the gate images, which are imported below `work_dir`, and decide; `console` shows it.

    UserError if a gate image is among the training images, if the champion has another scale, or if an
    output of the candidate is not finite.
    """
    console, device = console or Console(quiet=True), worker_device(candidate.config.run.device)
    _say(console, f"opening the gate images: {candidate.config.data.source('gate')}")
    with importing(console) as progress:
        gate_images = GateImages(candidate.config, work_dir, device, progress)
    try:
        measured, references = _measure(candidate, champion, gate_images, console)
    except FloatingPointError as error:
        raise UserError(
            f"the network of sweep {candidate.sweep['name']} gives values that are not finite ({error}) and "
            f"cannot be promoted; choose another one with --run"
        ) from None
    evaluations = {key: reference.evaluation for key, reference in references.items()}
    _say(console, "comparing them image by image, and deciding")
    differences = gate_images.set_differences(measured, references)
    decision = decide(
        measured.evaluation,
        evaluations,
        candidate.config.objective,
        thresholds,
        differences,
        gate_images.defects(measured, references.get("champion")),
    )
    evaluations.pop(ANCHORS[0], None)  # the champion again
    bicubic = ("bicubic", measured.evaluation, evaluations["bicubic"], differences)
    return GateResult(
        decision,
        measured.evaluation,
        evaluations,
        gate_images.images.digest,
        gate_images.train.digest,
        {metric: difference_to(metric, *bicubic) for metric in gate_images.metrics},
        gate_images.pictures(measured, references["bicubic"]),
        {"train": gate_images.train.name, "gate": gate_images.images.name},
        gate_images.sides(),
    )


def _measure(
    candidate: Candidate, champion: Champion | None, gate_images: GateImages, console: Console
) -> tuple[Measured, dict[str, Measured]]:
    """Measure the candidate, and by name the references that it must beat, on the same images."""
    networks = {"candidate": candidate.generator}
    if candidate.warm_generator is not None:
        networks["warm start"] = candidate.warm_generator
    if champion:
        if champion.config.generator.scale != gate_images.scale:
            raise UserError(
                f"{champion.uri} upscales {champion.config.generator.scale} times and the candidate "
                f"{gate_images.scale} times; set --model to a registered name for this scale"
            )
        networks["champion"] = champion.generator
        if champion.first:
            networks[ANCHORS[1]] = champion.first.generator
    timed = ("candidate", "champion") if champion else ()
    images = count(len(gate_images.pairs), "gate image")
    _say(console, f"measuring bicubic and {count(len(networks), 'network')} on {images}")
    with BatchProgress(1 + len(networks), console) as bar:
        bar.update("bicubic", 0, 1)
        measured = {"bicubic": gate_images.measure_bicubic()}
        for name, network in networks.items():
            runs = TIMED_RUNS if name in timed else 1
            placed = network.to(gate_images.device)
            measured[name] = gate_images.measure(placed, runs, partial(bar.update, name))
    if champion and champion.config.objective.pair == candidate.config.objective.pair:
        measured[ANCHORS[0]] = measured["champion"]
    return measured.pop("candidate"), measured


def _say(console: Console, text: str) -> None:
    console.print(printable(masked(text)), markup=False, highlight=False, soft_wrap=True)
