"""The section of report.html with mean opinion scores: one block per rating study of the sweep."""

from html import escape
from typing import Any

from datasets.files import read_json
from orchestrator.report.data import SweepResults
from orchestrator.report.markup import section, table


def opinions_section(results: SweepResults) -> str:
    """Return the section; empty if the sweep's ratings/ folder holds no study."""
    files = sorted((results.folder / "ratings").glob("*.json"))
    return section(
        "Opinion scores",
        "".join(_study(read_json(f, keys=("study", "head", "panels", "notes"))) for f in files),
        "opinions",
    )


def _study(study: dict[str, Any]) -> str:
    tables = "".join(
        f"<p>{escape(panel['title'])}</p>{table(study['head'], panel['rows'])}" for panel in study["panels"]
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in study["notes"])
    return (
        f"<h3>{escape(study['study'])}</h3><p>Scores from 1, bad, to 5, excellent, by raters who did not "
        f'know which model made a picture.</p>{tables}<ul class="small">{notes}</ul>'
    )
