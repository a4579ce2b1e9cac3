"""A candidate and its rivals measured on the gate set, here or in a Ray task of its own, and judged.

No MLflow: what must be loaded from a registry is loaded before and travels with the task.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from datasets.errors import UserError
from orchestrator.cluster import connect
from orchestrator.registry.candidate import Candidate
from orchestrator.registry.gate import Decision, Thresholds, decide
from orchestrator.registry.gate_images import GateImages, Measured
from trainers.config import TrainConfig
from trainers.device import pick_device
from trainers.evaluate import Evaluation


@dataclass(frozen=True)
class Champion:
    """The model that holds the title."""

    uri: str
    generator: nn.Module
    config: TrainConfig


@dataclass(frozen=True)
class GateResult:
    """A decision with the numbers and the images behind it."""

    decision: Decision
    candidate: Evaluation
    references: dict[str, Evaluation]
    gate_digest: str
    train_digest: str


def evaluate_at(
    address: str | None,
    candidate: Candidate,
    champion: Champion | None,
    work_dir: Path,
    thresholds: Thresholds,
) -> GateResult:
    """Judge on the Ray cluster at `address`, on a GPU where it has one; None judges in this process.

    UserError as `judge` raises it, or where no cluster answers.
    """
    if address is None:
        return evaluate_candidate(candidate, champion, work_dir, thresholds)
    import ray

    with connect.connect(address) as place:
        task = ray.remote(num_cpus=1, num_gpus=1 if place.gpus else 0)(evaluate_candidate)
        try:
            return ray.get(task.remote(candidate, champion, work_dir, thresholds))
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise


def evaluate_candidate(
    candidate: Candidate, champion: Champion | None, work_dir: Path, thresholds: Thresholds
) -> GateResult:
    """Measure on the gate images, imported under `work_dir`, and decide.

    UserError for a leaking gate set, a champion of another scale and a network whose output is no image.
    """
    gate_set = GateImages(candidate.config, work_dir, pick_device(candidate.config.run.device))
    try:
        measured, references = _measure(candidate, champion, gate_set)
    except FloatingPointError as error:
        raise UserError(f"the pick of sweep {candidate.sweep['name']} cannot be measured: {error}") from None
    evaluations = {key: reference.evaluation for key, reference in references.items()}
    decision = decide(
        measured.evaluation,
        evaluations,
        candidate.config.objective,
        thresholds,
        gate_set.set_differences(measured, references),
        gate_set.faults(measured, references.get("champion")),
    )
    return GateResult(
        decision, measured.evaluation, evaluations, gate_set.images.digest, gate_set.train.digest
    )


def _measure(
    candidate: Candidate, champion: Champion | None, gate_set: GateImages
) -> tuple[Measured, dict[str, Measured]]:
    """The candidate and what it must beat, all on the same images."""
    references = {"bicubic": gate_set.measure_bicubic()}
    if champion:
        if champion.config.generator.scale != gate_set.scale:
            raise UserError(
                f"{champion.uri} upscales {champion.config.generator.scale} times and the candidate "
                f"{gate_set.scale} times; set --model to another registered name"
            )
        references["champion"] = gate_set.measure(champion.generator.to(gate_set.device))
    elif candidate.warm_generator is not None:
        references["warm start"] = gate_set.measure(candidate.warm_generator.to(gate_set.device))
    return gate_set.measure(candidate.generator.to(gate_set.device)), references
