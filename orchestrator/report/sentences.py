"""Sentences of a report: its headline, how sure the result is, what the checkpoint choice changed, cost."""

from collections import Counter
from datetime import UTC, datetime

from orchestrator.analysis.significance import BEATS, SEEDS_TO_BEAT
from orchestrator.report.comparisons import against_references
from orchestrator.report.data import SweepResults, has_no_result, picked
from orchestrator.results.row import Row
from orchestrator.results.sentinels import SENTINELS
from trainers.metrics import format_metric

REFERENCES = {"bicubic": "bicubic", "warm": "their own warm start"}


def headline(results: SweepResults) -> str:
    """Return the answer in one sentence."""
    pick = results.pick
    if pick is None:
        reason = results.sweep.get("pick_reason") or f"the sweep is {results.sweep['status']}"
        return f"No model is recommended: {reason}."
    if results.sweep.get("unbeaten"):
        return f"No GAN deserves to ship: {results.sweep['pick_reason']}."
    gain, warm = results.gain(pick, "bicubic"), results.gain(pick, "warm")
    verdict = against_references(results, results.perceptual).get("warm")
    said = f"beats {results.warm_name}" if verdict and verdict.word == BEATS else "was picked on val"
    parts = [f"{pick.name} {said}"]
    if gain is not None:
        parts.append(f"{results.perceptual} {share(gain)} than bicubic")
    if warm is not None:
        parts.append(f"{share(warm)} than {results.warm_name}")
    if against_sentinels(results):  # all of them: otherwise it would not ship
        parts.append("better than every sentinel on test")
    return ", ".join(parts) + "."


def share(gain: float) -> str:
    """Format a share: 0.38 is "38% better"."""
    return f"{abs(gain):.0%} {'better' if gain >= 0 else 'worse'}"


def how_sure(results: SweepResults) -> str:
    """State the numbers of seeds and images, and how many seeds beat the references."""
    pick = results.pick
    if pick is None:
        return ""
    n = len(pick.tests or pick.rows)
    role = "test" if pick.tests else "val"
    images = results.sweep["data"].get(role, {}).get("n", "?")
    counts = [f"{results.seeds_better(pick, ref)} of {n} beat {word}" for ref, word in REFERENCES.items()]
    sentence = f"{n} seed{'s' * (n > 1)}, {images} {role} images: {' and '.join(counts)}."
    if n < SEEDS_TO_BEAT:
        sentence += f" Fewer than {SEEDS_TO_BEAT} seeds: an estimate, not a claim."
    return sentence


def against_sentinels(results: SweepResults) -> str:
    """State how the shipped network compares with each sentinel on test; empty if there are none."""
    tests = results.pick.tests if results.pick else []
    row = next((r for r in tests if r["of"] == picked(results.sweep)), None)
    parts = []
    for name, found in (row.get("sentinels", {}) if row else {}).items():
        estimate, *limits = found["interval"]
        ends = ", ".join("–" if end is None else f"{end:+.3g}" for end in limits)
        strength = f" ({found['strength']:g})" if found.get("strength") else ""
        verdict = "better" if found["beaten"] else "not better"
        parts.append(f"{verdict} than {SENTINELS[name]}{strength}, {estimate:+.3g} [{ends}]")
    return f"Sentinels, {results.perceptual} on test: {'; '.join(parts)}." if parts else ""


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
    return f"Of the GAN picked on val, the checkpoint at {step} counts ({own} on val); the last: {last}."


def cost(results: SweepResults) -> str:
    """State the trials, runs, warm starts, money and time that the sweep took."""
    sweep = results.sweep
    counts = Counter(row["stage"] for row in results.rows)
    stopped = sum(row["rung"] is not None for row in results.rows if row["stage"] == "screen")
    parts = [f"{counts['screen']} trials screened ({stopped} stopped early)"]
    parts += [f"{counts['repeat']} repeats", f"{counts['confirm']} confirmation runs"]
    warm = sweep.get("warm_starts") or {"trained": 0, "reused": 0}
    parts.append(f"{warm['trained']} warm starts trained, {warm['reused']} reused")
    if sweep.get("cost"):
        parts.append(f"cost {sweep['cost']:.2f} for {sweep['gpu_hours']:.2f} GPU-hours")
    if broken := sum(has_no_result(row) for row in results.rows):
        parts.append(f"{broken} diverged or failed")
    if sweep.get("ended") and sweep.get("started"):
        parts.append(f"{duration(sweep['ended'] - sweep['started'])} on the clock")
    return "; ".join(parts) + "."


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
        words = " ".join("…" if any(c.isdigit() for c in w) else w for w in row["verdict"].split())
        groups.setdefault(words, []).append(row)
    return sorted(groups.items(), key=lambda group: -len(group[1]))
