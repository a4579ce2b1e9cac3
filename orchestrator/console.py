"""What a person sees while a sweep runs: one line that lives, with the time left."""

import sys
import time
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.text import Text

GAN_STEP_COST = 2.0  # of a PSNR step, until both have been measured
PLAIN_EVERY_S = 20.0  # without a terminal, one line this often


@dataclass(frozen=True)
class StagePlan:
    """How much work a stage is expected to be."""

    name: str
    runs: int
    psnr_steps: int
    gan_steps: int
    share: float = 1.0
    """Expected share of the steps that early stopping lets happen."""


class ProgressLine:
    """Counts steps of a plan as they are reported and says how long the rest will take."""

    def __init__(self, plan: list[StagePlan], slots: int, console: Console | None = None) -> None:
        self.plan, self.slots = plan, slots
        self.console = console or Console()
        self.began = time.monotonic()
        self.seconds = {"psnr": 0.0, "gan": 0.0}
        self.steps = {"psnr": 0, "gan": 0}
        self.done: dict[str, dict[str, float]] = {p.name: {} for p in plan}
        """Stage -> trial -> PSNR-step equivalents done."""
        self.finished: dict[str, set[str]] = {p.name: set() for p in plan}
        self.last: dict[str, tuple[str, int, float]] = {}
        self.after: list[float] = []
        """Seconds that ended trials went on after their last step: measuring, drawing, closing."""
        self.stage, self.note = "", ""
        self.live: Live | None = None
        self.plain_at = 0.0

    def __enter__(self) -> "ProgressLine":
        if self.console.is_terminal:
            self.live = Live(Text(""), console=self.console, refresh_per_second=2, transient=True)
            self.live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.live is not None:
            self.live.__exit__(None, None, None)
            self.live = None

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, highlight=False, soft_wrap=True)
        sys.stdout.flush()

    def set_slots(self, slots: int) -> None:
        """So many trials run at once from now on; a change is worth a line."""
        if slots != self.slots:
            moved, plural = "joined" if slots > self.slots else "left", "s" * (slots != 1)
            self.say(f"nodes have {moved}: {slots} trial{plural} at once")
            self.slots = slots

    def begin(self, stage: str) -> None:
        """A stage starts."""
        self.stage, self.note = stage, ""
        self.show()

    def step(self, trial: str, phase: str, step: int, seconds: float) -> None:
        """A trial of the present stage has done `step` steps of `phase` after `seconds` of its life."""
        before = self.last.get(trial)
        self.last[trial] = (phase, step, seconds)
        if before is not None and before[0] == phase and step > before[1]:
            self.seconds[phase] += seconds - before[2]
            self.steps[phase] += step - before[1]
        stage = next((p for p in self.plan if p.name == self.stage), None)
        if stage is not None:
            offset = stage.psnr_steps if phase == "gan" else 0
            self.done[stage.name][trial] = offset + step * (self._gan_cost() if phase == "gan" else 1.0)
        self.show()

    def end(self, trial: str, seconds: float | None = None) -> None:
        """A trial of the present stage is over, after `seconds` of its life where that is known."""
        if self.stage in self.finished:
            self.finished[self.stage].add(trial)
        if seconds is not None and trial in self.last:
            self.after.append(max(0.0, seconds - self.last[trial][2]))
        self.show()

    def seconds_left(self) -> float | None:
        """Wall seconds until the plan is done; None before anything was measured."""
        if not self.steps["psnr"] and not self.steps["gan"]:
            return None
        unit = self._unit()
        after = sum(self.after) / len(self.after) if self.after else 0.0
        left = 0.0
        names = [p.name for p in self.plan]
        here = names.index(self.stage) if self.stage in names else len(names)
        for index, p in enumerate(self.plan):
            if index < here:
                continue
            per_run = p.psnr_steps + p.gan_steps * self._gan_cost()
            waiting = p.runs - (len(self.finished[p.name]) if index == here else 0)
            expected = waiting * per_run * p.share
            if index == here:
                running = [v for t, v in self.done[p.name].items() if t not in self.finished[p.name]]
                expected = max(0.0, expected - sum(running))
            left += expected * unit + waiting * after
        return left / self.slots

    def show(self) -> None:
        """Draw the line, or print it now and then where there is no terminal."""
        text = self.line()
        if self.live is not None:
            self.live.update(Text(text))
        elif time.monotonic() - self.plain_at > PLAIN_EVERY_S:
            self.plain_at = time.monotonic()
            self.say(text)

    def line(self) -> str:
        """The present state in one line."""
        p = next((p for p in self.plan if p.name == self.stage), None)
        count = f" {len(self.finished[p.name])}/{p.runs} done" if p else ""
        left = self.seconds_left()
        time_left = f"about {format_duration(left)} left" if left is not None else "estimating the time left"
        note = f" | {self.note}" if self.note else ""
        passed = format_duration(time.monotonic() - self.began)
        return f"{self.stage}{count}{note} | {passed} so far, {time_left}"

    def _unit(self) -> float:
        """Seconds of a PSNR step."""
        if self.steps["psnr"]:
            return self.seconds["psnr"] / self.steps["psnr"]
        return self.seconds["gan"] / self.steps["gan"] / GAN_STEP_COST

    def _gan_cost(self) -> float:
        """PSNR steps that a GAN step costs."""
        if not (self.steps["psnr"] and self.steps["gan"] and self.seconds["psnr"] > 0):
            return GAN_STEP_COST
        return (self.seconds["gan"] / self.steps["gan"]) / (self.seconds["psnr"] / self.steps["psnr"])


def format_duration(seconds: float) -> str:
    """1:05 or 2:03:04."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
