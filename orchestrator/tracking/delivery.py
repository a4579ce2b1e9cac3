"""The writer process: a spool file -> MLflow, each entry once.

What MLflow holds is a function of the spool alone. The first entry of each (run, metric, step) is sent and
later ones are dropped; a batch that was sent twice because of a kill is the same rows with the same times,
which MLflow's database keeps once. Nothing else may write these runs.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets.files import atomic_json, read_json
from orchestrator.tracking.deduplicate import Deduplicator, clean_name
from orchestrator.tracking.journal import AppendOnlyFile, Entry, read_entries
from orchestrator.tracking.server import artifact_root
from orchestrator.tracking.writer import KEY_TAG

# Our own back-off replaces the client's, which blocks for minutes. Read by mlflow at each request.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_TRUNCATE_LONG_VALUES", "true")

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

from orchestrator.tracking.mlflow_client import get_or_create_experiment, open_client  # noqa: E402

SWEEP_TAG = "upsweep.sweep_id"
PERMANENT_ERRORS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"}
"""Answers that no repetition changes: the entry is put aside with the reason, delivery goes on."""


class Delivery:
    """Runs of one sweep in one experiment, and what is known to be in them."""

    def __init__(self, spool_dir: Path, tracking_uri: str, experiment: str) -> None:
        self.spool_dir = spool_dir
        self.spool = spool_dir / "spool.jsonl"
        self.sweep_id = read_json(spool_dir / "identity.json")["identity"]
        self.offset = read_json(spool_dir / "progress.json").get("offset", 0)
        self.client = open_client(tracking_uri)
        self.experiment_id = get_or_create_experiment(
            self.client, experiment, artifact_root(tracking_uri, spool_dir)
        )
        self.once = Deduplicator()
        self.run_ids: dict[str, str] = {}
        self._pending: tuple[list[Entry], int] | None = None
        self._unsure = False
        self._find_runs()
        self._recall()

    def _find_runs(self) -> None:
        """Runs of this sweep that exist already: made before a kill, or before the spool was lost."""
        known = read_json(self.spool_dir / "runs.json")
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], f"tags.`{SWEEP_TAG}` = '{self.sweep_id}'", page_token=token
            )
            for run in page:
                key = run.data.tags[KEY_TAG]
                self.run_ids[key] = run.info.run_id
                if key not in known:
                    self._adopt(key, run)
            token = page.token
            if not token:
                break
        atomic_json(self.spool_dir / "runs.json", self.run_ids, durable=False)

    def _adopt(self, key: str, run: Any) -> None:
        """A run whose spool may be gone: ask the server which points it holds."""
        self.once.know_params(key, run.data.params)
        for name in run.data.metrics:
            history = self.client.get_metric_history(run.info.run_id, name)
            self.once.know_points(key, name, (point.step for point in history))

    def _recall(self) -> None:
        """Rebuild the memory of what was delivered from the part of the spool that was."""
        offset = 0
        while offset < self.offset:
            entries, offset = read_entries(self.spool, offset, min(1 << 22, self.offset - offset))
            for entry in entries:
                self.once.fresh(entry)

    def step(self) -> bool:
        """Deliver the next stretch of the spool and remember that; False when there was nothing.

        After a failure the same stretch is sent again, whole: MLflow keeps equal rows once.
        """
        if self._pending is None and not self._read():
            return False
        entries, offset = self._pending  # type: ignore[misc]
        self._send(entries)
        self.offset, self._pending = offset, None
        return True

    def _read(self) -> bool:
        if not self.spool.exists() or self.spool.stat().st_size <= self.offset:
            return False
        entries, offset = read_entries(self.spool, self.offset)
        if offset == self.offset:
            return False
        self._pending = (
            [entry for raw in entries if (entry := self._try(raw, self.once.fresh, raw))],
            offset,
        )
        return True

    def _send(self, entries: list[Entry]) -> None:
        """Runs before points, points before artifacts, the end last."""
        by_kind: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_kind[entry["kind"]].append(entry)
        for kind, send in (("start", self._start), ("tags", self._tags), ("input", self._input)):
            for entry in by_kind[kind]:
                self._try(entry, send, entry)
        self._metrics(by_kind["metrics"])
        for kind, send in (("artifact", self._artifact), ("end", self._end)):
            for entry in by_kind[kind]:
                self._try(entry, send, entry)

    def _try(self, entry: Entry, call: Callable[..., Any], *arguments: Any) -> Any:
        """`call(...)`; an entry that can never be accepted is put aside with the reason."""
        try:
            return call(*arguments)
        except MlflowException as error:
            if error.error_code not in PERMANENT_ERRORS:
                raise
            self._put_aside(entry, error)
        except (KeyError, TypeError, AttributeError, FileNotFoundError) as error:
            self._put_aside(entry, error)
        return None

    def _put_aside(self, entry: Entry, error: Exception) -> None:
        rejected = AppendOnlyFile(self.spool_dir / "rejected.jsonl")
        rejected.append([{**entry, "reason": f"{type(error).__name__}: {error}"}])
        rejected.close()

    def _run(self, key: str, entry: Entry | None = None) -> str:
        """The run of `key`, made if it does not exist (its parent first)."""
        if self._unsure:  # an answer was lost on the way: the run may have been made
            self._find_runs()
            self._unsure = False
        if key not in self.run_ids:
            tags = {KEY_TAG: key, SWEEP_TAG: self.sweep_id}
            if entry and entry["parent_key"]:
                tags["mlflow.parentRunId"] = self._run(entry["parent_key"])
            self.run_ids[key] = self._create(key, tags, entry)
            atomic_json(self.spool_dir / "runs.json", self.run_ids, durable=False)
        return self.run_ids[key]

    def _create(self, key: str, tags: dict[str, str], entry: Entry | None) -> str:
        name, began = (entry["name"], entry["time_ms"]) if entry else (key, None)
        self._unsure = True
        run = self.client.create_run(self.experiment_id, began, tags, clean_text(name, 250))
        self._unsure = False
        return run.info.run_id

    def _start(self, entry: Entry) -> None:
        made = entry["run_key"] in self.run_ids
        run_id = self._run(entry["run_key"], entry)
        if made:  # by a child that came first, or before a kill
            self.client.update_run(run_id, name=clean_text(entry["name"], 250))
        params = [Param(name, clean_text(text, 6000)) for name, text in entry["params"].items()]
        for part in parts(params, 100):
            self.client.log_batch(run_id, params=part)
        self._tags(entry)

    def _tags(self, entry: Entry) -> None:
        tags = [RunTag(clean_name(name), clean_text(text, 8000)) for name, text in entry["tags"].items()]
        for part in parts(tags, 100):
            self.client.log_batch(self._run(entry["run_key"]), tags=part)

    def _input(self, entry: Entry) -> None:
        source = json.dumps({"uri": entry["source"]})
        dataset = Dataset(clean_text(entry["name"], 500), entry["digest"][:36], "local", source)
        context = [InputTag("mlflow.data.context", entry["context"])]
        self.client.log_inputs(self._run(entry["run_key"]), datasets=[DatasetInput(dataset, context)])

    def _metrics(self, entries: list[Entry]) -> None:
        points: dict[str, list[tuple[Entry, Metric]]] = defaultdict(list)
        for entry in entries:
            if entry["tags"]:
                self._try(entry, self._tags, entry)
            for name, value in entry["values"].items():
                point = Metric(name, value, entry["time_ms"], entry["step"])
                points[entry["run_key"]].append((entry, point))
        for key, found in points.items():
            for part in parts(found, 1000):
                self._points(key, part)

    def _points(self, key: str, points: list[tuple[Entry, Metric]]) -> None:
        try:
            self.client.log_batch(self._run(key), metrics=[point for _, point in points])
        except MlflowException as error:
            if error.error_code not in PERMANENT_ERRORS:
                raise
            if len(points) == 1 or error.error_code == "RESOURCE_DOES_NOT_EXIST":
                for entry, _ in points:
                    self._put_aside(entry, error)
                return
            half = len(points) // 2  # one bad point must not take the others with it
            self._points(key, points[:half])
            self._points(key, points[half:])

    def _artifact(self, entry: Entry) -> None:
        path, where = Path(entry["path"]), entry["artifact_path"] or None
        send = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        send(self._run(entry["run_key"]), str(path), where)

    def _end(self, entry: Entry) -> None:
        self.client.set_terminated(self._run(entry["run_key"]), entry["status"], entry["time_ms"])


def parts(items: list[Any], size: int) -> list[list[Any]]:
    """`items` in stretches of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def clean_text(text: str, limit: int) -> str:
    """At most `limit` characters and no NUL, which Postgres refuses."""
    text = str(text).replace("\0", "")
    return text if len(text) <= limit else text[: limit - 3] + "..."
