"""Statuses of claims: from the verdicts on differences to reproduced, not reproduced, or undecided.

A claim is reproduced if its intervals exclude 0 on the claimed side, and not reproduced if one excludes 0 on
the other side or the smallest difference that would matter. Otherwise there is not enough evidence, and the
reason gives the difference that the study would have seen with a power of 0.8.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.analysis.significance import (
    BEATS,
    LOSES,
    NOT_ENOUGH,
    NOT_SEPARABLE,
    POWER,
    SEEDS_TO_BEAT,
    Verdict,
    seen_with_power,
)

REPRODUCED, NOT_REPRODUCED, UNTESTED = "reproduced", "not reproduced", "untested"
MECHANICS = "mechanics shown with random VGG features, claim untested"
NO_VERDICTS: Mapping[str, Verdict] = {}
LEAST: Mapping[str, float] = {
    "psnr_y": 0.1,
    "psnr_rgb": 0.1,
    "ssim_y": 0.005,
    "rmse_y": 0.1,
    "lpips_alex": 0.01,
    "chroma_error": 0.1,
    "chroma_centre": 0.1,
}
"""Metric -> the smallest difference that would matter; metrics without an entry have none stated."""


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
    if verdict.interval is None or verdict.interval.n < SEEDS_TO_BEAT:
        return NOT_ENOUGH
    return NOT_REPRODUCED if verdict.word == LOSES or _too_small(verdict) else NOT_ENOUGH


def _too_small(verdict: Verdict) -> bool:
    """Return True if the interval excludes the smallest difference that would matter."""
    least, interval = verdict.least, verdict.interval
    if not least or interval is None:
        return False
    return interval.high < least if least > 0 else interval.low > least


def combined_status(verdicts: Mapping[str, Verdict]) -> str:
    """Return the status of a claim that needs every verdict: reproduced, else the worst of them."""
    statuses = {status_of(v) for v in verdicts.values()}
    return next(s for s in (NOT_REPRODUCED, NOT_ENOUGH, REPRODUCED) if s in statuses)


def format_verdict(verdict: Verdict, decimals: int = 3) -> str:
    """Return the difference with its interval, followed by the word and the power if it is undecided."""
    text = f"{verdict.estimate:+.{decimals}f}"
    if verdict.interval is not None:
        text += f" [{verdict.interval.low:+.{decimals}f}, {verdict.interval.high:+.{decimals}f}]"
    if verdict.word not in (NOT_SEPARABLE, NOT_ENOUGH):
        return text
    seen = seen_with_power(verdict)
    power = f"; {seen:.{decimals}f} would be seen with power {POWER:g}" if seen < float("inf") else ""
    return f"{text} ({verdict.word}{power})"


def format_verdicts(verdicts: Mapping[str, Verdict], decimals: int = 3, unit: str = "") -> str:
    """Return every verdict after its label, separated by semicolons."""
    return "; ".join(f"{label} {format_verdict(v, decimals)}{unit}" for label, v in verdicts.items())
