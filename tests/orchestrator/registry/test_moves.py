"""A move of aliases is decided once; killed at any of its writes, it is completed by the next command."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from helpers.kills import nursery
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from datasets.errors import UserError
from orchestrator.registry import moves
from orchestrator.registry.moves import DONE
from orchestrator.registry.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from orchestrator.tracking.server import default_uri

WRITES = (
    "log_param",
    "set_tag",
    "set_model_version_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
)


class Killed(BaseException):
    """As kill -9 between two requests: nothing of this process runs afterwards."""


@pytest.fixture
def uri(tmp_path, migrated_database):
    shutil.copy(migrated_database, tmp_path)
    return default_uri(tmp_path)


def registered(uri, versions, champions=()):
    """A registry whose versions point at nothing; each of `champions` was promoted in turn."""
    registry = Registry(uri, "upsweep-demo")
    run = registry.client.create_run(registry.client.create_experiment("e", artifact_location="file:///tmp"))
    for _ in range(versions):
        registry.register("file:///nowhere", run.info.run_id, {}, "card")
    before = None
    for version in champions:
        registry.promote(version, before)
        before = version
    return registry


def state(registry):
    """Aliases, and the events of each version without times."""
    aliases = {alias: v.number for v in registry.versions() for alias in v.aliases}
    return aliases, {v.number: [e.partition(": ")[2] for e in v.events] for v in registry.versions()}


def killed_at(monkeypatch, write):
    """Let this process's client end instead of its `write`-th request that changes something."""
    count = iter(range(1000))

    def wrap(name):
        real = getattr(MlflowClient, name)

        def call(self, *args, **kwargs):
            if next(count) == write:
                raise Killed
            return real(self, *args, **kwargs)

        monkeypatch.setattr(MlflowClient, name, call)

    for name in WRITES:
        wrap(name)


@pytest.mark.parametrize("act", ["promote", "rollback"])
def test_a_kill_between_any_two_writes_leaves_what_the_next_command_completes(uri, act, tmp_path):
    """At each request in turn, in copies of one database: what is left is the whole move, or none of it."""
    registered(uri, 4, champions=(1, 2, 3))
    acts = {
        "promote": lambda r: r.promote(4, 3),
        "rollback": lambda r: r.rollback(),
    }
    database = tmp_path / "mlflow.db"
    undisturbed, kills = None, 0
    for write in range(-1, 30):
        folder = tmp_path / f"k{write}"
        folder.mkdir()
        shutil.copy(database, folder)
        registry = Registry(default_uri(folder), "upsweep-demo")
        before = state(registry)
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, write)
            try:
                acts[act](registry)
                done = True
            except Killed:
                done = False
        if write == -1:
            undisturbed = state(registry)
            assert not registry.repair()
            continue
        if done:
            break
        kills += 1
        after = Registry(default_uri(folder), "upsweep-demo")
        said = after.repair()
        assert state(after) == (undisturbed if said else before), f"killed at write {write}"
        assert bool(said) == (write > 0), "the intent is the first write"
        assert not after.is_interrupted() and not after.repair()
        # what comes next works from there: the way back ends where it began
        if said and act == "promote":
            assert after.rollback() == (4, 3)
            assert state(after)[0] == {CHAMPION: 3, PREVIOUS: 2}
        elif said:
            assert after.rollback() == (2, 1)
    assert kills >= 5 and done


CHILD = """
from orchestrator.registry.registry import Registry
from orchestrator.tracking.mlflow_client import open_client  # MLflow itself
import mlflow.store.tracking.sqlalchemy_store, mlflow.store.model_registry.sqlalchemy_store

def act(uri, move):
    registry = Registry(uri, "upsweep-demo")
    registry.promote(4, 3) if move == "promote" else registry.rollback()
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("act", ["promote", "rollback"])
def test_twenty_kills_of_a_process_that_moves_the_champion(act, uri, tmp_path):
    """kill -9 at twenty moments spread over the move of a process of its own."""
    registered(uri, 4, champions=(1, 2, 3))
    begun = {CHAMPION: 3, PREVIOUS: 2, CHALLENGER: 4}
    ended = {CHAMPION: 4, PREVIOUS: 3} if act == "promote" else {CHAMPION: 2, PREVIOUS: 1, CHALLENGER: 4}
    took, seen = 0.5, set()
    with nursery(CHILD) as processes:
        for k in range(21):
            folder = tmp_path / f"k{k}"
            folder.mkdir()
            shutil.copy(tmp_path / "mlflow.db", folder)
            if k:
                processes.kill_one(default_uri(folder), act, after_s=took * k / 21)
            else:
                took = processes.seconds(default_uri(folder), act)
            registry = Registry(default_uri(folder), "upsweep-demo")
            interrupted = registry.is_interrupted()
            registry.repair()
            aliases = state(registry)[0]
            assert aliases in (begun, ended), f"kill {k}: {aliases}"
            assert registry.client.search_model_versions("name='upsweep-demo'")
            seen.add((interrupted, aliases == ended))
            registry.rollback()
    assert len(seen) > 1, f"kills fell before, in and after the move: {seen}"


@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("act", ["promote", "rollback"])
def test_of_two_moves_started_together_exactly_one_acts(act, rounds, uri):
    """Rounds of two clients that decide from one champion."""
    registered(uri, 5, champions=(1, 2, 3))

    def move(barrier, version, champion, issued):
        registry = Registry(uri, "upsweep-demo")
        barrier.wait()
        try:
            return registry.promote(version, champion) or "acted" if version else registry.rollback(issued)
        except UserError as error:
            assert "changed" in str(error)
            return "told"

    with ThreadPoolExecutor(2) as pool:
        for _ in range(rounds):
            registry = Registry(uri, "upsweep-demo")
            champion = registry.by_alias(CHAMPION).number
            versions = [v for v in (4, 5, 1) if v != champion][:2]
            if act == "rollback":
                versions = [None, None]
                for version in (2, 3):
                    registry.promote(version, champion)
                    champion = version
            log, barrier = registry._log(registry.versions()).last, threading.Barrier(2)
            issued = time.time()
            pair = [pool.submit(move, barrier, v, champion, issued) for v in versions]
            assert sum(f.result() == "told" for f in pair) == 1
            after = registry._log(registry.versions())
            assert after.last == log + 1 and after.pending is None, "one move"


@pytest.mark.parametrize("left", [{}, {"previous": "1"}])
def test_an_alias_that_another_process_removed_meanwhile_is_removed(left):
    seen = iter([{"previous": "1"}, left])

    def refuse(*_):
        raise MlflowException("DELETE statement expected to delete 1 row(s); 0 were matched")

    client = SimpleNamespace(
        get_registered_model=lambda _: SimpleNamespace(aliases=next(seen)),
        delete_registered_model_alias=refuse,
    )
    with pytest.raises(MlflowException) if left else nullcontext():
        moves._remove_alias(client, "m", "previous")


def test_a_rollback_given_before_a_promotion_ended_is_told_of_it(uri):
    registry = registered(uri, 2, champions=(1,))
    issued = time.time() - 1
    registry.promote(2, 1)
    with pytest.raises(
        UserError, match=r"changed the champion of upsweep-demo to v2 while this rollback began"
    ):
        registry.rollback(issued)
    assert registry.rollback(time.time()) == (2, 1)


def test_what_was_done_by_hand_is_left_as_it_is(uri):
    """A complete move is not repeated: aliases set in MLflow's pages stay."""
    registry = registered(uri, 3, champions=(1, 2))
    registry.client.set_registered_model_alias("upsweep-demo", CHAMPION, "3")
    assert not registry.repair() and registry.by_alias(CHAMPION).number == 3
    with pytest.raises(UserError, match="changed from v2 to v3"):
        registry.promote(1, 2)


def test_a_log_that_was_deleted_is_named_and_a_version_without_a_run_too(uri):
    registry = registered(uri, 2, champions=(1,))
    run_id = registry.versions()[0].run_id
    registry.client.delete_run(run_id)
    with pytest.raises(UserError, match=f"MLflow run {run_id} holds the moves .* was deleted; restore it"):
        registry.promote(2, 1)
    registry.client.restore_run(run_id)
    registry.client.set_tag(run_id, DONE, "many")
    with pytest.raises(UserError, match=f"the log of moves in MLflow run {run_id} is damaged: ValueError"):
        registry.promote(2, 1)
    registry.client.set_tag(run_id, DONE, "1")
    registry.promote(2, 1)
    registry.client.create_registered_model("bare")
    registry.client.create_model_version("bare", "file:///nowhere")
    with pytest.raises(UserError, match="the aliases of model bare cannot be moved, because no version has"):
        Registry(uri, "bare").promote(1, None)


def test_another_fault_of_the_store_is_no_lost_race(uri, monkeypatch):
    registry = registered(uri, 1)

    def refuse(*_):
        raise MlflowException("the disk is full")

    monkeypatch.setattr(MlflowClient, "log_param", refuse)
    with pytest.raises(MlflowException, match="the disk is full"):
        registry.promote(1, None)
