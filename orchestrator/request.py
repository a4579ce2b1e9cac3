"""What a sweep is asked for: from command-line options, or from the sweep that is resumed."""

import itertools
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from datasets.errors import UserError, unknown
from orchestrator import tracking, user_space
from orchestrator.budget import Budget
from orchestrator.space import POPULATION, SAMPLERS, STOPPING, Space
from orchestrator.storage import Storage
from orchestrator.user_space import SpaceFile
from orchestrator.warmstart import in_key
from trainers.config import TrainConfig, flatten, from_flat, override

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
MAY_CHANGE = (
    "storage",
    "tracking_uri",
    "address",
    "local",
    "detach",
    "dry_run",
    "resume",
    "status",
    "stop",
    "price_per_gpu_hour",
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
        for option in ("trials", "confirm_top", "confirm_seeds", "seed"):
            if getattr(self, option) < 0:
                raise UserError(
                    f"--{option.replace('_', '-')} must be 0 or more, but got {getattr(self, option)}"
                )
        if not 0 < self.gpus_per_trial <= 1:
            raise UserError(f"--gpus-per-trial must be in (0, 1], but got {self.gpus_per_trial}")
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

    def default_tracking_uri(self) -> str:
        """SQLite beside the sweeps; a remote storage has no place for it, so ./runs then."""
        return tracking.default_uri("./runs" if "://" in self.storage else self.storage)

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured: both objectives first."""
        o = self.config.objective
        return tuple(dict.fromkeys((o.distortion, o.perceptual, *ALSO_MEASURED)))

    def work_dir(self) -> Path:
        """Where this node keeps imported images and decoded copies."""
        own = os.environ.get("UPSWEEP_WORK_DIR", "./runs")
        return Path(own if "://" in self.storage else self.storage).expanduser().resolve()


class Options(Protocol):
    """The options of experiments/sweep.py that become a request."""

    space: str
    trials: int
    confirm_top: int
    confirm_seeds: int
    name: str
    train: str
    val: str
    test: str
    storage: str
    tracking_uri: str
    seed: int
    gpus_per_trial: float
    price_per_gpu_hour: float
    sampler: str
    stopping: str
    max_hours: float
    max_gpu_hours: float
    resume: str
    local: bool
    address: str
    config: TrainConfig


def find_space(options: Options, named: Callable[[str], Space]) -> tuple[Space, SpaceFile | None]:
    """The space: the resumed sweep's, as asked for (a file, or `named`), or what suits the recipe."""
    if options.resume:
        facts = facts_of(options)
        kept = facts.get("space_file")
        if not kept:
            return named(facts["space"]), None
        file = SpaceFile(kept, "")
        text = Storage(options.storage).read_text(f"{options.resume}/submission/{file.kept_as}")
        file = replace(file, text=text)
        return file.space(), file
    if user_space.is_file(options.space):
        file = user_space.read(options.space)
        return file.space(), file
    return named(options.space or ("demo" if options.config.recipe == "demo" else "full")), None


def build(options: Options, named: Callable[[str], Space], command: str) -> Request:
    """A request; a resumed one takes everything that decides results from the sweep itself.

    `named` finds one of our own spaces.
    """
    space, space_file = find_space(options, named)
    if options.resume:
        _nothing_else(options)
    address = None if options.local else options.address or os.environ.get("RAY_ADDRESS") or None
    given = {r: getattr(options, r) for r in ("train", "val", "test") if getattr(options, r)}
    config = override(options.config, {f"data.{role}": spec for role, spec in given.items()})
    request = Request(
        config=config,
        space=space,
        name=options.resume or options.name or _free_name(options.storage, config.recipe),
        storage=options.storage,
        tracking_uri=options.tracking_uri,
        trials=options.trials,
        confirm_top=options.confirm_top,
        confirm_seeds=options.confirm_seeds,
        seed=options.seed,
        gpus_per_trial=options.gpus_per_trial,
        price_per_gpu_hour=options.price_per_gpu_hour,
        sampler=options.sampler,
        stopping=options.stopping,
        budget=Budget(options.max_hours, options.max_gpu_hours),
        address=address,
        command=command,
        space_file=space_file,
    )
    if not options.resume:
        return request
    facts = facts_of(options)
    before = facts["request"]
    return replace(
        request,
        config=from_flat(before["config"]),
        tracking_uri=options.tracking_uri or facts["tracking_uri"],
        trials=before["trials"],
        confirm_top=before["confirm_top"],
        confirm_seeds=before["confirm_seeds"],
        seed=facts["seed"],
        gpus_per_trial=before["gpus_per_trial"],
        sampler=before.get("sampler", ""),
        stopping=before.get("stopping", ""),
        budget=Budget(**before.get("budget", {})),
        price_per_gpu_hour=options.price_per_gpu_hour or before.get("price_per_gpu_hour", 0.0),
        command=facts["command"],
    )


def _nothing_else(options: Options) -> None:
    """UserError where a sweep is resumed with options that decide results: they would be ignored."""
    usual = type(options)()
    changed = [n for n in vars(usual) if n not in MAY_CHANGE and getattr(options, n) != getattr(usual, n)]
    if "config" in changed:
        now, before = flatten(options.config), flatten(usual.config)
        changed = [n for n in changed if n != "config"] + [n for n in now if now[n] != before[n]]
    if changed:
        raise UserError(
            f"--resume {options.resume} goes on with the settings the sweep began with, so leave out "
            f"{', '.join('--' + n.replace('_', '-') for n in changed[:3])}"
        )


def _free_name(storage: str, recipe: str) -> str:
    """The recipe's name, or the first of recipe-2, recipe-3, ... that no sweep has."""
    place = Storage(storage)
    numbered = (f"{recipe}-{k}" for k in itertools.count(2))
    return next(n for n in itertools.chain([recipe], numbered) if not place.exists(f"{n}/sweep.json"))


def facts_of(options: Options) -> dict[str, Any]:
    """sweep.json of the sweep to resume; UserError where there is none."""
    return read_facts(Storage(options.storage), options.resume)


def read_facts(storage: Storage, name: str) -> dict[str, Any]:
    """sweep.json of a sweep; UserError where there is none."""
    if not storage.exists(f"{name}/sweep.json"):
        raise UserError(f"no sweep '{name}' in {storage.root}; start it with --name {name}")
    return json.loads(storage.read_text(f"{name}/sweep.json"))
