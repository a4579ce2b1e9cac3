"""The training loop: fetch, step, evaluate, report, save. The mathematics of a step is in train_step.py."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from datasets.errors import UserError
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.content_cache import ContentCache
from trainers.cuda_graph import accelerated
from trainers.distributed import ALONE, Ranks
from trainers.evaluate import Evaluator
from trainers.lr_schedule import lr_factor
from trainers.models.batch_norm import recalibrate_batch_norm
from trainers.monitor import Monitor
from trainers.objectives import running_front
from trainers.optimizers import set_rate
from trainers.state import Diverged, History, Stopped, TrainState, new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep


class Batches(Protocol):
    """An endless stream of batches, each a pure function of its index; datasets.loader.TrainLoader is one."""

    def batches(self, start_step: int = 0) -> Iterator[Any]:
        """Yield the batches from index `start_step` on."""

    def with_degradation(self, text: str) -> "Batches":
        """Return a stream of the same images whose inputs are made by the train_degradation `text`."""


class TrainingRun:
    """One training run on one device, with its data, its evaluator and its monitor."""

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
        compared: str = "gan",
    ) -> None:
        """`stop` is called after each step; on True the run saves a checkpoint and raises `Stopped`.

        `compared` is the phase whose networks are compared: it begins with the measurement of the network
        that it starts from, and its Pareto front is kept.
        """
        self.compared = compared
        self.config, self.loader, self.evaluator, self.monitor = config, loader, evaluator, monitor
        self.device, self.stop, self.ranks = device, stop, ranks

    def train(self) -> tuple[TrainState, History]:
        """Run both phases, resuming from the monitor's checkpoint if there is one.

        Raises:
            Diverged: a loss, gradient or output is not finite.
            Stopped: `stop` returned True; a checkpoint has been saved.
        """
        folder = self.monitor.restore()
        if folder is None:
            state, history = self.initial_state(), History()
        else:
            state, history = self.resume(folder)
        if state.phase == "psnr":
            self.run_phase(state, history)
            if not self.config.run.gan_steps:
                return state, history
            state, history = self.new_phase("gan", checkpoint.weights_of(state.ema)), History()
        self.run_phase(state, history)
        return state, history

    def initial_state(self, phase: str = "") -> TrainState:
        """Return the first phase, or `phase`, at step 0: weights from run.seed, or those of run.start_from
        that fit."""
        if self.config.run.derived_from:
            raise UserError("run.derived_from is set by sweeps: leave it out, or use run.start_from")
        phase = phase or ("psnr" if self.config.run.psnr_steps else "gan")
        source = self.config.run.start_from
        if not source:
            return self.new_phase(phase)
        seeded = self.new_phase("psnr").generator
        state = self.new_phase(phase, checkpoint.fitting(Path(source), seeded))
        if self.config.run.start_keeps_all:
            checkpoint.take_over(Path(source), state, self.device)
        return state

    def new_phase(self, phase: str, weights: dict[str, Tensor] | None = None) -> TrainState:
        """Return `phase` at step 0 with the given generator weights, else with weights from run.seed."""
        return new_state(self.config, phase, self.device, weights)

    def resume(self, folder: Path) -> tuple[TrainState, History]:
        """Return the state and history saved in `folder`."""
        state, extra = checkpoint.load(folder, self.config, self.device)
        return state, History(**extra["progress"])

    def run_phase(self, state: TrainState, history: History, until: int | None = None) -> None:
        """Run the phase of `state` from its current step to its end, or to step `until` of its full schedule.

        Raises:
            Diverged, Stopped: as for `train`.
        """
        run, gan = self.config.run, state.phase == "gan"
        total, every = run.steps(state.phase), run.eval_every(state.phase)
        # the GAN phase takes the batches after those of the PSNR phase
        offset = run.psnr_steps if gan else 0
        features = build_features(self.config, self.device) if gan else None
        step = TrainStep(self.config, state, features, self.ranks)
        advance = accelerated(step)
        cache = ContentCache(self.loader, step.losses.content_of) if features and run.cache_content else None
        begins_trained = state.phase == self.compared and (gan or run.start_from)
        if state.step == 0 and begins_trained and not history.curve:
            self.evaluate(state, history)  # the warm start itself
            self.monitor.report(state, history)
        psnr_degradation = self.config.data.psnr_degradation
        own = not gan and psnr_degradation
        loader = self.loader.with_degradation(psnr_degradation) if own else self.loader
        batches = loader.batches(offset + state.step)
        end = total if until is None else min(until, total)
        while state.step < end:
            began = time.perf_counter()
            batch = next(batches)
            history.wait_seconds += time.perf_counter() - began
            self._set_rates(state, state.step / total)
            target = cache.target(offset + state.step, batch.hr) if cache else None
            advance(batch.hr, batch.lr_image, target)
            state.step += 1
            last = state.step == end
            if last or state.step % run.log_every_steps == 0:
                step.check()  # one wait for the device per log
                self.monitor.log(state.phase, state.step, self._log_values(step.read(), history))
            history.seconds += time.perf_counter() - began
            due = last or state.step % every == 0
            stop = self._must_stop(state.step)
            save = last or stop or state.step % run.checkpoint_every_steps == 0
            if due or save:
                step.check()
            if due:
                self.evaluate(state, history)
            if save:
                self.monitor.save(state, history)
            if due:  # after saving: a report may end the run, and names the checkpoint to resume from
                self.monitor.report(state, history)
            if stop and not last:
                raise Stopped(state.phase, state.step)

    def _must_stop(self, step: int) -> bool:
        """Return True if any rank must stop; ranks agree at log steps only, since each waits for all."""
        if self.ranks.world == 1:
            return self.stop()
        return step % self.config.run.log_every_steps == 0 and self.ranks.any(self.stop())

    def evaluate(self, state: TrainState, history: History) -> None:
        """Measure the averaged weights on val; save them if they are on the run's Pareto front.

        Raises:
            Diverged: the output is not finite.
        """
        self.refresh_ema_buffers(state.ema, state.generator)
        try:
            values = self.evaluator.measure(state.ema).summary
        except FloatingPointError:
            raise Diverged(state.step, "output") from None
        history.curve.append({"step": state.step, **values})
        if state.phase == self.compared:
            self._keep_front(state, history)

    def refresh_ema_buffers(self, ema: nn.Module, live: nn.Module) -> None:
        """Compute BN statistics of the averaged weights from fixed batches, or copy the live buffers."""
        count = self.config.run.bn_recalibration_batches
        if self.config.generator.norm == "batch" and count:
            recalibrate_batch_norm(ema, (b.lr_image for b in islice(self.loader.batches(0), count)))
        else:
            for averaged, current in zip(ema.buffers(), live.buffers(), strict=True):
                averaged.copy_(current)

    def _keep_front(self, state: TrainState, history: History) -> None:
        front = running_front(history.curve, self.config.objective)
        for dropped in set(history.candidates) - set(front):
            self.monitor.drop_candidate(dropped)
        history.candidates = front
        if state.step in front:
            self.monitor.keep_candidate(state, history)

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

    def _log_values(self, values: dict[str, float], history: History) -> dict[str, float]:
        """Return `values` with gradient norms as shares of their sum, and the share of time spent waiting."""
        norms = {k: v for k, v in values.items() if k.startswith("gradient_norm/")}
        total = sum(norms.values()) or 1.0
        shares = {k.replace("gradient_norm/", "gradient_share/"): v / total for k, v in norms.items()}
        wait = history.wait_seconds / max(history.seconds, 1e-9)
        return {k: v for k, v in values.items() if k not in norms} | shares | {"data_wait_share": wait}
