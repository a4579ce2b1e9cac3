"""The progress of a sweep as its files show it, and the request to stop a running one."""

import json
import time
from collections import Counter

from datasets.errors import UserError
from orchestrator.results.sweep_folder import read_facts
from orchestrator.storage import Storage
from orchestrator.sweep import heartbeat
from orchestrator.sweep.summary import _where

STAGES = ("warm", "screen", "confirm", "test")


def status(storage: Storage, name: str) -> list[str]:
    """How far a sweep has come, read from what it wrote: nothing is asked of a running one."""
    facts = read_facts(storage, name)
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(facts["started"]))
    running = facts["status"] == "running"
    state = "died" if running and not heartbeat.is_running(storage, name) else facts["status"]
    said = [f"{name}: {state}, began {began} ({facts['recipe']} over space {facts['space']})"]
    for stage in STAGES:
        kept = f"{name}/stages/{stage}.json"
        if storage.exists(kept):
            endings = Counter(_brief(r["verdict"]) for r in json.loads(storage.read_text(kept)))
            words = ", ".join(f"{n} {ending}" for ending, n in endings.most_common()) or "nothing to do"
            said.append(f"  {stage:<8} done: {words}")
        else:
            begun = sum(t.startswith(f"{stage}-") for t in storage.listing(f"{name}/trials"))
            said.append(f"  {stage:<8} {f'{begun} trials begun' if begun else 'not begun'}")
    if state == "running":
        said.append(f"  to stop it: python experiments/sweep.py --stop {name}{_where(storage)}")
    elif state != "finished":
        said.append(f"  to go on: python experiments/sweep.py --resume {name}{_where(storage)}")
    return said


def stop(storage: Storage, name: str) -> str:
    """Ask a running sweep to stop in good order, and say what came of it. UserError where none runs."""
    facts = read_facts(storage, name)
    if facts["status"] == "running" and not heartbeat.is_running(storage, name):
        raise UserError(
            f"sweep '{name}' died, so there is nothing to stop; go on with: python experiments/sweep.py "
            f"--resume {name}{_where(storage)}"
        )
    if not heartbeat.request_stop(storage, name):
        raise UserError(f"sweep '{name}' was asked to stop and still runs; see --status {name}")
    if read_facts(storage, name)["status"] == "finished":
        return f"sweep '{name}' finished before it could stop"
    return f"stopped; go on with: python experiments/sweep.py --resume {name}{_where(storage)}"


def _brief(verdict: str) -> str:
    """The kind of a verdict, without its numbers."""
    return verdict.partition(":")[0].partition(";")[0].partition(" at step")[0]
