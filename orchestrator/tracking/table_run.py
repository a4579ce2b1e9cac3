"""A finished results table as one MLflow run: its numbers, its protocols and its files.

Goes through the journal and the one writer like every run. Nothing is measured here.
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
    """Log every file of `folder` and `metrics` as one new run of experiment upsweep-KINDs; its id.

    UserError where the store refuses.
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
        raise UserError(f"{tracking_uri} took no table within {timeout_s:.0f} s; the files are in {folder}")
    return writer.run_ids()[run_key]
