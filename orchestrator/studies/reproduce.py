"""Reproduce a document: the studies it needs, their states, and one table with the status of each claim."""

from collections.abc import Mapping
from pathlib import Path

from datasets.errors import unknown
from datasets.files import read_json
from orchestrator.analysis.significance import MIN_IMAGES, NOT_ENOUGH, SEEDS_TO_BEAT
from orchestrator.studies.claims import UNTESTED
from orchestrator.studies.documents import DOCUMENTS, Claim
from orchestrator.studies.export import read_claims
from orchestrator.studies.run import FACTS
from trainers.benchmarks.formats import markdown

EVIDENCE_NEEDED = (
    f"not enough evidence: a verdict takes at least {SEEDS_TO_BEAT} seeds (--seeds) and {MIN_IMAGES} test "
    "images, and more if the arms differ little"
)


def claims_of(document: str) -> tuple[Claim, ...]:
    """Return every claim of a document. UserError for an unknown document."""
    if document not in DOCUMENTS:
        raise unknown("document", document, DOCUMENTS, "SEED")
    return DOCUMENTS[document]


def studies_of(document: str, known: Mapping[str, object]) -> list[str]:
    """Return the names of the studies that answer a document's claims."""
    return [name for name in dict.fromkeys(c.study for c in claims_of(document)) if name in known]


def state_of(folder: Path) -> str:
    """Return the state of the study in `folder`: finished, begun or new."""
    facts = read_json(folder / FACTS, keys=("status",))
    return ("finished" if facts["status"] == "finished" else "begun") if facts else "new"


def answers(document: str, folders: Mapping[str, Path]) -> list[tuple[Claim, str, str]]:
    """Return each claim with its status and the reason; a claim that no study answered is untested."""
    results = {c.id: (c.status, c.why) for folder in folders.values() for c in read_claims(folder)}
    return [
        (c, *results.get(c.id, (UNTESTED, c.why or "its study is not finished"))) for c in claims_of(document)
    ]


def lines(document: str, folders: Mapping[str, Path]) -> list[str]:
    """Return the document as Markdown: every claim with its status, and the count of each status."""
    rows = answers(document, folders)
    cells = [[c.where, c.says, status, why] for c, status, why in rows]
    table = markdown(["where", "what it says", "status", "by what"], cells)
    statuses = [status for _, status, _ in rows]
    counts = ", ".join(f"{statuses.count(s)} {s}" for s in dict.fromkeys(statuses))
    text = [f"**{document}**", "", table, "", f"{len(rows)} in all: {counts}"]
    return [*text, EVIDENCE_NEEDED] if NOT_ENOUGH in statuses else text
