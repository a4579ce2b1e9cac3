"""One run in one folder, from settings to the best checkpoint: what experiments/train.py does."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from datasets.errors import UserError
from datasets.loader import TrainLoader, eval_pairs, open_images
from trainers import preflight
from trainers.config import TrainConfig, flatten
from trainers.device import pick_device
from trainers.evaluate import Evaluator
from trainers.loop import Run
from trainers.metrics import METRICS
from trainers.monitor import FolderMonitor
from trainers.state import Diverged


def train(config: TrainConfig, out: Path, work_dir: Path, also: Sequence[str] = ()) -> Path:
    """Run both phases in `out`, resuming what is there; the folder of the best candidate.

    UserError for settings that cannot be run, for a folder that belongs to other settings, and for a run
    that diverged.
    """
    _same_settings(config, out)
    device = pick_device(config.run.device)
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    data, scale = config.data, config.generator.scale
    images = {
        role: open_images(data.source(role), role, work_dir=work_dir, data=data) for role in ("train", "val")
    }
    loader = TrainLoader(images["train"], data, scale, device=device)
    metrics = dict.fromkeys((config.objective.distortion, config.objective.perceptual, *also))
    pairs = eval_pairs(images["val"], data, scale, limit=data.eval_images)
    protocol = {"degradation": data.degradation, "images": images["val"].digest}
    evaluator = Evaluator(pairs, list(metrics), scale=scale, device=device, protocol=protocol)
    monitor = FolderMonitor(out, config)
    if monitor.restore() is None:
        preflight.check(config, *preflight.first_batch(loader))
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.json").write_text(json.dumps(flatten(config), indent=1) + "\n")
        bicubic = evaluator.measure_resizer("bicubic").summary
        print("bicubic       " + "  ".join(f"{k} {v:.4g}" for k, v in bicubic.items()))
    try:
        Run(config, loader, evaluator, monitor, device).whole()
    except Diverged as diverged:
        raise UserError(
            f"{diverged}; the weights before it are in {monitor.restore() or out}: lower "
            f"optim.lr_g, optim.lr_d or loss.adversarial_weight"
        ) from None
    return best_candidate(config, out)


def best_candidate(config: TrainConfig, out: Path) -> Path:
    """Feasible first (within objective.delta_db of the start), then perception; else the last checkpoint."""
    o = config.objective
    sign = -1 if METRICS[o.perceptual].direction == "max" else 1
    measured = {p.parent: json.loads(p.read_text())["val"] for p in out.glob("candidates/*/extra.json")}
    if not measured:
        return max((out / "checkpoints").iterdir())
    start = max(v[o.distortion] for v in measured.values())
    feasible = {p: v for p, v in measured.items() if v[o.distortion] >= start - o.delta_db}
    return min(feasible, key=lambda p: sign * feasible[p][o.perceptual])


def _same_settings(config: TrainConfig, out: Path) -> None:
    path = out / "config.json"
    if not path.exists():
        return
    before, now = json.loads(path.read_text()), flatten(config)
    changed = [k for k in now if before.get(k) != now[k]]
    if changed:
        raise UserError(
            f"{out} holds a run with other settings ({', '.join(changed[:3])}); choose another --out"
        )
