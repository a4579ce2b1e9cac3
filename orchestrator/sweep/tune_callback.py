"""What the driver does at each event of a stage: record, remember, show; and carry the scheduler's state.

Tune saves searchers and callbacks but not schedulers, so a resumed sweep would rank against empty rungs.
The callback owns a reference to the scheduler (the two are pickled together) and saves its state.
"""

from typing import Any, Protocol

from ray.tune import Callback
from ray.tune.experiment import Trial

from datasets.errors import UserError
from orchestrator.schedulers.successive_halving import SuccessiveHalving

NOT_KEPT = (
    "journal",
    "attempt",
    "attempt_spent",
    "config",
    "hist_stats",
    "pid",
    "hostname",
    "node_ip",
    "date",
    "timestamp",
)


class Live(Protocol):
    """The driver's side of a stage: cannot be pickled, so the callback finds it by name."""

    def resumed(self, callback: "StageCallback") -> None:
        """A stage goes on: `callback` knows what was there before."""

    def started(self, trial_id: str, params: dict[str, Any]) -> None:
        """A trial was given a worker."""

    def reported(self, trial_id: str, result: dict[str, Any]) -> None:
        """A trial measured itself; result["journal"] holds its entries since the last report."""

    def ended(self, trial_id: str, result: dict[str, Any], curve: list[dict[str, Any]], error: str) -> None:
        """A trial finished, was stopped, or failed for good."""


LIVE: dict[str, Live] = {}
"""Stage key ("NAME/screen") -> the driver's side, in this process."""


class StageCallback(Callback):
    """One per stage."""

    def __init__(self, key: str, scheduler: SuccessiveHalving | None = None) -> None:
        self.key, self.scheduler = key, scheduler
        self.results: dict[str, dict[str, Any]] = {}
        """Tune trial id -> its newest result, without the bulk."""
        self.curves: dict[str, list[dict[str, Any]]] = {}
        self.errors: dict[str, str] = {}
        self.params: dict[str, dict[str, Any]] = {}
        self.attempts: dict[str, dict[str, dict[str, float]]] = {}
        """Tune trial id -> attempt -> seconds and cpu_seconds it had taken at its last report."""
        self.restored = self.must_restore = False

    def setup(
        self,
        stop: Any = None,
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,
    ) -> None:
        """Tune answers a snapshot that it cannot read by starting over, with a line in a log that nobody
        sees; here that is an error, before any trial runs twice."""
        if self.must_restore and not self.restored:
            raise UserError(
                f"the state of stage {self.key} could not be read, and starting over would lose finished "
                f"trials; look at its tune/ folder, or start the sweep under another --name"
            )
        if self.restored:
            LIVE[self.key].resumed(self)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Tell the driver."""
        self.params[trial.trial_id] = dict(trial.config)
        self.errors.pop(trial.trial_id, None)  # a resumed sweep gives it another chance
        LIVE[self.key].started(trial.trial_id, dict(trial.config))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        """Keep the newest result and the curve, hand the journal on; a step further forgives failures."""
        kept = {k: v for k, v in result.items() if k not in NOT_KEPT} | self._bill(trial.trial_id, result)
        self.results[trial.trial_id] = kept
        curve = self.curves.setdefault(trial.trial_id, [])
        point = (result.get("phase"), result.get("step"))
        measured = any(k.startswith("last/") for k in kept)
        if measured and point not in [(c["phase"], c["step"]) for c in curve]:
            curve.append({k.removeprefix("last/"): v for k, v in kept.items() if k.startswith("last/")})
            curve[-1] |= {"phase": point[0], "step": point[1]}
            # it never got so far: machines that come and go may take it any number of times
            trial.run_metadata.num_failures = 0
        LIVE[self.key].reported(trial.trial_id, result)

    def _bill(self, trial_id: str, result: dict) -> dict[str, float]:
        """Time of all attempts so far: a retry repeats work that was paid for once already."""
        if "attempt" not in result:
            return {}
        attempts = self.attempts.setdefault(trial_id, {})
        attempts[result["attempt"]] = dict(result["attempt_spent"])
        return {k: sum(spent[k] for spent in attempts.values()) for k in result["attempt_spent"]}

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Finished or stopped at a rung."""
        self._ended(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Failed too often without getting any further in between."""
        lines = [line for line in str(trial.get_error() or "").splitlines() if line.strip()]
        self.errors[trial.trial_id] = lines[-1].strip() if lines else "no reason was recorded"
        self._ended(trial.trial_id)

    def _ended(self, trial_id: str) -> None:
        result, curve = self.results.get(trial_id, {}), self.curves.get(trial_id, [])
        LIVE[self.key].ended(trial_id, result, curve, self.errors.get(trial_id, ""))

    def get_state(self) -> dict[str, Any]:
        """Everything a resumed driver needs beside Tune's own snapshot."""
        return {
            "results": self.results,
            "curves": self.curves,
            "errors": self.errors,
            "params": self.params,
            "attempts": self.attempts,
            "scheduler": self.scheduler.get_state() if self.scheduler else None,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Comes before any trial is added; the scheduler must not be reset afterwards."""
        self.results, self.curves = state["results"], state["curves"]
        self.errors, self.params = state["errors"], state["params"]
        self.attempts = state.get("attempts", {})
        if self.scheduler is not None and state["scheduler"] is not None:
            self.scheduler.set_state(state["scheduler"])
        self.restored = True
