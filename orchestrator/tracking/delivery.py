"""Delivery of a spool file to MLflow, each entry once.

MLflow's content is a function of the spool alone. The first value of each (run, metric, step) is sent and
later ones are dropped. A batch sent twice because of a kill has equal rows with equal times, which MLflow's
database stores once. No other process may write these runs.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from datasets.address import masked
from datasets.files import atomic_json, read_json
from orchestrator.tracking.deduplicate import Deduplicator, clean_name
from orchestrator.tracking.journal import AppendOnlyFile, Entry, read_entries
from orchestrator.tracking.mlflow_client import get_or_create_experiment, open_client
from orchestrator.tracking.server import artifact_root
from orchestrator.tracking.writer import KEY_TAG

SWEEP_TAG = "upsweep.sweep_id"
PERMANENT_ERRORS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"}
"""Error codes that a retry cannot change: the entry is written to rejected.jsonl and delivery continues."""


class Delivery:
    """The MLflow runs of one sweep, and the state of their delivery."""

    def __init__(self, spool_dir: Path, tracking_uri: str, experiment: str) -> None:
        self.spool_dir = spool_dir
        self.spool = spool_dir / "spool.jsonl"
        self.sweep_id = read_json(spool_dir / "identity.json")["identity"]
        self.offset = read_json(spool_dir / "progress.json").get("offset", 0)
        self.client = open_client(tracking_uri)
        self.experiment_id = get_or_create_experiment(
            self.client, experiment, artifact_root(tracking_uri, spool_dir)
        )
        atomic_json(spool_dir / "experiment.json", {"id": self.experiment_id}, durable=False)
        self.deduplicator = Deduplicator()
        self.run_ids: dict[str, str] = {}
        self._pending: tuple[list[Entry], int] | None = None
        self._unsure = False
        self._find_runs()
        self._replay_spool()

    def _find_runs(self) -> None:
        """Look up this sweep's existing runs: created before a kill, or before the spool was lost."""
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
                    self._load_history(key, run)
            token = page.token
            if not token:
                break
        self._note_runs()

    def _note_runs(self) -> None:
        """Write the ids of all runs: once a block, because the file grows with the number of trials."""
        atomic_json(self.spool_dir / "runs.json", self.run_ids, durable=False)
        self._noted = len(self.run_ids)

    def _load_history(self, key: str, run: Any) -> None:
        """Mark the params and metric steps that the server has of a run whose spool may be lost."""
        self.deduplicator.mark_params(key, run.data.params)
        for name in run.data.metrics:
            history = self.client.get_metric_history(run.info.run_id, name)
            self.deduplicator.mark_points(key, name, (point.step for point in history))

    def _replay_spool(self) -> None:
        """Mark everything in the delivered part of the spool as seen."""
        offset = 0
        while offset < self.offset:
            entries, offset = read_entries(self.spool, offset, min(1 << 22, self.offset - offset))
            for entry in entries:
                self.deduplicator.new_part(entry)

    def step(self) -> bool:
        """Deliver the next block of the spool and advance the offset; False if there was none.

        After a failure the whole block is sent again: MLflow stores equal rows once.
        """
        self._pending = self._pending or self._read()
        if self._pending is None:
            return False
        entries, offset = self._pending
        self._send(entries)
        if len(self.run_ids) > self._noted:
            self._note_runs()
        self.offset, self._pending = offset, None
        return True

    def _read(self) -> tuple[list[Entry], int] | None:
        """Return the next block, deduplicated, and the offset of its end; None if there is none."""
        if not self.spool.exists() or self.spool.stat().st_size <= self.offset:
            return None
        entries, offset = read_entries(self.spool, self.offset)
        if offset == self.offset:
            return None
        new = (self._try(entry, self.deduplicator.new_part, entry) for entry in entries)
        return [entry for entry in new if entry], offset

    def _send(self, entries: list[Entry]) -> None:
        """Send runs before metrics, metrics before artifacts, and the ends of runs last."""
        by_kind: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_kind[entry["kind"]].append(entry)
        first = {"start": self._start, "tags": self._tags, "experiment_tags": self._experiment_tags}
        for kind, send in (first | {"input": self._input}).items():
            for entry in by_kind[kind]:
                self._try(entry, send, entry)
        self._metrics(by_kind["metrics"])
        for kind, send in (("artifact", self._artifact), ("end", self._end)):
            for entry in by_kind[kind]:
                self._try(entry, send, entry)

    def _try(self, entry: Entry, call: Callable[..., Any], *arguments: Any) -> Any:
        """Return `call(*arguments)`; reject `entry` if MLflow can never accept it."""
        try:
            return call(*arguments)
        except MlflowException as error:
            if error.error_code not in PERMANENT_ERRORS:
                raise
            self._reject(entry, error)
        except (KeyError, TypeError, AttributeError, FileNotFoundError) as error:
            self._reject(entry, error)
        return None

    def _reject(self, entry: Entry, error: Exception) -> None:
        """Write `entry` and the reason to rejected.jsonl."""
        rejected = AppendOnlyFile(self.spool_dir / "rejected.jsonl")
        rejected.append([{**entry, "reason": masked(f"{type(error).__name__}: {error}")}])
        rejected.close()

    def _run(self, key: str, entry: Entry | None = None) -> str:
        """Return the id of the run of `key`; create the run if it does not exist, its parent first."""
        if self._unsure:  # the answer to a creation was lost: the run may exist
            self._find_runs()
            self._unsure = False
        if key not in self.run_ids:
            tags = {KEY_TAG: key, SWEEP_TAG: self.sweep_id}
            if entry and entry["parent_key"]:
                tags["mlflow.parentRunId"] = self._run(entry["parent_key"])
            name, start_ms = (entry["name"], entry["time_ms"]) if entry else (key, None)
            self._unsure = True
            run = self.client.create_run(self.experiment_id, start_ms, tags, clean_text(name, 250))
            self._unsure = False
            self.run_ids[key] = run.info.run_id
        return self.run_ids[key]

    def _start(self, entry: Entry) -> None:
        existed = entry["run_key"] in self.run_ids  # created for a child that came first, or before a kill
        run_id = self._run(entry["run_key"], entry)
        if existed:
            self.client.update_run(run_id, name=clean_text(entry["name"], 250))
        params = [Param(name, clean_text(text, 6000)) for name, text in entry["params"].items()]
        for part in parts(params, 100):
            self.client.log_batch(run_id, params=part)
        self._tags(entry)

    def _tags(self, entry: Entry) -> None:
        tags = [RunTag(clean_name(name), clean_text(text, 8000)) for name, text in entry["tags"].items()]
        for part in parts(tags, 100):
            self.client.log_batch(self._run(entry["run_key"]), tags=part)

    def _experiment_tags(self, entry: Entry) -> None:
        for name, text in entry["tags"].items():
            self.client.set_experiment_tag(self.experiment_id, clean_name(name), clean_text(text, 5000))

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
        for key, of_run in points.items():
            for part in parts(of_run, 1000):
                self._points(key, part)

    def _points(self, key: str, points: list[tuple[Entry, Metric]]) -> None:
        try:
            self.client.log_batch(self._run(key), metrics=[point for _, point in points])
        except MlflowException as error:
            if error.error_code not in PERMANENT_ERRORS:
                raise
            if len(points) == 1 or error.error_code == "RESOURCE_DOES_NOT_EXIST":
                for entry, _ in points:
                    self._reject(entry, error)
                return
            half = len(points) // 2  # halve until the bad point is alone: the others are stored
            self._points(key, points[:half])
            self._points(key, points[half:])

    def _artifact(self, entry: Entry) -> None:
        path = self._where(Path(entry["path"]))
        send = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        send(self._run(entry["run_key"]), str(path), entry["artifact_path"] or None)

    def _where(self, path: Path) -> Path:
        """Return where a file of the sweep is now: its storage may have been moved since it was noted."""
        sweep = self.spool_dir.parents[1]
        below = str(path).rpartition(f"/{sweep.name}/")[2]
        return sweep / below if not path.exists() and (sweep / below).exists() else path

    def _end(self, entry: Entry) -> None:
        self.client.set_terminated(self._run(entry["run_key"]), entry["status"], entry["time_ms"])


def parts(items: list[Any], size: int) -> list[list[Any]]:
    """Split `items` into lists of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def clean_text(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`, without NUL, which Postgres refuses."""
    text = str(text).replace("\0", "")
    return text if len(text) <= limit else text[: limit - 3] + "..."
