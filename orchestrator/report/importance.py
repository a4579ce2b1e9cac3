"""The effect of settings: importances, slices and parallel coordinates over the screened trials.

Only trials that ran their whole budget are compared: one that was stopped early was measured at another step.
"""

import math
import warnings
from collections.abc import Sequence
from html import escape
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from datasets.text import short_number
from orchestrator.report.data import SweepResults, has_no_result
from orchestrator.report.markup import section
from orchestrator.report.parallel import Column, PlotLine, parallel, small_scatter
from orchestrator.report.sentences import tooltip
from orchestrator.results.labels import SHORT_NAMES, SHORT_VALUES
from orchestrator.results.row import Row

ENOUGH_TRIALS = 8
FEWEST = 4
"""Trials below which the table of runs says as much as any plot of settings."""
SLICES = 6
MANY_VALUES = 6


def settings_section(results: SweepResults) -> str:
    """Return the section; empty if no setting differs between trials of full budget, or few of them are."""
    rows = [r for r in results.of_stage("screen") if r["rung"] is None and not has_no_result(r)]
    rows = [r for r in rows if results.perceptual in r["metrics"] and results.distortion in r["metrics"]]
    names = varied(rows)
    if not names or len(rows) < FEWEST:
        return ""
    rows.sort(key=lambda row: _loss(results, row), reverse=True)  # the best is drawn last, on top
    weights = importances(results, rows, names) if len(rows) >= ENOUGH_TRIALS else {}
    names.sort(key=lambda name: -weights.get(name, 0.0))
    hint = f"<p>{len(rows)} screened trials that ran their whole budget, on val.</p>"
    columns = [column(name, [row["values"][name] for row in rows]) for name in names]
    lines = _plot_lines(results, rows)
    body = hint + _bars(weights, len(rows)) + _slices(results, rows, columns, lines)
    for metric in (results.distortion, results.perceptual):
        columns.append(column(metric, [float(row["metrics"][metric]) for row in rows]))
    body += f'<figure class="scroll" tabindex="0">{parallel(columns, lines)}</figure>'
    return section("What the settings did", body, "settings")


def _loss(results: SweepResults, row: Row) -> float:
    return results.sign * row["metrics"][results.perceptual]


def varied(rows: Sequence[Row]) -> list[str]:
    """Return the settings that all `rows` have and that differ between them."""
    if len(rows) < 2:
        return []
    shared = set.intersection(*(set(row["values"]) for row in rows))
    return sorted(n for n in shared if len({repr(row["values"][n]) for row in rows}) > 1)


def _is_numeric(values: Sequence[Any]) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return numbers and (len(set(values)) > MANY_VALUES or any(isinstance(v, float) for v in values))


def _is_log(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) > 10


def importances(results: SweepResults, rows: Sequence[Row], names: Sequence[str]) -> dict[str, float]:
    """Return the share of the perceptual metric's variance that each setting explains.

    By fANOVA (Hutter et al., 2014); empty if the metric does not vary.
    """
    if len({row["metrics"][results.perceptual] for row in rows}) == 1:
        return {}
    spaces = {name: _distribution([row["values"][name] for row in rows]) for name in names}
    study = _quiet_study()
    for row in rows:
        values = {name: _choice(row["values"][name], spaces[name]) for name in names}
        trial = optuna.trial.create_trial(params=values, distributions=spaces, value=_loss(results, row))
        study.add_trial(trial)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return optuna.importance.get_param_importances(study, evaluator=evaluator)


def _quiet_study() -> optuna.Study:
    """Return an Optuna study in memory, without the line that Optuna prints for each."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study()
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    if _is_numeric(values):
        return FloatDistribution(min(values), max(values), log=_is_log(values))
    return CategoricalDistribution(sorted({str(v) for v in values}))


def _choice(value: Any, space: BaseDistribution) -> Any:
    return str(value) if isinstance(space, CategoricalDistribution) else float(value)


def column(name: str, values: Sequence[Any]) -> Column:
    """Place values on an axis from 0 to 1: numbers by size or its logarithm, names evenly."""
    short = name.split(".")[-1]
    if short.endswith("_weight"):  # as in names of designs: loss.adversarial is another setting
        short = SHORT_NAMES.get(short.removesuffix("_weight"), short)
    if _is_numeric(values):
        scaled = [math.log10(v) for v in values] if _is_log(values) else [float(v) for v in values]
        low, high = min(scaled), max(scaled)
        if low == high:  # trials that differ in a setting may have equal metrics
            return Column(short, [0.5] * len(scaled), [(0.5, short_number(values[0]))])
        places = [(v - low) / (high - low) for v in scaled]
        return Column(short, places, [(0.0, short_number(min(values))), (1.0, short_number(max(values)))])
    words = SHORT_VALUES.get(name, {})
    values = [words.get(str(v), str(v)) for v in values]
    names = sorted({str(v) for v in values}, key=lambda text: (len(text), text))
    at = {text: (k / (len(names) - 1) if len(names) > 1 else 0.5) for k, text in enumerate(names)}
    return Column(short, [at[str(v)] for v in values], [(place, text) for text, place in at.items()])


def _bars(weights: dict[str, float], count: int) -> str:
    if not weights:
        why = (
            f"Fewer than {ENOUGH_TRIALS} such trials"
            if count < ENOUGH_TRIALS
            else "All came to the same value"
        )
        return f"<p>{why}: no importances.</p>"
    largest = max(weights.values()) or 1.0
    bars = "".join(
        f"<span>{escape(name)}</span>"
        f'<i style="width:{100 * weight / largest:.1f}%"></i><span>{weight:.0%}</span>'
        for name, weight in weights.items()
    )
    caution = " With so few trials, read them as a hint." if count < 5 * len(weights) else ""
    return (
        f'<p>Share of the variance each setting explains (fANOVA).{caution}</p><div class="bars">{bars}</div>'
    )


def _plot_lines(results: SweepResults, rows: Sequence[Row]) -> list[PlotLine]:
    """Return how to draw `rows` sorted from worst to best: the best quarter stands out."""
    others = len(rows) - max(1, len(rows) // 4)
    lines = []
    for k, row in enumerate(rows):
        point = (row["metrics"][results.perceptual], row["metrics"][results.distortion])
        tip = tooltip(results, row["design"], point)
        lines.append(PlotLine("stopped" if k < others else "design", tip, row["trial_id"]))
    return lines


def _slices(
    results: SweepResults, rows: Sequence[Row], columns: Sequence[Column], lines: Sequence[PlotLine]
) -> str:
    ys = [row["metrics"][results.perceptual] for row in rows]
    plots = "".join(small_scatter(column, ys, lines) for column in columns[:SLICES])
    return (
        f"<p>Each setting against {escape(results.perceptual)}; the best quarter is marked.</p>"
        f'<div class="slices">{plots}</div>'
    )
