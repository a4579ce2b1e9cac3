"""A double of Tune's workers: each task is answered at its virtual time, without a network or a GPU."""

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from orchestrator.results.trial_report import Status, TrialReport, Usage

TRIAL_S = 600.0  # virtual seconds of a trial
STEPS = 1000  # of a trial
SWEEP = "scale"


class Actor:
    """A worker that is none: Tune knows it by its identity."""

    removed = False

    def set_on_stop(self, call: Any) -> None: ...

    set_on_error = set_on_stop


class ReplayedActors:
    """A double of Tune's actors: every task is answered at its virtual time, in one process."""

    def __init__(self, results: Callable[[Any, int], dict[str, Any]], reports: int) -> None:
        self.results, self.reports = results, reports
        self.now, self.events = 0.0, itertools.count()
        self.queue: list[tuple[float, int, Any, Callable[[], None]]] = []
        self.waiting: set[Any] = set()
        self.live: dict[Any, Any] = {}
        self.done: dict[str, int] = {}
        """Trial id -> how many reports it has sent."""
        self.trial_of: Callable[[Any], Any] = lambda actor: None
        self._live_actors_to_ray_actors_resources = self.live

    def _at(self, seconds: float, actor: Any, call: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + seconds, next(self.events), actor, call))

    def next(self, timeout: float | None = None) -> bool:
        """Let the next event happen; False if there is none."""
        if not self.queue:
            return False
        self.now, _, actor, call = heapq.heappop(self.queue)
        if actor is None or not actor.removed:
            call()
        return True

    def add_actor(self, cls: Any, resource_request: Any, kwargs: Any, on_start: Any, **_: Any) -> Any:
        actor = Actor()
        self.waiting.add(actor)

        def start() -> None:
            self.waiting.discard(actor)
            self.live[actor] = (None, None)
            on_start(actor)

        # workers come one after the other while the first trials run, so later ones do not end all at once
        self._at(TRIAL_S * random.Random(next(self.events)).random(), actor, start)
        return actor

    def remove_actor(self, tracked_actor: Any, kill: bool = False, stop_future: Any = None) -> bool:
        tracked_actor.removed = True
        self.waiting.discard(tracked_actor)
        self.live.pop(tracked_actor, None)
        return False

    def schedule_actor_task(
        self, tracked_actor: Any, method_name: str, args: Any = (), on_result: Any = None, **_: Any
    ) -> None:
        if method_name == "reset":
            self._at(1.0, tracked_actor, lambda: on_result(tracked_actor, True))
        elif method_name == "train":
            trial = self.trial_of(tracked_actor)
            sent = self.done[trial.trial_id] = self.done.get(trial.trial_id, 0) + 1
            pause = TRIAL_S / self.reports * random.Random(f"{trial.trial_id} {sent}").uniform(0.8, 1.2)
            result = self.results(trial, sent)
            self._at(pause, tracked_actor, lambda: on_result(tracked_actor, result))

    def is_actor_started(self, tracked_actor: Any) -> bool:
        return tracked_actor in self.live

    def is_actor_failed(self, tracked_actor: Any) -> bool:
        return False

    def clear_actor_task_futures(self, tracked_actor: Any) -> None: ...

    @property
    def num_pending_actors(self) -> int:
        return len(self.waiting)

    @property
    def num_live_actors(self) -> int:
        return len(self.live)

    @property
    def num_actor_tasks(self) -> int:
        return len(self.queue)


def report_of(trial: Any, sent: int, reports: int, number: int) -> dict[str, Any]:
    """Return the result of a trial's report `sent`: a curve that its design decides, and noise."""
    weight, done = trial.config.get("loss.adversarial_weight", 0.01), sent / reports
    noise = random.Random(f"{number} {sent}").gauss(0, 0.1)
    values = {
        "psnr_y": 29.0 - 2 * weight**0.5 * done + noise,
        "lpips_alex": 0.3 - 0.1 * weight**0.25 * done + noise / 100,
        "ssim_y": 0.8 + noise / 100,
    }
    step, seconds = round(STEPS * done), TRIAL_S * done
    key = f"{SWEEP}/screen/screen-{trial.trial_id}"
    entry = {
        "run_key": key,
        "kind": "metrics",
        "time_ms": 1_790_000_000_000 + number * 1000 + sent,
        "step": step,
        "values": {f"val/{name}": value for name, value in values.items()}
        | {f"loss/{term}": abs(noise) for term in ("pixel", "content", "adversarial", "discriminator")},
    }
    return TrialReport(
        status=Status.COMPLETE if sent == reports else Status.RUNNING,
        phase="gan",
        step=step,
        max_steps=STEPS,
        ranked=values,
        latest=values,
        warm_start={"psnr_y": 29.0, "lpips_alex": 0.3, "ssim_y": 0.8},
        gradient_shares={"pixel": 0.3, "content": 0.5, "adversarial": 0.2},
        diagnostics={"data_wait_share": 0.01, "d_accuracy": 0.8},
        usage=Usage(seconds, seconds),
        attempt="attempt-1",
        attempt_usage=Usage(seconds, seconds),
        device="cuda",
        hardware="NVIDIA H100 80GB HBM3, driver 580.65, torch 2.15.0, CUDA 13.2, cuDNN 9.15",
        candidates=tuple(
            {
                "step": step - 100 * k,
                "metrics": values,
                "checkpoint": f"s3://bucket/{SWEEP}/trials/{key}/c{k}",
            }
            for k in range(4)
        )
        if sent == reports
        else (),
        journal=(entry,),
    ).to_result() | {"done": sent == reports, "time_this_iter_s": TRIAL_S / reports}
