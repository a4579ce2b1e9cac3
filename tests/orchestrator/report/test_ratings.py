"""Rating studies appear as a section with their tables and notes; their text is escaped."""

import json

from helpers.fake_sweep import fake_sweep

from orchestrator.report.data import read
from orchestrator.report.ratings import opinions_section

STUDY = {
    "study": "a<b",
    "head": ["model", "mean opinion score"],
    "panels": [{"title": "all raters: 3 raters, 5 images", "rows": [["ours", "4.00"]]}],
    "notes": ["0 of 3 raters flagged."],
}


def test_each_study_of_the_sweep_is_one_block(tmp_path):
    fake_sweep(tmp_path)
    assert opinions_section(read(tmp_path)) == ""
    (tmp_path / "ratings").mkdir()
    for name in ("one", "two"):
        (tmp_path / f"ratings/{name}.json").write_text(json.dumps(STUDY | {"study": f"{name} a<b"}))
    section = opinions_section(read(tmp_path))
    assert section.index("<h3>one a&lt;b</h3>") < section.index("<h3>two a&lt;b</h3>")
    assert "<tr><td>ours</td><td>4.00</td></tr>" in section
    assert "<li>0 of 3 raters flagged.</li>" in section
