"""The recorded answers: one for each claim that has a study, equal to the table of docs/results.md."""

from helpers.paths import ROOT

from orchestrator.analysis.significance import NOT_ENOUGH
from orchestrator.studies import record
from orchestrator.studies.claims import NOT_REPRODUCED, REPRODUCED, UNTESTED
from orchestrator.studies.documents import DOCUMENTS

CLAIMS = [c for claims in DOCUMENTS.values() for c in claims]


def test_every_claim_with_a_study_has_an_answer_and_evidence():
    assert set(record.ANSWERS) == {c.id for c in CLAIMS if c.study}
    for claim in CLAIMS:
        status, why = record.recorded(claim)
        assert status in (REPRODUCED, NOT_REPRODUCED, NOT_ENOUGH, UNTESTED) and why, claim
        assert claim.study or (status, why) == (UNTESTED, claim.why)


def test_the_page_of_results_begins_with_the_table_of_the_package():
    page = (ROOT / "docs" / "results.md").read_text()
    assert "\n".join(record.table()) in page, "write record.table() into docs/results.md"
    assert page.index("| document |") < page.index("## Studies in miniature")


def test_statuses_are_counted_the_clearest_first():
    assert record.count([UNTESTED, REPRODUCED, UNTESTED]) == "1 reproduced, 2 untested"


def test_each_claim_has_two_lines_on_a_terminal():
    lines = record.lines()
    assert len(lines) == 2 * len(CLAIMS) + 2 * len(DOCUMENTS) + 2
    assert lines[0] == "srgan_training_dataset_matters" and "docs/results.md" in lines[-2]
