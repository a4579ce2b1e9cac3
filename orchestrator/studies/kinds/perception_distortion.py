"""The perception-distortion plane: a PSNR network, the GAN that starts from it, and everything between.

Distortion is RMSE. Perception is the first of PERCEPTUAL whose weights are installed; NIQE is listed too. An
unsharp mask on the bicubic enlargement is the sentinel. Checkpoints of the GAN phase and network
interpolations are measured, alpha on the GAN as in the ESRGAN paper. Conclusions are drawn in
perception_distortion_results.py.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from datasets.errors import UserError, unknown
from datasets.text import count
from orchestrator.studies.kinds import perception_distortion_results
from orchestrator.studies.kinds.perception_distortion_results import GAN, PSNR, Alphas, read_trials
from orchestrator.studies.plan import Study, first_set, named_sets, on_set, prepared
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.spec import StudyTestSet, Training, installed, open_test, seeded

KIND = "perception_distortion"
BASELINES = ("bicubic", "bicubic, sharpened")
DEFAULTS, MINIATURE = ("div2k",), ("demo",)
SENSES = ("gan", "psnr")
PERCEPTUAL = ("lpips_alex", "niqe", "swd")
"""Measures of perception, the better first: NIQE rates an unsharp mask like the best small network, and SWD
needs no weights."""


def plan(
    request: StudyRequest,
    dry: bool = False,
    test: str = "bsd100",
    alphas: int = 11,
    alpha_on: str = "gan",
    sweep: str = "",
    test_crop_px: int = 0,
) -> Study:
    """Return two trainings per seed. UserError for networks without both phases, or for too few alphas."""
    config = request.config
    if alphas < 3:
        raise UserError(f"--alphas must be at least 3, two of which are the ends, but got {alphas}")
    if alpha_on not in SENSES:
        raise unknown("sense of alpha", alpha_on, SENSES, "--alpha-on")
    if not (config.run.psnr_steps and config.run.gan_steps):
        raise UserError("the plane needs both phases: set run.psnr_steps and run.gan_steps above 0")
    trials = read_trials(request.work_dir / sweep) if sweep else []
    _, spec = first_set(request.data, MINIATURE if request.miniature else DEFAULTS)
    base = on_set(config, prepared(spec, "", request, dry))
    ((name, path),) = named_sets((test,), ()).items()
    on = StudyTestSet(name, replace(base.data, test=path, eval_crop_px=test_crop_px))
    if not dry:
        open_test(on.data, request.work_dir)
    perceptual = installed(*PERCEPTUAL)[0]
    metrics = tuple(dict.fromkeys(("rmse_y", "psnr_y", perceptual, *installed("niqe"))))
    between = tuple(float(a) for a in np.linspace(0, 1, alphas)[1:-1].round(4))
    trainings = []
    for seed in range(request.seeds):
        start = seeded(replace(base, run=replace(base.run, gan_steps=0)), seed)
        gan = seeded(replace(base, run=replace(base.run, psnr_steps=0)), seed)
        first = Training(PSNR, seed, start, (on,), metrics)
        second = Training(GAN, seed, gan, (on,), metrics, first.name, alphas=between, candidates=True)
        trainings += [first, second]
    conclude = partial(
        perception_distortion_results.conclude,
        test=name,
        perceptual=perceptual,
        alphas=Alphas(between, alpha_on),
        trials=trials,
    )
    return Study(KIND, tuple(trainings), conclude, _conditions(request, alpha_on, name, perceptual))


def _conditions(request: StudyRequest, alpha_on: str, name: str, perceptual: str) -> tuple[str, ...]:
    c = request.config
    source = "the ESRGAN paper's sense" if alpha_on == "gan" else "the implementation report's sense"
    return (
        f"recipe {c.recipe}: {c.run.psnr_steps:,} PSNR and {c.run.gan_steps:,} GAN updates, measured on "
        f"{name}; {count(request.seeds, 'seed')}",
        f"alpha is on the {alpha_on.upper()} network ({source}); batch norm measured anew on training images",
        f"perception is {perceptual}, of {', '.join(PERCEPTUAL)} the first whose weights are installed",
    )
