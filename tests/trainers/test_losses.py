"""Losses at points where their value is known without a computer."""

from math import e, log, sqrt

import pytest
import torch
from torch.nn.functional import softplus

from trainers.config import loss as config
from trainers.losses import (
    ADVERSARIAL,
    CONTENT,
    PIXEL,
    adversarial_d,
    adversarial_g,
    color_loss,
    content_loss,
    gradient_penalty,
    grid_loss,
    luma,
    needs_real,
    pixel_loss,
    r1_penalty,
    total_variation,
)

LOGITS = torch.tensor([[0.3], [-1.2], [2.0]])


def test_tables_hold_exactly_the_names_of_the_configuration():
    assert set(PIXEL) == set(config.PIXEL_LOSSES)
    assert set(ADVERSARIAL) == set(config.ADVERSARIAL_LOSSES)
    assert set(CONTENT) == set(config.CONTENT_CRITERIA)


@pytest.mark.parametrize(("kind", "value"), [("l1", 0.2), ("l2", 0.04), ("charbonnier", sqrt(0.04 + 1e-6))])
def test_pixel_losses_of_a_constant_error_of_a_tenth_are_on_the_doubled_range(kind, value):
    hr = torch.rand(2, 3, 4, 5)
    assert float(pixel_loss(kind, hr + 0.1, hr)) == pytest.approx(value, rel=1e-4)


def test_charbonnier_has_a_gradient_at_equality_and_it_is_zero():
    sr = torch.rand(1, 3, 4, 4).requires_grad_()
    pixel_loss("charbonnier", sr, sr.detach().clone()).backward()
    assert torch.equal(sr.grad, torch.zeros_like(sr))


def test_undecided_discriminator_costs_log_two_per_term():
    zero = torch.zeros(4, 1)
    assert float(adversarial_d("vanilla", zero, zero)) == pytest.approx(2 * log(2))
    assert float(adversarial_g("vanilla", None, zero)) == pytest.approx(log(2))


def test_relativistic_at_equal_logits_is_two_log_two_for_both():
    equal = torch.full((4, 1), 1.7)
    assert float(adversarial_d("relativistic", equal, equal)) == pytest.approx(2 * log(2))
    assert float(adversarial_g("relativistic", equal, equal)) == pytest.approx(2 * log(2))


def test_relativistic_roles_are_mirrored():
    other = LOGITS.flip(0) - 0.4
    assert torch.allclose(
        adversarial_d("relativistic", LOGITS, other), adversarial_g("relativistic", other, LOGITS)
    )
    shifted = adversarial_d("relativistic", LOGITS + 5, other + 5)
    assert torch.allclose(shifted, adversarial_d("relativistic", LOGITS, other))


def test_relativistic_mean_can_reach_beyond_this_process():
    calls = []

    def everywhere(real, fake):
        calls.append((real, fake))
        return real.mean(), fake.mean() + 1

    other = LOGITS.flip(0) - 0.4
    loss = adversarial_d("relativistic", LOGITS, other, average=everywhere)
    assert len(calls) == 1, "both means travel between processes in one message"
    far = softplus(other.mean() + 1 - LOGITS).mean() + softplus(other - LOGITS.mean()).mean()
    torch.testing.assert_close(loss, far)


def test_vanilla_equals_binary_cross_entropy():
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(LOGITS, torch.ones_like(LOGITS)) + bce(LOGITS, torch.zeros_like(LOGITS))
    assert torch.allclose(adversarial_d("vanilla", LOGITS, LOGITS), expected)


@pytest.mark.parametrize("kind", [k for k in config.ADVERSARIAL_LOSSES if k != "linear"])
def test_generator_still_feels_a_certain_discriminator(kind):
    fake = torch.full((2, 1), -50.0, requires_grad=True)
    adversarial_g(kind, torch.full((2, 1), 50.0), fake).backward()
    assert (fake.grad < -0.1).all()


def test_only_relativistic_generators_read_real_logits():
    reading = [kind for kind in config.ADVERSARIAL_LOSSES if needs_real(kind)]
    assert reading == ["relativistic", "relativistic_halved"]


def test_halved_is_half_of_relativistic_on_both_sides():
    other = LOGITS.flip(0) * 0.7
    for side in (adversarial_d, adversarial_g):
        whole, half = side("relativistic", LOGITS, other), side("relativistic_halved", LOGITS, other)
        assert torch.equal(half, whole / 2)


@pytest.mark.parametrize(
    ("kind", "d_undecided", "g_undecided", "d_right"),
    [
        ("linear", 1.0, 0.5, 0.0),  # logits 0 are probabilities 1/2; right and sure is 1 - 1 + 0
        ("lsgan", 0.5, 0.5, 0.0),
        ("hinge", 2.0, 0.0, 0.0),
        ("wgan_gp", 0.0, 0.0, None),
    ],
)
def test_other_games_at_undecided_and_at_right_answers(kind, d_undecided, g_undecided, d_right):
    zero = torch.zeros(3, 1)
    assert float(adversarial_d(kind, zero, zero)) == pytest.approx(d_undecided)
    assert float(adversarial_g(kind, None, zero)) == pytest.approx(g_undecided)
    if d_right is not None:
        real, fake = (1.0, 0.0) if kind == "lsgan" else (40.0, -40.0)
        assert float(adversarial_d(kind, zero + real, zero + fake)) == pytest.approx(d_right, abs=1e-6)


def test_linear_generator_fades_where_the_discriminator_is_certain():
    fake = torch.full((2, 1), -50.0, requires_grad=True)
    adversarial_g("linear", None, fake).backward()
    assert fake.grad.abs().max() < 1e-12


@pytest.mark.parametrize("kind", config.SMOOTHABLE)
def test_smoothed_labels_move_the_target_of_real_images_only(kind):
    smooth = 0.1
    real = torch.linspace(-1, 4, 501, dtype=torch.float64)[:, None]
    best = min(real, key=lambda x: float(adversarial_d(kind, x[None], x[None] * 0 - 9, smoothing=smooth)))
    expected = log(0.9 / 0.1) if kind == "vanilla" else 0.9
    assert float(best) == pytest.approx(expected, abs=0.01)
    target = torch.full_like(LOGITS, 1 - smooth)
    if kind == "vanilla":
        bce = torch.nn.functional.binary_cross_entropy_with_logits
        expected = bce(LOGITS, target) + bce(LOGITS, torch.zeros_like(LOGITS))
        assert torch.allclose(adversarial_d(kind, LOGITS, LOGITS, smoothing=smooth), expected)


def test_penalties_of_a_linear_discriminator_are_those_of_its_weight():
    weight = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = weight / weight.norm() * 3

    def discriminator(images):
        return (images * weight).sum((1, 2, 3)).unsqueeze(1)

    images = torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert float(r1_penalty(discriminator(images), images).detach()) == pytest.approx(3**2 / 2)
    share = torch.tensor([0.25, 0.75]).view(2, 1, 1, 1).double()
    penalty = gradient_penalty(discriminator, images.detach(), images.detach() * 0.5, share)
    assert float(penalty.detach()) == pytest.approx((3 - 1) ** 2)


def test_gradient_penalty_reaches_the_discriminator_alone():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.LeakyReLU(0.2, inplace=True), torch.nn.Conv2d(4, 1, 3)
    )
    hr, sr = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8, requires_grad=True)
    gradient_penalty(net, hr, sr, torch.full((2, 1, 1, 1), 0.25)).backward()
    assert sr.grad is None and net[0].weight.grad.abs().max() > 0


def test_luma_of_black_white_and_the_loss_on_it():
    black, white = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    assert float(luma(black).mean()) == pytest.approx(16 / 255)
    assert float(luma(white).mean()) == pytest.approx(235 / 255)
    assert float(pixel_loss("l1", white, black, "y")) == pytest.approx(2 * 219 / 255)


def test_total_variation_of_a_ramp_and_of_a_flat_image():
    ramp = torch.arange(8.0).expand(2, 3, 6, 8) * 0.1
    assert float(total_variation(ramp)) == pytest.approx(2 * 0.1**2)
    assert float(total_variation(ramp.transpose(2, 3))) == pytest.approx(2 * 0.1**2)
    assert float(total_variation(torch.full((1, 3, 4, 4), e))) == 0


def test_content_loss_scales_the_features_not_the_loss():
    one = torch.ones(1, 2, 3, 3)
    zero = torch.zeros_like(one)
    assert float(content_loss(one, zero, 1 / 12.75)) == pytest.approx(1 / 12.75**2)
    assert float(content_loss(one, zero, 1 / 12.75, "l1")) == pytest.approx(1 / 12.75)


def test_half_precision_features_are_compared_in_full():
    half = torch.full((1, 4, 8, 8), 3.0, dtype=torch.bfloat16)
    loss = content_loss(half, half - 1, 1.0)
    assert loss.dtype == torch.float32 and float(loss) == 1
    double = torch.ones(1, 2, 3, 3, dtype=torch.float64)
    assert content_loss(double, double, 1.0).dtype == torch.float64


def test_the_color_loss_is_the_square_of_a_cast_and_hardly_sees_texture():
    hr = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0)) / 2
    assert color_loss(hr, hr) == 0
    cast = torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)
    assert color_loss(hr + cast, hr).item() == pytest.approx(2 * 0.1**2 / 3, rel=1e-5)
    board = 0.1 * (1 - 2 * ((torch.arange(40)[:, None] + torch.arange(40)) % 2))
    assert color_loss(hr + board, hr).item() < 0.05 * 0.1**2


def test_the_grid_loss_is_the_height_of_a_pattern_that_repeats_on_the_grid_and_hardly_sees_texture():
    draw = torch.Generator().manual_seed(0)
    hr = torch.rand(2, 3, 64, 64, generator=draw)
    board = 0.1 * (1 - 2 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2))
    assert grid_loss(hr, hr, 4) == 0 and grid_loss(hr + 0.1, hr, 4).item() == pytest.approx(0, abs=1e-7)
    # a 3x3 mean of the board is a ninth of it, a third at the borders
    assert grid_loss(hr + board, hr, 4).item() == pytest.approx(0.1 * 8 / 9, rel=0.02)
    noise = 0.1 * (1 - 2 * torch.randint(0, 2, (2, 3, 64, 64), generator=draw))
    assert grid_loss(hr + noise, hr, 4).item() < 0.15 * 0.1, "64 cells average it to an eighth"
    period_3 = 0.1 * (torch.arange(64) % 3 == 0).float().expand(64, 64)
    assert grid_loss(hr + period_3, hr, 4).item() < 0.1 * grid_loss(hr + board, hr, 4).item()


def test_the_grid_loss_takes_images_smaller_than_a_tile_and_leaves_cells_that_fill_none():
    hr = torch.zeros(1, 3, 16, 16)
    board = 1 - 2 * ((torch.arange(16)[:, None] + torch.arange(16)) % 2)
    assert grid_loss(hr + board, hr, 4).item() == pytest.approx(8 / 9, rel=0.1)
    hr = torch.zeros(1, 3, 40, 40)
    hr[..., 33:, :] = torch.rand(1, 3, 7, 40)
    assert grid_loss(hr, torch.zeros_like(hr), 4) == 0
