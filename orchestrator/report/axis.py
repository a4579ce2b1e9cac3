"""Axes of plots: values to pixels, round ticks, and a range that ignores outliers."""

import math
from collections.abc import Sequence


class Axis:
    """A linear map from values to pixels; values outside are drawn on the border."""

    def __init__(self, values: Sequence[float], start: float, end: float, margin: float = 0.06) -> None:
        """Span the `values` with a `margin` as a share of their range; `start` and `end` are pixels."""
        low, high = min(values), max(values)
        pad = (high - low) * margin if high > low else abs(high) * margin or 1.0
        self.low, self.high = low - pad, high + pad
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Return about `count` round numbers inside the axis."""
        raw = (self.high - self.low) / count
        unit = 10 ** math.floor(math.log10(raw))
        step = unit * min((1, 2, 5, 10), key=lambda k: abs(k * unit - raw))
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def extent(essential: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the values an axis must show: all `essential` ones and the middle 90 % of the `others`."""
    ranked = sorted(others)
    cut = len(ranked) // 20
    return [*essential, *ranked[cut : len(ranked) - cut or None]]
