"""The studies themselves, one module each: what is trained, and what is concluded from it."""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.studies.kinds import (
    benchmark_review,
    colorize,
    dataset_matrix,
    edges_to_photo,
    perception_distortion,
    upsampler,
)
from orchestrator.studies.plan import Study


@dataclass(frozen=True)
class StudyKind:
    """How one study is planned, and the baselines it is measured against."""

    plan: Callable[..., Study]
    baselines: tuple[str, ...]


STUDIES = {
    "dataset_matrix": StudyKind(dataset_matrix.plan, dataset_matrix.BASELINES),
    "colorize": StudyKind(colorize.plan, colorize.BASELINES),
    "edges_to_photo": StudyKind(edges_to_photo.plan, edges_to_photo.BASELINES),
    "upsampler_study": StudyKind(upsampler.plan, upsampler.BASELINES),
    "perception_distortion": StudyKind(perception_distortion.plan, perception_distortion.BASELINES),
    "srgan_review": StudyKind(benchmark_review.plan, benchmark_review.BASELINES),
    "srcnn_vs_esrgan": StudyKind(benchmark_review.plan, benchmark_review.BASELINES),
}
"""Name of the study -> how it is planned; a new study is a module here and a line in this table."""
