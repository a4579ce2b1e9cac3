"""Recipes: functions that return a whole config, by name. They are written in the files beside this one."""

from collections.abc import Callable

from datasets.errors import unknown
from experiments import recipes_esrgan, recipes_srgan, recipes_studies
from experiments.recipe_demo import demo
from trainers.config import TrainConfig

__all__ = ["RECIPES", "build", "demo"]


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    "demo": demo,
    "srcnn_915": recipes_esrgan.srcnn_915,
    "srcnn_915_fast": recipes_esrgan.srcnn_915_fast,
    "srcnn_955": recipes_esrgan.srcnn_955,
    "srcnn_955_rgb": recipes_esrgan.srcnn_955_rgb,
    "srresnet": recipes_srgan.srresnet,
    "srresnet_vgg22": recipes_srgan.srresnet_vgg22,
    "srgan_mse": recipes_srgan.srgan_mse,
    "srgan_vgg22": recipes_srgan.srgan_vgg22,
    "srgan_vgg54": recipes_srgan.srgan_vgg54,
    "srgan_8": recipes_srgan.srgan_8,
    "srgan_leftthomas": recipes_srgan.srgan_leftthomas,
    "srgan_transposed": recipes_srgan.srgan_transposed,
    "staged_upsampler": recipes_srgan.staged_upsampler,
    "staged_upsampler_2": recipes_srgan.staged_upsampler_2,
    "staged_upsampler_3": recipes_srgan.staged_upsampler_3,
    "colorize": recipes_srgan.colorize,
    "edges_to_photo": recipes_srgan.edges_to_photo,
    "esrgan": recipes_esrgan.esrgan,
    "esrgan_16": recipes_esrgan.esrgan_16,
    "esrgan_16_x2": recipes_esrgan.esrgan_16_x2,
    "esrgan_seed": recipes_esrgan.esrgan_seed,
    "miniature_matrix": recipes_studies.miniature_matrix,
    "miniature_colorize": recipes_studies.miniature_colorize,
    "miniature_edges": recipes_studies.miniature_edges,
    "miniature_upsampler": recipes_studies.miniature_upsampler,
    "miniature_plane": recipes_studies.miniature_plane,
    "miniature_review": recipes_studies.miniature_review,
}


def build(name: str) -> TrainConfig:
    """The config of a recipe; UserError for a name that does not exist."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES, "--recipe")
    return RECIPES[name]()
