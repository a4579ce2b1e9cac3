"""Metrics by name, with direction, unit, protocol and requirements: those of table.py and a user's own.

A metric is a function of two equally long sets of images, generated and real (`image_view.Views`): one
value per image, or one value for the set. trainers/evaluate.py makes the images.

bands              psnr, ssim, sam, ergas: all bands of any depth
artifacts          lr_consistency, colour_shift, checkerboard, grid_detail, sharpness_gap
distortion         psnr_y, psnr_y_float, psnr_rgb, rmse_y, ssim_y, ssim_y_float, ms_ssim_y
lpips, dists, niqe the published perceptual metrics of these names
swd                sliced Wasserstein distance
frechet            fid, kid, fd_efficientnet, kd_efficientnet, fd_random, on the networks in extractors
gameability        changes that restore nothing, and the metrics that they better
domains            set distances with a classifier of the data sets at hand
image_view         pixels as metrics read them
"""

from collections.abc import Sequence

import numpy as np

from datasets.errors import UserError, unknown
from trainers import plugins
from trainers.metrics.image_view import Views
from trainers.metrics.table import BUILT_IN, Metric


def _own(name: str) -> Metric:
    """Return the metric that a user's function defines; its attribute `direction` is min by default."""
    direction = getattr(plugins.load("objective.perceptual", name), "direction", "min")
    if direction not in ("min", "max"):
        raise UserError(f"the direction of metric {name} must be min or max, but got {direction!r}")

    def measure(sr: Views, hr: Views) -> list[float]:
        return [_own_value(name, a.rgb, b.rgb) for a, b in zip(sr, hr, strict=True)]

    return Metric(name=name, direction=direction, protocol=f"{name}, 8-bit RGB unshaved", function=measure)


def _own_value(name: str, sr: np.ndarray, hr: np.ndarray) -> float:
    value = plugins.call("objective.perceptual", name, sr, hr)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"metric {name} must return a number, but got {value!r}") from None


METRICS = plugins.Table(BUILT_IN, _own)


UNSUPPORTED = {
    "pi": "it is the mean of niqe and 10 - Ma, and Ma's score needs a published random forest that this "
    "project does not read; measure niqe, its other half",
}
"""Well-known metrics that are not supported, and why."""


def format_metric(name: str, value: float | None, missing: str = "–") -> str:
    """Return `value` with the decimals of metric `name`, or `missing` for None and NaN.

    A name that is not in METRICS gets four significant digits.
    """
    if value is None or value != value:
        return missing
    return f"{value:.{METRICS[name].decimals}f}" if name in METRICS else f"{value:.4g}"


def meanings(*names: str) -> str:
    """Return a sentence without its full stop on what these metrics mean; a user's own say nothing."""
    return "; ".join(dict.fromkeys(BUILT_IN[name].meaning for name in names if name in BUILT_IN))


def require(names: Sequence[str], option: str = "objective.perceptual") -> list[Metric]:
    """Return the metrics called `names`; `option` is the setting that error messages name.

    UserError if a name is unknown, or a metric's package or weight files are missing.
    """
    chosen = []
    for name in names:
        if name in UNSUPPORTED:
            raise UserError(f"metric {name} is unavailable: {UNSUPPORTED[name]}")
        if name not in METRICS:
            raise unknown("metric", name, METRICS, option)
        if sentence := METRICS[name].unavailable():
            raise UserError(sentence)
        chosen.append(METRICS[name])
    return chosen
