"""The stages of a sweep: warm, screen, repeat, confirm, test. Each is read back if it was done before."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.results.labels import SEEDS, settings_of
from orchestrator.results.leaderboard import best_designs
from orchestrator.results.row import PsnrNetwork, Row, psnr_row, test_row
from orchestrator.results.sweep_folder import (
    checkpoint_url,
    read_stage,
    write_rows,
    write_stage,
)
from orchestrator.sweep.context import SweepContext
from orchestrator.sweep.held_out import evaluate_checkpoints, images_of
from orchestrator.sweep.population import run_population
from orchestrator.sweep.stage import Stage
from orchestrator.sweep.stage_runner import run_stage
from orchestrator.trial import warm_starts
from trainers.benchmarks.cost import step_flops
from trainers.config import flatten, override
from trainers.warm_start_key import in_key, warm_start_key

Designs = tuple[dict[str, Any], ...]
REPEATS = (1, 2)
"""Seeds that each repeated design gets in the first part of the stage, and the best half in the second."""
EVALUATED = "run.psnr_eval_every_steps"
WARM = "confirm-warm"
"""Name of the part of the confirmation in which its PSNR phases are trained."""
FIRST_REPEATED_SEED = 1000
"""Above the sweep's own seed, so that no seed of the confirmation has chosen anything."""


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
    add(run_stage(context, Stage("warm", derived_designs(context), "-derived")))
    context.replan("screen")
    if context.plan.generations:
        add(run_population(context, run_stage))
    else:
        add(run_stage(context, Stage("screen", draws=True)))
    context.replan("repeat")
    for part in range(len(REPEATS)):
        add(run_stage(context, Stage("repeat", repeat_designs(context, rows, part), f"-{part}")))
    context.replan("confirm")
    done, suffix = 0, ""
    while designs := confirm_designs(context, rows, done):
        phases = confirm_warm_designs(context, designs, suffix)
        add(run_stage(context, Stage("warm", phases, f"-confirm{suffix}", planned=WARM)))
        add(run_stage(context, Stage("confirm", designs, suffix)))
        done = context.request.confirm_seeds
        suffix = f"-from-{done}"
        context.add_seeds()
    return rows + run_test(context, rows)


def warm_designs(context: SweepContext) -> Designs:
    """Return a design for each architecture that needs a whole PSNR phase and has none yet."""
    plan, run = context.plan, context.request.config.run
    given = {} if run.gan_steps else {"run.psnr_steps": 0}  # the network of run.start_from as it is
    whole = [i for i in plan.missing if i not in plan.derived]
    return tuple({"trial_id": f"warm-{plan.warm_keys[i]}", **plan.architectures[i], **given} for i in whole)


def derived_designs(context: SweepContext) -> Designs:
    """Return a design for each architecture whose PSNR phase begins with the ancestor's network."""
    plan = context.plan
    return tuple(
        {"trial_id": f"warm-{plan.warm_keys[i]}", **plan.architectures[i]}
        | {name: flatten(plan.phases[i])[name] for name in ("run.psnr_steps", "run.derived_from")}
        for i in plan.derived
    )


def repeat_designs(context: SweepContext, rows: Sequence[Row], part: int) -> Designs:
    """Return the best designs again, each with new seeds of its GAN phase from the shared warm start.

    Part 0 repeats the best dozen once; part 1 the best half of them, by the means of all their runs, twice.
    """
    count = context.request.repeat_top
    seed = context.request.config.run.seed + FIRST_REPEATED_SEED + sum(REPEATS[:part])
    best = best_designs(rows, context.objectives, count if part == 0 else -(-count // 2))
    return _with_seeds(f"repeat-{part}", best, range(seed, seed + REPEATS[part]))


def confirm_designs(context: SweepContext, rows: Sequence[Row], done: int = 0) -> Designs:
    """Return the best designs, each with its own seeds for weights and data order in both phases.

    The first `done` seeds are left out.
    """
    request = context.request
    seed = request.config.run.seed + 1
    best = best_designs(rows, context.objectives, request.confirm_top)
    seeds = range(seed + done, seed + request.confirm_seeds)
    return _with_seeds(f"confirm-from-{done}" if done else "confirm", best, seeds)


def _with_seeds(name: str, rows: Sequence[Row], seeds: range) -> Designs:
    designs = []
    for place, row in enumerate(rows):
        lineage = {"lineage": row["lineage"]} if row.get("lineage") else {}
        for k, seed in enumerate(seeds):
            values = row["values"] | dict.fromkeys(SEEDS, seed)
            designs.append({"trial_id": f"{name}-{place}-s{k}", **values, **lineage})
    return tuple(designs)


def confirm_warm_designs(context: SweepContext, designs: Designs, part: str = "") -> Designs:
    """Return a design for each PSNR phase of the confirmation that does not exist yet.

    Designs of equal architecture and seed share one. The longer phases come first, so that no slot waits for
    one at the end. The list is stored before any is trained, because a resumed stage knows its trials by
    their places in it.
    """
    storage, request, plan = context.storage, context.request, context.plan
    file = f"{WARM}{part}-planned"
    planned = read_stage(storage, request.name, file, keys=("trial_id",))
    if planned is None:
        missing = {}
        for design in (*(() if part else longer_designs(context, designs)), *designs):
            settings = settings_of(design)
            config = override(request.config, settings)
            source = warm_starts.source(config, "confirm", flatten(request.config))
            key = warm_start_key(source, plan.digests["train"]) if source else ""
            if key and not warm_starts.ready(storage, key):
                own = {k: v for k, v in settings.items() if in_key(k) or k == EVALUATED}
                missing[key] = {"trial_id": f"warm-{key}"} | own
        planned = list(missing.values())
        write_stage(storage, request.name, file, planned)
    return tuple(planned)


def longer_designs(context: SweepContext, designs: Designs) -> Designs:
    """Return a PSNR network of each confirmed architecture, trained on for as much as the GAN phase costs.

    Costs are floating-point operations of the updates. They have the first seed of the confirmation.
    """
    base, longer = context.request.config, {}
    if not (base.run.psnr_steps and base.run.gan_steps):
        return ()
    for design in designs:
        settings = {k: v for k, v in settings_of(design).items() if in_key(k)}
        architecture = tuple((k, v) for k, v in settings.items() if k not in SEEDS)
        if architecture not in longer:
            config = override(base, settings)
            ratio = step_flops(config, "gan") / step_flops(config, "psnr")
            steps = config.run.psnr_steps + round(config.run.gan_steps * ratio)
            # as many evaluations as in the phases that are shorter
            every = config.run.psnr_eval_every_steps * steps // config.run.psnr_steps
            longer[architecture] = settings | {"run.psnr_steps": steps, EVALUATED: every}
    return tuple(longer.values())


def psnr_networks(context: SweepContext, phases: Designs) -> list[PsnrNetwork]:
    """Return the networks of these PSNR phases that were trained, here or by an earlier sweep."""
    found = []
    for settings in phases:
        config = override(context.request.config, settings)
        key = warm_start_key(config, context.plan.digests["train"])
        if warm_starts.ready(context.storage, key):
            place = warm_starts.published(context.storage, key)
            val = warm_starts.metrics(context.storage, key)
            found.append(PsnrNetwork(key, settings, config, place, val))
    return found


def better_warm_start(
    context: SweepContext, designs: Designs, longer: Sequence[PsnrNetwork]
) -> list[PsnrNetwork]:
    """Return the confirmed warm start that has less distortion on val than every longer phase, if one has.

    A longer phase can collapse: the best network without a GAN is then another.
    """
    phases = tuple({k: v for k, v in settings_of(design).items() if in_key(k)} for design in designs)
    networks = [*longer, *psnr_networks(context, phases)] if longer else []
    best = max(networks, key=lambda n: context.objectives.point(n.val)[0], default=None)
    return [] if best is None or best in longer else [best]


def run_test(context: SweepContext, rows: list[Row]) -> list[Row]:
    """Return the test rows: measure, once, the checkpoints that val chose on the test images."""
    request, storage = context.request, context.storage
    tests = read_stage(storage, request.name, "test")
    if tests is not None:
        return tests
    context.progress.begin("test")
    confirmed = [r for r in rows if r["stage"] == "confirm" and r["finished"]]
    designs = confirm_designs(context, rows)
    longer = psnr_networks(context, longer_designs(context, designs))
    networks = [*longer, *better_warm_start(context, designs, longer)]
    own = [checkpoint_url(storage, request.name, str(r["checkpoint"])) for r in confirmed]
    beside = [_beside(context, r, longer) for r in confirmed]
    pairs = list(zip(own, beside, strict=True))
    pairs += [(storage.url(n.checkpoint), {}) for n in networks]
    digest = context.plan.digests["test"]
    rivals = context.objectives if request.config.run.gan_steps else None  # sentinels are a GAN's
    images = images_of("test", request, digest, context.capacity, rivals)
    evaluations = evaluate_checkpoints(pairs, images)
    price, tests = request.price_per_gpu_hour, []
    for row, evaluation in zip(confirmed, evaluations[: len(confirmed)], strict=True):
        tests.append(_with_pictures(context, test_row(row, evaluation, price), evaluation))
        context.record.test("confirm", row["trial_id"], evaluation)
    own_runs = {r["trial_id"] for r in rows if r["stage"] == "warm"}
    for network, evaluation in zip(networks, evaluations[len(confirmed) :], strict=True):
        tests.append(row := _with_pictures(context, psnr_row(network, evaluation, price), evaluation))
        if row["of"] in own_runs:  # an earlier sweep may have trained it
            context.record.test("warm", row["of"], evaluation)
    write_stage(storage, request.name, "test", tests)
    return tests


def _with_pictures(context: SweepContext, row: Row, evaluation: Mapping[str, Any]) -> Row:
    """Store the test pictures of a network; return its row with their address and captions."""
    if not evaluation.get("pictures"):
        return {**row, "strip": None}
    place = context.path(f"trials/{row['trial_id']}/strip.png")
    context.storage.write_bytes(place, evaluation["pictures"]["png"])
    return {**row, "strip": context.storage.url(place), "captions": evaluation["pictures"]["captions"]}


def _beside(context: SweepContext, row: Row, longer: Sequence[PsnrNetwork]) -> dict[str, str]:
    """Return the URLs of the networks that a confirmed one is compared with: warm start, longer phase."""
    beside = {"warm": context.storage.url(row["warm"])} if row["warm"] else {}
    for network in longer:
        own = {k: v for k, v in network.values.items() if k not in (*SEEDS, "run.psnr_steps", EVALUATED)}
        if all(row["config"][name] == value for name, value in own.items()):
            beside["longer"] = context.storage.url(network.checkpoint)
    return beside
