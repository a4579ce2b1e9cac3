"""One trial: its warm start, its training through the segments of its lineage, and its outcome."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from datasets.errors import DiskError, UserError, disk_trouble
from orchestrator.cluster.worker import memory_advice
from orchestrator.results.sweep_folder import checkpoint_url
from orchestrator.results.trial_report import Status, TrialReport
from orchestrator.trial import preemption, warm_starts
from orchestrator.trial.compile_cache import shared_kernels
from orchestrator.trial.context import TrialContext
from orchestrator.trial.monitor import RankMonitor, TrialMonitor
from orchestrator.trial.reporter import Reporter, TuneReporter
from orchestrator.trial.spec import TrialSpec, identity, scratch_of
from trainers import checkpoint
from trainers.config import TrainConfig, override
from trainers.device import DeviceError, is_out_of_memory, release_memory
from trainers.models.derive import derive
from trainers.numerics import use_threads
from trainers.state import Diverged, History, Stopped, TrainState
from trainers.training import TrainingRun


def run_trial(params: Mapping[str, Any], spec: TrialSpec) -> None:
    """Run one trial in this process; the function that Ray Tune calls."""
    trial_id, config, lineage = identity(params, spec)
    use_threads(spec.threads or torch.get_num_threads())
    reporter = TuneReporter(scratch_of(spec, trial_id))
    run_opened(lambda: TrialContext.open(trial_id, config, spec, lineage), config, spec, reporter)


def run_opened(
    open_context: Callable[[], TrialContext], config: TrainConfig, spec: TrialSpec, reporter: Reporter
) -> None:
    """Run the trial whose context `open_context` returns; report it as failed if that raises UserError."""
    try:
        context = open_context()
    except Exception as error:
        trouble = disk_trouble(error)
        if not trouble and not isinstance(error, UserError):
            raise
        phase = "psnr" if spec.stage == "warm" else config.run.last_phase
        report = TrialReport(
            status=Status.FAILED,
            phase=phase,
            max_steps=config.run.steps(phase),
            attempt="not begun",
            reason=trouble or str(error),
            machine_fault=bool(trouble) or isinstance(error, DeviceError | DiskError),
        )
        reporter.report(report.to_result(), "")
        return
    if config.run.compile:  # torch's own choice is every core, for each of the trials of a machine
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(spec.compile_threads))
    device, leads = context.rank.device, context.rank.leads
    try:
        with shared_kernels(context.storage, config, device, leads=leads):
            Trial(context).run()
    finally:
        release_memory(device)


class Trial:
    """One design and seed in one stage, on one rank."""

    def __init__(self, context: TrialContext) -> None:
        self.context, self.stage = context, context.spec.stage
        self.monitor = TrialMonitor(context) if context.rank.leads else RankMonitor(context)

    def run(self) -> None:
        """Run the trial: warm, the PSNR phase, published; any other stage, the last phase from such a start.

        Raises:
            Preempted: this machine is about to be taken; the trial resumes elsewhere.
        """
        run = self._training_run()
        try:
            state, history = self._begin(run)
            if not self.context.is_compared:
                run.run_phase(state, history)
                if not history.curve:  # no step of its own: run.start_from is the warm start
                    run.evaluate(state, history)
                    self.monitor.save(state, history)
            else:
                self._run_segments(state, history)
        except Diverged as diverged:
            self.monitor.report_diverged(diverged, state, history)
            return
        except UserError as error:
            self.monitor.report_failed(str(error))
            return
        except Stopped:
            self.monitor.report_preempted(state, history)
            raise preemption.Preempted from None
        except Exception as error:
            if trouble := disk_trouble(error):
                self.monitor.report_failed(trouble, machine_fault=True)
                return
            if not is_out_of_memory(error) or self._is_retried():
                raise
            context = self.context
            advice = memory_advice(context.config, context.rank.device, context.spec.gpus)
            self.monitor.report_failed(advice)
            return
        if self.stage == "warm" and isinstance(self.monitor, TrialMonitor):
            context = self.context
            saved = context.storage.fetch(self.monitor.pointer, context.scratch)
            warm_starts.publish(context.storage, context.warm_key, saved, history.latest())
        self.monitor.report_complete(state, history)

    def _is_retried(self) -> bool:
        """Return True the first time that a trial which shares its GPU runs out of memory on this node.

        A neighbour may have taken the memory, so Tune runs the trial once more in a new process.
        """
        marker = self.context.scratch / "out-of-memory"
        if not 0 < self.context.spec.gpus < 1 or marker.exists():
            return False
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        return True

    def _training_run(self, settings: Mapping[str, Any] | None = None) -> TrainingRun:
        context = self.context
        return TrainingRun(
            override(context.config, settings or {}),
            context.inputs.loader,
            context.inputs.evaluator,
            self.monitor,
            context.rank.device,
            stop=preemption.preemption_flag(),
            ranks=context.rank.ranks,
            compared=context.phase if context.is_compared else "gan",
        )

    def _run_segments(self, state: TrainState, history: History) -> None:
        """Run the phase from where `state` stands through the segments that are left."""
        lineage, steps = self.context.lineage, self.context.config.run.steps(state.phase)
        for settings, last_step in lineage.remaining(state.step, steps):
            run = self._training_run(settings)
            self.monitor.begin_segment(run.config)
            run.run_phase(state, history, last_step)

    def _begin(self, run: TrainingRun) -> tuple[TrainState, History]:
        """Return the state to train from: a checkpoint of this trial, of its parent, or a new phase."""
        context = self.context
        folder = self.monitor.restore()
        if folder is not None:
            return run.resume(folder)
        if context.lineage.parent:
            parent = context.storage.name_of(
                checkpoint_url(context.storage, context.spec.sweep, context.lineage.parent)
            )
            folder = context.storage.fetch(parent, context.scratch)
            self.monitor.take_over(folder)
            return run.resume(folder)
        if context.config.run.derived_from:
            return run.new_phase(context.phase, self._derived_weights(run)), History()
        if self.stage == "warm" or not context.warm_key:
            # run.start_from counts, as it does without a sweep
            return run.initial_state(context.phase), History()
        folder = context.fetch_warm_start(context.warm_key)
        return run.new_phase(context.phase, checkpoint.generator_weights(folder)), History()

    def _derived_weights(self, run: TrainingRun) -> dict[str, Tensor]:
        """Return the weights with which a PSNR phase begins in place of random ones: the ancestor's."""
        settings = self.context.config.run
        source, config = checkpoint.load_generator(self.context.fetch_warm_start(settings.derived_from))
        new, own = run.new_phase("psnr").generator.cpu(), self.context.config.generator
        lr_images = self.context.whole_batches(max(1, settings.bn_recalibration_batches))
        return checkpoint.weights_of(derive(source, config.generator, new, own, lr_images))
