"""The report that a trial sends to Ray Tune, and the result dict in which Tune carries it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

RANKED = "ranked/"
"""Prefix of the values that Tune's sampler reads: a trial's worth in each objective."""


class Status(StrEnum):
    """The state of a trial after its report."""

    RUNNING = "running"
    COMPLETE = "complete"
    DIVERGED = "diverged"
    FAILED = "failed"
    PREEMPTED = "preempted"

    @property
    def ends_trial(self) -> bool:
        """Return True if the trial is over; a preempted one resumes on another machine."""
        return self in (Status.COMPLETE, Status.DIVERGED, Status.FAILED)


@dataclass(frozen=True)
class Usage:
    """Time spent, in seconds: on the wall, and on CPU cores over all ranks."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


@dataclass(frozen=True)
class TrialReport:
    """One report of one trial."""

    status: Status = Status.RUNNING
    phase: str = "psnr"
    """"psnr" or "gan"."""
    step: int = 0
    """Step within the phase."""
    max_steps: int = 0
    """Steps of the whole phase."""
    ranked: dict[str, float] = field(default_factory=dict)
    """Metric -> the value that trials are ranked by: the best checkpoint so far, feasible first, as the
    median of three evaluations. Warm starts: the median of the newest three. Diverged: the values of a
    mid-grey image."""
    latest: dict[str, float] = field(default_factory=dict)
    """Metric -> value of the evaluation at `step`; empty if nothing was measured for this report."""
    warm_start: dict[str, float] = field(default_factory=dict)
    """Metric -> value of the network that training started from, or of bicubic; empty for warm starts."""
    gradient_shares: dict[str, float] = field(default_factory=dict)
    """Loss term -> share of the gradient at the generator's output, averaged over the phase."""
    diagnostics: dict[str, float] = field(default_factory=dict)
    """data_wait_share and d_accuracy of the last logged step."""
    usage: Usage = Usage()
    """Time spent on these weights, including attempts before the checkpoint that was resumed."""
    attempt: str = ""
    """Name of this attempt at the trial."""
    attempt_usage: Usage = Usage()
    """Time of this attempt alone, including work that a later attempt repeats."""
    device: str = "cpu"
    hardware: str = ""
    """The GPU with its driver and libraries, or the CPU."""
    candidates: tuple[dict[str, Any], ...] = ()
    """Complete only: step, metrics and checkpoint URL of each kept checkpoint."""
    checkpoint: str | None = None
    """Complete only: URL of the last checkpoint."""
    reason: str = ""
    """Failed only: what cannot be carried out."""
    machine_fault: bool = False
    """Failed only: the machine's device is the reason, so other trials would fail on it as well."""
    diverged_term: str = ""
    """Diverged only: the first loss, gradient or output that was not finite; `step` is when."""
    journal: tuple[dict[str, Any], ...] = ()
    """Entries for the tracking server since the last report."""

    def to_result(self) -> dict[str, Any]:
        """Return the dict that Tune carries; `from_result` is the inverse.

        The report is one JSON text, because Tune flattens nested dicts for its scheduler and searcher.
        """
        return {"report": json.dumps(asdict(self))} | {RANKED + m: value for m, value in self.ranked.items()}

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> "TrialReport":
        """Return the report in a Tune result; KeyError if it holds none."""
        plain = json.loads(result["report"])
        plain["status"] = Status(plain["status"])
        plain |= {name: Usage(**plain[name]) for name in ("usage", "attempt_usage")}
        return cls(**plain | {name: tuple(plain[name]) for name in ("candidates", "journal")})


def status_of(result: Mapping[str, Any]) -> Status:
    """Return the status in a Tune result; running if it holds no report."""
    return TrialReport.from_result(result).status if "report" in result else Status.RUNNING


Curve = Sequence[Mapping[str, Any]]
"""A learning curve: phase, step and each metric of every evaluation."""
