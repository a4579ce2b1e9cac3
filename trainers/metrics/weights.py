"""Published weight files: their addresses and hashes, the folders to search, and their download.

Files are searched in the folder of the environment variable UPSWEEP_WEIGHTS and in torch's download cache.
Only `fetch` downloads anything (experiments/fetch_weights.py). A missing file is an error: no other
weights replace it.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

import torch

from datasets.errors import UserError

VARIABLE = "UPSWEEP_WEIGHTS"

_RAW = "https://github.com/{}/raw/master/{}"

# File -> (address of the publisher, SHA-256 or its first eight digits if the publisher states only these)
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
    """Return the folders to search, in order."""
    named = os.environ.get(VARIABLE)
    return [Path(f).expanduser() for f in ([named] if named else []) + [f"{torch.hub.get_dir()}/checkpoints"]]


def missing(names: tuple[str, ...]) -> list[str]:
    """Return the files of `names` that are in none of the folders."""
    return [name for name in names if not any((f / name).is_file() for f in folders())]


def fetch(name: str) -> Path:
    """Download weight file `name` into the first folder.

    UserError if the download fails, or the hash is not the published one.
    """
    target = folders()[0] / name
    address, expected = FILES[name]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(address, str(target), hash_prefix=expected)
    except (OSError, RuntimeError) as error:  # RuntimeError: the hash differs
        raise UserError(f"{address} could not be fetched ({error}); copy it to {target} by hand") from None
    return target


def find(name: str) -> Path:
    """Return the path of weight file `name`.

    UserError if the file is missing, or its hash is not the published one.
    """
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
