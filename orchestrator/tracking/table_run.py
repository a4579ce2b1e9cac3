"""A results table as one MLflow run: its numbers, its protocols and its files.

It is delivered by a journal and a writer process as every run is. Nothing is measured here.
"""

import uuid
from collections.abc import Mapping
from pathlib import Path

from datasets.errors import UserError
from orchestrator.tracking.journal import Journal
from orchestrator.tracking.writer import Writer


def log_table(
    folder: Path,
    tracking_uri: str,
    name: str,
    metrics: Mapping[str, float],
    params: Mapping[str, str],
    timeout_s: float = 120.0,
    kind: str = "benchmark",
) -> str:
    """Log `metrics` and every file of `folder` as a new run of experiment upsweep-KINDs; return its id.

    UserError if the store cannot be used, refuses a part, or does not accept all within `timeout_s` seconds.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    spool = folder / "tracking" / uuid.uuid4().hex[:12]
    run_key = f"{kind}/{spool.name}"
    spool.mkdir(parents=True)
    journal = Journal(spool / "journal.jsonl", run_key)
    journal.start(name, params, {"kind": kind})
    journal.metrics(0, metrics)
    for path in files:
        journal.artifact(path)
    journal.end()
    writer = Writer(spool, tracking_uri, f"upsweep-{kind}s")
    writer.start()
    writer.append(journal.drain())
    journal.close()
    if not writer.close(timeout_s):
        raise UserError(
            f"{tracking_uri} did not accept the table within {timeout_s:.0f} s; the files are in {folder}"
        )
    if refusals := writer.refusals():
        raise UserError(refusals)
    return writer.run_ids()[run_key]
