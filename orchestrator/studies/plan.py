"""What a study is before anything runs: its trainings, what each is measured on, and the checks of both."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.loader import ImageSet, open_images
from trainers.config import TrainConfig, digest, flatten

if TYPE_CHECKING:
    from orchestrator.studies.results import Answer, Results

TRAIN_TOLERANCE = 0.02
"""Doubles are dropped from training images at import, so equal sets end up this much apart at most."""


@dataclass(frozen=True)
class TestOn:
    """Images that a finished network is measured on: the test role of `data`."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    name: str
    data: DataConfig
    first: int = 0
    """Only the first images by key; 0: all."""


@dataclass(frozen=True)
class Training:
    """One training of a study: an arm with one seed."""

    arm: str
    seed: int
    config: TrainConfig
    tests: tuple[TestOn, ...]
    metrics: tuple[str, ...]
    after: str = ""
    """Name of the training whose last checkpoint it starts from."""
    extras: tuple[str, ...] = ()
    """Measures of the study's own (orchestrator/studies/measure.py)."""
    alphas: tuple[float, ...] = ()
    """Also measured: interpolations between the training it starts from (0) and itself (1)."""
    candidates: bool = False
    """Also measured: every checkpoint on its own front."""
    extractor: str = ""
    """File of a classifier of domains, for fd_domains and kd_domains."""

    @property
    def name(self) -> str:
        """Its folder, and its name in MLflow."""
        return f"{re.sub(r'[^a-z0-9]+', '-', self.arm.lower()).strip('-')}-s{self.seed}"

    @property
    def steps(self) -> int:
        """Updates of the generator in both phases."""
        return self.config.run.psnr_steps + self.config.run.gan_steps


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


def seeded(config: TrainConfig, seed: int) -> TrainConfig:
    """`config` with `seed` for its weights and for the order of its data."""
    return replace(config, run=replace(config.run, seed=seed), data=replace(config.data, order_seed=seed))


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


def open_test(data: DataConfig, work_dir: Path) -> ImageSet:
    """The test images of `data`. UserError where the set has no test split."""
    images = open_images(data.source("test"), "test", work_dir=work_dir, data=data)
    undivided = not data.test and images.split == "all"  # it would be tested on what it was trained on
    if undivided or not len(images):
        raise UserError(f"{images.name} has no test images; import it with a --split that has a test part")
    return images


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
