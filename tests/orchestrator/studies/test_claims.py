"""Statuses of claims: what verdicts decide, and how they are worded."""

import pytest

from orchestrator.analysis.intervals import Interval
from orchestrator.analysis.significance import Verdict
from orchestrator.studies import claims


def test_reproduced_needs_five_seeds_and_an_interval():
    assert claims.status_of(verdict("beats", 5)) == "reproduced"
    assert claims.status_of(verdict("not separable", 3)) == "not enough evidence"
    assert claims.status_of(verdict("not separable", 5)) == "not reproduced"
    assert claims.status_of(verdict("loses to", 5)) == "not reproduced"
    assert claims.status_of(Verdict("not enough evidence", 1.0, None, None)) == "not enough evidence"


def verdict(word, n=5, estimate=1.0):
    return Verdict(word, estimate, Interval(estimate, estimate - 0.5, estimate + 0.5, n), 0.01)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["beats", "beats"], "reproduced"),
        (["beats", "not enough evidence"], "not enough evidence"),
        (["beats", "not enough evidence", "loses to"], "not reproduced"),
    ],
)
def test_a_claim_needs_every_verdict(words, status):
    answer = claims.decide("plane", {str(k): verdict(word) for k, word in enumerate(words)})
    assert answer.status == status


def test_the_reason_lists_what_decides_and_what_does_not():
    answer = claims.decide(
        "plane",
        {"PSNR of a minus b:": verdict("beats")},
        before="on faces, ",
        unit=" dB",
        decimals=1,
        also={"at equal parameters": verdict("not separable", estimate=-1.0)},
    )
    assert answer.status == "reproduced"
    assert answer.why == (
        "on faces, PSNR of a minus b: +1.0 [+0.5, +1.5] dB; "
        "at equal parameters -1.0 [-1.5, -0.5] (not separable) dB"
    )


def test_a_reason_against_testing_overrides_the_verdicts():
    answer = claims.decide("plane", {"a": verdict("beats")}, untested=claims.MECHANICS)
    assert answer.status == "untested" and answer.why.startswith(f"{claims.MECHANICS}: a +1.000")


def test_without_an_interval_only_the_estimate_is_printed():
    undecided = Verdict("not enough evidence", 0.5, None, None)
    assert claims.format_verdict(undecided, 2) == "+0.50 (not enough evidence)"
