"""What a training step asks of a GPU, counted without one: devices, waits, kernels, casts, layouts, messages.

Each kind of fault that the counts are to find is planted once. tests/trainers/test_fake_cuda.py runs these.
"""

import itertools

import pytest
import torch
import torch.distributed as dist
from helpers.fake_cuda import CUDA, fake_cuda, step_launches, why_not
from helpers.tiny import small_recipe, tiny
from torch.testing._internal.distributed.fake_pg import FakeStore

from experiments.recipes import RECIPES, build
from trainers.config import override
from trainers.distributed import Ranks
from trainers.memory import peak_bytes
from trainers.mixed_precision import ComputeCopy
from trainers.models.upsample import PixelShuffle

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))
PRECISIONS, ORDERS = ("fp32", "tf32", "bf16"), ("d_first", "simultaneous")
COMBINATIONS = list(itertools.product(PRECISIONS, ORDERS))
CONTENT = {"loss__content_weight": 0.3, "loss__content_scale": 0.1}
# name -> settings; casts of a step in bf16 at most, of images, logits and weights that are computed at each
# call; layouts at most: second derivatives leave channels_last
VARIANTS = {
    "r1": ({"loss__r1_weight": 1.0}, 60, 8),
    "relativistic": ({"loss__adversarial": "relativistic", "loss__tv_weight": 1e-3}, 32, 2),
    "spectral": ({"discriminator__norm": "spectral", "generator__upsampler": "transposed_conv"}, 240, 2),
    "parts, clipped": ({"optim__micro_batches": 2, "optim__clip_norm": 0.1}, 46, 2),
    "bicubic skip": ({"generator__global_skip": "bicubic", "loss__pixel_colors": "y"}, 32, 2),
}
# one of each kind of networks and losses; the others are among the slow tests
DEFAULT = (
    ("srgan_8", "bf16", "d_first"),
    ("esrgan_16_x2", "tf32", "simultaneous"),
    ("srcnn_955_rgb", "bf16", "d_first"),
    ("demo", "fp32", "d_first"),
)
CASTS = 32
LAYOUTS = {"srcnn": 9}  # torch repeats edge pixels in NCHW alone


@pytest.fixture(autouse=True)
def card():
    with fake_cuda():
        yield


def phases(config):
    return [p for p, n in (("psnr", config.run.psnr_steps), ("gan", config.run.gan_steps)) if n]


def check(config, casts=CASTS, layouts=2):
    for phase in phases(config):
        seen = step_launches(config, phase)
        assert not seen.reads and not seen.waits
        assert seen.casts <= (casts if config.run.precision == "bf16" else 0)
        # the image's gradient is one; a bicubic skip reads its input in NCHW, a content loss its gradient
        both = config.generator.global_skip == "bicubic" and config.loss.content_weight > 0
        assert seen.layouts <= LAYOUTS.get(config.generator.kind.split("_")[0], layouts + both)


@pytest.mark.parametrize(("name", "precision", "order"), DEFAULT)
def test_no_recipe_leaves_its_device_or_waits_in_a_step(name, precision, order):
    values = {"run.precision": precision, "optim.update_order": order}
    check(override(small_recipe(build(name)), values))


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "order"), COMBINATIONS)
@pytest.mark.parametrize("name", RECIPES)
def test_no_recipe_in_any_precision_and_order(name, precision, order):
    values = {"run.precision": precision, "optim.update_order": order}
    check(override(small_recipe(build(name)), values))


@pytest.mark.parametrize("name", VARIANTS)
def test_no_variant_leaves_its_device_or_waits_in_a_step(name):
    changes, *limits = VARIANTS[name]
    check(tiny(run__precision="bf16", **CONTENT, **changes), *limits)


# recipe -> kernels at most in fp32 and in bf16, casts of images and logits at most in bf16
LIMITS = {"srgan_8": (550, 580, 24)}
SLOW_LIMITS = {"esrgan": (3430, 3500, 32), "srgan_vgg54": (680, 710, 24)}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_forecast_on_the_cpu_is_that_of_a_gpu(precision):
    config = tiny(run__precision=precision, data__batch_size=16, data__crop_px=64, **CONTENT)
    gpu, cpu = peak_bytes(config, "gan", device=CUDA), peak_bytes(config, "gan")
    assert cpu == pytest.approx(gpu, rel=0.02)


def check_limits(name, fp32, bf16, casts):
    for precision, kernels in (("fp32", fp32), ("bf16", bf16)):
        seen = step_launches(override(build(name), {"run.precision": precision, "data.batch_size": 2}))
        assert seen.kernels <= kernels
        assert seen.casts <= (casts if precision == "bf16" else 0)
        assert seen.layouts <= 2


def test_kernels_of_a_step_stay_below_their_limits():
    check_limits("srgan_8", *LIMITS["srgan_8"])


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_LIMITS)
def test_kernels_of_a_large_step_stay_below_their_limits(name):
    check_limits(name, *SLOW_LIMITS[name])


# -- planted faults ----------------------------------------------------------------------------------------


def test_a_tensor_that_was_left_on_the_host_is_found():
    def spoil(step):
        judge = step.losses.judge
        step.losses.judge = lambda image: judge(image * torch.ones(1, 3, 1, 1))

    with pytest.raises(Exception, match="at least two devices"):
        step_launches(tiny(), spoil=spoil)


def test_a_read_by_the_host_is_found():
    def spoil(step):
        record = step.guard.record
        step.guard.record = lambda term, value, parts=1: record(term, value, parts) if value > 0 else None

    with pytest.raises(Exception, match="DataDependent|data-dependent|_local_scalar_dense"):
        step_launches(tiny(), spoil=spoil)


def test_a_copy_that_waits_is_found():
    def spoil(step):
        differentiable = step.losses.differentiable
        step.losses.differentiable = lambda hr: differentiable(hr) + torch.ones(1, 3, 1, 1).to(CUDA)

    assert step_launches(tiny(), spoil=spoil).waits


def test_weights_that_are_cast_at_every_call_are_found(monkeypatch):
    monkeypatch.setattr(ComputeCopy, "_copied", lambda self, network: network)
    seen = step_launches(tiny(run__precision="bf16", generator__num_blocks=4, **CONTENT))
    assert seen.casts > 40


def test_a_layer_that_leaves_channels_last_is_found(monkeypatch):
    monkeypatch.setattr(PixelShuffle, "forward", torch.nn.PixelShuffle.forward)
    assert step_launches(tiny(generator__upsampler="pixel_shuffle")).layouts > 2


# -- several ranks -----------------------------------------------------------------------------------------


def messages(config, rank, world=4, spoil=lambda step: None):
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=world)
    try:
        return step_launches(config, ranks=Ranks(rank, world), spoil=spoil).collectives
    finally:
        dist.destroy_process_group()


def messages_needed(config, g, d):
    """The messages of a GAN step with `g` batch norms in the generator and `d` in the discriminator.

    docs/cluster.md says why there are no fewer.
    """
    return 2 * g + 4 * d + 2 if config.optim.update_order == "d_first" else 2 * g + 3 * d + 1


@pytest.mark.parametrize("order", ORDERS)
def test_a_step_sends_one_message_per_norm_and_direction_and_one_per_update(order):
    with_norms = tiny(optim__update_order=order)
    assert len(messages(with_norms, 0)) == messages_needed(with_norms, g=3, d=3)
    none = {"generator__norm": "none", "discriminator__norm": "none"}
    without = tiny(optim__update_order=order, **none)
    assert len(messages(without, 0)) == messages_needed(without, g=0, d=0)


@pytest.mark.slow
@pytest.mark.parametrize(("order", "count"), [("d_first", 64), ("simultaneous", 56)])
def test_messages_of_srgan(order, count):
    config = override(build("srgan_8"), {"optim.update_order": order, "data.batch_size": 4})
    assert len(messages(config, 0)) == count == messages_needed(config, g=17, d=7)


def test_every_rank_sends_the_same_messages_in_the_same_order():
    config = tiny(loss__adversarial="relativistic", **CONTENT)
    first, last = messages(config, 0), messages(config, 3)
    assert first == last and len(first) > 4


def test_a_rank_that_sends_one_message_less_is_found():
    def spoil(step):
        if step.ranks.rank == 3:
            step.ranks = Ranks()

    config = tiny()
    assert messages(config, 0, spoil=spoil) != messages(config, 3, spoil=spoil)
