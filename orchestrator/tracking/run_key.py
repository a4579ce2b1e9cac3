"""Names in MLflow: the experiment of a sweep, its page, and the key of a trial's run, which journals use too.

Keys are split only here; table_run.py builds the names of tables.
"""

import json

RUNS_PAGE = "runs?workflowType=machine_learning&orderByKey=tags.%60mlflow.runName%60&orderByAsc=true"
"""MLflow's table of all runs of an experiment, by name: its default order folds trials below their sweep."""
VIEW_TAG = "mlflow.sharedViewState.upsweep"
"""Tag of an experiment that holds a view of its table of runs, which MLflow calls a shared view."""
VIEW_PAGE = f"runs?workflowType=machine_learning&viewStateShareKey={VIEW_TAG.rpartition('.')[2]}"
"""MLflow's table of runs in the view of VIEW_TAG. Without that tag MLflow shows an error instead.

MLflow ignores the view if the address also has an order or a filter.
"""


def runs_view(perceptual: str, distortion: str) -> str:
    """Return the value of VIEW_TAG: all runs by name, with the metrics of both objectives as columns.

    Without a view MLflow selects no metric, and shows data sets and sources instead.
    """
    judged = [
        f"metrics.`{part}/{metric}`" for part in ("best", "test") for metric in (perceptual, distortion)
    ]
    view = {"orderByKey": "tags.`mlflow.runName`", "orderByAsc": True}
    return json.dumps(view | {"selectedColumns": [*judged, "tags.`verdict`"]})


def experiment_name(sweep: str) -> str:
    """Return the name of the MLflow experiment with the runs of a sweep or study: "upsweep/NAME"."""
    return f"upsweep/{sweep}"


def run_key(sweep: str, stage: str, trial_id: str) -> str:
    """Return the key of one trial's run: "sweep/stage/trial"."""
    return f"{sweep}/{stage}/{trial_id}"


def split_run_key(key: str) -> tuple[str, str, str]:
    """Return (sweep, stage, trial_id) of a key made by `run_key`.

    Raises:
        ValueError: if the key does not have three parts, as that of a sweep's parent run.
    """
    parts = key.split("/")
    if len(parts) != 3:
        raise ValueError(f"a run key must be sweep/stage/trial, but got {key!r}")
    return parts[0], parts[1], parts[2]
