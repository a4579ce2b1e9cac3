"""The distortion that a pick must reach: bicubic's, or the champion's less a margin."""

from collections.abc import Callable, Mapping

from torch import nn

from datasets.errors import UserError
from datasets.loader import input_protocol
from orchestrator.registry.gate import Thresholds
from orchestrator.sweep.request import Request
from orchestrator.tracking import server
from trainers.config import TrainConfig


def distortion_floor(
    request: Request, bicubic: float, measure: Callable[[nn.Module], Mapping[str, float]]
) -> tuple[float, str]:
    """Return max(bicubic, champion - margin) in the distortion metric, and what set it in words.

    `measure` returns the metrics of a network on the sweep's val images; it measures the champion of the
    sweep's registered name. If there is no champion, or it cannot be loaded, bicubic decides.
    """
    margin = Thresholds().margin_db
    try:
        champion = _champion(request, measure)
    except UserError as error:
        return bicubic, f"bicubic; the champion was not asked: {error}"
    if champion is None or champion - margin <= bicubic:
        return bicubic, "bicubic"
    return champion - margin, f"the champion's {champion:.2f} less {margin:g}"


def _champion(request: Request, measure: Callable[[nn.Module], Mapping[str, float]]) -> float | None:
    """Return the champion's distortion on these images; None if there is no champion of such a task."""
    uri = request.tracking_uri or request.default_tracking_uri()
    database = server.database_path(uri)
    if database is not None and not database.exists():
        return None
    server.probe(uri)
    from orchestrator.registry.candidate import registered_name  # MLflow, a second or two
    from orchestrator.registry.load_model import load_generator
    from orchestrator.registry.registry import CHAMPION, Registry

    registry = Registry(uri, registered_name(request.name))
    version = registry.by_alias(CHAMPION)
    if version is None:
        return None
    generator, config = load_generator(f"models:/{registry.model}/{version.number}", uri)
    if not _comparable(config, request.config):
        return None
    return measure(generator)[request.config.objective.distortion]


def _comparable(champion: TrainConfig, own: TrainConfig) -> bool:
    """Return True if both networks can be measured on the same pairs: equal scale and network input."""
    same_scale = champion.generator.scale == own.generator.scale
    return same_scale and input_protocol(champion.data) == input_protocol(own.data)
