"""Statuses of claims: what verdicts decide, and how they are worded."""

import pytest

from orchestrator.analysis.intervals import Interval
from orchestrator.analysis.significance import Verdict
from orchestrator.studies import claims


def test_reproduced_needs_five_seeds_and_an_interval():
    assert claims.status_of(verdict("beats", 5)) == "reproduced"
    assert claims.status_of(verdict("not separable", 3)) == "not enough evidence"
    assert claims.status_of(verdict("not separable", 5)) == "not enough evidence"
    assert claims.status_of(verdict("loses to", 5)) == "not reproduced"
    assert claims.status_of(Verdict("not enough evidence", 1.0, None, None)) == "not enough evidence"


@pytest.mark.parametrize(
    ("estimate", "least", "status"),
    [
        (0.1, 0.7, "not reproduced"),  # [-0.4, 0.6] excludes +0.7
        (0.1, 0.5, "not enough evidence"),
        (-0.1, -0.7, "not reproduced"),  # where less is better
        (-0.1, -0.5, "not enough evidence"),
    ],
)
def test_an_interval_that_excludes_the_least_effect_refutes_a_claim(estimate, least, status):
    undecided = verdict("not separable", estimate=estimate, least=least)
    assert claims.status_of(undecided) == status


def verdict(word, n=5, estimate=1.0, least=0.0):
    return Verdict(word, estimate, Interval(estimate, estimate - 0.5, estimate + 0.5, n), 0.01, least)


def test_the_effect_seen_with_power_is_that_of_students_t():
    """With 5 seeds t is 2.776 at 97.5 % and 0.941 at 80 %: a half-width of 0.5 sees 0.5 x 3.717 / 2.776."""
    assert claims.seen_with_power(verdict("not separable")) == pytest.approx(0.6695, abs=1e-4)
    assert claims.seen_with_power(Verdict("not enough evidence", 1.0, None, None)) == float("inf")


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
        "at equal parameters -1.0 [-1.5, -0.5] (not separable; 0.7 would be seen with power 0.8) dB"
    )


def test_a_reason_against_testing_overrides_the_verdicts():
    answer = claims.decide("plane", {"a": verdict("beats")}, untested=claims.MECHANICS)
    assert answer.status == "untested" and answer.why.startswith(f"{claims.MECHANICS}: a +1.000")


def test_without_an_interval_only_the_estimate_is_printed():
    undecided = Verdict("not enough evidence", 0.5, None, None)
    assert claims.format_verdict(undecided, 2) == "+0.50 (not enough evidence)"
