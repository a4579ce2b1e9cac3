"""The story of a promotion: the pick of a sweep -> measured on the gate set -> registered -> alias moved.

Each part is told elsewhere (gate, gate_set, export, registry, card); here is the order, and that a refused
candidate is registered too, with its reason, but never becomes champion.
"""

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow

from datasets.errors import UserError
from datasets.files import locked
from orchestrator.registry import candidate as candidates
from orchestrator.registry.candidate import Candidate, registered_name
from orchestrator.registry.evaluate import Champion, GateResult, evaluate_at
from orchestrator.registry.export import log_generator
from orchestrator.registry.gate import Decision, Thresholds, gate_metrics
from orchestrator.registry.load_model import export_weights, load_generator
from orchestrator.registry.model_card import model_card
from orchestrator.registry.registry import CHAMPION, Registry
from orchestrator.results import sweep_folder
from orchestrator.storage import Storage
from orchestrator.tracking.mlflow_client import get_or_create_experiment, open_client, using_tracking_uri
from orchestrator.tracking.server import artifact_root, database_path, default_uri, probe


@dataclass(frozen=True)
class CandidateSource:
    """Where candidates and their record lie, and which one is meant."""

    storage: str = "./runs"
    """Folder or URL of all sweeps."""
    name: str = ""
    """The sweep whose pick is meant; the newest finished one where nothing is named."""
    model: str = ""
    """Registered name; upsweep-<sweep> where empty."""
    tracking_uri: str = ""
    """MLflow store; the sweep's own where empty."""
    run: str = ""
    """An MLflow run of a sweep, whose network is meant instead of a pick."""
    checkpoint: str = ""
    """A checkpoint folder that is meant instead."""

    @property
    def work_dir(self) -> Path:
        """Where imported images and copies lie on this machine."""
        own = os.environ.get("UPSWEEP_WORK_DIR", "./runs")
        return Path(own if "://" in self.storage else self.storage).expanduser().resolve()

    def candidate(self) -> Candidate:
        """Load what is meant; UserError where it does not exist or more than one thing is named."""
        if sum(map(bool, (self.name, self.run, self.checkpoint))) > 1:
            raise UserError("a sweep's name, --run and --checkpoint exclude each other")
        if self.checkpoint:
            return candidates.candidate_of_folder(Path(self.checkpoint).expanduser().resolve())
        storage = Storage(self.storage)
        if self.run:
            uri = self.tracking_uri or default_uri(self.work_dir)
            probe(uri)
            return candidates.candidate_of_run(storage, open_client(uri), self.run, self.work_dir)
        name = self.name or sweep_folder.newest_sweep(storage)
        return candidates.find_candidate(storage, name, self.work_dir)

    def registry(self, sweep: Mapping[str, Any]) -> Registry:
        """The registry that holds the model's versions; UserError where it cannot be reached."""
        uri = self.tracking_uri or sweep.get("tracking_uri") or default_uri(self.work_dir)
        probe(uri)
        return Registry(uri, self.model or registered_name(sweep["name"]))


@dataclass(frozen=True)
class Outcome:
    """What a promotion came to."""

    decision: Decision
    model: str
    version: int | None
    """The registered version; None for a dry run."""
    card: str
    forced: str = ""
    """Why the gate was overruled; empty where it was not."""

    @property
    def is_champion(self) -> bool:
        """Whether the candidate is champion now, or would be."""
        return self.decision.passed or bool(self.forced)


def promote(
    source: CandidateSource,
    *,
    address: str | None = None,
    dry_run: bool = False,
    force: str = "",
    thresholds: Thresholds | None = None,
) -> Outcome:
    """Judge a candidate and, unless it is a dry run, register it and act on the decision.

    `address` of a Ray cluster measures there. `force` is a reason to promote against the gate; it is
    written on the version. UserError where the champion changed meanwhile: the candidate then stays
    challenger.
    """
    candidate = source.candidate()
    registry = source.registry(candidate.sweep)
    champion = _champion(registry)
    held = champion[0] if champion else None
    rival = champion[1] if champion else None
    judged = evaluate_at(address, candidate, rival, source.work_dir, thresholds or Thresholds())
    lock = nullcontext() if dry_run else locked(_lock_file(source.work_dir, registry.tracking_uri))
    with lock:
        uses = registry.gate_uses(judged.gate_digest) + 1
        facts = _facts(candidate, judged, force, uses)
        card = model_card(registry.model, candidate.sweep, candidate.row, judged.decision, facts)
        if dry_run:
            return Outcome(judged.decision, registry.model, None, card)
        version = _register(registry, candidate, judged, source.work_dir, facts, card)
        registry.count_gate_use(judged.gate_digest)
        if judged.decision.passed or force:
            how = "passed the gate" if judged.decision.passed else f"forced against the gate: {force}"
            registry.promote(version, held, how)
        else:
            registry.note(version, f"refused by the gate: {judged.decision.reason}")
    return Outcome(judged.decision, registry.model, version, card, force)


def _champion(registry: Registry) -> tuple[int, Champion] | None:
    """The champion's version and its network, where there is one."""
    version = registry.by_alias(CHAMPION)
    if version is None:
        return None
    uri = f"models:/{registry.model}/{version.number}"
    return version.number, Champion(uri, *load_generator(uri, registry.tracking_uri))


def _lock_file(work_dir: Path, tracking_uri: str) -> Path:
    database = database_path(tracking_uri)
    return (database.parent if database else work_dir) / "promotion.lock"


def _facts(candidate: Candidate, judged: GateResult, force: str, uses: int) -> dict[str, str]:
    """What is written on the version: decision, numbers, protocol, lineage."""
    decision = judged.decision
    values = {key: f"{value:.6g}" for key, value in gate_metrics(judged.candidate, judged.references).items()}
    protocol = {f"gate/protocol/{metric}": text for metric, text in judged.candidate.protocol.items()}
    lineage = {
        "sweep": candidate.sweep["name"],
        "trial_id": candidate.row["trial_id"],
        "design": candidate.row["design"],
        "recipe": candidate.sweep["recipe"],
        "commit": candidate.sweep["commit"],
        "train.digest": judged.train_digest,
        "gate.digest": judged.gate_digest,
        "gate.images": str(len(judged.candidate.keys)),
        "gate.uses": str(uses),
    }
    word = "promoted" if decision.passed else "forced" if force else "refused"
    verdict = {"decision": word, "reason": decision.reason} | ({"force": force} if force else {})
    return {f"upsweep.{key}": str(value) for key, value in {**verdict, **lineage}.items()} | values | protocol


def _register(
    registry: Registry,
    candidate: Candidate,
    judged: GateResult,
    work_dir: Path,
    facts: Mapping[str, str],
    card: str,
) -> int:
    """A run of its own holds the model, the card and the numbers of every image; then the version."""
    uri, experiment = registry.tracking_uri, candidate.sweep["experiment"]
    where = get_or_create_experiment(registry.client, experiment, artifact_root(uri, work_dir))
    run_name = f"promotion of {candidate.row['design']}"[:250]
    with using_tracking_uri(uri), mlflow.start_run(experiment_id=where, run_name=run_name) as run:
        mlflow.set_tags({"upsweep.kind": "promotion", **facts})
        mlflow.log_metrics(gate_metrics(judged.candidate, judged.references))
        mlflow.log_text(card, "model_card.md")
        mlflow.log_table(per_image(judged), "gate_per_image.parquet")
        model_uri = log_generator(candidate.generator, candidate.config)
    return registry.register(model_uri, run.info.run_id, facts, card).number


def per_image(judged: GateResult) -> dict[str, list[Any]]:
    """A table with a line for each model, image and metric of the gate set."""
    table: dict[str, list[Any]] = {"model": [], "image": [], "metric": [], "value": []}
    for model, evaluation in {"candidate": judged.candidate, **judged.references}.items():
        for metric, values in evaluation.per_image.items():
            table["model"] += [model] * len(values)
            table["image"] += evaluation.keys
            table["metric"] += [metric] * len(values)
            table["value"] += values
    return table


def open_registry(source: CandidateSource) -> Registry:
    """The registry that `promote` would use with the same arguments, without looking at any model."""
    storage, sweep = Storage(source.storage), {"name": ""}
    if not source.model or not source.tracking_uri and sweep_folder.sweep_names(storage):
        sweep = sweep_folder.read_facts(storage, source.name or sweep_folder.newest_sweep(storage))
    return source.registry(sweep)


def roll_back(registry: Registry) -> str:
    """Roll back and say so."""
    left, restored = registry.rollback()
    return f"{registry.model}: v{restored} is champion again, v{left} was rolled back"


def export(registry: Registry, path: Path) -> str:
    """Write the champion's weights to a file and say so; UserError where there is no champion."""
    champion = registry.by_alias(CHAMPION)
    if champion is None:
        raise UserError(f"model {registry.model} has no champion to export")
    export_weights(f"models:/{registry.model}/{champion.number}", registry.tracking_uri, path)
    return f"{registry.model} v{champion.number} -> {path}"
