"""The perception-distortion plane: checkpoints, network interpolation, and the trials of a sweep.

python experiments/perception_distortion.py --miniature --test BSD100/HR --test-crop-px 296
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.common import cli, study_command


@dataclass(frozen=True, kw_only=True)
class PerceptionDistortionOptions(study_command.StudyOptions):
    """Options of the plane; every setting of its trainings follows under its dotted name."""

    test: str = "bsd100"
    """Test images: NAME=SPEC or SPEC; NIQE needs 192 px after the border."""
    test_crop_px: int = 0
    """Side of the centre crop of each test image; 0 measures it whole."""
    alphas: int = 11
    """Points from one network to the other, the ends included."""
    alpha_on: str = "gan"
    """The network that alpha is the weight of: gan (the ESRGAN paper) or psnr (the implementation report)."""
    sweep: str = ""
    """Name of a finished sweep in --storage; its trials are drawn too."""


if __name__ == "__main__":
    cli.run(lambda: study_command.main("perception_distortion", PerceptionDistortionOptions))
