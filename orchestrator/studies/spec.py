"""The specification of one training of a study and of its test sets, as plain data."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets.config import DataConfig
from datasets.errors import UserError, unknown
from datasets.image_set import ImageSet, open_images
from trainers.config import TrainConfig
from trainers.metrics import METRICS


@dataclass(frozen=True)
class StudyTestSet:
    """Images that a finished network is measured on: the test role of `data`."""

    __test__ = False  # keeps pytest from collecting this class because of its name

    name: str
    data: DataConfig
    first: int = 0
    """Only the first images by key; 0: all."""


@dataclass(frozen=True)
class Training:
    """One training of a study: an arm with one random seed."""

    arm: str
    seed: int
    config: TrainConfig
    tests: tuple[StudyTestSet, ...]
    metrics: tuple[str, ...]
    after: str = ""
    """Name of the training whose last checkpoint it starts from."""
    extras: tuple[str, ...] = ()
    """Further metrics that only studies use (orchestrator/studies/extra_metrics.py)."""
    alphas: tuple[float, ...] = ()
    """Weights of interpolations that are measured too, from the network it starts from (0) to its own (1)."""
    candidates: bool = False
    """Also measure every checkpoint on the training's own Pareto front."""
    edit: str = ""
    """Sentinel (trainers/sentinels.py): not trained; the outputs of `after` are edited and measured."""
    extractor: str = ""
    """File of a classifier of domains, for fd_domains and kd_domains."""

    @property
    def name(self) -> str:
        """The name of its folder and of its run in MLflow."""
        return f"{slug(self.arm)}-s{self.seed}"

    @property
    def steps(self) -> int:
        """Updates of the generator in both phases."""
        return 0 if self.edit else self.config.run.psnr_steps + self.config.run.gan_steps


def slug(name: str) -> str:
    """Return `name` as part of a file's name: small letters and digits between hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def arms_that_begin(words: Sequence[str], arms: Iterable[str]) -> set[str]:
    """Return those of `arms` whose names begin with one of `words`; all if there are none.

    UserError if no name begins with one of the words.
    """
    known = dict.fromkeys(arms)
    for word in words:
        if not any(arm.startswith(word) for arm in known):
            raise unknown("arm", word, known, "--only")
    return {arm for arm in known if arm.startswith(tuple(words) or ("",))}


def installed(*metrics: str) -> tuple[str, ...]:
    """Return those of `metrics` whose published weights and packages are on this machine."""
    return tuple(m for m in metrics if not METRICS[m].unavailable())


def seeded(config: TrainConfig, seed: int) -> TrainConfig:
    """Return `config` with `seed` for its weights and for the order of its data."""
    return replace(config, run=replace(config.run, seed=seed), data=replace(config.data, order_seed=seed))


def open_test(data: DataConfig, work_dir: Path) -> ImageSet:
    """Return the test images of `data`. UserError if the set has no test split."""
    images = open_images(data.source("test"), "test", work_dir=work_dir, data=data)
    undivided = not data.test and images.split == "all"  # these images are those of the training
    if undivided or not len(images):
        raise UserError(f"{images.name} has no test images; import it with a --split that has a test part")
    return images
