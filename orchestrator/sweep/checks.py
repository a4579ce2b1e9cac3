"""Every check of a request that can be made before anything is spent or written."""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from datasets.errors import UserError
from datasets.files import first_missing
from datasets.image_set import ImageSet, disjoint
from datasets.loader import TrainLoader, smallest_pairs
from orchestrator.schedulers.rungs import earliest
from orchestrator.search.space import Space
from orchestrator.sweep.request import Request
from orchestrator.trial.inputs import open_role
from trainers import preflight
from trainers.config import TrainConfig, override
from trainers.distributed import Ranks
from trainers.evaluate import Evaluator
from trainers.metrics import METRICS
from trainers.models import build_discriminator, build_generator
from trainers.models.batch_norm import synchronise

SIZES = ("data.batch_size", "optim.micro_batches")
GENERATOR_WEIGHTS = tuple(
    f"loss.{term}_weight"
    for term in ("pixel", "content", "perceptual", "adversarial", "tv", "color", "grid", "extra")
)


def check_objective(config: TrainConfig) -> None:
    """Raise UserError unless the distortion metric goes up and the perceptual one down.

    Without a GAN phase the second one is any other metric.
    """
    o, run = config.objective, config.run
    if not run.psnr_steps and not run.gan_steps:
        raise UserError("run.psnr_steps and run.gan_steps are both 0, so there is nothing to train")
    if o.distortion == o.perceptual:
        raise UserError(
            f"a sweep needs two objectives, but objective.distortion and objective.perceptual are both "
            f"{o.distortion}; change one of them"
        )
    if not run.gan_steps and METRICS[o.distortion].direction == "max":
        return
    if METRICS[o.distortion].direction != "max" or METRICS[o.perceptual].direction != "min":
        raise UserError(
            f"a sweep needs a distortion metric of which more is better and a perceptual one of which less "
            f"is better, but got objective.distortion {o.distortion} and objective.perceptual {o.perceptual}"
        )


def check_generations(request: Request) -> None:
    """Raise UserError if population based training has too few steps for two segments."""
    run = request.config.run
    first = earliest(run.eval_every_steps, run.ema_decay)
    if request.stopping == "pbt" and run.gan_steps < 2 * first:
        raise UserError(
            f"--stopping pbt needs run.gan_steps of {2 * first} or more, for two segments, but "
            f"got {run.gan_steps}"
        )


def open_every_role(request: Request) -> dict[str, ImageSet]:
    """Return the images of each role; UserError if two roles share a photograph."""
    data, work_dir = request.config.data, request.work_dir
    images = {role: open_role(data, role, work_dir) for role in ("train", "val", "test")}
    for a, b in itertools.combinations(images, 2):
        disjoint(images[a], images[b])
    return images


def check_training(request: Request, space: Space, images: dict[str, ImageSet]) -> None:
    """Raise UserError unless losses reach the generator, values are in range, and one batch can be learnt."""
    # on the CPU, as it is: worker_check.py tries the GPU, its precision and its compiler
    config = override(request.config, {"run.compile": False, "run.precision": "fp32"})
    scale = config.generator.scale
    loader = TrainLoader(images["train"], config.data, scale, device=torch.device("cpu"))
    _check_ranks(request, space)
    hr, lr_image = preflight.first_batch(loader)
    # terms that the space switches on must reach the generator too
    weights = {n: a for n, a in space.axes.items() if n in GENERATOR_WEIGHTS}
    preflight.check(override(config, {n: max(a.examples()) for n, a in weights.items()}), hr, lr_image)
    for role, limit in (("val", config.data.eval_images), ("test", 0)):
        pairs = smallest_pairs(images[role], config.data, scale, limit=limit)
        Evaluator(pairs, request.metrics, scale=scale)


def _check_ranks(request: Request, space: Space) -> None:
    """Check that each batch can be divided among the ranks of a trial, for all batch sizes of the space.

    UserError if a batch size is not a multiple of ranks x micro-batches, or if a network has a batch norm
    that cannot be synchronised over ranks.
    """
    ours, config = Ranks(0, request.ranks), request.config
    sizes = {n: space.axes[n].examples() for n in SIZES if n in space.axes}
    for values in itertools.product(*sizes.values()):
        varied = override(config, dict(zip(sizes, values, strict=True)))
        least = ours.world * varied.optim.micro_batches
        if varied.data.batch_size % least:
            raise UserError(
                f"data.batch_size={varied.data.batch_size} must be a multiple of {least}, a trial's ranks "
                f"({ours.world}) times optim.micro_batches ({varied.optim.micro_batches})"
            )
    for module in (build_generator(config.generator), build_discriminator(config.discriminator)):
        synchronise(module, ours)


@contextmanager
def undo_on_error(request: Request) -> Iterator[None]:
    """Remove what the checks created (imports, decoded copies, an empty database) if one of them fails."""
    root = request.work_dir
    created = first_missing(root)
    before = _checked_files(root)
    try:
        yield
    except (UserError, KeyboardInterrupt):
        for path in [created] if created else sorted(_checked_files(root) - before, reverse=True):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        raise


def _checked_files(root: Path) -> set[Path]:
    """Return the files under `root` that these checks may have created."""
    made = ("datasets", "datasets/*", "cache", "cache/*", "mlflow.db*")
    return {path for pattern in made for path in root.glob(pattern)}
