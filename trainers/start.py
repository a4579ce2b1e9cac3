"""A public network as the start of a run: `--start FILE`, its key, its source and its licence.

The file takes the place of the PSNR phase. trainers/weight_import.py recognises the network; here the file is
found or downloaded, and written as a checkpoint, from which run.start_from continues.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import requests
from safetensors import safe_open
from torch import Tensor, nn

from datasets.errors import UserError
from datasets.files import user_path
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator
from trainers.weight_import import ENDINGS, import_generator
from trainers.weights.download import Failed, download
from trainers.weights.store import find, identity
from trainers.weights.table import WEIGHTS

LICENCE_KEYS = ("license", "licence", "modelspec.license")
UNKNOWN = "not stated"


@dataclass(frozen=True)
class StartNetwork:
    """A network that other people have trained, in our names."""

    generator: GeneratorConfig
    weights: dict[str, Tensor]
    key: str
    """SHA-256 of the tensors (trainers/weights/store.identity), which does not depend on the file."""
    source: str
    """The path or address that was given."""
    licence: str
    """The licence that the file or the user states, else "not stated"."""

    def build(self) -> nn.Module:
        """Return the network with its weights, in eval mode on the CPU."""
        network = build_generator(self.generator)
        network.load_state_dict(self.weights)
        return network.eval()

    @property
    def sentence(self) -> str:
        """Return one line for people: the network, its source, its licence."""
        size = f" {self.generator.size}" if self.generator.size else ""
        return (
            f"{self.generator.kind}{size} x{self.generator.scale} of {self.source} "
            f"(key {self.key[:12]}, licence {self.licence})"
        )

    @property
    def record(self) -> dict[str, str]:
        """Return what a record, a report and a model card say of it."""
        return {"key": self.key, "source": self.source, "licence": self.licence}


def read_start(spec: str, folder: Path, licence: str = "") -> StartNetwork:
    """Return the network in the public weight file `spec`.

    `spec` is a path, or an address with the SHA-256 of its file: https://HOST/NAME.pth#sha256=HEX, which is
    downloaded into `folder` once, or a name of experiments/fetch_weights.py. `licence` is the user's
    statement if the file makes none.

    Raises:
        UserError: the file cannot be had, is not the one that the hash names, or holds no network that can be
            trained here.
    """
    if spec in WEIGHTS:
        path, licence = find(spec), licence or WEIGHTS[spec].licence
    else:
        path = _downloaded(spec, folder) if "://" in spec else user_path(spec)
    if path.suffix not in ENDINGS:
        raise UserError(f"--start must name a file that ends in {' or '.join(ENDINGS)}, but got '{spec}'")
    if not path.is_file():
        raise UserError(f"--start: there is no file {path}")
    generator, weights = import_generator(path)
    return StartNetwork(generator, weights, identity(weights), spec, licence or _stated_licence(path))


def started_config(config: TrainConfig, start: StartNetwork, *, keep_psnr_phase: bool = False) -> TrainConfig:
    """Return `config` with the network of `start`, and without a PSNR phase unless that is to be kept.

    A fidelity run (run.gan_steps 0) keeps it: it is all there is.

    Raises:
        UserError: the settings are for another magnification than the file.
    """
    if start.generator.scale != config.generator.scale:
        raise UserError(
            f"{start.source} upscales x{start.generator.scale}, these settings x{config.generator.scale}: "
            f"set --generator.scale {start.generator.scale} or choose another file"
        )
    run = config.run if keep_psnr_phase or not config.run.gan_steps else replace(config.run, psnr_steps=0)
    return replace(config, generator=start.generator, run=run)


def write_start(start: StartNetwork, config: TrainConfig, folder: Path) -> Path:
    """Write the network as a checkpoint, the value of run.start_from; return `folder`.

    A checkpoint of the same network that is there already is kept, so that a run that continues finds equal
    bytes.
    """
    if (folder / "manifest.json").is_file():
        checkpoint.verify(folder)
        if checkpoint.read_extra(folder).get("start", {}).get("key") == start.key:
            return folder
    config = replace(config, generator=start.generator)
    return checkpoint.save_generator(folder, config, start.build(), {"start": start.record, "step": 0})


def start_in(
    out: Path, spec: str, config: TrainConfig, words: Sequence[str], folder: Path, licence: str = ""
) -> tuple[TrainConfig, StartNetwork]:
    """Return `config` as a run in `out` that begins with the file `spec`, and the network of the file.

    `words` is the command line: it may not set the generator, which the file decides, and --run.psnr-steps in
    it keeps the PSNR phase. UserError as from `read_start` and `started_config`.
    """
    for word in words:
        if word.startswith("--generator.") and not word.startswith("--generator.scale"):
            raise UserError(f"--start decides the generator: leave out {word.partition('=')[0]}")
    start = read_start(spec, folder, licence)
    given = any(word.partition("=")[0] == "--run.psnr-steps" for word in words)
    config = started_config(config, start, keep_psnr_phase=given)
    checkpoint_folder = write_start(start, config, out / "start")
    return replace(config, run=replace(config.run, start_from=str(checkpoint_folder))), start


def _stated_licence(path: Path) -> str:
    if path.suffix != ".safetensors":
        return UNKNOWN
    with safe_open(path, framework="pt") as file:
        facts = file.metadata() or {}
    return next((facts[key] for key in LICENCE_KEYS if facts.get(key)), UNKNOWN)


def _downloaded(address: str, folder: Path) -> Path:
    url, _, wanted = address.partition("#sha256=")
    if not url.startswith("https://") or len(wanted) != 64:
        raise UserError(
            f"--start takes an https address with the SHA-256 of its file, ADDRESS#sha256=HEX, but got "
            f"{address}"
        )
    path = folder / "starts" / f"{wanted[:16].lower()}-{url.rpartition('/')[2]}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            download(url, path, wanted.lower(), requests.Session(), lambda *_: None)
        except Failed as error:
            raise UserError(f"{url} could not be downloaded: {error}") from None
    return path
