"""A study's answer as files: tables as CSV and Markdown, figures, and the claims with their statuses."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.console import format_duration
from orchestrator.studies.claims import ClaimResult, claim
from orchestrator.studies.plan import Study
from orchestrator.studies.results import Answer, Table
from trainers.benchmarks.formats import piped


def answer(folder: Path, study: Study, found: Answer, facts: Mapping[str, Any]) -> list[str]:
    """Write everything below `folder`; the files, for MLflow."""
    out = folder / "answer"
    out.mkdir(parents=True, exist_ok=True)
    for table in found.tables:
        _write_csv(out / f"{table.name}.csv", table)
    for name, content in found.figures.items():
        (out / name).write_bytes(content)
    claims = [{"id": c.id, "status": c.status, "why": c.why} for c in found.claims]
    (out / "claims.json").write_text(json.dumps(claims, indent=1) + "\n")
    (out / "study.md").write_text(page(study, found, facts))
    return [str(path) for path in sorted(out.iterdir())]


def _write_csv(path: Path, table: Table) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(table.rows)


def page(study: Study, found: Answer, facts: Mapping[str, Any]) -> str:
    """The whole answer as Markdown."""
    parts = [f"# {facts['name']}", f"    {facts['command']}", _circumstances(facts)]
    parts.append("\n".join(f"- {line}" for line in study.conditions))
    parts += [markdown(table) for table in found.tables]
    parts += [f"![{name}]({name})" for name in found.figures]
    parts.append("\n".join(["## Claims", "", *said(found.claims)]))
    return "\n\n".join(parts) + "\n"


def markdown(table: Table) -> str:
    """A titled table with its notes."""
    rows = [table.columns, ["---"] * len(table.columns), *table.rows]
    lines = [piped([str(cell) for cell in row]) for row in rows]
    return "\n".join([f"**{table.title}**", "", *lines, *(f"\n{note}" for note in table.notes)])


def said(claims: Sequence[ClaimResult]) -> list[str]:
    """One line per claim: where it stands, what it says, its status and why."""
    return [f"- {claim(c.id).where}: {claim(c.id).says} — **{c.status}**: {c.why}" for c in claims]


def _circumstances(facts: Mapping[str, Any]) -> str:
    took = format_duration(facts["ended"] - facts["started"])
    return (
        f"Commit {facts['commit']}, {facts['hardware']}, {facts['seeds']} seeds, {took}, "
        f"{facts['cpu_hours']:.2f} CPU-hours, {facts['gpu_hours']:.2f} GPU-hours."
    )
