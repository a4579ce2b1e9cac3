"""Where the files of published weights are looked for; what is absent is said, never replaced.

One setting, the environment variable UPSWEEP_WEIGHTS, names a folder; torch's own download cache is read
as well. Nothing is downloaded unless `fetch` is called (experiments/fetch_weights.py), and no network is
built here.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

import torch

from datasets.errors import UserError

VARIABLE = "UPSWEEP_WEIGHTS"

_RAW = "https://github.com/{}/raw/master/{}"

# File -> (address it is published under, SHA-256 or the eight digits at its head that its publisher names).
FILES = {
    "alexnet-owt-7be5be79.pth": ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79"),
    "vgg16-397923af.pth": ("https://download.pytorch.org/models/vgg16-397923af.pth", "397923af"),
    "lpips-v0.1-alex.pth": (
        _RAW.format("richzhang/PerceptualSimilarity", "lpips/weights/v0.1/alex.pth"),
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
    "lpips-v0.1-vgg.pth": (
        _RAW.format("richzhang/PerceptualSimilarity", "lpips/weights/v0.1/vgg.pth"),
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
    "dists.pt": (
        _RAW.format("dingkeyan93/DISTS", "DISTS_pytorch/weights.pt"),
        "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
    ),
    "niqe_pris_params.npz": (
        _RAW.format("XPixelGroup/BasicSR", "basicsr/metrics/niqe_pris_params.npz"),
        "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
    ),
    "weights-inception-2015-12-05-6726825d.pth": (
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth",
        "6726825d",
    ),
}


def folders() -> list[Path]:
    """The folders searched, in this order."""
    named = os.environ.get(VARIABLE)
    return [Path(f).expanduser() for f in ([named] if named else []) + [f"{torch.hub.get_dir()}/checkpoints"]]


def missing(names: tuple[str, ...]) -> list[str]:
    """The files of `names` that lie in none of the folders."""
    return [name for name in names if not any((f / name).is_file() for f in folders())]


def fetch(name: str) -> Path:
    """Download weight file `name` into the first folder; UserError where the network or the hash says no."""
    target = folders()[0] / name
    address, expected = FILES[name]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(address, str(target), hash_prefix=expected)
    except (OSError, RuntimeError) as error:  # RuntimeError: another hash
        raise UserError(f"{address} could not be fetched ({error}); copy it to {target} by hand") from None
    return target


def find(name: str) -> Path:
    """The path of weight file `name`; UserError where it is absent or its hash is not the published one."""
    path = next((f / name for f in folders() if (f / name).is_file()), None)
    address, expected = FILES[name]
    if path is None:
        raise UserError(
            f"{name} was found in none of {[str(f) for f in folders()]}; "
            f"fetch {address} as {name} and set {VARIABLE} to its folder"
        )
    if not _sha256(path, path.stat().st_mtime_ns).startswith(expected):
        raise UserError(f"{path} is damaged: its SHA-256 does not begin with {expected}; fetch it again")
    return path


@cache
def _sha256(path: Path, _changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
