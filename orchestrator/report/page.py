"""The sections of report.html in order, the answer first. No section needs a script; all text is escaped."""

import base64
import hashlib
import shlex
from html import escape
from pathlib import Path
from typing import Any

from orchestrator.report import sentences
from orchestrator.report.comparisons import compare_with_references
from orchestrator.report.data import Design, SweepResults
from orchestrator.report.figures import curves_section, pictures, plane_section
from orchestrator.report.importance import settings_section
from orchestrator.report.markup import section, table
from orchestrator.report.ratings import opinions_section
from orchestrator.report.tables import designs_table, outcomes_section, runs_table
from trainers.metrics import METRICS, format_metric

HERE = Path(__file__).parent


def render(results: SweepResults) -> str:
    """Return the page as one HTML document."""
    sections = (
        _answer(results),
        plane_section(results),
        pictures(results),
        designs_table(results),
        opinions_section(results),
        curves_section(results),
        settings_section(results),
        runs_table(results),
        outcomes_section(results),
        _reproduce(results),
    )
    name = escape(results.sweep["name"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">'
        f"<title>{name} – Upsweep</title><style>{_asset('page.css')}</style></head>"
        f'<body><main>{"".join(sections)}</main><div id="tip" hidden></div>'
        f"<script>{_asset('page.js')}</script></body></html>"
    )


def _policy() -> str:
    """Return what the page may load: its own script by hash, its styles, and the pictures inside it."""
    digest = base64.b64encode(hashlib.sha256(_asset("page.js").encode()).digest()).decode()
    return f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"


def _asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _answer(results: SweepResults) -> str:
    sweep = results.sweep
    when = (
        sentences.moment(sweep.get("ended"))
        or f"{sweep['status']}, begun {sentences.moment(sweep['started'])}"
    )
    about = f"recipe {sweep['recipe']} · {when} · {sweep.get('hardware') or ''}"
    paragraphs = (
        sentences.how_sure(results),
        sentences.against_sentinels(results),
        compare_with_references(results),
        sentences.checkpoint_choice(results),
        sentences.cost(results),
    )
    return (
        f'<header><p class="about">{escape(sweep["name"])} · {escape(about)}</p>'
        f"<h1>{escape(sentences.headline(results))}</h1>{_tiles(results)}"
        f"{''.join(f'<p>{escape(text)}</p>' for text in paragraphs if text)}</header>"
    )


def _tiles(results: SweepResults) -> str:
    pick = results.pick
    if pick is None:
        return ""
    tiles = [_tile(results, pick, metric) for metric in (results.perceptual, results.distortion)]
    gpu, cpu = (results.sweep.get(f"{kind}_hours") or 0.0 for kind in ("gpu", "cpu"))
    first = (
        f"<b>{gpu:.2f}</b><span>GPU-hours</span><small>{cpu:.2f} CPU-hours</small>"
        if gpu
        else f"<b>{cpu:.2f}</b><span>CPU-hours</span>"
    )
    tiles.append(f"<div>{first}</div>")
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(results: SweepResults, pick: Design, metric: str) -> str:
    unit = escape(METRICS[metric].unit)
    values = pick.values(metric)
    spread = ""
    if len(values) > 1:
        spread = f" ({format_metric(metric, min(values))} to {format_metric(metric, max(values))})"
    better = "lower" if METRICS[metric].direction == "min" else "higher"
    references = ", ".join(
        f"{word} {format_metric(metric, pick.mean(f'{key}/{metric}'))}"
        for key, word in (("bicubic", "bicubic"), ("warm", "warm start"))
    )
    return (
        f"<div><b>{format_metric(metric, pick.mean(metric))} {unit}</b>"
        f"<span>{escape(metric)}{spread}, {better} is better</span><small>{references}</small></div>"
    )


def _reproduce(results: SweepResults) -> str:
    sweep = results.sweep
    commands = [f"git checkout {shlex.quote(sweep['commit'].rstrip('+'))}"] if sweep.get("commit") else []
    commands += [sweep["command"], f"python experiments/promote.py {shlex.quote(sweep['name'])}"]
    images = [
        (role, str(entry["spec"]), str(entry["n"]), str(entry["digest"]))
        for role, entry in sweep["data"].items()
    ]
    versions = ", ".join(f"{name} {version}" for name, version in sweep["versions"].items())
    changed = " (with uncommitted changes)" if str(sweep.get("commit", "")).endswith("+") else ""
    return section(
        "Do it again",
        f"<pre>{escape(chr(10).join(commands))}</pre>"
        f"{table(('role', 'images', 'count', 'digest'), images)}"
        f'<p class="small">commit {escape(str(sweep.get("commit") or "unknown"))}{changed}; seed '
        f"{escape(str(sweep['seed']))}; {escape(versions)}; MLflow "
        f"{escape(str(sweep['tracking_uri'] or 'mlflow.db beside the sweep'))}, "
        f"experiment {escape(str(sweep['experiment']))}</p>" + _settings(results),
        "reproduce",
    )


def _settings(results: SweepResults) -> str:
    """Return the settings of each confirmed design that differ from the recipe, as flags."""
    blocks = []
    for design in results.designs:
        values: dict[str, Any] = design.rows[0].get("values") or {}
        lines = "\n".join(f"--{name} {shlex.quote(str(value))}" for name, value in values.items())
        title = f"settings of {design.name}"
        blocks.append(f"<details><summary>{escape(title)}</summary><pre>{escape(lines)}</pre></details>")
    return "".join(blocks)
