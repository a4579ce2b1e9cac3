"""Learning curves of a small real problem, recorded once and replayed by tests/bench/sweep.py.

    OMP_NUM_THREADS=1 python tests/bench/curves.py        # writes tests/bench/curves/demo.json

The problem: x4 on the photographs inside scikit-image and scikit-learn, six architectures of SRResNet and 54
settings of the GAN phase for each, all from one phase seed, PSNR:GAN steps 5:1. The GAN phase is six times as
long as the averaging of its weights, else no rung could come early (at full scale it is a hundred times).
Every design runs to its end, so that any rule of early stopping can be replayed on what it would have seen.
One process per core, an architecture each: about an hour and a half of one core.
"""

import itertools
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]
CURVES = Path(__file__).parent / "curves" / "demo.json"

METRICS = ("psnr_y", "swd")
BASE = {
    "data.crop_px": 48,
    "generator.channels": 24,
    "discriminator.base_channels": 16,
    "run.psnr_steps": 1000,
    "run.gan_steps": 200,
    "run.psnr_eval_every_steps": 100,
    "run.eval_every_steps": 10,
    "run.log_every_steps": 10,
    "run.checkpoint_every_steps": 1000,
}
ARCHITECTURE = {"generator.num_blocks": (1, 2, 4), "generator.norm": ("batch", "none")}
GAN = {
    "loss.adversarial_weight": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "optim.lr_g": (1e-4, 2e-4, 4e-4),
    "optim.lr_d": (1e-4, 4e-4, 1.6e-3),
}


def grid(axes: dict[str, tuple]) -> list[dict[str, Any]]:
    """Return every combination of values."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def name(values: dict[str, Any]) -> str:
    """Return the key of a design in the recorded file."""
    return json.dumps(values, sort_keys=True)


class Recorder:
    """A monitor that keeps the evaluations and the logged shares of the adversarial gradient."""

    def __init__(self, metrics: tuple[str, ...] = METRICS) -> None:
        self.metrics = metrics
        self.points: list[list[float]] = []
        self.shares: list[float] = []

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        self.shares += [values[k] for k in ("gradient_share/adversarial",) if k in values]

    def report(self, state: Any, progress: Any) -> None:
        latest = progress.latest()
        self.points.append([state.step, *(round(latest[m], 4) for m in self.metrics)])

    def save(self, *_: Any) -> None: ...
    def keep_candidate(self, *_: Any) -> None: ...
    def drop_candidate(self, *_: Any) -> None: ...
    def restore(self) -> None: ...


def record_architecture(architecture: dict[str, Any]) -> dict[str, Any]:
    """Return the curves of one architecture: its PSNR phase, and the GAN phases that start from it."""
    import torch

    from datasets.image_set import open_images
    from datasets.loader import TrainLoader, eval_pairs
    from experiments.recipes.demo import demo
    from trainers.checkpoint import weights_of
    from trainers.config import override
    from trainers.evaluate import Evaluator
    from trainers.state import Diverged, History
    from trainers.training import TrainingRun

    torch.set_num_threads(1)
    base, device, began = override(demo(), BASE), torch.device("cpu"), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        images = {r: open_images("demo", r, work_dir=Path(folder), data=base.data) for r in ("train", "val")}
        scale = base.generator.scale
        loader = TrainLoader(images["train"], base.data, scale, device=device)
        pairs = eval_pairs(images["val"], base.data, scale, limit=base.data.eval_images)
        evaluator = Evaluator(pairs, METRICS, scale=scale, device=device)
        config, monitor = override(base, architecture), Recorder()
        run = TrainingRun(config, loader, evaluator, monitor, device)
        state = run.new_phase("psnr")
        run.run_phase(state, History())
        psnr, gan = monitor.points, {}
        weights = {k: v.clone() for k, v in weights_of(state.ema).items()}
        for settings in grid(GAN):
            monitor = Recorder()
            run = TrainingRun(override(config, settings), loader, evaluator, monitor, device)
            diverged = None
            try:
                run.run_phase(run.new_phase("gan", weights), History())
            except Diverged as error:
                diverged = [error.step, error.term]
            share = sum(monitor.shares) / max(1, len(monitor.shares))
            entry = {"points": monitor.points, "adversarial_share": round(share, 4)}
            gan[name(architecture | settings)] = entry | ({"diverged": diverged} if diverged else {})
        bicubic = evaluator.measure_resizer("bicubic").summary
    return {
        "bicubic": {m: bicubic[m] for m in METRICS},
        "psnr": {name(architecture): psnr},
        "gan": gan,
        "cpu_seconds": time.process_time() - began,
    }


def record(say: Any = print) -> dict[str, Any]:
    """Return all curves: PSNR phases by architecture, GAN phases by design."""
    from trainers.device import describe_hardware

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    about = {"settings": BASE, "commit": commit.stdout.strip(), "hardware": describe_hardware()}
    kept: dict[str, Any] = {"psnr": {}, "gan": {}}
    seconds = 0.0
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(record_architecture, grid(ARCHITECTURE)):
            kept["bicubic"] = found["bicubic"]
            kept["psnr"] |= found["psnr"]
            kept["gan"] |= found["gan"]
            seconds += found["cpu_seconds"]
            say(f"{len(kept['gan'])} designs, {seconds:.0f} CPU-seconds", flush=True)
    return {"about": about | {"cpu_seconds": round(seconds)}} | kept


def read() -> dict[str, Any]:
    """Return the recorded curves."""
    return json.loads(CURVES.read_text())


if __name__ == "__main__":
    CURVES.parent.mkdir(exist_ok=True)
    CURVES.write_text(json.dumps(record(), separators=(",", ":")) + "\n")
