"""The settings of one run: frozen dataclasses, checked on construction, addressed by dotted names.

checks    the checks that the dataclasses share
loss      LossConfig
networks  GeneratorConfig, DiscriminatorConfig
training  OptimConfig, RunConfig, ObjectiveConfig, and TrainConfig, which holds all sections
tree      flatten, portable, override, from_flat, digest: settings by dotted name

A recipe (experiments/recipes) is a function that returns a `TrainConfig`. The allowed values of a setting
(GENERATORS, PIXEL_LOSSES and so on) are tuples in the module of its dataclass.
"""

from trainers.config.loss import LossConfig
from trainers.config.networks import DiscriminatorConfig, GeneratorConfig
from trainers.config.training import ObjectiveConfig, OptimConfig, RunConfig, TrainConfig
from trainers.config.tree import digest, flatten, from_flat, override, portable, with_pixels

__all__ = ["DiscriminatorConfig", "GeneratorConfig", "LossConfig", "ObjectiveConfig", "OptimConfig"]
__all__ += [
    "RunConfig",
    "TrainConfig",
    "digest",
    "flatten",
    "from_flat",
    "override",
    "portable",
    "with_pixels",
]
