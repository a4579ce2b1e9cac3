"""The steps of a promotion: the pick of a sweep -> measured on the gate set -> registered -> alias moved.

Each step has its own module (evaluate, gate, export, registry, model_card); here is their order. A refused
candidate is registered too, with the reason, but never becomes champion.

A promotion writes to MLflow directly (MLflow's fluent functions and the registry's client), while all runs of
sweeps, studies and tables are written by one writer process. That is safe: a promotion writes only a run of
its own, which no journal has a key for, and registry entries, whose order is decided in the registry itself
(moves.py), so that of two promotions against one champion one acts and the other is told.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import torch
from PIL import Image
from torch import nn

from datasets.errors import UserError
from datasets.files import user_path
from orchestrator.registry import candidate as candidates
from orchestrator.registry.candidate import Candidate
from orchestrator.registry.candidate_source import CandidateSource
from orchestrator.registry.evaluate import Champion, GateResult, evaluate_at
from orchestrator.registry.export import log_generator
from orchestrator.registry.export_file import Export, possible_exports, write_export
from orchestrator.registry.gate import USES, Decision, Thresholds, gate_metrics, legend
from orchestrator.registry.load_model import HASH, load_generator, stored_hashes
from orchestrator.registry.model_card import PICTURE, model_card
from orchestrator.registry.registry import CHAMPION, Registry
from orchestrator.registry.source_registry import registry_of
from orchestrator.registry.summary import describe_model
from orchestrator.results import sweep_folder
from orchestrator.storage import Storage
from orchestrator.tracking.mlflow_client import get_or_create_experiment, open_client, using_tracking_uri
from orchestrator.tracking.server import artifact_root, default_uri, probe
from orchestrator.tracking.sweep_record import per_image_table
from trainers.config import override


class AlreadyChampion(Exception):
    """The candidate is the champion itself, so there is nothing to measure or to move."""


@dataclass(frozen=True)
class Outcome:
    """The result of a promotion."""

    decision: Decision
    model: str
    version: int | None
    """The registered version; None for a dry run."""
    card: str
    forced: str = ""
    """The reason for overruling the gate; empty if it was not overruled."""
    exports: str = ""
    """The files that can be written of the network, as a sentence."""
    tracking_uri: str = ""
    """Tracking URI of the registry that holds the model."""
    design: str = ""
    """The candidate's design, in short."""
    why_no_gan: str = ""
    """The reason why the candidate is a PSNR network, if its sweep found no good GAN; else empty."""
    legend: str = ""
    """The meaning of the numbers in the checks."""
    other_gate: str = ""
    """The gate images in words, if --gate named others than the sweep's own."""
    command: str = ""
    """The command that promotes the candidate, without --gate."""
    folder: str = ""
    """Value of --model, in other commands, for the candidate; empty if there is none."""

    @property
    def is_champion(self) -> bool:
        """True if the candidate is champion now, or would be without the dry run."""
        return self.decision.passed or bool(self.forced)


def promote(
    source: CandidateSource,
    *,
    address: str | None = None,
    dry_run: bool = False,
    force: str = "",
    thresholds: Thresholds | None = None,
) -> Outcome:
    """Evaluate a candidate and, unless it is a dry run, register it and act on the decision.

    With the `address` of a Ray cluster it is measured there. `force` is a reason to promote against the gate,
    which is written on the version. UserError if the champion changed meanwhile: the candidate then stays
    challenger. AlreadyChampion if it is the champion.
    """
    candidate = load_candidate(source)
    other_gate = source.other_gate(candidate.config.data.gate)
    if source.gate:
        candidate = replace(candidate, config=override(candidate.config, {"data.gate": source.gate}))
    registry = registry_of(source, candidate.sweep)
    if not dry_run:
        registry.repair()
    number, champion = _champion(registry, candidate.config.objective.pair)
    if champion and _are_equal(candidate.generator, champion.generator):
        raise AlreadyChampion(
            f"{candidate.row['design']} of {candidate.sweep['name']} is the champion of {registry.model} "
            f"already (v{number})"
        )
    result = evaluate_at(address, candidate, champion, source.work_dir, thresholds or Thresholds())
    exports = possible_exports(candidate.config.generator)
    uses = registry.count_gate_use(result.gate_digest)  # a dry run, whose numbers are seen, is a use too
    if uses > USES:
        raise UserError(
            f"the gate images ({len(result.candidate.keys)}, {result.gate_digest}) have served {USES} "
            f"decisions in this registry, so nothing more can be concluded from them; set --gate to "
            f"images that no decision has used"
        )
    tags = _version_tags(candidate, result, force, uses)
    tags |= {"upsweep.gate.other": other_gate} if other_gate else {}
    name = candidate.sweep["name"]
    outcome = Outcome(
        result.decision,
        registry.model,
        None,
        "",
        exports=exports,
        tracking_uri=registry.tracking_uri,
        design=candidate.row["design"],
        why_no_gan=candidate.why_no_gan,
        legend=legend(candidate.config.objective),
        other_gate=other_gate,
        command=source.command(name),
        folder=source.folder(name),
    )
    if dry_run:
        return replace(outcome, card=model_card(registry.model, candidate, result, tags))
    version, card = _register(registry, candidate, result, source.work_dir, tags)
    on = f" (gate images: {other_gate})" if other_gate else ""
    if result.decision.passed or force:
        how = "passed the gate" if result.decision.passed else f"forced against the gate: {force}"
        registry.promote(version, number, how + on)
    else:
        registry.note(version, f"refused by the gate{on}: {result.decision.reason}")
    return replace(outcome, version=version, card=card, forced=force)


def load_candidate(source: CandidateSource) -> Candidate:
    """Load the candidate; UserError if it does not exist or several are named."""
    if sum(map(bool, (source.name, source.run, source.checkpoint))) > 1:
        raise UserError("a sweep's name, --run and --checkpoint exclude each other; give one of them")
    if source.checkpoint:
        return candidates.candidate_of_folder(user_path(source.checkpoint).resolve())
    storage = Storage(source.storage)
    if source.run:
        uri = source.tracking_uri or default_uri(source.work_dir)
        probe(uri)
        return candidates.candidate_of_run(storage, open_client(uri), source.run, source.work_dir)
    name = source.name or sweep_folder.newest_sweep(storage)
    return candidates.find_candidate(storage, name, source.work_dir)


def _are_equal(one: nn.Module, other: nn.Module) -> bool:
    """Return True if two networks have the same tensors under the same names, to the bit."""
    own, others = one.state_dict(), other.state_dict()
    return own.keys() == others.keys() and all(torch.equal(own[name], others[name]) for name in own)


def _champion(registry: Registry, objective: str) -> tuple[int, Champion] | tuple[None, None]:
    """Return the champion's version number and network, or (None, None) if there is no champion.

    With it comes the first champion of that `objective` (ObjectiveConfig.pair), if it is another version.
    """
    version, first = registry.by_alias(CHAMPION), registry.first_champion(objective)
    if version is None:
        return None, None
    anchor = _load(registry, first.number) if first and first.number != version.number else None
    return version.number, replace(_load(registry, version.number), first=anchor)


def _load(registry: Registry, version: int) -> Champion:
    uri = f"models:/{registry.model}/{version}"
    generator, config = load_generator(uri, registry.tracking_uri)
    return Champion(uri, config, generator)


def _version_tags(candidate: Candidate, result: GateResult, force: str, uses: int) -> dict[str, str]:
    """Return the tags of the version: decision, metrics, protocols, lineage."""
    decision = result.decision
    values = {key: f"{value:.6g}" for key, value in gate_metrics(result.candidate, result.references).items()}
    protocol = {f"gate/protocol/{metric}": text for metric, text in result.candidate.protocol.items()}
    lineage = {
        "sweep": candidate.sweep["name"],
        "trial_id": candidate.row["trial_id"],
        "design": candidate.row["design"],
        "recipe": candidate.sweep["recipe"],
        "objective": candidate.config.objective.pair,
        "commit": candidate.sweep["commit"],
        "train.digest": result.train_digest,
        "gate.digest": result.gate_digest,
        "gate.images": str(len(result.candidate.keys)),
        "gate.uses": str(uses),
    }
    word = "promoted" if decision.passed else "forced" if force else "refused"
    verdict = {"decision": word, "reason": decision.reason} | ({"force": force} if force else {})
    return {f"upsweep.{key}": str(value) for key, value in {**verdict, **lineage}.items()} | values | protocol


def _register(
    registry: Registry,
    candidate: Candidate,
    result: GateResult,
    work_dir: Path,
    tags: Mapping[str, str],
) -> tuple[int, str]:
    """Log model, card, pictures and per-image metrics to a new run and register the model.

    Returns its version and its card.
    """
    uri, name = registry.tracking_uri, candidate.sweep["experiment"]
    experiment = get_or_create_experiment(registry.client, name, artifact_root(uri, work_dir))
    run_name = f"promotion of {candidate.row['design']}"[:250]
    with using_tracking_uri(uri), mlflow.start_run(experiment_id=experiment, run_name=run_name) as run:
        mlflow.set_tags({"upsweep.kind": "promotion", **tags})
        mlflow.log_metrics(gate_metrics(result.candidate, result.references))
        card = model_card(registry.model, candidate, result, tags, run.info.run_id)
        mlflow.log_text(card, "model_card.md")
        if result.pictures:
            mlflow.log_image(Image.open(io.BytesIO(result.pictures["png"])), PICTURE)
        mlflow.log_table(_per_image(result), "gate_per_image.parquet")
        model_uri = log_generator(candidate.generator, candidate.config)
    hashes = {HASH + name: sha256 for name, sha256 in stored_hashes(registry.client, model_uri).items()}
    about = describe_model(registry.model, candidate, result)
    return registry.register(model_uri, run.info.run_id, {**tags, **hashes}, card, about).number, card


def _per_image(result: GateResult) -> dict[str, list]:
    """Return the columns of the table of every model, metric and image of the gate set."""
    models = {"candidate": result.candidate, **result.references}
    values = {(name, metric): v for name, e in models.items() for metric, v in e.per_image.items()}
    table = per_image_table(result.candidate.keys, values)
    return table.select(["model", "image", "metric", "value"]).to_pydict()


def roll_back(registry: Registry, issued_at: float = math.inf) -> str:
    """Make the previous champion champion again; return a sentence.

    UserError if another command changed the champion after `issued_at`, when this one was given.
    """
    rolled_back, restored = registry.rollback(issued_at)
    return f"{registry.model}: v{restored} is champion again, v{rolled_back} was rolled back"


def export(registry: Registry, wanted: Export, work_dir: Path) -> str:
    """Write the champion to a file; return sentences about it. UserError if there is no champion."""
    wanted.check()
    number, champion = _champion(registry, "")
    if champion is None:
        raise UserError(f"model {registry.model} has no champion to export; promote a network first")
    lines = write_export(wanted, champion.generator, champion.config, work_dir)
    return "\n  ".join([f"{registry.model} v{number} -> {wanted.path}", *lines])
