"""A storage that was moved or copied is the storage: its models and its record are where it is now."""

import shutil
import sqlite3

import mlflow
import pytest
from helpers.champion import register_champion

from datasets.errors import UserError
from orchestrator.registry.candidate_source import CandidateSource
from orchestrator.registry.describe import history
from orchestrator.registry.load_model import load_generator
from orchestrator.registry.source_registry import open_registry
from orchestrator.tracking.mlflow_client import ADDRESSES, follow_moved_artifacts, open_client
from orchestrator.tracking.server import artifact_root, default_uri
from trainers.config import GeneratorConfig, TrainConfig

CHAMPION = "models:/upsweep-demo@champion"
CONFIG = TrainConfig(generator=GeneratorConfig(num_blocks=1, channels=4))


def addresses(database):
    with sqlite3.connect(database) as connection:
        return {
            str(value)
            for table, column in ADDRESSES
            for (value,) in connection.execute(f"SELECT {column} FROM {table}")
            if value and str(value).startswith("file:")
        }


@pytest.fixture
def old(tmp_path, migrated_database):
    """A storage with a champion, whose artifacts are beside its database."""
    folder = tmp_path / "old"
    folder.mkdir()
    register_champion(folder, migrated_database, CONFIG, artifacts="mlartifacts")
    return folder


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_the_champion_of_a_moved_storage_is_found(how, old, tmp_path):
    new = tmp_path / "new place"
    how(str(old), str(new))
    network, config = load_generator(CHAMPION, default_uri(new))
    assert config.generator == CONFIG.generator
    registry = open_registry(CandidateSource(str(new), model="upsweep-demo"))  # promote.py --list
    assert "v1 [champion]" in history(registry) and old.exists() == (how is shutil.copytree)
    root = artifact_root(default_uri(new), new)
    assert all(a.startswith(root) for a in addresses(new / "mlflow.db") if a.endswith("mlartifacts"))
    assert not [a for a in addresses(new / "mlflow.db") if "/old/" in a]
    mlflow.set_tracking_uri(default_uri(new))  # MLflow's own readers find it too
    try:
        assert mlflow.pyfunc.load_model(CHAMPION)
    finally:
        mlflow.set_tracking_uri(None)
    if how is shutil.copytree:
        assert all("/old/" in a for a in addresses(old / "mlflow.db")), "the original keeps its own"
    (weights,) = new.glob("mlartifacts/**/extra_files/generator.safetensors")
    weights.unlink()
    with pytest.raises(UserError, match="is damaged: generator.safetensors is gone"):
        load_generator(CHAMPION, default_uri(new))


def test_artifacts_elsewhere_keep_their_address(tmp_path, migrated_database):
    """A user may keep them on another disk, whatever its folder is called."""
    shutil.copy(migrated_database, tmp_path)
    client = open_client(default_uri(tmp_path))
    other = (tmp_path / "disk" / "mlartifacts").as_uri()
    client.create_run(client.create_experiment("e", artifact_location=other))
    (tmp_path / "mlartifacts").mkdir()
    before = addresses(tmp_path / "mlflow.db")
    follow_moved_artifacts(tmp_path / "mlflow.db")
    assert addresses(tmp_path / "mlflow.db") == before and any(a.startswith(other) for a in before)
