"""Print the address of the runs of each experiment in an MLflow database: tools/mlflow_pages.py DB PORT.

MLflow 3 opens an experiment on its page for agents, whatever its kind, unless the address names the other.
Runs are sorted by name: in the default order trials are folded below their sweep.
"""

import sqlite3
import sys
from contextlib import closing

from orchestrator.tracking.run_key import RUNS_PAGE

FEW = 8
"""Experiments that are listed, the latest first."""


def pages(database: str, port: str) -> list[str]:
    """Return a line per experiment that has runs: its name and the address of its table of runs."""
    query = (
        "SELECT e.name, e.experiment_id FROM experiments e WHERE e.lifecycle_stage = 'active' AND EXISTS "
        "(SELECT 1 FROM runs r WHERE r.experiment_id = e.experiment_id) ORDER BY e.experiment_id DESC LIMIT ?"
    )
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(query, (FEW,)).fetchall()
    address = f"http://127.0.0.1:{port}/#/experiments"
    return [f"{name}: {address}/{number}/{RUNS_PAGE}" for name, number in rows]


if __name__ == "__main__":
    print("\n".join(pages(*sys.argv[1:])))
