"""Text of a promotion's decision and of a model's history."""

import shlex

from orchestrator.registry.promote import Outcome
from orchestrator.registry.registry import Registry
from orchestrator.tracking.server import default_uri


def history(registry: Registry) -> str:
    """Return all versions of a model, newest first, with the events of each."""
    lines = []
    if registry.is_interrupted():
        lines.append("the last move was interrupted; the next promotion or rollback completes it")
    for version in registry.versions():
        aliases = f" [{', '.join(version.aliases)}]" if version.aliases else ""
        design = version.tags.get("upsweep.design", "")
        lines.append(f"v{version.number}{aliases} {design} ({version.tags.get('upsweep.decision', '?')})")
        lines += [f"    {event}" for event in version.events]
    ours = registry.client.search_registered_models("name LIKE 'upsweep-%'")
    others = sorted(model.name for model in ours if model.name != registry.model)
    if not lines:
        lines = [f"no model {registry.model} is registered"]
    return "\n".join([*lines, *([f"other models here (--model): {', '.join(others)}"] if others else [])])


def describe_outcome(outcome: Outcome) -> str:
    """Return the decision, with each check on a line of its own."""
    passed = outcome.decision.passed
    if outcome.version is None:
        headline = f"{outcome.model} (dry run): would be {'promoted' if passed else 'refused'}"
    else:
        verdict = "promoted to champion" if outcome.is_champion else "refused by the gate"
        against = f" against the gate ({outcome.forced})" if outcome.is_champion and not passed else ""
        headline = f"{outcome.model} v{outcome.version}: {verdict}{against}"
    marks = {True: "ok  ", False: "FAIL", None: "?   "}
    checks = [f"  {marks[c.passed]} {c.sentence}" for c in outcome.decision.checks]
    about = [f"  {text}" for text in (outcome.design, outcome.why_no_gan) if text]
    lines = [headline, *about, *checks, *([f"  {outcome.legend}"] if outcome.legend else [])]
    lines += [f"gate images: {outcome.other_gate}"] * bool(outcome.other_gate)
    if outcome.is_champion:
        lines += [f"  {outcome.exports}"] * bool(outcome.exports)
    if outcome.is_champion and outcome.version is None:
        lines += [f"promote: {outcome.command}"] * bool(outcome.command)
    elif outcome.is_champion:
        command = f"upsweep upscale PICTURE --model {shlex.quote(f'models:/{outcome.model}@champion')}"
        if outcome.tracking_uri != default_uri("runs"):
            command += f" --tracking-uri {shlex.quote(outcome.tracking_uri)}"
        lines.append(f"upscale: {command}")
    return "\n".join(lines if outcome.is_champion else [*lines, *_remedies(outcome)])


def _remedies(outcome: Outcome) -> list[str]:
    """Return a line for each way to pass the checks that failed, and the command that needs no promotion."""
    remedies = dict.fromkeys(c.remedy for c in outcome.decision.checks if not c.passed and c.remedy)
    lines = [f"remedy: {remedy.replace('{promote}', outcome.command)}" for remedy in remedies]
    if outcome.folder:
        use = f"upsweep upscale PICTURE --model {shlex.quote(outcome.folder)}"
        lines.append(f"without a promotion: {use}")
    return lines
