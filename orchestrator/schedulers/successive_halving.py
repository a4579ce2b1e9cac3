"""Early stopping: asynchronous successive halving on the last phase of a run.

Trials are ranked at rungs of a geometric budget (Li et al., 2020, ASHA) by a rule of rules.py. The PSNR phase
before a GAN phase is never ranked: loss weights have no effect there, so its rungs would rank noise.
"""

from collections.abc import Iterable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from orchestrator.results.trial_report import Status, TrialReport
from orchestrator.schedulers.rules import RULES, Rung, RungEntry
from trainers.objectives import Objectives

GAN_TERMS = ("adversarial", "content", "perceptual")
DECISIVE = ("phase", "step", "ranked", "warm_start", "gradient_shares")
"""Fields of a report that a decision rests on."""
MIN_GAIN = 0.01  # share of its warm start's value that a trial must have gained by its second rung


class SuccessiveHalving(FIFOScheduler):
    """A scheduler that stops a trial at a rung unless it is among the best 1/`reduction` recorded there.

    From the second rung on it also stops a trial that has no active GAN loss, if the rule needs one.

    Args:
        objectives: the two metrics, and how far distortion may fall below the warm start.
        milestones: steps of the rungs; without any, no trial is ever stopped.
        reduction: one in so many trials continues at each rung.
        rule: name in rules.RULES of who is ahead of whom.
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
        """Every report that was ranked, in order, with the decision: replaying them gives the decisions."""

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict) -> str:
        """Return CONTINUE or STOP; a second call for one trial and rung returns the first decision."""
        return self.decide(trial.trial_id, TrialReport.from_result(result))

    def decide(self, trial_id: str, report: TrialReport) -> str:
        """Return the decision for one report.

        A trial that diverged or failed ends by itself and is ranked nowhere.
        """
        if trial_id in self.stopped:
            return TrialScheduler.STOP
        if report.status in (Status.DIVERGED, Status.FAILED):
            return TrialScheduler.CONTINUE
        due = [m for m in self.milestones if report.step >= m and trial_id not in self.recorded[m].entries]
        decision = self._rank(trial_id, report, due)
        if due:
            decisive = {name: getattr(report, name) for name in DECISIVE}
            self.events.append({"trial": trial_id, "report": decisive, "decision": decision})
        return decision

    def _rank(self, trial_id: str, report: TrialReport, due: list[int]) -> str:
        """Record the trial at the rungs it has reached, and stop it at the first that it does not survive."""
        second = min(1, len(self.milestones) - 1)
        for milestone in due:
            floor = self.objectives.floor(report.warm_start, report.ranked)
            entry = RungEntry(self.objectives.point(report.ranked), floor)
            self.recorded[milestone].add(trial_id, entry)
            judged = self.milestones.index(milestone) >= second
            must_have_loss = judged and RULES[self.rule].needs_gan_loss
            gan_loss_inactive = must_have_loss and not self._gan_loss_active(report)
            if gan_loss_inactive or not self.survives(milestone, entry):
                self.stopped[trial_id] = milestone
                return TrialScheduler.STOP
        return TrialScheduler.CONTINUE

    def survives(self, milestone: int, entry: RungEntry) -> bool:
        """Return True if fewer than n / reduction (rounded up) of the n recorded here are ahead.

        A trial that no other beats always continues, and equal trials are never ahead of each other.
        """
        rung = self.recorded[milestone]
        return RULES[self.rule].count_ahead(entry, rung) < -(-len(rung) // self.reduction)

    def _gan_loss_active(self, report: TrialReport) -> bool:
        """Return True if a GAN loss moves the network, or if there is no GAN phase.

        If no gradient was measured, return True if perception gained on the warm start. A trial whose GAN
        loss does nothing keeps the best distortion and its warm start's rank for ever.
        """
        if report.phase != "gan":
            return True
        if report.gradient_shares:
            return any(report.gradient_shares.get(term) for term in GAN_TERMS)
        now = self.objectives.point(report.ranked)[1]
        start = self.objectives.point(report.warm_start)[1]
        return now - start >= MIN_GAIN * abs(start)

    def get_state(self) -> dict[str, Any]:
        """Return plain data: the rungs, the trials that were stopped, and the events that led there."""
        table = {
            m: {t: [*e.point, e.floor] for t, e in rung.entries.items()} for m, rung in self.recorded.items()
        }
        return {"recorded": table, "stopped": dict(self.stopped), "events": list(self.events)}

    def replay(self, events: Iterable[dict[str, Any]]) -> None:
        """Return to the state after these events of another scheduler; Tune does not save schedulers."""
        self.recorded, self.stopped, self.events = {m: Rung() for m in self.milestones}, {}, []
        for event in events:
            self.decide(event["trial"], TrialReport(**event["report"]))
        self.events = list(events)  # the very objects, which a snapshot may know as final
