"""The driver's side of tracking: a durable spool file and the process that delivers it.

The driver appends journal entries to the spool; a separate process (orchestrator.tracking.writer_process)
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

from datasets.address import hide
from datasets.files import atomic_json, read_json
from orchestrator.provenance import ROOT
from orchestrator.tracking.journal import AppendOnlyFile, Entry, read_entries
from orchestrator.tracking.server import database_path, database_uri, probe

RESTART_EVERY_S = 2.0
KEY_TAG = "upsweep.run_key"
"""The tag of an MLflow run that holds its key in the journals (run_key.py)."""


@dataclass(frozen=True)
class DeliveryStatus:
    """The last state that the writer process wrote about itself."""

    delivered_bytes: int
    state: str
    error: str


class Writer:
    """A durable spool, and the single process that delivers it to MLflow.

    Every entry passed to `append` survives a kill of this process, of the writer process and of the server.
    An existing spool is continued. `identity` is the sweep's permanent id in MLflow: pass it again after the
    spool folder was lost, and the sweep's runs are found instead of created a second time.
    """

    def __init__(self, spool_dir: Path, tracking_uri: str, experiment: str, identity: str = "") -> None:
        self.spool_dir = Path(spool_dir).absolute()
        self.tracking_uri = hide(tracking_uri)  # it is in the command line of the writer process
        if database := database_path(tracking_uri):
            self.tracking_uri = database_uri(database)
        self.experiment = experiment
        self._spool = AppendOnlyFile(self.spool_dir / "spool.jsonl")
        self._process: subprocess.Popen[bytes] | None = None
        self._spawned = 0.0
        if not (self.spool_dir / "identity.json").exists():
            atomic_json(
                self.spool_dir / "identity.json", {"identity": identity or uuid.uuid4().hex}, durable=False
            )

    def start(self) -> None:
        """Start the writer process; UserError if the store cannot be used (see server.probe)."""
        probe(self.tracking_uri)
        self._spawn()

    def _spawn(self) -> None:
        self._spawned = time.monotonic()
        command = [sys.executable, "-m", "orchestrator.tracking.writer_process"]
        command += ["--spool", str(self.spool_dir), "--uri", self.tracking_uri]
        command += ["--experiment", self.experiment]
        search_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        with open(self.spool_dir / "writer.log", "ab") as log:
            # Nothing is written to this pipe: its end tells the child that this process closed it or died.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": search_path},
                start_new_session=True,  # Ctrl-C stops the driver, which then closes the writer in order
            )

    def append(self, entries: Iterable[Entry]) -> None:
        """Write entries to the spool (well under a millisecond); restart the writer process if it ended."""
        self._spool.append(entries)
        self._restart_if_ended()

    def _restart_if_ended(self) -> None:
        process = self._process
        if process and process.poll() is not None and time.monotonic() - self._spawned > RESTART_EVERY_S:
            self._spawn()

    def progress(self) -> DeliveryStatus:
        """Return how much was delivered, and the error that delays the rest, if any.

        The state is "starting" until the writer process has written one.
        """
        status = read_json(self.spool_dir / "progress.json")
        state, error = status.get("state", "starting"), status.get("error", "")
        return DeliveryStatus(status.get("offset", 0), state, error)

    def delivered(self) -> bool:
        """Return True if everything appended so far is in MLflow."""
        all_written = self._spool.append([])
        return all_written and self.progress().delivered_bytes >= self._spool.path.stat().st_size

    def refusals(self) -> str:
        """Return a sentence about the entries that MLflow can never accept; "" if there are none."""
        path = self.spool_dir / "rejected.jsonl"
        entries = read_entries(path, limit_bytes=-1)[0] if path.exists() else []
        if not entries:
            return ""
        return (
            f"MLflow refused {len(entries)} entries of the record, the first because of "
            f"{entries[0].get('reason', '')}; they are in {path}, and the files of results are whole"
        )

    def run_ids(self) -> dict[str, str]:
        """Return {run_key: MLflow run id} of the runs created so far."""
        return read_json(self.spool_dir / "runs.json")

    def experiment_id(self) -> str | None:
        """Return MLflow's id of the experiment; None if the writer process has not reached MLflow yet."""
        return read_json(self.spool_dir / "experiment.json").get("id")

    def close(self, timeout_s: float = 60.0) -> bool:
        """Wait until everything is delivered, then end the process; False after `timeout_s` seconds.

        Undelivered entries stay in the spool; another Writer on this folder delivers them.
        """
        deadline = time.monotonic() + timeout_s
        while self._process and not self.delivered() and time.monotonic() < deadline:
            self._restart_if_ended()
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
