"""The plan of a sweep, and every check that can be made before anything is spent or written."""

import itertools
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from datasets.loader import ImageSet, TrainLoader, disjoint, eval_pairs
from orchestrator import tracking, warmstart
from orchestrator.progress import StagePlan
from orchestrator.request import Request, read_facts
from orchestrator.scheduler import earliest, generations, rungs
from orchestrator.storage import Storage, first_missing
from orchestrator.trial import open_role
from trainers import preflight
from trainers.config import TrainConfig, override
from trainers.device import pick_device
from trainers.evaluate import Evaluator
from trainers.metrics import METRICS, require
from trainers.models import build_discriminator, build_generator
from trainers.models.batch_norm import synchronise
from trainers.ranks import Ranks

SIZES = ("data.batch_size", "optim.micro_batches")
GENERATOR_WEIGHTS = tuple(f"loss.{term}_weight" for term in ("pixel", "content", "adversarial", "tv"))


@dataclass
class Prepared:
    """A checked request with its images opened and its architectures counted."""

    request: Request
    storage: Storage
    images: dict[str, ImageSet]
    architectures: list[dict[str, Any]]
    warm_keys: list[str]
    missing: list[int] = field(default_factory=list)
    """Indices of architectures whose warm start does not exist yet."""

    @property
    def digests(self) -> dict[str, str]:
        """Role -> digest of its images."""
        return {role: images.digest for role, images in self.images.items()}

    @property
    def milestones(self) -> list[int]:
        """GAN steps of the rungs of early stopping."""
        run, space = self.request.config.run, self.request.space
        if self.request.stopping in ("none", "pbt"):
            return []
        return rungs(run.gan_steps, run.eval_every_steps, space.reduction, space.rungs, run.ema_decay)

    @property
    def generations(self) -> list[int]:
        """GAN steps that end the parts of population based training; none where it was not asked for."""
        run = self.request.config.run
        if self.request.stopping != "pbt":
            return []
        return generations(run.gan_steps, run.eval_every_steps, run.ema_decay)

    def stages(self) -> list[StagePlan]:
        """The expected work of each stage."""
        r, run = self.request, self.request.config.run
        # each rung lets 1/reduction of its trials go on
        reached, share, previous = 1.0, 0.0, 0
        for milestone in self.milestones:
            share += reached * (milestone - previous) / run.gan_steps
            reached, previous = reached / r.space.reduction, milestone
        share += reached * (1 - previous / max(1, run.gan_steps))
        parts = max(1, len(self.generations))
        return [
            StagePlan("warm", len(self.missing), run.psnr_steps, 0),
            # a part of a population's member is a trial of its own
            StagePlan("screen", r.trials * parts, 0, run.gan_steps, share / parts),
            StagePlan("confirm", r.confirm_top * r.confirm_seeds, run.psnr_steps, run.gan_steps),
        ]

    def describe(self) -> list[str]:
        """The plan in words, for --dry-run and the start of a sweep."""
        r, run = self.request, self.request.config.run
        total = sum(p.runs * (p.psnr_steps + p.gan_steps * p.share) for p in self.stages())
        kept = len(self.architectures) - len(self.missing)
        return [
            f"warm     {len(self.missing)} PSNR runs of {run.psnr_steps} steps, one per architecture"
            + (f" ({kept} more are there already)" if kept else ""),
            self._screen_in_words(),
            f"confirm  {r.confirm_top} designs x {r.confirm_seeds} seeds, each with its own PSNR phase, "
            "no stopping",
            f"test     {r.confirm_top * r.confirm_seeds} networks on {len(self.images['test'])} images "
            "that nothing before has seen",
            f"in all   about {total:,.0f} steps of {r.config.data.batch_size} crops"
            + (f", shared by {r.ranks} ranks" if r.ranks > 1 else ""),
        ] + [f"budget   no new designs after {r.budget}; the confirmation comes on top"] * bool(str(r.budget))

    def _screen_in_words(self) -> str:
        r, steps = self.request, self.request.config.run.gan_steps
        if r.stopping == "pbt":
            changes = ", ".join(map(str, self.generations[:-1]))
            return (
                f"screen   {r.trials} members of {steps} GAN steps from a shared warm start; the last "
                f"quarter takes over from the first at {changes}"
            )
        said = f"screen   {r.trials} trials of up to {steps} GAN steps from a shared warm start"
        return said + "".join(f"; one in {r.space.reduction} goes on at step {m}" for m in self.milestones)


def prepare(request: Request, resume: bool = False) -> Prepared:
    """Check everything and open the images. UserError leaves the disk as it was."""
    request = request.filled()
    require([m for m in request.metrics], "objective.perceptual")
    _check_objective(request.config)
    _check_generations(request)
    request.space.check(request.config)
    storage = Storage(request.storage)
    if not resume and storage.exists(f"{request.name}/sweep.json"):
        raise UserError(
            f"sweep '{request.name}' exists in {storage.root}: go on with --resume {request.name}, or choose "
            f"another --name"
        )
    storage.check_writable()
    with _undone_on_error(request):
        tracking.probe(request.tracking_uri)
        images = _open_all(request)
        _preflight(request, images)
    architectures = _architectures(request)
    keys = [warmstart.key(override(request.config, a), images["train"].digest) for a in architectures]
    missing = [i for i, k in enumerate(keys) if not warmstart.ready(storage, k)]
    if resume:  # as it was planned: the warm trials are known to Tune by their place in this list
        planned = read_facts(storage, request.name)["plan"]["warm"]
        missing = [i for i, k in enumerate(keys) if k in planned]
    return Prepared(request, storage, images, architectures, keys, missing)


def _check_objective(config: TrainConfig) -> None:
    o = config.objective
    if METRICS[o.distortion].direction != "max" or METRICS[o.perceptual].direction != "min":
        raise UserError(
            f"a sweep needs a distortion metric that goes up and a perceptual one that goes down, but got "
            f"objective.distortion {o.distortion} and objective.perceptual {o.perceptual}"
        )


def _check_generations(request: Request) -> None:
    run = request.config.run
    first = earliest(run.eval_every_steps, run.ema_decay)
    if request.stopping == "pbt" and run.gan_steps < 2 * first:
        raise UserError(
            f"--stopping pbt needs run.gan_steps of {2 * first} or more, two parts that can be ranked, but "
            f"got {run.gan_steps}"
        )


def points(request: Request) -> list[dict[str, Any]]:
    """Designs that screening tries first; all of them for a grid, and where the space has more architectures
    than trials, so that no trial waits for a warm start that nobody planned."""
    if request.sampler == "grid":
        every = request.space.grid()
        few = request.trials < len(every)  # a part of a grid is drawn, or its first axis would stand still
        return random.Random(request.seed).sample(every, request.trials) if few else list(every)
    if len(request.space.architectures()) <= request.trials:
        return [dict(p) for p in request.space.points[: request.trials]]
    return list(draw(request))


def _architectures(request: Request) -> list[dict[str, Any]]:
    """All of the space; where there are more than trials, those that the trials will draw."""
    every = request.space.architectures()
    if len(every) <= request.trials:
        return every
    drawn: list[dict[str, Any]] = []
    for values in points(request):
        architecture = {n: v for n, v in values.items() if warmstart.in_key(n)}
        if architecture not in drawn:
            drawn.append(architecture)
    return drawn


def draw(request: Request) -> Iterator[dict[str, Any]]:
    """Designs drawn before anything is trained: the given points, then at random by the sweep's seed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=request.seed))
    for point in request.space.points[: request.trials]:
        study.enqueue_trial(point)
    for _ in range(request.trials):
        trial = study.ask()
        values = request.space(trial)
        yield trial.params | values


def _open_all(request: Request) -> dict[str, ImageSet]:
    """Every role's images, no two of which may share a photograph; the loader checks sizes."""
    data, work_dir = request.config.data, request.work_dir()
    images = {role: open_role(data, role, work_dir) for role in ("train", "val", "test")}
    for a, b in itertools.combinations(images, 2):
        disjoint(images[a], images[b])
    return images


def _preflight(request: Request, images: dict[str, ImageSet]) -> None:
    """Losses reach the generator, values are in range, one batch can be learnt, val can be measured."""
    config = request.config
    device = pick_device(config.run.device)
    scale = config.generator.scale
    loader = TrainLoader(images["train"], config.data, scale, device=device)
    _check_ranks(request)
    hr, lr_image = preflight.first_batch(loader)
    # terms that the space switches on must reach the generator too
    weights = {n: a for n, a in request.space.axes.items() if n in GENERATOR_WEIGHTS}
    preflight.check(override(config, {n: max(a.examples()) for n, a in weights.items()}), hr, lr_image)
    for role in ("val", "test"):
        Evaluator(eval_pairs(images[role], config.data, scale, limit=2), request.metrics, scale=scale)


def _check_ranks(request: Request) -> None:
    """Batches can be shared out evenly, and every batch norm sees the whole of them."""
    ours, config = Ranks(0, request.ranks), request.config
    axes = [request.space.axes[n].examples() for n in SIZES if n in request.space.axes]
    names = [n for n in SIZES if n in request.space.axes]
    for values in itertools.product(*axes):
        varied = override(config, dict(zip(names, values, strict=True)))
        least = ours.world * varied.optim.micro_batches
        if varied.data.batch_size % least:
            raise UserError(
                f"data.batch_size={varied.data.batch_size} must be a multiple of {least}, a trial's ranks "
                f"({ours.world}) times optim.micro_batches ({varied.optim.micro_batches})"
            )
    for module in (build_generator(config.generator), build_discriminator(config.discriminator)):
        synchronise(module, ours)


@contextmanager
def _undone_on_error(request: Request) -> Iterator[None]:
    """Remove what the checks created (imports, decoded copies, an empty database) if one of them fails."""
    root = request.work_dir()
    created = first_missing(root)
    before = _checked_files(root)
    try:
        yield
    except (UserError, KeyboardInterrupt):
        for path in [created] if created else sorted(_checked_files(root) - before, reverse=True):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        raise


def _checked_files(root: Path) -> set[Path]:
    """What the checks may create under the root of all sweeps, and nothing that others do."""
    made = ("datasets", "datasets/*", "cache", "cache/*", "mlflow.db*")
    return {path for pattern in made for path in root.glob(pattern)}
