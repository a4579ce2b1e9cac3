"""Early stopping that understands GANs: asynchronous successive halving on the GAN phase.

Trials are ranked at rungs of a geometric budget (Li et al., 2020, ASHA) by a rule of stopping.py. The PSNR
phase is never ranked: loss weights have no effect there, so its rungs would rank noise.
"""

from collections.abc import Mapping
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from orchestrator.schedulers.rules import RULES, Entry, Rung
from trainers.objectives import Objectives

STEP = "gan_step"
SHARE = "gradient_share/"
GAN_TERMS = ("adversarial", "content")
MIN_GAIN = 0.01  # share of its warm start's value that a trial must have gained by its second rung


class SuccessiveHalving(FIFOScheduler):
    """Stops a trial at a rung unless it is among the best 1/`reduction` that ever reached it.

    `rule` names who is ahead of whom (stopping.py). Without milestones nobody is ever stopped.
    """

    def __init__(
        self,
        objectives: Objectives,
        milestones: list[int],
        reduction: int = 2,
        rule: str = "feasible_first",
    ) -> None:
        super().__init__()
        self.objectives, self.milestones = objectives, milestones
        self.reduction, self.rule = reduction, rule
        self.recorded = {m: Rung() for m in milestones}
        self.stopped: dict[str, int] = {}
        """Trial id -> the rung that stopped it."""
        self.events: list[dict[str, Any]] = []
        """Every report that was ranked, in order, with the answer: `replayed` reproduces them."""

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict) -> str:
        """CONTINUE or STOP; asking twice about the same trial and rung gives the same answer."""
        return self.decide(trial.trial_id, result)

    def decide(self, trial_id: str, result: Mapping[str, Any]) -> str:
        """The decision for one report, without Ray. A trial that diverged or failed ends by itself and
        is ranked nowhere, so the others are judged as if it had never been."""
        if trial_id in self.stopped:
            return TrialScheduler.STOP
        if result["phase"] != "gan" or result.get("diverged") or result.get("failed"):
            return TrialScheduler.CONTINUE
        due = [m for m in self.milestones if result[STEP] >= m and trial_id not in self.recorded[m].entries]
        answer = self._rank(trial_id, result, due)
        if due:
            self.events.append({"trial": trial_id, "told": self._ranked(result), "answer": answer})
        return answer

    def _rank(self, trial_id: str, result: Mapping[str, Any], due: list[int]) -> str:
        """Enter the trial at the rungs it has reached, and stop it at the first that it does not survive."""
        second = min(1, len(self.milestones) - 1)
        for milestone in due:
            index = self.milestones.index(milestone)
            entry = self._entry(result)
            self.recorded[milestone].enter(trial_id, entry)
            idle = self.rule == "feasible_first" and index >= second and not self._moved(result)
            if idle or not self.survives(milestone, entry):
                self.stopped[trial_id] = milestone
                return TrialScheduler.STOP
        return TrialScheduler.CONTINUE

    def survives(self, milestone: int, entry: Entry) -> bool:
        """Whether fewer than n / reduction (rounded up) of the n recorded here are ahead.

        A trial that nobody beats always goes on, and equal trials are never ahead of each other.
        """
        rung = self.recorded[milestone]
        return RULES[self.rule](entry, rung) < -(-len(rung) // self.reduction)

    def _ranked(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a report that a decision rests on."""
        names = (self.objectives.distortion, self.objectives.perceptual)
        needed = ("phase", STEP, *names, *(f"warm/{m}" for m in names))
        return {k: v for k, v in result.items() if k in needed or k.startswith(SHARE)}

    def replayed(self) -> "SuccessiveHalving":
        """A new scheduler that was told the same reports in the same order."""
        again = SuccessiveHalving(self.objectives, self.milestones, self.reduction, self.rule)
        for event in self.events:
            again.decide(event["trial"], event["told"])
        return again

    def _entry(self, result: Mapping[str, Any]) -> Entry:
        return Entry(self.objectives.point(result), self._warm(result)[0] - self.objectives.delta_db)

    def _warm(self, result: Mapping[str, Any]) -> tuple[float, float]:
        names = self.objectives.distortion, self.objectives.perceptual
        return self.objectives.point({m: result[f"warm/{m}"] for m in names})

    def _moved(self, result: Mapping[str, Any]) -> bool:
        """Whether a GAN loss works on the trial, or, where no gradient was measured, whether perception
        gained on its own warm start. One that does nothing keeps the best distortion for ever and its warm
        start's rank, and only this rule sees it; how much others gain is the rank's business."""
        shares = {k: v for k, v in result.items() if k.startswith(SHARE)}
        if shares:
            return any(shares.get(SHARE + term) for term in GAN_TERMS)
        now, start = self.objectives.point(result)[1], self._warm(result)[1]
        return now - start >= MIN_GAIN * abs(start)

    def get_state(self) -> dict[str, Any]:
        """Plain data; travels with the sweep's callback, because Tune does not save schedulers."""
        table = {
            m: {t: [*e.point, e.floor] for t, e in rung.entries.items()} for m, rung in self.recorded.items()
        }
        return {"recorded": table, "stopped": dict(self.stopped), "events": list(self.events)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `get_state`."""
        self.recorded = {m: Rung() for m in state["recorded"]}
        for m, entries in state["recorded"].items():
            for trial, (a, b, floor) in entries.items():
                self.recorded[m].enter(trial, Entry((a, b), floor))
        self.stopped, self.events = dict(state["stopped"]), list(state["events"])
