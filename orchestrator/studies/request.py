"""The request for one study: every option that decides what it does, with the checks that need no image.

A field is declared here once: it is the command-line flag, and its docstring is the help text.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from datasets.address import hide
from datasets.errors import UserError
from datasets.files import user_path
from orchestrator.tracking import server
from trainers.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """Options of a study; every setting of its trainings follows under its dotted name."""

    miniature: bool = False
    """Minutes on CPU cores instead of GPU-days: smaller networks, fewer steps and images."""
    data: tuple[str, ...] = ()
    """Sets as NAME=SPEC: a catalogue name, a shard folder or URL, or a folder or zip of photographs."""
    seeds: int = 5
    """Trainings of each arm; "reproduced" needs 5."""
    name: str = ""
    """Name of the study; empty: its kind, with -miniature in miniature."""
    storage: str = "./runs"
    """Folder of studies, imported images and checkpoints."""
    tracking_uri: str = ""
    """MLflow server or database; empty: an SQLite file in --storage."""
    track: bool = True
    """Record the study in MLflow."""
    ray: bool = True
    """Run trainings as Ray tasks; --no-ray: one after another in this process."""
    address: str = ""
    """HOST:PORT of a Ray cluster to run on; empty: RAY_ADDRESS, else this machine."""
    gpus_per_run: float = 1.0
    """Share of a GPU per training."""
    resume: bool = False
    """Resume the study of this name."""
    config: TrainConfig = field(default_factory=TrainConfig)
    kind: str = ""
    command: str = ""
    """The command line to repeat; set by the command itself, like `kind`."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]*", self.name):
            raise UserError(f"--name may hold letters, digits and ._- only, but got '{self.name}'")
        if self.seeds < 1:
            raise UserError(f"--seeds must be at least 1, but got {self.seeds}")
        if "://" in self.storage:
            raise UserError(
                f"--storage of a study must be a folder that every machine sees, but got {self.storage}; "
                f"mount it, or run the study on one machine"
            )

    @property
    def work_dir(self) -> Path:
        """The absolute folder of --storage."""
        return user_path(self.storage).resolve()

    @property
    def split(self) -> str:
        """Name of the sizes that plain archives are cut to."""
        return "miniature" if self.miniature else "matrix"

    @property
    def folder(self) -> Path:
        """The folder of all files that the study writes."""
        return self.work_dir / "studies" / self.name

    @property
    def uri(self) -> str:
        """The MLflow store."""
        return hide(self.tracking_uri or server.default_uri(self.work_dir))
