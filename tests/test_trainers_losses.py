"""Losses at points where their value is known without a computer."""

from math import e, log, sqrt

import pytest
import torch

from datasets.errors import UserError
from trainers import config
from trainers.losses import (
    ADVERSARIAL,
    PIXEL,
    adversarial_d,
    adversarial_g,
    needs_real,
    pixel_loss,
    total_variation,
)

LOGITS = torch.tensor([[0.3], [-1.2], [2.0]])


def test_tables_hold_exactly_the_names_of_the_configuration():
    assert set(PIXEL) == set(config.PIXEL_LOSSES)
    assert set(ADVERSARIAL) == set(config.ADVERSARIAL_LOSSES)


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

    def everywhere(logits):
        calls.append(logits)
        return logits.mean()

    adversarial_d("relativistic", LOGITS, LOGITS, mean=everywhere)
    assert len(calls) == 2


def test_vanilla_equals_binary_cross_entropy():
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(LOGITS, torch.ones_like(LOGITS)) + bce(LOGITS, torch.zeros_like(LOGITS))
    assert torch.allclose(adversarial_d("vanilla", LOGITS, LOGITS), expected)


@pytest.mark.parametrize("kind", config.ADVERSARIAL_LOSSES)
def test_generator_still_feels_a_certain_discriminator(kind):
    fake = torch.full((2, 1), -50.0, requires_grad=True)
    adversarial_g(kind, torch.full((2, 1), 50.0), fake).backward()
    assert (fake.grad < -0.1).all()


def test_only_the_relativistic_generator_reads_real_logits():
    assert [kind for kind in config.ADVERSARIAL_LOSSES if needs_real(kind)] == ["relativistic"]


def test_total_variation_of_a_ramp_and_of_a_flat_image():
    ramp = torch.arange(8.0).expand(2, 3, 6, 8) * 0.1
    assert float(total_variation(ramp)) == pytest.approx(2 * 0.1**2)
    assert float(total_variation(ramp.transpose(2, 3))) == pytest.approx(2 * 0.1**2)
    assert float(total_variation(torch.full((1, 3, 4, 4), e))) == 0


def test_unknown_kinds_name_the_option():
    with pytest.raises(UserError, match=r"no pixel loss 'l3'; known: .*loss\.pixel"):
        pixel_loss("l3", LOGITS, LOGITS)
    with pytest.raises(UserError, match=r"no adversarial loss 'vanila'.*did you mean 'vanilla'"):
        adversarial_g("vanila", None, LOGITS)
