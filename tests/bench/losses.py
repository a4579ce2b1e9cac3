"""What each loss adds to a training step, beside the plain content loss of SRGAN: operations and CPU seconds.

PYTHONPATH=. OMP_NUM_THREADS=1 python tests/bench/losses.py

The step is that of srgan_8 (one image of 128 px). Operations are counted; seconds are medians of rounds in
which all losses take turns. "kept" is the step whose features of the real images were computed before.
LPIPS and DISTS need their published weights (experiments/fetch_weights.py); VGG's are random here.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from step import flops

from experiments.recipes import build
from trainers.config import TrainConfig, override
from trainers.config.loss import PERCEPTUAL_LOSSES
from trainers.state import new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

CPU = torch.device("cpu")
LAYERS = ("vgg16 conv2_2", "vgg16 conv3_3", "vgg16 conv5_3", "vgg16 blocks", "vgg19 real_esrgan")
PLAIN = "vgg19 conv5_4"


def settings(name: str) -> dict[str, object]:
    """Return the settings of the loss called `name`: none, a metric, or a network and its layers."""
    values: dict[str, object] = {"loss.content_weight": 0.0, "objective.perceptual": "swd"}
    if name in PERCEPTUAL_LOSSES:
        return values | {"loss.perceptual": name, "loss.perceptual_weight": 1.0}
    if name == "none":
        return values
    network, layer = name.split()
    content = {"network": network, "layer": layer, "weight": 1.0, "weights": "random"}
    return values | {f"loss.content_{key}": value for key, value in content.items()}


def steps_of(config: TrainConfig) -> tuple[Callable[[], None], Callable[[], None] | None, int]:
    """Return a step, one with kept features (None without any), and the count of these numbers."""
    config = override(config, {"data.batch_size": 1})
    step = TrainStep(config, new_state(config, "gan", CPU), build_features(config, CPU))
    hr, lr_image = torch.rand(1, 3, 128, 128), torch.rand(1, 3, 32, 32)
    if not config.loss.content_weight:
        return lambda: step(hr, lr_image), None, 0
    target = step.losses.content_of(hr)
    return lambda: step(hr, lr_image), lambda: step(hr, lr_image, target), target.numel()


def seconds(call: Callable[[], None]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    calls, counts, kept = {}, {}, {}
    for name in (PLAIN, "none", *LAYERS, *PERCEPTUAL_LOSSES):
        plain, with_kept, size = steps_of(override(build("srgan_8"), settings(name)))
        calls[name], counts[name] = plain, flops(plain)
        if with_kept:
            calls[f"{name}, kept"], counts[f"{name}, kept"] = with_kept, flops(with_kept)
            kept[f"{name}, kept"] = size
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds):
        for name in list(calls) if round_ % 2 else list(calls)[::-1]:
            times[name].append(seconds(calls[name]))
    print("| loss | GFLOP of the step | relative | CPU seconds, relative | kept MB per crop and mirror |")
    print("|---|---:|---:|---:|---:|")
    for name, spent in counts.items():
        ratio = median(a / b for a, b in zip(times[name], times[PLAIN], strict=True))
        memory = f"{4 * kept[name] / 1e6:.2f}" if name in kept else ""
        share = spent / counts[PLAIN]
        print(f"| {name} | {spent / 1e9:.1f} | {share:.2f} | {ratio:.2f} | {memory} |")


if __name__ == "__main__":
    main()
