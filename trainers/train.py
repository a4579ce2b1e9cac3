"""One run in one folder, from settings to the best checkpoint: the command experiments/train.py.

Under torchrun, several processes train one run, each with its share of every batch.
"""

import json
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from datasets import stopping
from datasets.errors import UserError
from datasets.files import alone, atomic_write, read_json
from datasets.image_set import ImageSet, open_images
from datasets.loader import TrainLoader, eval_pairs, eval_protocol
from trainers import distributed, preflight
from trainers.checkpoint import read_config, read_extra, whole
from trainers.config import TrainConfig, flatten, portable, with_pixels
from trainers.device import pick_device
from trainers.distributed import Ranks
from trainers.evaluate import Evaluator
from trainers.monitor import FolderMonitor, Monitor, SilentMonitor
from trainers.numerics import use_threads
from trainers.objectives import Objectives, measured_metrics, similarity
from trainers.state import Diverged
from trainers.training import TrainingRun

# A run may resume with other values of these settings: they do not change its result.
MACHINE = ("run.device", "run.threads")
BICUBIC = "bicubic.json"
"""File of bicubic's metrics on val, beside config.json."""


def train(config: TrainConfig, out: Path, work_dir: Path, also: Sequence[str] = ()) -> Path:
    """Run both phases in `out`, resuming a run that is there; return the folder of the best candidate.

    `also` names metrics to measure besides the two objectives; if there are none, SSIM is measured. Nothing
    is written to `out` before the preflight has passed.

    Raises:
        UserError: the settings cannot be run, `out` holds a run with other settings, or the run diverged.
        Stopped: the process received SIGTERM; a checkpoint has been saved.
    """
    config = with_pixels(config, _open("train", config, work_dir).format)
    _require_same_settings(config, out)
    device = pick_device(config.run.device)
    if config.run.threads:
        use_threads(config.run.threads)
    with distributed.joined(device) as (ours, device), _sigterm() as stop, ExitStack() as stack:
        loader, evaluator = _inputs(config, work_dir, also, device, ours)
        leader = FolderMonitor(out, config)
        if ours.rank == 0:
            _begin(config, leader, loader, evaluator, stack)
        monitor: Monitor = leader if ours.rank == 0 else SilentMonitor(leader)
        try:
            TrainingRun(config, loader, evaluator, monitor, device, stop=stop.is_set, ranks=ours).train()
        except Diverged as diverged:
            raise UserError(_advice(diverged, leader)) from None
        ours.wait()
    return best_candidate(config, out)


def checkpoint_in(folder: Path) -> Path:
    """Return the best candidate of the run in `folder`; any other folder, a checkpoint's own, itself."""
    is_run = (folder / "checkpoints").is_dir()
    return best_candidate(read_config(folder), folder) if is_run else folder


def best_candidate(config: TrainConfig, out: Path) -> Path:
    """Return the folder of the best candidate; the last checkpoint if there are no candidates.

    Feasible candidates (Objectives.floor) come first and are ordered by perception. A run that began with
    random weights has no warm start: bicubic takes its place.

    Raises:
        UserError: the folder holds no checkpoint of a run.
    """
    last = FolderMonitor(out, config).restore()
    if last is None:
        raise UserError(f"{out} holds no checkpoint of a run")
    measured = {p: read_extra(p)["val"] for p in whole(out / "candidates")}
    if not measured:
        return last
    objectives = Objectives.of(config.objective)
    warm_start = read_extra(last)["progress"]["curve"][0]
    if not (config.run.psnr_steps or config.run.start_from):
        warm_start = read_json(out / BICUBIC)
    return min(measured, key=lambda p: objectives.order(measured[p], warm_start))


def _open(role: str, config: TrainConfig, work_dir: Path) -> ImageSet:
    return open_images(config.data.source(role), role, work_dir=work_dir, data=config.data)


def _inputs(
    config: TrainConfig, work_dir: Path, also: Sequence[str], device: torch.device, ours: Ranks
) -> tuple[TrainLoader, Evaluator]:
    data, scale = config.data, config.generator.scale
    train_images, val_images = (_open(role, config, work_dir) for role in ("train", "val"))
    loader = TrainLoader(train_images, data, scale, device=device, rank=ours.rank, world=ours.world)
    metrics = dict.fromkeys((*measured_metrics(config), *(also or [similarity(config)])))
    pairs = eval_pairs(val_images, data, scale, limit=data.eval_images)
    protocol = eval_protocol(val_images, data)
    return loader, Evaluator(pairs, list(metrics), scale=scale, device=device, protocol=protocol)


def _begin(
    config: TrainConfig, leader: FolderMonitor, loader: TrainLoader, evaluator: Evaluator, stack: ExitStack
) -> None:
    """Hold the folder for this process; for a new run, after its preflight, and write config.json.

    Bicubic's metrics are printed to compare with.
    """
    out, new = leader.folder, leader.restore() is None
    if new:
        preflight.check(config, *preflight.first_batch(loader))
    stack.enter_context(alone(out / ".lock", f"trains in {out}"))
    _require_same_settings(config, out)  # again: another process may have begun meanwhile
    if not new:
        return
    atomic_write(out / "config.json", (json.dumps(portable(config), indent=1) + "\n").encode())
    bicubic = evaluator.measure_resizer("bicubic").summary
    atomic_write(out / BICUBIC, (json.dumps(bicubic) + "\n").encode())
    print("bicubic       " + "  ".join(f"{k} {v:.4g}" for k, v in bicubic.items()))


@contextmanager
def _sigterm() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGHUP set, so that the run can save a checkpoint; main thread only."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, _: (stopping.note(number), stop.set()))
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _advice(diverged: Diverged, monitor: FolderMonitor) -> str:
    saved = monitor.restore()
    where = f"the last weights saved before it are in {saved}; " if saved else ""
    return f"{diverged}; {where}lower optim.lr_psnr, optim.lr_g, optim.lr_d or loss.adversarial_weight"


def _require_same_settings(config: TrainConfig, out: Path) -> None:
    path = out / "config.json"
    if not path.exists():
        return
    # settings that did not exist yet when the run began had the value that is now their default
    before, now = flatten(TrainConfig()) | read_json(path), flatten(config)
    changed = [k for k in now if before.get(k) != now[k] and k not in MACHINE]
    if changed:
        raise UserError(
            f"{out} holds a run with other settings ({', '.join(changed[:3])}); choose another --out"
        )
