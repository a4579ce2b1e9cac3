"""Drawings of a report as SVG text: the perception-distortion plane and the curves by rung.

Colours come from the page's style by class name. Every mark carries `data-tip`, which the page shows, and
`data-id`, the row it stands for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 720, 430
SLICE = (230, 170)
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 46


@dataclass(frozen=True)
class Mark:
    """One point: where it is, how it looks, what it says."""

    x: float
    y: float
    look: str
    """Class names: screened, stopped, seed, design, pick, warm, bicubic."""
    tip: str
    row: str = ""
    spread: tuple[float, float, float, float] | None = None
    """(x low, x high, y low, y high) over seeds."""


@dataclass(frozen=True)
class Line:
    """One curve: points (step, value) and how it looks."""

    points: list[tuple[float, float]]
    look: str
    tip: str
    row: str = ""


class Axis:
    """Values to pixels; values outside are drawn on the border."""

    def __init__(self, values: Sequence[float], start: float, end: float, margin: float = 0.06) -> None:
        low, high = min(values), max(values)
        pad = (high - low) * margin or abs(high) * margin or 1.0
        self.low, self.high = low - pad, high + pad
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About `count` round numbers inside the axis."""
        raw = (self.high - self.low) / count
        unit = 10 ** math.floor(math.log10(raw))
        step = unit * min((1, 2, 5, 10), key=lambda k: abs(k * unit - raw))
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def extent(essential: Sequence[float], others: Sequence[float]) -> list[float]:
    """Values that an axis must show: the `essential` and the middle 90 % of the `others`, without strays."""
    ranked = sorted(others)
    cut = len(ranked) // 20
    return [*essential, *ranked[cut : len(ranked) - cut or None]]


def plane(marks: Sequence[Mark], front: Sequence[tuple[float, float]], x_name: str, y_name: str) -> str:
    """The perception-distortion plane. Marks are drawn in order, the last on top; `front` is a staircase."""
    if not marks:
        return ""
    key = [mark for mark in marks if not mark.look.startswith(("screened", "stopped"))]
    rest = [mark for mark in marks if mark not in key]
    x = Axis(extent([m.x for m in key], [m.x for m in rest]), LEFT, WIDTH - RIGHT)
    y = Axis(extent([m.y for m in key], [m.y for m in rest]), HEIGHT - BOTTOM, TOP)
    parts = [_frame(x, y, x_name, y_name)]
    if len(front) > 1:
        steps = "".join(f" H{x(b[0]):.1f} V{y(b[1]):.1f}" for _, b in pairwise(front))
        parts.append(f'<path class="front" d="M{x(front[0][0]):.1f} {y(front[0][1]):.1f}{steps}"/>')
    parts += [_whiskers(mark, x, y) for mark in marks if mark.spread]
    parts += [_shape(mark, x(mark.x), y(mark.y)) for mark in marks]
    return _svg(parts, f"{y_name} against {x_name}")


def curves(
    lines: Sequence[Line], rungs: Sequence[float], level: float | None, name: str, x_name: str = "step"
) -> str:
    """Curves over steps with the rungs as vertical lines and bicubic's `level` across."""
    points = [point for line in lines for point in line.points]
    if not points:
        return ""
    x = Axis([0.0, *(p[0] for p in points)], LEFT, WIDTH - RIGHT, 0.02)
    y = Axis([*(p[1] for p in points), *([] if level is None else [level])], HEIGHT - BOTTOM, TOP)
    parts = [_frame(x, y, x_name, name)]
    parts += [
        f'<line class="rung" x1="{x(r):.1f}" x2="{x(r):.1f}" y1="{TOP}" y2="{y.start}"/>' for r in rungs
    ]
    if level is not None:
        parts.append(
            f'<line class="level" x1="{LEFT}" x2="{x.end}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>'
        )
        parts.append(
            f'<text class="note" x="{x.end}" y="{y(level) - 4:.1f}" text-anchor="end">bicubic</text>'
        )
    for line in lines:
        path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in line.points)
        end = line.points[-1]
        parts.append(
            f'<g class="{line.look}" {_about(line.tip, line.row)}><polyline points="{path}"/>'
            f'<circle cx="{x(end[0]):.1f}" cy="{y(end[1]):.1f}" r="2.6"/></g>'
        )
    faint = max(0.08, min(0.55, 40 / len(lines)))  # hundreds of curves must not hide those that matter
    return _svg(parts, f"{name} over {x_name}s", f"--faint:{faint:.2f}")


def _svg(parts: Sequence[str], label: str, style: str = "") -> str:
    about = f'role="img" aria-label="{escape(label)}"' + (f' style="{style}"' if style else "")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" {about}>{"".join(parts)}</svg>'


def _frame(x: Axis, y: Axis, x_name: str, y_name: str) -> str:
    parts = []
    for tick in x.ticks():
        at = f"{x(tick):.1f}"
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{y.start}"/>')
        parts.append(f'<text x="{at}" y="{y.start + 17}" text-anchor="middle">{tick:.6g}</text>')
    for tick in y.ticks():
        at = f"{y(tick):.1f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{x.end}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{float(at) + 4:.1f}" text-anchor="end">{tick:.6g}</text>')
    middle = (TOP + y.start) / 2
    parts.append(
        f'<text class="name" x="{(LEFT + x.end) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(x_name)}</text>"
        f'<text class="name" transform="translate(15 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_name)}</text>"
    )
    return "".join(parts)


def _about(tip: str, row: str) -> str:
    return f'data-tip="{escape(tip)}" data-id="{escape(row)}"'


def _whiskers(mark: Mark, x: Axis, y: Axis) -> str:
    assert mark.spread is not None
    left, right, low, high = mark.spread
    return (
        f'<path class="whisker {mark.look}" d="M{x(left):.1f} {y(mark.y):.1f}H{x(right):.1f}'
        f'M{x(mark.x):.1f} {y(low):.1f}V{y(high):.1f}"/>'
    )


def _shape(mark: Mark, x: float, y: float) -> str:
    about = f'class="mark {mark.look}" {_about(mark.tip, mark.row)}'
    first = mark.look.split()[0]
    if first == "bicubic":
        return f'<rect {about} x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12"/>'
    if first == "warm":
        return f'<path {about} d="M{x:.1f} {y - 6:.1f}l6 6-6 6-6-6z"/>'
    radius = {"design": 7.5, "pick": 9.0, "seed": 4.0}.get(first, 3.6)
    return f'<circle {about} cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


@dataclass(frozen=True)
class Column:
    """One setting or metric as an axis: where each row lies (0 low, 1 high), and its labels."""

    name: str
    places: list[float]
    labels: list[tuple[float, str]]


def parallel(
    columns: Sequence[Column], looks: Sequence[str], tips: Sequence[str], rows: Sequence[str]
) -> str:
    """One line per row across all columns; drawn in order, the last on top."""
    step = (WIDTH - 2 * LEFT) / max(1, len(columns) - 1)
    top, bottom = TOP + 26, HEIGHT - 34
    xs = [LEFT + k * step for k in range(len(columns))]
    parts = []
    for i, look in enumerate(looks):
        points = " ".join(
            f"{x:.1f},{bottom + (top - bottom) * column.places[i]:.1f}"
            for x, column in zip(xs, columns, strict=True)
        )
        parts.append(f'<g class="line {look}" {_about(tips[i], rows[i])}><polyline points="{points}"/></g>')
    for k, (x, column) in enumerate(zip(xs, columns, strict=True)):
        name_y = TOP + 4 if k % 2 else TOP + 18  # two heights, so that long names do not meet
        parts.append(f'<line class="post" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(
            f'<text class="name" x="{x:.1f}" y="{name_y}" text-anchor="middle">{escape(column.name)}</text>'
        )
        for place, label in column.labels:
            y = bottom + (top - bottom) * place + 4
            parts.append(f'<text class="halo" x="{x + 6:.1f}" y="{y:.1f}">{escape(label)}</text>')
    return _svg(parts, "parallel coordinates")


def small_scatter(
    column: Column, ys: Sequence[float], looks: Sequence[str], tips: Sequence[str], rows: Sequence[str]
) -> str:
    """One setting against the perceptual metric, small."""
    width, height = SLICE
    y = Axis(ys, height - 34, 10)
    parts = []
    for place, label in column.labels:
        x = 40 + place * (width - 60)
        parts.append(f'<text x="{x:.1f}" y="{height - 20}" text-anchor="middle">{escape(label)}</text>')
    parts += [
        f'<text x="28" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>' for tick in y.ticks(3)
    ]
    middle, name = width / 2, escape(column.name)
    parts.append(f'<text class="name" x="{middle}" y="{height - 4}" text-anchor="middle">{name}</text>')
    for place, value, look, tip, row in zip(column.places, ys, looks, tips, rows, strict=True):
        at = f'cx="{40 + place * (width - 60):.1f}" cy="{y(value):.1f}"'
        parts.append(f'<circle class="mark {look}" {_about(tip, row)} {at} r="3.4"/>')
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{name}">{"".join(parts)}</svg>'
