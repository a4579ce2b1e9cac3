"""What is refused before any GPU hour is spent, and in which words."""

import pytest
import torch
from helpers.tiny import Loader, batch, tiny

from datasets.errors import UserError
from trainers import losses, preflight
from trainers.step_losses import StepLosses

ALL = {"loss__content_weight": 1.0, "loss__tv_weight": 1e-3}


def test_a_sound_run_passes_and_says_how_much_each_term_pulls():
    norms = preflight.check(tiny(**ALL), *batch())
    assert set(norms) == {"pixel", "content", "adversarial", "tv"} and min(norms.values()) > 0


def test_a_psnr_run_is_asked_for_its_pixel_loss_alone():
    assert set(preflight.check(tiny(run__gan_steps=0, **ALL), *batch())) == {"pixel"}


def detached(function):
    return lambda *args, **more: function(*args, **more).detach()


@pytest.mark.parametrize(
    ("term", "module", "name"),
    [
        ("content", losses, "content_loss"),
        ("adversarial", losses, "adversarial_g"),
        ("tv", losses, "total_variation"),
        ("pixel", losses, "pixel_loss"),
    ],
)
def test_a_term_that_never_reaches_the_generator_is_refused_by_name(monkeypatch, term, module, name):
    monkeypatch.setattr(module, name, detached(getattr(module, name)))
    with pytest.raises(
        UserError, match=rf"the {term} loss is enabled \(loss.{term}_weight\) but its gradient"
    ):
        preflight.check(tiny(**ALL), *batch())


def test_a_generator_that_is_clamped_to_nothing_is_refused(monkeypatch):
    """A network whose output left [0, 1] and was clamped there has no gradient either."""
    generate = StepLosses.generate
    monkeypatch.setattr(StepLosses, "generate", lambda self, x: generate(self, x).clamp(2, 3))
    with pytest.raises(UserError, match="8 updates on one batch did not lower the pixel loss"):
        preflight.check_overfit(tiny(), *batch())


def test_images_outside_their_range_are_refused_with_the_range():
    hr, lr_image = batch()
    with pytest.raises(UserError, match=r"the target images must be in \[0, 1\], but range from 0.* to 2"):
        preflight.check(tiny(), hr / hr.max() * 2, lr_image)
    with pytest.raises(UserError, match=r"the input images must be in \[0, 1\], but range from -1"):
        preflight.check_ranges(hr, lr_image - 1 - lr_image.min(), 4)


def test_sizes_that_differ_by_another_factor_are_refused():
    hr, _ = batch()
    with pytest.raises(
        UserError, match=r"targets of \(16, 16\) do not match inputs of \(8, 8\) at generator.scale 4"
    ):
        preflight.check_ranges(hr, hr[..., :8, :8], 4)


def test_a_gan_phase_without_losses_is_refused():
    config = tiny(loss__pixel_weight=0.0, loss__adversarial_weight=0.0)
    with pytest.raises(UserError, match="every loss weight of the GAN phase is 0; set loss.pixel_weight"):
        preflight.check(config, *batch())


def test_a_learning_rate_that_cannot_fit_one_batch_is_refused():
    with pytest.raises(UserError, match="did not lower the pixel loss .*; lower optim.lr_psnr"):
        preflight.check_overfit(tiny(optim__lr_psnr=1e5, generator__norm="none"), *batch())


def test_the_checks_take_a_few_images_of_the_first_batch():
    hr, lr_image = preflight.first_batch(Loader(), 2)
    assert hr.shape == (2, 3, 16, 16) and torch.equal(hr, batch(0)[0][:2]) and lr_image.shape == (2, 3, 4, 4)
