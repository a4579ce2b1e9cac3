"""The tables of report.html: designs, runs, outcomes, and the mean opinion scores of rating studies."""

import shlex
from html import escape
from typing import Any

from datasets.files import read_json
from datasets.text import short_number
from orchestrator.report import sentences
from orchestrator.report.comparisons import compare_designs
from orchestrator.report.data import Design, SweepResults, has_no_result
from orchestrator.report.markup import section, shown_unit, table
from orchestrator.results.leaderboard import design_key, group_by_design
from orchestrator.results.row import Row
from orchestrator.results.sentinels import SENTINELS, is_same_network
from trainers.metrics import METRICS, format_metric
from trainers.state import RUNG_WINDOW

MEANS = "Each value is the mean over the seeds of a design, with the range from seed to seed in parentheses."
STAGES = ("test", "confirm", "repeat", "screen", "warm")


def designs_table(results: SweepResults) -> str:
    """Return the table to cite: one row per confirmed design, on test if that was opened, else on val."""
    designs = results.designs
    if not designs:
        return ""
    metrics = [results.perceptual, results.distortion]
    metrics += [m for m in METRICS if m not in metrics and all(d.mean(m) is not None for d in designs)]
    head = ["design", "seeds", *(f"{m} {shown_unit(m)}".strip() for m in metrics)]
    compared, verdicts = compare_designs(results)
    shown = [*([results.shipped] if results.shipped else []), *designs]
    costs = [_inference(results, d.rows[0]) for d in shown]
    head += ["ms", "MB"] if any(costs) else []
    head += [f"against {results.pick_name}, {compared}"] if verdicts else []
    lines = []
    for d, cost in zip(shown, costs, strict=True):
        name = d.name + _part(results, d)
        row = [name, str(len(d.tests or d.rows)), *(_mean_and_range(d, m) for m in metrics)]
        if any(costs):
            row += [short_number(cost[key]) if cost else "–" for key in ("ms", "memory_mb")]
        lines.append(row + ([verdicts.get(d.name, "")] if verdicts else []))
    for key, name in _references(results, designs[0]).items():
        means = [designs[0].mean(f"{key}/{m}") for m in metrics]
        if means[0] is not None:
            row = [name, "", *(format_metric(m, mean) for m, mean in zip(metrics, means, strict=True))]
            lines.append(row + [""] * (len(head) - len(row)))
    role = "test" if designs[0].tests else "val"
    protocol = _protocol(designs[0].tests or designs[0].rows)
    body = f"<p>{MEANS}</p>{table(head, lines)}{protocol}"
    return section(f"Confirmed designs, on {role}", body, "designs")


def _part(results: SweepResults, design: Design) -> str:
    """Return the words that follow a design's name: whether it ships, is the pick or is on the front."""
    if design.is_pick:
        return f" – {results.pick_name}" + ", which does not ship" * bool(results.sweep.get("unbeaten"))
    if results.shipped and design.rows == results.shipped.rows:
        return " – ships"
    return " – on the front" if design.on_front else ""


def _inference(results: SweepResults, row: Row) -> dict[str, Any] | None:
    """Return the inference cost of a row's network, or of the row that it was measured from."""
    trained = (r for r in results.rows if r["trial_id"] == row.get("of"))
    return row.get("inference") or next((r["inference"] for r in trained if "inference" in r), None)


def _references(results: SweepResults, design: Design) -> dict[str, str]:
    """Return the prefix and the name of what the first design is compared with."""
    owner = results.pick_name if design.is_pick else design.name
    warm = results.warm_name.replace("its warm start", f"{owner}'s warm start")
    names = {"warm": warm} | {k: name.replace("its warm start", warm) for k, name in SENTINELS.items()}
    metrics = (results.perceptual, results.distortion)
    longer = [design.mean(f"longer/{m}") for m in metrics]
    if results.shipped and is_same_network(longer, [results.shipped.mean(m) for m in metrics]):
        del names["longer"]  # its values are those of the row that ships
    else:
        names["longer"] = results.longer_name
    return names | {"bicubic": "bicubic"}


def _mean_and_range(design: Design, metric: str) -> str:
    values = design.values(metric)
    mean = format_metric(metric, design.mean(metric))
    if len(values) < 2:
        return mean
    return f"{mean} ({format_metric(metric, min(values))}–{format_metric(metric, max(values))})"


def _protocol(rows: list[Row]) -> str:
    items = "".join(f"<li>{escape(m)}: {escape(text)}</li>" for m, text in rows[0]["protocol"].items())
    return f'<details><summary>What the numbers mean</summary><ul class="small">{items}</ul></details>'


def stages_table(results: SweepResults) -> str:
    """Return the perceptual metric of confirmed designs in each stage, side by side; empty without screening.

    Designs were chosen by their values in earlier stages, so these flatter them.
    """
    metric, head = results.perceptual, ["design"]
    columns: dict[str, dict[str, list[Row]]] = {}
    titles = {"screen": "screened", "repeat": "repeated", "confirm": "confirmed", "test": "on test"}
    for stage, title in titles.items():
        rows = [row for row in results.of_stage(stage) if not has_no_result(row) and "val" not in row]
        steps = {row["max_steps"] for row in rows}
        if rows:
            columns[stage] = group_by_design(rows)
            head.append(f"{title}, {min(steps)} steps" if stage != "test" and len(steps) == 1 else title)
    if not results.designs or "screen" not in columns:
        return ""
    lines = []
    for design in results.designs:
        found = [designs.get(design_key(design.rows[0]), []) for designs in columns.values()]
        lines.append([design.name + _part(results, design), *(_mean_of_runs(rows, metric) for rows in found)])
    firsts = (next(iter(designs.values()))[0]["metrics"] for designs in columns.values())
    lines.append(["bicubic", *(format_metric(metric, first.get(f"bicubic/{metric}")) for first in firsts)])
    notes = (
        f"Mean {' '.join(filter(None, (metric, shown_unit(metric))))} of the runs in each stage, and their "
        f"number. Screened and repeated values are best medians of {RUNG_WINDOW} evaluations on val, from "
        f"shared warm starts; designs are chosen by them, so luck flatters the best ones. Confirmed values "
        f"are those of chosen checkpoints on val. Test has other images; bicubic tells how much harder or "
        f"easier they are."
    )
    return section("From screening to test", f"<p>{escape(notes)}</p>{table(head, lines)}", "stages")


def _mean_of_runs(rows: list[Row], metric: str) -> str:
    """Return the mean of a design's runs in one stage and their number; a dash if there are none."""
    values = [row["metrics"][metric] for row in rows if metric in row["metrics"]]
    return f"{format_metric(metric, sum(values) / len(values))} ({len(values)})" if values else "–"


def runs_table(results: SweepResults) -> str:
    """Return a table of every run that page.js sorts and filters."""
    if not results.rows:
        return ""
    metrics = [results.perceptual, results.distortion]
    metrics += [m for m in METRICS if m not in metrics and any(m in r["metrics"] for r in results.rows)]
    priced = any(row.get("cost") for row in results.rows)
    head = ["design", "stage", "seed", *metrics, "warm start", "step", "time"]
    head += [*(["cost"] if priced else []), "verdict", "run"]
    titles = "".join(f'<th aria-sort="none"><button>{_breakable(text)}</button></th>' for text in head)
    order = sorted(results.rows, key=lambda row: STAGES.index(row["stage"]))
    body = "".join(_run(results, row, metrics, priced) for row in order)
    stages = "".join(f'<option value="{s}">{s}</option>' for s in STAGES)
    return section(
        "All runs",
        f'<p class="filter"><input type="search" placeholder="filter: words, or -word to exclude" '
        f'aria-label="filter"><select aria-label="stage"><option value="">all stages</option>{stages}'
        f"</select>"
        f'<span class="count"></span></p><div class="wide tall" tabindex="0"><table class="trials">'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
        f"<p class='small'>Rows of test are measured on other images than the rest, and --hours can confirm "
        f"with longer or shorter phases than it screened with: compare within a stage. "
        f"The value of a screened or repeated run is the best median of {RUNG_WINDOW} evaluations in a row, "
        f"for each metric by itself, so it need not be a point of its curve. "
        f"A run's id unfolds the command that promotes its network. "
        f"Warm start: {escape(results.perceptual)} before the last phase.</p>",
        "trials",
    )


def _run(results: SweepResults, row: Row, metrics: list[str], priced: bool) -> str:
    """Return one table row; cells with a number carry it in `data-v` for sorting."""
    values = row["metrics"]
    hours = row["gpu_hours"] or row["cpu_hours"]
    measured = {} if has_no_result(row) else values
    warm = values.get(f"warm/{results.perceptual}")
    planned = f" of {row['max_steps']}" if row["steps"] != row["max_steps"] else ""
    columns = [
        (row["design"], None),
        (row["stage"], None),
        (str(row["seed"]), row["seed"]),
        *((format_metric(m, measured.get(m)), measured.get(m)) for m in metrics),
        (format_metric(results.perceptual, warm), warm),
        (f"{row['steps']}{planned}", row["steps"]),
        (f"{sentences.duration(3600 * hours)} {'GPU' if row['gpu_hours'] else 'CPU'}", hours),
        *([(format_metric("cost", row.get("cost")), row.get("cost"))] if priced else []),
        (row["verdict"], None),
    ]
    tds = "".join(
        f"<td>{escape(text)}</td>" if value is None else f'<td data-v="{value!r}">{escape(text)}</td>'
        for text, value in columns
    )
    tds += f"<td>{_promotion(results, row)}</td>"
    marked = ' class="picked"' if row["trial_id"] == results.sweep.get("pick") else ""
    return f'<tr id="{escape(row["trial_id"])}" data-stage="{escape(row["stage"])}"{marked}>{tds}</tr>'


def _breakable(name: str) -> str:
    """Return an escaped name that, if it is long, may be broken after an underscore."""
    return escape(name).replace("_", "_<wbr>") if len(name) > 8 else escape(name)


def _promotion(results: SweepResults, row: Row) -> str:
    """Return the run's id, which unfolds the command that promotes its network if that was kept."""
    run, sweep = row["mlflow_run_id"] or "", results.sweep
    if not run or not row.get("checkpoint") or has_no_result(row):
        return f'<span title="{escape(run)}">{escape(run[:8])}</span>'
    storage = sweep.get("request", {}).get("storage", "./runs")
    options = {"storage": storage if storage != "./runs" else "", "tracking-uri": sweep.get("tracking_uri")}
    words = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value]
    command = " ".join(["upsweep promote --run", run, *words])
    return (
        f'<details><summary title="{escape(run)}">{escape(run[:8])}</summary>'
        f"<code>{escape(command)}</code></details>"
    )


def outcomes_section(results: SweepResults) -> str:
    """Return the runs grouped by their outcome."""
    items = []
    for outcome, rows in sentences.outcomes(results):
        details = "".join(
            f"<li>{escape(row['stage'])} {escape(row['design'])}: {escape(row['verdict'])}</li>"
            for row in rows
        )
        opened = " open" if has_no_result(rows[0]) else ""
        items.append(
            f"<details{opened}><summary><b>{len(rows)}</b> {escape(outcome)}</summary>"
            f'<ul class="small">{details}</ul></details>'
        )
    return section("What became of each run", "".join(items), "verdicts")


def opinions_section(results: SweepResults) -> str:
    """Return the section; empty if the sweep's ratings/ folder holds no study."""
    files = sorted((results.folder / "ratings").glob("*.json"))
    return section(
        "Opinion scores",
        "".join(_opinions(read_json(f, keys=("study", "head", "panels", "notes"))) for f in files),
        "opinions",
    )


def _opinions(study: dict[str, Any]) -> str:
    tables = "".join(
        f"<p>{escape(panel['title'])}</p>{table(study['head'], panel['rows'])}" for panel in study["panels"]
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in study["notes"])
    return (
        f"<h3>{escape(study['study'])}</h3><p>Scores from 1, bad, to 5, excellent, by raters who did not "
        f'know which model made a picture.</p>{tables}<ul class="small">{notes}</ul>'
    )
