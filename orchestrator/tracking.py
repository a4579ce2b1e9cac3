"""The door to the tracking server: where it is, whether it answers, and the one process that writes to it.

The driver appends journal entries to a spool file; a separate process (orchestrator.delivery, started with
`python -m orchestrator.tracking`) tails the file and tells MLflow. Training and the driver never wait for
the server. No mlflow is imported here: it costs seconds, and only the writer process pays them.
"""

import argparse
import base64
import fcntl
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from orchestrator.journal import Entry, Lines

PROBE_TIMEOUT_S = 5.0
RESTART_EVERY_S = 2.0
KEY_TAG = "upsweep.run_key"
"""The tag that names a run as the journals do: sweep/stage/trial."""
ROOT = Path(__file__).resolve().parent.parent


def default_uri(storage: Path | str) -> str:
    """The database of a local record: `sqlite:////<absolute storage>/mlflow.db`."""
    return f"sqlite:///{Path(storage).resolve() / 'mlflow.db'}"


def database_path(tracking_uri: str) -> Path | None:
    """The file of an sqlite address, absolute; None for any other address."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    return Path(tracking_uri.removeprefix("sqlite:///")).absolute()


def artifact_root(tracking_uri: str, spool_dir: Path) -> str | None:
    """Where artifacts go, as an absolute URI; None where an HTTP server decides.

    Beside an sqlite file; for any other database inside the spool's own folder. (MLflow's own default is
    ./mlruns of whatever directory the process happens to stand in.)
    """
    if tracking_uri.startswith(("http://", "https://")):
        return None
    database = database_path(tracking_uri)
    return ((database.parent if database else Path(spool_dir).resolve()) / "mlartifacts").as_uri()


def probe(tracking_uri: str, timeout_s: float = PROBE_TIMEOUT_S) -> None:
    """Ask the tracking store whether it can be reached and written, within `timeout_s` seconds.

    Raises:
        UserError: what is wrong with the address, and what to do about it.
    """
    scheme = tracking_uri.partition(":")[0] if "://" in tracking_uri else ""
    if scheme == "sqlite":
        _probe_sqlite(tracking_uri, timeout_s)
    elif scheme in ("http", "https"):
        _probe_http(tracking_uri, timeout_s)
    elif scheme.partition("+")[0] in ("postgresql", "mysql", "mssql"):
        _probe_port(tracking_uri, timeout_s)
    else:
        raise UserError(
            f"--tracking-uri must be sqlite:///<path>, http(s)://<host> or postgresql://<host>/<name>, "
            f"but got '{tracking_uri}' (MLflow has closed its folder store)"
        )


def _probe_sqlite(tracking_uri: str, timeout_s: float) -> None:
    path = database_path(tracking_uri)
    if path is None or not path.name:
        raise UserError(
            f"--tracking-uri needs a file, as in sqlite:////data/mlflow.db, but got '{tracking_uri}'"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not path.exists()
        connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")  # takes the write lock, changes nothing
            connection.execute("CREATE TABLE upsweep_probe (answer INTEGER)")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
            if fresh and path.exists() and path.stat().st_size == 0:
                path.unlink()
    except (OSError, sqlite3.Error) as error:
        raise UserError(
            f"the tracking database {path} cannot be written: {error}; set --tracking-uri"
        ) from None


def _probe_http(tracking_uri: str, timeout_s: float) -> None:
    url = tracking_uri.rstrip("/") + "/api/2.0/mlflow/experiments/search?max_results=1"
    request = urllib.request.Request(url, headers=_credentials())
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            known = "experiments" in json.load(answer)
    except urllib.error.HTTPError as error:
        raise UserError(_refusal(tracking_uri, error.code)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"no MLflow server answers at {tracking_uri} within {timeout_s:g} s ({reason}); start it with "
            f"`mlflow server` or set --tracking-uri"
        ) from None
    if not known:
        raise UserError(f"{tracking_uri} answers, but is no MLflow server; set --tracking-uri")


def _credentials() -> dict[str, str]:
    """The header that MLflow's own client would send; credentials come from the environment only."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user:
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {}


def _refusal(tracking_uri: str, status: int) -> str:
    if status == 401:
        return f"{tracking_uri} asks for a login; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if status == 403:
        return (
            f"{tracking_uri} refuses this host name or this user (403); use the server's IP address, or "
            f"start it with --allowed-hosts"
        )
    return f"{tracking_uri} answers with HTTP status {status}, not as an MLflow server; set --tracking-uri"


def _probe_port(tracking_uri: str, timeout_s: float) -> None:
    parts = urllib.parse.urlsplit(tracking_uri)
    port = parts.port or {"postgresql": 5432, "mysql": 3306, "mssql": 1433}[parts.scheme.partition("+")[0]]
    try:
        socket.create_connection((parts.hostname or "localhost", port), timeout=timeout_s).close()
    except OSError as error:
        raise UserError(
            f"no database answers at {parts.hostname}:{port} within {timeout_s:g} s ({error}); "
            f"set --tracking-uri"
        ) from None


@dataclass(frozen=True)
class Progress:
    """What the writer process last said about itself."""

    delivered_bytes: int
    state: str
    error: str

    @classmethod
    def read(cls, spool_dir: Path) -> "Progress":
        """The last word, or the beginning where there is none."""
        said = read_json(spool_dir / "progress.json")
        return cls(said.get("offset", 0), said.get("state", "starting"), said.get("error", ""))


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object that another process replaces whole; {} where it does not exist yet."""
    return json.loads(path.read_text()) if path.exists() else {}


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Replace `path` in one step: a reader sees the old or the new object, never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(values))
    temporary.replace(path)


@contextmanager
def alone(lock_file: Path) -> Iterator[None]:
    """Wait until no other process is inside the same block; a killed process lets go by itself."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with open(lock_file, "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


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
        self._spool = Lines(self.spool_dir / "spool.jsonl")
        self._process: subprocess.Popen[bytes] | None = None
        self._spawned = 0.0
        if not (self.spool_dir / "identity.json").exists():
            write_json(self.spool_dir / "identity.json", {"identity": identity or uuid.uuid4().hex})

    def start(self) -> None:
        """Start the writer process; UserError (from the probe) when the store cannot be used."""
        probe(self.tracking_uri)
        self._spawn()

    def _spawn(self) -> None:
        self._spawned = time.monotonic()
        command = [sys.executable, "-m", "orchestrator.tracking", "--spool", str(self.spool_dir)]
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

    def progress(self) -> Progress:
        """How far delivery is; `error` is the last trouble in words, empty while all is well."""
        return Progress.read(self.spool_dir)

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


def main() -> None:
    """The writer process: deliver a spool until the starting process is gone and nothing is left."""
    parser = argparse.ArgumentParser(description="Deliver a spool of journal entries to MLflow.")
    for option in ("--spool", "--uri", "--experiment"):
        parser.add_argument(option, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # stopping a Ray job reaches every child; the driver ends us
    from orchestrator.delivery import deliver_forever  # imports mlflow

    deliver_forever(Path(options.spool), options.uri, options.experiment)


if __name__ == "__main__":
    main()
