"""The request of one sweep: every option that decides what it does, and the checks of each.

A field is declared here once: it is the command-line flag (its docstring is the help text), it is kept in
sweep.json, and a resumed sweep reads it back. Fields marked `may_change` may be given again with --resume.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from datasets.address import hide
from datasets.errors import UserError, unknown
from orchestrator.results.sweep_folder import NAME, work_dir
from orchestrator.search.space import POPULATION, SAMPLERS, STOPPING, Space
from orchestrator.tracking import server
from trainers.config import TrainConfig, from_flat, override, portable
from trainers.warm_start_key import in_key

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
    "compiled",
    "starts",
)
AT_LEAST_0 = (
    "trials",
    "confirm_top",
    "confirm_seeds",
    "seed",
    "ranks_per_trial",
    "hours",
    "max_gpu_hours",
    "price_per_gpu_hour",
)


def may_change(default: Any) -> Any:
    """Return a field that a resumed sweep may be given again, because it changes no result."""
    return field(default=default, metadata={"may_change": True})


FILLED_IN = {"filled_in": True}
"""Metadata of a field that the command sets, and no user."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Options of a sweep; every setting of a run follows under its dotted name."""

    space: str = ""
    """Axes to vary: a name of experiments/spaces.py, your own path.py:Class or path.yaml; empty: that of the
    recipe's name, else full."""
    trials: int = 0
    """Designs to screen; 0 takes the space's own number."""
    repeat_top: int = -1
    """Designs whose GAN phase is repeated under another seed, the best half of them three times; 0 repeats
    none, -1 takes the space's own number. Without a GAN phase nothing is repeated."""
    confirm_top: int = 0
    """Designs to confirm with several seeds; 0 takes the space's own number."""
    confirm_seeds: int = 0
    """Seeds per confirmed design; 0 takes the space's own number."""
    derive: float = 0.15
    """Part of a PSNR phase of 2,000 steps or more that an architecture trains for screening and repeats if it
    can begin with the network of another one; the confirmation trains whole phases. 0: always whole ones."""
    sampler: str = ""
    """Sampler of designs: gp (Gaussian process), random, nsga2, tpe or grid (every combination); empty: the
    space's own."""
    stopping: str = ""
    """Rule of early stopping at a rung: none (whole trials), feasible_first, front or asha (perceptual metric
    alone); or pbt: no trial is stopped, but the last quarter takes over networks of the first and
    changes their settings (for spaces without architectures). Empty: the space's own."""
    name: str = ""
    """Name of the sweep; empty: the recipe's name, numbered if that exists."""
    train: str = ""
    """Training images: a folder or zip, a shard folder or URL, or a catalogue name."""
    val: str = ""
    """Images that choose checkpoints and designs; empty: cut from --train."""
    test: str = ""
    """Images opened once, at the end; empty: cut from --train."""
    gate: str = ""
    """Images for promotion only, 30 at least; empty: cut from --train."""
    storage: str = may_change("./runs")
    """Folder or URL (s3://...) that keeps sweeps, warm starts and checkpoints."""
    tracking_uri: str = may_change("")
    """MLflow server or database; empty: an SQLite file in --storage."""
    start: str = ""
    """Public weight file (*.pth, *.safetensors, https://...#sha256=HEX, or a name of upsweep weights) whose
    network every trial trains further. It decides the generator, replaces the PSNR phase, and is what to beat
    in every stage; spaces of losses and rates fit (default: finetune)."""
    start_licence: str = ""
    """Licence of the file of --start, if it states none; it is stored with the sweep."""
    seed: int = 0
    """Seed of the sampler that draws designs."""
    gpus_per_trial: float = 0.0
    """GPUs per trial: a share of one (0.5 runs two trials on each), or a whole number, each with a process of
    its own that takes its part of every batch. Trials then wait for a GPU. 0: one, if there are GPUs."""
    ranks_per_trial: int = 0
    """Processes per trial, each with its part of every batch, on CPU cores if there are no GPUs; 0: one, or
    one for each whole GPU."""
    hours: float = 0.0
    """Hours from command to exit as a number (12 minutes are 0.2); they decide sizes that are not given."""
    effort: str = ""
    """A name for --hours: quick (15 minutes) or overnight (10 hours)."""
    max_gpu_hours: float = 0.0
    """Draw no new designs after this many GPU-hours; the confirmation comes on top."""
    price_per_gpu_hour: float = may_change(0.0)
    """Price of a GPU-hour, in any currency; 0 leaves costs out."""
    local: bool = may_change(False)
    """Run on this machine even if there is a cluster."""
    address: str = may_change("")
    """HOST:PORT of a Ray cluster; empty: RAY_ADDRESS, a cluster of ray up, this machine."""
    planned: str = field(default="", metadata=FILLED_IN)
    """Settings that were not given, which --hours or the images decide; separated by spaces."""
    given: str = field(default="", metadata=FILLED_IN)
    """Options that were given, without their values; separated by spaces."""
    second_opinion: str = field(default="", metadata=FILLED_IN)
    """Perceptual metric that is measured on test beside the objective and decides nothing; empty: none."""
    config: TrainConfig = field(default_factory=TrainConfig)

    def check(self) -> None:
        """Check each option alone; imports neither torch nor Ray.

        Raises:
            UserError: an option has a value that no sweep can have.
        """
        self._check_ranges()
        self._check_devices()
        if self.sampler and self.sampler not in SAMPLERS:
            raise unknown("sampler", self.sampler, SAMPLERS, "--sampler")
        if self.stopping and self.stopping not in STOPPING:
            raise unknown("stopping rule", self.stopping, STOPPING, "--stopping")

    def filled(self, space: Space) -> "Request":
        """Return the request with the space's suggestions in place of zeros and empty names.

        Raises:
            UserError: an option cannot be carried out.
        """
        self.check()
        sampler, stopping = self.sampler or space.sampler, self.stopping or space.stopping
        trials = self.trials or space.trials
        if stopping == "pbt":
            self._check_population(space, trials)
            sampler = "random"  # of the first settings; the others come from these
        repeat_top = space.repeat_top if self.repeat_top < 0 else self.repeat_top
        if sampler == "grid":
            trials = min(self.trials or len(space.grid()), len(space.grid()))
        return replace(
            self,
            sampler=sampler,
            stopping=stopping,
            trials=trials,
            repeat_top=0 if space.fidelity else min(repeat_top, trials),
            confirm_top=min(self.confirm_top or space.confirm_top, trials),
            confirm_seeds=self.confirm_seeds or space.confirm_seeds,
            storage=hide(self.storage),
            tracking_uri=hide(self.tracking_uri or self.default_tracking_uri()),
            config=self._with_mixture(space),
        )

    def _with_mixture(self, space: Space) -> TrainConfig:
        """Return the config whose PSNR phase has every training degradation of the space, mixed.

        Trials that differ in their degradation then share a warm start.
        """
        axis, data = space.axes.get("data.train_degradation"), self.config.data
        if axis is None or data.psnr_degradation or space.fidelity:
            return self.config
        texts = dict.fromkeys(str(value) or data.degradation for value in axis.examples())
        return override(self.config, {"data.psnr_degradation": "+".join(texts)})

    def _check_ranges(self) -> None:
        if self.name and (not NAME.fullmatch(self.name) or self.name in RESERVED):
            raise UserError(
                f"--name must be letters, digits, '.', '_' and '-' (and none of {', '.join(RESERVED)}), "
                f"but got '{self.name}'"
            )
        for option in AT_LEAST_0:
            if not 0 <= (value := getattr(self, option)) < 2**32:
                limit = " and below 2**32" * (value > 0)
                raise UserError(f"--{option.replace('_', '-')} must be 0 or more{limit}, but got {value}")
        if self.config.run.derived_from:
            raise UserError("run.derived_from is set by the sweep itself; leave it out")
        if not 0 <= self.derive < 1:
            raise UserError(f"--derive must be 0 or more and below 1, but got {self.derive:g}")

    def _check_population(self, space: Space, trials: int) -> None:
        """Raise UserError for what population based training cannot do."""
        fixed = [n for n in space.axes if in_key(n) or n.startswith(("discriminator.", "data."))]
        if fixed:
            raise UserError(
                f"--stopping pbt changes settings while a network trains, which {fixed[0]} of space "
                f"{space.name} does not allow; choose a space of losses and rates, such as balance"
            )
        if trials < POPULATION:
            raise UserError(f"--stopping pbt needs --trials {POPULATION} or more, but got {trials}")
        if self.sampler not in ("", "random"):
            raise UserError(
                f"--stopping pbt takes its settings from its own population, so leave out --sampler "
                f"{self.sampler}"
            )
        if self.hours or self.max_gpu_hours:
            raise UserError(
                "--stopping pbt trains its whole population at once, so --hours and --max-gpu-hours "
                "cannot end it early; choose fewer --trials"
            )

    def _check_devices(self) -> None:
        gpus = self.gpus_per_trial
        if not (0 <= gpus <= 1 or 1 < gpus < float("inf") and gpus == int(gpus)):
            raise UserError(
                f"--gpus-per-trial must be a share of one GPU (above 0, at most 1) or a whole number, "
                f"but got {gpus:g}"
            )
        if self.ranks_per_trial and gpus not in (0, 1, self.ranks) and max(gpus, self.ranks) > 1:
            raise UserError(
                f"--gpus-per-trial {gpus:g} does not match --ranks-per-trial {self.ranks}, because each "
                f"rank uses one GPU; leave out --gpus-per-trial"
            )

    @property
    def ranks(self) -> int:
        """Processes of a trial, each with a device of its own if there are several."""
        return self.ranks_per_trial or max(1, int(self.gpus_per_trial))

    @property
    def gpus_per_rank(self) -> float:
        """GPUs of each rank, or its share of one, if there are GPUs."""
        return 1.0 if self.ranks > 1 else self.gpus_per_trial or 1.0

    @property
    def gpus(self) -> float:
        """GPUs of a trial, or its share of one, if there are GPUs."""
        return self.ranks * self.gpus_per_rank

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics to measure: both objectives first."""
        from trainers.objectives import measured_metrics, similarity  # torch: --help need not wait for it

        return tuple(dict.fromkeys((*measured_metrics(self.config), similarity(self.config))))

    @property
    def opponent(self) -> str:
        """The network that a trial's training starts from and has to better, in words."""
        run = self.config.run
        if run.start_from:
            return self.start or "the network it started from"
        return "its warm start" if run.psnr_steps and run.gan_steps else "bicubic"

    @property
    def work_dir(self) -> Path:
        """The folder in which this machine keeps imported images and decoded copies."""
        return work_dir(self.storage)

    def default_tracking_uri(self) -> str:
        """Return an SQLite file beside the sweeps; for a storage by URL, in ./runs."""
        return server.default_uri("./runs" if "://" in self.storage else self.storage)

    @property
    def limits(self) -> str:
        """The limit after which no new designs are drawn, in words; empty if there is none."""
        return f"{self.max_gpu_hours:g} GPU-hours" if self.max_gpu_hours else ""

    def limit_reached(self, gpu_hours: float) -> str:
        """Return the limit that these GPU-hours reach, in words; empty if none.

        What runs is never cut short, and the confirmation comes on top.
        """
        if self.max_gpu_hours and gpu_hours >= self.max_gpu_hours:
            return f"the {self.max_gpu_hours:g} GPU-hours of --max-gpu-hours"
        return ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data for sweep.json, all settings under their dotted names.

        The tracking address is left out if it follows from the storage, which may be moved.
        """
        return asdict(self) | {"config": portable(self.config), "tracking_uri": self.chosen_tracking_uri}

    @property
    def chosen_tracking_uri(self) -> str:
        """The tracking address; empty if it is the database in a storage folder."""
        derived = "://" not in self.storage and self.tracking_uri == self.default_tracking_uri()
        return "" if derived else self.tracking_uri

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Request":
        """Return the inverse of `to_json`."""
        return cls(**{**plain, "config": from_flat(plain["config"])})
