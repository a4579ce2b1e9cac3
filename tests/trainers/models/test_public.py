"""Public architectures: published sizes, trained in every parameter, read by spandrel, exact resume, tiles.

The kinds are tried in tiny sizes, which spandrel recognises like the published ones; those are only counted.
"""

import json

import numpy as np
import pytest
import torch
from helpers.tiny import PUBLIC

from datasets.errors import UserError
from trainers import checkpoint
from trainers.benchmarks.cost import parameters
from trainers.config import GeneratorConfig, OptimConfig, RunConfig, TrainConfig, override
from trainers.config.generators import GENERATORS
from trainers.inference.tiling import footprint, upscale
from trainers.models import build_generator, deployed
from trainers.models.public import shifted_window_mask
from trainers.state import new_state
from trainers.train_step import TrainStep

BF16_BOUND = 0.01  # of an output in [0, 1]: two and a half grey levels at random weights


def tiny(kind: str, **settings: object) -> GeneratorConfig:
    return GeneratorConfig(kind=kind, size=json.dumps(PUBLIC[kind]), **settings)


def network(config: GeneratorConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_generator(config)


def image(*size: int) -> torch.Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(1))


def test_each_public_kind_is_tried():
    assert set(PUBLIC) == {kind for kind, row in GENERATORS.items() if row.public}


@pytest.mark.parametrize(
    ("kind", "size", "scale", "published"),
    [
        ("compact", "conv16", 4, 621_424),  # realesr-animevideov3, a file of 2.5 MB
        ("compact", "conv32", 4, 1_213_296),  # realesr-general-x4v3, 4.9 MB
        ("span", "ch48", 4, 426_288),  # 426 k in the paper
        ("span", "ch52", 4, 498_208),  # 498 k
        ("plksr", "tiny", 4, 2_370_544),  # 2,370 k
        ("plksr", "base", 4, 7_386_096),  # 7,386 k
        ("realplksr", "base", 4, 7_389_680),  # a file of 29.6 MB
        ("mosr", "base", 4, 4_287_600),  # a file of 17.2 MB
        ("dat", "light", 4, 572_766),  # 573 k
        ("rcan", "base", 4, 15_592_355),  # 15.59 M; the 24 of its constant colour shifts are buffers here
        ("swinir", "light", 2, 878_000),
        ("swinir", "light", 3, 886_000),
        ("swinir", "light", 4, 897_000),
        ("omnisr", "base", 2, 772_000),
        ("omnisr", "base", 3, 780_000),
        ("omnisr", "base", 4, 792_000),
    ],
)
def test_parameters_are_as_many_as_published(kind, size, scale, published):
    net = build_generator(GeneratorConfig(kind=kind, size=size, scale=scale))
    if published % 1000:
        assert parameters(net) == published
        return
    # the authors of SwinIR and OmniSR count torch's own layers, without tables of positions
    counted = (torch.nn.Conv2d, torch.nn.Linear, torch.nn.LayerNorm)
    found = sum(p.numel() for m in net.modules() if isinstance(m, counted) for p in m.parameters(False))
    assert round(found, -3) == published


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "size", "published"),
    [
        ("swinir", "classical", 11_900_199),  # 11.8 M without the tables of positions
        ("dat", "s", 11_212_131),  # 11.21 M
        ("dat", "2", 11_212_131),  # 11.21 M
        ("dat", "base", 14_802_051),  # 14.80 M
    ],
)
def test_large_networks_have_the_published_number_of_parameters(kind, size, published):
    assert parameters(build_generator(GeneratorConfig(kind=kind, size=size))) == published


@pytest.mark.parametrize("kind", PUBLIC)
def test_spandrel_reads_the_weights_and_computes_the_same_image(kind):
    from spandrel import ModelLoader

    net = network(tiny(kind)).eval()
    theirs = ModelLoader().load_from_state_dict(
        {name.removeprefix("net."): t.clone() for name, t in net.state_dict().items()}
    )
    assert theirs.scale == 4
    for size in ((24, 20), (33, 41)):
        x = image(1, 3, *size)
        with torch.inference_mode():
            assert torch.allclose(net(x), theirs.model.eval()(x.clone()), atol=1e-4)
            assert torch.allclose(deployed(net)(x), net(x), atol=1e-5)


@pytest.mark.parametrize("kind", PUBLIC)
def test_any_size_is_taken_the_input_is_kept_and_the_image_is_float32(kind):
    net = network(tiny(kind, scale=2)).eval()
    x = image(1, 3, 5, 7)
    before = x.clone()
    with torch.inference_mode():
        full = net(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(x)
    assert full.shape == (1, 3, 10, 14) and torch.equal(x, before)
    assert half.dtype == torch.float32
    assert (half - full).abs().max() / max(1, full.abs().max()) < (0.05 if kind == "span" else BF16_BOUND)
    assert isinstance(net.tail, torch.nn.Conv2d)


def _run(kind: str, batch: int = 4) -> TrainConfig:
    config = TrainConfig(
        generator=tiny(kind, scale=2),
        optim=OptimConfig(lr_psnr=1e-3),
        run=RunConfig(ema_decay=0.9),
    )
    return override(config, {"data.batch_size": batch})


def _steps(config: TrainConfig, state, first: int, last: int) -> None:
    step = TrainStep(config, state)
    for k in range(first, last):
        hr = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(k))
        step(hr, hr[..., ::2, ::2].contiguous())
        state.step += 1
    step.check()


@pytest.mark.parametrize("kind", PUBLIC)
def test_one_step_changes_every_parameter_and_a_resumed_run_is_equal_to_the_bit(kind, tmp_path):
    config, cpu = _run(kind), torch.device("cpu")
    straight = new_state(config, "psnr", cpu)
    before = {name: p.detach().clone() for name, p in straight.generator.named_parameters()}
    _steps(config, straight, 0, 1)
    still = [name for name, p in straight.generator.named_parameters() if torch.equal(p, before[name])]
    # DAT adds these biases before softmax, which no constant changes: their gradient is 0 but for rounding
    assert [name for name in still if not name.endswith("pos3.2.bias")] == []
    checkpoint.save(tmp_path / "step-1", config, straight)
    _steps(config, straight, 1, 3)
    resumed, _ = checkpoint.load(tmp_path / "step-1", config, cpu)
    _steps(config, resumed, 1, 3)
    for part in ("generator", "ema"):
        one, other = getattr(straight, part).state_dict(), getattr(resumed, part).state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_spans_gradients_are_those_of_its_separate_branches():
    from spandrel.architectures.SPAN.__arch.span import Conv3XC

    torch.manual_seed(0)
    theirs = Conv3XC(4, 5, gain1=2).double().train()
    from trainers.models.public import MergedConv

    ours = Conv3XC(4, 5, gain1=2).double()
    ours.__class__ = MergedConv
    ours.adapt()
    ours.load_state_dict(theirs.state_dict())
    x = image(2, 4, 6, 7).double()
    assert torch.allclose(ours(x), theirs(x), atol=1e-12)
    names = [name for name, _ in ours.named_parameters()]
    for net in (ours, theirs):
        net(x).square().sum().backward()
    theirs_by_name = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        assert torch.allclose(p.grad, theirs_by_name[name].grad, atol=1e-9)
    assert len(names) == 8 and theirs_by_name["eval_conv.weight"].grad is None


@pytest.mark.parametrize("kind", PUBLIC)
def test_tiles_equal_the_whole_image_or_stay_close_to_it(kind):
    net = network(tiny(kind, scale=2)).eval()
    pixels = np.random.default_rng(0).integers(255, size=(24, 170, 3), dtype=np.uint8)
    need = footprint(net, 2)
    tiled = upscale(net, pixels, scale=2, memory_mb=need.bytes_per_pixel * 24 * 150 / 2**20)
    whole = upscale(net, pixels, scale=2, memory_mb=4096)
    difference = np.abs(tiled.astype(int) - whole.astype(int))
    if GENERATORS[kind].overlap == 0:
        assert difference.max() <= 1  # rounding
    else:  # pooled attention and norms see other pixels: grey levels of 255
        assert difference.mean() < 1.0, difference.mean()


def test_pixels_of_opposite_borders_do_not_attend_to_one_another():
    """Four windows of 2x2 over 4x4, shifted by one: only the last row and column of windows mix borders."""
    mask = shifted_window_mask(4, 4, (2, 2), (1, 1), torch.device("cpu"))
    assert mask.shape == (4, 4, 4) and (mask[0] == 0).all()
    assert (mask[3].diagonal() == 0).all() and int((mask[3] == 0).sum()) == 4
    assert int((mask[1] == 0).sum()) == 8


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            dict(kind="span", num_blocks=8),
            r"num_blocks must be 16 \(span comes in published sizes: ch48",
        ),
        (dict(kind="swinir", size="small"), r"no size 'small'; known: .*light"),
        (dict(kind="swinir", scale=1), r"generator\.scale of swinir must be 2, 3, 4 or 8, but got 1"),
        (dict(kind="dat", size="{"), r"generator\.size must be a name or a JSON object"),
        (dict(size="ch48"), r"generator\.size must be  \(srresnet does not read it\)"),
    ],
)
def test_sizes_and_settings_that_a_kind_does_not_have_are_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        GeneratorConfig(**settings)


def test_arguments_that_a_class_does_not_take_are_one_sentence():
    with pytest.raises(UserError, match=r"generator\.size does not fit compact: .*unexpected keyword"):
        build_generator(GeneratorConfig(kind="compact", size='{"blocks": 3}'))


def test_another_kind_resets_what_it_does_not_read():
    recipe = TrainConfig(generator=GeneratorConfig(num_blocks=8, norm="none"))
    span = override(recipe, {"generator.kind": "span", "generator.size": "ch52"})
    assert span.generator == GeneratorConfig(kind="span", size="ch52")
    assert override(span, {"generator.kind": "swinir"}).generator == GeneratorConfig(kind="swinir")
    assert override(recipe, {"generator.kind": "rrdb"}).generator.num_blocks == 8
    with pytest.raises(UserError, match=r"generator\.num_blocks must be 16"):
        override(recipe, {"generator.kind": "span", "generator.num_blocks": 4})
