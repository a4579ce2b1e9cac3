"""Options that all studies share, and the recipes each begins with."""

import sys
from dataclasses import dataclass, field
from typing import Any

from experiments import recipes
from experiments.common import cli

RECIPES = {
    "dataset_matrix": ("srgan_8", "miniature_matrix"),
    "colorize": ("colorize", "miniature_colorize"),
    "edges_to_photo": ("edges_to_photo", "miniature_edges"),
    "upsampler_study": ("staged_upsampler", "miniature_upsampler"),
    "perception_distortion": ("esrgan", "miniature_plane"),
    "srgan_review": ("srresnet", "miniature_review"),
    "srcnn_vs_esrgan": ("esrgan_16_x2", "miniature_review"),
}
"""Study -> recipe of the full study, recipe of the miniature."""


@dataclass
class Options:
    """Options of a study; every setting of its trainings follows under its dotted name."""

    miniature: bool = False
    """Minutes on CPU cores instead of GPU-days: smaller networks, fewer steps and images."""
    data: tuple[str, ...] = ()
    """Sets as NAME=SPEC: a catalogue name, a shard folder or URL, or a folder or zip of photographs."""
    seeds: int = 5
    """Trainings of each arm; "reproduced" needs 5."""
    name: str = ""
    """Name of the study; empty: its kind, with -miniature in miniature."""
    storage: str = "./runs"
    """Folder that keeps studies, imported images and checkpoints."""
    tracking_uri: str = ""
    """MLflow server or database; empty: an SQLite file in --storage."""
    track: bool = True
    """Tell MLflow."""
    ray: bool = True
    """Run trainings as Ray tasks; --no-ray: one after another in this process."""
    local: bool = False
    """Run on this machine even where RAY_ADDRESS names a cluster."""
    address: str = ""
    """HOST:PORT of a Ray cluster to run on; empty: RAY_ADDRESS, else this machine."""
    gpus_per_run: float = 1.0
    """Share of a GPU per training."""
    resume: bool = False
    """Go on with the study of this name."""
    dry_run: bool = False
    """Print trainings, images and hours, and stop."""
    config: cli.Settings = field(default_factory=recipes.demo)


def parse(kind: str, options: type[Any] = Options, argv: list[str] | None = None) -> Any:
    """Options, with the recipe of the full study or of the miniature unless --recipe names another."""
    words = sys.argv[1:] if argv is None else argv
    chosen = RECIPES[kind]["--miniature" in words]
    named = any(w.split("=")[0] == "--recipe" for w in words)
    return cli.parse(options, lambda recipe: recipes.build(recipe if named else chosen), words)
