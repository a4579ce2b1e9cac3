"""The story of a promotion: the pick of a sweep -> measured on the gate set -> registered -> alias moved.

Each part is told elsewhere (gate, gate_set, export, registry, card); here is the order, and that a refused
candidate is registered too, with its reason, but never becomes champion.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow

from datasets.errors import UserError
from orchestrator.candidate import Candidate, find_candidate, newest_sweep, registered_name
from orchestrator.card import model_card
from orchestrator.export import log_generator
from orchestrator.gate import Decision, Thresholds, decide, numbers
from orchestrator.gate_set import GateSet, Measured
from orchestrator.mlflow_store import experiment_id, fluent_store
from orchestrator.registry import CHAMPION, Registry, Version, export_weights, load_generator
from orchestrator.tracking import alone, artifact_root, database_path, default_uri, probe
from trainers import checkpoint
from trainers.device import pick_device
from trainers.evaluate import Evaluation


@dataclass(frozen=True)
class Judged:
    """A decision with the numbers behind it."""

    decision: Decision
    candidate: Evaluation
    references: dict[str, Evaluation]


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


def measure(
    candidate: Candidate, gate_set: GateSet, champion_uri: str | None, tracking_uri: str
) -> tuple[Measured, dict[str, Measured]]:
    """The candidate and what it must beat, all on the same images."""
    references = {"bicubic": gate_set.measure_bicubic()}
    if champion_uri:
        champion, config = load_generator(champion_uri, tracking_uri)
        if config.generator.scale != gate_set.scale:
            raise UserError(
                f"{champion_uri} upscales {config.generator.scale} times and the candidate "
                f"{gate_set.scale} times; set --model to another registered name"
            )
        references["champion"] = gate_set.measure(champion.to(gate_set.device))
    elif candidate.warm_folder:
        warm, _ = checkpoint.load_generator(candidate.warm_folder)
        references["warm start"] = gate_set.measure(warm.to(gate_set.device))
    return gate_set.measure(candidate.generator.to(gate_set.device)), references


def promote(
    storage: Path,
    name: str = "",
    model: str = "",
    tracking_uri: str = "",
    *,
    dry_run: bool = False,
    force: str = "",
    thresholds: Thresholds | None = None,
) -> Outcome:
    """Judge the pick of sweep `name` and, unless it is a dry run, register it and act on the decision.

    `force` is a reason to promote against the gate; it is written on the version. UserError where the
    champion changed meanwhile: the candidate then stays challenger.
    """
    storage = storage.resolve()
    candidate = find_candidate(storage, name or newest_sweep(storage))
    uri = tracking_uri or candidate.sweep["tracking_uri"] or default_uri(storage)
    probe(uri)
    registry = Registry(uri, model or candidate.default_model)
    champion = registry.by_alias(CHAMPION)
    gate_set = GateSet(candidate.config, storage, pick_device(candidate.config.run.device))
    judged = _judge(candidate, gate_set, registry, champion, thresholds or Thresholds())
    facts = _facts(candidate, gate_set, judged, force)
    card = model_card(registry.model, candidate.sweep, candidate.row, judged.decision, facts)
    if dry_run:
        return Outcome(judged.decision, registry.model, None, card)
    with alone(_lock_file(storage, uri)):
        version = _register(registry, candidate, judged, storage, facts, card)
        registry.count_gate_use(gate_set.images.digest)
        if judged.decision.passed or force:
            how = "passed the gate" if judged.decision.passed else f"forced against the gate: {force}"
            registry.promote(version, champion.number if champion else None, how)
        else:
            registry.note(version, f"refused by the gate: {judged.decision.reason}")
    return Outcome(judged.decision, registry.model, version, card, force)


def _judge(
    candidate: Candidate,
    gate_set: GateSet,
    registry: Registry,
    champion: Version | None,
    thresholds: Thresholds,
) -> Judged:
    champion_uri = f"models:/{registry.model}/{champion.number}" if champion else None
    try:
        measured, references = measure(candidate, gate_set, champion_uri, registry.tracking_uri)
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
    return Judged(decision, measured.evaluation, evaluations)


def _lock_file(storage: Path, tracking_uri: str) -> Path:
    database = database_path(tracking_uri)
    return (database.parent if database else storage) / "promotion.lock"


def _facts(candidate: Candidate, gate_set: GateSet, judged: Judged, force: str) -> dict[str, str]:
    """What is written on the version: decision, numbers, protocol, lineage."""
    decision = judged.decision
    values = {key: f"{value:.6g}" for key, value in numbers(judged.candidate, judged.references).items()}
    protocol = {f"gate/protocol/{metric}": text for metric, text in judged.candidate.protocol.items()}
    lineage = {
        "sweep": candidate.sweep["name"],
        "trial_id": candidate.row["trial_id"],
        "design": candidate.row["design"],
        "recipe": candidate.sweep["recipe"],
        "commit": candidate.sweep["commit"],
        "train.digest": gate_set.train.digest,
        "gate.digest": gate_set.images.digest,
        "gate.images": str(len(gate_set.pairs)),
    }
    word = "promoted" if decision.passed else "forced" if force else "refused"
    verdict = {"decision": word, "reason": decision.reason} | ({"force": force} if force else {})
    return {f"upsweep.{key}": str(value) for key, value in {**verdict, **lineage}.items()} | values | protocol


def _register(
    registry: Registry,
    candidate: Candidate,
    judged: Judged,
    storage: Path,
    facts: Mapping[str, str],
    card: str,
) -> int:
    """A run of its own holds the model, the card and the numbers of every image; then the version."""
    uri, experiment = registry.tracking_uri, candidate.sweep["experiment"]
    where = experiment_id(registry.client, experiment, artifact_root(uri, storage))
    run_name = f"promotion of {candidate.row['design']}"[:250]
    with fluent_store(uri), mlflow.start_run(experiment_id=where, run_name=run_name) as run:
        mlflow.set_tags({"upsweep.kind": "promotion", **facts})
        mlflow.log_metrics(numbers(judged.candidate, judged.references))
        mlflow.log_text(card, "model_card.md")
        mlflow.log_table(per_image(judged), "gate_per_image.parquet")
        model_uri = log_generator(candidate.generator, candidate.config)
    return registry.register(model_uri, run.info.run_id, facts, card).number


def per_image(judged: Judged) -> dict[str, list[Any]]:
    """A table with a line for each model, image and metric of the gate set."""
    table: dict[str, list[Any]] = {"model": [], "image": [], "metric": [], "value": []}
    for model, evaluation in {"candidate": judged.candidate, **judged.references}.items():
        for metric, values in evaluation.per_image.items():
            table["model"] += [model] * len(values)
            table["image"] += evaluation.keys
            table["metric"] += [metric] * len(values)
            table["value"] += values
    return table


def open_registry(storage: Path, name: str, model: str, tracking_uri: str) -> Registry:
    """The registry that `promote` would use with the same arguments, without looking at any model."""
    storage = storage.resolve()
    sweep: dict[str, Any] = {}
    if not model or not tracking_uri and any(storage.glob("*/sweep.json")):
        folder = storage / (name or newest_sweep(storage))
        if not (folder / "sweep.json").exists():
            raise UserError(f"no sweep '{name}' in {storage}; set --model and --tracking-uri")
        sweep = json.loads((folder / "sweep.json").read_text())
    uri = tracking_uri or sweep.get("tracking_uri") or default_uri(storage)
    probe(uri)
    return Registry(uri, model or registered_name(sweep["name"]))


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


def history(registry: Registry) -> str:
    """All versions, newest first, with what happened to each."""
    lines = []
    for version in registry.versions():
        aliases = f" [{', '.join(version.aliases)}]" if version.aliases else ""
        design = version.tags.get("upsweep.design", "")
        lines.append(f"v{version.number}{aliases} {design} ({version.tags.get('upsweep.decision', '?')})")
        lines += [f"    {event}" for event in version.events]
    return "\n".join(lines) or f"no model {registry.model} is registered"


def words(outcome: Outcome) -> str:
    """The decision with each check on its own line."""
    passed = outcome.decision.passed
    if outcome.version is None:
        head = f"{outcome.model} (dry run): would be {'promoted' if passed else 'refused'}"
    else:
        verdict = "promoted to champion" if outcome.is_champion else "refused by the gate"
        against = f" against the gate ({outcome.forced})" if outcome.is_champion and not passed else ""
        head = f"{outcome.model} v{outcome.version}: {verdict}{against}"
    marks = {True: "ok  ", False: "FAIL"}
    return "\n".join([head, *(f"  {marks[c.passed]} {c.sentence}" for c in outcome.decision.checks)])
