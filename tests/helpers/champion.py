"""A registry with one version, its champion, for tests of what is done with it."""

import shutil

import mlflow
import torch

from orchestrator.registry.export import log_generator
from orchestrator.registry.registry import Registry
from orchestrator.tracking.mlflow_client import using_tracking_uri
from orchestrator.tracking.server import default_uri
from trainers.models import build_generator


def register_champion(folder, migrated_database, config, artifacts="art"):
    """(network, the store's address): a seeded network of `config` as upsweep-demo's champion."""
    shutil.copy(migrated_database, folder)
    uri = default_uri(folder)
    torch.manual_seed(0)
    network = build_generator(config.generator).eval()
    registry = Registry(uri, "upsweep-demo")
    experiment = registry.client.create_experiment("e", artifact_location=(folder / artifacts).as_uri())
    with using_tracking_uri(uri), mlflow.start_run(experiment_id=experiment) as run:
        model_uri = log_generator(network, config)
    registry.register(model_uri, run.info.run_id, {}, "card")
    registry.promote(1, None)
    return network, uri
