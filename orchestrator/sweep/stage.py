"""One stage of a sweep: what it runs, who its trials are, and what the driver does as they go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.schedulers.successive_halving import SuccessiveHalving
from orchestrator.sweep.tune_callback import StageCallback

if TYPE_CHECKING:
    pass


@dataclass
class Stage:
    """What a stage needs beyond the sweep's own facts."""

    name: str
    designs: tuple[dict[str, Any], ...] = ()
    part: str = ""
    """What tells this part of the stage from its others."""
    scheduler: SuccessiveHalving | None = None

    @property
    def key(self) -> str:
        """Under which its trials and rows are kept."""
        return self.name + self.part

    def stopped_at(self, tune_id: str) -> int | None:
        """The rung that stopped a trial."""
        return self.scheduler.stopped.get(tune_id) if self.scheduler else None

    def over(self, tune_id: str, callback: StageCallback) -> bool:
        """Whether a trial ended in some way: at its end, at a rung, diverged or failed."""
        result = callback.results.get(tune_id, {})
        ended = any(result.get(k) for k in ("complete", "diverged", "failed"))
        return ended or tune_id in callback.errors or self.stopped_at(tune_id) is not None

    def identity(self, tune_id: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """A trial's own id and its values, from what Tune calls it and gave it."""
        if self.designs:
            values = dict(self.designs[params["index"]])
            return values.pop("trial_id"), values
        return f"{self.name}-{tune_id}", dict(params)
