"""A trained network by name: a registered model, a sweep, a run, a checkpoint or a public weight file.

Imports that only one kind of name needs (MLflow, the training loop) are in its function: together they take
280 MB.
"""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file
from torch import nn

from datasets.errors import UserError, unknown
from orchestrator.registry.model_name import REMEDY, find_model
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator
from trainers.weight_import import import_generator
from trainers.weights.store import file_sha256, find
from trainers.weights.table import LOSSES, NEEDS, WEIGHTS

if TYPE_CHECKING:
    from mlflow import MlflowClient

HASH = "upsweep.sha256."
"""Prefix of a version's tags: the SHA-256 of each file in extra_files/."""


def load_model(name: str, tracking_uri: str) -> tuple[nn.Module, TrainConfig]:
    """Return a network in eval mode on the CPU, and its config.

    `name` is models:/NAME@ALIAS or models:/NAME/VERSION in the registry at `tracking_uri`, a sweep of ./runs
    or the folder of a sweep (its pick), of a run (its best candidate) or of a checkpoint, the name of a
    published network of experiments/fetch_weights.py (span_x4), an *.onnx file that was exported here, or a
    *.pth or *.safetensors file of a public architecture of trainers/config/generators.py. UserError if there
    is no such network.
    """
    name = find_model(name, tracking_uri)
    if name.startswith("models:/"):
        return load_generator(name, tracking_uri)
    folder = find(name) if name in WEIGHTS else Path(name).resolve()
    if not folder.exists():
        others = {*LOSSES, *itertools.chain(*NEEDS.values())}  # of losses and metrics
        sweeps = [path.parent.name for path in sorted(Path("runs").glob("*/sweep.json"))]
        raise unknown("model", name, [*(w for w in WEIGHTS if w not in others), *sweeps], "--model")
    if folder.suffix == ".onnx":
        from trainers.inference.onnx_files import OnnxNetwork

        network = OnnxNetwork(folder)
        return network.eval(), TrainConfig(generator=GeneratorConfig(scale=network.scale))
    if folder.suffix in (".pth", ".safetensors") and not folder.is_dir():
        return load_weight_file(folder)
    if (folder / "sweep.json").is_file():
        from orchestrator.registry.candidate import find_candidate
        from orchestrator.storage import Storage

        pick = find_candidate(Storage(str(folder.parent)), folder.name, folder.parent)
        return pick.generator, pick.config
    from trainers.train import checkpoint_in

    return checkpoint.load_generator(checkpoint_in(folder))


def load_weight_file(path: Path) -> tuple[nn.Module, TrainConfig]:
    """Load a public weight file; of its config only the generator's settings are known."""
    settings, weights = import_generator(path)
    generator = build_generator(settings)
    generator.load_state_dict(weights)
    return generator.eval(), TrainConfig(generator=settings)


def load_generator(model_uri: str, tracking_uri: str | None = None) -> tuple[nn.Module, TrainConfig]:
    """Return the network of a registered model in eval mode, and its config.

    `model_uri` is models:/NAME@ALIAS or models:/NAME/VERSION; `tracking_uri` None means MLflow's default.
    Built from the safetensors and settings stored with the model, so it can be trained further.
    UserError if there is no such model.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    from orchestrator.tracking.mlflow_client import open_client

    uri = tracking_uri or mlflow.get_tracking_uri()
    find_model(model_uri, uri)
    try:
        client = open_client(uri)
        version = _version_of(client, model_uri)
        folder = _download(client, str(version.source))
    except (MlflowException, OSError) as error:
        is_absent = getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
        reason = "" if is_absent else f" ({error})"  # MLflow's sentence would only repeat it
        raise UserError(f"no model at {model_uri} in {uri}{reason}; {REMEDY}") from None
    hashes = {k.removeprefix(HASH): v for k, v in version.tags.items() if k.startswith(HASH)}
    for name in ("config.json", "generator.safetensors"):
        # a version that was registered by other means has no hashes
        whole = (folder / name).is_file() and hashes.get(name, "") in ("", file_sha256(folder / name))
        if not whole:
            raise UserError(
                f"model {model_uri} is damaged: {name} is gone or does not match its hash; restore "
                f"{folder} from a copy, or roll back"
            )
    config = checkpoint.read_config(folder)
    generator = build_generator(config.generator)
    generator.load_state_dict(load_file(folder / "generator.safetensors"))
    return generator.eval(), config


def stored_hashes(client: "MlflowClient", source: str) -> dict[str, str]:
    """Return the SHA-256 of each file to continue training from, of a logged model (models:/ID)."""
    return {path.name: file_sha256(path) for path in sorted(_download(client, source).iterdir())}


def _download(client: "MlflowClient", source: str) -> Path:
    """Return a local folder with the files to continue training from, of a version's source."""
    import mlflow

    artifacts = source
    if source.startswith("models:/"):  # mlflow.artifacts would look into the process-wide registry
        artifacts = client.get_logged_model(source.removeprefix("models:/")).artifact_location
    uri = client.tracking_uri
    return Path(mlflow.artifacts.download_artifacts(f"{artifacts}/extra_files", tracking_uri=uri))


def _version_of(client: "MlflowClient", model_uri: str) -> Any:
    """Return the version that a model's address names."""
    path = model_uri.removeprefix("models:/")
    name, at, alias = path.partition("@")
    if at:
        return client.get_model_version_by_alias(name, alias)
    name, _, number = path.rpartition("/")
    return client.get_model_version(name, number)
