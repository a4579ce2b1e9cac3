"""Everything that the parts of a trial share, fixed before it starts."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from orchestrator.cluster.worker import open_device
from orchestrator.storage import Storage
from orchestrator.trial import warm_starts
from orchestrator.trial.inputs import Inputs, open_inputs
from orchestrator.trial.lineage import Lineage
from orchestrator.trial.reporter import Reporter, TuneReporter
from orchestrator.trial.spec import TrialSpec, scratch_of
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
        inputs = open_inputs(
            config.data,
            config.generator.scale,
            spec.metrics,
            spec.work_dir,
            tuple(sorted(spec.digests.items())),
            rank.device,
            (rank.ranks.rank, rank.ranks.world),
        )
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
        config = warm_starts.source(self.config, self.spec.stage, self.spec.base)
        return warm_start_key(config, self.spec.digests["train"]) if config else ""

    @property
    def warm_name(self) -> str:
        """The storage name of the generator that training starts from."""
        return warm_starts.published(self.storage, self.warm_key)

    @cached_property
    def warm_generator(self) -> nn.Module | None:
        """The generator that training started from, for pictures; None if there is none."""
        if not self.warm_key:
            return None
        folder = self.storage.fetch(self.warm_name, self.scratch)
        return checkpoint.load_generator(folder)[0].to(self.rank.device)
