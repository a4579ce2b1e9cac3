"""The hours of one sweep: sizes are fitted at its start and before each stage, from measured times."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datasets.text import short_number
from orchestrator.cluster.capacity import Capacity
from orchestrator.console import ProgressLine
from orchestrator.results.row import Row
from orchestrator.storage import Storage
from orchestrator.sweep import hours
from orchestrator.sweep.cost_estimate import measure_pace
from orchestrator.sweep.heartbeat import Heartbeat
from orchestrator.sweep.hours import COUNTS, Pace, Sizes, Work
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.request import Request
from trainers.config import flatten, override
from trainers.warm_start_key import in_key

STATE = "hours.json"
"""File in the sweep's folder: the pace and the sizes of each stage, which a resumed sweep reads back."""
FREE: dict[str, tuple[str, ...]] = {
    "screen": ("gan_steps", *COUNTS),
    "repeat": COUNTS[1:],
    "confirm": COUNTS[2:],
}
"""Stage -> the sizes that may still change before it begins."""
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
    """As measured before the first stage."""
    full: Sizes
    fixed: dict[str, int]
    work: Work
    run: dict[str, Any]
    """Settings of the recipe's run."""
    planned: frozenset[str]
    """Settings that may be set here: the others were given."""
    alone: str
    """The command that trains one network of this recipe on these images."""
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Stage -> the sizes that were fitted before it."""
    closed: bool = False
    """True once no more designs are drawn."""
    starts: list[float] = field(default_factory=list)
    """Seconds that each stage took beside its trials."""
    trials: dict[str, tuple[str, int, float]] = field(default_factory=dict)
    """Trial -> phase, steps and seconds of its training."""

    @classmethod
    def start(
        cls, plan: SweepPlan, pace: Pace, elapsed: Callable[[], float], keep: Callable[[str], Any]
    ) -> "SweepClock":
        """Return the clock of a new sweep, and give its plan the sizes of all stages."""
        request, count, full = plan.request, len(plan.architectures), full_sizes(plan)
        fixed = {n: v for n, v in vars(_sizes(request)).items() if _option(n) not in request.planned.split()}
        run = {n: v for n, v in flatten(request.config).items() if n.startswith("run.")}
        work = Work(count, count, plan.derivable, request.derive)
        clock = cls._of(request, elapsed, keep, pace, full, fixed, work, run)
        clock.apply(plan, clock.fitted("warm", fixed))
        plan.find_architectures(False)
        return clock

    @classmethod
    def resume(cls, plan: SweepPlan, elapsed: Callable[[], float], storage: Storage) -> "SweepClock":
        """Return the clock of a resumed sweep as stored, and give its plan the sizes it had reached."""
        request = plan.request
        state = storage.read_json(f"{request.name}/{STATE}", keys=("pace", "full", "fixed", "work", "run"))
        pace, full, work = Pace(**state["pace"]), Sizes(**state["full"]), Work(**state["work"])
        keep = _keeper(storage, request.name)
        clock = cls._of(request, elapsed, keep, pace, full, state["fixed"], work, state["run"])
        clock.sizes, clock.closed = state["sizes"], state["closed"]
        clock.starts = state["starts"]
        clock.apply(plan, Sizes(**list(clock.sizes.values())[-1]))
        return clock

    @classmethod
    def _of(
        cls,
        request: Request,
        elapsed: Callable[[], float],
        keep: Callable[[str], Any],
        pace: Pace,
        full: Sizes,
        fixed: dict[str, int],
        work: Work,
        run: dict[str, Any],
    ) -> "SweepClock":
        """Return a clock with the request's hours, command of one training, and settings not given."""
        planned, config = frozenset(request.planned.split()), request.config
        alone = f"upsweep train --recipe {config.recipe} --data.train {shlex.quote(config.data.train)}"
        return cls(request.hours, elapsed, keep, pace, full, fixed, work, run, planned, alone)

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
        self.sizes[stage] = vars(sizes)
        self._keep()
        return sizes

    def replan(self, plan: SweepPlan, stage: str, progress: ProgressLine) -> None:
        """Fit the sizes of `stage` and later ones to the time left; a resumed stage keeps its own."""
        latest = Sizes(**list(self.sizes.values())[-1])
        if stage not in self.sizes:
            free = FREE[stage]
            fixed = {n: v for n, v in vars(latest).items() if n not in free} | self.fixed
            if stage != "screen":  # as many as were screened
                fixed["trials"] = sum(t.startswith("screen") for t in self.trials) or latest.trials
            elif len(plan.space.architectures()) > latest.trials:  # further ones have no warm start
                fixed["trials"] = latest.trials
            sizes = self.fitted(stage, fixed)
            if sizes != latest:
                progress.say(f"{self.time_over()}: {hours.in_words(stage, sizes)}")
            latest = sizes
            progress.late = self._tell_if_late(stage, sizes, progress.say)
        self.apply(plan, latest)
        progress.plan = plan.stages()
        progress.beside = hours.seconds_beside(latest, self.present_pace(), self.work)
        if stage == "screen":
            self._let_draw_more(plan, latest)

    def _tell_if_late(self, stage: str, sizes: Sizes, say: Callable[[str], Any]) -> bool:
        """Return True, and say it, if the stages from `stage` on end later by a minute and a twentieth."""
        seconds = hours.stage_seconds(sizes, self.present_pace(), self.work)
        late = sum(list(seconds.values())[list(seconds).index(stage) :]) - self.seconds_left
        if is_late := late > max(60.0, 180 * self.hours):
            say(
                f"late     the least of what is left takes about {late / 60:.0f} minutes more than the "
                f"{60 * self.hours:g}: steps or starts take longer than when they were timed"
            )
        return is_late

    def _let_draw_more(self, plan: SweepPlan, sizes: Sizes) -> None:
        """Let screening draw more designs than planned, which `is_spent` ends when the time is over."""
        request = plan.request
        if "trials" in self.fixed or len(plan.space.architectures()) > sizes.trials:
            return  # each architecture that is drawn has a warm start
        plan.request = replace(request, trials=DRAWN * sizes.trials)

    def apply(self, plan: SweepPlan, sizes: Sizes) -> None:
        """Give the plan these sizes; what is part of the warm starts' keys stays as they were trained."""
        request, counts = plan.request, vars(sizes)
        first = hours.run_settings(Sizes(**self.sizes["warm"]), self.run)
        settings = hours.run_settings(sizes, self.run) | {n: v for n, v in first.items() if in_key(n)}
        settings = {n: v for n, v in settings.items() if n in self.planned}
        options = {n: v for n, v in counts.items() if not n.endswith("_steps")}
        plan.request = replace(request, config=override(request.config, settings), **options)

    def is_spent(self, drawn: int) -> bool:
        """Return True if another design would leave too little time for the stages after screening.

        They need the sizes of a sweep of one design more than the `drawn` ones. So where screening is slower
        than planned, all stages become smaller, and none is given up for the others.
        """
        if not self.closed:
            sizes, pace = Sizes(**list(self.sizes.values())[-1]), self.present_pace()
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
        busy = hours.makespan([row.get("seconds", 0.0) for row in rows], self.pace.slots)
        if rows:
            self.starts.append(max(0.0, seconds - busy))

    def describe(self) -> list[str]:
        """Return lines on the hours for the start of a sweep."""
        sizes, pace = Sizes(**list(self.sizes.values())[-1]), self.present_pace()
        stages = hours.stage_seconds(sizes, pace, self.work)
        parts = ", ".join(f"{stage} {seconds / 60:.1f}" for stage, seconds in stages.items())
        lines = [
            f"hours    {self.hours:g} h: {self.elapsed() / 60:.1f} of {60 * self.hours:g} minutes are over; "
            f"then minutes of {parts}; fitted again before each stage"
        ]
        lines += hours.busy_in_words(pace)
        if (short := sum(stages.values()) - self.seconds_left) > 0:
            enough = short_number(self.hours + short / 3600, 2)
            lines.append(f"short    even the least sweep takes about {enough} h here: this one will end late")
        else:
            twice = hours.fit(self.seconds_left + 3600 * self.hours, pace, self.full, self.fixed, self.work)
            lines += hours.describe(sizes, twice, self.hours)
        return [*lines, *([f"one      {advice}"] if (advice := self.advice(self.seconds_left)) else [])]

    def advice(self, seconds: float) -> str:
        """Return the advice to train one network in these seconds; empty if designs train long enough."""
        sizes, pace = Sizes(**list(self.sizes.values())[-1]), self.present_pace()
        whole = pace.psnr_phase(self.full.psnr_steps) + pace.gan_phase(self.full.gan_steps)
        part = min(1.0, max(0.0, seconds) / whole)
        psnr, gan = int(self.full.psnr_steps * part), int(self.full.gan_steps * part)
        if not 0 < sizes.psnr_steps < min(hours.ENOUGH_PSNR_STEPS, self.full.psnr_steps, psnr):
            return ""
        return (
            f"with this time, train one network: it gets {psnr:,} PSNR steps, each one of this sweep "
            f"{sizes.psnr_steps:,}, and with fewer than {hours.ENOUGH_PSNR_STEPS:,} longer training gains "
            f"more than the choice of a design: {self.alone} --run.psnr-steps {psnr} --run.gan-steps {gan}"
        )

    def facts(self, plan: SweepPlan) -> dict[str, Any]:
        """Return the entries of sweep.json that tell what the hours became."""
        told = {"asked": self.hours, "seconds": self.elapsed(), "sizes": self.sizes}
        told["one"] = self.advice(3600 * self.hours)
        return {"request": plan.request.to_json(), "hours": told}

    def time_over(self) -> str:
        """Return how much of the hours is over, as a line."""
        return f"hours    {self.elapsed() / 60:.1f} of {60 * self.hours:g} minutes are over"

    def _keep(self) -> None:
        state: dict[str, Any] = {name: vars(getattr(self, name)) for name in ("pace", "full", "work")}
        state |= {name: getattr(self, name) for name in ("fixed", "run", "sizes", "closed", "starts")}
        self.keep(json.dumps(state, indent=1))


def open_clock(
    plan: SweepPlan, capacity: Capacity, heartbeat: Heartbeat, resume: bool, say: Callable[[str], Any]
) -> SweepClock | None:
    """Return the clock of a sweep with --hours, whose plan then has its sizes; None without."""
    if not plan.request.hours:
        return None
    if resume:
        clock = SweepClock.resume(plan, heartbeat.seconds, plan.storage)
        say(f"{clock.time_over()}, this start included; stages that have not begun are fitted to the rest")
        return clock
    say(f"timing steps for --hours {plan.request.hours:g}, which takes half a minute or so")
    pace = measure_pace(plan, capacity)
    clock = SweepClock.start(plan, pace, heartbeat.seconds, _keeper(plan.storage, plan.request.name))
    for line in clock.describe():
        say(line)
    return clock


def full_sizes(plan: SweepPlan) -> Sizes:
    """Return the sizes that the recipe and the space have of their own; given steps count as theirs.

    A given number of designs is none of them: three of a space of 64 can train as shortly as hours ask.
    """
    own = replace(plan.request, trials=0, repeat_top=-1, confirm_top=0, confirm_seeds=0)
    return _sizes(own.filled(plan.space))


def _sizes(r: Request) -> Sizes:
    run = r.config.run
    return Sizes(run.psnr_steps, run.gan_steps, r.trials, r.repeat_top, r.confirm_top, r.confirm_seeds)


def _option(size: str) -> str:
    """Return the name of the setting that holds a size."""
    return f"run.{size}" if size.endswith("_steps") else size


def _keeper(storage: Storage, name: str) -> Callable[[str], Any]:
    return lambda text: storage.write_text(f"{name}/{STATE}", text)
