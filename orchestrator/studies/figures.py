"""Figures of a study: heat maps, bars, curves and the plane as whole SVG files, strips of pictures as PNG.

The axes are those of a sweep's report (orchestrator/report/svg.py).
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw

from orchestrator.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis

COLOURS = ("#2563a8", "#c8401f", "#2f8f5b", "#6b4fa0", "#b7791f", "#4a5568", "#0f8b8d", "#a63d74", "#7a8b2a")
CELL_PX, GAP_PX, LABEL_PX = 132, 3, 18
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#63676d}.name{fill:#1c1e21;font-size:13px}"
    ".title{fill:#1c1e21;font-size:14px;font-weight:600}.grid{stroke:#e3e4e2}.cell{fill:#1c1e21;font-size:14px}"
    ".white{fill:#fff}.bar{stroke:#1c1e21;stroke-width:1}.level{stroke:#63676d;stroke-dasharray:4 4}"
)


def _svg(parts: Sequence[str], width: float, height: float) -> bytes:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fcfcfb"/>{"".join(parts)}</svg>'
    ).encode()


def _text(x: float, y: float, words: str, look: str = "", anchor: str = "middle", more: str = "") -> str:
    return (
        f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'
    )


@dataclass(frozen=True)
class Heat:
    """One heat map: `values` [row][column], the text of each cell, and the better direction, min or max."""

    title: str
    values: Sequence[Sequence[float]]
    cells: Sequence[Sequence[str]]
    better: str


def heat_maps(maps: Sequence[Heat], rows: Sequence[str], columns: Sequence[str], row_name: str) -> bytes:
    """Draw heat maps side by side; each column has its own colour scale, dark is best, the best is framed."""
    cell_w, cell_h, head, side = 96, 46, 66, 112
    width = side + len(maps) * (len(columns) * cell_w + 26)
    height = head + len(rows) * cell_h + 16
    parts = [_text(8, 20, row_name, "name", "start")]
    for j, row in enumerate(rows):
        parts.append(_text(side - 8, head + j * cell_h + cell_h / 2 + 4, row, "name", "end"))
    for k, heat in enumerate(maps):
        left = side + k * (len(columns) * cell_w + 26)
        parts.append(_text(left + len(columns) * cell_w / 2, 20, heat.title, "title"))
        for i, column in enumerate(columns):
            parts.append(_text(left + i * cell_w + cell_w / 2, head - 8, column))
            parts += _column(heat, i, left + i * cell_w, head, cell_w, cell_h)
    return _svg(parts, width, height)


def _column(heat: Heat, i: int, x: float, top: float, width: float, height: float) -> list[str]:
    values = [row[i] for row in heat.values]
    low, high = min(values), max(values)
    parts = []
    for j, value in enumerate(values):
        share = (value - low) / (high - low) if high > low else 0.5
        goodness = share if heat.better == "max" else 1 - share
        y, best = top + j * height, goodness == 1
        tone = [round(a + (b - a) * goodness) for a, b in ((236, 37), (240, 99), (245, 168))]
        frame = 'stroke="#c8401f" stroke-width="3"' if best else 'stroke="#fcfcfb"'
        parts.append(
            f'<rect x="{x + 2:.1f}" y="{y + 2:.1f}" width="{width - 4}" height="{height - 4}" '
            f'fill="rgb({tone[0]},{tone[1]},{tone[2]})" {frame}/>'
        )
        look = "cell white" if goodness > 0.55 else "cell"
        parts.append(_text(x + width / 2, y + height / 2 + 5, heat.cells[j][i], look))
    return parts


def bars(
    title: str,
    groups: Sequence[str],
    series: Mapping[str, Sequence[tuple[float, float]]],
    name: str,
    levels: Mapping[str, Sequence[float]] | None = None,
) -> bytes:
    """Draw groups of bars; each bar is (mean, half the range over seeds), `levels` are lines."""
    every = [v for values in series.values() for m, h in values for v in (m - h, m + h)]
    every += [v for level in (levels or {}).values() for v in level]
    y = Axis(every, HEIGHT - BOTTOM, TOP + 34, 0.12)
    if min(every) >= 0:
        y.low = max(y.low, 0.0)
    span = (WIDTH - LEFT - RIGHT) / len(groups)
    wide = min(60.0, span * 0.8 / len(series))
    parts = [_text(WIDTH / 2, 18, title, "title"), *_y_axis(y, f"{name} (axis cut)")]
    for g, group in enumerate(groups):
        middle = LEFT + (g + 0.5) * span
        parts.append(_text(middle, HEIGHT - BOTTOM + 18, group))
        start = middle - wide * len(series) / 2
        for k, values in enumerate(series.values()):
            mean, half = values[g]
            x, colour = start + k * wide, COLOURS[k % len(COLOURS)]
            parts.append(
                f'<rect x="{x + 1:.1f}" y="{y(mean):.1f}" width="{wide - 2:.1f}" '
                f'height="{max(0.0, y.start - y(mean)):.1f}" fill="{colour}"/>'
                f'<path class="bar" d="M{x + wide / 2:.1f} {y(mean - half):.1f}V{y(mean + half):.1f}"/>'
            )
        for level in (levels or {}).values():
            parts.append(_dashed(start, start + wide * len(series), y(level[g]), y(level[g])))
    names = [*series, *(f"--- {n}" for n in levels or {})]
    return _svg([*parts, *_legend(names)], WIDTH, HEIGHT)


def curves(
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    x_name: str,
    y_name: str,
    *,
    marks: Sequence[float] = (),
    levels: Mapping[str, float] | None = None,
    log: bool = False,
) -> bytes:
    """Draw lines over steps; `marks` are vertical, `levels` horizontal; `log` draws decimal logarithms."""
    drawn = {n: [(x, math.log10(max(v, 1e-12)) if log else v) for x, v in p] for n, p in lines.items() if p}
    points = [p for line in drawn.values() for p in line]
    x = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT, 0.02)
    y = Axis([*(p[1] for p in points), *(levels or {}).values()], HEIGHT - BOTTOM, TOP + 48)
    parts = [_text(WIDTH / 2, 18, title, "title"), *_y_axis(y, f"log10 {y_name}" if log else y_name)]
    parts += _x_axis(x, x_name)
    parts += [_dashed(x(m), x(m), TOP + 48, y.start) for m in marks]
    for words, value in (levels or {}).items():
        parts.append(_dashed(LEFT, WIDTH - RIGHT, y(value), y(value)))
        parts.append(_text(WIDTH - RIGHT, y(value) - 4, words, anchor="end"))
    for k, line in enumerate(drawn.values()):
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line)
        colour = COLOURS[k % len(COLOURS)]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<circle cx="{x(line[-1][0]):.1f}" cy="{y(line[-1][1]):.1f}" r="3" fill="{colour}"/>')
    return _svg([*parts, *_legend(list(drawn))], WIDTH, HEIGHT)


@dataclass(frozen=True)
class Dot:
    """A point of a series, with an interval (low, high) in both directions and a label beside it."""

    x: float
    y: float
    series: str
    word: str = ""
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


def plane(
    title: str,
    dots: Sequence[Dot],
    front: Sequence[tuple[float, float]],
    x_name: str,
    y_name: str,
    regions: Mapping[str, float] | None = None,
) -> bytes:
    """Draw points with intervals; `front` as a staircase; `regions` are vertical borders by name."""
    xs = [v for d in dots for v in (d.x, *(d.x_range or ()))]
    ys = [v for d in dots for v in (d.y, *(d.y_range or ()))]
    inside = {n: v for n, v in (regions or {}).items() if min(xs) * 0.97 < v < max(xs) * 1.03}
    x = Axis([*xs, *inside.values()], LEFT, WIDTH - RIGHT)
    y = Axis(ys, HEIGHT - BOTTOM, TOP + 48)
    parts = [_text(WIDTH / 2, 18, title, "title"), *_y_axis(y, y_name), *_x_axis(x, x_name)]
    for words, value in inside.items():
        parts.append(_dashed(x(value), x(value), TOP + 48, y.start))
        parts.append(_text(x(value) - 4, TOP + 60, words, anchor="end"))
    if len(front) > 1:
        steps = "".join(f"H{x(a):.1f}V{y(b):.1f}" for a, b in front[1:])
        start = f"M{x(front[0][0]):.1f} {y(front[0][1]):.1f}"
        parts.append(f'<path d="{start}{steps}" fill="none" stroke="#b9bdc2" stroke-width="2"/>')
    names = list(dict.fromkeys(d.series for d in dots))
    for dot in dots:
        parts += _dot(dot, x, y, COLOURS[names.index(dot.series) % len(COLOURS)])
    return _svg([*parts, *_legend(names)], WIDTH, HEIGHT)


def _dot(dot: Dot, x: Axis, y: Axis, colour: str) -> list[str]:
    at = (x(dot.x), y(dot.y))
    parts = []
    if dot.x_range:
        low, high = map(x, dot.x_range)
        parts.append(f'<path d="M{low:.1f} {at[1]:.1f}H{high:.1f}" stroke="{colour}" opacity=".45"/>')
    if dot.y_range:
        low, high = map(y, dot.y_range)
        parts.append(f'<path d="M{at[0]:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" opacity=".45"/>')
    parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4.5" fill="{colour}"/>')
    return [*parts, _text(at[0] + 7, at[1] - 6, dot.word, anchor="start")] if dot.word else parts


def _y_axis(y: Axis, name: str) -> list[str]:
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        + _text(LEFT - 7, y(t) + 4, f"{t:.5g}", anchor="end")
        for t in y.ticks()
    ]
    middle = HEIGHT / 2
    return [*parts, _text(0, 0, name, "name", more=f'transform="translate(15 {middle}) rotate(-90)"')]


def _x_axis(x: Axis, name: str) -> list[str]:
    ticks = [_text(x(t), HEIGHT - BOTTOM + 18, f"{t:.6g}") for t in x.ticks(7)]
    return [*ticks, _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, name, "name")]


def _dashed(x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="level" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _legend(names: Sequence[str]) -> list[str]:
    parts, left, top = [], float(LEFT), 36.0
    for k, name in enumerate(names):
        if left + 26 + 7 * len(name) > WIDTH:
            left, top = float(LEFT), top + 15
        colour = "none" if name.startswith("---") else COLOURS[k % len(COLOURS)]
        parts.append(f'<rect x="{left:.1f}" y="{top - 9:.1f}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(left + 14, top, name, anchor="start"))
        left += 30 + 6.6 * len(name)
    return parts


def strip(rows: Sequence[Sequence[Path]], titles: Sequence[str], cell_px: int = CELL_PX) -> bytes:
    """Return a PNG with one row per image and one titled column per model, enlarged without smoothing."""
    width = len(titles) * (cell_px + GAP_PX)
    sheet = Image.new("RGB", (width, LABEL_PX + len(rows) * (cell_px + GAP_PX)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        pen.text((column * (cell_px + GAP_PX) + 3, 3), title[: cell_px // 6], fill="black")
    for j, row in enumerate(rows):
        for i, path in enumerate(row):
            with Image.open(path) as picture:
                cell = picture.convert("RGB").resize((cell_px, cell_px), Image.Resampling.NEAREST)
            sheet.paste(cell, (i * (cell_px + GAP_PX), LABEL_PX + j * (cell_px + GAP_PX)))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
