"""The driver's entries: one MLflow run per sweep, trial and seed, all delivered by one writer process."""

import getpass
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from orchestrator.tracking.journal import Entry, Journal
from orchestrator.tracking.run_key import VIEW_PAGE, VIEW_TAG, experiment_name, run_key, runs_view
from orchestrator.tracking.writer import Writer

NOTE = "mlflow.note.content"
"""Tag that MLflow shows as the description of a run."""
SWEEP_NOTE = (
    "The answer and its evidence are in report.html among the artifacts; below is a run per trial. "
    "pick/METRIC: the picked design, mean over its seeds, on test if that was opened."
)
TRIAL_NOTE = (
    "best/METRIC is what the sweep judges: the best checkpoint so far (a median of three evaluations when "
    "screened and repeated), at the step where it was reached. val/METRIC is the learning curve, whose last "
    "value may be worse. test/METRIC was measured once, on other images."
)


class SweepRecord:
    """Writes the start, end, costs and tables of a sweep's runs; trials write their own metrics."""

    def __init__(self, folder: Path, sweep: str, tracking_uri: str, identity: str = "") -> None:
        self.folder, self.sweep = folder, sweep
        self.experiment = experiment_name(sweep)
        self.writer = Writer(folder / "spool", tracking_uri, self.experiment, identity)
        self.page = ""
        """The page of the experiment that shows the metrics of the objectives; empty until it has one."""
        self.journals: dict[str, Journal] = {}
        """Run key -> its open journal."""
        self.ended: set[str] = set()
        """Keys of runs whose journals were passed on and closed."""

    def start(self, params: Mapping[str, Any], tags: Mapping[str, Any], images: Mapping[str, Any]) -> None:
        """Start the writer process and the parent run; `images` maps roles to image sets.

        The two objectives among `params`, all settings under dotted names, become columns of the runs table.
        """
        self.writer.start()
        journal = self._journal(self.sweep)
        about = {NOTE: SWEEP_NOTE, "mlflow.source.name": str(tags.get("command") or "upsweep.sweep")}
        journal.start(self.sweep, params, {**tags, **about, "mlflow.user": _user()})
        objectives = [params.get(f"objective.{kind}") for kind in ("perceptual", "distortion")]
        if all(objectives):
            journal.experiment_tags({VIEW_TAG: runs_view(*map(str, objectives))})
            self.page = VIEW_PAGE
        for role, image_set in images.items():
            journal.input(image_set.name, image_set.digest, image_set.name, role)
        self.writer.append(journal.drain())

    def submission(self, folder: Path) -> None:
        """Add the folder that records how the sweep was submitted to the parent run's artifacts."""
        journal = self._journal(self.sweep)
        journal.artifact(folder, "submission")
        self.writer.append(journal.drain())

    def append(self, entries: Sequence[Entry]) -> None:
        """Pass on entries that a trial sent with a report."""
        if entries:
            self.writer.append(entries)

    def start_trial(self, stage: str, trial_id: str, design: str, config: Mapping[str, Any]) -> None:
        """Start a child run with every setting under its dotted name."""
        journal = self._journal(run_key(self.sweep, stage, trial_id))
        seed = f" seed {config['run.seed']}" if stage in ("repeat", "confirm") else ""
        tags = {"stage": stage, "design": design, "seed": config["run.seed"], "trial_id": trial_id}
        tags |= {
            NOTE: TRIAL_NOTE,
            "mlflow.source.name": f"sweep {self.sweep}, {stage}",
            "mlflow.user": _user(),
        }
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
        best: tuple[int, Mapping[str, float]] = (0, {}),
    ) -> None:
        """End a trial's run with its verdict, cost and image strip.

        `best` are the step and the metrics by which the sweep judges the trial, logged as best/METRIC.
        """
        journal = self._journal(run_key(self.sweep, stage, trial_id))
        journal.tags({"verdict": verdict} | ({"checkpoint": checkpoint} if checkpoint else {}))
        journal.metrics(0, {f"cost/{k}": v for k, v in cost_metrics(spent).items()})
        step, judged = best
        journal.metrics(step, {f"best/{k}": v for k, v in judged.items()})
        if strip:
            journal.artifact(strip, "images")
        journal.end("FAILED" if failed else "FINISHED")
        self.writer.append(journal.drain())
        self.journals.pop(journal.run_key).close()  # thousands of open files are too many
        self.ended.add(journal.run_key)

    def test(self, stage: str, trial_id: str, evaluation: Mapping[str, Any]) -> None:
        """Log test metrics, and a table of them per image, to the run of the network that was measured."""
        journal = self._journal(run_key(self.sweep, stage, trial_id))
        journal.metrics(0, {f"test/{k}": v for k, v in evaluation["summary"].items()})
        path = self.folder / "tables" / trial_id / "test_per_image.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {_model_and_metric(name): values for name, values in evaluation["per_image"].items()}
        parquet.write_table(per_image_table(evaluation["keys"], values), path)
        journal.artifact(path, "tables")
        self.writer.append(journal.drain())

    def finish(
        self,
        tags: Mapping[str, Any],
        files: Sequence[str],
        status: str = "FINISHED",
        pick: Mapping[str, float] | None = None,
    ) -> None:
        """End the parent run with the sweep's result as tags, costs and files.

        `pick` are the metrics of the picked design, means over its seeds, logged as pick/METRIC.
        """
        journal = self._journal(self.sweep)
        answer = (
            f"Pick: {tags['pick_design']} ({tags.get('pick_reason')}). " if tags.get("pick_design") else ""
        )
        journal.tags({**tags, NOTE: answer + SWEEP_NOTE})
        journal.metrics(0, {f"pick/{k}": v for k, v in (pick or {}).items()})
        journal.metrics(0, {f"cost/{k}": v for k, v in cost_metrics(tags).items()})
        for path in files:
            journal.artifact(path)
        journal.end(status)
        self.writer.append(journal.drain())

    def close(self, timeout_s: float = 60.0) -> bool:
        """Wait until MLflow has everything; False after `timeout_s`: the rest stays in the spool."""
        for journal in self.journals.values():
            journal.close()
        return self.writer.close(timeout_s)

    def _journal(self, key: str) -> Journal:
        if key not in self.journals:
            name = key.replace("/", "--")
            self.journals[key] = Journal(self.folder / "driver" / f"{name}.jsonl", key)
            if key in self.ended:
                self.journals[key].drain()
        return self.journals[key]


def _user() -> str:
    """Return the name of who runs this process, as MLflow shows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"


def cost_metrics(values: Mapping[str, Any]) -> dict[str, float]:
    """Return gpu_hours, cpu_hours and, if a price was given, total (in its currency), as far as known."""
    hours = {k: values[k] for k in ("gpu_hours", "cpu_hours") if k in values}
    return hours | ({"total": values["cost"]} if values.get("cost") else {})


def _model_and_metric(name: str) -> tuple[str, str]:
    """Split "warm/psnr_y" into model and metric; a bare "psnr_y" is the trial's own network, "ours"."""
    model, _, metric = name.rpartition("/")
    return {"": "ours", "warm": "warm start"}.get(model, model), metric


def per_image_table(keys: Sequence[str], values: Mapping[tuple[str, str], Sequence[float]]) -> pa.Table:
    """Return the columns image, model, metric, value; `values` maps (model, metric) to a value per key."""
    rows = [
        {"image": key, "model": model, "metric": metric, "value": float(value)}
        for (model, metric), of_images in values.items()
        for key, value in zip(keys, of_images, strict=True)
    ]
    types = {"image": pa.string(), "model": pa.string(), "metric": pa.string(), "value": pa.float64()}
    return pa.Table.from_pylist(rows, schema=pa.schema(types))
