"""Which upsampler, and what the published three-stage schedule does: arms with equal steps, seeds and data.

5 + 5 + 5: interpolation and one transposed convolution, two transposed convolutions, the same on VGG
features; each stage starts from what fits of the one before. run.gan_steps of the base is five epochs.
Stage 3 changes the loss, so its loss is another unit: each stage's own loss is kept apart from PSNR, and the
factor that the change of unit explains is measured on one network.
"""

from bisect import bisect_left
from dataclasses import replace

import torch

from datasets.prepare import prepare_study_set
from orchestrator.studies.kinds import upsampler_results
from orchestrator.studies.kinds.dataset_matrix import on_set
from orchestrator.studies.kinds.upsampler_results import EQUAL, INTERP, KEPT, SHUFFLE, STAGES, TRANSPOSED, VGG
from orchestrator.studies.plan import Study, named_sets
from orchestrator.studies.request import Request
from orchestrator.studies.spec import TestSet, Training, open_test, seeded
from trainers.benchmarks.cost import parameters
from trainers.config import TrainConfig
from trainers.models import build_generator

KIND = "upsampler_study"
BASELINES = ("bicubic",)
DEFAULTS = ("celeba=img_align_celeba.zip",)
SPLIT = "upsampling"
METRICS = ("psnr_y", "ssim_y", "swd", "checkerboard")
LEARNING_RATES, BATCHES = (0.3, 1.0, 3.0), (0.5, 1.0, 2.0)
"""Factors of the base's learning rates and batch: what the seed leaves open gets three values each."""
KERNELS = {2: "transposed_conv_2", 3: "transposed_conv_3"}
"""Beside 4, the kernel of the base arm."""


def plan(request: Request, dry: bool = False, sensitivity: bool = True) -> Study:
    """All arms on one set. UserError for a scale the schedule cannot do, or a set without a test part."""
    ((name, spec),) = list(named_sets(request.data, DEFAULTS).items())[:1]
    place = spec if dry else prepare_study_set(spec, SPLIT, request.storage)
    base = on_set(request.config, place)
    if not dry:
        open_test(base.data, request.storage)
    test = TestSet(name, base.data)
    long = arms(base, sensitivity)
    trainings = []
    for seed in range(request.seeds):
        for arm, config in long.items():
            trainings.append(Training(arm, seed, seeded(config, seed), (test,), METRICS))
        trainings += _schedule(base, seed, test)
        trainings += _schedule(base, seed, test, kept=True)
    return Study(KIND, tuple(trainings), upsampler_results.conclude, _conditions(request, sensitivity), SPLIT)


def arms(base: TrainConfig, sensitivity: bool) -> dict[str, TrainConfig]:
    """Arms that train one network for all fifteen epochs."""
    long = replace(base, run=replace(base.run, psnr_steps=0, gan_steps=3 * base.run.gan_steps))
    shuffle = _with(long, "pixel_shuffle")
    target = _parameters(shuffle)
    found = {SHUFFLE: shuffle}
    for name, upsampler in ((INTERP, "interp_transposed"), (TRANSPOSED, "transposed_conv")):
        found[name] = _with(long, upsampler)
        found[name + EQUAL] = _equal(found[name], target)
    found[VGG] = _on_vgg(found[TRANSPOSED])
    if sensitivity:
        found |= _unstated(found)
    return found


def _unstated(found: dict[str, TrainConfig]) -> dict[str, TrainConfig]:
    """Three learning rates and batches for two upsamplers, and three kernels."""
    more = {}
    for name in (SHUFFLE, TRANSPOSED):
        c = found[name]
        for factor in (f for f in LEARNING_RATES if f != 1):
            optim = replace(c.optim, lr_g=c.optim.lr_g * factor, lr_d=c.optim.lr_d * factor)
            more[f"{name}, lr_g {optim.lr_g:g}"] = replace(c, optim=optim)
        for factor in (f for f in BATCHES if f != 1):
            size = max(1, int(c.data.batch_size * factor))
            run = replace(c.run, gan_steps=round(c.run.gan_steps * c.data.batch_size / size))
            more[f"{name}, batch {size}"] = replace(c, data=replace(c.data, batch_size=size), run=run)
    for kernel, upsampler in KERNELS.items():
        more[f"{TRANSPOSED}, kernel {kernel}"] = _with(found[TRANSPOSED], upsampler)
    return more


def _schedule(base: TrainConfig, seed: int, test: TestSet, kept: bool = False) -> list[Training]:
    """The three stages; with `kept` the moments of Adam and the discriminator go on through the swap."""
    first = replace(_with(base, "interp_transposed"), run=replace(base.run, psnr_steps=0))
    second, third = _with(first, "transposed_conv"), _on_vgg(_with(first, "transposed_conv"))
    found: list[Training] = []
    for arm, config in zip(STAGES, (first, second, third), strict=True):
        if kept and arm == STAGES[0]:
            found.append(Training(arm, seed, seeded(config, seed), (test,), METRICS))
            continue
        run = replace(config.run, start_keeps_all=kept)
        before = found[-1].name if found else ""
        name = arm + KEPT if kept else arm
        found.append(Training(name, seed, seeded(replace(config, run=run), seed), (test,), METRICS, before))
    return found[1:] if kept else found


def _with(config: TrainConfig, upsampler: str) -> TrainConfig:
    return replace(config, generator=replace(config.generator, upsampler=upsampler))


def _on_vgg(config: TrainConfig) -> TrainConfig:
    return replace(config, loss=replace(config.loss, pixel_weight=0.0, content_weight=1.0))


def _parameters(config: TrainConfig) -> int:
    with torch.device("meta"):
        return parameters(build_generator(config.generator))


def _equal(config: TrainConfig, target: int) -> TrainConfig:
    """The number of channels whose parameters come nearest to `target`."""

    def wide(channels: int) -> TrainConfig:
        return replace(config, generator=replace(config.generator, channels=channels))

    first = config.generator.channels
    near = range(first, 2 * first + 1)
    above = bisect_left(near, target, key=lambda channels: _parameters(wide(channels)))
    around = near[max(0, above - 1) : above + 1]
    return wide(min(around, key=lambda channels: abs(_parameters(wide(channels)) - target)))


def _conditions(request: Request, sensitivity: bool) -> tuple[str, ...]:
    c = request.config
    return (
        f"recipe {c.recipe}: crop {c.data.crop_px} px x{c.generator.scale}, {c.generator.num_blocks} blocks "
        f"x {c.generator.channels}, batch {c.data.batch_size}, five epochs are {c.run.gan_steps:,} updates, "
        f"lr {c.optim.lr_g:g}, adversarial weight {c.loss.adversarial_weight:g}; {request.seeds} seeds",
        f"VGG is {c.loss.content_network} {c.loss.content_layer}, weights {c.loss.content_weights}, factor "
        f"{c.loss.content_scale:.4f}"
        + ("; a row on random features shows mechanics only" if c.loss.content_weights == "random" else ""),
        "the discriminator starts anew at each swap, and so do Adam's moments, unless 'moments kept' is said"
        + ("" if sensitivity else "; learning rate, batch and kernel as given (--sensitivity varies them)"),
    )
