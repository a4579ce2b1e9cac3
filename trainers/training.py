"""Order and cadence of a run: fetch, step, evaluate, report, save. The mathematics is in steps.py."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.content_cache import ContentCache
from trainers.distributed import ALONE, Ranks
from trainers.evaluate import Evaluator
from trainers.lr_schedule import lr_factor
from trainers.models.batch_norm import recalibrate_batch_norm
from trainers.monitor import Monitor
from trainers.objectives import running_front
from trainers.state import Diverged, History, Stopped, TrainState, new_state, set_rate
from trainers.train_step import TrainStep, build_features


class Batches(Protocol):
    """What the loop needs of a loader: an endless stream that is a pure function of the batch index."""

    def batches(self, start_step: int = 0) -> Iterator[Any]:
        """Batches from index `start_step` on."""


class TrainingRun:
    """One training run on one device: its data, its measure and its monitor."""

    def __init__(
        self,
        config: TrainConfig,
        loader: Batches,
        evaluator: Evaluator,
        monitor: Monitor,
        device: torch.device,
        *,
        stop: Callable[[], bool] = lambda: False,
        ranks: Ranks = ALONE,
    ) -> None:
        """`stop` is asked after each step: a run that it ends saves itself and raises `Stopped`."""
        self.config, self.loader, self.evaluator, self.monitor = config, loader, evaluator, monitor
        self.device, self.stop, self.ranks = device, stop, ranks

    def train(self) -> tuple[TrainState, History]:
        """Both phases, resumed from the monitor's checkpoint where it has one."""
        folder = self.monitor.restore()
        if folder is None:
            state, progress = self.initial_state(), History()
        else:
            state, progress = self.resume(folder)
        if state.phase == "psnr":
            self.run_phase(state, progress)
            if not self.config.run.gan_steps:
                return state, progress
            state, progress = self.new_phase("gan", checkpoint.weights_of(state.ema)), History()
        self.run_phase(state, progress)
        return state, progress

    def initial_state(self) -> TrainState:
        """The first phase at step 0: from run.seed, or from what fits of run.start_from."""
        phase, source = "psnr" if self.config.run.psnr_steps else "gan", self.config.run.start_from
        if not source:
            return self.new_phase(phase)
        seeded = self.new_phase("psnr").generator
        state = self.new_phase(phase, checkpoint.fitting(Path(source), seeded))
        if self.config.run.start_keeps_all:
            checkpoint.take_over(Path(source), state, self.device)
        return state

    def new_phase(self, phase: str, weights: dict[str, Tensor] | None = None) -> TrainState:
        """A phase at step 0; the GAN phase starts from the averaged weights of the PSNR phase."""
        return new_state(self.config, phase, self.device, weights)

    def resume(self, folder: Any) -> tuple[TrainState, History]:
        """The state and progress saved in `folder`."""
        state, extra = checkpoint.load(folder, self.config, self.device)
        return state, History(**extra["progress"])

    def run_phase(self, state: TrainState, progress: History, until: int | None = None) -> None:
        """Run `state`'s phase from where it stands to its end, or to step `until` of its full schedule.
        Raises `Diverged` or `Stopped`."""
        run, gan = self.config.run, state.phase == "gan"
        total = run.gan_steps if gan else run.psnr_steps
        offset = run.psnr_steps if gan else 0  # the GAN phase goes on where the PSNR phase's data ended
        every = run.eval_every_steps if gan else run.psnr_eval_every_steps
        features = build_features(self.config, self.device) if gan else None
        step = TrainStep(self.config, state, features, self.ranks)
        cache = ContentCache(self.loader, step.content_of) if features and run.cache_content else None
        if state.step == 0 and gan and not progress.curve:
            self.evaluate(state, progress)  # the warm start itself
            self.monitor.report(state, progress)
        batches = self.loader.batches(offset + state.step)
        end = total if until is None else min(until, total)
        while state.step < end:
            began = time.perf_counter()
            batch = next(batches)
            progress.wait_seconds += time.perf_counter() - began
            self._set_rates(state, state.step / total)
            target = cache.target(offset + state.step, batch.hr) if cache else None
            step(batch.hr, batch.lr_image, target)
            state.step += 1
            last = state.step == end
            if last or state.step % run.log_every_steps == 0:
                step.check()  # one wait for the device per log
                self.monitor.log(state.phase, state.step, self._shares(step.read(), progress))
            progress.seconds += time.perf_counter() - began
            due = last or state.step % every == 0
            stop = self._asked_to_stop(state.step)
            save = last or stop or state.step % run.checkpoint_every_steps == 0
            if due or save:
                step.check()
            if due:
                self.evaluate(state, progress)
            if save:
                self.monitor.save(state, progress)
            if due:  # after saving: a report may end the run, and carries where to resume
                self.monitor.report(state, progress)
            if stop and not last:
                raise Stopped(state.phase, state.step)

    def _asked_to_stop(self, step: int) -> bool:
        """Several ranks agree at log steps only: each agreement waits for all of them."""
        if self.ranks.world == 1:
            return self.stop()
        return step % self.config.run.log_every_steps == 0 and self.ranks.any(self.stop())

    def evaluate(self, state: TrainState, progress: History) -> None:
        """Measure the averaged weights on val and keep them where they lie on the run's own front."""
        self.refresh_ema_buffers(state.ema, state.generator)
        try:
            values = self.evaluator.measure(state.ema).summary
        except FloatingPointError:
            raise Diverged(state.step, "output") from None
        progress.curve.append({"step": state.step, **values})
        if state.phase == "gan":
            self._keep_front(state, progress)

    def refresh_ema_buffers(self, ema: nn.Module, live: nn.Module) -> None:
        """Give the averaged weights BN statistics of their own, from a fixed set of training batches."""
        count = self.config.run.bn_recalibration_batches
        if self.config.generator.norm == "batch" and count:
            recalibrate_batch_norm(ema, (b.lr_image for b in islice(self.loader.batches(0), count)))
        else:
            for own, other in zip(ema.buffers(), live.buffers(), strict=True):
                own.copy_(other)

    def _keep_front(self, state: TrainState, progress: History) -> None:
        front = running_front(progress.curve, self.config.objective)
        for dropped in set(progress.candidates) - set(front):
            self.monitor.drop_candidate(dropped)
        progress.candidates = front
        if state.step in front:
            self.monitor.keep_candidate(state, progress)

    def _set_rates(self, state: TrainState, fraction: float) -> None:
        optim, gan = self.config.optim, state.phase == "gan"
        scale = lr_factor(
            optim.gan_schedule if gan else optim.psnr_schedule,
            fraction,
            optim.milestones,
            optim.gamma,
            period=optim.period,
            warm_up=optim.warm_up,
        )
        set_rate(state.opt_g, scale * (optim.lr_g if gan else optim.lr_psnr))
        if state.opt_d is not None:
            set_rate(state.opt_d, scale * optim.lr_d)

    def _shares(self, values: dict[str, float], progress: History) -> dict[str, float]:
        """Pulls as shares of their sum: how much each term moves the generator's output."""
        pulls = {k: v for k, v in values.items() if k.startswith("pull/")}
        total = sum(pulls.values()) or 1.0
        shares = {k.replace("pull/", "gradient_share/"): v / total for k, v in pulls.items()}
        wait = progress.wait_seconds / max(progress.seconds, 1e-9)
        return {k: v for k, v in values.items() if k not in pulls} | shares | {"data_wait_share": wait}
