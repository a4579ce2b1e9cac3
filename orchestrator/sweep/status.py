"""The progress of a sweep as its files show it, and the request to stop a running one.

Neither torch nor Ray is imported here: --status answers within a second.
"""

import re
import time
from collections import Counter
from typing import TYPE_CHECKING

from datasets.errors import UserError
from datasets.text import count
from orchestrator.results.sweep_folder import NAME, REPORT, exists, read_facts, read_stage
from orchestrator.storage import Storage
from orchestrator.sweep.claim import is_running, last_beat
from orchestrator.sweep.heartbeat import request_stop
from orchestrator.sweep.summary import results, resume_command, storage_option

if TYPE_CHECKING:  # --status must not wait for torch
    from orchestrator.results.row import Row

STAGES = {
    "warm": ("warm",),
    "screen": ("screen",),
    "repeat": ("repeat-0", "repeat-1"),
    "confirm": ("warm-confirm", "confirm"),
    "test": ("test",),
}
"""Stage -> the files of its parts; it is done when the last one is there."""
ROUND = re.compile(r"confirm-warm(-from-\d+)-planned\.json")
"""The file with which a further round of the confirmation begins (sweep/stages.py)."""


def status(storage: Storage, name: str) -> list[str]:
    """Return lines on how far a sweep has come, read from its files and its driver's last beat."""
    if _is_starting(storage, name):
        return [f"{name}: starting; its plan takes a minute or so, longer on a busy machine"]
    facts = read_facts(storage, name)
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(facts["started"]))
    beat = last_beat(storage, name) if is_running(storage, name) else None
    state = "died" if facts["status"] == "running" and beat is None else facts["status"]
    if state in ("interrupted", "failed") and beat and not beat.progress:
        return [f"{name}: starting again after it was {state}"]
    lines = [f"{name}: {state}, began {began} ({facts['recipe']} over space {facts['space']})"]
    is_next = state == "running"
    trials = storage.listing(f"{name}/trials")
    rounds = [m[1] for file in storage.listing(f"{name}/stages") if (m := ROUND.fullmatch(file))]
    further = {"confirm": tuple(part + r for r in rounds for part in STAGES["confirm"])}
    for stage, parts in STAGES.items():
        done = [read_stage(storage, name, part) for part in parts + further.get(stage, ())]
        if done[-1] is not None:
            rows = [row for part in done for row in part or ()]
            endings = Counter(_ending(stage, row) for row in rows)
            counts = ", ".join(f"{n} {ending}" for ending, n in endings.most_common())
            what = f"done: {counts}{_of_designs(stage, rows)}" if rows else "no runs"
            lines.append(f"  {stage:<8} {what}")
        else:
            begun = sum(trial.startswith(f"{stage}-") for trial in trials)
            preparing = "begun, with PSNR phases of its own" if stage == "confirm" else "begun"
            state_of = f"{count(begun, 'trial')} begun" if begun else preparing if is_next else "not begun"
            lines.append(f"  {stage:<8} {state_of}")
            is_next = False
    if state == "running":
        if beat and beat.progress:
            lines.append(f"  now      {beat.progress}")
        lines.append(f"  report so far: {storage.root}/{name}/{REPORT}")
        lines.append(f"  to stop it: upsweep sweep --stop {name}{storage_option(storage)}")
    elif state == "finished":
        lines += results(facts, storage)
    else:
        lines.append(f"  to resume it: {resume_command(storage, name)}")
    return lines


def stop(storage: Storage, name: str) -> str:
    """Ask a running sweep to stop cleanly, and return what came of it; UserError if none runs."""
    if _is_starting(storage, name):
        raise UserError(f"sweep '{name}' is starting and cannot be asked yet; try again in a minute")
    facts = read_facts(storage, name)
    if facts["status"] == "running" and not is_running(storage, name):
        raise UserError(
            f"sweep '{name}' died, so there is nothing to stop; resume it with: "
            f"{resume_command(storage, name)}"
        )
    if not request_stop(storage, name):
        raise UserError(f"sweep '{name}' was asked to stop and still runs; see --status {name}")
    if read_facts(storage, name)["status"] == "finished":
        return f"sweep '{name}' finished before it could stop"
    return f"stopped; resume it with: {resume_command(storage, name)}"


def _is_starting(storage: Storage, name: str) -> bool:
    """Return True if a process has claimed the name, and has not written sweep.json yet."""
    known = NAME.fullmatch(name) is not None
    return known and not exists(storage, name) and is_running(storage, name)


def _of_designs(stage: str, rows: "list[Row]") -> str:
    """Return " (of 2 designs)" for a stage that runs each design under several seeds; else ""."""
    of_stage = [row.get("design", "") for row in rows if row["stage"] == stage]
    several = stage in ("repeat", "confirm") and len(of_stage) > len(set(of_stage))
    return f" (of {count(len(set(of_stage)), 'design')}, under several seeds)" if several else ""


def _ending(stage: str, row: "Row") -> str:
    """Return the kind of a row's verdict, without its numbers; those of PSNR phases say so among others."""
    kind = row["verdict"].partition(":")[0].partition(";")[0].partition(" at step")[0]
    kind = kind.removeprefix("PSNR phase ")
    return f"{kind} (PSNR phases)" if row["stage"] == "warm" != stage else kind
