"""Versions of registered models: aliases champion, challenger and previous, with history and rollback.

MLflow sets an alias without checking its current value, and stores no history of it. Therefore every change
is decided in a log (moves.py), on the condition that the champion is the one that it was decided from, and
written on the versions (tags `upsweep.*`). A change that was killed half-way is completed by the next one.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlflow.exceptions import MlflowException

from datasets.address import hide, masked
from datasets.errors import UserError
from datasets.files import reading
from orchestrator.registry.moves import DONE, Log, Move, append, author, complete, event_line, read_log
from orchestrator.tracking.mlflow_client import open_client, using_tracking_uri

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
EVENTS, REPLACED = "upsweep.events", "upsweep.replaced_version"
GATE_USES, GATE_DIGEST = "upsweep.gate_uses.", "upsweep.gate.digest"
OBJECTIVE = "upsweep.objective"
PROMOTED = "promoted to champion"
TAG_LIMIT = 8000
DESCRIPTION_LIMIT = 5000
"""Characters of a description that MLflow's table holds; Postgres refuses a longer one."""
MODEL_NAME = re.compile(r"[^/:.\x00-\x1f][^/:\x00-\x1f]{0,249}")
"""Names that MLflow, its addresses and its artifact folders take."""


@dataclass(frozen=True)
class Version:
    """One registered version of a model."""

    number: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    created: str
    run_id: str = ""
    """MLflow run that it was registered from."""

    @property
    def events(self) -> list[str]:
        """The events of this version, oldest first, each with time and author."""
        return self.tags.get(EVENTS, "").splitlines()


class Registry:
    """The versions of one registered model in one store."""

    def __init__(self, tracking_uri: str, model: str) -> None:
        if not MODEL_NAME.fullmatch(model):  # now, and not after the candidate was measured
            raise UserError(
                f"--model must be 1 to 250 characters without '/', ':' and line breaks, and not begin with "
                f"'.', but got {model!r}"
            )
        self.model, self.tracking_uri = model, hide(tracking_uri)
        self.client = open_client(tracking_uri)

    def versions(self) -> list[Version]:
        """Return all versions, newest first, none of a new name; UserError if it does not answer."""
        try:
            aliases = self.client.get_registered_model(self.model).aliases
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                reason = masked(str(error))  # of the address that was really asked
                raise UserError(f"the model registry at {self.tracking_uri} fails: {reason}") from None
            return []
        quoted = self.model.replace("'", "''")
        raw_versions = self.client.search_model_versions(f"name='{quoted}'", max_results=1000)
        versions = [self._version(raw, aliases) for raw in raw_versions]
        return sorted(versions, key=lambda version: -version.number)

    def _version(self, raw: Any, aliases: Mapping[str, str]) -> Version:
        mine = tuple(sorted(alias for alias, number in aliases.items() if int(number) == int(raw.version)))
        created = datetime.fromtimestamp(raw.creation_timestamp / 1000, UTC).isoformat(timespec="seconds")
        return Version(int(raw.version), mine, dict(raw.tags), created, raw.run_id or "")

    def by_alias(self, alias: str) -> Version | None:
        """Return the version with `alias`, or None."""
        return _with_alias(self.versions(), alias)

    def register(
        self, model_uri: str, run_id: str, tags: Mapping[str, str], card: str, about: str = ""
    ) -> Version:
        """Register a new version with its tags and model card, as challenger.

        `about` describes the model, unless somebody has described it before.
        """
        try:
            self.client.create_registered_model(self.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        if about and not self.client.get_registered_model(self.model).description:
            self.client.update_registered_model(self.model, about[:DESCRIPTION_LIMIT])
        short = {name: str(text)[:TAG_LIMIT] for name, text in tags.items()}
        options: dict[str, Any] = {"model_id": model_uri.removeprefix("models:/"), "await_creation_for": 0}
        with using_tracking_uri(self.tracking_uri):  # an sqlite registry looks up the model process-wide
            raw = self.client.create_model_version(
                self.model, model_uri, run_id, tags=short, description=_shortened(card), **options
            )
        self.client.set_registered_model_alias(self.model, CHALLENGER, raw.version)
        self.note(int(raw.version), "registered as challenger")
        return self._get(int(raw.version))

    def first_champion(self, objective: str) -> Version | None:
        """Return the first version that became champion under `objective` (ObjectiveConfig.pair), or None."""
        promoted = [v for v in self.versions() if any(PROMOTED in event for event in v.events)]
        return next((v for v in reversed(promoted) if v.tags.get(OBJECTIVE) == objective), None)

    def promote(self, version: int, judged_against: int | None, how: str = "passed the gate") -> None:
        """Make `version` champion, and the old champion previous.

        UserError if the champion is no longer `judged_against`, because of another promotion meanwhile.
        """

        def decide(versions: list[Version], log: Log) -> Move:
            now = _number(versions, CHAMPION)
            if now != judged_against:
                raise UserError(
                    f"the champion of {self.model} changed from {_name(judged_against)} to {_name(now)} "
                    f"while v{version} was measured; run the promotion again"
                )
            aliases: dict[str, int | None] = {CHAMPION: version}
            events = {version: f"{PROMOTED} over {_name(now)}: {how}"}
            tags = {}
            if now is not None and now != version:
                aliases[PREVIOUS] = now
                events[now] = f"replaced by v{version}"
                tags[version] = {REPLACED: str(now)}
            if _number(versions, CHALLENGER) == version:
                aliases[CHALLENGER] = None
            return self._move(aliases, events, tags)

        self._act(decide)

    def rollback(self, issued_at: float = math.inf) -> tuple[int, int]:
        """Make the previous version champion again; return (version rolled back, version restored).

        `previous` then is the version that the restored one had replaced, so that two rollbacks go back two
        versions. UserError if no version was replaced yet, or if the champion was changed after `issued_at`
        (seconds since 1970), when the user gave the command: of two rollbacks at once, one acts.
        """
        seen: list[int | None] = []

        def decide(versions: list[Version], log: Log) -> Move:
            champion, previous = (_with_alias(versions, alias) for alias in (CHAMPION, PREVIOUS))
            seen.append(champion.number if champion else None)
            last = log.moves.get(log.last)
            if last is not None and (last.at > issued_at or seen[0] != seen[-1]):
                raise UserError(
                    f"{last.by} changed the champion of {self.model} to {_name(seen[-1])} while this "
                    f"rollback began, so nothing was rolled back; see --list, and run it again if needed"
                )
            if champion is None or previous is None:
                raise UserError(f"model {self.model} has no previous champion to restore")
            older = previous.tags.get(REPLACED)
            events = {
                champion.number: f"rolled back to v{previous.number}",
                previous.number: f"champion again, after v{champion.number} was rolled back",
            }
            restored.append((champion.number, previous.number))
            return self._move(
                {CHAMPION: previous.number, PREVIOUS: int(older) if older else None}, events, {}
            )

        restored: list[tuple[int, int]] = []
        self._act(decide)
        return restored[-1]

    def repair(self) -> str:
        """Complete the last move if its process was killed; return a sentence about it, or ""."""
        versions = self.versions()
        if not versions:
            return ""
        log = self._log(versions)
        if log.pending is None:
            return ""
        self._complete(log.last, log.pending)
        return f"{self.model}: completed the move of {log.pending.by} that was interrupted"

    def is_interrupted(self) -> bool:
        """Return True if the last move is not complete; the next promotion or rollback completes it."""
        versions = self.versions()
        return bool(versions) and self._log(versions).pending is not None

    def _act(self, decide: Callable[[list[Version], Log], Move]) -> None:
        """Decide a move from the present state, append it to the log and carry it out.

        If another move came first, decide again; `decide` raises UserError if its condition holds no more.
        """
        while True:
            self.repair()
            versions = self.versions()
            if not versions:
                raise UserError(f"model {self.model} has no previous champion to restore")
            log = self._log(versions)
            if log.pending is not None:
                continue
            move = decide(versions, log)
            if append(self.client, log, move):
                self._complete(log.last + 1, move)
                return

    def _complete(self, number: int, move: Move) -> None:
        """Carry out a move, and a later one that was appended meanwhile: the last one counts."""
        while True:
            existing = {version.number for version in self.versions()}
            complete(self.client, self.model, move, existing)
            for version, line in move.events.items():
                if int(version) in existing:
                    self._add_event(int(version), line)
            log = self._log(self.versions())
            if log.last == number:
                self.client.set_tag(log.run_id, DONE, str(number))
                return
            number, move = log.last, log.moves[log.last]

    def _log(self, versions: list[Version]) -> Log:
        return read_log(self.client, self.model, [v.run_id for v in reversed(versions) if v.run_id])

    def _move(
        self,
        aliases: Mapping[str, int | None],
        events: Mapping[int, str],
        tags: Mapping[int, Mapping[str, str]],
    ) -> Move:
        lines = {str(version): event_line(event) for version, event in events.items()}
        return Move(time.time(), author(), aliases, lines, {str(v): t for v, t in tags.items()})

    def note(self, version: int, event: str) -> None:
        """Append one line to the history of `version`, with time and author."""
        self._add_event(version, event_line(event))

    def _add_event(self, version: int, line: str) -> None:
        events = self._get(version).events
        if line not in events:  # a move that is completed a second time
            history = "\n".join([*events, line])
            self.client.set_model_version_tag(self.model, str(version), EVENTS, history[-TAG_LIMIT:])

    def count_gate_use(self, digest: str) -> int:
        """Count one use of the gate set `digest`, in a tag of the model; return the uses with this one.

        Uses for other models of this registry count, because the error is that of the set. A version that was
        measured on it is registered later, or never.
        """
        versions = sum(v.tags.get(GATE_DIGEST) == digest for v in self.versions())
        uses = self.gate_uses(digest)
        own = max(uses.get(self.model, 0), versions) + 1  # two machines may count at the same time
        with suppress(MlflowException):  # it is registered: a dry run may be the first that asks
            self.client.create_registered_model(self.model)
        self.client.set_registered_model_tag(self.model, GATE_USES + digest, str(own))
        return sum((uses | {self.model: own}).values())

    def gate_uses(self, digest: str) -> dict[str, int]:
        """Return how often the gate set `digest` was used, by model of this registry."""
        uses, tag, token = {}, GATE_USES + digest, None
        while token != "":
            page = self.client.search_registered_models(page_token=token)
            for model in page:
                with reading(f"tag {tag} of model {model.name}"):
                    uses[model.name] = int(model.tags.get(tag, "0"))
            token = page.token or ""
        return {name: number for name, number in uses.items() if number}

    def _get(self, number: int) -> Version:
        return self._version(self.client.get_model_version(self.model, str(number)), {})


def _shortened(card: str) -> str:
    """Return the lines of a card that fit into a description, and where the rest is."""
    if len(card) <= DESCRIPTION_LIMIT:
        return card
    rest = "\n\n(shortened: model_card.md among the artifacts of the source run is whole)"
    return card[: DESCRIPTION_LIMIT - len(rest)].rpartition("\n")[0] + rest


def _with_alias(versions: list[Version], alias: str) -> Version | None:
    return next((version for version in versions if alias in version.aliases), None)


def _number(versions: list[Version], alias: str) -> int | None:
    version = _with_alias(versions, alias)
    return version.number if version else None


def _name(version: int | None) -> str:
    return "none" if version is None else f"v{version}"
