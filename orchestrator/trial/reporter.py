"""What a trial and Tune say to each other: reports, and the pointer to a checkpoint that comes back."""

import json
from pathlib import Path
from typing import Any, Protocol

from ray import tune

POINTER = "pointer.json"


class Reporter(Protocol):
    """What a trial says to Tune and hears from it."""

    def report(self, payload: dict[str, Any], pointer: str) -> None:
        """Tell Tune; `pointer` names a checkpoint that it does not know yet, or is empty."""

    def pointer(self) -> str:
        """The checkpoint to go on from; empty at the beginning."""


class TuneReporter:
    """From within the function that Tune runs. Tune may end it in `report`."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch

    def report(self, payload: dict[str, Any], pointer: str) -> None:
        """A pointer travels as Tune's own checkpoint, so that Tune hands it out again."""
        if not pointer:
            tune.report(payload)
            return
        folder = self.scratch / "pointer"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / POINTER).write_text(json.dumps({"checkpoint": pointer}))
        tune.report(payload, checkpoint=tune.Checkpoint.from_directory(str(folder)))

    def pointer(self) -> str:
        """From the checkpoint that Tune gave this trial."""
        given = tune.get_checkpoint()
        if given is None:
            return ""
        with given.as_directory() as folder:
            return json.loads((Path(folder) / POINTER).read_text())["checkpoint"]
