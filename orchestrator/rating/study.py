"""A study on disk: its pictures under numbers, who they are, and the secret that hides it.

FOLDER/study.json, FOLDER/pictures/IMAGE-MODEL.png, FOLDER/raters/, FOLDER/results/. A study never changes
once it is made: other pictures are another study.
"""

import fcntl
import hashlib
import io
import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datasets.errors import UserError
from datasets.loader import Pair
from orchestrator.rating.order import choose
from orchestrator.rating.pictures import HR, NEAREST, Sources, check, of_pair
from orchestrator.tracking import write_json

FILE = "study.json"


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


def make_study(
    folder: Path,
    sources: Sources,
    pairs: Sequence[Pair],
    request: Request,
    say: Callable[[str], None],
) -> Study:
    """Write a new study: it appears whole or not at all. UserError where pictures do not fit each other."""
    files = check(sources, pairs)
    secret = secrets.token_hex(16)
    keys = [pair.key for pair in pairs]
    calibration, images = choose(keys, request.calibration, request.max_images, secret)
    if not images:
        raise UserError(f"{len(keys)} images leave none to rate beside --calibration {request.calibration}")
    say(f"pictures of {len(images) + len(calibration)} images by {', '.join(sources.names)}")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "pictures").mkdir(parents=True)
    models = tuple(sources.names)
    study = Study(part, models, images, calibration, request.repeats, secret, "", asdict(request))
    digest = hashlib.sha256()
    for path, pixels in _pictures(study, {pair.key: pair for pair in pairs}, sources, files):
        path.write_bytes(data := png(pixels))
        digest.update(data)
    values = {name: value for name, value in asdict(study).items() if name != "folder"}
    write_json(part / FILE, values | {"digest": digest.hexdigest()[:16]})
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "pictures", ignore_errors=True)  # of a start that was killed
    for item in ("pictures", FILE):  # the last one makes it a study
        (part / item).replace(folder / item)
    shutil.rmtree(part)
    return replace(study, folder=folder, digest=digest.hexdigest()[:16])


def _pictures(
    study: Study, pairs: Mapping[str, Pair], sources: Sources, files: Mapping[str, Mapping[str, Path]]
) -> Iterator[tuple[Path, np.ndarray]]:
    for image, key in enumerate(study.calibration):
        found = of_pair(pairs[key], sources, files)
        yield study.example(image, 1), found[NEAREST]
        yield study.example(image, 5), found[HR]
    for image, key in enumerate(study.images):
        found = of_pair(pairs[key], sources, files)
        for model, name in enumerate(study.models):
            yield study.picture(image, model), found[name]


def png(pixels: np.ndarray) -> bytes:
    """uint8 (H, W, 3) as a PNG of nothing but pixels: no text, no time, no profile."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


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
