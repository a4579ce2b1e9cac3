"""The check of a model's name that needs neither torch nor MLflow, whose imports take seconds."""

from pathlib import Path

from datasets.errors import UserError
from orchestrator.tracking.server import missing_store

REMEDY = (
    "register one by upsweep promote after a sweep, name another store with --tracking-uri, or name the "
    "folder of a sweep or run with --model, such as --model runs/mine"
)
"""The remedy for an address that leads to no model."""


def find_model(name: str, tracking_uri: str) -> str:
    """Return the model that a user's `name` stands for: a sweep of ./runs gives its folder; read nothing.

    Raises:
        UserError: the store of a registered model, or the weight file of this name, does not exist.
    """
    if name.startswith("models:/"):
        if missing := missing_store(tracking_uri):
            raise UserError(f"no model at {name}: there is no store at {missing}; {REMEDY}")
    elif Path(name).suffix in (".pth", ".safetensors", ".onnx") and not Path(name).exists():
        raise UserError(f"no weight file at {Path(name).resolve()}; name one that exists with --model")
    elif not Path(name).exists() and (folder := Path("runs") / name / "sweep.json").is_file():
        return str(folder.parent)
    return name
