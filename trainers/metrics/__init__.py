"""The table of metrics, with direction, unit, protocol and requirements of each.

A metric is a function of two equally long sets of images, generated and real (`image_view.Views`): one
value per image, or one value for the set. trainers/evaluate.py makes the images.

bands              psnr, ssim, sam, ergas: all bands of any depth
artifacts          lr_consistency, colour_shift, checkerboard, grid_detail, sharpness_gap
distortion         psnr_y, psnr_rgb, rmse_y, ssim_y, ms_ssim_y
lpips, dists, niqe the published perceptual metrics of these names
swd                sliced Wasserstein distance
frechet            fid, kid, fd_efficientnet, kd_efficientnet, fd_random, on the networks in extractors
gameability        changes that restore nothing, and the metrics that they better
domains            set distances with a classifier of the data sets at hand
image_view         pixels as metrics read them; metric: the description of one
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from datasets.errors import UserError, unknown
from trainers import plugins
from trainers.metrics import artifacts, bands, distortion, dists, frechet, lpips, niqe, swd
from trainers.metrics.image_view import Views
from trainers.metrics.metric import Metric

_SHAVE = "8-bit, border of scale px shaved"

_BUILT_IN: dict[str, Metric] = {
    "psnr_y": Metric(
        name="psnr_y",
        direction="max",
        unit="dB",
        decimals=2,
        protocol=f"BT.601 Y rounded to {_SHAVE}, peak 255, mean of dB",
        function=distortion.psnr_y,
    ),
    "ssim_y": Metric(
        name="ssim_y",
        direction="max",
        protocol=f"Wang 2004 on BT.601 Y rounded to {_SHAVE}, 11x11 gaussian 1.5, valid windows",
        min_side=distortion.SSIM_MIN_SIDE,
        function=distortion.ssim_y,
    ),
    "ms_ssim_y": Metric(
        name="ms_ssim_y",
        direction="max",
        protocol=f"Wang 2003, 5 scales, on BT.601 Y rounded to {_SHAVE}",
        min_side=distortion.MS_SSIM_MIN_SIDE,
        function=distortion.ms_ssim_y,
    ),
    "rmse_y": Metric(
        name="rmse_y",
        direction="min",
        unit="grey levels",
        decimals=2,
        protocol=f"BT.601 Y rounded to {_SHAVE}, mean of per-image RMSE",
        function=distortion.rmse_y,
    ),
    "psnr": Metric(
        name="psnr",
        direction="max",
        unit="dB",
        decimals=2,
        protocol="all bands, border of scale px shaved, peak of the images, mean of dB",
        reads="bands",
        function=bands.psnr,
    ),
    "ssim": Metric(
        name="ssim",
        direction="max",
        protocol="Wang 2004, mean over all bands, border of scale px shaved, peak of the images, 11x11 "
        "gaussian 1.5, valid windows",
        min_side=distortion.SSIM_MIN_SIDE,
        reads="bands",
        function=bands.ssim,
    ),
    "sam": Metric(
        name="sam",
        direction="min",
        unit="degrees",
        decimals=3,
        protocol="spectral angle, mean over pixels, border of scale px shaved",
        reads="bands",
        function=bands.sam,
    ),
    "ergas": Metric(
        name="ergas",
        direction="min",
        decimals=3,
        protocol="Wald 2000: 100/scale x root mean square of RMSE over mean of each band, border of scale px "
        "shaved",
        reads="bands",
        function=bands.ergas,
    ),
    "psnr_rgb": Metric(
        name="psnr_rgb",
        direction="max",
        unit="dB",
        decimals=2,
        protocol=f"RGB {_SHAVE}, peak 255, mean of dB",
        function=distortion.psnr_rgb,
    ),
    "lpips_alex": Metric(
        name="lpips_alex",
        reads="rgb",
        direction="min",
        protocol="LPIPS v0.1 AlexNet, 8-bit RGB unshaved",
        function=lpips.lpips_alex,
    ),
    "lpips_vgg": Metric(
        name="lpips_vgg",
        reads="rgb",
        direction="min",
        protocol="LPIPS v0.1 VGG16, 8-bit RGB unshaved",
        function=lpips.lpips_vgg,
    ),
    "dists": Metric(
        name="dists",
        reads="rgb",
        direction="min",
        protocol="DISTS VGG16, 8-bit RGB unshaved, not resized",
        function=dists.dists,
    ),
    "niqe": Metric(
        name="niqe",
        direction="min",
        decimals=2,
        protocol=f"NIQE, published pristine model, 96 px blocks, BT.601 Y rounded to {_SHAVE}",
        min_side=niqe.MIN_SIDE,
        function=niqe.niqe,
    ),
    "swd": Metric(
        name="swd",
        reads="rgb",
        direction="min",
        unit="x1e-3",
        decimals=1,
        protocol="sliced Wasserstein x1e3, Laplacian levels down to 16 px, 128 7x7 patches each at paired "
        "places, standardised by the real set, 512 directions, 8-bit RGB unshaved",
        level="set",
        min_side=swd.MIN_SIDE,
        function=swd.swd,
        on_subsets=swd.on_subsets,
    ),
    "fid": Metric(
        name="fid",
        reads="rgb",
        direction="min",
        decimals=2,
        protocol="FID, Inception 2015-12-05 pool, TensorFlow 1 resizing (torch-fidelity), 8-bit RGB unshaved",
        level="set",
        package="torch_fidelity",
        function=frechet.fid,
        on_subsets=partial(frechet.on_subsets, frechet.frechet, "inception"),
    ),
    "kid": Metric(
        name="kid",
        reads="rgb",
        direction="min",
        decimals=5,
        protocol="KID, cubic kernel over all images, Inception 2015-12-05 pool, 8-bit RGB unshaved",
        level="set",
        package="torch_fidelity",
        function=frechet.kid,
        on_subsets=partial(frechet.on_subsets, frechet.kernel_distance, "inception"),
    ),
    "fd_efficientnet": Metric(
        name="fd_efficientnet",
        reads="rgb",
        direction="min",
        decimals=3,
        protocol="FD-EfficientNet-lite0: Frechet distance of 64 fixed projections of 1280 features, 8-bit "
        "RGB unshaved, resized to 224 px",
        level="set",
        function=frechet.fd_efficientnet,
        on_subsets=partial(frechet.on_subsets, frechet.projected_frechet, "efficientnet"),
    ),
    "kd_efficientnet": Metric(
        name="kd_efficientnet",
        reads="rgb",
        direction="min",
        decimals=5,
        protocol="KD-EfficientNet-lite0: cubic kernel over all images, 1280 features, 8-bit RGB unshaved, "
        "resized to 224 px",
        level="set",
        function=frechet.kd_efficientnet,
        on_subsets=partial(frechet.on_subsets, frechet.kernel_distance, "efficientnet"),
    ),
    "fd_random": Metric(
        name="fd_random",
        reads="rgb",
        direction="min",
        protocol="FD-random: Frechet distance of 64 features of a constant random network, 8-bit RGB",
        level="set",
        function=frechet.fd_random,
        on_subsets=partial(frechet.on_subsets, frechet.frechet, "random"),
    ),
    "lr_consistency": Metric(
        name="lr_consistency",
        reads="bands",
        direction="max",
        unit="dB",
        decimals=2,
        protocol="PSNR RGB of the degraded result against the input, 8-bit",
        function=artifacts.lr_consistency,
    ),
    "colour_shift": Metric(
        name="colour_shift",
        direction="min",
        unit="grey levels",
        decimals=2,
        protocol="distance of mean RGB, 8-bit unshaved",
        function=artifacts.colour_shift,
    ),
    "checkerboard": Metric(
        name="checkerboard",
        direction="min",
        protocol=f"spread of fine energy over the upsampling grid, BT.601 Y rounded to {_SHAVE}",
        function=artifacts.checkerboard,
    ),
    "grid_detail": Metric(
        name="grid_detail",
        direction="min",
        protocol=f"share of fine detail that repeats on the upsampling grid, BT.601 Y rounded to {_SHAVE}",
        function=artifacts.grid_detail,
    ),
    "sharpness_gap": Metric(
        name="sharpness_gap",
        direction="min",
        unit="octaves",
        protocol=f"|log2| of the ratio of mean gradients, BT.601 Y rounded to {_SHAVE}",
        function=artifacts.sharpness_gap,
    ),
}


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


METRICS = plugins.Table(_BUILT_IN, _own)


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
