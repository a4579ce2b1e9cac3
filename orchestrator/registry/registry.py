"""Versions of registered models: aliases champion, challenger and previous, with history and rollback.

MLflow sets an alias without checking its current value, and stores no history of it. Therefore every change
is written on the version itself (tags `upsweep.*`), and a promotion is refused if the champion is not the one
that the candidate was compared with. orchestrator.registry.gate makes that comparison.
"""

import getpass
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlflow.exceptions import MlflowException

from datasets.address import hide
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
        """The events of this version, oldest first, each with time and author."""
        return self.tags.get(EVENTS, "").splitlines()


class Registry:
    """The versions of one registered model in one store."""

    def __init__(self, tracking_uri: str, model: str) -> None:
        self.model, self.tracking_uri = model, hide(tracking_uri)
        self.client = open_client(tracking_uri)

    def versions(self) -> list[Version]:
        """Return all versions, newest first; an empty list if the name was never registered."""
        try:
            aliases = self.client.get_registered_model(self.model).aliases
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return []
        quoted = self.model.replace("'", "''")
        raw_versions = self.client.search_model_versions(f"name='{quoted}'", max_results=1000)
        versions = [self._version(raw, aliases) for raw in raw_versions]
        return sorted(versions, key=lambda version: -version.number)

    def _version(self, raw: Any, aliases: Mapping[str, str]) -> Version:
        mine = tuple(sorted(alias for alias, number in aliases.items() if int(number) == int(raw.version)))
        created = datetime.fromtimestamp(raw.creation_timestamp / 1000, UTC).isoformat(timespec="seconds")
        return Version(int(raw.version), mine, dict(raw.tags), created)

    def by_alias(self, alias: str) -> Version | None:
        """Return the version with `alias`, or None."""
        return next((version for version in self.versions() if alias in version.aliases), None)

    def register(self, model_uri: str, run_id: str, tags: Mapping[str, str], card: str) -> Version:
        """Register a new version with its tags and model card, as challenger."""
        try:
            self.client.create_registered_model(self.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        short = {name: str(text)[:TAG_LIMIT] for name, text in tags.items()}
        options: dict[str, Any] = {"model_id": model_uri.removeprefix("models:/"), "await_creation_for": 0}
        with using_tracking_uri(self.tracking_uri):  # an sqlite registry looks up the model process-wide
            raw = self.client.create_model_version(
                self.model, model_uri, run_id, tags=short, description=card, **options
            )
        self.client.set_registered_model_alias(self.model, CHALLENGER, raw.version)
        self.note(int(raw.version), "registered as challenger")
        return self._get(int(raw.version))

    def promote(self, version: int, judged_against: int | None, how: str = "passed the gate") -> None:
        """Make `version` champion, and the old champion previous.

        UserError if the champion is no longer `judged_against`, because of another promotion meanwhile.
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
            self.note(champion.number, f"replaced by v{version}")
        self.client.set_registered_model_alias(self.model, CHAMPION, str(version))
        challenger = self.by_alias(CHALLENGER)
        if challenger and challenger.number == version:
            self.client.delete_registered_model_alias(self.model, CHALLENGER)
        self.note(version, f"promoted to champion over {_name(now)}: {how}")

    def rollback(self) -> tuple[int, int]:
        """Make the previous version champion again; return (version rolled back, version restored).

        `previous` then is the version that the restored one had replaced, so that two rollbacks go back two
        versions. UserError if no version was replaced yet.
        """
        champion, previous = self.by_alias(CHAMPION), self.by_alias(PREVIOUS)
        if champion is None or previous is None:
            raise UserError(f"model {self.model} has no previous champion to restore")
        self.client.set_registered_model_alias(self.model, CHAMPION, str(previous.number))
        older = previous.tags.get(REPLACED)
        if older:
            self.client.set_registered_model_alias(self.model, PREVIOUS, older)
        else:
            self.client.delete_registered_model_alias(self.model, PREVIOUS)
        self.note(champion.number, f"rolled back to v{previous.number}")
        self.note(previous.number, f"champion again, after v{champion.number} was rolled back")
        return champion.number, previous.number

    def note(self, version: int, event: str) -> None:
        """Append one line to the history of `version`, with time and author."""
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        line = f"{stamp} {getpass.getuser()}@{socket.gethostname()}: {event}".replace("\n", " ")
        history = "\n".join([*self._get(version).events, line])
        self.client.set_model_version_tag(self.model, str(version), EVENTS, history[-TAG_LIMIT:])

    def count_gate_use(self, digest: str) -> int:
        """Count one use of the gate set `digest` for this model; return the uses including this one.

        The count is a tag of the registered model: a set that was used often is no longer held out.
        """
        uses = self.gate_uses(digest) + 1
        self.client.set_registered_model_tag(self.model, GATE_USES + digest, str(uses))
        return uses

    def gate_uses(self, digest: str) -> int:
        """Return how often the gate set `digest` was used for this model."""
        try:
            tags = self.client.get_registered_model(self.model).tags
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return 0
        return int(tags.get(GATE_USES + digest, "0"))

    def _get(self, number: int) -> Version:
        return self._version(self.client.get_model_version(self.model, str(number)), {})


def _name(version: int | None) -> str:
    return "none" if version is None else f"v{version}"
