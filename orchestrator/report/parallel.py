"""Plots of settings: parallel coordinates, and small scatter plots of one setting each."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.report.axis import Axis
from orchestrator.report.svg import HEIGHT, LEFT, TOP, WIDTH, about, inline, text

STEP = 92
"""Least distance of two axes of parallel coordinates in pixels; many settings make the plot wider."""
LETTER = 6.8
"""Width of a letter of a label in pixels, about."""
SLICE = (230, 170)
"""Width and height of a small scatter plot in pixels."""


@dataclass(frozen=True)
class Column:
    """One setting or metric as an axis: positions of the rows, from 0 (low) to 1 (high), and labels."""

    name: str
    places: list[float]
    labels: list[tuple[float, str]]


@dataclass(frozen=True)
class PlotLine:
    """One row in a plot, drawn as a line or a dot: CSS classes, tooltip, and the id of its table row."""

    css: str
    tip: str
    row: str


def parallel(columns: Sequence[Column], lines: Sequence[PlotLine]) -> str:
    """Draw `lines` across all columns, in order, so that the last is on top."""
    width = max(WIDTH, 2 * LEFT + STEP * (len(columns) - 1))
    step = (width - 2 * LEFT) / max(1, len(columns) - 1)
    top, bottom = TOP + 38, HEIGHT - 34
    xs = [LEFT + k * step for k in range(len(columns))]
    parts = []
    for i, line in enumerate(lines):
        points = " ".join(
            f"{x:.1f},{bottom + (top - bottom) * column.places[i]:.1f}"
            for x, column in zip(xs, columns, strict=True)
        )
        parts.append(
            f'<g class="line {line.css}"{about(line.tip, line.row)}><polyline points="{points}"/></g>'
        )
    for k, (x, column) in enumerate(zip(xs, columns, strict=True)):
        name_y = TOP + 4 if k % 2 else TOP + 18  # two heights, so that long names do not meet
        parts.append(f'<line class="post" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(text(x, name_y, column.name, "name"))
        for place, label in column.labels:
            y = bottom + (top - bottom) * place + 4
            parts.append(text(x + 6, y, _fit(label, step - 8), "halo", "start"))
    return inline(parts, "parallel coordinates", (width, HEIGHT), f"min-width:{width}px")


def small_scatter(column: Column, ys: Sequence[float], lines: Sequence[PlotLine]) -> str:
    """Draw one setting against `ys`, the perceptual metric of each row, as dots."""
    width, height = SLICE
    xs = [40 + place * (width - 60) for place in column.places]
    y = Axis(ys, height - 34, 10)
    parts = []
    for place, label in column.labels:
        word = _fit(label, (width - 12) / len(column.labels) - 4)
        half = len(word) * LETTER / 2 + 4  # at an end, a long label would be cut off
        x = min(max(40 + place * (width - 60), half), width - half)
        parts.append(text(x, height - 20, word))
    parts += [text(28, y(tick) + 4, f"{tick:.4g}", anchor="end") for tick in y.ticks(3)]
    parts.append(text(width / 2, height - 4, column.name, "name"))
    for x, value, line in zip(xs, ys, lines, strict=True):
        at = f'cx="{x:.1f}" cy="{y(value):.1f}"'
        parts.append(f'<circle class="mark {line.css}"{about(line.tip, line.row)} {at} r="3.4"/>')
    return inline(parts, column.name, SLICE)


def _fit(label: str, width: float) -> str:
    """Return a label that is about `width` pixels wide at most; one that was cut ends with an ellipsis."""
    most = int(width / LETTER)
    return label if len(label) <= most else f"{label[: most - 1]}…"
