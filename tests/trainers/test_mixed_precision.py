"""Networks that compute in bf16: copies of the weights follow the weights, and gradients are autocast's."""

import pytest
import torch
from helpers.tiny import batch, tiny

from trainers.mixed_precision import ComputeCopy
from trainers.models import build_discriminator, build_generator
from trainers.models.layers import LastConv
from trainers.state import new_state
from trainers.train_step import TrainStep


def generator():
    torch.manual_seed(0)
    return build_generator(tiny().generator).train()


def gradients(call, parameters):
    with torch.autocast("cpu", torch.bfloat16):
        out = call(batch()[1])
    return torch.autograd.grad(out.square().mean(), parameters)


def test_gradients_are_those_of_autocast():
    network = generator()
    copied = ComputeCopy(network, bf16=True)
    theirs = gradients(network, list(network.parameters()))
    ours = gradients(copied.module, copied.parameters)
    assert all(torch.equal(a, b.float()) for a, b in zip(theirs, ours, strict=True))


@pytest.mark.parametrize("order", ["d_first", "simultaneous"])
def test_every_step_computes_with_the_weights_that_the_optimizers_wrote(order):
    config = tiny(run__precision="bf16", optim__update_order=order)
    step = TrainStep(config, new_state(config, "gan", torch.device("cpu")))
    seen = []
    for copied in (step.losses.g_copy, step.losses.d_copy):
        copied.module.register_forward_pre_hook(
            lambda module, args, copied=copied: seen.append(
                all(torch.equal(c, p.bfloat16()) for c, p in zip(copied.copies, copied.sources, strict=True))
            )
        )
    weights = [p.clone() for p in step.losses.d_copy.sources]
    for index in range(3):
        step(*batch(index))
        step.state.step += 1
    assert len(seen) >= 9 and all(seen)
    assert not torch.equal(weights[0], step.losses.d_copy.sources[0]), "the optimizer has moved"


def test_copies_follow_their_weights():
    network = generator()
    copied = ComputeCopy(network, bf16=True)
    weight, half = network.head[0].weight, copied.module.head[0].weight
    with torch.no_grad():
        weight.fill_(0.3)
    copied.refresh()
    assert torch.equal(half, weight.bfloat16()) and half.dtype == torch.bfloat16
    assert half.is_contiguous(memory_format=torch.channels_last) == weight.is_contiguous(
        memory_format=torch.channels_last
    )


def test_running_statistics_and_float32_weights_are_shared_with_the_network():
    network = generator()
    copied = ComputeCopy(network, bf16=True)
    assert [id(b) for b in network.buffers()] == [id(b) for b in copied.module.buffers()]
    assert isinstance(network.tail, LastConv) and copied.module.tail.weight is network.tail.weight
    assert [p.shape for p in network.parameters()] == [p.shape for p in copied.parameters]


@pytest.mark.parametrize(("kind", "layers"), [("unet_sn", 10), ("patch", 4)])
def test_layers_whose_weight_is_computed_are_left_to_autocast(kind, layers):
    settings = {"discriminator__norm": "spectral", "discriminator__num_layers": layers}
    config = tiny(discriminator__kind=kind, **settings)
    network = build_discriminator(config.discriminator)
    copied = ComputeCopy(network, bf16=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network.eval()(batch()[0]), copied.module.eval()(batch()[0]))


def test_without_bf16_the_network_itself_computes():
    network = generator()
    assert ComputeCopy(network, bf16=False).module is network
