"""The plan of a sweep: stages, rungs and warm starts of a checked request."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from datasets.config import DECIDABLE, ROLES
from datasets.image_set import ImageSet
from datasets.splits import least_for_gate
from datasets.text import count
from orchestrator.console.progress_line import StagePlan
from orchestrator.results import sweep_folder
from orchestrator.results.sweep_folder import check_name_is_free
from orchestrator.schedulers.rungs import generations, rungs
from orchestrator.search.proposals import planned_architectures
from orchestrator.search.space import Space
from orchestrator.storage import Storage
from orchestrator.sweep.checks import (
    check_generations,
    check_objective,
    check_training,
    open_every_role,
    undo_on_error,
)
from orchestrator.sweep.fit_images import fit_to_images
from orchestrator.sweep.request import Request
from orchestrator.sweep.wall_time import repeat_runs
from orchestrator.tracking import server
from orchestrator.trial import warm_starts
from orchestrator.trial.inputs import open_evaluator
from trainers.benchmarks.cost import InferenceCost
from trainers.config import TrainConfig, flatten, override, with_pixels
from trainers.evaluate import Evaluator
from trainers.metrics import require
from trainers.objectives import second_opinion
from trainers.warm_start_key import warm_start_key


@dataclass
class SweepPlan:
    """A checked request with its images opened and its architectures listed."""

    request: Request
    """With every default filled in."""
    space: Space
    storage: Storage
    images: dict[str, ImageSet]
    architectures: list[dict[str, Any]] = field(default_factory=list)
    warm_keys: list[str] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    """Indices of architectures that have no warm start yet."""
    phases: list[TrainConfig] = field(default_factory=list)
    """The settings of the PSNR phase of each warm key."""
    ancestor: warm_starts.Ancestor | None = None
    """The architecture with whose network the PSNR phases of others begin."""
    costs: list[tuple[dict[str, Any], InferenceCost]] = field(default_factory=list)
    """Each architecture with its latency and memory (orchestrator/sweep/latency.py)."""

    def inference_of(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the latency and memory of the design of these values; None if they were not measured."""
        wanted = self.space.architecture_of(values)
        found = (c for design, c in self.costs if all(wanted.get(n) == v for n, v in design.items()))
        return next(map(asdict, found), None)

    def find_architectures(self, resume: bool) -> None:
        """List the architectures that trials may have, and those without a warm start."""
        r, digest = self.request, self.images["train"].digest
        self.architectures = planned_architectures(self.space, r.trials, r.sampler, r.seed)
        self.ancestor = warm_starts.ancestor_of(self.architectures, r.config, r.derive)
        designs, base = [override(r.config, a) for a in self.architectures], flatten(r.config)
        phases = (warm_starts.source(d, "screen", base, digest, self.ancestor) for d in designs)
        self.phases = [phase for phase in phases if phase]
        self.warm_keys = [warm_start_key(phase, digest) for phase in self.phases]
        ready = [warm_starts.ready(self.storage, key) for key in self.warm_keys]
        if resume:  # as it was planned: Tune knows the warm trials by their place in this list
            planned = sweep_folder.read_facts(self.storage, r.name)["plan"]["warm"]
            ready = [key not in planned for key in self.warm_keys]
        self.missing = [i for i, there in enumerate(ready) if not there]

    @property
    def derived(self) -> list[int]:
        """Indices in `missing` of architectures whose PSNR phase begins with the ancestor's network."""
        return [i for i in self.missing if self.phases[i].run.derived_from]

    @property
    def derivable(self) -> int:
        """The number of architectures whose PSNR phase begins with the ancestor's network."""
        return sum(bool(phase.run.derived_from) for phase in self.phases)

    @property
    def digests(self) -> dict[str, str]:
        """Role -> digest of its images."""
        return {role: images.digest for role, images in self.images.items()}

    def val_evaluator(self) -> Evaluator:
        """Return the evaluator on val, by the protocol of every row of the sweep before the test."""
        data, scale = self.request.config.data, self.request.config.generator.scale
        images, metrics = self.images["val"], self.request.metrics
        return open_evaluator(images, data, scale, metrics, limit=data.eval_images)[0]

    @property
    def milestones(self) -> list[int]:
        """Steps of the last phase that are the rungs of early stopping."""
        run, space = self.request.config.run, self.space
        if self.request.stopping in ("none", "pbt"):
            return []
        every = run.eval_every(run.last_phase)
        return rungs(run.steps(run.last_phase), every, space.reduction, space.rungs, run.ema_decay)

    @property
    def generations(self) -> list[int]:
        """GAN steps that end the segments of population based training; empty for another stopping rule."""
        run = self.request.config.run
        if self.request.stopping != "pbt":
            return []
        return generations(run.gan_steps, run.eval_every_steps, run.ema_decay)

    @property
    def confirmed_architectures(self) -> int:
        """Architectures that are confirmed at most, each with PSNR phases; 0 unless there are both phases."""
        r, run = self.request, self.request.config.run
        return min(r.confirm_top, len(self.architectures)) if run.psnr_steps and run.gan_steps else 0

    @property
    def tested_networks(self) -> int:
        """Networks of the test stage at most: each seed of a confirmed design, and the longer PSNR phases."""
        return self.request.confirm_top * self.request.confirm_seeds + self.confirmed_architectures

    @property
    def confirm_warm_runs(self) -> int:
        """PSNR phases of the confirmation at most: per architecture one of each seed, and a longer one."""
        return self.confirmed_architectures * (self.request.confirm_seeds + 1)

    def stages(self) -> list[StagePlan]:
        """Return the expected work of each stage."""
        r, run = self.request, self.request.config.run
        steps = run.steps(run.last_phase)
        length = (0, steps) if run.gan_steps else (steps, 0)
        # each rung lets 1/reduction of its trials continue
        reached, share, previous = 1.0, 0.0, 0
        for milestone in self.milestones:
            share += reached * (milestone - previous) / steps
            reached, previous = reached / self.space.reduction, milestone
        share += reached * (1 - previous / max(1, steps))
        parts = max(1, len(self.generations))
        warm_steps = sum(self.phases[i].run.psnr_steps for i in self.missing) if run.gan_steps else 0
        return [
            StagePlan("warm", len(self.missing), round(warm_steps / max(1, len(self.missing))), 0),
            # each segment of a member is a trial
            StagePlan("screen", r.trials * parts, *length, share / parts),
            StagePlan("repeat", repeat_runs(r.repeat_top), *length),
            StagePlan("confirm-warm", self.confirm_warm_runs, run.psnr_steps, 0),
            StagePlan("confirm", r.confirm_top * r.confirm_seeds, *length),
        ]

    @property
    def heading(self) -> str:
        """A line that names recipe, space, crops and objectives."""
        c = self.request.config
        scale = c.generator.scale
        crops = f"x{scale}, {c.data.crop_px} px crops" if scale > 1 else f"{c.data.crop_px} px crops"
        if c.data.eval_crop_px:
            crops += f", {c.data.eval_crop_px} px of each image measured"
        decide = f"{c.objective.distortion} and {c.objective.perceptual} decide"
        if self.request.second_opinion:
            decide += f", {self.request.second_opinion} gives a second opinion on test"
        elif c.recipe.startswith("photos") and c.objective.perceptual == "swd" and c.data.pixels.is_rgb8:
            told = "upsweep weights vgg16 lpips_alex dists brings LPIPS, DISTS and a VGG loss"
            decide += f" as no weights are installed; {told}"
        return f"recipe   {c.recipe} over space {self.space.name}: {crops}; {decide}"

    def describe(self) -> list[str]:
        """Return the plan in words, for --dry-run and the start of a sweep."""
        r = self.request
        total = sum(p.runs * (p.psnr_steps + p.gan_steps * p.share) for p in self.stages())
        return [
            self._warm_in_words(),
            self._screen_in_words(),
            self._repeat_in_words(),
            f"confirm  {count(r.confirm_top, 'design')} x {count(r.confirm_seeds, 'seed')}, "
            f"{self._confirm_warm_in_words()}",
            f"test     {count(self.tested_networks, 'network')} on "
            f"{count(len(self.images['test']), 'image')} that nothing before has seen",
            f"in all   about {total:,.0f} steps of {r.config.data.batch_size} crops"
            + (f", shared by {r.ranks} ranks" if r.ranks > 1 else ""),
            *([f"budget   no new designs after {r.limits}; the rest comes on top"] if r.limits else []),
            *self._images_in_words(),
        ]

    def _repeat_in_words(self) -> str:
        top = self.request.repeat_top
        half = -(-top // 2)
        if top < 2:
            return "repeat   the best design under three other seeds" if top else "repeat   none"
        again = f"the best {half}" if half > 1 else "the best"
        return (
            f"repeat   the best {top} under another seed, then {again} twice more ({repeat_runs(top)} runs)"
        )

    def _confirm_warm_in_words(self) -> str:
        runs = self.confirm_warm_runs
        if not runs:
            return "without PSNR phases of their own"
        return f"with at most {count(runs, 'PSNR phase')} of their own, a longer one for comparison included"

    def _images_in_words(self) -> list[str]:
        """Return a line per data set: the images of each split, and what its import left out."""
        lines = []
        for location, manifest in {str(i.location): i.manifest for i in self.images.values()}.items():
            others = set(manifest.notes.get("passed_over", {}).values())
            left_out = []
            if manifest.rejected:
                left_out = [f"{count(manifest.rejected, 'image')} left out, see {location}/rejected.csv"]
            held = [f"{manifest.splits[role].count} {role}" for role in ROLES if role in manifest.splits]
            words = [", ".join(held), *(f"passed over {text}" for text in sorted(others)), *left_out]
            if any(words):  # a set of one split, such as a benchmark's, is counted where it is used
                lines.append(f"images   {manifest.name}: {'; '.join(filter(None, words))}")
            if "gate" in manifest.splits and not manifest.splits["gate"].count:
                lines.append(f"gate     {manifest.name} has no image for it: a promotion needs a larger set")
        return lines + self._gate_in_words()

    @property
    def gate_images(self) -> int | None:
        """Gate images that were cut from the training set; None if others are named or nothing was cut."""
        splits = self.images["train"].manifest.splits
        return None if self.request.config.data.gate or "gate" not in splits else splits["gate"].count

    def _gate_in_words(self) -> list[str]:
        """Return a line if the gate images of the training set are too few for any promotion."""
        images = self.gate_images
        if not images or images >= DECIDABLE:
            return []
        return [
            f"gate     {self.images['train'].manifest.name} has {images} of the {DECIDABLE} images that a "
            f"promotion needs. It can be given others then, by upsweep promote {self.request.name} --gate "
            f"FOLDER with {DECIDABLE} or more images of your kind; a set of {least_for_gate()} or more "
            f"photographs has enough"
        ]

    def _warm_in_words(self) -> str:
        run, kept = self.request.config.run, len(self.warm_keys) - len(self.missing)
        if not self.warm_keys:
            beaten = "bicubic" if self.request.config.generator.scale > 1 else "the input"
            return f"warm     none: networks start from random weights, and {beaten} is what to beat"
        if not (run.psnr_steps and run.gan_steps):
            source = self.request.start or run.start_from
            return f"warm     {source} is the warm start of every trial, and what to beat"
        whole, derived = len(self.missing) - len(self.derived), [self.phases[i].run for i in self.derived]
        said = f"warm     {whole} PSNR run{'s' * (whole != 1)} of {run.psnr_steps} steps"
        if derived:
            said += f" and {len(derived)} of {derived[0].psnr_steps} that begin with its network"
        said += ", one per architecture"
        return said + (f" ({kept} more are there already)" if kept else "")

    def _screen_in_words(self) -> str:
        r, run = self.request, self.request.config.run
        steps, start = run.steps(run.last_phase), " from a shared warm start" if self.warm_keys else ""
        if r.stopping == "pbt":
            changes = ", ".join(map(str, self.generations[:-1]))
            return (
                f"screen   {count(r.trials, 'member')} of {steps} GAN steps{start}; the last "
                f"quarter takes over from the first at {changes}"
            )
        said = f"screen   {count(r.trials, 'trial')} of up to {steps} {run.last_phase.upper()} steps{start}"
        return said + "".join(f"; one in {self.space.reduction} goes on at step {m}" for m in self.milestones)


def make_plan(request: Request, space: Space, resume: bool = False) -> SweepPlan:
    """Return the plan of a request after every check.

    Raises:
        UserError: the sweep cannot be run; the disk is as it was.
    """
    space = replace(space, fidelity=space.fidelity or not request.config.run.gan_steps)
    space = space.beginning_with(request.config)
    request = request.filled(space)
    require(list(request.metrics), "objective.perceptual")
    check_objective(request.config)
    check_generations(request)
    space.check(request.config)
    storage = Storage(request.storage)
    if not resume:
        check_name_is_free(storage, request.name)
    storage.check_writable()
    with undo_on_error(request):
        server.probe(request.tracking_uri)
        images = open_every_role(request)
        fitting = fit_to_images(request.config, images["train"], request.planned.split())
        request = replace(request, config=fitting)
        request = replace(request, config=with_pixels(request.config, images["train"].format))
        if request.config.run.gan_steps and not resume:
            request = replace(request, second_opinion=second_opinion(request.config))
        check_training(request, space, images)
    plan = SweepPlan(request, space, storage, images)
    plan.find_architectures(resume)
    return plan
