"""The losses of a step: which terms are enabled, their weights, precision, penalties and compilation."""

import pytest
import torch
from helpers.tiny import batch, same, snapshot, tiny
from helpers.weights import forget, publish_random

from trainers import losses
from trainers.config.loss import PERCEPTUAL_LOSSES
from trainers.distributed import Ranks
from trainers.metrics.dists import load_dists
from trainers.state import new_state
from trainers.step_losses import StepLosses, build_features
from trainers.train_step import TrainStep

CPU = torch.device("cpu")
CONTENT = {"loss__content_weight": 0.3, "loss__content_scale": 0.1, "loss__tv_weight": 1e-3}


def start(config):
    """Return a state of the GAN phase and its step."""
    state = new_state(config, "gan", CPU)
    return state, TrainStep(config, state, build_features(config, CPU))


def of(config):
    state = new_state(config, "gan", CPU)
    return StepLosses(config, state, build_features(config, CPU))


def test_terms_are_the_weighted_losses_of_the_settings():
    config = tiny(loss__adversarial="relativistic", loss__grid_weight=2.0, **CONTENT)
    step_losses, (hr, lr_image) = of(config), batch()
    sr = step_losses.generate(lr_image)
    fake, real = step_losses.judge(sr), step_losses.judge(hr)
    terms = step_losses.generator_terms(sr, hr, fake, real)
    expected = {
        "pixel": 0.5 * losses.pixel_loss("l2", sr, hr),
        "content": 0.3 * losses.content_loss(step_losses.features(sr), step_losses.features(hr), 0.1),
        "adversarial": 0.1 * losses.adversarial_g("relativistic", real, fake),
        "grid": 2.0 * losses.grid_loss(sr, hr, config.generator.scale),
        "tv": 1e-3 * losses.total_variation(sr),
    }
    torch.testing.assert_close(terms, expected)
    given = step_losses.generator_terms(sr, hr, fake, real, step_losses.content_of(hr))
    torch.testing.assert_close(given, expected)


def test_without_weights_there_are_no_terms_and_no_network_of_the_content_loss():
    config = tiny(loss__pixel_weight=0.0, loss__adversarial_weight=0.0)
    assert build_features(config, CPU) is None
    assert of(config).generator_terms(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4), None, None) == {}


def test_the_discriminator_loss_is_the_game_plus_its_penalties():
    plain, (hr, lr_image) = of(tiny()), batch()
    sr = plain.generate(lr_image).detach()
    game = plain.discriminator_loss(hr, sr, plain.judge(hr), plain.judge(sr), 0)
    torch.testing.assert_close(game, losses.adversarial_d("vanilla", plain.judge(hr), plain.judge(sr)))
    assert plain.differentiable(hr) is hr
    r1 = of(tiny(loss__r1_weight=2.0))
    leaf = r1.differentiable(hr)
    real = r1.judge(leaf)
    both = r1.discriminator_loss(leaf, sr, real, r1.judge(sr), 0)
    torch.testing.assert_close(both, game + 2.0 * losses.r1_penalty(real, leaf))


def test_points_of_the_gradient_penalty_depend_on_the_step_alone():
    config = tiny(
        loss__adversarial="wgan_gp", loss__gradient_penalty_weight=10.0, discriminator__norm="layer"
    )
    step_losses, (hr, lr_image) = of(config), batch()
    sr = step_losses.generate(lr_image).detach()
    real, fake = step_losses.judge(hr), step_losses.judge(sr)
    values = [step_losses.discriminator_loss(hr, sr, real, fake, step).item() for step in (3, 3, 4)]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 - 1])
def test_ranks_and_parts_draw_the_points_that_one_process_draws(seed):
    penalty = {"loss__adversarial": "wgan_gp", "loss__gradient_penalty_weight": 10.0}
    config = tiny(discriminator__norm="layer", run__seed=seed, **penalty)
    halves = tiny(discriminator__norm="layer", run__seed=seed, optim__micro_batches=2, **penalty)
    hr, _ = batch()
    whole = of(config)._points(hr, 5, 0)
    for rank in range(2):
        state = new_state(config, "gan", CPU)
        own = StepLosses(config, state, None, Ranks(rank, 2))._points(hr[rank::2], 5, 0)
        assert torch.equal(own, whole[rank::2])
    parts = [of(halves)._points(hr[2 * part : 2 * part + 2], 5, part) for part in range(2)]
    assert torch.equal(torch.cat(parts), whole)
    assert len(set(whole.flatten().tolist())) == len(hr)


def test_a_phase_without_a_discriminator_cannot_judge():
    state = new_state(tiny(), "psnr", CPU)
    with pytest.raises(AssertionError, match="no discriminator, or no content or perc"):
        StepLosses(tiny(), state, None).judge(batch()[0])


def test_compiled_modules_give_the_same_update(monkeypatch):
    compiled = []

    def eager(module):
        compiled.append(type(module).__name__)
        return lambda image: module(image)

    monkeypatch.setattr(torch, "compile", eager)
    plain, plain_step = start(tiny(**CONTENT))
    fast, fast_step = start(tiny(run__compile=True, **CONTENT))
    assert compiled == ["SRResNet", "SizeFree", "VGGFeatures"]
    for step in (plain_step, fast_step):
        step(*batch())
    assert same(snapshot(plain.generator), snapshot(fast.generator))


def vgg16(layers):
    return {f"loss__content_{k}": v for k, v in (("network", "vgg16"), ("layer", layers), ("weight", 1.0))}


LOSSES = {"conv2_2": vgg16("conv2_2"), "real_esrgan": vgg16("real_esrgan")} | {
    metric: {"loss__perceptual": metric, "loss__perceptual_weight": 1.0} for metric in PERCEPTUAL_LOSSES
}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Random weights under the names of those of VGG16, LPIPS and DISTS."""
    with pytest.MonkeyPatch.context() as patch:
        for metric in PERCEPTUAL_LOSSES:
            publish_random(patch, tmp_path_factory.getbasetemp(), metric)
        yield
    forget()


def weights_of(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_with_each_loss_changes_the_generator_and_nothing_else(name, published):
    quiet = {"loss__pixel_weight": 0.0, "loss__adversarial_weight": 0.0, "loss__content_weights": "imagenet"}
    state, step = start(tiny(**quiet, **LOSSES[name]))
    network = step.losses.perceptual if name in PERCEPTUAL_LOSSES else step.losses.features
    before = [weights_of(m) for m in (state.generator, state.discriminator, network)]
    step(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 16, 16))  # AlexNet's smallest side is 35 px
    step.check()
    generator, *others = (weights_of(m) for m in (state.generator, state.discriminator, network))
    assert all(not torch.equal(p, generator[n]) for n, p in before[0].items() if p.ndim == 4)
    for old, new in zip(before[1:], others, strict=True):
        assert all(torch.equal(p, new[n]) for n, p in old.items())


def test_a_metric_as_a_loss_is_its_mean_times_the_weight_and_nearly_so_in_bf16(published):
    only = {"loss__perceptual_weight": 0.5, "loss__adversarial_weight": 0.0, "loss__pixel_weight": 0.0}
    sr, hr = torch.rand(2, 2, 3, 24, 24)
    term = of(tiny(**only)).generator_terms(sr, hr, None, None)["perceptual"]
    torch.testing.assert_close(term, load_dists(CPU)(2 * sr - 1, 2 * hr - 1).mean() / 2)
    half = of(tiny(**only, run__precision="bf16")).generator_terms(sr, hr, None, None)["perceptual"]
    assert half.item() == pytest.approx(term.item(), rel=0.02)
