"""A trained network by the name people have for it: a registered model, a sweep, a run or a checkpoint.

What only one kind of name needs (MLflow, the training loop) is imported there: together it is 280 MB.
"""

import json
from pathlib import Path

from torch import nn

from trainers import checkpoint
from trainers.config import TrainConfig, from_flat


def load_named(name: str, tracking_uri: str) -> tuple[nn.Module, TrainConfig]:
    """The network in eval mode on the CPU, and its config.

    `name` is models:/NAME@ALIAS or models:/NAME/VERSION in the registry at `tracking_uri`, the folder of a
    sweep (its pick), the folder of a run (its best candidate), or that of a checkpoint. UserError where there
    is none.
    """
    if name.startswith("models:/"):
        from orchestrator.registry import load_generator

        return load_generator(name, tracking_uri)
    folder = Path(name).resolve()
    if (folder / "sweep.json").is_file():
        from orchestrator.candidate import find_candidate
        from orchestrator.storage import Storage

        pick = find_candidate(Storage(str(folder.parent)), folder.name, folder.parent)
        return pick.generator, pick.config
    if (folder / "checkpoints").is_dir():
        from trainers.single import best_candidate

        folder = best_candidate(from_flat(json.loads((folder / "config.json").read_text())), folder)
    return checkpoint.load_generator(folder)
