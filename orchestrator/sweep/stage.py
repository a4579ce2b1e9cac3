"""One stage of a sweep, or a part of one: which trials it runs, and how they are named."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Stage:
    """A stage that runs a list of designs, or (screen) draws them with the sampler."""

    name: str
    """warm, screen, repeat or confirm."""
    designs: tuple[dict[str, Any], ...] = ()
    """Dotted values of each trial, with its trial_id."""
    part: str = ""
    """Suffix that tells this part of the stage from its others."""
    draws: bool = False
    """Draw designs with the sampler, and stop trials early."""

    planned: str = ""
    """Name of the StagePlan that its progress belongs to, if that is not `name`."""

    @property
    def key(self) -> str:
        """The name of its files in the storage."""
        return self.name + self.part

    def study_name(self, sweep: str) -> str:
        """Return the name of its Optuna study and of its hooks: no two sweeps share one."""
        return f"{sweep}-{self.key}"

    def identity(self, tune_id: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return a trial's own id and its values, from Tune's id and parameters."""
        if self.designs:
            values = dict(self.designs[params["index"]])
            return values.pop("trial_id"), values
        return f"{self.name}-{tune_id}", dict(params)
