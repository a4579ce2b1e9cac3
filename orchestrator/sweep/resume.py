"""From command-line options to a request: of a new sweep, or read back from the sweep that is resumed."""

import itertools
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.config import ROLES
from datasets.errors import UserError, unknown
from datasets.files import untrusted
from orchestrator.results import sweep_folder
from orchestrator.results.sweep_folder import START
from orchestrator.search import space_file
from orchestrator.search.space import Space
from orchestrator.search.space_file import SpaceFile
from orchestrator.storage import MARKER, Storage
from orchestrator.sweep.hours import COUNTS, EFFORTS, HOURS_DECIDE
from orchestrator.sweep.request import Request
from trainers.config import TrainConfig, flatten, override

if TYPE_CHECKING:  # --status and --help must not wait for torch
    from orchestrator.sweep.plan import SweepPlan

STARTED_SPACE = {True: "finetune", False: "fidelity_balance"}
"""Space of a sweep with --start, whose file decides the architecture: with a GAN phase, and without one."""
FIDELITY_SPACE = "fidelity"
"""Space of a sweep without a GAN phase."""
SPACES = {"demo": "demo", "photos": "photos", "photos_small": "photos_small"}
"""Recipe -> its space if --space names none; of other recipes full."""
FITTING = ("photos", "photos_small")
"""Recipes that are made to fit the images (fit_images.py)."""
FITTED = (
    "data.crop_px",
    "data.eval_crop_px",
    "loss.content_weight",
    "loss.pixel_weight",
    "objective.perceptual",
)
"""Settings that are fitted to the images in recipes of FITTING, unless they are given."""


@dataclass(frozen=True)
class LoadedSpace:
    """A space, and the file it was read from if it is not one of ours."""

    space: Space
    file: SpaceFile | None = None


def new_request(options: Request, words: Sequence[str] = ()) -> Request:
    """Return the request of a new sweep: images folded into the config, a free name, the default space.

    With --start its network is in the config, as a checkpoint below the work folder (trainers/start.py);
    `words` are the options of settings that were given, among which the generator's may not be then.

    Raises:
        UserError: the file of --start cannot be used, or --hours and --effort contradict each other.
    """
    request = Request(**{f.name: getattr(options, f.name) for f in fields(Request)})
    images = {f"data.{role}": getattr(request, role) for role in ROLES if getattr(request, role)}
    config = override(request.config, images)
    name, space = request.name or _free_name(request.storage, config.recipe), request.space
    if request.start:
        from trainers.start import start_in  # torch: --status need not wait for it

        folder = request.work_dir
        config, _ = start_in(
            folder / "starts" / name, request.start, config, words, folder, request.start_licence
        )
        space = space or STARTED_SPACE[bool(config.run.gan_steps)]
    if not config.run.gan_steps:
        space = space or FIDELITY_SPACE
    space = space or SPACES.get(config.recipe, "full")
    request = replace(request, config=config, space=space, name=name, hours=_hours(options))
    if request.hours and not config.run.gan_steps:
        raise UserError(
            "--hours and --effort need a GAN phase, but run.gan_steps is 0; leave them out and set "
            "--run.psnr-steps and --trials (--dry-run estimates the hours)"
        )
    return replace(request, planned=" ".join(_planned(request, words)), given=" ".join(words))


def _hours(options: Request) -> float:
    """Return the hours of a request; UserError for an --effort that is unknown or beside --hours."""
    if not options.effort:
        return options.hours
    if options.effort not in EFFORTS:
        raise unknown("effort", options.effort, EFFORTS, "--effort")
    if options.hours:
        raise UserError(f"--effort {options.effort} is --hours {EFFORTS[options.effort]:g}; leave out one")
    return EFFORTS[options.effort]


def _planned(request: Request, words: Sequence[str]) -> Iterator[str]:
    """Yield the settings that the hours or the images may decide, because they were not given."""
    given = {word.removeprefix("--").replace("-", "_") for word in words}
    decided = [n for n in flatten(request.config) if n in HOURS_DECIDE] if request.hours else []
    decided += FITTED if request.config.recipe in FITTING else []
    yield from (name for name in decided if name not in given)
    if request.hours:
        default = Request()
        yield from (n for n in COUNTS if getattr(request, n) == getattr(default, n))


def resumed_request(options: Request, name: str) -> Request:
    """Return the request of sweep `name`, with the options that may change as given now.

    Other reasons to refuse a resumed sweep are found later and raise UserError there: it still runs
    (claim.claim_sweep), another sweep uses this machine (cluster.connect.local_lock), its images have changed
    (check_same_images), or Tune's snapshot of a stage cannot be read (tune_callback.StageCallback.setup,
    tune_controller). A finished sweep is not refused: its report is written again.

    Raises:
        UserError: there is no such sweep, others may have written its folder, an earlier version of Upsweep
            began it, or an option was given that decides results.
    """
    storage = Storage(options.storage)
    facts = sweep_folder.read_facts(storage, name)
    _check_owner(storage, name)
    _check_no_result_options(options, name)
    if "planned" not in facts.get("request", ()) or "champion_floor" not in facts:
        raise UserError(
            f"sweep '{name}' was begun by an earlier version and cannot be resumed; start it under another "
            f"--name: its warm starts are used again"
        )
    request = replace(Request.from_json(facts["request"]), storage=options.storage)  # it may have been moved
    if storage.exists(f"{name}/{START}/{MARKER}"):  # the folder that it began with may be another machine's
        start = storage.fetch(f"{name}/{START}", request.work_dir)
        request = replace(request, config=override(request.config, {"run.start_from": str(start)}))
    default = type(options)()
    given = {
        f.name: getattr(options, f.name)
        for f in fields(Request)
        if f.metadata.get("may_change") and getattr(options, f.name) != getattr(default, f.name)
    }
    here: dict[str, Any] = {"local": options.local, "address": options.address}
    return replace(request, **here | given)


def _check_owner(storage: Storage, name: str) -> None:
    """Raise UserError if others may have written a local sweep: its snapshots and its space are code."""
    foreign = untrusted(Path(storage.root) / name) if storage.is_local else None
    if foreign is not None:
        raise UserError(
            f"{foreign} may be written by other users, and a resumed sweep runs code from its folder: if you "
            f"trust what is in it, make it yours (chown -R, chmod -R o-w {shlex.quote(str(foreign.parent))})"
        )


def load_space(request: Request, named: Callable[[str], Space], resume: bool = False) -> LoadedSpace:
    """Return the space that `request.space` names: a space of ours, or the user's own file.

    `named` returns a space of ours by its name (experiments/spaces.py). A resumed sweep reads the copy of the
    file in its folder of the storage, because the file itself may be changed or gone. UserError if there is
    no space of that name, or if the file does not define one.
    """
    if not space_file.is_file(request.space):
        return LoadedSpace(named(request.space))
    if not resume:
        file = space_file.read(request.space)
        return LoadedSpace(file.space().pinned(file.read_beside), file)
    storage, folder = Storage(request.storage), f"{request.name}/submission"
    file = SpaceFile(request.space, "")
    file = replace(file, text=storage.read_text(f"{folder}/{file.stored_name}"))
    return LoadedSpace(
        file.space().pinned(lambda path: storage.read_text(f"{folder}/{Path(path).name}")), file
    )


def check_not_varied(config: TrainConfig, recipe: TrainConfig, space: Space) -> None:
    """Raise UserError if a setting was given that the space varies: each trial would replace it."""
    given, default = flatten(config), flatten(recipe)
    decided = [name for name in space.axes if name.startswith("generator.")]
    run = config.run
    if run.start_from and not (run.psnr_steps and run.gan_steps) and decided:
        raise UserError(
            f"--start decides the generator, which space {space.name} varies ({decided[0]}): choose a "
            f"--space of losses and rates, such as {STARTED_SPACE[bool(run.gan_steps)]}"
        )
    for name in space.axes:
        if given[name] != default[name]:
            raise UserError(
                f"--{name.replace('_', '-')} {given[name]} has no effect, because space {space.name} varies "
                f"it in every trial; leave it out, or choose a --space without {name}"
            )


def kept_facts(plan: "SweepPlan") -> dict[str, Any]:
    """Return the entries of sweep.json that a resumed sweep keeps from its beginning."""
    before = sweep_folder.read_facts(plan.storage, plan.request.name)
    return {k: before[k] for k in ("started", "command", "warm_starts", "commit", "champion_floor")}


def check_same_images(plan: "SweepPlan") -> None:
    """Raise UserError if a resumed sweep would read other images than it began with."""
    before = sweep_folder.read_facts(plan.storage, plan.request.name)
    for role, images in plan.images.items():
        if before["data"][role]["digest"] != images.digest:
            raise UserError(
                f"the images of data.{role} have changed since sweep '{plan.request.name}' began; restore "
                f"them, or start a new sweep under another --name"
            )


def _check_no_result_options(options: Request, name: str) -> None:
    """Raise UserError if a sweep is resumed with options that decide results: they would be ignored."""
    now, default = _options(options), _options(type(options)())
    changed = [n for n in now if now[n] != default[n]]
    if changed:
        raise UserError(
            f"--resume {name} uses the settings the sweep began with, so leave out "
            f"{', '.join('--' + n.replace('_', '-') for n in changed[:3])}"
        )


def _options(options: Request) -> Mapping[str, Any]:
    """Return the options that decide results, and every setting under its dotted name."""
    deciding = [f.name for f in fields(Request) if not f.metadata]  # may_change, FILLED_IN
    own = {name: getattr(options, name) for name in deciding}
    return own | flatten(own.pop("config"))


def _free_name(storage: str, recipe: str) -> str:
    """Return the recipe's name, or the first of recipe-2, recipe-3, ... that no sweep has."""
    place = Storage(storage)
    numbered = (f"{recipe}-{k}" for k in itertools.count(2))
    return next(n for n in itertools.chain([recipe], numbered) if not sweep_folder.exists(place, n))
