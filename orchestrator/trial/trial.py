"""One trial: base config + sampled values -> trainers.training, on one device or as one rank of several."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from datasets.errors import UserError
from orchestrator.storage import Storage
from orchestrator.trial import preemption, warm_starts
from orchestrator.trial.inputs import open_inputs
from orchestrator.trial.lineage import Lineage
from orchestrator.trial.monitor import TrialMonitor
from orchestrator.trial.rank_monitor import RankMonitor
from orchestrator.trial.reporter import TuneReporter
from orchestrator.trial.spec import RankContext, TrialSpec, identity, scratch_of
from trainers import checkpoint, warm_start_key
from trainers.config import TrainConfig, override
from trainers.device import pick_device
from trainers.distributed import ALONE
from trainers.state import Diverged, History, Stopped, TrainState
from trainers.training import TrainingRun

USUAL = Lineage()


def run_trial(params: Mapping[str, Any], job: TrialSpec) -> None:
    """The function that Ray Tune runs."""
    trial_id, config, course = identity(params, job)
    torch.set_num_threads(job.threads or torch.get_num_threads())
    Trial(trial_id, config, job, course).run()


class Trial:
    """One design and seed in one stage; by itself, or as the rank that sits on `seat`."""

    def __init__(
        self,
        trial_id: str,
        config: TrainConfig,
        job: TrialSpec,
        course: Lineage = USUAL,
        seat: RankContext | None = None,
    ) -> None:
        self.trial_id, self.config, self.job, self.course = trial_id, config, job, course
        self.storage = Storage(job.storage)
        self.scratch = scratch_of(job, trial_id, seat.ranks.rank if seat else 0)
        seat = seat or RankContext(ALONE, pick_device(config.run.device), TuneReporter(self.scratch))
        self.ranks, self.device, self.voice = seat.ranks, seat.device, seat.voice
        digests = tuple(sorted(job.digests.items()))
        inputs = open_inputs(
            config.data,
            config.generator.scale,
            job.metrics,
            job.work_dir,
            digests,
            self.device,
            (self.ranks.rank, self.ranks.world),
        )
        self.loader, self.evaluator, self.pairs = inputs
        self.monitor = TrialMonitor(self) if self.leads else RankMonitor(self)

    def run(self) -> None:
        """Warm: the PSNR phase, published. Screen: the GAN phase alone. Confirm: both."""
        run = self._run()
        try:
            state, progress = self._begin(run)
            if state.phase == "psnr":
                run.phase(state, progress)
            if self.job.stage == "confirm" and state.phase == "psnr":
                self._keep_warm(state, progress)
                state, progress = run.start("gan", checkpoint.weights_of(state.ema)), History()
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
            raise preemption.Preempted from None
        if self.job.stage == "warm" and self.leads:
            saved = self.storage.fetch(self.monitor.pointer, self.scratch)
            warm_starts.publish(self.storage, self.warm_key, saved, progress.latest())
        self.monitor.report_done(state, progress)

    def _run(self) -> TrainingRun:
        parts = self.config, self.loader, self.evaluator, self.monitor, self.device
        return TrainingRun(*parts, stop=preemption.preemption_flag(), ranks=self.ranks)

    def _gan(self, state: TrainState, progress: History) -> None:
        """The GAN phase through the parts of its course, from where `state` stands."""
        for settings, until in self.course.left(state.step, self.config.run.gan_steps):
            self.config = override(self.config, settings)
            self._run().phase(state, progress, until)

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks for the trial."""
        return self.ranks.rank == 0

    def fetch(self, pointer: str) -> Path:
        """A local folder with the checkpoint of that name; one whose manifest is missing is refused."""
        saved = self.storage.fetch(pointer, self.scratch)
        checkpoint.verify(saved)
        return saved

    def name(self, part: str) -> str:
        """The storage name of something of this trial."""
        return f"{self.job.sweep}/trials/{self.trial_id}/{part}"

    @cached_property
    def warm_key(self) -> str:
        """The key of the PSNR phase that this trial trains or starts from."""
        return warm_start_key.warm_start_key(self.config, self.job.digests["train"])

    @property
    def warm_name(self) -> str:
        """Where the generator that the GAN phase started from lies."""
        if self.job.stage == "confirm":
            return self.name("warm")  # confirmation shares nothing across seeds
        return warm_starts.published(self.storage, self.warm_key)

    @cached_property
    def warm_generator(self) -> nn.Module:
        """That generator, for pictures."""
        folder = self.storage.fetch(self.warm_name, self.scratch)
        return checkpoint.load_generator(folder)[0].to(self.device)

    def _begin(self, run: TrainingRun) -> tuple[TrainState, History]:
        folder = self.monitor.restore()
        if folder is not None:
            return run.resume(folder)
        if self.course.parent:
            folder = self.storage.fetch(self.storage.name_of(self.course.parent), self.scratch)
            self.monitor.take_over(folder)
            return run.resume(folder)
        if self.job.stage != "screen":
            return run.first(), History()  # run.start_from counts, as it does without a sweep
        if not warm_starts.ready(self.storage, self.warm_key):
            raise UserError(f"the PSNR phase that it starts from (warm-{self.warm_key}) did not finish")
        folder = self.storage.fetch(self.warm_name, self.scratch)
        return run.start("gan", checkpoint.generator_weights(folder)), History()

    def _keep_warm(self, state: TrainState, progress: History) -> None:
        """What the PSNR phase of a confirmation ended with."""
        if self.leads:
            extra = {"step": state.step, "val": progress.latest()}
            folder = self.storage.staging_dir(self.warm_name, self.scratch)
            saved = checkpoint.save_generator(folder, self.config, state.ema, extra)
            self.storage.publish(saved, self.warm_name)
