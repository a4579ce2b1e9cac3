"""The plan of a study: its trainings, the sets they use, and checks before anything runs."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets.errors import UserError
from datasets.image_set import ImageSet
from datasets.prepare import prepare_study_set
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.results import Answer, StudyResults
from orchestrator.studies.spec import Training
from trainers.config import TrainConfig, digest, flatten

TRAIN_TOLERANCE = 0.02
"""Duplicates among training images are dropped at import, so sets of one size may differ by this share."""


@dataclass(frozen=True)
class Study:
    """All trainings, and the function that concludes from their results."""

    kind: str
    trainings: tuple[Training, ...]
    conclude: Callable[[StudyResults], Answer]
    conditions: tuple[str, ...]
    """Sentences that hold for every table of the study."""
    split: str = ""
    """Name of the sizes that archives are cut to, so that sets are equal; empty: as in any run."""

    def digest(self) -> str:
        """Return the identity of the plan: a study is resumed only with the plan it began with."""
        return digest([[t.name, t.after, list(t.metrics), flatten(t.config)] for t in self.trainings])


def named_sets(words: Sequence[str], defaults: Sequence[str], at_least: int = 1) -> dict[str, str]:
    """Return `NAME=SPEC` words as name -> spec; a word without = is both. UserError for equal names."""
    sets: dict[str, str] = {}
    for word in words or defaults:
        name, equals, spec = word.partition("=")
        name = name if equals else Path(word).stem
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or name in sets:
            raise UserError(
                f"--data must give each set a name of its own as NAME=SPEC, with letters, digits and ._- "
                f"only, but got '{word}' (name '{name}')"
            )
        sets[name] = spec if equals else word
    if len(sets) < at_least:
        raise UserError(f"this study compares at least {at_least} sets, but --data names {len(sets)}")
    return sets


def first_set(words: Sequence[str], defaults: Sequence[str]) -> tuple[str, str]:
    """Return name and spec of the first set, for a study that uses only one."""
    return next(iter(named_sets(words, defaults).items()))


def prepared(spec: str, split: str, request: StudyRequest, dry: bool) -> str:
    """Return the path of the shards of `spec`, imported if need be; in a `dry` run `spec` itself."""
    return spec if dry else prepare_study_set(spec, split, request.work_dir)


def on_set(config: TrainConfig, path: str) -> TrainConfig:
    """Return `config` with one set for training, validation and test."""
    return replace(config, data=replace(config.data, train=path, val="", test="", gate=""))


def check_equal(sets: dict[str, ImageSet], role: str) -> int:
    """Return the smallest number of images of `role` in any set. UserError if the numbers differ.

    Set-level distances are biased by the number of images, so test sets must have exactly equal numbers;
    training sets may differ by the duplicates that the import dropped.
    """
    counts = {name: len(images) for name, images in sets.items()}
    low, high = min(counts.values()), max(counts.values())
    allowed = TRAIN_TOLERANCE * high if role == "train" else 0
    if high - low > allowed:
        each = ", ".join(f"{name} {n:,}" for name, n in counts.items())
        raise UserError(
            f"the sets must have equally many {role} images, but have {each}; import each with the same "
            f"--split (upsweep prepare)"
        )
    return low


def check_scale(config: TrainConfig, scale: int) -> None:
    """Raise UserError if crops of data.crop_px cannot be divided by `scale`."""
    if config.data.crop_px % scale:
        raise UserError(
            f"data.crop_px must be a multiple of the scale {scale} for this study, but got "
            f"data.crop_px={config.data.crop_px}"
        )


def check_names(trainings: Sequence[Training]) -> None:
    """Raise UserError if two trainings would share a folder."""
    names = [t.name for t in trainings]
    if twice := {n for n in names if names.count(n) > 1}:
        raise UserError(f"two trainings would be called {min(twice)}; give --data names that differ")


def summary(study: Study) -> list[tuple[str, int, int]]:
    """Return (arm, number of trainings, steps of each) in the order of the plan."""
    arms = {t.arm: t.steps for t in study.trainings}
    return [(arm, sum(t.arm == arm for t in study.trainings), steps) for arm, steps in arms.items()]
