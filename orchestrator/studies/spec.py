"""One training of a study and its test sets, as plain data."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.image_set import ImageSet, open_images
from trainers.config import TrainConfig

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class TestSet:
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
    tests: tuple[TestSet, ...]
    metrics: tuple[str, ...]
    after: str = ""
    """Name of the training whose last checkpoint it starts from."""
    extras: tuple[str, ...] = ()
    """Measures of the study's own (orchestrator/studies/evaluation.py)."""
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


def seeded(config: TrainConfig, seed: int) -> TrainConfig:
    """`config` with `seed` for its weights and for the order of its data."""
    return replace(config, run=replace(config.run, seed=seed), data=replace(config.data, order_seed=seed))


def open_test(data: DataConfig, work_dir: Path) -> ImageSet:
    """The test images of `data`. UserError where the set has no test split."""
    images = open_images(data.source("test"), "test", work_dir=work_dir, data=data)
    undivided = not data.test and images.split == "all"  # it would be tested on what it was trained on
    if undivided or not len(images):
        raise UserError(f"{images.name} has no test images; import it with a --split that has a test part")
    return images
