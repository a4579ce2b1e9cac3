"""A new study: pictures of every model for every image, written as PNGs that hold nothing but pixels.

Imports torch, which costs seconds; serving a study and reading its results do not need it.
"""

import hashlib
import io
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.errors import UserError
from datasets.files import atomic_json
from datasets.loader import Pair
from orchestrator.rating.pictures import Sources, check, named, of_pair, reference
from orchestrator.rating.presentation import choose
from orchestrator.rating.study import FILE, HR, NEAREST, Request, Study
from orchestrator.registry.load_model import load_model
from trainers.device import pick_device

Say = Callable[[str], None]


def make_study(folder: Path, request: Request, tracking_uri: str, device: str, say: Say) -> Study:
    """The study that `request` describes, written to `folder`. UserError where it cannot be made."""
    sources = _sources(request, tracking_uri, device)
    pairs = reference(request.hr, request.test, sources.scale, request.degradation, folder / "work")
    return _write(folder, sources, pairs, request, say)


def _sources(request: Request, tracking_uri: str, device: str) -> Sources:
    folders = {name: Path(place) for name, place in named(request.images, "--images").items()}
    places = named(request.model, "--model")
    if twice := sorted(folders.keys() & places.keys()):
        raise UserError(f"--images and --model both name {twice[0]}; each model needs a name of its own")
    networks, scales = {}, {}
    for name, place in places.items():
        network, config = load_model(place, tracking_uri)
        networks[name], scales[name] = network.to(pick_device(device)), config.generator.scale
    if len(set(scales.values())) > 1:
        told = ", ".join(f"{name} x{scale}" for name, scale in scales.items())
        raise UserError(f"models of one study share one scale, but got {told}")
    scale = next(iter(scales.values()), request.scale)
    return Sources(folders, networks, request.resizers, scale, request.degradation)


def _write(folder: Path, sources: Sources, pairs: Sequence[Pair], request: Request, say: Say) -> Study:
    """A study appears whole or not at all."""
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
    atomic_json(part / FILE, values | {"digest": digest.hexdigest()[:16]}, durable=False)
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
