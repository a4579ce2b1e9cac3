"""Make the settings of a recipe for any photographs fit the images that are there."""

from collections.abc import Iterable

from datasets.image_set import ImageSet
from datasets.shard_reader import read_index
from trainers.config import TrainConfig, override

MEASURED_CROPS = 3
"""Largest side of what is measured of an image, as a multiple of the training crop."""
SMALLEST_CROP_PX = 32


def fit_to_images(config: TrainConfig, train: ImageSet, planned: Iterable[str]) -> TrainConfig:
    """Return `config` with those of the `planned` settings changed that do not fit the images of `train`.

    The crop is at most the smallest image of the training set. Of images larger than MEASURED_CROPS crops a
    square from the centre is measured. Images that no published network was made for have losses and a
    measure without one.
    """
    changes: dict[str, object] = {}
    scale, crop, smallest = config.generator.scale, config.data.crop_px, shortest_side(train)
    if SMALLEST_CROP_PX <= train.min_side < crop:
        changes["data.crop_px"] = train.min_side // scale * scale
    measured = min(MEASURED_CROPS * crop, smallest) // scale * scale
    if train.sizes.mean() > MEASURED_CROPS * crop and measured >= crop:
        changes["data.eval_crop_px"] = measured
    if not train.format.is_rgb8:
        changes |= {"loss.content_weight": 0.0, "loss.pixel_weight": 1.0, "objective.perceptual": "swd"}
    return override(config, {name: value for name, value in changes.items() if name in planned})


def shortest_side(images: ImageSet) -> int:
    """Return the shortest side of any image of all splits of a set, in pixels, from its index."""
    manifest = images.manifest
    rows = (row for split in manifest.splits for row in read_index(images.location, manifest, split))
    return min((min(row.height, row.width) for row in rows), default=0)
