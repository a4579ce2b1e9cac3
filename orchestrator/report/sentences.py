"""Sentences of a report: its headline, what its evidence lacks, what the checkpoint choice changed, cost."""

from collections import Counter
from datetime import UTC, datetime

from datasets.text import count, short_number
from orchestrator.analysis.intervals import paired_bootstrap
from orchestrator.analysis.significance import BEATS, MIN_IMAGES, NOT_ENOUGH, NOT_SEPARABLE, SEEDS_TO_BEAT
from orchestrator.report.comparisons import (
    BETTER,
    GRID_SENTINEL,
    WORSE,
    against_references,
    compared_to_ship,
    compared_with_references,
    format_limits,
    second_opinions,
)
from orchestrator.report.data import SweepResults, has_no_result, picked
from orchestrator.results.labels import label, spelled_out
from orchestrator.results.leaderboard import counts_at
from orchestrator.results.row import Row
from orchestrator.results.sentinels import contradiction
from trainers.metrics import METRICS, format_metric

EDITS = {"sharpened": "sharpening", "noisy": "added noise"}
"""Sentinel -> the edit of a PSNR network's pictures."""


def headline(results: SweepResults) -> str:
    """Return in one short sentence what to use."""
    pick, opponent = results.pick, results.opponent[1]
    if results.shipped:
        return f"Use the {results.shipped.name}."
    if pick is None:
        reason = results.sweep.get("pick_reason") or f"the sweep is {results.sweep['status']}"
        return f"No model is recommended: {reason}."
    if results.sweep.get("unbeaten"):
        return f"Keep {results.warm_name}." if results.sweep.get("start") else "No network is good enough."
    kind = "network" if results.is_fidelity else "GAN"
    name = f"your fine-tune {pick.name}" if results.sweep.get("start") else f"the {kind} {pick.name}"
    word = _against_opponent(results)
    if word == NOT_ENOUGH or len(pick.tests) < SEEDS_TO_BEAT:
        sure = f"an estimate from {count(len(pick.tests or pick.rows), 'seed')}"
        gain = results.gain(pick, results.opponent[0])
        if gain is None or gain > 0:
            return f"Use {name}: the best on val, {sure}."
        return f"{name[0].upper()}{name[1:]} was the best on val, but no better than {opponent}: {sure}."
    if word == BEATS:
        return f"Use {name}: it beats {opponent} on test."
    verdict = f"is not separable from {opponent}" if word == NOT_SEPARABLE else f"{word} {opponent}"
    return f"{name[0].upper()}{name[1:]} was the best on val, but {verdict} on test."


def why(results: SweepResults) -> str:
    """Return the reason for the headline: the gain of what ships, and why no GAN does if none does."""
    pick, metric = results.pick, results.distortion
    if results.shipped:
        network, gain = results.shipped, ""
        own, bicubic = network.mean(metric), network.mean(f"bicubic/{metric}")
        if own is not None and bicubic is not None:
            better = "better" if METRICS[metric].direction == ("min" if own < bicubic else "max") else "worse"
            size = f"{format_metric(metric, abs(own - bicubic))} {METRICS[metric].unit}".strip()
            row = network.rows[0]
            images = count(len(row["keys"]), "test image")
            values = row.get("per_image", {})
            if len(row["keys"]) > 1 and {metric, f"bicubic/{metric}"} <= values.keys():
                limits = paired_bootstrap(values[metric], values[f"bicubic/{metric}"])
                size += f" {format_limits(limits.low, limits.high)}"
            sure = f"on {images}, an estimate from 1 seed"
            gain = f"Its {metric} is {size} {better} than that of bicubic {sure}. "
        rule = f" So {metric} decides, among PSNR networks that trained as long as GANs."
        return gain + _no_gan(results) + rule + _too_short(results)
    if pick is None:
        return ""
    if results.sweep.get("unbeaten"):
        return _no_gan(results) + _too_short(results)
    design, role = spelled_out(pick.rows[0].get("values") or {}), "test" if pick.tests else "val"
    names = {"bicubic": "bicubic", "warm": results.warm_name}
    gains = [(name, results.gain(pick, key)) for key, name in names.items()]
    known = " and ".join(f"{share(gain)} than {name}" for name, gain in gains if gain is not None)
    gained = f"It has {design}. Its {results.perceptual} on {role} is {known or 'not known'}."
    return gained + _second_opinion(results)


def _second_opinion(results: SweepResults) -> str:
    """Return what the metric that decides nothing says of the GAN that ships; "" if it was not measured."""
    if against := contradiction(results.second_opinion, results.opponents):
        return f" But {against}."
    better = [c for c in second_opinions(results) if c.word == BETTER]
    than = " and than ".join(c.against for c in better)
    return f" By {better[0].metric}, the second opinion, it is better than {than}." if better else ""


def _too_short(results: SweepResults) -> str:
    """Return the reservation of a sweep whose time one network had better got alone, or ""."""
    hours = results.sweep.get("hours") or {}
    if not hours.get("one") or not hours.get("sizes"):
        return ""
    steps = list(hours["sizes"].values())[-1]["gan_steps"]
    return (
        f" GANs of {count(steps, 'step')} do not tell what a GAN can do here: the advice below, one longer "
        f"training, may well give a better one."
    )


def _no_gan(results: SweepResults) -> str:
    """Return why no GAN ships, in words for people who know neither its metric nor its rivals."""
    failed = [c for c in compared_to_ship(results) if not c.passed]
    if results.pick is None:
        return "No GAN was good enough: none could be chosen on val."
    if not failed:
        return f"No GAN was good enough: {results.sweep['pick_reason']}."
    worst = max(failed, key=lambda c: (c.metric == results.perceptual, results.sign * c.difference))
    metric, is_worse = worst.metric, worst.word == WORSE
    if worst.name == GRID_SENTINEL:
        although = f"by {results.perceptual} the best one is better, but " if len(failed) == 1 else ""
        told = f"{although}{'it' if although else 'the best one'} leaves the pattern of its upsampling"
        return f"No GAN was good enough: {told} in the pictures."
    if edit := EDITS.get(worst.name):
        began = results.warm_name.replace("its warm start", "the PSNR network that it began with")
        told = f"{metric} cannot tell the best one from {began} plus {edit}"
        told = f"by {metric} the best one is worse than {began} plus {edit}" if is_worse else told
        return f"No GAN was good enough: {told}, which restores nothing."
    told = f"by {metric} the best one is {'worse' if is_worse else 'not clearly better'}"
    the = "" if worst.against.startswith("the ") else "the "
    return f"No GAN was good enough: {told} than {the}{worst.against}, which cost as much to train."


def is_claim(results: SweepResults) -> bool:
    """Return True if the pick beats its opponent on test: five seeds, and an interval that excludes 0."""
    return _against_opponent(results) == BEATS


def _against_opponent(results: SweepResults) -> str:
    """Return the word of the verdict against the opponent on test."""
    verdict = against_references(results, results.perceptual).get(results.opponent[0])
    return verdict.word if verdict else NOT_ENOUGH


def trust(results: SweepResults) -> list[tuple[bool, str]]:
    """Return what a claim needs, each with True if it is there: seeds, images, interval, comparisons."""
    pick = results.pick
    if pick is None:
        return []
    seeds, images = len(pick.tests or pick.rows), results.sweep["data"].get("test", {}).get("n", 0)
    key, name = results.opponent
    found = (
        c.word for c in compared_with_references(results) if (c.name, c.metric) == (key, results.perceptual)
    )
    word = next(found, "not measured on test")
    beaten = [found["beaten"] for found in results.sentinels.values()]
    needs = [
        (seeds >= SEEDS_TO_BEAT, f"{count(seeds, 'seed')} of {SEEDS_TO_BEAT}"),
        (isinstance(images, int) and images >= MIN_IMAGES, f"{images} test images of at least {MIN_IMAGES}"),
        (is_claim(results), f"against {name}: {word}"),
    ]
    if not results.is_fidelity:  # which has no sentinels
        seed = f"seed {results.tested_pick['seed']} " if results.tested_pick else ""
        words = f"{seed}passes {sum(beaten)} of {count(len(beaten), 'comparison')} to ship"
        needs.insert(0 if results.shipped else len(needs), (bool(beaten) and all(beaten), words))
    return needs


def rival(results: SweepResults) -> str:
    """Name the confirmed design that has a better mean than the pick on test; empty if none has."""
    pick, metric = results.pick, results.perceptual
    own = pick.mean(metric) if pick and pick.tests else None
    means = [(results.sign * mean, d.name) for d in results.designs if d.tests and (mean := d.mean(metric))]
    if own is None or not means or min(means)[0] >= results.sign * own:
        return ""
    value, name = min(means)
    values = f"{format_metric(metric, results.sign * value)} against {format_metric(metric, own)}"
    return f"On test {name} has the better {metric}, {values}: {results.pick_name} was chosen on val, before."


def share(gain: float) -> str:
    """Format a share: 0.38 is "38% better", 0.004 is "0.4% better"."""
    digits = 0 if abs(gain) >= 0.01 else 1
    return f"{abs(gain):.{digits}%} {'better' if gain >= 0 else 'worse'}"


def best_gan(results: SweepResults) -> str:
    """Name the GAN that the comparisons are about where a PSNR network ships, or why there is none."""
    if results.shipped is None:
        return ""
    if results.pick is None:
        reason = results.sweep["pick_reason"]
        return f"{reason[:1].upper()}{reason[1:]}."
    design = spelled_out(results.pick.rows[0].get("values") or {})
    return f"The comparisons below are of the best GAN, {results.pick.name} ({design}), which does not ship."


def checkpoint_choice(results: SweepResults) -> str:
    """State which checkpoint of the picked GAN counts, and the last one's metrics; empty if they are one."""
    row = next((r for r in results.rows if r["trial_id"] == picked(results.sweep)), None)
    if row is None or "chosen_step" not in row or row["chosen_step"] == row["steps"]:
        return ""
    names = (results.perceptual, results.distortion)
    own, last = (
        ", ".join(f"{m} {format_metric(m, d.get(m))}" for m in names) for d in (row["metrics"], row["last"])
    )
    step = f"step {row['chosen_step']} of {row['steps']}"
    what = "network" if results.is_fidelity else "GAN"
    return f"Of the {what} picked on val, the checkpoint at {step} counts ({own} on val); the last: {last}."


def too_slow(results: SweepResults) -> str:
    """Name the architectures that objective.max_ms left out, with their latencies; empty if none."""
    limit = results.sweep.get("request", {}).get("config", {}).get("objective.max_ms")
    costs = results.sweep.get("inference", ())
    slow = [f"{label(c['design'])} ({short_number(c['ms'])} ms)" for c in costs if limit and c["ms"] > limit]
    if not slow:
        return ""
    total, size = count(len(costs), "architecture"), f"{costs[0]['px']} px a side on {costs[0]['device']}"
    return f"Left out, more than {limit:g} ms for {size}: {len(slow)} of {total}, {', '.join(slow)}."


def cost(results: SweepResults) -> str:
    """State the trials, runs, warm starts, money and time that the sweep took."""
    sweep = results.sweep
    counts = Counter(row["stage"] for row in results.rows)
    stopped = sum(row["rung"] is not None for row in results.rows if row["stage"] == "screen")
    parts = [f"{count(counts['screen'], 'trial')} screened ({stopped} stopped early)"]
    parts += [count(counts["repeat"], "repeat")] if counts["repeat"] else []
    parts.append(count(counts["confirm"], "confirmation run"))
    warm = sweep.get("warm_starts") or {"trained": 0, "reused": 0}
    if not results.is_fidelity:
        parts.append(f"{count(warm['trained'], 'warm start')} trained, {warm['reused']} reused")
    if sweep.get("cost"):
        parts.append(f"cost {sweep['cost']:.2f} for {sweep['gpu_hours']:.2f} GPU-hours")
    if broken := sum(has_no_result(row) for row in results.rows):
        parts.append(f"{broken} diverged or failed")
    if hours := sweep.get("hours"):
        parts.append(f"{duration(hours['seconds'])} of the {60 * hours['asked']:g} minutes of --hours")
    elif sweep.get("ended") and sweep.get("started"):
        parts.append(f"{duration(sweep['ended'] - sweep['started'])} from start to end")
    return "; ".join(parts) + "."


def advice(results: SweepResults) -> tuple[str, str]:
    """Return the advice to train one network in the same time, and its command; ("", "") without."""
    hours = results.sweep.get("hours") or {}
    sentence, command = hours.get("one") or "", hours.get("one_command") or ""
    return f"{sentence[:1].upper()}{sentence[1:].rstrip('.:')}" + "." * bool(sentence), command


def duration(seconds: float) -> str:
    """Format seconds as 12 s, 7 min or 3.4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def tooltip(results: SweepResults, title: str, point: tuple[float, float]) -> str:
    """Return the text of a mark at `point` (perceptual, distortion): a title, then both metrics."""
    metrics = zip((results.perceptual, results.distortion), point, strict=True)
    return "\n".join([title, *(f"{name} {format_metric(name, value)}" for name, value in metrics)])


def moment(seconds: float | None) -> str:
    """Format a time in seconds since 1970 as date and minute, UTC; empty for None."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC") if seconds else ""


def outcomes(results: SweepResults) -> list[tuple[str, list[Row]]]:
    """Group rows by their outcome, with the numbers in it left out; the largest group first."""
    groups: dict[str, list[Row]] = {}
    for row in results.of_stage("warm", "screen", "repeat", "confirm"):
        said = row["verdict"].removesuffix(f"; {counts_at(row.get('chosen_step'))}")
        words = " ".join("…" if any(c.isdigit() for c in w) else w for w in said.split())
        groups.setdefault(words, []).append(row)
    return sorted(groups.items(), key=lambda group: -len(group[1]))
