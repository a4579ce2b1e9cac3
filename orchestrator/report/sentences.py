"""Sentences of a report: its headline, how sure the result is, what the checkpoint choice changed, cost."""

from collections import Counter
from datetime import UTC, datetime

from orchestrator.report.data import SEEDS_FOR_A_CLAIM, Row, SweepResults, duration, has_no_result
from trainers.metrics import format_metric


def headline(facts: SweepResults) -> str:
    """The answer in one sentence."""
    pick = facts.pick
    if pick is None:
        reason = facts.sweep.get("pick_reason") or f"the sweep is {facts.sweep['status']}"
        return f"No model is recommended: {reason}."
    gain, warm = facts.gain(pick, "bicubic"), facts.gain(pick, "warm")
    parts = [f"{pick.name} wins"]
    if gain is not None:
        parts.append(f"{facts.perceptual} {share(gain)} than bicubic")
    if warm is not None:
        parts.append(f"{share(warm)} than its warm start")
    return ", ".join(parts) + "."


def share(gain: float) -> str:
    """A share as people say it: "38 % better"."""
    return f"{abs(gain):.0%} {'better' if gain >= 0 else 'worse'}"


def how_sure(facts: SweepResults) -> str:
    """What the number of seeds and images allows to say."""
    pick = facts.pick
    if pick is None:
        return ""
    n = len(pick.tests or pick.rows)
    role = "test" if pick.tests else "val"
    images = facts.sweep["data"].get(role, {}).get("n", "?")
    counts = [f"{facts.seeds_better(pick, ref)} of {n} beat {word}" for ref, word in REFERENCES.items()]
    told = f"{n} seed{'s' * (n > 1)}, {images} {role} images: {' and '.join(counts)}."
    if n < SEEDS_FOR_A_CLAIM:
        told += f" Fewer than {SEEDS_FOR_A_CLAIM} seeds: an estimate, not a claim."
    return told


def checkpoint_choice(facts: SweepResults) -> str:
    """Which evaluated checkpoint ships, and what the last one would have been, on val."""
    row = next((r for r in facts.rows if r["trial_id"] == facts.sweep.get("pick")), None)
    if row is None or "chosen_step" not in row or row["chosen_step"] == row["steps"]:
        return ""
    names = (facts.perceptual, facts.distortion)
    own, last = (
        ", ".join(f"{m} {format_metric(m, d.get(m))}" for m in names) for d in (row["metrics"], row["last"])
    )
    shipped = f"The checkpoint at step {row['chosen_step']} of {row['steps']} ships"
    return f"{shipped} ({own} on val); the last: {last}."


REFERENCES = {"bicubic": "bicubic", "warm": "their own warm start"}


def cost(facts: SweepResults) -> str:
    """What it took."""
    sweep = facts.sweep
    counts = Counter(row["stage"] for row in facts.rows)
    stopped = sum(row["rung"] is not None for row in facts.rows if row["stage"] == "screen")
    parts = [f"{counts['screen']} trials screened ({stopped} stopped early)"]
    parts.append(f"{counts['confirm']} confirmation runs")
    warm = sweep.get("warm_starts") or {"trained": 0, "reused": 0}
    parts.append(f"{warm['trained']} warm starts trained, {warm['reused']} reused")
    if sweep.get("cost"):
        parts.append(f"cost {sweep['cost']:.2f} for {sweep['gpu_hours']:.2f} GPU-hours")
    if broken := sum(has_no_result(row) for row in facts.rows):
        parts.append(f"{broken} diverged or failed")
    if sweep.get("ended") and sweep.get("started"):
        parts.append(f"{duration(sweep['ended'] - sweep['started'])} on the clock")
    return "; ".join(parts) + "."


def tooltip(facts: SweepResults, title: str, point: tuple[float, float]) -> str:
    """Return the text of a mark at `point` (perceptual, distortion): a title, then both metrics."""
    metrics = zip((facts.perceptual, facts.distortion), point, strict=True)
    return "\n".join([title, *(f"{name} {format_metric(name, value)}" for name, value in metrics)])


def moment(seconds: float | None) -> str:
    """A time as people read it, UTC; empty for None."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC") if seconds else ""


def verdicts(facts: SweepResults) -> list[tuple[str, list[Row]]]:
    """Rows by what became of them; numbers inside a verdict do not split a group. Largest group first."""
    groups: dict[str, list[Row]] = {}
    for row in facts.of_stage("warm", "screen", "confirm"):
        words = " ".join("…" if any(c.isdigit() for c in w) else w for w in row["verdict"].split())
        groups.setdefault(words, []).append(row)
    return sorted(groups.items(), key=lambda group: -len(group[1]))
