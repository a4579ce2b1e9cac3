"""A seed from its name to one table: the studies it needs, which are done, what came of each claim."""

import json
from collections.abc import Mapping
from pathlib import Path

from datasets.errors import unknown
from orchestrator.analysis.significance import MIN_IMAGES, NOT_ENOUGH, SEEDS_TO_BEAT
from orchestrator.studies.claims import DOCUMENTS, UNTESTED, Claim
from orchestrator.studies.run import FACTS

MORE = (
    f"not enough evidence: a verdict takes {SEEDS_TO_BEAT} seeds (--seeds) and {MIN_IMAGES} test images "
    "at least, more where arms lie close together"
)


def claims_of(seed: str) -> tuple[Claim, ...]:
    """Every figure, table and claim of a seed. UserError for a name that is none."""
    if seed not in DOCUMENTS:
        raise unknown("seed", seed, DOCUMENTS, "SEED")
    return DOCUMENTS[seed]


def studies_of(seed: str, known: Mapping[str, object]) -> list[str]:
    """The studies that answer its claims, each once."""
    return [name for name in dict.fromkeys(c.study for c in claims_of(seed)) if name in known]


def state_of(folder: Path) -> str:
    """finished, begun or new."""
    path = folder / FACTS
    if not path.is_file():
        return "new"
    return "finished" if json.loads(path.read_text())["status"] == "finished" else "begun"


def answers(seed: str, folders: Mapping[str, Path]) -> list[tuple[Claim, str, str]]:
    """Each claim with its status and why; one that no study answered is untested."""
    found: dict[str, tuple[str, str]] = {}
    for folder in folders.values():
        path = folder / "answer" / "claims.json"
        for entry in json.loads(path.read_text()) if path.is_file() else []:
            found[entry["id"]] = (entry["status"], entry["why"])
    return [(c, *found.get(c.id, (UNTESTED, c.why or "its study did not end"))) for c in claims_of(seed)]


def lines(seed: str, folders: Mapping[str, Path]) -> list[str]:
    """The seed as Markdown: every figure, table and claim with its status."""
    said = [f"**{seed}**", "", "| where | what it says | status | by what |", "| --- | --- | --- | --- |"]
    rows = answers(seed, folders)
    said += [f"| {c.where} | {c.says} | {status} | {why} |" for c, status, why in rows]
    counts = [status for _, status, _ in rows]
    summary = ", ".join(f"{counts.count(s)} {s}" for s in dict.fromkeys(counts))
    said += ["", f"{len(rows)} in all: {summary}"]
    if NOT_ENOUGH in counts:
        said.append(MORE)
    return said
