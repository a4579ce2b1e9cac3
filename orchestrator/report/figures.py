"""The drawn sections of report.html: the plane, the curves, the pictures."""

import base64
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from orchestrator.report.data import Design, Row, SweepResults, has_no_result
from orchestrator.report.markup import section
from orchestrator.report.sentences import tooltip
from orchestrator.report.svg import Line, Mark, curves, plane
from orchestrator.results.image_strips import CELL_PX, LABEL_PX
from trainers.metrics import METRICS

MAX_STRIPS = 4


def plane_section(facts: SweepResults) -> str:
    """Perception against distortion: every trial, the confirmed means, the front and the pick."""
    marks = [*_screened(facts), *_references(facts), *_confirmed(facts)]
    shown = [design for design in facts.designs if design.on_front]
    front = sorted(point for design in shown if (point := _val(facts, design)))
    lower = METRICS[facts.perceptual].direction == "min"
    where = "up and to the left" if lower else "up and to the right"
    drawing = plane(marks, front, facts.perceptual, f"{facts.distortion} ({METRICS[facts.distortion].unit})")
    if not drawing:
        return ""
    legend = _legend(
        ("pick", "the pick"),
        ("design", "confirmed, mean of seeds"),
        ("seed", "one seed"),
        ("screened", "screened to the end"),
        ("stopped", "stopped early"),
        ("warm", "warm start"),
        ("bicubic", "bicubic"),
    )
    hint = (
        f"<p>All points on val. Better is {where}; the line joins designs that none other beats in both.</p>"
    )
    return section("Perception against distortion", f"{hint}<figure>{drawing}{legend}</figure>", "plane")


def _legend(*items: tuple[str, str]) -> str:
    marks = "".join(f'<li class="{look}"><i></i>{escape(text)}</li>' for look, text in items)
    return f'<ul class="legend">{marks}</ul>'


def _point(facts: SweepResults, row: Row, prefix: str = "") -> tuple[float, float] | None:
    """(perceptual, distortion) of a row, or of what its `prefix` names."""
    metrics = row["metrics"]
    names = (prefix + facts.perceptual, prefix + facts.distortion)
    return (metrics[names[0]], metrics[names[1]]) if all(n in metrics for n in names) else None


def _screened(facts: SweepResults) -> list[Mark]:
    marks = []
    for row in facts.of_stage("screen"):
        point = _point(facts, row)
        if point and not has_no_result(row):
            look = "screened" if row["rung"] is None else "stopped"
            tip = tooltip(facts, f"{row['design']}: {row['verdict']}", point)
            marks.append(Mark(*point, look, tip, row["trial_id"]))
    return sorted(marks, key=lambda mark: mark.look == "screened")


def _references(facts: SweepResults) -> list[Mark]:
    """Bicubic once, and each distinct warm start."""
    marks: dict[tuple[float, float], Mark] = {}
    for row in facts.of_stage("screen", "confirm"):
        for prefix, look, title in (
            ("warm/", "warm", f"warm start of {row['design']}"),
            ("bicubic/", "bicubic", "bicubic"),
        ):
            point = _point(facts, row, prefix)
            if point and not has_no_result(row):
                marks.setdefault(point, Mark(*point, look, tooltip(facts, title, point)))
    return list(marks.values())


def _confirmed(facts: SweepResults) -> list[Mark]:
    seeds, means = [], []
    for design in reversed(facts.designs):  # the pick last, on top
        points = [point for row in design.rows if (point := _point(facts, row))]
        for row, point in zip(design.rows, points, strict=False):
            seeds.append(Mark(*point, "seed", tooltip(facts, f"{design.name}, seed {row['seed']}", point)))
        if point := _val(facts, design):
            xs, ys = zip(*points, strict=True)
            look = "pick" if design.is_pick else "design"
            tip = tooltip(facts, f"{design.name}, mean of {len(points)} seeds", point)
            first = design.rows[0]["trial_id"]
            means.append(Mark(*point, look, tip, first, (min(xs), max(xs), min(ys), max(ys))))
    return seeds + means


def _val(facts: SweepResults, design: Design) -> tuple[float, float] | None:
    """The design's mean over seeds on val."""
    points = [point for row in design.rows if (point := _point(facts, row))]
    if not points:
        return None
    return sum(p[0] for p in points) / len(points), sum(p[1] for p in points) / len(points)


def pictures(facts: SweepResults) -> str:
    """Image strips, the pick first, with a slider against bicubic."""
    picked = [row for row in facts.of_stage("confirm") if row["trial_id"] == facts.sweep.get("pick")]
    rows = picked + [row for design in facts.designs for row in design.rows] + facts.of_stage("screen")
    figures: dict[str, str] = {}
    for row in rows:  # one picture a design: seeds of one design look alike
        if row["design"] not in figures and len(figures) < MAX_STRIPS:
            if path := _strip_file(facts, row):
                figures[row["design"]] = _figure(row, path)
    return section("Pictures", "".join(figures.values()), "pictures")


def _strip_file(facts: SweepResults, row: Row) -> Path | None:
    """The strip of a row: where the row says, or where it lies in the sweep's own folder."""
    places = [facts.folder / "trials" / row["trial_id"] / "strip.png"]
    if row.get("strip"):
        places = [Path(row["strip"]), facts.folder / row["strip"], *places]
    return next((place for place in places if _is_picture(place)), None)


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            picture.load()
            return True
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _figure(row: Row, path: Path) -> str:
    sheet = Image.open(path)
    width, height = sheet.size
    smaller = BytesIO()
    sheet.save(smaller, "WEBP", lossless=True)  # the slider shows single pixels
    title = f"{row['design']} · {row['stage']} · seed {row['seed']} · {row['verdict']}"
    return (
        f'<figure class="strip" data-cell="{CELL_PX}" data-label="{LABEL_PX}"><figcaption>{escape(title)}'
        f'</figcaption><div class="sheet"><img alt="input, bicubic, warm start, ours, target" '
        f'width="{width}" height="{height}" loading="lazy" '
        f'src="data:image/webp;base64,{base64.b64encode(smaller.getvalue()).decode()}"></div></figure>'
    )


def curves_section(facts: SweepResults) -> str:
    """Learning curves of the GAN phase, with the rungs."""
    rows = [row for row in facts.of_stage("screen", "confirm") if row["curve"] and not has_no_result(row)]
    rungs = sorted({row["rung"] for row in rows if row["rung"] is not None})
    drawings = []
    for place, metric in ((2, facts.perceptual), (1, facts.distortion)):
        lines = [
            Line(
                [(point[0], point[place]) for point in row["curve"]],
                "line " + _line_look(facts, row),
                f"{row['stage']} {row['design']}, seed {row['seed']}\n{row['verdict']}",
                row["trial_id"],
            )
            for row in sorted(
                rows, key=lambda row: ("stopped", "screened", "design", "pick").index(_line_look(facts, row))
            )
        ]
        level = next((r["metrics"].get(f"bicubic/{metric}") for r in rows), None)
        drawings.append(f"<figure>{curves(lines, rungs, level, metric, 'GAN step')}</figure>")
    legend = _legend(
        ("pick", "the pick"),
        ("design", "confirmed"),
        ("screened", "screened to the end"),
        ("stopped", "stopped early"),
    )
    hint = "<p>Val, averaged weights. Dashed lines are rungs where trials were stopped.</p>"
    return section("Curves by rung", hint + "".join(drawings) + legend if rows else "", "curves")


def _line_look(facts: SweepResults, row: Row) -> str:
    if row["stage"] == "confirm":
        return "pick" if facts.pick and row in facts.pick.rows else "design"
    return "screened" if row["rung"] is None else "stopped"
