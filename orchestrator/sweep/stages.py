"""The stages of a sweep in order: warm, screen, confirm, test. Each is read back if it was done before."""

from typing import Any

from orchestrator.results.leaderboard import to_confirm
from orchestrator.results.row import Row, test_row
from orchestrator.results.sweep_folder import checkpoint_url, read_stage, write_rows, write_stage
from orchestrator.sweep.context import SweepContext
from orchestrator.sweep.held_out import evaluate_checkpoints
from orchestrator.sweep.population import run_population
from orchestrator.sweep.stage import Stage
from orchestrator.sweep.stage_runner import run_stage


def run_stages(context: SweepContext) -> list[Row]:
    """Run all stages and return every row of the leaderboard.

    Raises:
        Interrupted: the user stopped the sweep.
    """
    rows: list[Row] = []

    def add(more: list[Row]) -> None:
        rows.extend(more)
        write_rows(context.storage, context.request.name, rows)

    add(run_stage(context, Stage("warm", warm_designs(context))))
    if context.plan.generations:
        add(run_population(context, run_stage))
    else:
        add(run_stage(context, Stage("screen", draws=True)))
    add(run_stage(context, Stage("confirm", confirm_designs(context, rows))))
    return rows + run_test(context, rows)


def warm_designs(context: SweepContext) -> tuple[dict[str, Any], ...]:
    """Return a design for each architecture whose warm start does not exist yet."""
    plan = context.plan
    return tuple({"trial_id": f"warm-{plan.warm_keys[i]}", **plan.architectures[i]} for i in plan.missing)


def confirm_designs(context: SweepContext, rows: list[Row]) -> tuple[dict[str, Any], ...]:
    """Return the best designs of the screen, each with its own seeds for weights and data order."""
    request = context.request
    designs = []
    for place, row in enumerate(to_confirm(rows, context.objectives, request.confirm_top)):
        lineage = {"lineage": row["lineage"]} if row.get("lineage") else {}
        for k in range(request.confirm_seeds):
            seed = request.config.run.seed + 1 + k
            values = row["values"] | {"run.seed": seed, "data.order_seed": seed}
            designs.append({"trial_id": f"confirm-{place}-s{k}", **values, **lineage})
    return tuple(designs)


def run_test(context: SweepContext, rows: list[Row]) -> list[Row]:
    """Return the test rows: measure, once, the checkpoints that val chose on the test images."""
    request, storage = context.request, context.storage
    tests = read_stage(storage, request.name, "test")
    if tests is not None:
        return tests
    context.progress.begin("test")
    confirmed = [r for r in rows if r["stage"] == "confirm" and r["finished"]]
    warm = [storage.url(context.path(f"trials/{r['trial_id']}/warm")) for r in confirmed]
    own = [checkpoint_url(storage, request.name, str(r["checkpoint"])) for r in confirmed]
    pairs = list(zip(own, warm, strict=True))
    evaluations = evaluate_checkpoints(pairs, "test", request, context.plan.digests["test"], context.capacity)
    tests = []
    for row, evaluation in zip(confirmed, evaluations, strict=True):
        tests.append(test_row(row, evaluation, request.price_per_gpu_hour))
        context.record.test(row["trial_id"], evaluation)
    write_stage(storage, request.name, "test", tests)
    return tests
