"""The table of built-in metrics, and the row of one: its definition, its protocol, and what it needs.

Adding a metric is a function in its own file and one row here.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from trainers import weights
from trainers.metrics import artifacts, bands, distortion, dists, frechet, lpips, niqe, swd
from trainers.metrics.image_view import Views


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure of image quality, and what is needed to compute and to compare its values."""

    name: str
    """Name in tables, settings and rows."""
    meaning: str = ""
    """A sentence without its full stop for people who do not know the metric."""
    direction: str
    """max if larger values are better, min if smaller ones are."""
    unit: str = ""
    """dB, grey levels, octaves, x1e-3, or empty."""
    decimals: int = 4
    """Digits after the point wherever a value is printed."""
    protocol: str
    """Definition of the measurement: only values of equal protocols may be compared."""
    reads: str = "rgb8"
    """rgb8: 8-bit RGB alone; rgb: the bands red, green and blue of any images, rounded to 8 bit, or a single
    band repeated; bands: all bands as they are."""
    level: str = "image"
    """image: one value per image, whose mean is the summary; set: one value for the whole set."""
    package: str = ""
    """Python module of the `metrics` extra without which the metric is unavailable."""
    min_side: int = 0
    """Smallest valid length of the shorter side in pixels, after the border is shaved."""
    function: Callable[[Views, Views], list[float]] | Callable[[Views, Views], float]
    on_subsets: Callable[[Sequence[Views], Views], Callable[[np.ndarray], list[float]]] | None = None
    """Set level: returns the distances of several sets from the real one as a function of image indices, for
    intervals by resampling."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The published weights (trainers/weights/table.py) without which the metric is unavailable."""
        return weights.NEEDS.get(self.name, ())

    def unavailable(self) -> str:
        """Return a sentence on what is missing to compute this metric; "" if nothing is."""
        if self.package and importlib.util.find_spec(self.package) is None:
            return f"metric {self.name} is unavailable: install it with pip install 'upsweep[metrics]'"
        missing = weights.missing(self.needs)
        if not missing:
            return ""
        return (
            f"metric {self.name} is unavailable: weights {' and '.join(missing)} not found; run "
            f"upsweep weights {self.name}, set {weights.VARIABLE} to a folder that holds "
            "them, or choose objective.perceptual swd, which needs no weights"
        )


_SHAVE = "8-bit, border of scale px shaved"
_UNROUNDED = "BT.601 Y of 8-bit RGB, not rounded (BasicSR), border of scale px shaved"

# what several rows have in common
_db = partial(Metric, direction="max", unit="dB", decimals=2)
_ssim = partial(Metric, direction="max", min_side=distortion.SSIM_MIN_SIDE)
_of_set = partial(Metric, direction="min", level="set", reads="rgb")

BUILT_IN: dict[str, Metric] = {
    "psnr_y": _db(
        name="psnr_y",
        meaning="PSNR measures how close the brightness of each pixel is to the target's, in dB",
        protocol=f"BT.601 Y rounded to {_SHAVE}, peak 255, mean of dB",
        function=distortion.psnr_y,
    ),
    "ssim_y": _ssim(
        name="ssim_y",
        meaning="SSIM compares brightness, contrast and structure in small windows with the "
        "target's; 1 is equal",
        protocol=f"Wang 2004 on BT.601 Y rounded to {_SHAVE}, 11x11 gaussian 1.5, valid windows",
        function=distortion.ssim_y,
    ),
    "psnr_y_float": _db(
        name="psnr_y_float",
        meaning="PSNR measures how close the brightness of each pixel is to the target's, in dB",
        protocol=f"{_UNROUNDED}, peak 255, mean of dB",
        function=distortion.psnr_y_float,
    ),
    "ssim_y_float": _ssim(
        name="ssim_y_float",
        meaning="SSIM compares brightness, contrast and structure in small windows with the "
        "target's; 1 is equal",
        protocol=f"Wang 2004 on {_UNROUNDED}, 11x11 gaussian 1.5, valid windows",
        function=distortion.ssim_y_float,
    ),
    "ms_ssim_y": Metric(
        name="ms_ssim_y",
        meaning="MS-SSIM compares structure with the target's at five sizes; 1 is equal",
        direction="max",
        protocol=f"Wang 2003, 5 scales, on BT.601 Y rounded to {_SHAVE}",
        min_side=distortion.MS_SSIM_MIN_SIDE,
        function=distortion.ms_ssim_y,
    ),
    "rmse_y": Metric(
        name="rmse_y",
        meaning="RMSE is the root of the mean squared difference of brightness, in grey levels",
        direction="min",
        unit="grey levels",
        decimals=2,
        protocol=f"BT.601 Y rounded to {_SHAVE}, mean of per-image RMSE",
        function=distortion.rmse_y,
    ),
    "psnr": _db(
        name="psnr",
        meaning="PSNR measures how close each pixel is to the target's, over all bands, in dB",
        protocol="all bands, border of scale px shaved, peak of the images, mean of dB",
        reads="bands",
        function=bands.psnr,
    ),
    "ssim": _ssim(
        name="ssim",
        meaning="SSIM compares brightness, contrast and structure in small windows of each band; 1 is equal",
        protocol="Wang 2004, mean over all bands, border of scale px shaved, peak of the images, 11x11 "
        "gaussian 1.5, valid windows",
        reads="bands",
        function=bands.ssim,
    ),
    "sam": Metric(
        name="sam",
        meaning="SAM is the angle between the spectra of result and target, in degrees",
        direction="min",
        unit="degrees",
        decimals=3,
        protocol="spectral angle, mean over pixels, border of scale px shaved",
        reads="bands",
        function=bands.sam,
    ),
    "ergas": Metric(
        name="ergas",
        meaning="ERGAS is the relative error over all bands",
        direction="min",
        decimals=3,
        protocol="Wald 2000: 100/scale x root mean square of RMSE over mean of each band, border of scale px "
        "shaved",
        reads="bands",
        function=bands.ergas,
    ),
    "psnr_rgb": _db(
        name="psnr_rgb",
        meaning="PSNR measures how close each pixel is to the target's, in dB",
        protocol=f"RGB {_SHAVE}, peak 255, mean of dB",
        function=distortion.psnr_rgb,
    ),
    "lpips_alex": Metric(
        name="lpips_alex",
        meaning="LPIPS compares features of AlexNet, weighted to agree with human judgements",
        reads="rgb",
        direction="min",
        protocol="LPIPS v0.1 AlexNet, 8-bit RGB unshaved",
        function=lpips.lpips_alex,
    ),
    "lpips_vgg": Metric(
        name="lpips_vgg",
        meaning="LPIPS compares features of VGG16, weighted to agree with human judgements",
        reads="rgb",
        direction="min",
        protocol="LPIPS v0.1 VGG16, 8-bit RGB unshaved",
        function=lpips.lpips_vgg,
    ),
    "dists": Metric(
        name="dists",
        meaning="DISTS compares structure and texture in features of VGG16, fitted to human scores",
        reads="rgb",
        direction="min",
        protocol="DISTS VGG16, 8-bit RGB unshaved, not resized",
        function=dists.dists,
    ),
    "niqe": Metric(
        name="niqe",
        meaning="NIQE measures how natural a picture looks, without a target",
        direction="min",
        decimals=2,
        protocol=f"NIQE, published pristine model, 96 px blocks, BT.601 Y rounded to {_SHAVE}",
        min_side=niqe.MIN_SIDE,
        function=niqe.niqe,
    ),
    "swd": _of_set(
        name="swd",
        meaning="SWD compares the patches of all results with those of all targets; it needs no "
        "trained network, but sees less than LPIPS, and swings between evaluations of short phases",
        unit="x1e-3",
        decimals=1,
        protocol="sliced Wasserstein x1e3, Laplacian levels down to 16 px, 128 7x7 patches each at paired "
        "places, standardised by the real set, 512 directions, 8-bit RGB unshaved",
        min_side=swd.MIN_SIDE,
        function=swd.swd,
        on_subsets=swd.on_subsets,
    ),
    "fid": _of_set(
        name="fid",
        meaning="FID compares the features of all results with those of all targets",
        decimals=2,
        protocol="FID, Inception 2015-12-05 pool, TensorFlow 1 resizing (torch-fidelity), 8-bit RGB unshaved",
        package="torch_fidelity",
        function=frechet.fid,
        on_subsets=partial(frechet.on_subsets, frechet.frechet, "inception"),
    ),
    "kid": _of_set(
        name="kid",
        meaning="KID compares the features of all results with those of all targets, also for few images",
        decimals=5,
        protocol="KID, cubic kernel over all images, Inception 2015-12-05 pool, 8-bit RGB unshaved",
        package="torch_fidelity",
        function=frechet.kid,
        on_subsets=partial(frechet.on_subsets, frechet.kernel_distance, "inception"),
    ),
    "fd_efficientnet": _of_set(
        name="fd_efficientnet",
        meaning="FD compares features of EfficientNet of all results with those of all targets",
        decimals=3,
        protocol="FD-EfficientNet-lite0: Frechet distance of 64 fixed projections of 1280 features, 8-bit "
        "RGB unshaved, resized to 224 px",
        function=frechet.fd_efficientnet,
        on_subsets=partial(frechet.on_subsets, frechet.projected_frechet, "efficientnet"),
    ),
    "kd_efficientnet": _of_set(
        name="kd_efficientnet",
        meaning="KD compares features of EfficientNet of all results with those of all targets, "
        "also for few images",
        decimals=5,
        protocol="KD-EfficientNet-lite0: cubic kernel over all images, 1280 features, 8-bit RGB unshaved, "
        "resized to 224 px",
        function=frechet.kd_efficientnet,
        on_subsets=partial(frechet.on_subsets, frechet.kernel_distance, "efficientnet"),
    ),
    "fd_random": _of_set(
        name="fd_random",
        meaning="FD-random compares features of a network with random weights, of all results "
        "and all targets",
        protocol="FD-random: Frechet distance of 64 features of a constant random network, 8-bit RGB",
        function=frechet.fd_random,
        on_subsets=partial(frechet.on_subsets, frechet.frechet, "random"),
    ),
    "lr_consistency": _db(
        name="lr_consistency",
        meaning="LR consistency measures how close the result, made small again, is to its input, in dB",
        reads="bands",
        protocol="PSNR RGB of the degraded result against the input, 8-bit",
        function=artifacts.lr_consistency,
    ),
    "colour_shift": Metric(
        name="colour_shift",
        meaning="The colour shift is the distance between the mean colours of result and target",
        direction="min",
        unit="grey levels",
        decimals=2,
        protocol="distance of mean RGB, 8-bit unshaved",
        function=artifacts.colour_shift,
    ),
    "checkerboard": Metric(
        name="checkerboard",
        meaning="The checkerboard measures how unevenly fine detail is spread over the upsampling grid",
        direction="min",
        protocol=f"spread of fine energy over the upsampling grid, BT.601 Y rounded to {_SHAVE}",
        function=artifacts.checkerboard,
    ),
    "grid_detail": Metric(
        name="grid_detail",
        meaning="The grid detail is the share of fine detail that repeats on the upsampling grid",
        direction="min",
        protocol="share of fine detail that repeats on the upsampling grid, BT.601 Y rounded to 8-bit, of "
        "other images the mean of the bands, border of scale px shaved",
        reads="bands",
        function=artifacts.grid_detail,
    ),
    "sharpness_gap": Metric(
        name="sharpness_gap",
        meaning="The sharpness gap says how much sharper or softer the result is than the target",
        direction="min",
        unit="octaves",
        protocol=f"|log2| of the ratio of mean gradients, BT.601 Y rounded to {_SHAVE}",
        function=artifacts.sharpness_gap,
    ),
}
