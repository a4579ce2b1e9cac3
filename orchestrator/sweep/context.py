"""Everything that the stages of one sweep share in the driver's process."""

import math
from dataclasses import dataclass, field, replace

from orchestrator.cluster.capacity import Capacity
from orchestrator.console.progress_line import ProgressLine
from orchestrator.results.row import Row, RowContext
from orchestrator.storage import Storage
from orchestrator.sweep.clock import SweepClock
from orchestrator.sweep.heartbeat import Heartbeat
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.request import Request
from orchestrator.tracking.sweep_record import SweepRecord
from orchestrator.trial import warm_starts
from trainers.config import TrainConfig, flatten
from trainers.objectives import Objectives
from trainers.warm_start_key import warm_start_key


@dataclass
class BudgetWatch:
    """The cost of a sweep so far, and the limit that ended the drawing of designs."""

    gpu_hours: float = 0.0
    """GPU-hours of the stages that are done."""
    reached: str = ""
    """The limit that was reached, in words; empty while there is none. Once reached, it stays so."""


@dataclass(frozen=True)
class SweepContext:
    """One sweep at work: its plan, the machines it runs on, and its MLflow record."""

    plan: SweepPlan
    capacity: Capacity
    record: SweepRecord
    progress: ProgressLine
    heartbeat: Heartbeat
    bicubic: dict[str, float]
    """Metrics of bicubic upscaling on val."""
    protocol: dict[str, str]
    """Metric -> how it was measured on val."""
    least: float = -math.inf
    """Signed distortion below which no network is feasible (Objectives.least)."""
    budget: BudgetWatch = field(default_factory=BudgetWatch)
    clock: SweepClock | None = None
    """The sizes that --hours decides; None without it."""
    ended: dict[str, Row] = field(default_factory=dict)
    """The row of every trial that is over, by its id."""

    @property
    def request(self) -> Request:
        """The request, with every default filled in."""
        return self.plan.request

    @property
    def storage(self) -> Storage:
        """The storage of all sweeps."""
        return self.plan.storage

    @property
    def objectives(self) -> Objectives:
        """The two objectives of the sweep, with the floor that champions demand."""
        return replace(Objectives.of(self.request.config.objective), least=self.least)

    @property
    def gpus(self) -> float:
        """GPUs that a trial holds, or the share of one; 0 if there are none."""
        return self.request.gpus if self.capacity.gpus else 0.0

    @property
    def row_context(self) -> RowContext:
        """The facts that all rows of the sweep share."""
        metrics, price = self.request.metrics, self.request.price_per_gpu_hour
        shared = (self.objectives, metrics, self.bicubic, self.protocol, self.gpus, price)
        return RowContext(*shared, self.plan.inference_of)

    def slots(self) -> int:
        """Return how many trials run at once now; a change is printed, and why no machine starts for them."""
        slots = self.capacity.current().slots(self.request.gpus, self.request.ranks)
        self.progress.set_slots(slots)
        if self.capacity.trouble and (trouble := self.capacity.trouble(bool(self.capacity.gpus))):
            self.progress.say(trouble)
        return slots

    def warm_start_of(self, stage: str, config: TrainConfig) -> str | None:
        """Return the storage name of the network that a trial's GAN phase started from, if there is one."""
        digest, base = self.plan.digests["train"], flatten(self.request.config)
        source = warm_starts.source(config, stage, base, digest, self.plan.ancestor)
        if stage == "warm" or source is None:
            return None
        key = warm_start_key(source, digest)
        return warm_starts.published(self.storage, key) if warm_starts.ready(self.storage, key) else None

    def path(self, part: str) -> str:
        """Return the storage name of a file or folder of this sweep."""
        return f"{self.request.name}/{part}"

    def count(self, rows: list[Row]) -> None:
        """Add what the trials of a finished stage cost, and learn from how long they took."""
        self.ended.update((row["trial_id"], row) for row in rows)
        self.budget.gpu_hours += sum(row["gpu_hours"] for row in rows)
        if self.clock:
            self.clock.learn(rows)

    def replan(self, stage: str) -> None:
        """Fit the sizes of a stage that begins, and of the later ones, to the time that is left."""
        if self.clock:
            self.clock.replan(self.plan, stage, self.progress)

    def add_seeds(self) -> None:
        """Add seeds to the confirmation if --hours leaves the time for them."""
        if self.clock:
            self.clock.add_seeds(self.plan, self.progress)

    def is_budget_spent(self, running: float, drawn: int) -> bool:
        """Return True if no more designs may be drawn in the present stage.

        `running` are the GPU-hours of its trials so far, `drawn` is their number.
        """
        spent = self.budget.gpu_hours + running
        self.budget.reached = self.budget.reached or self.request.limit_reached(spent)
        return bool(self.budget.reached) or self.clock is not None and self.clock.is_spent(drawn)
