"""Write a study's answer as files: tables as CSV and Markdown, figures, and claims with their statuses."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets.files import atomic_write, read_json, reading
from datasets.text import format_duration
from orchestrator.studies.claims import ClaimResult
from orchestrator.studies.documents import CLAIMS
from orchestrator.studies.plan import Study
from orchestrator.studies.results import Answer, Table
from trainers.benchmarks import formats


def write_answer(folder: Path, study: Study, answer: Answer, facts: Mapping[str, Any]) -> list[str]:
    """Write everything to `folder`/answer; return the paths, as artifacts for MLflow."""
    out = folder / "answer"
    out.mkdir(parents=True, exist_ok=True)
    for table in answer.tables:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([table.columns, *table.rows])
        atomic_write(out / f"{table.name}.csv", text.getvalue().encode())
    for name, content in answer.figures.items():
        atomic_write(out / name, content)
    claims = [{"id": c.id, "status": c.status, "why": c.why} for c in answer.claims]
    atomic_write(out / "claims.json", (json.dumps(claims, indent=1) + "\n").encode())
    atomic_write(out / "study.md", page(study, answer, facts).encode())
    return [str(path) for path in sorted(out.iterdir())]


def read_claims(folder: Path) -> list[ClaimResult]:
    """Return the claims of a written answer; none if the study in `folder` is not finished."""
    path = folder / "answer" / "claims.json"
    with reading(path):
        return [ClaimResult(**c) for c in read_json(path, list)]


def page(study: Study, answer: Answer, facts: Mapping[str, Any]) -> str:
    """Return the whole answer as Markdown."""
    took = format_duration(facts["ended"] - facts["started"])
    circumstances = (
        f"Commit {facts['commit']}, {facts['hardware']}, {facts['seeds']} seeds, {took}, "
        f"{facts['cpu_hours']:.2f} CPU-hours, {facts['gpu_hours']:.2f} GPU-hours."
    )
    parts = [f"# {facts['name']}", f"    {facts['command']}", circumstances]
    parts.append("\n".join(f"- {line}" for line in study.conditions))
    parts += [markdown(table) for table in answer.tables]
    parts += [f"![{name}]({name})" for name in answer.figures]
    parts.append("\n".join(["## Claims", "", *claim_lines(answer.claims)]))
    return "\n\n".join(parts) + "\n"


def markdown(table: Table) -> str:
    """Return a titled table with its notes as Markdown."""
    body = formats.markdown(table.columns, table.rows)
    return "\n".join([f"**{table.title}**", "", body, *(f"\n{note}" for note in table.notes)])


def claim_lines(results: Sequence[ClaimResult]) -> list[str]:
    """Return one Markdown item per claim: its place, its meaning, its status and the reason."""
    return [f"- {CLAIMS[c.id].where}: {CLAIMS[c.id].says} — **{c.status}**: {c.why}" for c in results]
