"""The table of metrics: direction, unit, protocol and needs of each; an absent need is said in one sentence.

A metric is a function of two equally long sets of 8-bit images (`view.Views`, made and real): one value
per image, or one value for the set. Which images they are and how they were made is the business of
trainers/evaluate.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datasets.errors import UserError, unknown
from trainers.metrics import distortion, lpips, swd, weights
from trainers.metrics.view import Views


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measure of quality."""

    name: str
    """Name in tables, settings and rows."""
    direction: str
    """max or min: which way is better."""
    unit: str
    """dB, grey levels, or empty."""
    protocol: str
    """What must be equal before two values may be compared."""
    level: str = "image"
    """image: one value per image, the summary is their mean; set: one value for the whole set."""
    needs: tuple[str, ...] = ()
    """Weight files (trainers/metrics/weights.py) without which the metric is unavailable."""
    function: Callable[[Views, Views], list[float]] | Callable[[Views, Views], float]

    def unavailable(self) -> str:
        """The sentence that says what is missing; empty when nothing is."""
        lacking = weights.missing(self.needs)
        if not lacking:
            return ""
        return (
            f"metric {self.name} is unavailable: {' and '.join(lacking)} not found; set {weights.VARIABLE} "
            "to a folder that holds them, or choose objective.perceptual swd, which needs no weights"
        )


_SHAVE = "8-bit, border of scale px shaved"

METRICS: dict[str, Metric] = {
    "psnr_y": Metric(
        name="psnr_y",
        direction="max",
        unit="dB",
        protocol=f"BT.601 Y rounded to {_SHAVE}, peak 255, mean of dB",
        function=distortion.psnr_y,
    ),
    "ssim_y": Metric(
        name="ssim_y",
        direction="max",
        unit="",
        protocol=f"Wang 2004 on BT.601 Y rounded to {_SHAVE}, 11x11 gaussian 1.5, valid windows",
        function=distortion.ssim_y,
    ),
    "rmse_y": Metric(
        name="rmse_y",
        direction="min",
        unit="grey levels",
        protocol=f"BT.601 Y rounded to {_SHAVE}, mean of per-image RMSE",
        function=distortion.rmse_y,
    ),
    "psnr_rgb": Metric(
        name="psnr_rgb",
        direction="max",
        unit="dB",
        protocol=f"RGB {_SHAVE}, peak 255, mean of dB",
        function=distortion.psnr_rgb,
    ),
    "swd": Metric(
        name="swd",
        direction="min",
        unit="x1e-3",
        protocol="sliced Wasserstein x1e3, Laplacian levels down to 16 px, 128 7x7 patches each at paired "
        "places, standardised by the real set, 512 directions, 8-bit RGB unshaved",
        level="set",
        function=swd.swd,
    ),
    "lpips_alex": Metric(
        name="lpips_alex",
        direction="min",
        unit="",
        protocol="LPIPS v0.1 AlexNet, 8-bit RGB unshaved",
        needs=lpips.NEEDS_ALEX,
        function=lpips.lpips_alex,
    ),
}


def require(names: Sequence[str], option: str = "objective.perceptual") -> list[Metric]:
    """The metrics called `names`; UserError for a name that is unknown or a metric whose weights are absent.

    `option` is the setting that the sentence names.
    """
    chosen = []
    for name in names:
        if name not in METRICS:
            raise unknown("metric", name, METRICS, option)
        if sentence := METRICS[name].unavailable():
            raise UserError(sentence)
        chosen.append(METRICS[name])
    return chosen
