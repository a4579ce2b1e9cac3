"""Data and evaluator of a trial: shared by the trials of a worker, refused if the images differ."""

import pytest
import torch
from helpers.tiny import noise

from datasets.config import DataConfig
from orchestrator.trial.inputs import open_evaluator, open_inputs, open_role

CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path):
    return DataConfig(train=str(noise(tmp_path / "noise", count=40)), crop_px=32, batch_size=4, eval_images=2)


def opened(data, tmp_path, digests=(), seat=(0, 1)):
    return open_inputs(data, 4, ("psnr_y", "swd"), str(tmp_path), digests, CPU, seat)


def test_a_later_trial_of_the_worker_gets_the_inputs_again(data, tmp_path):
    first = opened(data, tmp_path)
    assert opened(data, tmp_path) is first
    assert opened(data, tmp_path, seat=(1, 2)) is not first
    assert len(first.pairs) == 2 and first.pairs[0].lr_image.shape[-1] == 3
    bicubic = first.evaluator.measure_resizer("bicubic").summary
    assert {"psnr_y", "swd"} <= set(bicubic)


def test_an_evaluator_measures_the_first_images_of_a_role_by_its_protocol(data, tmp_path):
    images = open_role(data, "val", tmp_path)
    evaluator, pairs = open_evaluator(images, data, 4, ("psnr_y",), limit=1)
    assert len(pairs) == 1
    assert f"images={images.digest}; scale=4" in evaluator.protocol["psnr_y"]
    assert len(open_evaluator(images, data, 4, ("psnr_y",))[1]) == len(images)


def test_ranks_share_each_batch(data, tmp_path):
    whole = next(iter(opened(data, tmp_path).loader.batches()))
    parts = [next(iter(opened(data, tmp_path, seat=(r, 2)).loader.batches())) for r in (0, 1)]
    assert [len(p.hr) for p in parts] == [2, 2]
    assert sorted(b.sum().item() for p in parts for b in p.hr) == sorted(b.sum().item() for b in whole.hr)


@pytest.mark.parametrize("role", ["train", "val"])
def test_images_that_differ_from_the_driver_s_are_refused(data, tmp_path, role):
    digests = tuple((r, open_role(data, r, tmp_path).digest) for r in ("train", "val"))
    opened(data, tmp_path, digests)
    wrong = tuple((r, "other" if r == role else d) for r, d in digests)
    with pytest.raises(RuntimeError, match=f"data.{role} holds other images on this node than on the driver"):
        opened(data, tmp_path, wrong)
    opened(data, tmp_path, (*digests, ("test", "other")))  # a trial does not read the test images
