"""A recipe for any photographs is made to fit the images that are there, but for what was given."""

from types import SimpleNamespace

import numpy as np
import pytest

from datasets.config import ROLES
from experiments import recipes
from orchestrator.sweep import fit_images
from orchestrator.sweep.resume import FITTED


@pytest.fixture
def fitted(monkeypatch):
    """A function that fits recipe photos_small to images of these sides."""

    def fit(train, others=(500,), is_rgb8=True, planned=FITTED):
        index = {"train": train} | dict.fromkeys(("val", "test", "gate"), others)
        rows = {
            split: [SimpleNamespace(height=s, width=2 * s) for s in sides] for split, sides in index.items()
        }
        monkeypatch.setattr(fit_images, "read_index", lambda location, manifest, split: rows[split])
        images = SimpleNamespace(
            location="shards",
            manifest=SimpleNamespace(splits=dict.fromkeys(ROLES)),
            min_side=min(train),
            sizes=np.array([(s, 2 * s) for s in train]),
            format=SimpleNamespace(is_rgb8=is_rgb8),
        )
        return fit_images.fit_to_images(recipes.build("photos_small"), images, planned)

    return fit


def test_crops_are_no_larger_than_the_smallest_image(fitted):
    assert fitted([100, 200]).data.crop_px == 64
    assert fitted([51, 200]).data.crop_px == 48, "a multiple of the scale"
    assert fitted([20, 200]).data.crop_px == 64, "what is too small is left to the check that names it"
    assert fitted([51, 200], planned=()).data.crop_px == 64


def test_of_large_photographs_a_square_is_measured_that_all_have(fitted):
    assert fitted([64, 80]).data.eval_crop_px == 0
    assert fitted([3_000, 4_000]).data.eval_crop_px == 192
    assert fitted([3_000, 4_000], others=(151,)).data.eval_crop_px == 148
    assert fitted([3_000, 4_000], others=(30,)).data.eval_crop_px == 0


def test_images_of_other_bands_have_losses_without_published_networks(fitted):
    config = fitted([100], is_rgb8=False)
    assert (config.loss.content_weight, config.loss.pixel_weight) == (0.0, 1.0)
    assert config.objective.perceptual == "swd"
