"""The request for a study, as its command line made it, with the checks that need no image."""

import re
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import UserError
from orchestrator.tracking import server
from trainers.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Request:
    """The settings of one study."""

    kind: str
    name: str
    config: TrainConfig
    """Settings that every training starts from."""
    storage: Path
    data: tuple[str, ...] = ()
    """NAME=SPEC words; empty: the study's own sets."""
    seeds: int = 5
    miniature: bool = False
    resume: bool = False
    command: str = ""
    tracking_uri: str = ""
    track: bool = True
    """Record the study in MLflow."""
    ray: bool = True
    """Run trainings as Ray tasks; False: one after another in this process."""
    address: str | None = None
    gpus_per_run: float = 1.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", self.name):
            raise UserError(f"--name may hold letters, digits and ._- only, but got '{self.name}'")
        if self.seeds < 1:
            raise UserError(f"--seeds must be at least 1, but got {self.seeds}")

    @property
    def split(self) -> str:
        """Name of the sizes that plain archives are cut to."""
        return "miniature" if self.miniature else "matrix"

    @property
    def folder(self) -> Path:
        """The folder of all files that the study writes."""
        return self.storage / "studies" / self.name

    @property
    def uri(self) -> str:
        """The MLflow store."""
        return self.tracking_uri or server.default_uri(self.storage)


def storage_of(text: str) -> Path:
    """Return the absolute folder of --storage. UserError for an object store."""
    if "://" in text:
        raise UserError(
            f"--storage of a study must be a folder that every machine sees, but got {text}; mount it, or "
            f"run the study on one machine"
        )
    return Path(text).expanduser().resolve()
