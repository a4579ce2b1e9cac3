"""A training step as one CUDA graph: recorded once, then replayed with one launch.

A step launches hundreds to thousands of kernels, which takes the host longer than the GPU needs for them
unless batches are large. A replay launches all of them at once, with the same results.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from trainers.config.generators import GENERATORS
from trainers.train_step import TrainStep

WARM_UP = 3  # ordinary steps before the recording: optimizers make their moments, libraries their workspaces

Step = Callable[[Tensor, Tensor, Tensor | None], None]
Capture = Callable[[Callable[[], None]], Callable[[], None]]


def accelerated(step: TrainStep) -> Step:
    """Return `step` as a graph if run.cuda_graph is set and the design allows it, else `step` itself.

    Not recorded are steps of several ranks, with SGD (it takes its learning rate from the host) or AdamW,
    with WGAN-GP's penalty (its random points are seeded by the host), and with code of the user, which may
    wait for the device.
    """
    config = step.config
    own = config.loss.extra_weight or GENERATORS[config.generator.kind].own
    possible = (
        step.losses.device.type == "cuda"
        and step.ranks.world == 1
        and config.optim.kind == "adam"
        and not config.loss.gradient_penalty_weight
        and not own
    )
    return GraphedStep(step) if possible and config.run.cuda_graph else step


class GraphedStep:
    """A `TrainStep` that is recorded after a few ordinary steps; called in the same way.

    What changes from step to step outside of the device is written there before each replay: the batch, the
    learning rates and the weight of the average. `capture` takes a function, records its kernels without
    running them, and returns a function that runs them.
    """

    def __init__(self, step: TrainStep, capture: Capture | None = None) -> None:
        self.step, self.capture = step, capture or captured
        self.ordinary = 0
        self.replay: Callable[[], None] | None = None
        self.refused = False
        self.inputs: list[Tensor] = []
        self.latched: list[tuple[list[str], Tensor]] = []
        weight = step.g_params[0]
        self.average = torch.zeros((), dtype=weight.dtype, device=weight.device)
        optimizers = filter(None, (step.state.opt_g, step.state.opt_d))
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self.rates = [(group, torch.zeros((), device=weight.device, dtype=torch.float32)) for group in groups]

    def __call__(self, hr: Tensor, lr_image: Tensor, target: Tensor | None = None) -> None:
        for group, rate in self.rates:
            # as a replay reads it: the first steps after a resume then equal those of a run without a stop
            group["lr"] = torch.tensor(group["lr"], dtype=torch.float32).item()
            rate.fill_(group["lr"])
        self.average.fill_(self.step.average_weight())
        batch = [hr, lr_image] if target is None else [hr, lr_image, target]
        if self.ordinary >= WARM_UP and self.replay is None and not self.refused:
            self._record(batch)
        if self.replay is None or [x.shape for x in batch] != [x.shape for x in self.inputs]:
            self.ordinary += 1
            self.step(hr, lr_image, target)
            return
        for static, x in zip(self.inputs, batch, strict=True):
            static.copy_(x)
        self.replay()
        for terms, row in self.latched:
            self.step.guard.keep(self.step.state.step + 1, terms, row.clone())

    def _record(self, batch: list[Tensor]) -> None:
        """Record the step for batches of this size; if CUDA refuses, say so and go on with ordinary steps."""
        guard = self.step.guard
        try:
            guard.raise_if_diverged()  # and forget the rows: recording must not wait for the device
            images = [x.contiguous(memory_format=torch.channels_last).clone() for x in batch[:2]]
            self.inputs = [*images, *(x.clone() for x in batch[2:])]
            with self._rates_on_device():
                self.replay = self.capture(lambda: self.step.update(*self.inputs, average=self.average))
            self.latched = [(terms, row) for _, terms, row in guard.rows]
        except RuntimeError as error:
            self.refused = True
            reason = str(error).strip().split("\n")[0]
            warnings.warn(f"run.cuda_graph: steps are not recorded, which is slower: {reason}", stacklevel=3)
        guard.rows.clear()

    @contextmanager
    def _rates_on_device(self) -> Iterator[None]:
        """Let the optimizers read their learning rates from tensors while the step is recorded."""
        before = [(group["lr"], group.get("capturable", False)) for group, _ in self.rates]
        for group, rate in self.rates:
            group["lr"], group["capturable"] = rate, rate.device.type == "cuda"
        try:
            yield
        finally:
            for (group, _), (rate, capturable) in zip(self.rates, before, strict=True):
                group["lr"], group["capturable"] = rate, capturable


def captured(work: Callable[[], None]) -> Callable[[], None]:
    """Record the kernels that `work` launches, without running them; return the function that runs them."""
    graph = torch.cuda.CUDAGraph()
    # thread_local: the loader's thread may pin memory meanwhile, which a recording forbids its own thread
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay
