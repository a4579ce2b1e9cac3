"""The models that were promoted, by alias: champion, challenger, previous; with history and a way back.

An alias in MLflow is set without asking who set it last, and forgets. So every move is written on the
version itself (tags `upsweep.*`), and a move is refused when the champion is not the one it was judged
against. Judging is orchestrator.registry.gate's business.
"""

import getpass
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlflow.exceptions import MlflowException

from datasets.errors import UserError
from orchestrator.tracking.mlflow_client import open_client, using_tracking_uri

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
EVENTS = "upsweep.events"
REPLACED = "upsweep.replaced_version"
GATE_USES = "upsweep.gate_uses."
TAG_LIMIT = 8000


@dataclass(frozen=True)
class Version:
    """One registered version of a model."""

    number: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    created: str

    @property
    def events(self) -> list[str]:
        """What happened to it, oldest first."""
        return self.tags.get(EVENTS, "").splitlines()


class Registry:
    """The versions of one registered model name in one store."""

    def __init__(self, tracking_uri: str, model: str) -> None:
        self.model, self.tracking_uri = model, tracking_uri
        self.client = open_client(tracking_uri)

    def versions(self) -> list[Version]:
        """All versions, newest first; none where the name was never registered."""
        try:
            aliases = self.client.get_registered_model(self.model).aliases
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return []
        quoted = self.model.replace("'", "''")
        found = self.client.search_model_versions(f"name='{quoted}'", max_results=1000)
        versions = [self._version(raw, aliases) for raw in found]
        return sorted(versions, key=lambda version: -version.number)

    def _version(self, raw: Any, aliases: Mapping[str, str]) -> Version:
        mine = tuple(sorted(alias for alias, number in aliases.items() if int(number) == int(raw.version)))
        created = datetime.fromtimestamp(raw.creation_timestamp / 1000, UTC).isoformat(timespec="seconds")
        return Version(int(raw.version), mine, dict(raw.tags), created)

    def by_alias(self, alias: str) -> Version | None:
        """The version that carries `alias`, if any does."""
        return next((version for version in self.versions() if alias in version.aliases), None)

    def register(self, model_uri: str, run_id: str, tags: Mapping[str, str], card: str) -> Version:
        """A new version with its tags and model card; it becomes the challenger."""
        try:
            self.client.create_registered_model(self.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        short = {name: str(text)[:TAG_LIMIT] for name, text in tags.items()}
        model_id = model_uri.removeprefix("models:/")
        with using_tracking_uri(
            self.tracking_uri
        ):  # an sqlite registry looks the model up in the process-wide one
            raw = self.client.create_model_version(
                self.model,
                model_uri,
                run_id,
                tags=short,
                description=card,
                model_id=model_id,
                await_creation_for=0,
            )
        self.client.set_registered_model_alias(self.model, CHALLENGER, raw.version)
        self._note(int(raw.version), "registered as challenger")
        return self._get(int(raw.version))

    def promote(self, version: int, judged_against: int | None, how: str = "passed the gate") -> None:
        """Make `version` champion and the old champion previous.

        UserError where the champion is no longer `judged_against`: somebody else promoted meanwhile.
        """
        champion = self.by_alias(CHAMPION)
        now = champion.number if champion else None
        if now != judged_against:
            raise UserError(
                f"the champion of {self.model} changed from {_name(judged_against)} to {_name(now)} while "
                f"v{version} was measured; run the promotion again"
            )
        if champion:
            self.client.set_registered_model_alias(self.model, PREVIOUS, str(champion.number))
            self.client.set_model_version_tag(self.model, str(version), REPLACED, str(champion.number))
            self._note(champion.number, f"replaced by v{version}")
        self.client.set_registered_model_alias(self.model, CHAMPION, str(version))
        challenger = self.by_alias(CHALLENGER)
        if challenger and challenger.number == version:
            self.client.delete_registered_model_alias(self.model, CHALLENGER)
        self._note(version, f"promoted to champion over {_name(now)}: {how}")

    def rollback(self) -> tuple[int, int]:
        """Make the previous version champion again; (version left, version restored).

        `previous` then names what the restored version had once replaced, so that rolling back twice goes
        back twice. UserError where nothing was replaced yet.
        """
        champion, previous = self.by_alias(CHAMPION), self.by_alias(PREVIOUS)
        if champion is None or previous is None:
            raise UserError(f"model {self.model} has no previous champion to go back to")
        self.client.set_registered_model_alias(self.model, CHAMPION, str(previous.number))
        older = previous.tags.get(REPLACED)
        if older:
            self.client.set_registered_model_alias(self.model, PREVIOUS, older)
        else:
            self.client.delete_registered_model_alias(self.model, PREVIOUS)
        self._note(champion.number, f"rolled back to v{previous.number}")
        self._note(previous.number, f"champion again, after v{champion.number} was rolled back")
        return champion.number, previous.number

    def note(self, version: int, event: str) -> None:
        """Write one line into the history of `version`, with time and author."""
        self._note(version, event)

    def count_gate_use(self, digest: str) -> int:
        """How often the gate set `digest` has been consulted for this model, this time included.

        Kept on the registered model; a set consulted often is no longer held out.
        """
        uses = self.gate_uses(digest) + 1
        self.client.set_registered_model_tag(self.model, GATE_USES + digest, str(uses))
        return uses

    def gate_uses(self, digest: str) -> int:
        """How often the gate set `digest` has been consulted for this model so far."""
        try:
            tags = self.client.get_registered_model(self.model).tags
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return 0
        return int(tags.get(GATE_USES + digest, "0"))

    def _note(self, version: int, event: str) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        line = f"{stamp} {getpass.getuser()}@{socket.gethostname()}: {event}".replace("\n", " ")
        history = "\n".join([*self._get(version).events, line])
        self.client.set_model_version_tag(self.model, str(version), EVENTS, history[-TAG_LIMIT:])

    def _get(self, number: int) -> Version:
        return self._version(self.client.get_model_version(self.model, str(number)), {})


def _name(version: int | None) -> str:
    return "none" if version is None else f"v{version}"
