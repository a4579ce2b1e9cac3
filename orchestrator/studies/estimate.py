"""The estimated cost of a study before anything runs: trainings, images, and hours on this hardware."""

import time
from collections import defaultdict
from functools import partial
from itertools import repeat
from pathlib import Path

import torch

from datasets.catalogue import CATALOGUE
from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.image_set import open_images
from datasets.shard_reader import is_shards
from datasets.sources import open_source
from datasets.splits import STUDIES
from orchestrator.studies.plan import Study, summary
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.spec import Training, open_test
from trainers.config import TrainConfig, digest, flatten, override
from trainers.device import describe_hardware, pick_device
from trainers.numerics import use_threads
from trainers.step_timing import time_step, timed

SAME_COST = ("run.seed", "data.order_seed", "data.train", "run.psnr_steps", "run.gan_steps", "recipe")
"""Settings that do not change the time of a step."""


def lines(study: Study, request: StudyRequest) -> list[str]:
    """Return the plan with its estimated hours; nothing is written and no training begins."""
    hours = hours_by_arm(study)
    unit = "CPU-hours" if pick_device().type == "cpu" else "GPU-hours"
    return [
        f"study {study.kind}, name {request.name}: {len(study.trainings)} trainings",
        *(f"  {line}" for line in study.conditions),
        *(f"  {arm:<36} {n} x {steps:>9,} steps  {hours[arm]:>10,.2f} h" for arm, n, steps in summary(study)),
        *images(study, request),
        f"in all about {sum(hours.values()):,.1f} {unit} of training on {describe_hardware()} (from two "
        f"timed updates of each design); --miniature makes it small",
    ]


def hours_by_arm(study: Study) -> dict[str, float]:
    """Return the estimated hours of each arm over its seeds; equal networks are timed once."""
    seconds: dict[str, dict[str, float]] = {}
    hours: dict[str, float] = defaultdict(float)
    for t in study.trainings:
        if t.edit:
            continue  # nothing is trained
        steps = _steps(t.config)
        costly = [v for k, v in flatten(t.config).items() if k not in SAME_COST]
        key = digest([[n > 0 for n in steps.values()], costly])
        if key not in seconds:
            seconds[key] = seconds_per_step(t)
        hours[t.arm] += sum(seconds[key].get(phase, 0) * n for phase, n in steps.items()) / 3600
    return hours


def images(study: Study, request: StudyRequest) -> list[str]:
    """Return a line for each set with its numbers of images; published numbers if it is not prepared yet."""
    text = []
    for data in {t.config.data.train: t.config.data for t in study.trainings}.values():
        text.append(_images(data, request, study.split))
    tests = {test.data.test: test for t in study.trainings for test in t.tests if test.data.test}
    for test in tests.values():
        first = f", of which the first {test.first:,} by key" if test.first else ""
        text.append(_images(test.data, request, "", test_only=True) + first)
    return text


def _images(data: DataConfig, request: StudyRequest, split: str, test_only: bool = False) -> str:
    """Return the line of one set; a set that is not imported yet is counted, not imported."""
    spec = data.test if test_only else data.train
    cut = ", ".join(f"{role} {STUDIES[split][role]:,}" for role in ("train", "test")) if split else ""
    try:
        if Path(spec).exists() and not is_shards(spec):
            return f"  images {spec}: {cut or f'{len(open_source(Path(spec)).members()):,} in all'}"
        counts = f"test {len(open_test(data, request.work_dir)):,}"
        if not test_only:
            train = open_images(data.train, "train", work_dir=request.work_dir, data=data)
            counts = f"train {len(train):,}, {counts}"
        return f"  images {spec}: {counts}"
    except UserError as error:
        reason = str(error).partition(";")[0]
        published = f"{CATALOGUE[spec].images:,} in all" if spec in CATALOGUE else "unknown"
        return f"  images {spec}: {cut or published} once it is prepared ({reason})"


def seconds_per_step(training: Training) -> dict[str, float]:
    """Return the measured seconds of one update in each phase that `training` has, on this machine.

    One update of random crops with random content features is timed after one warm-up. On a CPU it is the
    time of one core, as a training will have it, of two crops, scaled up to the batch: other load is not
    counted. A GPU takes hardly longer for a whole batch than for two crops, so it is given the whole batch.
    """
    config = training.config
    device = pick_device(config.run.device)
    timed_config = override(config, {"loss.content_weights": "random"})
    if device.type == "cpu":
        use_threads(config.run.threads or 1)  # idle threads that wait for each other count as CPU time
        timed_config = override(timed_config, {"data.batch_size": 2, "optim.micro_batches": 1})
    count, side = timed_config.data.batch_size, config.data.crop_px
    hr, lr_image = (torch.rand(count, 3, s, s, device=device) for s in (side, side // config.generator.scale))
    phases = [phase for phase, steps in _steps(config).items() if steps]
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    timer = partial(timed, warm_up=1, at_least=1, seconds=0, clock=clock)
    seconds = time_step(timed_config, repeat((hr, lr_image)), device, phases, timer)
    return {phase: s * config.data.batch_size / count for phase, s in seconds.items()}


def _steps(config: TrainConfig) -> dict[str, int]:
    return {"psnr": config.run.psnr_steps, "gan": config.run.gan_steps}
