"""What a study would cost, before anything runs: trainings, images, and hours on the hardware at hand."""

import time
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
from orchestrator.studies.plan import Study
from orchestrator.studies.request import Request
from orchestrator.studies.spec import Training, open_test
from trainers.config import TrainConfig, digest, flatten, override
from trainers.device import describe_hardware, pick_device
from trainers.step_timing import time_step, timed


def lines(study: Study, request: Request) -> list[str]:
    """The plan in words; nothing is written and no training begins."""
    said = [f"study {study.kind}, name {request.name}: {len(study.trainings)} trainings"]
    said += [f"  {line}" for line in study.conditions]
    kept: dict[str, dict[str, float]] = {}
    hours: dict[str, float] = {}
    counts: dict[str, int] = {}
    for t in study.trainings:
        steps = _steps(t.config)
        phases = [n > 0 for n in steps.values()]
        key = digest([phases, [v for k, v in flatten(t.config).items() if k not in _FREE]])
        if key not in kept:
            kept[key] = seconds_per_step(t)
        hours[t.arm] = hours.get(t.arm, 0) + sum(kept[key].get(p, 0) * n for p, n in steps.items()) / 3600
        counts[t.arm] = counts.get(t.arm, 0) + 1
    updates = {t.arm: t.steps for t in study.trainings}
    for arm, n in counts.items():
        said.append(f"  {arm:<36} {n} x {updates[arm]:>9,} steps  {hours[arm]:>10,.2f} h")
    said += images(study, request)
    unit = "CPU-hours" if pick_device().type == "cpu" else "GPU-hours"
    total = sum(hours.values())
    said.append(
        f"in all about {total:,.1f} {unit} of training on {describe_hardware()} (from two timed updates of "
        f"each design); --miniature makes it small"
    )
    return said


_FREE = ("run.seed", "data.order_seed", "data.train", "run.psnr_steps", "run.gan_steps", "recipe")


def images(study: Study, request: Request) -> list[str]:
    """Each set with its training and test images; those that are not at hand as they are published."""
    said = []
    for data in {t.config.data.train: t.config.data for t in study.trainings}.values():
        said.append(_images(data, request, study.split))
    tests = {test.data.test: test for t in study.trainings for test in t.tests if test.data.test}
    for test in tests.values():
        first = f", of which the first {test.first:,} by key" if test.first else ""
        said.append(_images(test.data, request, "", test_only=True) + first)
    return said


def _images(data: DataConfig, request: Request, split: str, test_only: bool = False) -> str:
    """One set; what has not been imported yet is counted, not imported."""
    spec = data.test if test_only else data.train
    try:
        if Path(spec).exists() and not is_shards(spec):
            members = len(open_source(Path(spec)).members())
            return f"  images {spec}: {_cut(split) if split else f'{members:,} in all'}"
        found = [] if test_only else [f"train {_train(data, request):,}"]
        found.append(f"test {len(open_test(data, request.storage)):,}")
        return f"  images {spec}: {', '.join(found)}"
    except UserError as error:
        reason = str(error).partition(";")[0]
        published = f"{CATALOGUE[spec].images:,} in all" if spec in CATALOGUE else "unknown"
        return f"  images {spec}: {_cut(split) if split else published} once it is at hand ({reason})"


def _train(data: DataConfig, request: Request) -> int:
    return len(open_images(data.train, "train", work_dir=request.storage, data=data))


def _cut(split: str) -> str:
    return f"train {STUDIES[split]['train']:,}, test {STUDIES[split]['test']:,}"


def seconds_per_step(training: Training) -> dict[str, float]:
    """Return the measured seconds of one update in each phase that `training` has, on this machine.

    One update of two random crops with random content features is timed after one warm-up, and scaled up to
    the batch. On a CPU it is the time of one core, as a training will have it: other load is not counted.
    """
    config = training.config
    small = override(
        config, {"loss.content_weights": "random", "data.batch_size": 2, "optim.micro_batches": 1}
    )
    device = pick_device(config.run.device)
    side = config.data.crop_px
    hr, lr_image = (torch.rand(2, 3, s, s, device=device) for s in (side, side // config.generator.scale))
    phases = [phase for phase, steps in _steps(config).items() if steps]
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    timer = partial(timed, warm_up=1, at_least=1, seconds=0, clock=clock)
    seconds = time_step(small, repeat((hr, lr_image)), device, phases, timer)
    return {phase: s * config.data.batch_size / 2 for phase, s in seconds.items()}


def _steps(config: TrainConfig) -> dict[str, int]:
    return {"psnr": config.run.psnr_steps, "gan": config.run.gan_steps}
