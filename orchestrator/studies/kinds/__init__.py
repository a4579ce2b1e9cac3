"""The studies, one module each: which networks are trained, and the conclusions drawn from them.

dataset_matrix: train on A, test on B. colorize: grey to colour. edges_to_photo: Canny edges to photographs.
upsampler and upsampler_results: pixel shuffle, transposed convolutions and a three-stage schedule.
perception_distortion and perception_distortion_results: a PSNR network, its GAN, and interpolations of both.
benchmark_review: rows of published networks on test sets.
"""

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
    """A study's planning function, and the baselines it is compared with."""

    plan: Callable[..., Study]
    baselines: tuple[str, ...]


STUDIES = {
    "dataset_matrix": StudyKind(dataset_matrix.plan, dataset_matrix.BASELINES),
    "colorize": StudyKind(colorize.plan, colorize.BASELINES),
    "edges_to_photo": StudyKind(edges_to_photo.plan, edges_to_photo.BASELINES),
    "upsampler_study": StudyKind(upsampler.plan, upsampler.BASELINES),
    "perception_distortion": StudyKind(perception_distortion.plan, perception_distortion.BASELINES),
    "srgan_review": StudyKind(benchmark_review.plan, benchmark_review.BASELINES),
    "srcnn_vs_esrgan": StudyKind(benchmark_review.plan, benchmark_review.VERSUS_BASELINES),
}
"""Studies by name; to add one, write a module in this package and add a line here."""
