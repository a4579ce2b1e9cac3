"""What a step costs: counted against the analytic minimum, and timed against the peers' own loops.

PYTHONPATH=. OMP_NUM_THREADS=1 python tests/bench/step.py [--peer leftthomas=PATH] [--peer basicsr=PATH]

Gates (counted, so free of noise): floating-point operations over the analytic minimum, and operations per
step as the device sees them, for 8 and 16 blocks. Both are counted as on a GPU, where the last convolution
has no zeros added. Ratios (CPU seconds of one thread, both sides in turn, median): our step drives the
peer's own networks with the same weights and batch, after both have given the same gradients.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest import mock

import torch
from peers import PEERS, Rival
from PIL import Image
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from datasets.image_set import ImageSet, open_images
from datasets.loader import TrainLoader
from experiments.recipes import build
from trainers.config import TrainConfig, override
from trainers.content_cache import ContentCache
from trainers.models.layers import LastConv
from trainers.state import new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

CPU = torch.device("cpu")
MOST_OPERATIONS = {8: 550, 16: 690}
EPOCHS = 10  # of srgan_8
LOADED = "bf16, kept VGG(HR), loader"
VIEWS = (
    "view",
    "as_strided",
    "detach",
    "alias",
    "expand",
    "permute",
    "split",
    "select",
    "slice",
    "chunk",
)
FREE = (
    *VIEWS,
    "transpose",
    "unsqueeze",
    "squeeze",
    "unbind",
    "_unsafe_view",
    "empty",
    "lift_fresh",
    "_local",
    "profiler::",
    "promote_types",
)


class Operations(TorchDispatchMode):
    """Counts what is launched; a backward of a convolution is two kernels, views are none."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.syncs = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removeprefix("aten::")
        self.syncs += name.startswith("_local_scalar_dense")
        if not name.startswith(FREE) and name != "t":
            wanted = args[-1] if name.startswith("convolution_backward") else ()
            self.count += max(1, sum(wanted[:2]) if wanted else 1)
        return func(*args, **(kwargs or {}))


def flops(call: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def forward_flops(module: nn.Module, image: Tensor) -> float:
    with torch.no_grad():
        return flops(lambda: module(image.view_as(image)))


def minimum(config: TrainConfig, step: TrainStep, hr: Tensor, lr_image: Tensor) -> float:
    """Operations that no order of work avoids (reference/performance.md, section 1)."""
    g = forward_flops(step.state.generator, lr_image)
    d = forward_flops(step.state.discriminator, hr)
    v = forward_flops(step.losses.features, hr)
    head_g, head_d = (
        _head_flops(m, x) for m, x in ((step.state.generator, lr_image), (step.state.discriminator, hr))
    )
    generator = g + g + (g - head_g)
    # real and fake forward, weight gradients of both, data gradients of both, then of the fake into G
    discriminator = 2 * d + 2 * d + 2 * (d - head_d) + d
    if config.optim.update_order == "d_first":
        discriminator += d
    return generator + discriminator + 3 * v


def _head_flops(module: nn.Module, image: Tensor) -> float:
    """Of the first convolution, whose input needs no gradient."""
    first = next(m for m in module.modules() if isinstance(m, nn.Conv2d))
    return forward_flops(first, image)


def gates(order: str) -> bool:
    """Print the counted figures of 8 and 16 blocks; whether all gates hold."""
    passed = True
    for blocks, most in MOST_OPERATIONS.items():
        share, spent, seen = counted(blocks, order)
        ok = share < 1.005 and seen.syncs == 0 and seen.count <= most
        passed &= ok
        print(
            f"{blocks:>2} blocks, {order:<12}  {spent / 1e9:6.2f} GF, {share:.3f} of the minimum   "
            f"{seen.count} operations (at most {most}), {seen.syncs} waits   {'ok' if ok else 'MISSED'}"
        )
    return passed


def counted(blocks: int, order: str) -> tuple[float, float, Operations]:
    """FLOPs over the minimum, FLOPs and operations of one step on one 128 px image."""
    values = {"loss.content_weights": "random", "data.batch_size": 1, "optim.update_order": order}
    config = override(build("srgan_8"), values | {"generator.num_blocks": blocks})
    hr, lr_image = torch.rand(1, 3, 128, 128), torch.rand(1, 3, 32, 32)
    step = TrainStep(config, new_state(config, "gan", CPU), build_features(config, CPU))
    with mock.patch.object(LastConv, "_convolved", nn.Conv2d.forward):
        step(hr, lr_image)
        least = minimum(config, step, hr, lr_image)
        spent = flops(lambda: step(hr, lr_image))
        with Operations() as seen:
            step(hr, lr_image)
    return spent / least, spent, seen


def seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def ratios(rival: Rival, rounds: int) -> dict[str, list[float]]:
    """Peer's seconds over ours per round: exact, bf16, and bf16 with kept VGG(HR) through the loader.

    The peer's step has its batch at hand; the last column cuts, mirrors and shrinks its own, and pays its
    share of the computing of VGG(HR), which a run of `EPOCHS` does once per image and mirror.
    """
    ours, building = {"exact": _ours(rival, "fp32")}, 0.0
    if torch.cpu._is_avx512_bf16_supported():
        through_loader, building = _through_the_loader(rival)
        ours |= {"bf16": _ours(rival, "bf16"), LOADED: through_loader}
    else:
        print("  bf16 is not measured: this processor only emulates it")
    for call in (rival.step, *ours.values()):
        call()
    found: dict[str, list[float]] = {name: [] for name in ours}
    for round_ in range(rounds):
        names = list(ours) if round_ % 2 else list(ours)[::-1]
        before = seconds(rival.step)
        times = {name: seconds(ours[name]) for name in names}
        peer = (before + seconds(rival.step)) / 2
        if LOADED in times:
            times[LOADED] += building
        for name in ours:
            found[name].append(peer / times[name])
    return found


def _ours(rival: Rival, precision: str) -> Callable[[], None]:
    config = override(rival.config, {"run.precision": precision})
    step = TrainStep(config, rival.state(config), rival.features)
    return lambda: step(rival.hr, rival.lr_image)


def _through_the_loader(rival: Rival) -> tuple[Callable[[], None], float]:
    """A step on the loader's next batch with kept VGG(HR), and the seconds each step owes for those."""
    size, side = len(rival.hr), rival.hr.shape[-1]
    settings = {"run.precision": "bf16", "data.flip": True, "data.crop_px": side, "data.batch_size": size}
    config = override(rival.config, settings)
    step = TrainStep(config, rival.state(config), rival.features)
    loader = TrainLoader(_photographs(side, config), config.data, config.generator.scale, device=CPU)
    cache = ContentCache(loader, step.losses.content_of)
    upcoming = enumerate(loader.batches())
    spent = 0.0
    while not cache.known.all():
        index, batch = next(upcoming)
        spent += seconds(lambda index=index, batch=batch: cache.target(index, batch.hr))
    steps_of_a_run = EPOCHS * len(loader.images) / size

    def call() -> None:
        index, batch = next(upcoming)
        step(batch.hr, batch.lr_image, cache.target(index, batch.hr))

    return call, spent / steps_of_a_run


def _photographs(side: int, config: TrainConfig) -> ImageSet:
    """Sixteen squares of the packaged photographs, of exactly the crop's size, imported as a user would."""
    folder = Path(tempfile.mkdtemp())
    demo = open_images("demo", "train", work_dir=folder / "work")
    for index in range(0, len(demo), len(demo) // 16):
        Image.fromarray(demo[index][:side, :side]).save(folder / f"{index:03d}.png")
    data = override(config, {"data.train": str(folder)}).data
    return open_images(str(folder), "train", work_dir=folder / "work", data=data)


def equal_gradients(rival: Rival) -> float:
    """The largest relative difference of a network's gradient; ratios mean nothing where it is large."""
    ours = rival.state(rival.config)
    kept = {}
    for name, optimizer in (("g", ours.opt_g), ("d", ours.opt_d)):
        optimizer.register_step_pre_hook(lambda o, *_, name=name: kept.update({name: _flat(o)}))
    TrainStep(rival.config, ours, rival.features)(rival.hr, rival.lr_image)
    theirs = rival.gradients()
    return max(((kept[n] - theirs[n]).norm() / theirs[n].norm()).item() for n in kept)


def _flat(optimizer: torch.optim.Optimizer) -> Tensor:
    return torch.cat([p.grad.flatten() for group in optimizer.param_groups for p in group["params"]])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH", help=" or ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    passed = gates("simultaneous") & gates("d_first")
    for name, path in (p.split("=", 1) for p in options.peer):
        torch.set_default_dtype(torch.float64)  # float32 differs by 1e-3 between memory formats alone
        difference = equal_gradients(PEERS[name](path))
        torch.set_default_dtype(torch.float32)
        print(f"{name}: the same gradients in fp64 to {difference:.0e}")
        passed &= difference < 1e-9
        rival = PEERS[name](path)
        for column, values in ratios(rival, options.rounds).items():
            print(f"  {column:<26} {median(values):.2f}x  ({min(values):.2f} to {max(values):.2f})")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
