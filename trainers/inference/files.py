"""Many picture files through one network: each file done or one sentence why not, the rest all the same.

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
class Job:
    """One picture and where its result goes."""

    source: Path
    target: Path


def jobs(names: list[str], out: Path, kind: str, scale: int) -> list[Job]:
    """One job per picture of `names` (files, folders, globs), results named NAME_x4.png below `out`.

    UserError when there is nothing to do, when two pictures would get the same name, or when a result
    would replace a picture that is read.
    """
    if not names:
        raise UserError("name at least one picture, folder or glob")
    found = expand(names)
    if not found:
        raise UserError(f"no picture in {', '.join(names)}")
    result = [Job(p, out / below.with_name(f"{below.name}_x{scale}{FORMATS[kind]}")) for p, below in found]
    taken: dict[Path, Path] = {}
    for job in result:
        if job.target in taken:
            raise UserError(
                f"{taken[job.target]} and {job.source} would both become {job.target}; rename one"
            )
        taken[job.target] = job.source
    if clash := {p.resolve() for p, _ in found} & {t.resolve() for t in taken}:
        raise UserError(f"{min(clash)} would be replaced by its own result; choose another --out")
    return result


def upscale_files(
    network: nn.Module,
    todo: list[Job],
    *,
    say: Callable[[str], None],
    progress: Callable[[Job, int, int], None],
    **settings: Any,
) -> int:
    """Do every job with the `settings` of `upscale_file`; the number that could not be done.

    `say` gets one sentence for each of those and for whatever a file format could not keep; `progress`
    gets a job, its tiles done and its tiles in all.
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
    job: Job,
    *,
    scale: int,
    memory_mb: int = 256,
    compare: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Do one job; the sentences for what the file's format could not keep. UserError when it cannot be done.

    `compare` also writes NAME_x4_compare.png: bicubic on the left, the network on the right.
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
