"""Recipes by name: functions that return a whole training config.

demo: the recipe of commands without options. photos: those of your own photographs. srgan, esrgan: published
trainings. miniatures: small versions for the studies. review: rows of two comparison tables. derive: a recipe
from another one.
"""

from collections.abc import Callable

from datasets.errors import unknown
from experiments.recipes import esrgan, miniatures, photos, srgan
from experiments.recipes.demo import demo
from trainers.config import TrainConfig

__all__ = ["RECIPES", "build", "demo"]


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    "demo": demo,
    "photos": photos.photos,
    "photos_small": photos.photos_small,
    "srcnn_915": esrgan.srcnn_915,
    "srcnn_915_fast": esrgan.srcnn_915_fast,
    "srcnn_955": esrgan.srcnn_955,
    "srcnn_955_rgb": esrgan.srcnn_955_rgb,
    "srresnet": srgan.srresnet,
    "srresnet_vgg22": srgan.srresnet_vgg22,
    "srgan_mse": srgan.srgan_mse,
    "srgan_vgg22": srgan.srgan_vgg22,
    "srgan_vgg54": srgan.srgan_vgg54,
    "srgan_8": srgan.srgan_8,
    "srgan_leftthomas": srgan.srgan_leftthomas,
    "srgan_transposed": srgan.srgan_transposed,
    "staged_upsampler": srgan.staged_upsampler,
    "staged_upsampler_2": srgan.staged_upsampler_2,
    "staged_upsampler_3": srgan.staged_upsampler_3,
    "colorize": srgan.colorize,
    "edges_to_photo": srgan.edges_to_photo,
    "esrgan": esrgan.esrgan,
    "esrgan_code": esrgan.esrgan_code,
    "esrgan_16": esrgan.esrgan_16,
    "esrgan_16_x2": esrgan.esrgan_16_x2,
    "esrgan_seed": esrgan.esrgan_seed,
    "miniature_matrix": miniatures.miniature_matrix,
    "miniature_colorize": miniatures.miniature_colorize,
    "miniature_edges": miniatures.miniature_edges,
    "miniature_upsampler": miniatures.miniature_upsampler,
    "miniature_plane": miniatures.miniature_plane,
    "miniature_review": miniatures.miniature_review,
}


def build(name: str) -> TrainConfig:
    """Return the config of a recipe. UserError for an unknown name."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES, "--recipe")
    return RECIPES[name]()
