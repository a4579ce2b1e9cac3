"""SVG plots by plain string formatting: axes, frame, marks, curves, bars, fronts, legends.

Colours come from a style sheet by class name: page.css inside the report, STYLE in files that stand alone
(`document`). Marks and curves of the report carry `data-tip`, a tooltip, and `data-id`, their table row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from orchestrator.report.axis import Axis, extent

WIDTH, HEIGHT = 720, 430
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 46
TITLED_TOP = 62  # upper end of the y axis that leaves room for the title and legend of a document
COLOURS = ("#2563a8", "#c8401f", "#2f8f5b", "#6b4fa0", "#b7791f", "#4a5568", "#0f8b8d", "#a63d74", "#7a8b2a")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#63676d}.name{fill:#1c1e21;font-size:13px}"
    ".title{fill:#1c1e21;font-size:14px;font-weight:600}.grid{stroke:#e3e4e2}"
    ".level,.rung{stroke:#63676d;stroke-dasharray:4 4}.front{fill:none;stroke:#b9bdc2;stroke-width:2}"
    ".mark,.bar,.swatch,.line{fill:currentColor}.error{stroke:#1c1e21}"
    ".line polyline{fill:none;stroke:currentColor;stroke-width:2}"
    ".whisker{fill:none;stroke:currentColor;opacity:.45}"
) + "".join(f".s{k}{{color:{colour}}}" for k, colour in enumerate(COLOURS))


def series(k: int) -> str:
    """Return the class name that gives marks, curves and bars of series `k` their colour in a document."""
    return f"s{k % len(COLOURS)}"


@dataclass(frozen=True)
class Mark:
    """One point of a plot."""

    x: float
    y: float
    look: str = ""
    """Class names; the first is also the shape: bicubic, warm, pick, best, design, seed, dot or any other."""
    tip: str = ""
    row: str = ""
    """Id of the table row that a click lights up."""
    spread: tuple[float, float, float, float] | None = None
    """(x low, x high, y low, y high), drawn as whiskers."""
    word: str = ""
    """Label beside the point."""


@dataclass(frozen=True)
class Line:
    """One curve through (x, y) points."""

    points: Sequence[tuple[float, float]]
    look: str
    tip: str = ""
    row: str = ""


class Plot:
    """Two axes and what is drawn over them, in the order of the calls: the last is on top."""

    def __init__(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        *,
        top: float = TOP,
        margins: Sequence[float] = (0.06,) * 2,
    ) -> None:
        """Span the values `xs` and `ys`; `margins` are the shares that (x, y) leave free at both ends."""
        self.x = Axis(xs, LEFT, WIDTH - RIGHT, margins[0])
        self.y = Axis(ys, HEIGHT - BOTTOM, top, margins[1])
        self.parts: list[str] = []

    def frame(self, x_name: str, y_name: str, words: Mapping[float, str] | None = None) -> None:
        """Draw grid, ticks and names; `words` at x positions replace the x axis' numbers and grid."""
        x, y = self.x, self.y
        for tick, word in words.items() if words else ((t, f"{t:.6g}") for t in x.ticks()):
            if not words:
                self._line("grid", x(tick), x(tick), y.end, y.start)
            self.parts.append(text(x(tick), y.start + 17, word))
        for tick in y.ticks():
            self._line("grid", x.start, x.end, y(tick), y(tick))
            self.parts.append(text(x.start - 7, y(tick) + 4, f"{tick:.6g}", anchor="end"))
        self.parts.append(text((x.start + x.end) / 2, HEIGHT - 6, x_name, "name"))
        self.parts.append(
            f'<text class="name upright" transform="translate(15 {(y.end + y.start) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(y_name)}</text>'
        )

    def vertical(self, value: float, word: str = "") -> None:
        """Draw a vertical line at x = `value` with a `word` at its upper end."""
        at, y = self.x(value), self.y
        self._line("rung", at, at, y.end, y.start)
        if word:
            self.parts.append(text(at - 4, y.end + 12, word, "note", "end"))

    def level(self, value: float, word: str = "", span: tuple[float, float] | None = None) -> None:
        """Draw a horizontal line at y = `value` with a `word` at its right end; `span` limits it in x."""
        left, right = (self.x(v) for v in span) if span else (self.x.start, self.x.end)
        at = self.y(value)
        self._line("level", left, right, at, at)
        if word:
            self.parts.append(text(right, at - 4, word, "note", "end"))

    def _line(self, look: str, x1: float, x2: float, y1: float, y2: float) -> None:
        self.parts.append(f'<line class="{look}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>')

    def front(self, points: Sequence[tuple[float, float]]) -> None:
        """Join a Pareto front of two or more points, sorted by x, as a staircase."""
        if len(points) > 1:
            x, y = self.x, self.y
            steps = "".join(f" H{x(b[0]):.1f} V{y(b[1]):.1f}" for _, b in pairwise(points))
            start = f"M{x(points[0][0]):.1f} {y(points[0][1]):.1f}"
            self.parts.append(f'<path class="front" d="{start}{steps}"/>')

    def marks(self, marks: Iterable[Mark]) -> None:
        """Draw the whiskers of all `marks`, then the marks."""
        marks = list(marks)
        for mark in marks:
            if mark.spread:
                (left, right), (low, high) = map(self.x, mark.spread[:2]), map(self.y, mark.spread[2:])
                self.parts.append(
                    f'<path class="whisker {mark.look}" d="M{left:.1f} {self.y(mark.y):.1f}H{right:.1f}'
                    f'M{self.x(mark.x):.1f} {low:.1f}V{high:.1f}"/>'
                )
        for mark in marks:
            x, y = self.x(mark.x), self.y(mark.y)
            self.parts.append(_shape(mark, x, y))
            if mark.word:
                self.parts.append(text(x + 7, y - 6, mark.word, anchor="start"))

    def curve(self, line: Line) -> None:
        """Draw a curve with a dot at its last point."""
        points = [(self.x(step), self.y(value)) for step, value in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<g class="line {line.look}"{about(line.tip, line.row)}><polyline points="{path}"/>'
            f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="2.6"/></g>'
        )

    def bar(self, left: float, right: float, value: float, look: str, half: float = 0.0) -> None:
        """Draw a bar between x = `left` and `right` up to y = `value`, with an error bar of +- `half`."""
        x, width = self.x(left) + 1, self.x(right) - self.x(left) - 2
        y, height = self.y(value), max(0.0, self.y.start - self.y(value))
        self.parts.append(
            f'<rect class="bar {look}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
        )
        if half:
            low, high = self.y(value - half), self.y(value + half)
            self.parts.append(f'<path class="error" d="M{x + width / 2:.1f} {low:.1f}V{high:.1f}"/>')

    def inline(self, label: str, style: str = "") -> str:
        """Return the plot as an element of the report, with `label` for screen readers."""
        return inline(self.parts, label, (WIDTH, HEIGHT), style)

    def document(self, title: str, legend: Mapping[str, str]) -> bytes:
        """Return the plot as a file; `legend` maps each name to its look. Needs `top=TITLED_TOP`."""
        parts = [text(WIDTH / 2, 18, title, "title"), *self.parts, *_legend(legend)]
        return document(parts, WIDTH, HEIGHT)


def plane(
    marks: Sequence[Mark],
    front: Sequence[tuple[float, float]],
    x_name: str,
    y_name: str,
    *,
    loose: tuple[str, ...] = (),
    regions: Mapping[str, float] | None = None,
    top: float = TOP,
) -> Plot:
    """Return the perception-distortion plane of one or more marks, drawn in order, with their `front`.

    Outliers among marks whose look begins with one of `loose` do not stretch the axes. `regions` are named
    borders in x; borders more than 3 % outside the marks are left out.
    """
    key = [mark for mark in marks if not (loose and mark.look.startswith(loose))]
    rest = [mark for mark in marks if mark not in key]
    xs = [v for m in key for v in (m.x, *(m.spread[:2] if m.spread else ()))]
    ys = [v for m in key for v in (m.y, *(m.spread[2:] if m.spread else ()))]
    borders = {n: v for n, v in (regions or {}).items() if min(xs) * 0.97 < v < max(xs) * 1.03}
    xs += borders.values()
    plot = Plot(extent(xs, [m.x for m in rest]), extent(ys, [m.y for m in rest]), top=top)
    plot.frame(x_name, y_name)
    for name, border in borders.items():
        plot.vertical(border, name)
    plot.front(front)
    plot.marks(marks)
    return plot


def curves(
    lines: Sequence[Line],
    x_name: str,
    y_name: str,
    *,
    verticals: Iterable[float] = (),
    levels: Mapping[str, float] | None = None,
    top: float = TOP,
) -> Plot:
    """Return curves over x from 0 on, with vertical lines and named horizontal `levels`."""
    points = [point for line in lines for point in line.points]
    ys = [*(p[1] for p in points), *(levels or {}).values()]
    plot = Plot([0.0, *(p[0] for p in points)], ys, top=top, margins=(0.02, 0.06))
    plot.frame(x_name, y_name)
    for value in verticals:
        plot.vertical(value)
    for word, value in (levels or {}).items():
        plot.level(value, word)
    for line in lines:
        plot.curve(line)
    return plot


def text(x: float, y: float, words: str, look: str = "", anchor: str = "middle") -> str:
    """Return escaped text at a pixel position."""
    name = f'class="{look}" ' if look else ""
    return f'<text {name}x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def about(tip: str, row: str) -> str:
    """Return the attributes of a mark or curve that has a tooltip; empty without one."""
    return f' data-tip="{escape(tip)}" data-id="{escape(row)}"' if tip else ""


def inline(parts: Sequence[str], label: str, size: tuple[float, float], style: str = "") -> str:
    """Return an SVG element for HTML of `size` (width, height) in pixels."""
    about = f'role="img" aria-label="{escape(label)}"' + (f' style="{style}"' if style else "")
    return f'<svg viewBox="0 0 {size[0]} {size[1]}" {about}>{"".join(parts)}</svg>'


def document(parts: Sequence[str], width: float, height: float, style: str = "") -> bytes:
    """Return an SVG file with a white ground; `style` adds rules to STYLE."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}"><style>{STYLE}{style}</style>'
        f'<rect width="100%" height="100%" fill="#fcfcfb"/>{"".join(parts)}</svg>'
    ).encode()


def _shape(mark: Mark, x: float, y: float) -> str:
    attributes = f'class="mark {mark.look}"{about(mark.tip, mark.row)}'
    first = mark.look.split()[0]
    if first == "bicubic":
        return f'<rect {attributes} x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12"/>'
    if first == "warm":
        return f'<path {attributes} d="M{x:.1f} {y - 6:.1f}l6 6-6 6-6-6z"/>'
    radius = {"design": 7.5, "pick": 9.0, "best": 9.0, "seed": 4.0, "dot": 4.5}.get(first, 3.6)
    return f'<circle {attributes} cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _legend(looks: Mapping[str, str]) -> list[str]:
    """Return colour swatches with their names in rows below the title; look "level" is a dashed line."""
    parts, left, top = [], float(LEFT), 36.0
    for name, look in looks.items():
        wide = sum(8.3 if c.isupper() else 6.4 for c in name)  # pixels at 12 px, about
        if left + 26 + wide > WIDTH:
            left, top = float(LEFT), top + 15
        if look == "level":
            parts.append(f'<path class="level" d="M{left:.1f} {top - 4:.1f}h10"/>')
        else:
            parts.append(
                f'<rect class="swatch {look}" x="{left:.1f}" y="{top - 9:.1f}" width="10" height="10"/>'
            )
        parts.append(text(left + 14, top, name, anchor="start"))
        left += 30 + wide
    return parts
