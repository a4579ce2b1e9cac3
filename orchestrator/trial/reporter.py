"""Exchange between a trial and Tune: reports, and the pointer (the name of a checkpoint in the storage)."""

import json
from pathlib import Path
from typing import Any, Protocol

from ray import tune

POINTER = "pointer.json"


class Reporter(Protocol):
    """The receiver of a trial's reports, which also returns the checkpoint to resume from."""

    def report(self, result: dict[str, Any], pointer: str) -> None:
        """Send `result` to Tune, with the name of a new checkpoint in `pointer`.

        `pointer` is empty if no checkpoint was written since the last report. Tune stores it, and returns it
        by `pointer()` to the next attempt of the trial.
        """

    def pointer(self) -> str:
        """Return the name of the checkpoint to resume from; empty if there is none."""


class TuneReporter:
    """The reporter within the function that Tune runs."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch

    def report(self, result: dict[str, Any], pointer: str) -> None:
        """Send `result` to Tune; a pointer is sent in a file of a Tune checkpoint.

        Tune stores the checkpoints of a trial and gives the last one to its next attempt. Tune may end this
        function, and with it the trial, in the call.
        """
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
