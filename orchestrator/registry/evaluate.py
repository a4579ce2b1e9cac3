"""The gate's measurement of a candidate and its references, and the decision; here or in a Ray task.

No MLflow: networks from a registry are loaded beforehand and sent with the task.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from datasets.errors import UserError
from orchestrator.analysis.intervals import Interval
from orchestrator.cluster import connect
from orchestrator.cluster.tasks import run_tasks
from orchestrator.cluster.worker import worker_device
from orchestrator.registry.candidate import Candidate
from orchestrator.registry.gate import ANCHORS, Decision, Thresholds, decide, difference_to
from orchestrator.registry.gate_images import GateImages, Measured
from trainers.config import TrainConfig
from trainers.evaluate import Evaluation


@dataclass(frozen=True)
class Champion:
    """The registered model that a candidate must beat."""

    uri: str
    config: TrainConfig
    """Before the network, as in a Candidate."""
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
    if address is None:
        return evaluate_candidate(candidate, champion, work_dir, thresholds)
    with connect.connect(address) as capacity:
        arguments = (candidate, champion, work_dir, thresholds)
        return run_tasks(evaluate_candidate, [arguments], gpus=1.0 if capacity.gpus else 0.0)[0]


def evaluate_candidate(
    candidate: Candidate, champion: Champion | None, work_dir: Path, thresholds: Thresholds
) -> GateResult:
    """Measure on the gate images, which are imported below `work_dir`, and decide.

    UserError if a gate image is among the training images, if the champion has another scale, or if an
    output of the candidate is not finite.
    """
    gate_images = GateImages(candidate.config, work_dir, worker_device(candidate.config.run.device))
    try:
        measured, references = _measure(candidate, champion, gate_images)
    except FloatingPointError as error:
        raise UserError(f"the pick of sweep {candidate.sweep['name']} cannot be measured: {error}") from None
    evaluations = {key: reference.evaluation for key, reference in references.items()}
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
    candidate: Candidate, champion: Champion | None, gate_images: GateImages
) -> tuple[Measured, dict[str, Measured]]:
    """Measure the candidate, and by name the references that it must beat, on the same images."""
    references = {"bicubic": gate_images.measure_bicubic()}
    if candidate.warm_generator is not None:
        references["warm start"] = gate_images.measure(candidate.warm_generator.to(gate_images.device))
    if champion:
        if champion.config.generator.scale != gate_images.scale:
            raise UserError(
                f"{champion.uri} upscales {champion.config.generator.scale} times and the candidate "
                f"{gate_images.scale} times; set --model to another registered name"
            )
        references["champion"] = gate_images.measure(champion.generator.to(gate_images.device))
        present, first = ANCHORS
        if champion.config.objective == candidate.config.objective:
            references[present] = references["champion"]
        if champion.first:
            references[first] = gate_images.measure(champion.first.generator.to(gate_images.device))
    return gate_images.measure(candidate.generator.to(gate_images.device)), references
