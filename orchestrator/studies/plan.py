"""What a study is before anything runs: its trainings, what each is measured on, and the checks of both."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import UserError
from datasets.image_set import ImageSet
from trainers.config import TrainConfig, digest, flatten

if TYPE_CHECKING:
    from orchestrator.studies.results import Answer, Results

from orchestrator.studies.spec import Training

TRAIN_TOLERANCE = 0.02
"""Doubles are dropped from training images at import, so equal sets end up this much apart at most."""


@dataclass(frozen=True)
class Study:
    """All trainings, and what is made of them when they are done."""

    kind: str
    trainings: tuple[Training, ...]
    conclude: Callable[["Results"], "Answer"]
    conditions: tuple[str, ...]
    """Sentences that every table of the study is read under."""
    split: str = ""
    """How archives are cut for it, so that sets are equal; empty: as in any run."""

    def digest(self) -> str:
        """Names the plan: a study goes on only with the plan it began with."""
        return digest([[t.name, t.after, list(t.metrics), flatten(t.config)] for t in self.trainings])


def named_sets(words: Sequence[str], defaults: Sequence[str], at_least: int = 1) -> dict[str, str]:
    """`NAME=SPEC` words as name -> spec; a word without = is both. UserError for a name given twice."""
    found: dict[str, str] = {}
    for word in words or defaults:
        name, equals, spec = word.partition("=")
        name = name if equals else Path(word).stem
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or name in found:
            raise UserError(f"--data needs sets with names of their own, NAME=SPEC, but got '{word}' twice")
        found[name] = spec if equals else word
    if len(found) < at_least:
        raise UserError(f"this study compares at least {at_least} sets; --data names {len(found)}")
    return found


def check_equal(sets: dict[str, ImageSet], role: str) -> int:
    """The number of images of `role` that all sets share. UserError where they differ.

    Distances of sets are biased by the number of images, so test sets must be equal to the image; training
    sets may differ by the doubles that the import dropped.
    """
    counts = {name: len(images) for name, images in sets.items()}
    low, high = min(counts.values()), max(counts.values())
    allowed = TRAIN_TOLERANCE * high if role == "train" else 0
    if high - low > allowed:
        words = ", ".join(f"{name} {n:,}" for name, n in counts.items())
        raise UserError(
            f"the sets must bring equally many {role} images, but have {words}; import each with the same "
            f"--split (python experiments/prepare_data.py)"
        )
    return low


def check_scale(config: TrainConfig, scale: int) -> None:
    """UserError where a network cannot be asked for `scale` on crops of data.crop_px."""
    if config.data.crop_px % scale:
        raise UserError(
            f"scale {scale} is impossible here: data.crop_px={config.data.crop_px} is no multiple of it"
        )


def check_names(trainings: Sequence[Training]) -> None:
    """UserError where two trainings would share a folder."""
    names = [t.name for t in trainings]
    if twice := {n for n in names if names.count(n) > 1}:
        raise UserError(f"two trainings would be called {min(twice)}; give --data names that differ")


def summary(study: Study) -> list[tuple[str, int, int]]:
    """Arm, trainings and steps each, in the order of the plan."""
    rows: dict[str, list[Any]] = {}
    for t in study.trainings:
        row = rows.setdefault(t.arm, [0, t.steps])
        row[0] += 1
    return [(arm, n, steps) for arm, (n, steps) in rows.items()]
