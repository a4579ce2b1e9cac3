"""The plan of a sweep, and every check that can be made before anything is spent or written."""

from dataclasses import dataclass, field
from typing import Any

from datasets.errors import UserError
from datasets.image_set import ImageSet
from orchestrator.console import StagePlan
from orchestrator.results.sweep_folder import read_facts
from orchestrator.schedulers.rungs import generations, rungs
from orchestrator.search.proposals import drawn_architectures
from orchestrator.storage import Storage
from orchestrator.sweep.checks import (
    check_generations,
    check_objective,
    open_images_of,
    preflight_checks,
    undo_on_error,
)
from orchestrator.sweep.request import Request
from orchestrator.tracking import server
from orchestrator.trial import warm_starts
from trainers import warm_start_key
from trainers.config import override
from trainers.metrics import require


@dataclass
class SweepPlan:
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


def make_plan(request: Request, resume: bool = False) -> SweepPlan:
    """Check everything and open the images. UserError leaves the disk as it was."""
    request = request.filled()
    require([m for m in request.metrics], "objective.perceptual")
    check_objective(request.config)
    check_generations(request)
    request.space.check(request.config)
    storage = Storage(request.storage)
    if not resume and storage.exists(f"{request.name}/sweep.json"):
        raise UserError(
            f"sweep '{request.name}' exists in {storage.root}: go on with --resume {request.name}, or choose "
            f"another --name"
        )
    storage.check_writable()
    with undo_on_error(request):
        server.probe(request.tracking_uri)
        images = open_images_of(request)
        preflight_checks(request, images)
    architectures = drawn_architectures(request)
    keys = [
        warm_start_key.warm_start_key(override(request.config, a), images["train"].digest)
        for a in architectures
    ]
    missing = [i for i, k in enumerate(keys) if not warm_starts.ready(storage, k)]
    if resume:  # as it was planned: the warm trials are known to Tune by their place in this list
        planned = read_facts(storage, request.name)["plan"]["warm"]
        missing = [i for i, k in enumerate(keys) if k in planned]
    return SweepPlan(request, storage, images, architectures, keys, missing)
