"""A promotion's decision and a model's history as text."""

from orchestrator.registry.promote import Outcome
from orchestrator.registry.registry import Registry


def history(registry: Registry) -> str:
    """All versions, newest first, with what happened to each."""
    lines = []
    for version in registry.versions():
        aliases = f" [{', '.join(version.aliases)}]" if version.aliases else ""
        design = version.tags.get("upsweep.design", "")
        lines.append(f"v{version.number}{aliases} {design} ({version.tags.get('upsweep.decision', '?')})")
        lines += [f"    {event}" for event in version.events]
    return "\n".join(lines) or f"no model {registry.model} is registered"


def describe_outcome(outcome: Outcome) -> str:
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
