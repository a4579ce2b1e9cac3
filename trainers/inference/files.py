"""Upscale many picture files with one network; a file that fails costs one message and not the others.

Joins tiling.py (pixels) and image_io.py (files); the caller prints.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from datasets.errors import UserError
from datasets.pixels import RGB8, PixelFormat
from trainers.inference.image_io import (
    FORMATS,
    SUFFIXES,
    Picture,
    check,
    eight_bit,
    enlarge,
    expand,
    read,
    write,
)
from trainers.inference.tiff import enlarged
from trainers.inference.tiling import Footprint, footprint, upscale

ROOM_FOR_LABELS = 120
"""Sides in pixels from which the halves of a comparison are named in their corners."""


@dataclass(frozen=True)
class UpscaleJob:
    """One picture and the file of its result."""

    source: Path
    target: Path


def jobs(
    names: list[str], out: Path, kind: str, scale: int, say: Callable[[str], None] = lambda _: None
) -> list[UpscaleJob]:
    """Return one job per picture of `names` (files, folders, globs), with results NAME_x4.png below `out`.

    `say` gets a sentence per folder with files that are not pictures.

    Raises:
        UserError: if there is no picture, if two results would have one name, or if a result would replace a
            picture that is read.
    """
    if not names:
        raise UserError("name at least one picture, folder or glob")
    pictures = expand(names, say)
    if not pictures:
        raise UserError(f"no picture in {', '.join(names)} (a picture ends with {', '.join(SUFFIXES)})")
    stems = Counter(below for _, below in pictures)
    result = [UpscaleJob(p, out / _named(p, below, stems[below], scale, kind)) for p, below in pictures]
    taken: dict[Path, Path] = {}
    for job in result:
        if job.target in taken:
            raise UserError(
                f"{taken[job.target]} and {job.source} would both become {job.target}; rename one, or give "
                f"each folder an --out of its own"
            )
        taken[job.target] = job.source
    if clash := {p.resolve() for p, _ in pictures} & {t.resolve() for t in taken}:
        raise UserError(f"{min(clash)} would be replaced by its own result; choose another --out")
    return result


def _named(picture: Path, below: Path, same_stem: int, scale: int, kind: str) -> Path:
    """Return the name of a result: a_x4.png, or a_jpg_x4.png where the folder also has, say, a.png."""
    stem = below.name if same_stem == 1 else f"{below.name}_{picture.suffix[1:]}"
    return below.with_name(f"{stem}_x{scale}{FORMATS[kind]}")


def upscale_files(
    network: nn.Module,
    todo: list[UpscaleJob],
    *,
    scale: int,
    say: Callable[[str], None],
    progress: Callable[[UpscaleJob, int, int], None],
    **settings: Any,
) -> int:
    """Do every job with the `settings` of `upscale_file`; return the number of failed jobs.

    `say` gets one message per failure and per property that a file format cannot hold; `progress` gets a job,
    its finished tiles and all its tiles.
    """
    failed, need = 0, footprint(network, scale)
    for job in todo:
        try:
            notes = upscale_file(
                network, job, scale=scale, need=need, progress=partial(progress, job), **settings
            )
        except UserError as error:
            failed += 1
            say(str(error))
            progress(job, 1, 1)
        else:
            for note in notes:
                say(f"{job.source}: {note}")
    return failed


def upscale_file(
    network: nn.Module,
    job: UpscaleJob,
    *,
    scale: int,
    memory_mb: int = 256,
    compare: bool = False,
    pixel_format: PixelFormat = RGB8,
    need: Footprint | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Do one job; return a message per property of the picture that the file format cannot hold.

    `compare` also writes NAME_x4_compare.png: bicubic on the left, the network on the right. `need` is the
    network's footprint, if it was measured before; `pixel_format` is what it was trained on.

    Raises:
        UserError: if the picture cannot be read, upscaled or written.
    """
    picture = read(job.source)
    check(job.target, picture, scale)
    shallow = picture.pixels.dtype == np.uint8
    try:
        pixels = upscale(
            network,
            picture.pixels,
            scale=scale,
            memory_mb=memory_mb,
            need=need,
            peak=0 if shallow or pixel_format.peak <= 255 else pixel_format.peak,
            progress=progress,
        )
    except UserError as error:
        raise UserError(f"{job.source}: {error}") from None
    alpha = None if picture.alpha is None else enlarge(picture.alpha, scale)
    try:
        tags = enlarged(picture.tags, scale)
        notes = write(job.target, replace(picture, pixels=pixels, alpha=alpha, tags=tags))
        if shallow and pixel_format.peak > 255:
            notes.append(f"8-bit values were read as parts of 255; the network was trained on {pixel_format}")
        if compare:
            both = _beside(_shown(picture.pixels), _shown(pixels), scale)
            write(job.target.with_name(f"{job.target.stem}_compare.png"), Picture(both, icc=picture.icc))
    except OSError as error:
        raise UserError(f"{job.target}: cannot be written ({error.strerror or error})") from None
    return [*picture.notes, *notes]


def _shown(pixels: np.ndarray) -> np.ndarray:
    bands = np.atleast_3d(pixels).shape[2]
    return eight_bit(pixels if bands in (1, 3) else pixels[..., :3] if bands > 3 else pixels[..., 0])


def _beside(small: np.ndarray, large: np.ndarray, scale: int) -> np.ndarray:
    """Return bicubic and network side by side, each with its name in the corner if the picture has room."""
    both = Image.fromarray(np.concatenate([enlarge(small, scale), large], axis=1))
    height, width = large.shape[:2]
    if height >= ROOM_FOR_LABELS and width >= ROOM_FOR_LABELS:
        draw, font = ImageDraw.Draw(both), ImageFont.load_default(max(12, height // 40))
        white, black = (255, 0) if both.mode == "L" else ("white", "black")
        for x, name in ((0, "bicubic"), (width, "network")):
            draw.text((x + 8, 6), name, white, font, stroke_width=2, stroke_fill=black)
    return np.asarray(both)
