"""The log of a model's moves: every change of its aliases, decided once, and completed by whoever comes next.

MLflow sets aliases and tags without conditions, so that two promotions can both succeed and a killed one can
leave half its changes. It has one value that is written once: a parameter of a run, whose second writer is
refused by the store, whichever machine it writes from. Move N of a model is parameter `upsweep.move.N` of the
run of its oldest version: a compare-and-swap on the log's end, and the intent from which a killed move is
completed. The tag `upsweep.moves_done` of that run is the number of the last completed move.
"""

import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from datasets.errors import UserError
from datasets.files import parse_json, reading

MOVE, DONE = "upsweep.move.", "upsweep.moves_done"
LINE_LIMIT = 1000
"""Characters of an event's line: a whole move must fit into a parameter, which holds 6000."""


@dataclass(frozen=True)
class Move:
    """One change of a model's aliases, with everything that has to be written for it."""

    at: float
    """Seconds since 1970."""
    by: str
    """USER@HOST."""
    aliases: Mapping[str, int | None]
    """Alias -> its version after the move; None: no version has it."""
    events: Mapping[str, str]
    """Version -> line of its history."""
    tags: Mapping[str, Mapping[str, str]]
    """Version -> tags to set."""

    @classmethod
    def from_json(cls, text: str, place: str) -> "Move":
        """Read a move back; UserError if it is damaged."""
        keys = ("at", "by", "aliases", "events", "tags")
        plain = parse_json(text, place, keys=keys)
        return cls(**{key: plain[key] for key in keys})


def author() -> str:
    """Return USER@HOST of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def event_line(event: str) -> str:
    """Return the line of a history for an event now."""
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    return f"{stamp} {author()}: {event}".replace("\n", " ")[:LINE_LIMIT]


@dataclass(frozen=True)
class Log:
    """The moves of one model as they were read."""

    run_id: str
    moves: Mapping[int, Move]
    done: int

    @property
    def last(self) -> int:
        """Number of the last move; 0 if there was none."""
        return max(self.moves, default=0)

    @property
    def pending(self) -> Move | None:
        """The last move if it was not completed."""
        return self.moves[self.last] if self.last > self.done else None


def read_log(client: MlflowClient, model: str, run_ids: list[str]) -> Log:
    """Return the log in the first of `run_ids` that exists: the runs of the model's versions, oldest first.

    UserError if none exists.
    """
    for run_id in run_ids:
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            continue  # deleted for good, with `mlflow gc`
        if run.info.lifecycle_stage != "active":
            raise UserError(
                f"MLflow run {run_id} holds the moves of model {model} and was deleted; restore it with: "
                f"mlflow runs restore --run-id {run_id}"
            )
        params = {k.removeprefix(MOVE): v for k, v in run.data.params.items() if k.startswith(MOVE)}
        with reading(f"the log of moves in MLflow run {run_id}"):
            moves = {int(n): Move.from_json(text, f"{MOVE}{n} of run {run_id}") for n, text in params.items()}
            return Log(run_id, moves, int(run.data.tags.get(DONE, "0")))
    raise UserError(
        f"the aliases of model {model} cannot be moved, because no version has an MLflow run, which holds "
        f"the log of moves; restore MLflow from a backup, or register under another --model"
    )


def append(client: MlflowClient, log: Log, move: Move) -> bool:
    """Append a move to the log; return False if another one was appended since `log` was read."""
    try:
        client.log_param(log.run_id, f"{MOVE}{log.last + 1}", json.dumps(asdict(move)))
    except MlflowException as error:
        if "already logged" not in str(error) and "not allowed" not in str(error):
            raise
        return False
    return True


def complete(client: MlflowClient, model: str, move: Move, existing: set[int]) -> None:
    """Write everything that a move says, but for versions that are gone; doing it again changes nothing."""
    for version, tags in move.tags.items():
        for name, text in tags.items():
            if int(version) in existing:
                client.set_model_version_tag(model, version, name, text)
    for alias, number in move.aliases.items():
        if number in existing:
            client.set_registered_model_alias(model, alias, str(number))
        elif number is None:
            _remove_alias(client, model, alias)


def _remove_alias(client: MlflowClient, model: str, alias: str) -> None:
    def is_there() -> bool:
        aliases: Any = client.get_registered_model(model).aliases
        return alias in aliases

    if is_there():
        try:
            client.delete_registered_model_alias(model, alias)
        except MlflowException:  # another process, which completes the same move, may have been faster
            if is_there():
                raise
