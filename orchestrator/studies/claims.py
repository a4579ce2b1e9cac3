"""Statuses of claims: from the verdicts on differences to reproduced, not reproduced, or undecided."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.analysis.significance import BEATS, NOT_ENOUGH, NOT_SEPARABLE, SEEDS_TO_BEAT, Verdict

REPRODUCED, NOT_REPRODUCED, UNTESTED = "reproduced", "not reproduced", "untested"
MECHANICS = "mechanics shown with random VGG features, claim untested"
NO_VERDICTS: Mapping[str, Verdict] = {}


@dataclass(frozen=True)
class ClaimResult:
    """The answer of a study to a claim (orchestrator/studies/documents.py)."""

    id: str
    status: str
    why: str


def decide(
    name: str,
    verdicts: Mapping[str, Verdict],
    *,
    before: str = "",
    unit: str = "",
    decimals: int = 3,
    also: Mapping[str, Verdict] = NO_VERDICTS,
    untested: str = "",
) -> ClaimResult:
    """Return the result of the claim `name`, which holds if every one of `verdicts` is "beats".

    The reason lists each difference after its label, with `unit`, and after `before`. Those of `also` are
    listed but decide nothing. With a reason in `untested` the claim stays untested, whatever the verdicts.
    """
    why = before + format_verdicts({**verdicts, **also}, decimals, unit)
    if untested:
        return ClaimResult(name, UNTESTED, f"{untested}: {why}")
    return ClaimResult(name, combined_status(verdicts), why)


def status_of(verdict: Verdict) -> str:
    """Return the status of the claim "a beats b" whose verdict is given."""
    if verdict.word == BEATS:
        return REPRODUCED
    few = verdict.interval is None or verdict.interval.n < SEEDS_TO_BEAT
    undecided = verdict.word == NOT_SEPARABLE and few
    return NOT_ENOUGH if verdict.word == NOT_ENOUGH or undecided else NOT_REPRODUCED


def combined_status(verdicts: Mapping[str, Verdict]) -> str:
    """Return the status of a claim that needs every verdict: reproduced, else the worst of them."""
    statuses = {status_of(v) for v in verdicts.values()}
    return next(s for s in (NOT_REPRODUCED, NOT_ENOUGH, REPRODUCED) if s in statuses)


def format_verdict(verdict: Verdict, decimals: int = 3) -> str:
    """Return the difference with its interval, followed by the word if it is undecided."""
    text = f"{verdict.estimate:+.{decimals}f}"
    if verdict.interval is not None:
        text += f" [{verdict.interval.low:+.{decimals}f}, {verdict.interval.high:+.{decimals}f}]"
    return text + (f" ({verdict.word})" if verdict.word in (NOT_SEPARABLE, NOT_ENOUGH) else "")


def format_verdicts(verdicts: Mapping[str, Verdict], decimals: int = 3, unit: str = "") -> str:
    """Return every verdict after its label, separated by semicolons."""
    return "; ".join(f"{label} {format_verdict(v, decimals)}{unit}" for label, v in verdicts.items())
