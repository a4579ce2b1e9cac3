"""Upscale many picture files with one network; a file that fails costs one message and not the others.

Joins tiling.py (pixels) and image_io.py (files); the caller prints.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from datasets.errors import UserError
from trainers.inference.image_io import FORMATS, Picture, check, eight_bit, enlarge, expand, read, write
from trainers.inference.tiling import upscale


@dataclass(frozen=True)
class UpscaleJob:
    """One picture and the file of its result."""

    source: Path
    target: Path


def jobs(names: list[str], out: Path, kind: str, scale: int) -> list[UpscaleJob]:
    """Return one job per picture of `names` (files, folders, globs), with results NAME_x4.png below `out`.

    Raises:
        UserError: if there is no picture, if two results would have one name, or if a result would replace a
            picture that is read.
    """
    if not names:
        raise UserError("name at least one picture, folder or glob")
    pictures = expand(names)
    if not pictures:
        raise UserError(f"no picture in {', '.join(names)}")
    result = [
        UpscaleJob(p, out / below.with_name(f"{below.name}_x{scale}{FORMATS[kind]}")) for p, below in pictures
    ]
    taken: dict[Path, Path] = {}
    for job in result:
        if job.target in taken:
            raise UserError(
                f"{taken[job.target]} and {job.source} would both become {job.target}; rename one"
            )
        taken[job.target] = job.source
    if clash := {p.resolve() for p, _ in pictures} & {t.resolve() for t in taken}:
        raise UserError(f"{min(clash)} would be replaced by its own result; choose another --out")
    return result


def upscale_files(
    network: nn.Module,
    todo: list[UpscaleJob],
    *,
    say: Callable[[str], None],
    progress: Callable[[UpscaleJob, int, int], None],
    **settings: Any,
) -> int:
    """Do every job with the `settings` of `upscale_file`; return the number of failed jobs.

    `say` gets one message per failure and per property that a file format cannot hold; `progress` gets a job,
    its finished tiles and all its tiles.
    """
    failed = 0
    for job in todo:
        try:
            notes = upscale_file(network, job, progress=partial(progress, job), **settings)
        except UserError as error:
            failed += 1
            say(str(error))
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
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Do one job; return a message per property of the picture that the file format cannot hold.

    `compare` also writes NAME_x4_compare.png: bicubic on the left, the network on the right.

    Raises:
        UserError: if the picture cannot be read, upscaled or written.
    """
    picture = read(job.source)
    check(job.target, picture, scale)
    pixels = upscale(network, picture.pixels, scale=scale, memory_mb=memory_mb, progress=progress)
    alpha = None if picture.alpha is None else enlarge(picture.alpha, scale)
    try:
        notes = write(job.target, replace(picture, pixels=pixels, alpha=alpha))
        if compare:
            both = _beside(eight_bit(picture.pixels), eight_bit(pixels), scale)
            write(job.target.with_name(f"{job.target.stem}_compare.png"), Picture(both, icc=picture.icc))
    except OSError as error:
        raise UserError(f"{job.target}: cannot be written ({error.strerror or error})") from None
    return [*picture.notes, *notes]


def _beside(small: np.ndarray, large: np.ndarray, scale: int) -> np.ndarray:
    return np.concatenate([enlarge(small, scale), large], axis=1)
