"""A request built from command-line options, or read back from the sweep that is resumed."""

import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from datasets.errors import UserError
from orchestrator.results.sweep_folder import read_facts
from orchestrator.search import space_file as user_space
from orchestrator.search.space import Space
from orchestrator.search.space_file import SpaceFile
from orchestrator.storage import Storage
from orchestrator.sweep.request import Budget, Request
from trainers.config import TrainConfig, flatten, from_flat, override

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
    ranks_per_trial: int
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
        ranks_per_trial=options.ranks_per_trial,
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
        ranks_per_trial=before.get("ranks_per_trial", 0),
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
