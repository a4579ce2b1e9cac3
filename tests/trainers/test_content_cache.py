"""Kept content features are those that would have been computed, flips included, or are refused."""

import numpy as np
import pytest
import torch
from helpers.tiny import Measure, snapshot, tiny
from PIL import Image

from datasets.errors import UserError
from datasets.image_set import open_images
from datasets.loader import TrainLoader
from trainers.config import override
from trainers.content_cache import ContentCache
from trainers.monitor import FolderMonitor
from trainers.training import TrainingRun

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Pictures of exactly 16 px."""
    folder, draw = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for index in range(20):
        pixels = draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    config = override(tiny(), {"data.train": str(folder)})
    work = tmp_path_factory.mktemp("work")
    return config, open_images(str(folder), "train", work_dir=work, data=config.data)


def loader(config, images):
    return TrainLoader(images, config.data, config.generator.scale, device=CPU)


def test_features_are_computed_once_per_image_and_mirror_and_always_right(images):
    config, pictures = images
    source, seen = loader(config, pictures), []

    def features(hr):
        seen.append(len(hr))
        return hr.cumsum(-1)  # tells an image from its mirror

    cache = ContentCache(source, features)
    for index, batch in zip(range(40), source.batches(), strict=False):
        torch.testing.assert_close(cache.target(index, batch.hr), batch.hr.cumsum(-1), rtol=0, atol=0)
    assert sum(seen) <= 2 * len(pictures) and sum(seen) == cache.known.sum()


def test_a_run_with_kept_features_ends_as_one_without(images, tmp_path):
    config, pictures = images
    # sgd, because adam makes whole steps of rounding, and features of one image are rounded otherwise
    config = override(config, {"loss.content_weight": 1.0, "run.gan_steps": 12, "optim.kind": "sgd"})
    ended = []
    for kept in (False, True):
        settings = override(config, {"run.cache_content": kept})
        monitor = FolderMonitor(tmp_path / str(kept), settings, say=lambda line: None)
        state, _ = TrainingRun(settings, loader(config, pictures), Measure(), monitor, CPU).train()
        ended.append(snapshot(state.generator, state.discriminator))
    torch.testing.assert_close(*ended, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changed", [{"data.crop_px": 8}, {"data.mode": "streamed"}])
def test_crops_that_never_recur_are_refused(images, changed):
    config, pictures = images
    source = loader(config, pictures)
    source.data = override(config, changed).data
    with pytest.raises(
        UserError, match="run.cache_content needs images of exactly data.crop_px=.* set run.cache_content"
    ):
        ContentCache(source, torch.neg)
