"""The functions behind `import upsweep`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from datasets.errors import UserError
from datasets.files import user_path
from experiments import recipes
from experiments.common import cli
from experiments.common.sweep_options import SweepOptions, requested
from orchestrator.cluster import target
from orchestrator.registry.load_model import load_model
from orchestrator.results import sweep_folder
from orchestrator.storage import Storage
from orchestrator.tracking.server import default_uri
from trainers.config import TrainConfig
from trainers.device import pick_device
from trainers.inference import tiling

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Sweep:
    """A sweep in a storage; it may still run."""

    name: str
    storage: str = "./runs"

    @property
    def facts(self) -> dict[str, Any]:
        """The content of sweep.json: request, plan, hardware, data and, in the end, designs and pick.

        Raises:
            UserError: the storage holds no such sweep.
        """
        return sweep_folder.read_facts(Storage(self.storage), self.name)

    def leaderboard(self) -> "DataFrame":
        """Return a row per trial; nested values become columns such as `metrics.psnr_y`.

        `ships` is True in the rows of the network that ships; no row of a sweep that still runs has it.

        Raises:
            UserError: the sweep does not exist or has no rows yet.
        """
        from pandas import json_normalize

        storage = Storage(self.storage)
        if not storage.exists(f"{self.name}/{sweep_folder.LEADERBOARD}"):
            raise UserError(f"sweep '{self.name}' has no leaderboard in {storage.root}")
        rows, pick = sweep_folder.read_rows(storage, self.name), self.facts.get("pick")
        ships = [bool(pick) and pick in (row["trial_id"], row.get("of")) for row in rows]
        return json_normalize([{**row, "ships": ship} for row, ship in zip(rows, ships, strict=True)])

    @property
    def pick(self) -> str:
        """The picked design in words; empty if the sweep has not ended or picked none."""
        return self.facts.get("pick_design") or ""

    @property
    def report(self) -> Path:
        """The path of report.html, for a storage that is a folder."""
        return user_path(self.storage).resolve() / self.name / sweep_folder.REPORT


def sweep(*, settings: Mapping[str, Any] | None = None, **options: Any) -> Sweep:
    """Run a sweep in this process and return it when it has ended.

    `options` are those of `upsweep sweep` with underscores: train, name, recipe, space, trials, storage, ...
    `settings` are settings of a run under their dotted names: `{"data.crop_px": 48}`. Run it in a script or a
    notebook; Ctrl-C stops it, and `resume` goes on.

    Raises:
        UserError: an option or a setting cannot be carried out.
        KeyboardInterrupt: the sweep was stopped.
    """
    line: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        line += [flag] * value if isinstance(value, bool) else [flag, str(value)]
    for name, value in (settings or {}).items():
        line += [f"--{name}", str(value)]
    more, _ = target.defaults(line, {}, lambda: pick_device("auto").type == "cuda")
    return _run(cli.parse(SweepOptions, recipes.build, [*line, *more]))


def resume(name: str, **options: Any) -> Sweep:
    """Resume sweep `name` with the settings it began with; `options` are storage and others that may change.

    Raises:
        UserError: there is no such sweep, it still runs, or an option would change its results.
    """
    return sweep(resume=name, **options)


@dataclass(frozen=True)
class Model:
    """A trained network with its settings."""

    network: nn.Module
    """In eval mode: (N, 3, h, w) RGB in [0, 1] -> (N, 3, scale * h, scale * w)."""
    config: TrainConfig

    def __repr__(self) -> str:
        """Return one line: printed, the network alone takes a hundred."""
        numbers = sum(parameter.numel() for parameter in self.network.parameters())
        return f"Model({self.config.generator.kind} x{self.scale}, {numbers:,} parameters)"

    @property
    def scale(self) -> int:
        """The magnification."""
        return self.config.generator.scale


def load(name: str, *, tracking_uri: str = "", device: str = "auto") -> Model:
    """Return a trained network on `device`: a champion, a sweep's pick, a run, a checkpoint or a weight file.

    `name` is models:/upsweep-NAME@champion, a folder, a file or a published network (`upsweep upscale
    --help`). `tracking_uri` is the MLflow store of the registry; empty: the database in ./runs.

    Raises:
        UserError: there is no such network.
    """
    network, config = load_model(name, tracking_uri or default_uri("runs"))
    return Model(network.to(pick_device(device)), config)


def upscale(model: Model, image: np.ndarray, *, memory_mb: float = 256) -> np.ndarray:
    """Upscale `image`, uint8 or uint16, (h, w, bands) or (h, w) grey; type and range are kept.

    Large images are computed in tiles, whose feature maps take at most `memory_mb`.

    Raises:
        UserError: `image` has another shape or type.
    """
    bands = model.config.generator.image_channels
    shaped = image.ndim == 2 or image.ndim == 3 and image.shape[2] == bands
    if image.dtype not in (np.uint8, np.uint16) or not shaped:
        raise UserError(
            f"an image must be uint8 or uint16 of shape (h, w, {bands}) or (h, w), but got {image.dtype} of "
            f"shape {image.shape}"
        )
    peak = model.config.data.peak if image.dtype == np.uint16 and model.config.data.peak > 255 else 0
    return tiling.upscale(model.network, image, scale=model.scale, memory_mb=memory_mb, peak=peak)


def _run(options: SweepOptions) -> Sweep:
    from orchestrator.sweep.run import run_sweep
    from orchestrator.sweep.stage_runner import Interrupted

    request, space = requested(options)
    try:
        run_sweep(request, space, command="upsweep.sweep", resume=bool(options.resume), wait=options.wait)
    except Interrupted:
        raise KeyboardInterrupt from None
    return Sweep(request.name, options.storage)
