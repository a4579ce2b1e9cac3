"""The driver's end of tracking: a durable spool, and the one process that delivers it.

The driver appends journal entries to a spool file; a separate process (orchestrator.tracking.writer_process)
tails the file and sends its entries to MLflow. Training and the driver never wait for the server.
"""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from datasets.files import atomic_json, read_json
from orchestrator.provenance import ROOT
from orchestrator.tracking.journal import AppendOnlyFile, Entry
from orchestrator.tracking.server import database_path, probe

RESTART_EVERY_S = 2.0
KEY_TAG = "upsweep.run_key"
"""The tag that names a run as the journals do: sweep/stage/trial."""


@dataclass(frozen=True)
class DeliveryStatus:
    """What the writer process last said about itself."""

    delivered_bytes: int
    state: str
    error: str

    @classmethod
    def read(cls, spool_dir: Path) -> "DeliveryStatus":
        """The last word, or the beginning where there is none."""
        said = read_json(spool_dir / "progress.json")
        return cls(said.get("offset", 0), said.get("state", "starting"), said.get("error", ""))


class Writer:
    """The driver's end: a durable spool, and the one process that delivers it.

    Every entry given to `append` survives a kill of this process, of the writer process and of the server.
    A spool that exists is continued. `identity` names the sweep for ever; pass the same one when the spool
    folder itself was lost, so that the sweep's runs are found again instead of being made anew.
    """

    def __init__(self, spool_dir: Path, tracking_uri: str, experiment: str, identity: str = "") -> None:
        self.spool_dir = Path(spool_dir).absolute()
        self.tracking_uri = tracking_uri
        if database := database_path(tracking_uri):
            self.tracking_uri = f"sqlite:///{database}"
        self.experiment = experiment
        self._spool = AppendOnlyFile(self.spool_dir / "spool.jsonl")
        self._process: subprocess.Popen[bytes] | None = None
        self._spawned = 0.0
        if not (self.spool_dir / "identity.json").exists():
            atomic_json(
                self.spool_dir / "identity.json", {"identity": identity or uuid.uuid4().hex}, durable=False
            )

    def start(self) -> None:
        """Start the writer process; UserError (from the probe) when the store cannot be used."""
        probe(self.tracking_uri)
        self._spawn()

    def _spawn(self) -> None:
        self._spawned = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "orchestrator.tracking.writer_process",
            "--spool",
            str(self.spool_dir),
        ]
        command += ["--uri", self.tracking_uri, "--experiment", self.experiment]
        search_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        with open(self.spool_dir / "writer.log", "ab") as log:
            # A pipe that is never written: its end tells the child that this process closed it, or died.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": search_path},
                start_new_session=True,  # Ctrl-C stops the driver, which then closes the writer in order
            )

    def append(self, entries: Iterable[Entry]) -> None:
        """Write entries to the spool (well under a millisecond) and see that the writer process lives."""
        self._spool.append(entries)
        self._revive()

    def _revive(self) -> None:
        process = self._process
        if process and process.poll() is not None and time.monotonic() - self._spawned > RESTART_EVERY_S:
            self._spawn()

    def progress(self) -> DeliveryStatus:
        """How far delivery is; `error` is the last trouble in words, empty while all is well."""
        return DeliveryStatus.read(self.spool_dir)

    def delivered(self) -> bool:
        """Whether everything appended so far is in MLflow."""
        whole = self._spool.append([])
        return whole and self.progress().delivered_bytes >= self._spool.path.stat().st_size

    def run_ids(self) -> dict[str, str]:
        """run_key -> MLflow run id, for the runs that exist by now."""
        return read_json(self.spool_dir / "runs.json")

    def close(self, timeout_s: float = 60.0) -> bool:
        """Wait until all is delivered, then end the process; False when `timeout_s` was not enough.

        What was not delivered stays in the spool; a Writer on the same folder continues.
        """
        deadline = time.monotonic() + timeout_s
        while self._process and not self.delivered() and time.monotonic() < deadline:
            self._revive()
            time.sleep(0.1)
        if self._process:
            self._stop(self._process)
        done = self.delivered()
        self._spool.close()
        return done

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin:
            process.stdin.close()
        if not self.delivered():
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None
