"""Weights on this machine: the folders that are searched, reading with a check, and the identity of tensors.

The folder of the environment variable UPSWEEP_WEIGHTS and torch's download cache are searched, for the
published file or for NAME.safetensors, which `fetch` writes from a package.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from datasets.errors import UserError, unknown
from datasets.files import user_path
from trainers.weights.readers import read_file
from trainers.weights.table import NEEDS, WEIGHTS, Weights

VARIABLE = "UPSWEEP_WEIGHTS"


def folders() -> list[Path]:
    """Return the folders to search, in order."""
    named = os.environ.get(VARIABLE)
    return [user_path(f) for f in ([named] if named else []) + [f"{torch.hub.get_dir()}/checkpoints"]]


def weights_of(names: Iterable[str]) -> list[str]:
    """Return the weights that `names` of metrics and of weights stand for, each once.

    UserError if a name is unknown.
    """
    needs = NEEDS | {name: (name,) for name in WEIGHTS}
    found = []
    for name in names:
        if name not in needs:
            raise unknown("metric with weights, or weights", name, needs)
        found += needs[name]
    return list(dict.fromkeys(found))


def row_of(name: str) -> Weights:
    """Return the row of the table; UserError if there is no weight set of that name."""
    if name not in WEIGHTS:
        raise unknown("weights", name, WEIGHTS)
    return WEIGHTS[name]


def present(name: str) -> Path | None:
    """Return the file that holds weights `name`, unchecked; None if there is none."""
    names = filter(None, (row_of(name).file, f"{name}.safetensors"))
    candidates = [folder / file for file in names for folder in folders()]
    return next((path for path in candidates if path.is_file()), None)


def missing(names: Iterable[str]) -> list[str]:
    """Return those of `names` whose file is in none of the folders."""
    return [name for name in names if present(name) is None]


def find(name: str) -> Path:
    """Return the checked file of weights `name`; UserError if it is missing or damaged."""
    path = present(name)
    if path is None:
        row = row_of(name)
        by_hand = f", or fetch {row.url} as {row.file} and set {VARIABLE} to its folder" if row.url else ""
        raise UserError(
            f"the weights {name} were found in none of {[str(f) for f in folders()]}; "
            f"run upsweep weights {name}{by_hand}"
        )
    _check(path, path.stat().st_mtime_ns, name)
    return path


def load(name: str) -> dict[str, Tensor]:
    """Return the tensors of weights `name` that are used, by their published names.

    UserError if the file is missing or damaged.
    """
    return _used(read_file(find(name)), row_of(name).prefix)


def _used(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@cache
def _check(path: Path, _changed: int, name: str) -> None:
    """Raise UserError unless the file is the published one or its tensors are."""
    row = row_of(name)
    if path.name == row.file and file_sha256(path).startswith(row.sha256):
        return
    try:
        own = identity(_used(read_file(path), row.prefix))
    except Exception as error:  # torch, safetensors and NumPy raise many types for a damaged file
        own = f"unreadable ({type(error).__name__})"
    if not row.tensors or own != row.tensors:
        raise UserError(
            f"{path} is damaged: neither its SHA-256 nor that of its tensors is the one known of {name}; "
            f"delete it and run upsweep weights {name}"
        )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(tensors: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 over names, types, shapes and values, in the order of the names.

    A hash over the file would differ between versions of torch, and between a whole network and its features.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def is_published(name: str, tensors: Mapping[str, Tensor], path: Path) -> bool:
    """Return True if `tensors`, read from `path`, are the published weights `name`.

    The published whole file and its packaged features count as equal.
    """
    row = row_of(name)
    if row.tensors and identity(_used(tensors, row.prefix)) == row.tensors:
        return True
    return file_sha256(path).startswith(row.sha256)
