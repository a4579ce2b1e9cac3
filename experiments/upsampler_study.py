"""Pixel shuffle against transposed convolutions, and the effect of the published three-stage schedule.

python experiments/upsampler_study.py --miniature --data faces=img_align_celeba.zip
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.common import cli, study_command


@dataclass(frozen=True, kw_only=True)
class UpsamplerStudyOptions(study_command.StudyOptions):
    """Options of the upsampler study; every setting of its trainings follows under its dotted name."""

    sensitivity: bool = True
    """Also train with three learning rates, batches and kernels, at equal parameters, and with Adam's moments
    kept at a swap; --no-sensitivity leaves these arms out."""
    only: tuple[str, ...] = ()
    """Only the arms whose names begin so, "pixel shuffle 15" and the schedule "5+5+5" too; empty: all."""


if __name__ == "__main__":
    cli.run(lambda: study_command.main("upsampler_study", UpsamplerStudyOptions))
