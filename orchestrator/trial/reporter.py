"""The two things that pass between a trial and Tune: reports, and the pointer to a checkpoint."""

import json
from pathlib import Path
from typing import Any, Protocol

from ray import tune

POINTER = "pointer.json"


class Reporter(Protocol):
    """Where a trial sends its reports, and learns from which checkpoint it resumes."""

    def report(self, result: dict[str, Any], pointer: str) -> None:
        """Send a Tune result; `pointer` names a checkpoint that Tune does not know yet, or is empty."""

    def pointer(self) -> str:
        """Return the name of the checkpoint to resume from; empty if there is none."""


class TuneReporter:
    """The reporter within the function that Tune runs. Tune may end that function in `report`."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch

    def report(self, result: dict[str, Any], pointer: str) -> None:
        """Send a Tune result. The pointer is sent as Tune's own checkpoint, so that Tune returns it."""
        if not pointer:
            tune.report(result)
            return
        folder = self.scratch / "pointer"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / POINTER).write_text(json.dumps({"checkpoint": pointer}))
        tune.report(result, checkpoint=tune.Checkpoint.from_directory(str(folder)))

    def pointer(self) -> str:
        """Return the pointer in the checkpoint that Tune gave this trial; empty if it gave none."""
        given = tune.get_checkpoint()
        if given is None:
            return ""
        with given.as_directory() as folder:
            return json.loads((Path(folder) / POINTER).read_text())["checkpoint"]
