"""A small rating study of made-up pictures, and raters who know what they want."""

import re
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from experiments.rate import open_or_create
from orchestrator.rating.study import RatingRequest

SECRETS = ("sharpnet", "softnet", "harbour", "meadow", "orchard", "quarry", "nearest", "bicubic", "study")
"""What no rater may read: models, images, resizers, the study; and HR as a word."""
IMAGES = ("harbour", "meadow", "orchard", "quarry")


def write_pictures(folder: Path, noise: float, side: int = 48) -> Path:
    """PNGs with a name in their text chunk, noisier the worse the model is."""
    folder.mkdir(parents=True)
    grid = np.add.outer(np.arange(side), np.arange(side))[..., None] * np.array([3, 2, 1])
    for number, name in enumerate(IMAGES):
        draw = np.random.default_rng(number)
        pixels = (grid + 40 * number) % 256 + draw.normal(0, noise, (side, side, 3))
        told = PngInfo()
        told.add_text("Software", folder.name)
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        exif = Image.Exif()
        exif[0x010E] = f"{folder.name} {name}"
        picture.save(folder / f"{name}.png", pnginfo=told, exif=exif)
    return folder


def request_of(folder: Path, side: int = 48, **more) -> RatingRequest:
    """Two models and HR in folders below `folder`."""
    images = tuple(
        f"{name}={write_pictures(folder / name, noise, side)}"
        for name, noise in (("sharpnet", 5), ("softnet", 40))
    )
    settings = {"calibration": 1, "repeats": 4, **more}
    return RatingRequest(images=images, hr=str(write_pictures(folder / "HR", 0, side)), **settings)


def make(folder: Path, **more):
    """The study of `request_of` in `folder`/study."""
    request = request_of(folder, **more)
    return open_or_create(folder / "study", request, "", "cpu", lambda _: None)


def sit(store, name: str, score, number: int = 1, until: int | None = None):
    """Let `name` score by `score(model name, image name, repeat)`, up to position `until`."""
    session, study = store.join(name, number), store.study
    for position, trial in list(enumerate(session.order))[:until]:
        given = score(study.models[trial.model], study.images[trial.image], trial.repeat)
        session.rate(study, position, given, 1.0)
    return session


def told_in(data: bytes) -> list[str]:
    """Which secrets stand in what a browser received; of a picture's compressed pixels HR is not asked."""
    found = [secret for secret in SECRETS if secret.encode() in data.lower()]
    is_picture = b"IDAT" in data
    return found + ([] if is_picture or not re.search(rb"\bHR\b", data) else ["HR"])


def addresses(page: str) -> list[str]:
    """Every address a page names."""
    return re.findall(r'(?:src|href|action)="([^"]+)"', page)
