"""A live progress line with the estimated time left."""

import sys
import time
from dataclasses import dataclass, replace
from itertools import dropwhile

from rich.console import Console
from rich.live import Live
from rich.text import Text

from datasets.address import masked
from datasets.text import count, format_duration, printable
from orchestrator.console.bars import PLAIN_EVERY_S

GAN_STEP_COST = 2.0  # PSNR steps that a GAN step takes, until both have been measured
STAGE_WORDS = {"confirm-warm": "confirm (PSNR phases)"}  # of stages that people know by other words
COUNTED_EVERY_S = 10.0  # and at least between lines of trials that ended: --status has their number at once


@dataclass(frozen=True)
class StagePlan:
    """The expected work of a stage."""

    name: str
    runs: int
    psnr_steps: int
    gan_steps: int
    share: float = 1.0
    """Expected share of the steps that remain after early stopping, in (0, 1]."""


class ProgressLine:
    """The progress of a sweep: reported steps against the plan, and the time left that follows."""

    def __init__(self, plan: list[StagePlan], slots: int, console: Console | None = None) -> None:
        """`slots` trials run at once; `console` is the terminal unless given."""
        self.plan, self.slots = plan, slots
        self.console = console or Console()
        self.began, self.hours, self.late = time.monotonic(), 0.0, False
        """When the sweep began, the hours that it may take (0: no limit), and if it will take longer."""
        self.fitted = True
        """True while sizes of later stages follow from the hours."""
        self.seconds = {"psnr": 0.0, "gan": 0.0}
        self.steps = {"psnr": 0, "gan": 0}
        self.done: dict[str, dict[str, float]] = {p.name: {} for p in plan}
        """Stage -> trial that has not ended -> steps done, in PSNR steps."""
        self.finished: dict[str, set[str]] = {p.name: set() for p in plan}
        self.last: dict[str, tuple[str, int, float]] = {}
        """Trial -> phase, step and seconds of its last report."""
        self.tail_seconds: list[float] = []
        """Seconds between the last step and the end of each ended trial: evaluation, image strips, saving."""
        self.stage, self.note, self.stage_began = "", "", self.began
        self.best: tuple[bool, float, float] | None = None
        """The order of the best run of this stage (Objectives.order), of which `note` tells."""
        self.ended_before = 0
        """Runs of this stage that had ended before this round of it."""
        self.beside: dict[str, float] = {}
        """Stage -> seconds that it takes beside the steps of its trials, as far as that is known."""
        self.estimate: tuple[float | None, float] = None, 0.0
        """The latest seconds that seemed to be left, and when they first did."""
        self.begun: set[str] = set()
        self.live: Live | None = None
        self.plain_at = 0.0

    def __enter__(self) -> "ProgressLine":
        if self.console.is_terminal:
            self.live = Live(
                get_renderable=self._one_row, console=self.console, refresh_per_second=2, transient=True
            )
            self.live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self._end_stage()
        if self.live is not None:
            self.live.__exit__(None, None, None)
            self.live = None

    def say(self, text: str) -> None:
        """Print a line that stays above the progress line."""
        self.console.print(printable(masked(text)), markup=False, highlight=False, soft_wrap=True)
        sys.stdout.flush()

    def set_slots(self, slots: int) -> None:
        """Set how many trials run at once from now on; a change is printed."""
        if slots != self.slots:
            moved, plural = "joined" if slots > self.slots else "left", "s" * (slots != 1)
            self.say(f"nodes have {moved}: {slots} trial{plural} at once")
            self.slots = slots

    def begin(self, stage: str) -> None:
        """Start a stage, or the next part of it; a stage that is over leaves a line."""
        if stage != self.stage:
            self._end_stage()
            self.stage, self.note, self.best, self.stage_began = stage, "", None, time.monotonic()
            self.ended_before = len(self.finished.get(stage, ()))
            self.begun.add(stage)
        if not self._has_nothing_to_do():
            self.show()

    def _end_stage(self) -> None:
        """Print the line that a stage leaves: its runs, its time and the best of it."""
        if not self.stage or self._has_nothing_to_do():
            return
        runs = len(self.finished.get(self.stage, ())) - self.ended_before
        words = f": {count(runs, 'run')}" if self.stage in self.finished else ""
        words = words if runs or not words else ": kept from before"
        passed = format_duration(time.monotonic() - self.stage_began)
        line = Text(f"{self._words()} done", "green")
        line.append(printable(f"{words} in {passed}{f' | {self.note}' if self.note else ''}"), "default")
        self.console.print(line, soft_wrap=True)
        sys.stdout.flush()

    def expect(self, runs: int, why_fewer: str = "") -> None:
        """Take `runs` as the runs of this stage, if they are more than planned or a reason is given.

        The reason why they are fewer is printed.
        """
        planned = self._planned()
        if planned is None or (runs <= planned.runs and not why_fewer):
            return
        if runs < planned.runs:
            self.say(f"{self._words()}: {runs} of {planned.runs} planned, because {why_fewer}")
        self.plan = [replace(p, runs=runs) if p is planned else p for p in self.plan]

    def _planned(self) -> StagePlan | None:
        return next((p for p in self.plan if p.name == self.stage), None)

    def _has_nothing_to_do(self) -> bool:
        """Return True if no run is planned for this stage and none ended, so that nobody need read of it."""
        return (p := self._planned()) is not None and not (p.runs or self.finished[p.name])

    def step(self, trial: str, phase: str, step: int, seconds: float) -> None:
        """Record that a trial of this stage has done `step` steps of `phase` after `seconds` of its life."""
        before = self.last.get(trial)
        self.last[trial] = (phase, step, seconds)
        if before is not None and before[0] == phase and step > before[1]:
            self.seconds[phase] += seconds - before[2]
            self.steps[phase] += step - before[1]
        if (stage := self._planned()) is not None:
            offset = stage.psnr_steps if phase == "gan" else 0
            self.done[stage.name][trial] = offset + step * (self._gan_cost() if phase == "gan" else 1.0)
        self.show()

    def end(self, trial: str, seconds: float | None = None) -> None:
        """Record the end of a trial of this stage, after `seconds` of its life if that is known."""
        if self.stage in self.finished:
            self.finished[self.stage].add(trial)
            self.done[self.stage].pop(trial, None)
        if seconds is not None and trial in self.last:
            self.tail_seconds.append(max(0.0, seconds - self.last[trial][2]))
        self.show(COUNTED_EVERY_S)

    def seconds_left(self) -> float | None:
        """Return the expected wall seconds until the plan is done; None if nothing tells."""
        if not (self.steps["psnr"] or self.steps["gan"]) or not (self._planned() or self.beside):
            return None
        tail = sum(self.tail_seconds) / len(self.tail_seconds) if self.tail_seconds else 0.0
        steps, runs = 0.0, 0
        for p in dropwhile(lambda p: p.name != self.stage, self.plan):
            ended = self.finished[p.name]
            waiting = p.runs - len(ended)
            expected = waiting * (p.psnr_steps + p.gan_steps * self._gan_cost()) * p.share
            done = list(self.done[p.name].items())  # a copy: the thread of the report asks, too
            running = sum(steps_done for trial, steps_done in done if trial not in ended)
            steps, runs = steps + max(0.0, expected - running), runs + waiting
        beside = sum(seconds for stage, seconds in self.beside.items() if stage not in self.begun)
        if self._planned() is None:  # the test, of which only the whole time is known
            beside += max(0.0, self.beside.get(self.stage, 0.0) - (time.monotonic() - self.stage_began))
        return (steps * self._seconds_per_psnr_step() + runs * tail) / self.slots + beside

    def _left(self) -> float | None:
        """Return the seconds to show as left: those of --hours while the sizes of stages follow from them.

        An estimate from the plan would then contradict the hours: what does not fit any more is left out.
        """
        now = time.monotonic()
        if self.hours and self.fitted and not self.late:
            of_hours = 3600 * self.hours - (now - self.began)
            if of_hours > 0:
                return of_hours
        own, passed = self.seconds_left(), 0.0
        if own is not None:  # nothing is heard of a trial between its reports, but time passes
            if own != self.estimate[0]:
                self.estimate = own, now
            passed = now - self.estimate[1]
        return None if own is None else max(0.0, own - passed)

    def show(self, every_s: float = PLAIN_EVERY_S) -> None:
        """Without a terminal, print the line every `every_s` seconds; a terminal redraws it by itself."""
        if self.live is None and time.monotonic() - self.plain_at > every_s:
            self.plain_at = time.monotonic()
            self.say(self.line())

    def _one_row(self) -> Text:
        """Return the line in colour, cut at the width: a second row would stay when it is redrawn."""
        row = Text(self.line(), no_wrap=True, overflow="ellipsis")
        row.stylize("bold cyan", 0, len(self._words()))
        return row

    def line(self) -> str:
        """Return the progress line: stage, trials done, time so far and time left, note."""
        more = f" | {self.note}" * bool(self.note)  # a narrow terminal cuts the end
        return f"{self._count()} | {self._times()}{more}"

    def in_words(self) -> str:
        """Return how far the sweep has come: "screen 3 of 8 done, 2:24 of 6:00 so far, about 3:36 left"."""
        return f"{self._count() or 'starting'}, {self._times()}"

    def _words(self) -> str:
        return STAGE_WORDS.get(self.stage, self.stage)

    def _count(self) -> str:
        """Return the stage in words and its ended trials: "screen 3 of 8 done"."""
        p = self._planned()
        return self._words() + (f" {len(self.finished[p.name])} of {p.runs} done" if p and p.runs else "")

    def _times(self) -> str:
        left, passed = self._left(), format_duration(time.monotonic() - self.began)
        passed += f" of {format_duration(3600 * self.hours)}" if self.hours else ""
        time_left = f"about {format_duration(left)} left" if left is not None else "estimating the time left"
        return f"{passed} so far, {time_left}"

    def _seconds_per_psnr_step(self) -> float:
        if self.steps["psnr"]:
            return self.seconds["psnr"] / self.steps["psnr"]
        return self.seconds["gan"] / self.steps["gan"] / GAN_STEP_COST

    def _gan_cost(self) -> float:
        """Return how many PSNR steps take as long as a GAN step."""
        if not (self.steps["psnr"] and self.steps["gan"] and self.seconds["psnr"] > 0):
            return GAN_STEP_COST
        return (self.seconds["gan"] / self.steps["gan"]) / (self.seconds["psnr"] / self.steps["psnr"])
