"""The distortion that champions demand of a sweep's networks, measured on its val images before it begins."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from datasets.errors import UserError
from datasets.loader import input_protocol
from orchestrator.cluster.capacity import Capacity
from orchestrator.registry.gate import Thresholds
from orchestrator.sweep.held_out import evaluate_on_val
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.request import Request
from orchestrator.tracking import server
from trainers.config import TrainConfig
from trainers.objectives import Objectives


def champion_floor(
    request: Request, measure: Callable[[nn.Module], Mapping[str, float]]
) -> tuple[float, str]:
    """Return the signed distortion that champions demand, and what set it in words: Objectives.least.

    It is that of the champion of the sweep's registered name, or of the first one there was, less the gate's
    margin; the larger counts. Only champions of equal objectives and delta demand anything. Returns minus
    infinity if there is no such champion, or if it cannot be asked.
    """
    margin = Thresholds().margin_db
    try:
        found = _champions(request, measure)
    except UserError as error:
        return -math.inf, f"the champion was not asked: {error}"
    if not found:
        return -math.inf, ""
    value, who = max(found)
    return value - margin, f"the {who}'s {abs(value):.2f} less {margin:g}"


def floor_facts(plan: SweepPlan, capacity: Capacity) -> dict[str, Any]:
    """Return what champions demand of the sweep's networks, for sweep.json; no champion demands None."""
    request, digest = plan.request, plan.digests["val"]
    value, set_by = champion_floor(request, lambda net: evaluate_on_val(net, request, digest, capacity))
    return {"champion_floor": {"value": value if math.isfinite(value) else None, "set_by": set_by}}


def _champions(
    request: Request, measure: Callable[[nn.Module], Mapping[str, float]]
) -> list[tuple[float, str]]:
    """Return (signed distortion on these images, name) of the champion and of the first of its kind."""
    uri = request.tracking_uri or request.default_tracking_uri()
    if server.missing_store(uri):
        return []
    server.probe(uri)
    from orchestrator.registry.candidate import registered_name  # MLflow, a second or two
    from orchestrator.registry.load_model import load_generator
    from orchestrator.registry.registry import CHAMPION, Registry

    registry, objective = Registry(uri, registered_name(request.name)), request.config.objective
    named = (
        (registry.by_alias(CHAMPION), "champion"),
        (registry.first_champion(objective.pair), "first champion"),
    )
    versions = {version.number: who for version, who in reversed(named) if version}
    found = []
    for number, who in versions.items():
        generator, config = load_generator(f"models:/{registry.model}/{number}", uri)
        if _comparable(config, request.config):
            found.append((Objectives.of(objective).point(measure(generator))[0], who))
    return found


def _comparable(champion: TrainConfig, own: TrainConfig) -> bool:
    """Return True for equal objectives and delta, scale and network input: values on the same pairs."""
    same = champion.objective.pair == own.objective.pair and champion.generator.scale == own.generator.scale
    return same and input_protocol(champion.data) == input_protocol(own.data)
