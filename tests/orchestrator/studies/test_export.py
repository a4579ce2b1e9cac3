"""The files of an answer, and the claims read back from them."""

import json

from orchestrator.studies import export
from orchestrator.studies.claims import ClaimResult
from orchestrator.studies.plan import Study
from orchestrator.studies.results import Answer, Table

FACTS = {
    "name": "mine",
    "command": "python experiments/colorize.py",
    "commit": "abc",
    "hardware": "2 cores",
    "seeds": 5,
    "started": 0.0,
    "ended": 65.0,
    "cpu_hours": 1.5,
    "gpu_hours": 0.0,
}
TABLE = Table("t", "Mean", ["arm", "psnr_y"], [["a|b", "30.00"], ["c, d", "31.00"]], ["psnr_y: p"])
CLAIMS = [ClaimResult("plane", "reproduced", "rho -0.9")]


def test_an_answer_becomes_files(tmp_path):
    answer = Answer([TABLE], {"plane.svg": b"<svg/>"}, CLAIMS)
    study = Study("k", (), None, ("5 seeds",))
    paths = export.write_answer(tmp_path, study, answer, FACTS)
    assert [p.rpartition("/")[2] for p in paths] == ["claims.json", "plane.svg", "study.md", "t.csv"]
    out = tmp_path / "answer"
    assert (out / "t.csv").read_text() == 'arm,psnr_y\na|b,30.00\n"c, d",31.00\n'
    assert json.loads((out / "claims.json").read_text())[0]["status"] == "reproduced"
    page = (out / "study.md").read_text()
    assert "Commit abc, 2 cores, 5 seeds, 1:05, 1.50 CPU-hours, 0.00 GPU-hours." in page
    assert "- 5 seeds" in page and "![plane.svg](plane.svg)" in page
    assert "- Figure 3: perception and distortion oppose each other; a front in three regions — " in page
    assert export.read_claims(tmp_path) == CLAIMS and export.read_claims(tmp_path / "other") == []


def test_a_table_is_markdown_with_its_notes():
    assert export.markdown(TABLE).split("\n") == [
        "**Mean**",
        "",
        "| arm | psnr_y |",
        "| --- | --- |",
        "| a\\|b | 30.00 |",
        "| c, d | 31.00 |",
        "",
        "psnr_y: p",
    ]
