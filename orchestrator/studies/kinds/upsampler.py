"""The best upsampler, and the effect of the published three-stage schedule: arms of equal steps and data.

The schedule 5 + 5 + 5 epochs: interpolation and one transposed convolution; two transposed convolutions; two
transposed convolutions on VGG features. Each stage starts from the weights of the previous stage that fit.
run.gan_steps of the base config is five epochs. Stage 3 changes the loss and so its unit: each stage's loss
is drawn apart from PSNR, and the factor that the change of unit explains is measured on one network.
"""

from bisect import bisect_left

import torch

from datasets.text import count
from orchestrator.studies.kinds import upsampler_results
from orchestrator.studies.kinds.upsampler_results import EQUAL, INTERP, KEPT, SHUFFLE, STAGES, TRANSPOSED, VGG
from orchestrator.studies.plan import Study, first_set, on_set, prepared
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.spec import StudyTestSet, Training, arms_that_begin, installed, open_test, seeded
from trainers.benchmarks.cost import parameters
from trainers.config import TrainConfig, override
from trainers.models import build_generator

KIND = "upsampler_study"
BASELINES = ("bicubic", "bicubic, sharpened")
DEFAULTS = ("celeba=img_align_celeba.zip",)
SPLIT = "upsampling"
METRICS = ("psnr_y", "ssim_y", "swd", "checkerboard")
PERCEPTUAL = ("lpips_alex",)
"""Measured as well if its weights are installed; VGG16, a loss of this study, has no part in it."""
LEARNING_RATES, BATCHES = (0.3, 1.0, 3.0), (0.5, 1.0, 2.0)
"""Factors of the base's learning rates and batch, which the document leaves open."""
UPSAMPLER = "generator.upsampler"
ON_VGG = {"loss.pixel_weight": 0.0, "loss.content_weight": 1.0}
KERNELS = {2: "transposed_conv_2", 3: "transposed_conv_3"}
"""Kernels beside 4, the kernel of the base arm."""


def plan(
    request: StudyRequest, dry: bool = False, sensitivity: bool = True, only: tuple[str, ...] = ()
) -> Study:
    """Return all arms on one set, or those whose names begin with a word of `only`.

    UserError for a scale the schedule cannot do, a set without a test part, or a word that begins no arm.
    """
    name, spec = first_set(request.data, DEFAULTS)
    base = on_set(request.config, prepared(spec, SPLIT, request, dry))
    if not dry:
        open_test(base.data, request.work_dir)
    test = StudyTestSet(name, base.data)
    whole, metrics = arms(base, sensitivity), METRICS + installed(*PERCEPTUAL)
    trainings = []
    for seed in range(request.seeds):
        for arm, config in whole.items():
            trainings.append(Training(arm, seed, seeded(config, seed), (test,), metrics))
        stages = _stages(base, seed, test, metrics)
        kept = _stages(base, seed, test, metrics, kept_after=stages[0].name) if sensitivity else []
        trainings += [*stages, *kept]
    wanted = arms_that_begin(only, (t.arm for t in trainings))
    chosen = tuple(t for t in trainings if t.arm in wanted)
    return Study(KIND, chosen, upsampler_results.conclude, _conditions(request, sensitivity), SPLIT)


def arms(base: TrainConfig, sensitivity: bool) -> dict[str, TrainConfig]:
    """Return the arms that train one network for all fifteen epochs."""
    whole = override(base, {"run.psnr_steps": 0, "run.gan_steps": 3 * base.run.gan_steps})
    configs = {SHUFFLE: override(whole, {UPSAMPLER: "pixel_shuffle"})}
    target = _parameters(configs[SHUFFLE])
    for name, upsampler in ((INTERP, "interp_transposed"), (TRANSPOSED, "transposed_conv")):
        configs[name] = override(whole, {UPSAMPLER: upsampler})
        if sensitivity:
            configs[name + EQUAL] = _equal(configs[name], target)
    configs[VGG] = override(configs[TRANSPOSED], ON_VGG)
    return configs | (_sensitivity(configs) if sensitivity else {})


def _sensitivity(configs: dict[str, TrainConfig]) -> dict[str, TrainConfig]:
    """Return two upsamplers with three learning rates and batches, and one with three kernels."""
    more = {}
    for name in (SHUFFLE, TRANSPOSED):
        c = configs[name]
        for factor in (f for f in LEARNING_RATES if f != 1):
            rates = {"optim.lr_g": c.optim.lr_g * factor, "optim.lr_d": c.optim.lr_d * factor}
            more[f"{name}, lr_g {rates['optim.lr_g']:g}"] = override(c, rates)
        for factor in (f for f in BATCHES if f != 1):
            size = max(1, int(c.data.batch_size * factor))
            steps = round(c.run.gan_steps * c.data.batch_size / size)
            more[f"{name}, batch {size}"] = override(c, {"data.batch_size": size, "run.gan_steps": steps})
    for kernel, upsampler in KERNELS.items():
        more[f"{TRANSPOSED}, kernel {kernel}"] = override(configs[TRANSPOSED], {UPSAMPLER: upsampler})
    return more


def _stages(
    base: TrainConfig, seed: int, test: StudyTestSet, metrics: tuple[str, ...], kept_after: str = ""
) -> list[Training]:
    """Return the three stages of the schedule.

    With `kept_after`, the name of a stage 1, return stages 2 and 3 that continue it with Adam's moments and
    the discriminator kept.
    """
    first = override(base, {UPSAMPLER: "interp_transposed", "run.psnr_steps": 0})
    second = override(first, {UPSAMPLER: "transposed_conv"})
    configs = dict(zip(STAGES, (first, second, override(second, ON_VGG)), strict=True))
    if kept_after:
        del configs[STAGES[0]]
    stages: list[Training] = []
    for arm, config in configs.items():
        after = stages[-1].name if stages else kept_after
        config = override(config, {"run.start_keeps_all": bool(kept_after)})
        name = arm + KEPT if kept_after else arm
        stages.append(Training(name, seed, seeded(config, seed), (test,), metrics, after))
    return stages


def _parameters(config: TrainConfig) -> int:
    with torch.device("meta"):
        return parameters(build_generator(config.generator))


def _equal(config: TrainConfig, target: int) -> TrainConfig:
    """Return `config` with the number of channels whose parameters are nearest to `target`."""

    def wide(channels: int) -> TrainConfig:
        return override(config, {"generator.channels": channels})

    first = config.generator.channels
    near = range(first, 2 * first + 1)
    above = bisect_left(near, target, key=lambda channels: _parameters(wide(channels)))
    around = near[max(0, above - 1) : above + 1]
    return wide(min(around, key=lambda channels: abs(_parameters(wide(channels)) - target)))


def _conditions(request: StudyRequest, sensitivity: bool) -> tuple[str, ...]:
    c = request.config
    return (
        f"recipe {c.recipe}: crop {c.data.crop_px} px x{c.generator.scale}, {c.generator.num_blocks} blocks "
        f"x {c.generator.channels}, batch {c.data.batch_size}, five epochs are {c.run.gan_steps:,} updates, "
        f"lr {c.optim.lr_g:g}, adversarial weight {c.loss.adversarial_weight:g}; "
        f"{count(request.seeds, 'seed')}",
        f"VGG is {c.loss.content_network} {c.loss.content_layer}, weights {c.loss.content_weights}, factor "
        f"{c.loss.content_scale:.4f}"
        + ("; a row on random features shows mechanics only" if c.loss.content_weights == "random" else ""),
        "the discriminator and Adam's moments start anew at each swap, except in arms with 'moments kept'"
        + ("" if sensitivity else "; --sensitivity varies learning rate, batch, kernel, width and moments"),
    )
