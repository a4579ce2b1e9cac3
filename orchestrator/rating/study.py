"""A study on disk: its pictures under numbers, the models behind them, and the secret that hides them.

FOLDER/study.json, FOLDER/pictures/IMAGE-MODEL.png, FOLDER/raters/, FOLDER/results/. A study never changes
after it was made: other pictures need another study.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from datasets.files import parse_json, reading

FILE = "study.json"
HR = "HR"
NEAREST = "nearest"


@dataclass(frozen=True)
class RatingRequest:
    """The settings of a new study; every field is a flag of experiments/rate.py."""

    images: tuple[str, ...] = ()
    """Models as NAME=FOLDER of finished pictures, each with the file names of the HR set (or NAME_x4)."""
    model: tuple[str, ...] = ()
    """Models as NAME=PLACE: models:/NAME@ALIAS, or the folder of a sweep, a run or a checkpoint."""
    hr: str = ""
    """Folder of the HR pictures."""
    test: str = ""
    """Test set instead of --hr: a folder of HR and LR pairs or of photographs, or a catalogue name."""
    scale: int = 4
    """Magnification, unless a --model decides it."""
    degradation: str = "matlab"
    """Degradation that makes the inputs if the set has none."""
    resizers: tuple[str, ...] = ("nearest", "bicubic")
    """Classical resizers to rate beside the models."""
    calibration: int = 2
    """Number of images that are shown first as examples of scores 1 and 5, and are not rated."""
    max_images: int = 0
    """Largest number of images to rate, drawn at random; 0: all."""
    repeats: int = 6
    """Number of pictures that each rater sees twice; at most a third of all."""

    def __post_init__(self) -> None:
        for name, least in (("scale", 1), ("calibration", 1), ("max_images", 0), ("repeats", 0)):
            if (value := getattr(self, name)) < least:
                raise UserError(f"--{name.replace('_', '-')} must be at least {least}, but got {value}")

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults."""
        defaults = asdict(RatingRequest())
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}


@dataclass(frozen=True)
class RatingStudy:
    """The content of study.json. Raters see nothing of images and models but pixels."""

    folder: Path
    models: tuple[str, ...]
    """Rated models, HR among them."""
    images: tuple[str, ...]
    """Rated images."""
    calibration: tuple[str, ...]
    """Images shown first as examples."""
    repeats: int
    secret: str
    digest: str
    """First 16 digits of the SHA-256 over all pictures."""
    request: Mapping[str, Any]
    """The RatingRequest it was made from."""

    def picture(self, image: int, model: int) -> Path:
        """Return the PNG of a rated picture."""
        return self.folder / "pictures" / f"{image:04d}-{model:02d}.png"

    def example(self, image: int, score: int) -> Path:
        """Return the PNG of a calibration picture: score 1 is nearest neighbour, 5 is HR."""
        return self.folder / "pictures" / f"example-{image:02d}-{score}.png"


def open_study(folder: Path, request: RatingRequest) -> RatingStudy | None:
    """Return the study in `folder`; None if there is none.

    Raises:
        UserError: if `request` has other settings than the study.
    """
    if not (folder / FILE).is_file():
        return None
    values = _tuples(parse_json((folder / FILE).read_bytes(), str(folder / FILE), keys=("request",)))
    with reading(folder / FILE):
        study = RatingStudy(folder=folder, **values)
        other = [name for name, value in request.changed().items() if values["request"][name] != value]
    if other:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in other)
        raise UserError(
            f"the study in {folder} was made with another {flags}; leave that out to continue the study, or "
            "name another --out"
        )
    return study


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(v) if isinstance(v, list) else _tuples(v) if isinstance(v, dict) else v
        for name, v in values.items()
    }
