"""Everything that the parts of a trial share, fixed before it starts."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from datasets.errors import UserError
from orchestrator.cluster.worker import open_device
from orchestrator.storage import Storage
from orchestrator.trial import warm_starts
from orchestrator.trial.inputs import Inputs, open_inputs
from orchestrator.trial.reporter import Reporter, TuneReporter
from orchestrator.trial.spec import Lineage, TrialSpec, scratch_of
from trainers import checkpoint
from trainers.config import TrainConfig, override
from trainers.distributed import ALONE, Ranks
from trainers.warm_start_key import warm_start_key


@dataclass(frozen=True)
class RankContext:
    """One process of a trial: its rank, its device, and how it reports."""

    ranks: Ranks
    device: torch.device
    reporter: Reporter

    @property
    def leads(self) -> bool:
        """Return True if this process writes and reports for the trial."""
        return self.ranks.rank == 0


@dataclass(frozen=True)
class TrialContext:
    """One design and seed in one stage, on one rank."""

    trial_id: str
    config: TrainConfig
    spec: TrialSpec
    lineage: Lineage
    rank: RankContext
    storage: Storage
    scratch: Path
    """Folder of this rank on this node."""
    inputs: Inputs

    @classmethod
    def open(
        cls,
        trial_id: str,
        config: TrainConfig,
        spec: TrialSpec,
        lineage: Lineage | None = None,
        rank: RankContext | None = None,
    ) -> "TrialContext":
        """Open the inputs and the storage; without `rank`, of a trial of one process.

        Raises:
            DeviceError: the device of this process cannot be used.
            RuntimeError: the images on this node differ from those that the driver saw.
        """
        scratch = scratch_of(spec, trial_id, rank.ranks.rank if rank else 0)
        storage = Storage(spec.storage)
        if spec.start:  # this node may not have the folder of the machine that the sweep began on
            start = {"run.start_from": str(storage.fetch(spec.start, scratch))}
            config, spec = override(config, start), replace(spec, base=spec.base | start)
        rank = rank or RankContext(ALONE, open_device(config.run, spec.gpus), TuneReporter(scratch))
        inputs = _inputs(config, spec, rank.device, (rank.ranks.rank, rank.ranks.world))
        return cls(trial_id, config, spec, lineage or Lineage(), rank, storage, scratch, inputs)

    def name(self, part: str) -> str:
        """Return the storage name of a file or folder of this trial."""
        return f"{self.spec.sweep}/trials/{self.trial_id}/{part}"

    def fetch(self, pointer: str) -> Path:
        """Return a local folder with the checkpoint named `pointer`; refuse one without its manifest."""
        saved = self.storage.fetch(pointer, self.scratch)
        checkpoint.verify(saved)
        return saved

    @property
    def phase(self) -> str:
        """The phase that this trial trains."""
        return "psnr" if self.spec.stage == "warm" else self.config.run.last_phase

    @property
    def is_compared(self) -> bool:
        """Return True if the trial's networks are ranked: warm starts are not."""
        return self.spec.stage != "warm"

    @cached_property
    def warm_key(self) -> str:
        """The key of the warm start that this trial trains or starts from; empty if there is none."""
        spec, digest = self.spec, self.spec.digests["train"]
        config = warm_starts.source(self.config, spec.stage, spec.base, digest, spec.ancestor)
        return warm_start_key(config, digest) if config else ""

    def fetch_warm_start(self, key: str) -> Path:
        """Return a local folder with a published warm start; UserError if there is none."""
        if not warm_starts.ready(self.storage, key):
            raise UserError(f"the PSNR phase that it starts from (warm-{key}) did not finish")
        return self.storage.fetch(warm_starts.published(self.storage, key), self.scratch)

    def whole_batches(self, count: int) -> Tensor:
        """Return the LR images of the first training batches, on the CPU, the same ones on every rank."""
        inputs = _inputs(self.config, self.spec, self.rank.device, (0, 1))
        return torch.cat([batch.lr_image.cpu() for batch in islice(inputs.loader.batches(0), count)])

    @cached_property
    def warm_generator(self) -> nn.Module | None:
        """The generator that training started from, for pictures; None if there is none."""
        if not self.warm_key:
            return None
        folder = self.fetch_warm_start(self.warm_key)
        return checkpoint.load_generator(folder)[0].to(self.rank.device)


def _inputs(config: TrainConfig, spec: TrialSpec, device: torch.device, seat: tuple[int, int]) -> Inputs:
    digests, scale = tuple(sorted(spec.digests.items())), config.generator.scale
    return open_inputs(config.data, scale, spec.metrics, spec.work_dir, digests, device, seat)
