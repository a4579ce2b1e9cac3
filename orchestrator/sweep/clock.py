"""The hours of one sweep: sizes are fitted at its start and before each stage, from measured times."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from datasets.text import count
from orchestrator.cluster.capacity import Capacity
from orchestrator.console.progress_line import ProgressLine
from orchestrator.results.row import Row
from orchestrator.storage import Storage
from orchestrator.sweep import hours, hours_in_words, wall_time
from orchestrator.sweep.cost_estimate import measure_pace, pace_alone
from orchestrator.sweep.heartbeat import Heartbeat
from orchestrator.sweep.hours import COUNTS
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.wall_time import Pace, Sizes, Work
from orchestrator.trial.warm_starts import LONG_PHASE
from trainers.config import flatten, override

STATE = "hours.json"
"""File in the sweep's folder: the pace and the sizes of each stage, which a resumed sweep reads back."""
FREE: dict[str, tuple[str, ...]] = {
    "screen": ("gan_steps", *COUNTS),
    "repeat": COUNTS[1:],
    "confirm": COUNTS[2:],
}
"""Stage -> the sizes that may still change before it begins."""
SEEDS = "seeds-"
"""Prefix of the key in `SweepClock.sizes` of a further confirmation round; the seeds that are done follow."""
DRAWN = 2
"""Designs that screening may draw, as a multiple of those planned, while there is time for them."""


@dataclass
class SweepClock:
    """The time that a sweep has, what it has learnt of its own speed, and the sizes that follow."""

    hours: float
    elapsed: Callable[[], float]
    """Seconds since the command began, over all drivers of the sweep."""
    keep: Callable[[str], Any]
    """Stores the state."""
    pace: Pace
    """The pace that was measured before the first stage."""
    full: Sizes
    fixed: dict[str, int]
    work: Work
    run: dict[str, Any]
    """Settings of the recipe's run."""
    planned: frozenset[str]
    """Settings that may be set here: the others were given."""
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Stage -> the sizes that were fitted before it."""
    closed: bool = False
    """True once no more designs are drawn."""
    starts: list[float] = field(default_factory=list)
    """Seconds that each stage took beside its trials."""
    trials: dict[str, tuple[str, int, float]] = field(default_factory=dict)
    """Trial -> phase, steps and seconds of its training."""
    advice: dict[str, str] = field(default_factory=dict)
    """Why one network is better trained than a sweep ("one"), and how ("one_command"); or empty."""

    @classmethod
    def start(
        cls,
        plan: SweepPlan,
        pace: Pace,
        elapsed: Callable[[], float],
        keep: Callable[[str], Any],
        alone: Callable[[], Pace],
    ) -> "SweepClock":
        """Return the clock of a new sweep, and give its plan the sizes of all stages.

        `alone` measures the pace of one training in place of the sweep, for advice to shorter sweeps.
        """
        request, full, designs = plan.request, full_sizes(plan), len(plan.architectures)
        planned = frozenset(request.planned.split())
        free = {name.removeprefix("run.") for name in planned}
        fixed = {n: v for n, v in vars(Sizes.of(request)).items() if n not in free}
        run = {n: v for n, v in flatten(request.config).items() if n.startswith("run.")}
        work = Work(designs, designs, plan.derivable, request.derive)
        clock = cls(request.hours, elapsed, keep, pace, full, fixed, work, run, planned)
        enough = hours.enough_seconds(pace, full, fixed, work)
        one = alone() if clock.seconds_left < enough else pace  # before the fit: it takes time
        clock.apply(plan, sizes := clock.fitted("warm", fixed))
        plan.find_architectures(False)
        words, flags = hours_in_words.advice(clock.seconds_left, sizes, full, one, enough)
        if words:  # said once, and repeated at the end as it was said: later paces would change its numbers
            command = hours_in_words.train_command(request.config, request.given.split())
            clock.advice = {"one": words, "one_command": f"{command} {flags}"}
            clock._keep()
        return clock

    @classmethod
    def resume(cls, plan: SweepPlan, elapsed: Callable[[], float], storage: Storage) -> "SweepClock":
        """Return the clock of a resumed sweep as stored, and give its plan the sizes it had reached."""
        request = plan.request
        state = storage.read_json(f"{request.name}/{STATE}", keys=("pace", "full", "fixed", "work", "run"))
        pace, full, work = Pace(**state["pace"]), Sizes(**state["full"]), Work(**state["work"])
        keep = partial(storage.write_text, f"{request.name}/{STATE}")
        given = state["fixed"], work, state["run"], frozenset(request.planned.split())
        clock = cls(request.hours, elapsed, keep, pace, full, *given)
        clock.sizes, clock.closed = state["sizes"], state["closed"]
        clock.starts, clock.advice = state["starts"], state.get("advice", {})
        clock.apply(plan, clock._latest())
        return clock

    @property
    def over(self) -> str:
        """The part of the hours that is over, as a line."""
        return hours_in_words.passed_of(self.hours, self.elapsed())

    @property
    def seconds_left(self) -> float:
        """Seconds that the plan may still use."""
        return self.hours * 3600 - self.elapsed()

    def present_pace(self) -> Pace:
        """Return the pace as the trials that ended show it."""
        psnr, gan = self._slowness("psnr"), self._slowness("gan")
        if gan is None:  # what slows one phase slows the other
            gan = 1.0 if psnr is None else psnr
        psnr = gan if psnr is None else min(psnr, gan)  # GAN trials are later: the machine may be less busy
        start = min(self.starts, default=self.pace.start)  # other work on the machine only adds time
        return replace(self.pace.scaled(psnr, gan), start=start, ending=start)

    def _slowness(self, phase: str) -> float | None:
        """Return measured over planned seconds of this phase, by the latest trials; None before any."""
        took = [(steps, seconds) for p, steps, seconds in self.trials.values() if p == phase][-8:]
        planned = self.pace.psnr_phase if phase == "psnr" else self.pace.gan_phase
        return sum(s for _, s in took) / sum(planned(steps) for steps, _ in took) if took else None

    def fitted(self, stage: str, fixed: Mapping[str, int]) -> Sizes:
        """Return the sizes from `stage` on for the time that is left, and store them."""
        sizes = hours.fit(self.seconds_left, self.present_pace(), self.full, fixed, self.work, stage)
        if stage == "warm" and self.work.derived and sizes.psnr_steps < LONG_PHASE:
            self.work = replace(self.work, derived=0)
            return self.fitted(stage, fixed)
        sizes = self._stretched(stage, sizes) if stage == "confirm" else sizes
        self.sizes[stage] = vars(sizes)
        self._keep()
        return sizes

    def _stretched(self, stage: str, sizes: Sizes) -> Sizes:
        """Return the sizes of a confirmation that takes the time left by the stages from `stage` on."""
        left, pace = self.seconds_left, self.present_pace()
        return hours.stretched(left, sizes, self.full, self.fixed, pace, self.work, stage)

    def replan(self, plan: SweepPlan, stage: str, progress: ProgressLine) -> None:
        """Fit the sizes of `stage` and later ones to the time left; a resumed stage keeps its own."""
        latest = self._latest(stage)
        if stage not in self.sizes:
            free = FREE[stage]
            fixed = {n: v for n, v in vars(latest).items() if n not in free} | self.fixed
            if stage != "screen":  # as many as were screened
                fixed["trials"] = sum(t.startswith("screen") for t in self.trials) or latest.trials
            elif len(plan.space.architectures()) > latest.trials:  # further ones have no warm start
                fixed["trials"] = latest.trials
            sizes = self.fitted(stage, fixed)
            told = self._latest("screen") if stage == "confirm" and not latest.repeat_top else latest
            if sizes != told and (stage != "repeat" or sizes.repeat_top):  # without repeats: with confirm
                progress.say(f"{self.over}; {hours_in_words.refitted(stage, sizes)}")
            latest = sizes
            progress.late = self._tell_if_late(stage, sizes, progress.say)
        self._take_over(plan, latest, progress)
        progress.fitted = stage != "confirm" or latest.confirm_seeds < self._most_seeds()
        # each architecture that is drawn has a warm start
        may_draw_more = "trials" not in self.fixed and len(plan.space.architectures()) <= latest.trials
        if stage == "screen" and may_draw_more:  # until `is_spent` ends it, when the time is over
            plan.request = replace(plan.request, trials=DRAWN * latest.trials)

    def add_seeds(self, plan: SweepPlan, progress: ProgressLine) -> None:
        """Give each confirmed design further seeds if the time left is enough for them and the test.

        Hours that a busy machine seemed to cost are so used at the end. A resumed sweep keeps what was added.
        """
        done = plan.request.confirm_seeds
        stage = f"{SEEDS}{done}"
        sizes = self._latest(stage)
        if stage not in self.sizes:
            pace, most = self.present_pace(), self._most_seeds()
            if more := hours.further_seeds(self.seconds_left, sizes, most, pace, self.work):
                sizes = replace(sizes, confirm_seeds=done + more)
                progress.say(f"{self.over}; there is time to confirm {count(more, 'further seed')}")
            self.sizes[stage] = vars(sizes)
            self._keep()
        self._take_over(plan, sizes, progress)
        progress.fitted = done < sizes.confirm_seeds < self._most_seeds()

    def _most_seeds(self) -> int:
        return self.fixed.get("confirm_seeds", self.full.confirm_seeds)

    def _latest(self, stage: str = "") -> Sizes:
        """Return the sizes that were fitted before `stage`, else those of the last fit."""
        return Sizes(**self.sizes.get(stage, list(self.sizes.values())[-1]))

    def _take_over(self, plan: SweepPlan, sizes: Sizes, progress: ProgressLine) -> None:
        """Give the plan these sizes, and the progress line the plan."""
        self.apply(plan, sizes)
        progress.plan = plan.stages()
        progress.beside = wall_time.seconds_beside(sizes, self.present_pace(), self.work)

    def _tell_if_late(self, stage: str, sizes: Sizes, say: Callable[[str], Any]) -> bool:
        """Return True, and say it, if the stages from `stage` on end later by a minute and a twentieth."""
        least = sizes if stage == "confirm" else self._stretched(stage, sizes)
        late = wall_time.seconds_of(least, self.present_pace(), self.work, stage) - self.seconds_left
        if is_late := late > max(60.0, 180 * self.hours):
            say(hours_in_words.told_late(self.hours, late))
        return is_late

    def apply(self, plan: SweepPlan, sizes: Sizes) -> None:
        """Give the plan these sizes; the average of the weights, which all phases share, stays as it was."""
        request, counts = plan.request, vars(sizes)
        first = hours.run_settings(Sizes(**self.sizes["warm"]), self.run)
        settings = hours.run_settings(sizes, self.run) | {"run.ema_decay": first["run.ema_decay"]}
        settings = {n: v for n, v in settings.items() if n in self.planned}
        options = {n: v for n, v in counts.items() if not n.endswith("_steps")}
        plan.request = replace(request, config=override(request.config, settings), **options)

    def is_spent(self, drawn: int) -> bool:
        """Return True if another design would leave too little time for the stages after screening.

        Those stages need the sizes of a sweep of one design more than the `drawn` ones. So where screening
        is slower than planned, all stages become smaller, and none is given up for the others. Two designs
        are always drawn: one alone is compared with nothing.
        """
        if not self.closed and drawn >= hours.LEAST_DESIGNS:
            sizes, pace = self._latest(), self.present_pace()
            fixed = {n: v for n, v in vars(sizes).items() if n.endswith("_steps")} | self.fixed
            seconds = self.seconds_left - pace.gan_phase(sizes.gan_steps)
            fits = hours.designs_that_fit(seconds, pace, self.full, fixed, self.work, "repeat")
            self.closed = fits < drawn + 1
            if self.closed:
                self._keep()
        return self.closed

    def learn(self, rows: Sequence[Row]) -> None:
        """Take over what ended trials tell of the time of steps."""
        for row in rows:
            if row["finished"] and row.get("seconds"):
                phase = "psnr" if row["stage"] == "warm" else "gan"
                self.trials[row["trial_id"]] = phase, row["steps"], row["seconds"]

    def stage_took(self, seconds: float, rows: Sequence[Row]) -> None:
        """Take over how long a stage took that this process ran from its begin to its end."""
        busy = wall_time.makespan([row.get("seconds", 0.0) for row in rows], self.pace.slots)
        if rows:
            self.starts.append(max(0.0, seconds - busy))

    def describe(self) -> list[str]:
        """Return lines on the hours for the start of a sweep."""
        sizes, pace = self._latest(), self.present_pace()
        stages = wall_time.stage_seconds(sizes, pace, self.work)
        lines = hours_in_words.describe(self.hours, self.elapsed(), stages, pace)
        if (missing := sum(stages.values()) - self.seconds_left) > 0:
            lines.append(hours_in_words.short(self.hours, missing))
        else:
            twice = hours.fit(self.seconds_left + 3600 * self.hours, pace, self.full, self.fixed, self.work)
            lines.append(hours_in_words.double(sizes, twice, self.hours))
        return [*lines, *hours_in_words.one_network(self.advice)]

    def facts(self, plan: SweepPlan) -> dict[str, Any]:
        """Return the entries of sweep.json that tell what the hours became."""
        told = {"asked": self.hours, "seconds": self.elapsed(), "sizes": self.sizes} | self.advice
        return {"request": plan.request.to_json(), "hours": told}

    def _keep(self) -> None:
        state: dict[str, Any] = {name: vars(getattr(self, name)) for name in ("pace", "full", "work")}
        for name in ("fixed", "run", "sizes", "closed", "starts", "advice"):
            state[name] = getattr(self, name)
        self.keep(json.dumps(state, indent=1))


def open_clock(
    plan: SweepPlan, capacity: Capacity, heartbeat: Heartbeat, resume: bool, say: Callable[[str], Any]
) -> SweepClock | None:
    """Return the clock of a sweep with --hours, whose plan then has its sizes; None without."""
    if not plan.request.hours:
        return None
    if resume:
        clock = SweepClock.resume(plan, heartbeat.seconds, plan.storage)
        say(f"{clock.over}, this start included; stages that have not begun are fitted to the rest")
        return clock
    say(f"timing steps for --hours {plan.request.hours:g}, which takes half a minute or so")
    pace = measure_pace(plan, capacity)
    keep = partial(plan.storage.write_text, f"{plan.request.name}/{STATE}")
    return SweepClock.start(plan, pace, heartbeat.seconds, keep, partial(pace_alone, plan, capacity, pace))


def full_sizes(plan: SweepPlan) -> Sizes:
    """Return the sizes that the recipe and the space have of their own; given steps count as theirs.

    A given number of designs is none of them: three of a space of 64 can train as shortly as hours ask.
    """
    own = replace(plan.request, trials=0, repeat_top=-1, confirm_top=0, confirm_seeds=0)
    return Sizes.of(own.filled(plan.space))
