"""A registry with one version, its champion, for tests of what is done with it."""

import shutil

import mlflow
import torch

from orchestrator.export import log_generator
from orchestrator.mlflow_store import fluent_store
from orchestrator.registry import Registry
from orchestrator.tracking import default_uri
from trainers.models import build_generator


def register_champion(folder, migrated_database, config):
    """(network, the store's address): a seeded network of `config` as upsweep-demo's champion."""
    shutil.copy(migrated_database, folder)
    uri = default_uri(folder)
    torch.manual_seed(0)
    network = build_generator(config.generator).eval()
    registry = Registry(uri, "upsweep-demo")
    experiment = registry.client.create_experiment("e", artifact_location=(folder / "art").as_uri())
    with fluent_store(uri), mlflow.start_run(experiment_id=experiment) as run:
        model_uri = log_generator(network, config)
    registry.register(model_uri, run.info.run_id, {}, "card")
    registry.promote(1, None)
    return network, uri
