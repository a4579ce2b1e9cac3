"""The sections of report.html in order, the answer first. No section needs a script; all text is escaped."""

import base64
import hashlib
import re
import shlex
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from datasets.config import DECIDABLE
from datasets.text import count
from orchestrator.report import sentences
from orchestrator.report.comparisons import comparisons_tables
from orchestrator.report.data import Design, SweepResults
from orchestrator.report.figures import curves_section, pictures, plane_section
from orchestrator.report.importance import settings_section
from orchestrator.report.markup import section, shown_unit, table, with_unit
from orchestrator.report.tables import (
    designs_table,
    opinions_section,
    outcomes_section,
    runs_table,
    stages_table,
)
from trainers.metrics import METRICS, meanings
from trainers.metrics.table import BUILT_IN

WORDS = (
    "Val: the images by which designs are chosen; test: images measured once, at the end. Seed: a training "
    "run with its own random numbers. Confirmed: trained again with new seeds"
)
HERE = Path(__file__).parent
RUNS = "./runs"
"""The storage that commands look in unless they name another."""


def render(results: SweepResults) -> str:
    """Return the page as one HTML document."""
    sections = (
        pictures(results),
        plane_section(results),
        designs_table(results),
        stages_table(results),
        opinions_section(results),
        curves_section(results),
        settings_section(results),
        runs_table(results),
        outcomes_section(results),
        _reproduce(results),
    )
    return _document(results.sweep["name"], _answer(results), sections)


def render_unfinished(results: SweepResults, state: str, refresh_s: int = 0) -> str:
    """Return the page of a sweep without a result: `state` in words, and the runs that are over.

    It names no pick and compares nothing. With `refresh_s` the page reads itself again after so many
    seconds, unless the reader switches that off.
    """
    sections = (
        plane_section(results),
        curves_section(results),
        runs_table(results),
        outcomes_section(results),
        _reproduce(results),
    )
    sweep, name = results.sweep, shlex.quote(results.sweep["name"])
    again = (
        f'<p><label><input type="checkbox" id="live" data-seconds="{refresh_s}" checked> read this '
        f"page again every {refresh_s} seconds</label></p>"
        if refresh_s
        else ""
    )
    header = (
        f'<header><p class="about">{escape(sweep["name"])} · recipe {escape(sweep["recipe"])} · begun '
        f"{sentences.moment(sweep['started'])} · {escape(sweep.get('hardware') or '')}</p>"
        f"<h1>{escape(state)}</h1><p>No result yet: designs are judged when every stage is over. "
        f"{count(len(results.rows), 'run')} ended by {sentences.moment(time.time())}. "
        f"If that is long ago, <code>upsweep sweep --status {escape(name)}</code> says what happened.</p>"
        f"{_paragraphs(sentences.too_slow(results))}{again}</header>"
    )
    return _document(sweep["name"], header, sections, refresh_s)


def _document(name: str, header: str, sections: Sequence[str], refresh_s: int = 0) -> str:
    """Return the HTML of a page; with `refresh_s` a browser without scripts reads it again, too."""
    again = f'<noscript><meta http-equiv="refresh" content="{refresh_s}"></noscript>' if refresh_s else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">{again}'
        f"<title>{escape(name)} – Upsweep</title><style>{_asset('page.css')}</style></head>"
        f"<body><main>{header}{_contents(sections)}{''.join(sections)}</main>"
        '<div id="tip" hidden></div><button id="back" hidden>back to the plot</button>'
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
    subject = _paragraphs(sentences.best_gan(results))
    paragraphs = (
        sentences.rival(results),
        sentences.checkpoint_choice(results),
        sentences.too_slow(results),
        sentences.cost(results),
    )
    return (
        f'<header><p class="about">{escape(sweep["name"])} · {escape(about)}</p>'
        f"<h1>{escape(sentences.headline(results))}</h1>{_paragraphs(sentences.why(results))}{_trust(results)}{_tiles(results)}{_use(results)}"
        f"{subject}{comparisons_tables(results)}{_paragraphs(*paragraphs)}{_advice(results)}{_meanings(results)}</header>"
    )


def _paragraphs(*texts: str) -> str:
    return "".join(f"<p>{escape(text)}</p>" for text in texts if text)


def _use(results: SweepResults) -> str:
    """Return the commands that use and promote what ships; empty if nothing does."""
    sweep = results.sweep
    if not sweep.get("pick"):
        return ""
    name, images = sweep["name"], sweep.get("gate_images")  # absent in sweeps of earlier versions
    enough, storage = images is None or images >= DECIDABLE, sweep.get("request", {}).get("storage", RUNS)
    is_here = storage in (RUNS, "runs")
    model = shlex.quote(name if is_here else f"{storage.rstrip('/')}/{name}")
    option = "" if is_here else f" --storage {shlex.quote(storage)}"
    said = "Use it on a picture, or promote it, which judges it on images that this sweep has not opened"
    said += "." if enough else f": FOLDER has {DECIDABLE} or more other images of your kind."
    promote = f"upsweep promote {shlex.quote(name)}{option}{'' if enough else ' --gate FOLDER'}"
    return _paragraphs(said) + _commands(f"upsweep upscale PICTURE --model {model}\n{promote}")


def _advice(results: SweepResults) -> str:
    """Return the advice to train one network as a paragraph with a command to copy; empty without."""
    sentence, command = sentences.advice(results)
    return _paragraphs(sentence) + _commands(command) if sentence else ""


def _commands(text: str) -> str:
    return f'<div class="copy"><pre tabindex="0">{escape(text)}</pre></div>'


def _trust(results: SweepResults) -> str:
    """Return the badge: what a claim needs, and which of it is there."""
    parts = sentences.trust(results)
    if not parts:
        return ""
    word = "A claim" if all(there for there, _ in parts) else "An estimate"
    if results.sweep.get("unbeaten"):
        word = "Of the best GAN, which does not ship"
    items = "".join(
        f'<li class="{"yes" if there else "no"}">{"✓" if there else "✗"} {escape(text)}</li>'
        for there, text in parts
    )
    return f'<ul class="trust" aria-label="evidence"><li><b>{word}</b></li>{items}</ul>'


def _meanings(results: SweepResults) -> str:
    is_restoration = results.sweep.get("request", {}).get("config", {}).get("generator.scale") == 1
    about_input = "At scale 1, bicubic is the input itself" if is_restoration else ""
    said = ". ".join(filter(None, (meanings(results.perceptual, results.distortion), about_input, WORDS)))
    return f'<p class="small">{escape(said)}.</p>'


def _contents(sections: Sequence[str]) -> str:
    """Return links to the sections that have a title; empty for a single one."""
    found = (re.match(r'<section id="(\w+)"><h2>(.*?)</h2>', text) for text in sections)
    links = [f'<a href="#{m[1]}">{m[2]}</a>' for m in found if m]
    return f'<nav aria-label="contents">{"".join(links)}</nav>' if len(links) > 1 else ""


def _tiles(results: SweepResults) -> str:
    pick = results.shipped or results.pick
    if pick is None:
        return ""
    metrics = results.perceptual, results.distortion
    tiles = [_tile(results, pick, m) for m in (reversed(metrics) if results.shipped else metrics)]
    gpu, cpu = (3600 * (results.sweep.get(f"{kind}_hours") or 0.0) for kind in ("gpu", "cpu"))
    spent, kind = (gpu, "GPU") if gpu else (cpu, "CPU")
    beside = f"<small>{sentences.duration(cpu)} of CPU time</small>" if gpu else ""
    words = f"<span>of {kind} time in training and test</span>"
    tiles.append(f"<div><b>{sentences.duration(spent)}</b>{words}{beside}</div>")
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(results: SweepResults, pick: Design, metric: str) -> str:
    values = pick.values(metric)
    spread = f" ({with_unit(metric, min(values), max(values))})" if len(values) > 1 else ""
    unitless = ", dimensionless" if metric in BUILT_IN and not shown_unit(metric) else ""
    better = "lower" if METRICS[metric].direction == "min" else "higher"
    references = ", ".join(
        f"{word} {with_unit(metric, pick.mean(f'{key}/{metric}'))}"
        for key, word in (("bicubic", "bicubic"), ("warm", "warm start"))
        if pick.values(f"{key}/{metric}")
    )
    return (
        f"<div><b>{escape(with_unit(metric, pick.mean(metric)))}</b>"
        f"<span>{escape(metric + spread)}{unitless}, {better} is better</span>"
        f"<small>{escape(references)}</small></div>"
    )


def _reproduce(results: SweepResults) -> str:
    sweep = results.sweep
    commands = [f"git checkout {shlex.quote(sweep['commit'].rstrip('+'))}"] if sweep.get("commit") else []
    commands.append(sweep["command"])
    images_left = sweep.get("gate_images")  # absent in sweeps of earlier versions
    images = [
        (role, str(entry["spec"]), str(entry["n"]), str(entry["digest"]))
        for role, entry in sweep["data"].items()
    ]
    gate = sweep.get("request", {}).get("config", {}).get("data.gate")
    if images_left is not None or gate:  # the sweep never opened them
        spec = gate or sweep["data"]["train"]["spec"]
        images.append(("gate", str(spec), "–" if images_left is None else str(images_left), "by promotion"))
    versions = ", ".join(f"{name} {version}" for name, version in sweep["versions"].items())
    changed = " (with uncommitted changes)" if str(sweep.get("commit", "")).endswith("+") else ""
    return section(
        "Do it again",
        f"{_commands(chr(10).join(commands))}{table(('role', 'images', 'count', 'digest'), images)}"
        f'<p class="small">commit {escape(str(sweep.get("commit") or "unknown"))}{changed}; seed '
        f"{escape(str(sweep['seed']))}; {escape(versions)}; MLflow "
        f"{escape(str(sweep['tracking_uri'] or 'mlflow.db beside the sweep'))}, "
        f"experiment {escape(str(sweep['experiment']))}</p>" + _settings(results),
        "reproduce",
    )


def _settings(results: SweepResults) -> str:
    """Return the settings that differ from the recipe as flags: of what ships, then of confirmed designs."""
    blocks, pick = [], results.sweep.get("pick")
    for design in [*([results.shipped] if results.shipped else []), *results.designs]:
        ships = any(row["trial_id"] == pick for row in design.rows)
        values: dict[str, Any] = design.rows[0].get("values") or {}
        lines = "\n".join(f"--{name} {shlex.quote(str(value))}" for name, value in values.items())
        title = f"settings of {design.name}" + ", which ships" * ships
        blocks.append(f"<details><summary>{escape(title)}</summary><pre>{escape(lines)}</pre></details>")
    return "".join(blocks)
