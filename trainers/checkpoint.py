"""A training run on disk: a folder written atomically, with weights in safetensors and no pickled code.

generator.safetensors  generator_ema.safetensors  [discriminator.safetensors  state.pt]
config.json (flat dotted names)  extra.json  manifest.json (SHA-256 of the others; written last)
"""

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from datasets.errors import UserError
from datasets.files import atomic_folder, atomic_json, damaged, parse_json, read_json
from trainers.config import TrainConfig, from_flat, portable
from trainers.models import build_generator
from trainers.state import TrainState, new_state
from trainers.weights.store import file_sha256

FORMAT = 1


def save(folder: Path, config: TrainConfig, state: TrainState, extra: dict[str, Any] | None = None) -> Path:
    """Write all that a run needs to resume bit for bit; `extra` is small JSON (curves, a journal's position).

    Returns `folder`, which is replaced if it exists.
    """
    with _new_checkpoint(folder, config, extra or {}) as new:
        save_file(weights_of(state.generator), new / "generator.safetensors")
        save_file(weights_of(state.ema), new / "generator_ema.safetensors")
        rest: dict[str, Any] = {
            "phase": state.phase,
            "step": state.step,
            "opt_g": state.opt_g.state_dict(),
            "rng": torch.get_rng_state(),
        }
        if state.discriminator is not None and state.opt_d is not None:
            save_file(weights_of(state.discriminator), new / "discriminator.safetensors")
            rest["opt_d"] = state.opt_d.state_dict()
        state_bytes = io.BytesIO()  # torch's own writer to a file does not say that a disk is full
        torch.save(rest, state_bytes)
        (new / "state.pt").write_bytes(state_bytes.getbuffer())
    return folder


def save_generator(folder: Path, config: TrainConfig, ema: nn.Module, extra: dict[str, Any]) -> Path:
    """Write the averaged generator alone: a candidate for promotion, from which no run can resume."""
    with _new_checkpoint(folder, config, extra) as new:
        save_file(weights_of(ema), new / "generator_ema.safetensors")
    return folder


def load(folder: Path, config: TrainConfig, device: torch.device) -> tuple[TrainState, dict[str, Any]]:
    """Return the state saved in `folder`, to continue a run of `config`, and the extra JSON saved with it.

    UserError if the checkpoint is damaged or belongs to another architecture.
    """
    verify(folder)
    rest = _load_plain(folder / "state.pt", device)
    state = new_state(config, rest["phase"], device)
    _fill(state.generator, folder / "generator.safetensors")
    _fill(state.ema, folder / "generator_ema.safetensors")
    state.opt_g.load_state_dict(rest["opt_g"])
    if state.discriminator is not None and state.opt_d is not None:
        _fill(state.discriminator, folder / "discriminator.safetensors")
        state.opt_d.load_state_dict(rest["opt_d"])
    torch.set_rng_state(rest["rng"].cpu())
    state.step = rest["step"]
    return state, read_extra(folder)


def load_generator(folder: Path) -> tuple[nn.Module, TrainConfig]:
    """Return the averaged generator of a checkpoint, in eval mode on the CPU, and its run's settings.

    UserError if the checkpoint is missing or damaged.
    """
    verify(folder)
    config = read_config(folder)
    generator = build_generator(config.generator)
    _fill(generator, folder / "generator_ema.safetensors")
    return generator.eval(), config


def generator_weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights of the averaged generator, from which a GAN phase starts.

    UserError if the checkpoint is missing or damaged.
    """
    verify(folder)
    return load_file(folder / "generator_ema.safetensors")


def fitting(folder: Path, module: nn.Module) -> dict[str, Tensor]:
    """Return the state of `module` with each weight of the checkpoint that fits by name and shape.

    UserError if no convolution of the checkpoint fits.
    """
    own, other = weights_of(module), generator_weights(folder)
    taken = {k: v for k, v in other.items() if k in own and own[k].shape == v.shape}
    if not any(v.ndim > 1 for v in taken.values()):
        raise UserError(f"nothing in {folder} fits this generator; change run.start_from")
    return own | taken


def take_over(folder: Path, state: TrainState, device: torch.device) -> None:
    """Copy into `state` the discriminator and the optimizer moments of a checkpoint.

    The generator's moments are matched by weight name and shape; its weights are not copied (see `fitting`).

    Raises:
        UserError: the checkpoint is of another phase than `state`, or its discriminator does not fit.
    """
    rest = _load_plain(folder / "state.pt", device)
    if rest["phase"] != state.phase:
        raise UserError(
            f"{folder} ended in its {rest['phase']} phase, this run begins with {state.phase}: "
            f"run.start_keeps_all needs equal phases"
        )
    before, _ = load_generator(folder)
    _take_moments(before, rest["opt_g"], state.generator, state.opt_g)
    if state.discriminator is not None and state.opt_d is not None:
        _fill(state.discriminator, folder / "discriminator.safetensors")
        state.opt_d.load_state_dict(rest["opt_d"])


def _take_moments(
    before: nn.Module, saved: dict[str, Any], now: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Set the moments of `optimizer` by the names of their weights; new weights start without moments."""
    names = [name for name, _ in before.named_parameters()]
    moments = {names[i]: values for i, values in saved["state"].items()}
    own = optimizer.state_dict()
    own["state"] = {
        i: moments[name]
        for i, (name, p) in enumerate(now.named_parameters())
        if name in moments and _fit(moments[name], p)
    }
    optimizer.load_state_dict(own)


def _fit(moments: dict[str, Any], p: Tensor) -> bool:
    """Return True if an optimizer's moments of one weight, of Adam or SGD, have the shape of `p`."""
    return all(m.shape == p.shape for m in moments.values() if torch.is_tensor(m) and m.dim())


def read_extra(folder: Path) -> dict[str, Any]:
    """Return the small JSON that was saved beside the weights."""
    return read_json(folder / "extra.json")


def read_config(folder: Path) -> TrainConfig:
    """Return the settings in config.json of a checkpoint, a run or an export; UserError if it is damaged."""
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"no settings in {folder}: config.json is missing")
    plain = read_json(path)
    try:
        return from_flat(plain)
    except (UserError, TypeError, ValueError) as error:
        raise damaged(str(path), str(error)) from None


def verify(folder: Path) -> None:
    """Raise UserError unless every file of the checkpoint has the hash that the manifest states."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise UserError(f"no checkpoint in {folder}: manifest.json is missing")
    try:
        hashes = dict(parse_json(manifest.read_bytes(), str(manifest))["sha256"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"the checkpoint in {folder} is damaged: manifest.json is not readable") from None
    for name, expected in hashes.items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != expected:
            raise UserError(f"the checkpoint in {folder} is damaged: {name} does not match its hash")


def whole(folder: Path) -> list[Path]:
    """Return the complete checkpoints in `folder`, by name; skip what killed writers left."""
    return sorted(p.parent for p in folder.glob("[!.]*/manifest.json"))


@contextmanager
def _new_checkpoint(folder: Path, config: TrainConfig, extra: dict[str, Any]) -> Iterator[Path]:
    """Yield a temporary folder that gets the JSON files and becomes `folder` when the block ends well."""
    write = partial(atomic_json, durable=False, pretty=True)  # the folder is made durable as a whole
    with atomic_folder(folder) as new:
        yield new
        write(new / "config.json", portable(config))
        write(new / "extra.json", extra)
        hashes = {p.name: file_sha256(p) for p in sorted(new.iterdir())}
        write(new / "manifest.json", {"format": FORMAT, "sha256": hashes})


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's state as CPU tensors that share no memory with it."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in module.state_dict().items()}


def _fill(module: nn.Module, path: Path) -> None:
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} is not a safetensors file: {error}") from None
    own = module.state_dict()
    for name in [*own, *weights]:
        if name not in weights or name not in own or own[name].shape != weights[name].shape:
            ours = tuple(own[name].shape) if name in own else "nothing"
            theirs = tuple(weights[name].shape) if name in weights else "nothing"
            raise UserError(
                f"{path.parent} was trained as another architecture: {name} is {theirs} there, {ours} here"
            )
    module.load_state_dict(weights)


def _load_plain(path: Path, device: torch.device) -> dict[str, Any]:
    """Load tensors and plain values; refuse a file that would run code."""
    try:
        return torch.load(path, weights_only=True, map_location=device)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).split(". ")[0].split("\n")[0]
        raise UserError(f"{path} holds more than tensors and plain values, or is damaged: {reason}") from None
