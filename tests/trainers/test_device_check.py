"""A device that agrees with the CPU, and three that do not."""

import pytest
import torch
from helpers.tiny import tiny

from datasets.errors import UserError
from trainers import device_check, optimizers
from trainers.device_check import check_agreement

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "config",
    [
        tiny(),
        tiny(optim__kind="sgd"),
        tiny(optim__micro_batches=2, generator__norm="none"),
        tiny(run__gan_steps=0),
    ],
)
def test_the_cpu_agrees_with_itself(config):
    check_agreement(config, CPU)


def second_device(monkeypatch, harm):
    """The second device that computes, as MPS would, has one gradient changed by `harm`."""
    computed, calls = device_check._gradients, []

    def gradients(config, device, hr, lr_image):
        found, step = computed(config, device, hr, lr_image)
        calls.append(device)
        if len(calls) == 2:
            name = next(n for n in found if "weight" in n and found[n].dim() == 4)
            found[name] = harm(found[name])
        return found, step

    monkeypatch.setattr(device_check, "_gradients", gradients)


@pytest.mark.parametrize("harm", [lambda g: g * 1.02, lambda g: g.flip(1), lambda g: g * float("nan")])
def test_another_gradient_is_refused_with_the_weight_and_the_remedy(monkeypatch, harm):
    second_device(monkeypatch, harm)
    with pytest.raises(
        UserError, match=r"other gradients than the CPU \(generator\..*weight.*set run.device cpu"
    ):
        check_agreement(tiny(), CPU)


def test_rounding_is_no_disagreement(monkeypatch):
    second_device(monkeypatch, lambda g: g * 1.001)
    check_agreement(tiny(), CPU)


def test_an_optimizer_that_applies_what_is_not_finite_is_refused(monkeypatch):
    """Such was the fused Adam of MPS: it did not read the flag that skips an update."""

    class Adam(optimizers.Adam):
        def step(self, closure=None):
            self.found_inf = None
            return super().step(closure)

    monkeypatch.setattr(optimizers, "Adam", Adam)
    with pytest.raises(UserError, match="applies updates that are not finite .* torch 2.14 or newer"):
        check_agreement(tiny(), CPU)
