"""The claims of the documents: complete, unique, and each with a study or a reason."""

from orchestrator.studies import documents
from orchestrator.studies.kinds import STUDIES


def test_every_claim_has_a_place_and_a_study_or_a_reason():
    ids = [c.id for claims in documents.DOCUMENTS.values() for c in claims]
    assert len(documents.DOCUMENTS) == 5 and len(ids) == len(set(ids))
    for claims in documents.DOCUMENTS.values():
        for c in claims:
            assert c.where and c.says and (c.study or c.why), c


def test_claims_are_answered_by_studies_that_exist():
    studies = {c.study for claims in documents.DOCUMENTS.values() for c in claims} - {""}
    assert studies == set(STUDIES)


def test_a_claim_is_found_by_its_name():
    assert documents.CLAIMS["plane"].where == "Figure 3"
