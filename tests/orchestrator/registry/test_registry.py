"""Aliases move only if the champion is the expected one; every move is recorded and can be undone."""

import shutil

import pytest
from mlflow.store.entities import PagedList

from datasets.errors import UserError
from orchestrator.registry.registry import CHALLENGER, CHAMPION, GATE_USES, PREVIOUS, Registry
from orchestrator.tracking.server import default_uri


@pytest.fixture
def uri(tmp_path, migrated_database):
    shutil.copy(migrated_database, tmp_path)
    return default_uri(tmp_path)


def registered(uri, versions):
    """A registry whose versions point at nothing: only names and aliases are at stake."""
    registry = Registry(uri, "upsweep-demo")
    run = registry.client.create_run(registry.client.create_experiment("e", artifact_location="file:///tmp"))
    for number in range(1, versions + 1):
        tags = {"upsweep.design": f"b{number}"}
        assert registry.register("file:///nowhere", run.info.run_id, tags, f"card {number}").number == number
    return registry


def aliases(registry):
    return {alias: version.number for version in registry.versions() for alias in version.aliases}


def test_champion_challenger_previous_and_two_steps_back(uri):
    registry = registered(uri, 3)
    assert aliases(registry) == {CHALLENGER: 3}
    registry.promote(1, None)
    assert aliases(registry) == {CHAMPION: 1, CHALLENGER: 3}
    registry.promote(2, 1)
    registry.promote(3, 2)
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: 2}
    assert registry.rollback() == (3, 2)
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert registry.rollback() == (2, 1)
    assert aliases(registry) == {CHAMPION: 1}
    with pytest.raises(UserError, match="upsweep-demo has no previous champion"):
        registry.rollback()
    events = " / ".join(event for version in registry.versions() for event in version.events)
    for event in ("registered as challenger", "over v1", "replaced by v3", "rolled back to v2"):
        assert event in events


def test_a_champion_that_changed_meanwhile_is_not_overwritten(uri):
    registry = registered(uri, 3)
    registry.promote(1, None)
    registry.promote(2, 1)
    with pytest.raises(UserError, match="changed from v1 to v2 while v3 was measured"):
        registry.promote(3, 1)
    assert aliases(registry)[CHAMPION] == 2


def test_a_long_card_is_shortened_to_what_postgres_takes_and_a_description_by_hand_stays(uri):
    registry = registered(uri, 1)
    registry.client.update_registered_model("upsweep-demo", "ours")
    run_id = registry.versions()[0].run_id
    registry.register("file:///nowhere", run_id, {}, "a line of the card\n" * 500, "another description")
    card = registry.client.get_model_version("upsweep-demo", "2").description
    assert 4500 < len(card) <= 5000 and card.endswith(
        "model_card.md among the artifacts of the source run is whole)"
    )
    assert registry.client.get_registered_model("upsweep-demo").description == "ours"


def test_a_name_that_was_never_registered_has_no_versions(uri):
    registry = Registry(uri, "it's <new>")
    assert registry.versions() == [] and registry.by_alias(CHAMPION) is None


class Model:
    """A double of a registered model that used a gate set."""

    def __init__(self, name, uses):
        self.name, self.tags = name, {f"{GATE_USES}abcd": uses}


class Pages:
    """A double of a client whose registry has several pages of models."""

    def __init__(self, pages):
        self.pages = iter(pages)

    def search_registered_models(self, page_token=None):
        return next(self.pages)


def test_the_uses_of_a_gate_set_are_counted(uri):
    registry = registered(uri, 1)
    assert [registry.count_gate_use("abcd") for _ in range(3)] == [1, 2, 3]
    assert registry.count_gate_use("ef01") == 1
    assert Registry(uri, "upsweep-other").count_gate_use("abcd") == 4, "its error is spent by any model"
    assert registry.count_gate_use("abcd") == 5
    many = [PagedList([Model(f"m{n}", "1")], "more" if n < 2 else None) for n in range(3)]
    registry.client, own = Pages(many), registry.client
    assert sum(registry.gate_uses("abcd").values()) == 3, "models of all pages"
    registry.client = own
    registry.client.set_registered_model_tag("upsweep-demo", f"{GATE_USES}abcd", "many")
    with pytest.raises(UserError, match="tag upsweep.gate_uses.abcd of model upsweep-demo is damaged"):
        registry.count_gate_use("abcd")


@pytest.mark.parametrize("name", ["a/b", "a:b", "", "..", "a\nb", "x" * 300])
def test_a_name_that_mlflow_refuses_is_refused_before_anything_is_measured(name):
    with pytest.raises(UserError, match="--model must be 1 to 250 characters"):
        Registry("sqlite:////nowhere/mlflow.db", name)
