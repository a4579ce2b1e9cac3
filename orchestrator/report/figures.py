"""The figures of report.html: the perception-distortion plane, the curves, the pictures."""

import base64
from collections.abc import Collection
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from orchestrator.report.data import Design, SweepResults, has_no_result, picked
from orchestrator.report.markup import section
from orchestrator.report.sentences import tooltip
from orchestrator.report.svg import Line, Mark, curves, plane
from orchestrator.results.image_strips import CELL_PX, LABEL_PX
from orchestrator.results.row import Row
from trainers.metrics import METRICS

MAX_STRIPS = 4
FULL_BUDGET, STOPPED = "screened to the end", "stopped early"


def plane_section(results: SweepResults) -> str:
    """Return perception against distortion: every trial, the confirmed means, the front and what ships."""
    marks = [*_screened(results), *_references(results), *_confirmed(results), *_shipped(results)]
    if not marks:
        return ""
    on_front = [design for design in results.designs if design.on_front]
    front = sorted(point for design in on_front if (point := _val(results, design)))
    side = "left" if results.sign == 1 else "right"
    y_name = f"{results.distortion} ({METRICS[results.distortion].unit})"
    plot = plane(marks, front, results.perceptual, y_name, loose=("screened", "stopped"))
    drawing = plot.inline(f"{y_name} against {results.perceptual}")
    legend = _legend(
        {mark.look for mark in marks},
        pick="ships" if results.shipped else "the pick",
        best="best GAN",
        design="confirmed, mean of seeds",
        seed="one seed",
        screened=FULL_BUDGET,
        stopped=STOPPED,
        warm=results.warm_name.removeprefix("its "),
        bicubic="bicubic",
    )
    hint = f"All points on val. Better is up and to the {side}."
    if len(front) > 1:
        hint += " The line joins designs that none other beats in both."
    body = f"<p>{hint}</p><figure>{drawing}{legend}</figure>"
    title = "Perception against distortion"
    if results.is_fidelity:
        title = f"{results.distortion} against {results.perceptual}"
    return section(title, body, "plane")


def _legend(looks: Collection[str], **names: str) -> str:
    """Return the names of those of `looks` that the figure has."""
    shown = {look: name for look, name in names.items() if look in looks}
    marks = "".join(f'<li class="{look}"><i></i>{escape(name)}</li>' for look, name in shown.items())
    return f'<ul class="legend">{marks}</ul>'


def _point(results: SweepResults, row: Row, prefix: str = "") -> tuple[float, float] | None:
    """Return (perceptual, distortion) of a row, or of its reference "warm/" or "bicubic/"."""
    metrics = row["metrics"]
    names = (prefix + results.perceptual, prefix + results.distortion)
    return (metrics[names[0]], metrics[names[1]]) if all(n in metrics for n in names) else None


def _screened(results: SweepResults) -> list[Mark]:
    marks = []
    for row in results.of_stage("screen"):
        point = _point(results, row)
        if point and not has_no_result(row):
            tip = tooltip(results, f"{row['design']}: {row['verdict']}", point)
            marks.append(Mark(*point, _screened_look(row), tip, row["trial_id"]))
    return sorted(marks, key=lambda mark: mark.look == "screened")


def _references(results: SweepResults) -> list[Mark]:
    """Return bicubic once, and each distinct warm start."""
    marks: dict[tuple[float, float], Mark] = {}
    for row in results.of_stage("screen", "confirm"):
        for prefix, look, title in (
            ("warm/", "warm", f"warm start of {row['design']}"),
            ("bicubic/", "bicubic", "bicubic"),
        ):
            point = _point(results, row, prefix)
            if point and not has_no_result(row):
                marks.setdefault(point, Mark(*point, look, tooltip(results, title, point)))
    return list(marks.values())


def _confirmed(results: SweepResults) -> list[Mark]:
    seeds, means = [], []
    for design in reversed(results.designs):  # the pick last, on top
        points = [point for row in design.rows if (point := _point(results, row))]
        for row, point in zip(design.rows, points, strict=False):
            tip = tooltip(results, f"{design.name}, seed {row['seed']}", point)
            seeds.append(Mark(*point, "seed", tip, row["trial_id"]))
        if point := _val(results, design):
            xs, ys = zip(*points, strict=True)
            look = _pick_look(results) if design.is_pick else "design"
            tip = tooltip(results, f"{design.name}, mean of {len(points)} seeds", point)
            first = design.rows[0]["trial_id"]
            means.append(Mark(*point, look, tip, first, (min(xs), max(xs), min(ys), max(ys))))
    return seeds + means


def _shipped(results: SweepResults) -> list[Mark]:
    """Return the mark of the PSNR network that ships; empty if the pick ships, or without values on val."""
    network = results.shipped
    point = _point(results, {**network.rows[0], "metrics": network.rows[0]["val"]}) if network else None
    if network is None or point is None:
        return []
    tip = tooltip(results, f"{network.name}, which ships", point)
    return [Mark(*point, "pick", tip, network.rows[0]["trial_id"])]


def _pick_look(results: SweepResults) -> str:
    """Return the class name of the picked design: "pick", or "best" if it does not ship."""
    return "best" if results.sweep.get("unbeaten") else "pick"


def _val(results: SweepResults, design: Design) -> tuple[float, float] | None:
    """Return the mean (perceptual, distortion) over seeds on val."""
    points = [point for row in design.rows if (point := _point(results, row))]
    if not points:
        return None
    return sum(p[0] for p in points) / len(points), sum(p[1] for p in points) / len(points)


def pictures(results: SweepResults) -> str:
    """Return image strips, those of what ships and of the pick on test first.

    page.js adds a zoom and a slider against bicubic.
    """
    own = picked(results.sweep)
    chosen = [*results.shipped.tests] if results.shipped else []
    chosen += [row for row in results.of_stage("test") if row.get("of") == own and row.get("captions")]
    chosen += [row for row in results.of_stage("confirm") if row["trial_id"] == own]
    rows = chosen + [row for design in results.designs for row in design.rows] + results.of_stage("screen")
    figures: dict[str, str] = {}
    for row in rows:  # one picture per design: its seeds look alike
        if row["design"] not in figures and len(figures) < MAX_STRIPS:
            if path := _strip_file(results, row):
                ships = not results.shipped or row in results.shipped.rows
                figures[row["design"]] = _figure(row, path, "ours" if ships else "GAN")
    hint = (
        "<p>Wheel or the slider below a picture enlarges all columns together; drag or arrow keys move.</p>"
    )
    return section("Pictures", hint + "".join(figures.values()) if figures else "", "pictures")


def _strip_file(results: SweepResults, row: Row) -> Path | None:
    """Return the image strip of a row: at the row's path or in the sweep's folder; None without a picture."""
    places = [results.folder / "trials" / row["trial_id"] / "strip.png"]
    if strip := row.get("strip"):
        places = [Path(strip), results.folder / strip, *places]
    return next((place for place in places if _is_picture(place)), None)


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            picture.load()
            return True
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _figure(row: Row, path: Path, subject: str) -> str:
    """Return a picture of the columns input, bicubic, ..., `subject`, target."""
    sheet = Image.open(path)
    width, height = sheet.size
    smaller = BytesIO()
    sheet.save(smaller, "WEBP", lossless=True)  # the slider shows single pixels
    title = f"{row['design']} · {row['stage']} · seed {row['seed']} · {row['verdict']}"
    title += " · does not ship" * (subject != "ours")
    rows = "".join(f"<li>{escape(caption)}</li>" for caption in row.get("captions", ()))
    below = f"<ol>{rows}</ol>" if rows else ""
    return (
        f'<figure class="strip" data-cell="{CELL_PX}" data-label="{LABEL_PX}" data-subject="{subject}">'
        f"<figcaption>{escape(title)}{below}</figcaption>"
        f'<div class="sheet"><img alt="input, bicubic, warm start, {subject}, target" '
        f'width="{width}" height="{height}" loading="lazy" '
        f'src="data:image/webp;base64,{base64.b64encode(smaller.getvalue()).decode()}"></div></figure>'
    )


def curves_section(results: SweepResults) -> str:
    """Return learning curves of the last phase, with the rungs."""
    rows = [row for row in results.of_stage("screen", "confirm") if row["curve"] and not has_no_result(row)]
    if not rows:
        return ""
    looks = _curve_looks(results, rows)
    order = ("stopped", "screened", "design", "best", "pick")  # the last is on top
    rows.sort(key=lambda row: order.index(looks[row["trial_id"]]))
    rungs = sorted({row["rung"] for row in rows if row["rung"] is not None})
    drawings, phase = [], "PSNR" if results.is_fidelity else "GAN"
    for place, metric in ((2, results.perceptual), (1, results.distortion)):
        lines = [
            Line(
                [(point[0], point[place]) for point in row["curve"]],
                looks[row["trial_id"]],
                f"{row['stage']} {row['design']}, seed {row['seed']}\n{row['verdict']}",
                row["trial_id"],
            )
            for row in rows
        ]
        levels = {"bicubic": rows[0]["metrics"].get(f"bicubic/{metric}")}
        levels |= {"ships": results.shipped.rows[0]["val"].get(metric)} if results.shipped else {}
        known = {word: value for word, value in levels.items() if value is not None}
        plot = curves(lines, f"{phase} step", metric, verticals=rungs, levels=known)
        faint = max(0.08, min(0.55, 40 / len(lines)))  # hundreds of curves must not hide those that matter
        drawing = plot.inline(f"{metric} over {phase} steps", f"--faint:{faint:.2f}")
        drawings.append(f"<figure>{drawing}</figure>")
    hint = "Val, averaged weights." + " Dashed verticals: rungs where trials were stopped." * bool(rungs)
    hint += " The PSNR network that ships had no GAN phase: its level is a line." * bool(results.shipped)
    names = {"pick": "the pick", "best": "best GAN", "design": "confirmed"}
    legend = _legend(set(looks.values()), **names, screened=FULL_BUDGET, stopped=STOPPED)
    return section("Training curves", f"<p>{hint}</p>" + "".join(drawings) + legend, "curves")


def _curve_looks(results: SweepResults, rows: list[Row]) -> dict[str, str]:
    """Return the class name of each trial's curve."""
    own = {row["trial_id"] for row in results.pick.rows} if results.pick else set()
    return {
        row["trial_id"]: (_pick_look(results) if row["trial_id"] in own else "design")
        if row["stage"] == "confirm"
        else _screened_look(row)
        for row in rows
    }


def _screened_look(row: Row) -> str:
    return "screened" if row["rung"] is None else "stopped"
