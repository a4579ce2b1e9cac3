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
from orchestrator.rating.pictures import Sources, match_files, open_pairs, parse_named, render
from orchestrator.rating.presentation import choose_images
from orchestrator.rating.study import FILE, HR, NEAREST, RatingRequest, RatingStudy
from orchestrator.registry.load_model import load_model
from trainers.device import pick_device

Say = Callable[[str], None]


def make_study(folder: Path, request: RatingRequest, tracking_uri: str, device: str, say: Say) -> RatingStudy:
    """Write the study that `request` describes to `folder`; UserError if it cannot be made."""
    sources = _open_sources(request, tracking_uri, device)
    pairs = open_pairs(request.hr, request.test, sources.scale, request.degradation, folder / "work")
    return _write(folder, sources, pairs, request, say)


def _open_sources(request: RatingRequest, tracking_uri: str, device: str) -> Sources:
    folders = {name: Path(place) for name, place in parse_named(request.images, "--images").items()}
    places = parse_named(request.model, "--model")
    if twice := sorted(folders.keys() & places.keys()):
        raise UserError(f"--images and --model both name {twice[0]}; each model needs its own name")
    networks, scales = {}, {}
    for name, place in places.items():
        network, config = load_model(place, tracking_uri)
        networks[name], scales[name] = network.to(pick_device(device)), config.generator.scale
    if len(set(scales.values())) > 1:
        shown = ", ".join(f"{name} x{scale}" for name, scale in scales.items())
        raise UserError(f"models of one study share one scale, but got {shown}")
    scale = next(iter(scales.values()), request.scale)
    return Sources(folders, networks, request.resizers, scale, request.degradation)


def _write(
    folder: Path, sources: Sources, pairs: Sequence[Pair], request: RatingRequest, say: Say
) -> RatingStudy:
    """Write the study beside `folder` first, so that it appears complete or not at all."""
    files = match_files(sources, pairs)
    secret = secrets.token_hex(16)
    keys = [pair.key for pair in pairs]
    calibration, images = choose_images(keys, request.calibration, request.max_images, secret)
    if not images:
        raise UserError(f"{len(keys)} images leave none to rate beside --calibration {request.calibration}")
    say(f"pictures of {len(images) + len(calibration)} images by {', '.join(sources.names)}")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "pictures").mkdir(parents=True)
    models = tuple(sources.names)
    study = RatingStudy(part, models, images, calibration, request.repeats, secret, "", asdict(request))
    hashed = hashlib.sha256()
    for path, pixels in _pictures(study, {pair.key: pair for pair in pairs}, sources, files):
        path.write_bytes(data := png(pixels))
        hashed.update(data)
    study = replace(study, digest=hashed.hexdigest()[:16])
    atomic_json(
        part / FILE, {name: value for name, value in asdict(study).items() if name != "folder"}, durable=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "pictures", ignore_errors=True)  # left by a start that was killed
    for item in ("pictures", FILE):  # study.json last: it makes the folder a study
        (part / item).replace(folder / item)
    shutil.rmtree(part)
    return replace(study, folder=folder)


def _pictures(
    study: RatingStudy, pairs: Mapping[str, Pair], sources: Sources, files: Mapping[str, Mapping[str, Path]]
) -> Iterator[tuple[Path, np.ndarray]]:
    for image, key in enumerate(study.calibration):
        rendered = render(pairs[key], sources, files)
        yield study.example(image, 1), rendered[NEAREST]
        yield study.example(image, 5), rendered[HR]
    for image, key in enumerate(study.images):
        rendered = render(pairs[key], sources, files)
        for model, name in enumerate(study.models):
            yield study.picture(image, model), rendered[name]


def png(pixels: np.ndarray) -> bytes:
    """Encode uint8 (H, W, 3) as a PNG without text, time or profile."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()
