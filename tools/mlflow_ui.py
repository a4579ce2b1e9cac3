"""Serve an MLflow database, and print the address of each experiment's runs: tools/mlflow_ui.py DB PORT.

MLflow 3 opens an experiment on its page for agents, whatever its kind, unless the address names the other.
Runs are sorted by name: in the default order trials are folded below their sweep. The columns of a sweep are
the metrics by which it judges (run_key.runs_view). Addresses are printed once the server answers: its own
lines come first.
"""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from orchestrator.tracking.run_key import RUNS_PAGE, VIEW_PAGE, VIEW_TAG

FEW = 8
"""Experiments that are listed, the latest first."""


def pages(database: str, port: str) -> list[str]:
    """Return a line per experiment that has runs: its name and the address of its table of runs."""
    query = (
        "SELECT e.name, e.experiment_id, EXISTS (SELECT 1 FROM experiment_tags t WHERE t.key = ? AND "
        "t.experiment_id = e.experiment_id) FROM experiments e WHERE e.lifecycle_stage = 'active' AND EXISTS "
        "(SELECT 1 FROM runs r WHERE r.experiment_id = e.experiment_id) ORDER BY e.experiment_id DESC LIMIT ?"
    )
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(query, (VIEW_TAG, FEW)).fetchall()
    address = f"http://127.0.0.1:{port}/#/experiments"
    return [
        f"{name}: {address}/{number}/{VIEW_PAGE if has_view else RUNS_PAGE}"
        for name, number, has_view in rows
    ]


def answers(port: str) -> bool:
    """Return True if something listens at this port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def serve(database: str, port: str) -> int:
    """Run MLflow until it ends or is stopped; return the exit status."""
    if answers(port):
        print(f"port {port} is taken by another program; choose one: PORT=5001 make ui", file=sys.stderr)
        return 2
    print("starting MLflow, which takes some seconds", flush=True)
    store = f"sqlite:///{Path(database).resolve()}"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store]
    command += ["--host", "127.0.0.1", "--port", port]
    # for one person: a worker takes seconds to start, and prints the warnings of all packages that it uses
    command += ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(command, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        while server.poll() is None and not answers(port):
            time.sleep(0.2)
        if server.poll() is None:
            print(f"MLflow at http://127.0.0.1:{port} (Ctrl-C stops it); the runs of each sweep:")
            print("\n".join(pages(database, port)), flush=True)
        return server.wait()
    except KeyboardInterrupt:  # which the server has received too
        server.wait()
        return 0


if __name__ == "__main__":
    sys.exit(serve(*sys.argv[1:]))
