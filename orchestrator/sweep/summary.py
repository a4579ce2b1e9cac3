"""The lines that a sweep prints when it ends: the front, the pick, and the next commands."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.config import DECIDABLE
from datasets.text import count, format_duration
from orchestrator.results.sweep_folder import tracking_uri
from orchestrator.storage import Storage
from orchestrator.sweep.hours_in_words import one_network
from orchestrator.tracking.run_key import RUNS_PAGE

FEW = 3
"""Reasons that are printed; hundreds of trials can fail in hundreds of ways."""


def storage_option(storage: Storage) -> str:
    """Return the --storage option that a command needs for this storage; empty for ./runs."""
    return "" if storage.root == str(Path("runs").resolve()) else f" --storage {shlex.quote(storage.root)}"


def resume_command(storage: Storage, name: str) -> str:
    """Return the command that resumes a sweep."""
    return f"upsweep sweep --resume {name}{storage_option(storage)}"


def format_summary(facts: Mapping[str, Any], storage: Storage) -> list[str]:
    """Return the lines for a finished sweep; `facts` is the content of its sweep.json."""
    counts = facts["counts"]
    cost = f" (cost {facts['cost']:.2f})" if facts["cost"] else ""
    return [
        "",
        f"confirmed designs, mean over seeds on test ({facts['data']['test']['n']} images; "
        f"{_better(facts['objective']['perceptual'])}):",
        *_designs(facts),
        f"  * the pick, - a {'GAN' if 'pick_test' in facts else 'design'} that no other beats in both on val",
        _pick(facts),
        f"took {_took(facts)}, {facts['cpu_hours']:.2f} CPU-hours"
        + (f", {facts['gpu_hours']:.2f} GPU-hours" if facts["gpu_hours"] or cost else "")
        + f"{cost}; "
        f"{counts['screened_out']} of {counts['screen']} trials stopped early",
        *_planned(facts),
        *one_network(facts.get("hours", {})),
        *_limits_and_failures(facts),
        *_where(facts, storage),
    ]


def results(facts: Mapping[str, Any], storage: Storage) -> list[str]:
    """Return the pick of a finished sweep, and where its results are."""
    return [f"  {line}" for line in (_pick(facts), *_where(facts, storage))]


def _pick(facts: Mapping[str, Any]) -> str:
    return f"pick: {facts['pick_design'] or 'none'} ({facts['pick_reason']})"


def _where(facts: Mapping[str, Any], storage: Storage) -> list[str]:
    name, number = facts["name"], facts.get("experiment_id")
    uri = tracking_uri(facts, Path(storage.root))
    runs = f"/#/experiments/{number}/{facts.get('experiment_page', RUNS_PAGE)}" if number else ""
    started = f"make ui   (or: mlflow ui --backend-store-uri {shlex.quote(uri)})"
    started += f", then http://127.0.0.1:5000{runs}" if runs else ""
    lines = [
        f"report:  {storage.root}/{name}/report.html",
        f"MLflow:  {uri + runs if uri.startswith('http') else started}",
    ]
    return [*lines, *_promotion(facts, storage)] if facts["pick"] else lines


def _promotion(facts: Mapping[str, Any], storage: Storage) -> list[str]:
    """Return the command that promotes the pick, or what is missing for it and how to use the pick."""
    promote = f"upsweep promote {facts['name']}{storage_option(storage)}"
    images = facts.get("gate_images")  # absent in sweeps of earlier versions
    if images is None or images >= DECIDABLE:
        return [f"promote: {promote}"]
    folder = shlex.quote(f"{storage.root}/{facts['name']}")
    return [
        f"promote: {promote} --gate FOLDER   (of {DECIDABLE} or more other images: this sweep has {images} "
        f"gate images)",
        f"upscale: upsweep upscale PICTURE --model {folder}   (without a promotion)",
    ]


def nothing_confirmed(facts: Mapping[str, Any], storage: Storage) -> str:
    """Return the sentence for a sweep of which no design was confirmed: why, and what to do."""
    name, screened = facts["name"], facts["counts"]["screen"]
    diverged = f"{count(facts['counts']['diverged'], 'trial')} diverged"
    why = facts["failures"][0] if facts["failures"] else diverged
    return (
        f"no design was confirmed, so there is nothing to promote: {count(screened, 'design')} screened; "
        f"{why}. Look at upsweep sweep --status {name}{storage_option(storage)} and at the report, "
        f"change the settings (lower learning rates if trials diverged) and start under another --name"
    )


def _better(metric: str) -> str:
    from trainers.metrics import METRICS  # torch, which --status does without

    return f"{'lower' if METRICS[metric].direction == 'min' else 'higher'} {metric} is better"


def _designs(facts: Mapping[str, Any]) -> list[str]:
    """Return a line for bicubic, for each confirmed design, and for the sentinels of the picked one."""
    # both import torch, which --status does without
    from orchestrator.results.sentinels import SENTINELS, is_same_network
    from trainers.metrics import format_metric

    distortion, perceptual = facts["objective"]["distortion"], facts["objective"]["perceptual"]

    def line(mark: str, name: str, metrics: Mapping[str, float], more: str = "") -> str:
        return (
            f"{mark} {name:<44} {metrics[distortion]:7.2f} dB  {perceptual} "
            f"{format_metric(perceptual, metrics[perceptual]):>8}{more}"
        )

    lines = [line(" ", "bicubic", facts["bicubic"]["test"])] if facts["bicubic"]["test"] else []
    for d in facts["designs"]:
        on_front = set(d["trial_ids"]) & set(facts["front"])
        mark = "*" if facts["pick"] in d["trial_ids"] else "-" if on_front else " "
        share = d["val"].get("gradient_share/adversarial")
        shares = f", adversarial gradient share {share:.0%}" if share is not None else ""
        warm = d["test"][f"warm/{perceptual}"]
        has_start = warm != facts["bicubic"]["test"].get(perceptual)
        more = f" (its warm start {format_metric(perceptual, warm)}{shares})" if has_start else ""
        lines.append(line(mark, d["design"], d["test"], more))
        if facts.get("gan_pick") in d["trial_ids"]:
            # the network that ships has a line of its own
            ships = {m: facts.get("pick_test", {}).get(m) for m in (distortion, perceptual)}
            start = "the file you started from" if facts.get("start") else "its warm start"
            for key, name in SENTINELS.items():
                values = {m: d["test"].get(f"{key}/{m}") for m in ships}
                if None not in values.values() and not is_same_network(values.values(), ships.values()):
                    lines.append(line(" ", f"  {name.replace('its warm start', start)}", values))
    if "pick_test" in facts:
        lines.append(line("*", facts["pick_design"], facts["pick_test"]))
    return lines


def _took(facts: Mapping[str, Any]) -> str:
    """Return the time from start to end in words, of the hours that were asked for if any were."""
    if hours := facts.get("hours"):  # of all drivers, from the command on
        over = hours["seconds"] / (3600 * hours["asked"]) - 1
        late = f" ({over:.0%} more than asked)" if over >= 0.05 else ""
        return f"{format_duration(hours['seconds'])} of the {60 * hours['asked']:g} minutes of --hours{late}"
    return format_duration(facts["ended"] - facts["started"])


def _planned(facts: Mapping[str, Any]) -> list[str]:
    """Return a line if a sweep with --hours became smaller than it was planned at its start."""
    sizes, done = facts.get("hours", {}).get("sizes", {}), facts["counts"]["screen"]
    if "screen" not in sizes or facts["budget_reached"]:  # which has a line of its own
        return []
    planned, steps = sizes["warm"], sizes["screen"]["gan_steps"]
    if done >= planned["trials"] and steps >= planned["gan_steps"]:
        return []
    return [
        f"planned: {count(planned['trials'], 'design')} of {planned['gan_steps']:,} GAN steps at the start; "
        f"screened: {done:,} of {steps:,}, fitted to the time that steps took on the way"
    ]


def _limits_and_failures(facts: Mapping[str, Any]) -> list[str]:
    counts, failures = facts["counts"], facts["failures"]
    lines = [f"trials {verdict}" for verdict in failures[:FEW]]
    if facts["budget_reached"]:
        reached, screened = facts["budget_reached"], counts["screen"]
        lines.insert(0, f"{reached} were reached after {count(screened, 'design')}; no more were drawn")
    if len(failures) > FEW:
        lines.append(
            f"and {count(len(failures) - FEW, 'other reason')} why trials failed; report.html names each"
        )
    if counts["diverged"]:
        lines.append(f"{count(counts['diverged'], 'trial')} diverged; report.html names step and term")
    return lines
