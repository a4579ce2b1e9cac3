"""One row of the table of metrics: its definition, its protocol, and what it needs."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trainers import weights
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
