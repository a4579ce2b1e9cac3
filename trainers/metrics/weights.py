"""Where the files of published weights are looked for; what is absent is said, never replaced.

One setting, the environment variable UPSWEEP_WEIGHTS, names a folder; torch's own download cache is read
as well. No network is built here.
"""

import hashlib
import os
from pathlib import Path

import torch

from datasets.errors import UserError

VARIABLE = "UPSWEEP_WEIGHTS"

# File -> address it is published under. A "-xxxxxxxx" before the suffix is the head of its SHA-256.
FILES = {
    "alexnet-owt-7be5be79.pth": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "lpips-v0.1-alex.pth": "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/alex.pth",
}


def folders() -> list[Path]:
    """The folders searched, in this order."""
    named = os.environ.get(VARIABLE)
    return [Path(f).expanduser() for f in ([named] if named else []) + [f"{torch.hub.get_dir()}/checkpoints"]]


def missing(names: tuple[str, ...]) -> list[str]:
    """The files of `names` that lie in none of the folders."""
    return [name for name in names if not any((f / name).is_file() for f in folders())]


def find(name: str) -> Path:
    """The path of weight file `name`; UserError where it is absent or its hash is not the published one."""
    path = next((f / name for f in folders() if (f / name).is_file()), None)
    if path is None:
        raise UserError(
            f"{name} was found in none of {[str(f) for f in folders()]}; "
            f"fetch {FILES[name]} and set {VARIABLE} to its folder"
        )
    expected = path.stem.rpartition("-")[2]
    if len(expected) == 8 and not hashlib.sha256(path.read_bytes()).hexdigest().startswith(expected):
        raise UserError(f"{path} is damaged: its SHA-256 does not begin with {expected}; fetch it again")
    return path
