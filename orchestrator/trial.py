"""One trial on one device (or a share of one): base config + sampled values -> trainers.loop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ray import tune
from torch import nn

from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.loader import ImageSet, Pair, TrainLoader, eval_pairs, eval_protocol, open_images
from orchestrator import spot, warmstart
from orchestrator.course import Course
from orchestrator.space import settings_of
from orchestrator.storage import Storage
from orchestrator.tune_monitor import TuneMonitor
from trainers import checkpoint
from trainers.config import TrainConfig, from_flat, override
from trainers.device import pick_device
from trainers.evaluate import Evaluator
from trainers.loop import Run
from trainers.state import Diverged, Progress, Stopped, TrainState

USUAL = Course()


@dataclass(frozen=True)
class Job:
    """What every trial of a stage shares, small enough to travel with each of them."""

    sweep: str
    stage: str
    storage: str
    """Root of all sweeps."""
    work_dir: str
    """Where imported images and decoded copies live on a node."""
    base: dict[str, Any]
    """The flat config that a trial's own values replace."""
    digests: dict[str, str]
    """Digest of the images of each role, as the driver saw them."""
    designs: tuple[dict[str, Any], ...] = ()
    """For stages that run a list: the dotted values of each, with its trial_id."""
    threads: int = 0
    """CPU threads of a trial; 0 leaves torch's choice."""
    metrics: tuple[str, ...] = field(default=())
    """What is measured on val: both objectives first."""


class Inputs(NamedTuple):
    """What a run reads and is measured by."""

    loader: TrainLoader
    evaluator: Evaluator
    pairs: list[Pair]


def run_trial(params: Mapping[str, Any], job: Job) -> None:
    """The function that Ray Tune runs."""
    values = dict(job.designs[params["index"]]) if job.designs else dict(params)
    trial_id = values.pop("trial_id", None) or f"{job.stage}-{tune.get_context().get_trial_id()}"
    torch.set_num_threads(job.threads or torch.get_num_threads())
    config, course = override(from_flat(job.base), settings_of(values)), Course.of(values.get("course"))
    Trial(trial_id, config, job, course).run()


class Trial:
    """One design and seed in one stage."""

    def __init__(self, trial_id: str, config: TrainConfig, job: Job, course: Course = USUAL) -> None:
        self.trial_id, self.config, self.job, self.course = trial_id, config, job, course
        self.storage = Storage(job.storage)
        self.scratch = Path(job.work_dir) / "scratch" / job.sweep / trial_id
        self.device = pick_device(config.run.device)
        digests = tuple(sorted(job.digests.items()))
        inputs = open_inputs(
            config.data, config.generator.scale, job.metrics, job.work_dir, digests, self.device
        )
        self.loader, self.evaluator, self.pairs = inputs
        self.monitor = TuneMonitor(self)

    def run(self) -> None:
        """Warm: the PSNR phase, published. Screen: the GAN phase alone. Confirm: both."""
        run = self._run()
        try:
            state, progress = self._begin(run)
            if state.phase == "psnr":
                run.phase(state, progress)
            if self.job.stage == "confirm" and state.phase == "psnr":
                self.storage.publish(self._save_warm(state, progress), self.warm_name)
                state, progress = run.start("gan", checkpoint.weights_of(state.ema)), Progress()
            if state.phase == "gan":
                self._gan(state, progress)
        except Diverged as diverged:
            self.monitor.report_diverged(diverged, state, progress)
            return
        except UserError as error:
            self.monitor.report_failed(str(error))
            return
        except Stopped:
            self.monitor.report_yielded(state, progress)
            raise spot.Yielded from None
        if self.job.stage == "warm":
            saved = self.storage.fetch(self.monitor.pointer, self.scratch)
            warmstart.publish(self.storage, self.warm_key, saved, progress.latest())
        self.monitor.report_done(state, progress)

    def _run(self) -> Run:
        return Run(self.config, self.loader, self.evaluator, self.monitor, self.device, stop=spot.flag())

    def _gan(self, state: TrainState, progress: Progress) -> None:
        """The GAN phase through the parts of its course, from where `state` stands."""
        for settings, until in self.course.left(state.step, self.config.run.gan_steps):
            self.config = override(self.config, settings)
            self._run().phase(state, progress, until)

    def name(self, part: str) -> str:
        """The storage name of something of this trial."""
        return f"{self.job.sweep}/trials/{self.trial_id}/{part}"

    @cached_property
    def warm_key(self) -> str:
        """The key of the PSNR phase that this trial trains or starts from."""
        return warmstart.key(self.config, self.job.digests["train"])

    @property
    def warm_name(self) -> str:
        """Where the generator that the GAN phase started from lies."""
        if self.job.stage == "confirm":
            return self.name("warm")  # confirmation shares nothing across seeds
        return warmstart.published(self.storage, self.warm_key)

    @cached_property
    def warm_generator(self) -> nn.Module:
        """That generator, for pictures."""
        folder = self.storage.fetch(self.warm_name, self.scratch)
        return checkpoint.load_generator(folder)[0].to(self.device)

    def _begin(self, run: Run) -> tuple[TrainState, Progress]:
        folder = self.monitor.restore()
        if folder is not None:
            return run.resume(folder)
        if self.course.parent:
            folder = self.storage.fetch(self.storage.name_of(self.course.parent), self.scratch)
            self.monitor.take_over(folder)
            return run.resume(folder)
        if self.job.stage != "screen":
            return run.first(), Progress()  # run.start_from counts, as it does without a sweep
        if not warmstart.ready(self.storage, self.warm_key):
            raise UserError(f"the PSNR phase that it starts from (warm-{self.warm_key}) did not finish")
        folder = self.storage.fetch(self.warm_name, self.scratch)
        return run.start("gan", checkpoint.generator_weights(folder)), Progress()

    def _save_warm(self, state: TrainState, progress: Progress) -> Path:
        extra = {"step": state.step, "val": progress.latest()}
        folder = self.storage.local_or(self.warm_name, self.scratch)
        return checkpoint.save_generator(folder, self.config, state.ema, extra)


@lru_cache(maxsize=4)
def open_inputs(
    data: DataConfig,
    scale: int,
    metrics: tuple[str, ...],
    work_dir: str,
    digests: tuple[tuple[str, str], ...],
    device: torch.device,
) -> Inputs:
    """Data and measure of a run; kept for the next trial of the same worker, since neither changes.

    Refuses images other than those the driver saw.
    """
    images = {role: open_role(data, role, work_dir) for role in ("train", "val")}
    for role, digest in digests:
        if role in images and images[role].digest != digest:
            raise RuntimeError(f"data.{role} holds other images on this node than on the driver's")
    pairs = eval_pairs(images["val"], data, scale, limit=data.eval_images)
    protocol = eval_protocol(images["val"], data)
    return Inputs(
        TrainLoader(images["train"], data, scale, device=device),
        Evaluator(pairs, metrics, scale=scale, device=device, protocol=protocol),
        pairs,
    )


def open_role(data: DataConfig, role: str, work_dir: str | Path) -> ImageSet:
    """The images of one role, imported and decoded under `work_dir` where that was not done before."""
    return open_images(data.source(role), role, work_dir=Path(work_dir), data=data)
