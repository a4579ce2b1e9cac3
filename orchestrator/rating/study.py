"""A study on disk: its pictures under numbers, who they are, and the secret that hides it.

FOLDER/study.json, FOLDER/pictures/IMAGE-MODEL.png, FOLDER/raters/, FOLDER/results/. A study never changes
once it is made: other pictures are another study.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datasets.errors import UserError

FILE = "study.json"
HR = "HR"
NEAREST = "nearest"


@dataclass(frozen=True)
class Request:
    """What a study is made of; every field is a flag of the script."""

    images: tuple[str, ...] = ()
    """Models as NAME=FOLDER of finished pictures, each with the file names of the HR set (or NAME_x4)."""
    model: tuple[str, ...] = ()
    """Models as NAME=PLACE: models:/NAME@ALIAS, or the folder of a sweep, a run or a checkpoint."""
    hr: str = ""
    """Folder of the HR pictures."""
    test: str = ""
    """Test set instead of --hr: a folder of HR and LR pairs or of photographs, or a catalogue name."""
    scale: int = 4
    """Magnification, where no --model decides it."""
    degradation: str = "matlab"
    """How inputs are made where the set ships none."""
    resizers: tuple[str, ...] = ("nearest", "bicubic")
    """Classical resizers that are rated beside the models."""
    calibration: int = 2
    """Images that are shown with their scores first and not rated."""
    max_images: int = 0
    """Images to be rated at most, drawn at random; 0: all."""
    repeats: int = 6
    """Pictures that each rater meets twice; a third of all at most."""

    def __post_init__(self) -> None:
        for name, least in (("scale", 1), ("calibration", 1), ("max_images", 0), ("repeats", 0)):
            if (value := getattr(self, name)) < least:
                raise UserError(f"--{name.replace('_', '-')} must be at least {least}, but got {value}")

    def asked(self) -> dict[str, Any]:
        """The settings that differ from the default."""
        fresh = asdict(Request())
        return {name: value for name, value in asdict(self).items() if value != fresh[name]}


@dataclass(frozen=True)
class Study:
    """What is rated. Images and models are known to raters by nothing but their pixels."""

    folder: Path
    models: tuple[str, ...]
    """Rated models, HR among them."""
    images: tuple[str, ...]
    """Rated images."""
    calibration: tuple[str, ...]
    """Images shown with their scores first."""
    repeats: int
    secret: str
    digest: str
    """SHA-256 over all pictures, the first 16 digits."""
    request: Mapping[str, Any]
    """The settings it was made from."""

    def picture(self, image: int, model: int) -> Path:
        """The PNG of a rated picture."""
        return self.folder / "pictures" / f"{image:04d}-{model:02d}.png"

    def example(self, image: int, score: int) -> Path:
        """The PNG of a calibration picture: score 1 is the nearest neighbour, 5 is HR."""
        return self.folder / "pictures" / f"example-{image:02d}-{score}.png"


def open_study(folder: Path, request: Request) -> Study | None:
    """The study in `folder`, None where there is none; UserError where `request` asks for another one."""
    if not (folder / FILE).is_file():
        return None
    kept = json.loads((folder / FILE).read_text(), object_hook=_tuples)
    other = [name for name, value in request.asked().items() if kept["request"][name] != value]
    if other:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in other)
        raise UserError(
            f"the study in {folder} was made with another {flags}; leave that out to go on with it, or name "
            f"another --out"
        )
    return Study(folder=folder, **kept)


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The study belongs to this process inside the block; UserError where another one serves it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process serves {folder}; end it first, or name another --out") from None
        yield
