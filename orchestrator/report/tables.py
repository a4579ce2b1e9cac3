"""The tabular sections of report.html: designs, runs, verdicts."""

from html import escape

from orchestrator.report import data, sentences
from orchestrator.report.data import Design, Row, SweepResults, has_no_result
from orchestrator.report.markup import cells, section
from trainers.metrics import METRICS, format_metric

STAGES = ("test", "confirm", "screen", "warm")


def designs_table(facts: SweepResults) -> str:
    """Confirmed designs: the table to cite, one row per design, on test where that was opened."""
    designs = facts.designs
    if not designs:
        return ""
    metrics = [facts.perceptual, facts.distortion]
    metrics += [m for m in METRICS if m not in metrics and all(d.mean(m) is not None for d in designs)]
    head = ["design", "seeds", *(f"{m} {METRICS[m].unit}".strip() for m in metrics)]
    metric, words = data.against_pick(facts)
    head += [f"against the pick, {metric}"] if words else []
    body = []
    for d in designs:
        name = f"{d.name}{' – the pick' if d.is_pick else ' – on the front' if d.on_front else ''}"
        body.append([name, str(len(d.tests or d.rows)), *(_mean_and_range(d, m) for m in metrics)])
        body[-1] += [words.get(d.name, "")] if words else []
    for key, word in (("warm", "warm start of the first"), ("bicubic", "bicubic")):
        body.append([word, "", *(format_metric(m, designs[0].mean(f"{key}/{m}")) for m in metrics)])
    lines = "".join(cells("td", row) for row in body)
    role = "test" if designs[0].tests else "val"
    return section(
        f"Confirmed designs, on {role}",
        f'<div class="wide"><table><thead>{cells("th", head)}</thead><tbody>{lines}</tbody></table></div>'
        + _protocol(designs[0].tests or designs[0].rows),
        "designs",
    )


def _mean_and_range(design: Design, metric: str) -> str:
    values = design.values(metric)
    mean = format_metric(metric, design.mean(metric))
    if len(values) < 2:
        return mean
    return f"{mean} ({format_metric(metric, min(values))}–{format_metric(metric, max(values))})"


def _protocol(rows: list[Row]) -> str:
    items = "".join(f"<li>{escape(m)}: {escape(text)}</li>" for m, text in rows[0]["protocol"].items())
    return f'<details><summary>What the numbers mean</summary><ul class="small">{items}</ul></details>'


def runs_table(facts: SweepResults) -> str:
    """Every run in a table that sorts and filters."""
    if not facts.rows:
        return ""
    metrics = [facts.perceptual, facts.distortion]
    metrics += [m for m in METRICS if m not in metrics and any(m in r["metrics"] for r in facts.rows)]
    priced = any(row.get("cost") for row in facts.rows)
    head = ["design", "stage", "seed", *metrics, "warm start", "step", "hours"]
    head += [*(["cost"] if priced else []), "verdict", "run"]
    titles = "".join(f'<th aria-sort="none"><button>{escape(text)}</button></th>' for text in head)
    order = sorted(facts.rows, key=lambda row: STAGES.index(row["stage"]))
    body = "".join(_trial(facts, row, metrics, priced) for row in order)
    stages = "".join(f'<option value="{s}">{s}</option>' for s in STAGES)
    return section(
        "All runs",
        f'<p class="filter"><input type="search" placeholder="filter: words, or -word to exclude" '
        f'aria-label="filter"><select aria-label="stage"><option value="">all stages</option>{stages}'
        f"</select>"
        f'<span class="count"></span></p><div class="wide tall"><table class="trials">'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
        f"<p class='small'>Rows of test are measured on other images than the rest: compare within a stage. "
        f"Warm start: {escape(facts.perceptual)} before the GAN phase.</p>",
        "trials",
    )


def _trial(facts: SweepResults, row: Row, metrics: list[str], priced: bool) -> str:
    values = row["metrics"]
    hours = row["gpu_hours"] or row["cpu_hours"]
    texts = [(row["design"], None), (row["stage"], None), (str(row["seed"]), row["seed"])]
    measured = {} if has_no_result(row) else values
    texts += [(format_metric(m, measured.get(m)), measured.get(m)) for m in metrics]
    warm = values.get(f"warm/{facts.perceptual}")
    texts += [
        (format_metric(facts.perceptual, warm), warm),
        (f"{row['steps']} of {row['max_steps']}", row["steps"]),
        (f"{hours:.3f} {'GPU' if row['gpu_hours'] else 'CPU'}", hours),
        *([(format_metric("cost", row.get("cost")), row.get("cost"))] if priced else []),
        (row["verdict"], None),
        ((row["mlflow_run_id"] or "")[:8], None),
    ]
    tds = "".join(
        f"<td>{escape(text)}</td>" if value is None else f'<td data-v="{value!r}">{escape(text)}</td>'
        for text, value in texts
    )
    picked = ' class="picked"' if row["trial_id"] == facts.sweep.get("pick") else ""
    return f'<tr id="{escape(row["trial_id"])}" data-stage="{escape(row["stage"])}"{picked}>{tds}</tr>'


def verdicts_section(facts: SweepResults) -> str:
    """What became of the trials that did not go on, in words."""
    items = []
    for words, rows in sentences.verdicts(facts):
        details = "".join(
            f"<li>{escape(row['stage'])} {escape(row['design'])}: {escape(row['verdict'])}</li>"
            for row in rows
        )
        shown = " open" if has_no_result(rows[0]) else ""
        items.append(
            f"<details{shown}><summary><b>{len(rows)}</b> {escape(words)}</summary>"
            f'<ul class="small">{details}</ul></details>'
        )
    return section("What became of each run", "".join(items), "verdicts")
