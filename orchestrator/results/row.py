"""One row of a leaderboard: a trial's settings, metrics, cost and checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.results.outcome import describe_outcome, remarks
from orchestrator.search.labels import label
from orchestrator.search.space import SWITCH_SUFFIX
from trainers.config import digest
from trainers.objectives import Objectives

Row = dict[str, Any]


def metrics_of(result: Mapping[str, Any], measured: Sequence[str]) -> dict[str, float]:
    """The numbers of a result that belong into a row: measures, warm start's, shares."""
    names = [*measured, *(f"warm/{m}" for m in measured)]
    shares = [k for k in result if k.startswith(("gradient_share/", "data_wait_share", "d_accuracy"))]
    return {k: float(result[k]) for k in [*names, *shares] if k in result}


def design_key(row: Row) -> str:
    """The same for all seeds of one design, and for no other: labels may leave a setting out."""
    values = {k: v for k, v in row["values"].items() if k not in ("run.seed", "data.order_seed")}
    return digest(values | ({"course": row["course"]["parts"]} if row.get("course") else {}))


def cost_of(result: Mapping[str, Any], gpus: float, price: float) -> dict[str, float]:
    """gpu_hours, cpu_hours and cost of all attempts of a trial that holds `gpus` of a GPU."""
    gpu_hours = result.get("seconds", 0.0) / 3600 * gpus if result.get("device") == "cuda" else 0.0
    cpu_hours = float(result.get("cpu_seconds", 0.0)) / 3600
    return {"gpu_hours": gpu_hours, "cpu_hours": cpu_hours, "cost": gpu_hours * price}


def make_row(
    *,
    stage: str,
    trial_id: str,
    values: Mapping[str, Any],
    config: Mapping[str, Any],
    result: Mapping[str, Any],
    curve: Sequence[Mapping[str, Any]],
    measured: Sequence[str],
    bicubic: Mapping[str, float],
    protocol: Mapping[str, str],
    stopped_at: int | None,
    error: str,
    gpus: float,
    objectives: Objectives,
    price: float = 0.0,
) -> Row:
    """One row of leaderboard.json; `values` are the design's own settings, `config` all of them.

    `gpus` is the share of a GPU held, `price` that of an hour of a whole one. The result's times are those
    of all attempts of the trial.
    """
    distortion, perceptual = measured[0], measured[1]
    return {
        "trial_id": trial_id,
        "stage": stage,
        "design": label(values),
        "config": {k: v for k, v in config.items() if not k.endswith(SWITCH_SUFFIX)},
        "metrics": metrics_of(result, measured) | {f"bicubic/{m}": v for m, v in bicubic.items()},
        "protocol": dict(protocol),
        "verdict": describe_outcome(
            stage, result, stopped_at, error, remarks(result, curve, objectives, bicubic)
        ),
        "seed": config["run.seed"],
        **cost_of(result, gpus, price),
        "mlflow_run_id": None,
        "steps": int(result.get("step", 0)),
        "max_steps": int(result.get("max_steps", 0)),
        "rung": stopped_at,
        "curve": [
            [c["step"], c[distortion], c[perceptual]] for c in curve if c["phase"] == curve[-1]["phase"]
        ],
        "candidates": list(result.get("candidates", [])),
        "checkpoint": result.get("checkpoint"),
        "strip": None,
        "diverged": bool(result.get("diverged")),
        "finished": bool(result.get("complete")),
    }


def test_row(row: Row, evaluation: Mapping[str, Any], price: float) -> Row:
    """A confirmed row's twin of the test stage: what its checkpoint came to on images nothing had seen."""
    own = {k: evaluation[k] for k in ("protocol", "per_image", "keys", "gpu_hours", "cpu_hours")}
    return row | {
        "trial_id": row["trial_id"].replace("confirm", "test"),
        "stage": "test",
        "of": row["trial_id"],
        "metrics": evaluation["summary"],
        "verdict": "measured on test",
        "cost": evaluation["gpu_hours"] * price,
        "curve": [],
        "candidates": [],
        **own,
    }
