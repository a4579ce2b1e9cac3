"""The registry that a promotion, a roll-back, a list or an export acts on, opened without any network."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from datasets.errors import UserError
from datasets.files import is_trusted, user_path
from orchestrator.registry.candidate import registered_name
from orchestrator.registry.candidate_source import CandidateSource
from orchestrator.registry.registry import Registry
from orchestrator.results import sweep_folder
from orchestrator.storage import Storage
from orchestrator.tracking.server import login_header, missing_store, probe


def open_registry(source: CandidateSource) -> Registry:
    """Open the registry that `promote` would use for `source`, without loading a network.

    Nothing is written: a store that does not exist is not made.

    UserError if --run or --checkpoint is given without --model, because the registered name of their network
    is known only after it was loaded; or if the sweep that names the model, or its store, does not exist.
    """
    if source.model:
        return registry_of(source, _facts_of_store(source), must_exist=True)
    if source.run or source.checkpoint:
        raise UserError(
            "--rollback, --list and --export act on a registered model, which --run and --checkpoint do not "
            "name; set --model"
        )
    storage = Storage(source.storage)
    sweep = sweep_folder.read_facts(storage, source.name or sweep_folder.newest_sweep(storage))
    return registry_of(source, sweep, must_exist=True)


def _facts_of_store(source: CandidateSource) -> Mapping[str, Any]:
    """Return sweep.json of the sweep whose MLflow store has `source.model`; {} for the default store.

    If no sweep is named, it is the newest finished one; unfinished sweeps have promoted nothing.
    """
    storage = Storage(source.storage)
    if source.tracking_uri or source.run or source.checkpoint or not sweep_folder.sweep_names(storage):
        return {}
    if source.name:
        return sweep_folder.read_facts(storage, source.name)
    with suppress(UserError):  # no finished sweep with a pick
        return sweep_folder.read_facts(storage, sweep_folder.newest_sweep(storage))
    return {}


def registry_of(source: CandidateSource, sweep: Mapping[str, Any], must_exist: bool = False) -> Registry:
    """Open the registry that holds the model's versions; UserError if it cannot be reached."""
    uri = source.tracking_uri or sweep_folder.tracking_uri(sweep, source.work_dir)
    if not source.tracking_uri and "name" in sweep:
        _check_login_is_for(uri, source, sweep["name"])
    if must_exist and (missing := missing_store(uri)):
        raise UserError(
            f"nothing is registered: there is no store at {missing}; set --storage or --tracking-uri"
        )
    probe(uri)
    return Registry(uri, source.model or registered_name(sweep["name"]))


def _check_login_is_for(uri: str, source: CandidateSource, sweep: str) -> None:
    """Raise UserError if MLflow's login would be sent to an address that somebody else wrote."""
    facts = user_path(source.storage) / sweep / sweep_folder.FACTS
    if uri.startswith(("http://", "https://")) and login_header() and not is_trusted(facts):
        raise UserError(
            f"sweep.json of {sweep} names {uri}, and the login in the environment (MLFLOW_TRACKING_...) "
            f"would be sent there: if that is your server, say so with --tracking-uri {uri}"
        )
