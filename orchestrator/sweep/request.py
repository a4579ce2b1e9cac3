"""The request of one sweep: everything its user may ask for, checked and completed."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from datasets.errors import UserError, unknown
from orchestrator.search.space import POPULATION, SAMPLERS, STOPPING, Space
from orchestrator.search.space_file import SpaceFile
from orchestrator.tracking import server
from trainers.config import TrainConfig
from trainers.warm_start_key import in_key


@dataclass(frozen=True)
class Budget:
    """Zero is no limit. What runs is never cut short, and the confirmation comes on top."""

    hours: float = 0.0
    gpu_hours: float = 0.0

    def reached(self, hours: float, gpu_hours: float) -> str:
        """Which limit this is beyond, in words; empty while there is time."""
        if self.hours and hours >= self.hours:
            return f"the {self.hours:g} hours of --max-hours"
        if self.gpu_hours and gpu_hours >= self.gpu_hours:
            return f"the {self.gpu_hours:g} GPU-hours of --max-gpu-hours"
        return ""

    def __str__(self) -> str:
        limits = [f"{self.hours:g} hours"] * bool(self.hours)
        return " or ".join(limits + [f"{self.gpu_hours:g} GPU-hours"] * bool(self.gpu_hours))


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED = (
    "warm",
    "datasets",
    "cache",
    "scratch",
    "train",
    "benchmark",
    "mlartifacts",
    "mlflow.db",
    "registry",
)
ALSO_MEASURED = ("ssim_y",)


@dataclass(frozen=True)
class Request:
    """One sweep, as its user wants it."""

    config: TrainConfig
    space: Space
    name: str
    storage: str = "./runs"
    tracking_uri: str = ""
    """Empty: an SQLite file under the storage root."""
    trials: int = 0
    """Screened designs; 0: what the space suggests."""
    confirm_top: int = 0
    confirm_seeds: int = 0
    seed: int = 0
    gpus_per_trial: float = 1.0
    """A share of one GPU, or a whole number of GPUs: one rank on each."""
    ranks_per_trial: int = 0
    """Processes that share each batch of a trial; 0: one, or one for each whole GPU."""
    sampler: str = ""
    """What draws designs; empty: what the space suggests."""
    stopping: str = ""
    """The rule of early stopping; empty: what the space suggests."""
    budget: Budget = Budget()
    """After which no new designs are drawn."""
    price_per_gpu_hour: float = 0.0
    """In any currency; it changes no result."""
    address: str | None = None
    command: str = ""
    space_file: SpaceFile | None = None
    """Where `space` came from, if it is not one of ours."""

    def filled(self) -> "Request":
        """With the space's own suggestions in place of zeros. UserError for what cannot be run."""
        s = self.space
        if not NAME.fullmatch(self.name) or self.name in RESERVED:
            raise UserError(
                f"--name must be letters, digits, '.', '_' and '-' (and none of {', '.join(RESERVED)}), "
                f"but got '{self.name}'"
            )
        for option in ("trials", "confirm_top", "confirm_seeds", "seed", "ranks_per_trial"):
            if getattr(self, option) < 0:
                raise UserError(
                    f"--{option.replace('_', '-')} must be 0 or more, but got {getattr(self, option)}"
                )
        self._check_devices()
        for option in ("hours", "gpu_hours"):
            value = getattr(self.budget, option)
            if not 0 <= value < float("inf"):
                raise UserError(f"--max-{option.replace('_', '-')} must be 0 or more, but got {value}")
        if not 0 <= self.price_per_gpu_hour < float("inf"):
            raise UserError(f"--price-per-gpu-hour must be 0 or more, but got {self.price_per_gpu_hour}")
        sampler = self.sampler or s.sampler
        if sampler not in SAMPLERS:
            raise unknown("sampler", sampler, SAMPLERS, "--sampler")
        stopping = self.stopping or s.stopping
        if stopping not in STOPPING:
            raise unknown("stopping rule", stopping, STOPPING, "--stopping")
        trials = self.trials or s.trials
        if stopping == "pbt":
            self._check_population(trials)
            sampler = "random"  # of the first settings; the others come from these
        if sampler == "grid":
            trials = min(self.trials or len(s.grid()), len(s.grid()))
        return replace(
            self,
            sampler=sampler,
            stopping=stopping,
            trials=trials,
            confirm_top=min(self.confirm_top or s.confirm_top, trials),
            confirm_seeds=self.confirm_seeds or s.confirm_seeds,
            tracking_uri=self.tracking_uri or self.default_tracking_uri(),
        )

    def _check_population(self, trials: int) -> None:
        """UserError for what population based training cannot do."""
        fixed = [n for n in self.space.axes if in_key(n) or n.startswith("discriminator.")]
        if fixed:
            raise UserError(
                f"--stopping pbt changes settings while a network trains, which {fixed[0]} of space "
                f"{self.space.name} does not allow; choose a space of losses and rates, such as balance"
            )
        if trials < POPULATION:
            raise UserError(f"--stopping pbt needs --trials {POPULATION} or more, but got {trials}")
        if self.sampler not in ("", "random"):
            raise UserError(
                f"--stopping pbt takes its settings from its own population, so leave out --sampler "
                f"{self.sampler}"
            )
        if str(self.budget):
            raise UserError(
                "--stopping pbt trains its whole population at once, so --max-hours and --max-gpu-hours "
                "cannot end it early; choose fewer --trials"
            )

    def _check_devices(self) -> None:
        gpus = self.gpus_per_trial
        if not (0 < gpus <= 1 or 1 < gpus < float("inf") and gpus == int(gpus)):
            raise UserError(
                f"--gpus-per-trial must be a share of one GPU (above 0, at most 1) or a whole number, "
                f"but got {gpus:g}"
            )
        if self.ranks_per_trial and gpus not in (1, self.ranks) and max(gpus, self.ranks) > 1:
            raise UserError(
                f"each rank has one GPU of its own where there are GPUs, so --ranks-per-trial {self.ranks} "
                f"leaves --gpus-per-trial out, but got {gpus:g}"
            )

    @property
    def ranks(self) -> int:
        """Processes of a trial, each with a device of its own where there is more than one."""
        return self.ranks_per_trial or max(1, int(self.gpus_per_trial))

    @property
    def gpus_per_rank(self) -> float:
        """Where there are GPUs."""
        return 1.0 if self.ranks > 1 else self.gpus_per_trial

    @property
    def gpus(self) -> float:
        """Of a trial, where there are GPUs."""
        return self.ranks * self.gpus_per_rank

    def default_tracking_uri(self) -> str:
        """SQLite beside the sweeps; a remote storage has no place for it, so ./runs then."""
        return server.default_uri("./runs" if "://" in self.storage else self.storage)

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured: both objectives first."""
        o = self.config.objective
        return tuple(dict.fromkeys((o.distortion, o.perceptual, *ALSO_MEASURED)))

    def work_dir(self) -> Path:
        """Where this node keeps imported images and decoded copies."""
        own = os.environ.get("UPSWEEP_WORK_DIR", "./runs")
        return Path(own if "://" in self.storage else self.storage).expanduser().resolve()
