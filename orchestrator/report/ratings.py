"""The section of report.html about what people saw: mean opinion scores of the studies of a sweep."""

import json
from html import escape
from typing import Any

from orchestrator.report.data import SweepResults
from orchestrator.report.markup import cells, section


def opinions_section(facts: SweepResults) -> str:
    """One block per study in the sweep's ratings/ folder; empty where there is none."""
    files = sorted((facts.folder / "ratings").glob("*.json"))
    return section("Opinion scores", "".join(_study(json.loads(f.read_text())) for f in files), "opinions")


def _study(told: dict[str, Any]) -> str:
    head = cells("th", told["head"])
    tables = "".join(
        f'<p>{escape(panel["title"])}</p><div class="wide"><table><thead>{head}</thead><tbody>'
        f"{''.join(cells('td', row) for row in panel['rows'])}</tbody></table></div>"
        for panel in told["panels"]
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in told["notes"])
    return (
        f"<h3>{escape(told['study'])}</h3><p>Scores from 1, bad, to 5, excellent, by raters who did not know "
        f'which model made a picture.</p>{tables}<ul class="small">{notes}</ul>'
    )
