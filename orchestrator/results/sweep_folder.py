"""The layout of STORAGE/NAME, the folder of a sweep: sweep.json, leaderboard.json, stages/*.json.

`facts` is the content of sweep.json: the request, the plan, the machine, and in the end the result.
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import UserError
from datasets.files import user_path
from datasets.text import printable
from orchestrator.tracking.server import database_uri
from trainers import plugins

if TYPE_CHECKING:  # --help must not wait for torch and pyarrow
    from orchestrator.results.row import Row
    from orchestrator.storage import Storage

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Names of sweeps: each is a folder, and part of addresses and command lines."""
FACTS, LEADERBOARD, REPORT = "sweep.json", "leaderboard.json", "report.html"
CLAIMS = "claims"
"""Folder of the claims of its drivers (orchestrator/sweep/claim.py)."""
ROW_KEYS = ("stage", "trial_id")
"""Without these an entry of leaderboard.json is no row."""
START = "start"
"""Checkpoint of the network that run.start_from named when the sweep began."""


def work_dir(storage: str) -> Path:
    """Return the folder in which this machine keeps imported images and decoded copies of a storage.

    That is the storage itself if it is a folder; for a URL it is UPSWEEP_WORK_DIR, or ./runs.
    """
    own = os.environ.get("UPSWEEP_WORK_DIR", "./runs")
    return user_path(own if "://" in storage else storage).resolve()


def exists(storage: "Storage", name: str) -> bool:
    """Return True if the storage holds a sweep of that name."""
    return storage.exists(f"{name}/{FACTS}")


def check_name_is_free(storage: "Storage", name: str) -> None:
    """Raise UserError if the storage holds a sweep of that name."""
    if exists(storage, name):
        raise UserError(
            f"sweep '{name}' exists in {storage.root}: resume it with --resume {name}, or choose another "
            f"--name"
        )


def sweep_names(storage: "Storage") -> list[str]:
    """Return the names of all sweeps of a storage."""
    return [name for name in storage.names() if exists(storage, name)]


def newest_sweep(storage: "Storage") -> str:
    """Return the name of the sweep that ended last and picked a model; UserError if there is none.

    A sweep whose sweep.json is damaged is passed over, with a warning.
    """
    ended = []
    for name in sweep_names(storage):
        try:
            facts = read_facts(storage, name)
        except UserError as error:
            print(printable(f"sweep '{name}' is passed over: {error}"), file=sys.stderr)
            continue
        if facts.get("ended") and facts.get("pick"):
            ended.append((facts["ended"], name))
    if not ended:
        raise UserError(
            f"no finished sweep with a pick in {storage.root}; set --storage or run a sweep first"
        )
    return max(ended)[1]


def read_facts(storage: "Storage", name: str) -> dict[str, Any]:
    """Return sweep.json of a sweep; UserError naming those that exist if there is none."""
    if not NAME.fullmatch(name) or not exists(storage, name):
        if NAME.fullmatch(name) and storage.listing(f"{name}/{CLAIMS}"):
            raise UserError(
                f"sweep '{name}' has no plan yet: it is starting, so try again in a minute, or was killed "
                f"while it did, so start it again"
            )
        known = ", ".join(sweep_names(storage)) or "none"
        raise UserError(
            f"no sweep '{name}' in {storage.root}; known: {known} (one that was just started is known after "
            f"half a minute)"
        )
    facts = storage.read_json(f"{name}/{FACTS}")
    request = facts.get("request")
    config = request.get("config") if isinstance(request, dict) else None
    plugins.take_code(config if isinstance(config, dict) else {})  # its rows may name metrics of the user
    return facts


def check_has_pick(facts: Mapping[str, Any]) -> None:
    """Raise UserError, with the reason, if a sweep has no pick or none yet."""
    if facts.get("pick"):
        return
    name = facts["name"]
    if facts.get("status") == "running":
        raise UserError(f"sweep {name} has no pick before its end; upsweep sweep --status {name} tells more")
    if facts.get("status") in ("interrupted", "failed"):
        raise UserError(
            f"sweep {name} was {facts['status']} before its end, so it has no pick; resume it with "
            f"upsweep sweep --resume {name}"
        )
    reason = facts.get("pick_reason") or facts["status"]
    advice = "; to have the gate judge a trial all the same, use --run" if facts.get("gan_pick") else ""
    raise UserError(f"sweep {name} picked no model ({reason}){advice}")


def tracking_uri(facts: Mapping[str, Any], folder: Path) -> str:
    """Return the MLflow store of a sweep whose storage is (now) `folder`.

    An address that was not chosen is not kept in sweep.json, so that a storage may be moved.
    """
    return facts.get("tracking_uri") or database_uri(folder / "mlflow.db")


def checkpoint_url(storage: "Storage", sweep: str, place: str) -> str:
    """Return the URL of a checkpoint from that in a row of the sweep, wherever the storage was then."""
    _, found, below = place.rpartition(f"/{sweep}/trials/")
    return storage.url(f"{sweep}/trials/{below}") if found else place


def write_facts(storage: "Storage", name: str, facts: Mapping[str, Any]) -> None:
    """Write sweep.json."""
    storage.write_text(f"{name}/{FACTS}", json.dumps(facts, indent=1, sort_keys=True) + "\n")


def read_rows(storage: "Storage", name: str) -> "list[Row]":
    """Return the rows of leaderboard.json."""
    return storage.read_json(f"{name}/{LEADERBOARD}", list, ROW_KEYS)


def write_rows(storage: "Storage", name: str, rows: "Sequence[Row]") -> None:
    """Write leaderboard.json."""
    storage.write_text(f"{name}/{LEADERBOARD}", json.dumps(list(rows), indent=1) + "\n")


def read_stage(storage: "Storage", name: str, stage: str, keys: Sequence[str] = ROW_KEYS) -> list[Any] | None:
    """Return the list that `write_stage` stored; None if there is none yet."""
    path = f"{name}/stages/{stage}.json"
    return storage.read_json(path, list, keys) if storage.exists(path) else None


def write_stage(storage: "Storage", name: str, stage: str, content: Any) -> None:
    """Write a file of a stage, which a resumed sweep reads back.

    STAGE holds its rows when all of it is done, STAGE-planned the designs of a part before it begins, and
    STAGE-decisions what early stopping decided, so that it can be checked.
    """
    storage.write_text(f"{name}/stages/{stage}.json", json.dumps(content))
