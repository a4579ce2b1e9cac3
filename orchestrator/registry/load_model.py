"""A trained network by the name people have for it: a registered model, a sweep, a run or a checkpoint.

What only one kind of name needs (MLflow, the training loop) is imported there: together it is 280 MB.
"""

import json
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from safetensors.torch import load_file, save_file
from torch import nn

from datasets.errors import UserError
from orchestrator.tracking.mlflow_client import open_client
from orchestrator.tracking.server import database_path
from trainers import checkpoint
from trainers.checkpoint import weights_of
from trainers.config import TrainConfig, flatten, from_flat
from trainers.models import build_generator
from trainers.weight_formats import export_generator


def load_model(name: str, tracking_uri: str) -> tuple[nn.Module, TrainConfig]:
    """The network in eval mode on the CPU, and its config.

    `name` is models:/NAME@ALIAS or models:/NAME/VERSION in the registry at `tracking_uri`, the folder of a
    sweep (its pick), the folder of a run (its best candidate), or that of a checkpoint. UserError where there
    is none.
    """
    if name.startswith("models:/"):
        from orchestrator.registry.load_model import load_generator

        return load_generator(name, tracking_uri)
    folder = Path(name).resolve()
    if (folder / "sweep.json").is_file():
        from orchestrator.registry.candidate import find_candidate
        from orchestrator.storage import Storage

        pick = find_candidate(Storage(str(folder.parent)), folder.name, folder.parent)
        return pick.generator, pick.config
    if (folder / "checkpoints").is_dir():
        from trainers.train import best_candidate

        folder = best_candidate(from_flat(json.loads((folder / "config.json").read_text())), folder)
    return checkpoint.load_generator(folder)


def load_generator(model_uri: str, tracking_uri: str | None = None) -> tuple[nn.Module, TrainConfig]:
    """The network of a registered model in eval mode, and its config.

    `model_uri` is models:/NAME@ALIAS or models:/NAME/VERSION; `tracking_uri` None means MLflow's own
    default. Built from the safetensors and settings stored with the model, so it can be trained further.
    UserError where no such model exists.
    """
    uri = tracking_uri or mlflow.get_tracking_uri()
    database = database_path(uri)
    if database is not None and not database.exists():  # opening it would make it
        raise UserError(
            f"no model at {model_uri}: there is no store at {database}; "
            f"name another one with --tracking-uri, or a checkpoint folder instead of the model"
        )
    try:
        place = _artifacts_of(open_client(uri), model_uri)
        folder = Path(mlflow.artifacts.download_artifacts(f"{place}/extra_files", tracking_uri=uri))
    except (MlflowException, OSError) as error:
        raise UserError(f"no model at {model_uri} in {uri}: {error}") from None
    config = from_flat(json.loads((folder / "config.json").read_text()))
    generator = build_generator(config.generator)
    generator.load_state_dict(load_file(folder / "generator.safetensors"))
    return generator.eval(), config


def export_weights(model_uri: str, tracking_uri: str, path: Path) -> None:
    """Write a registered model's weights to `path`: *.safetensors in our names, *.pth in BasicSR's.

    UserError for another ending, for a folder that does not exist, and for a network BasicSR cannot express.
    """
    if path.suffix not in (".safetensors", ".pth"):
        raise UserError(f"--export needs a file ending in .safetensors or .pth, but got '{path}'")
    if not path.parent.is_dir():
        raise UserError(f"--export: there is no folder {path.parent}")
    generator, config = load_generator(model_uri, tracking_uri)
    if path.suffix == ".pth":
        export_generator(generator, config.generator, path)
    else:
        save_file(weights_of(generator), path, metadata={"config": json.dumps(flatten(config))})


def _artifacts_of(client: MlflowClient, model_uri: str) -> str:
    """Where the files of a model lie. (mlflow.artifacts resolves names in the process-wide registry.)"""
    path = model_uri.removeprefix("models:/")
    name, at, alias = path.partition("@")
    if at:
        found = client.get_model_version_by_alias(name, alias)
    else:
        name, _, number = path.rpartition("/")
        found = client.get_model_version(name, number)
    source = str(found.source)
    if not source.startswith("models:/"):
        return source
    return client.get_logged_model(source.removeprefix("models:/")).artifact_location
