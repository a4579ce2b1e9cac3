"""The tree of settings of one run: frozen dataclasses, checked on construction, addressed by dotted names.

A recipe (experiments/recipes) is a function that returns a `TrainConfig`; everything else reaches a setting
by its dotted name.
"""

from trainers.config.loss import (
    ADVERSARIAL_LOSSES,
    COLORS,
    CONTENT_CRITERIA,
    PERCEPTUAL_NETWORKS,
    PIXEL_LOSSES,
    SMOOTHABLE,
    LossConfig,
    content_layers,
)
from trainers.config.networks import (
    ACTIVATIONS,
    DISCRIMINATOR_NORMS,
    DISCRIMINATORS,
    GENERATORS,
    GLOBAL_SKIPS,
    NORMS,
    UPSAMPLERS,
    DiscriminatorConfig,
    GeneratorConfig,
    check_designs_together,
)
from trainers.config.training import (
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    UPDATE_ORDERS,
    ObjectiveConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)
from trainers.config.tree import digest, flatten, from_flat, override

__all__ = [
    "ACTIVATIONS",
    "ADVERSARIAL_LOSSES",
    "COLORS",
    "CONTENT_CRITERIA",
    "DISCRIMINATORS",
    "DISCRIMINATOR_NORMS",
    "DiscriminatorConfig",
    "GENERATORS",
    "GLOBAL_SKIPS",
    "GeneratorConfig",
    "LossConfig",
    "NORMS",
    "OPTIMIZERS",
    "ObjectiveConfig",
    "OptimConfig",
    "PERCEPTUAL_NETWORKS",
    "PIXEL_LOSSES",
    "PRECISIONS",
    "RunConfig",
    "SCHEDULES",
    "SMOOTHABLE",
    "TrainConfig",
    "UPDATE_ORDERS",
    "UPSAMPLERS",
    "check_designs_together",
    "content_layers",
    "digest",
    "flatten",
    "from_flat",
    "override",
]
