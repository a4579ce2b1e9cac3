"""Reading what delivery stored in an MLflow database."""

import sqlite3

from orchestrator.tracking.server import database_path


def points(uri, run_id):
    """{(metric, step): [(value, time), ...]} of one run, read from the database."""
    rows = sqlite3.connect(database_path(uri)).execute(
        "SELECT key, step, value, timestamp FROM metrics WHERE run_uuid = ?", (run_id,)
    )
    values = {}
    for key, step, value, time_ms in rows:
        values.setdefault((key, step), []).append((value, time_ms))
    return values
