"""The driver's side of the record: one MLflow run per sweep, trial and seed, told through the one writer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from orchestrator.tracking.journal import Entry, Journal
from orchestrator.tracking.writer import Writer


class SweepRecord:
    """Lifecycle entries of a sweep and its trials; metrics come from the trials' own journals."""

    def __init__(self, folder: Path, sweep: str, tracking_uri: str) -> None:
        self.folder, self.sweep = folder, sweep
        self.experiment = f"upsweep/{sweep}"
        self.writer = Writer(folder / "spool", tracking_uri, self.experiment)
        self.journals: dict[str, Journal] = {}

    def start(self, params: Mapping[str, Any], tags: Mapping[str, Any], images: Mapping[str, Any]) -> None:
        """Start the writer and the parent run; `images` are the role's image sets."""
        self.writer.start()
        journal = self._journal(self.sweep)
        journal.start(self.sweep, params, tags)
        for role, image_set in images.items():
            journal.input(image_set.name, image_set.digest, image_set.name, role)
        self.writer.append(journal.drain())

    def submission(self, folder: Path) -> None:
        """What the sweep was started from, with its parent run."""
        journal = self._journal(self.sweep)
        journal.artifact(folder, "submission")
        self.writer.append(journal.drain())

    def append(self, entries: Sequence[Entry]) -> None:
        """Entries that a trial sent with a report."""
        if entries:
            self.writer.append(entries)

    def start_trial(self, stage: str, trial_id: str, design: str, config: Mapping[str, Any]) -> None:
        """A child run with every setting under its dotted name."""
        journal = self._journal(self.key(stage, trial_id))
        seed = f" seed {config['run.seed']}" if stage == "confirm" else ""
        tags = {"stage": stage, "design": design, "seed": config["run.seed"], "trial_id": trial_id}
        journal.start(f"{stage} {design}{seed}", config, tags, parent_key=self.sweep)
        self.writer.append(journal.drain())

    def end_trial(
        self,
        stage: str,
        trial_id: str,
        verdict: str,
        spent: Mapping[str, float],
        strip: Path | None,
        checkpoint: str | None,
        failed: bool,
    ) -> None:
        """Verdict, cost and picture; then the run ends."""
        journal = self._journal(self.key(stage, trial_id))
        journal.tags({"verdict": verdict} | ({"checkpoint": checkpoint} if checkpoint else {}))
        journal.metrics(0, {f"cost/{k}": v for k, v in cost_metrics(spent).items()})
        if strip:
            journal.artifact(strip, "images")
        journal.end("FAILED" if failed else "FINISHED")
        self.writer.append(journal.drain())

    def test(self, confirm_id: str, evaluation: Mapping[str, Any]) -> None:
        """Test numbers, and a table of every image's, belong to the run whose network they measure."""
        journal = self._journal(self.key("confirm", confirm_id))
        journal.metrics(0, {f"test/{k}": v for k, v in evaluation["summary"].items()})
        path = self.folder / "tables" / confirm_id / "test_per_image.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(per_image_table(evaluation["keys"], evaluation["per_image"]), path)
        journal.artifact(path, "tables")
        self.writer.append(journal.drain())

    def finish(self, tags: Mapping[str, Any], files: Sequence[str], status: str = "FINISHED") -> None:
        """The sweep's answer on the parent run."""
        journal = self._journal(self.sweep)
        journal.tags(tags)
        journal.metrics(0, {f"cost/{k}": v for k, v in cost_metrics(tags).items()})
        for path in files:
            journal.artifact(path)
        journal.end(status)
        self.writer.append(journal.drain())

    def close(self, timeout_s: float = 60.0) -> bool:
        """Wait until MLflow has everything; False where it has not, and the spool keeps the rest."""
        for journal in self.journals.values():
            journal.close()
        return self.writer.close(timeout_s)

    def run_id(self, stage: str, trial_id: str) -> str | None:
        """The MLflow run of a trial, once the writer has made it."""
        return self.writer.run_ids().get(self.key(stage, trial_id))

    def key(self, stage: str, trial_id: str) -> str:
        """The run key that trials use in their journals."""
        return f"{self.sweep}/{stage}/{trial_id}"

    def _journal(self, key: str) -> Journal:
        if key not in self.journals:
            name = key.replace("/", "--")
            self.journals[key] = Journal(self.folder / "driver" / f"{name}.jsonl", key)
        return self.journals[key]


def cost_metrics(values: Mapping[str, Any]) -> dict[str, float]:
    """What was spent, of values that may hold more; a cost only where a price was given."""
    found = {k: values[k] for k in ("gpu_hours", "cpu_hours") if k in values}
    return found | ({"total": values["cost"]} if values.get("cost") else {})


MODELS = {"warm": "warm start", "bicubic": "bicubic"}


def per_image_table(keys: Sequence[str], per_image: Mapping[str, Sequence[float]]) -> pa.Table:
    """A line for each image, model and metric; `per_image` names ours "psnr_y", others "warm/psnr_y"."""
    lines = []
    for name, values in per_image.items():
        model, slash, metric = name.rpartition("/")
        model = MODELS.get(model, model) if slash else "ours"
        lines += [
            {"image": key, "model": model, "metric": metric, "value": float(value)}
            for key, value in zip(keys, values, strict=True)
        ]
    types = {"image": pa.string(), "model": pa.string(), "metric": pa.string(), "value": pa.float64()}
    return pa.Table.from_pylist(lines, schema=pa.schema(types))
