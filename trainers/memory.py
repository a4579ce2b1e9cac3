"""The memory of a block of code in bytes of tensors, and the forecast of a training step on a GPU.

The forecast needs no GPU: the step runs on fake tensors, which have shapes and storages but no contents. It
takes seconds on any machine.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainers.config import TrainConfig, override
from trainers.optimizers import build_optimizer
from trainers.state import TrainState, new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

BEYOND_TENSORS = 1.0  # GiB of a process on a card: its CUDA context, libraries, workspaces of convolutions
FRAGMENTED = 1.1  # what the allocator holds over the bytes of tensors
CPU = torch.device("cpu")
BLOCK = 512  # bytes; torch's CUDA allocator rounds every tensor up to a multiple of it


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that exist while it is active, and remembers their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                self.count(x)
        return out

    def count(self, x: Tensor) -> None:
        """Count the storage of `x`, once, until it is freed."""
        storage = x.untyped_storage()
        key, size = storage._cdata, -(-storage.nbytes() // BLOCK) * BLOCK
        if key in self.known:
            return

        def freed(_: object) -> None:
            self.now -= size
            del self.known[key]

        self.known[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def forecast_gib(config: TrainConfig) -> float:
    """Return the GiB that one process of a run needs on its card, in the phase that needs most.

    The batch of `config` is that of this process. Evaluation is not counted: it takes large images in tiles.
    """
    phases = [p for p, n in (("psnr", config.run.psnr_steps), ("gan", config.run.gan_steps)) if n]
    peak = max(peak_bytes(config, phase) for phase in phases)
    return peak * FRAGMENTED / 2**30 + BEYOND_TENSORS


def peak_bytes(config: TrainConfig, phase: str, *, world: int = 1, device: torch.device = CPU) -> int:
    """Return the most bytes of tensors that exist at once in the second training step of `phase`.

    The first one makes the optimizers' moments. The figure for a GPU does not depend on `device`.
    """
    with fake_networks(config, phase, device) as (config, state, features), LiveBytes() as live:
        for module in filter(None, (state.generator, state.ema, state.discriminator, features)):
            for x in (*module.parameters(), *module.buffers()):
                live.count(x)
        step = TrainStep(config, state, features)
        for _ in range(2):
            step(*fake_batch(config, device, world))
            state.step += 1
    return live.peak


@contextmanager
def fake_networks(
    config: TrainConfig, phase: str, device: torch.device
) -> Iterator[tuple[TrainConfig, TrainState, nn.Module | None]]:
    """Yield the start of `phase` on fake tensors of `device`, and the settings it is built with.

    All new tensors of the context are fake. VGG's weights are random: nothing is downloaded. The network of
    the content loss stands for that of a perceptual one, Adam for SGD, which needs less; nothing is compiled.
    """
    values = {"loss.content_weights": "random", "optim.kind": "adam", "run.compile": False}
    values["loss.extra_weight"] = 0.0  # a loss of the user may not understand fake tensors
    if config.loss.perceptual_weight:
        values |= {"loss.perceptual_weight": 0.0, "loss.content_weight": 1.0}
    config = override(config, values)
    state = new_state(config, phase, CPU)
    features = build_features(config, CPU) if phase == "gan" else None
    with FakeTensorMode() as mode:
        for module in filter(None, (state.generator, state.ema, state.discriminator, features)):
            _make_fake(module, device, mode)
        state.opt_g = build_optimizer(state.generator, config.optim, config.optim.lr_g)
        if state.discriminator is not None:
            state.opt_d = build_optimizer(state.discriminator, config.optim, config.optim.lr_d)
        yield config, state, features


def fake_batch(config: TrainConfig, device: torch.device, world: int = 1) -> tuple[Tensor, Tensor]:
    """Return hr and lr_image of a batch of `config`, inside `fake_networks`."""
    bands = config.generator.image_channels
    count, side, scale = config.data.batch_size // world, config.data.crop_px, config.generator.scale
    hr, lr_image = (torch.empty(count, bands, s, s, device=device) for s in (side, side // scale))
    return hr.contiguous(memory_format=torch.channels_last), lr_image


def _make_fake(module: nn.Module, device: torch.device, mode: FakeTensorMode) -> None:
    """Replace parameters and buffers of `module` by fake ones on `device`, in their memory format."""

    def fake(x: Tensor) -> Tensor:
        return mode.from_tensor(x).detach().to(device)

    for part in module.modules():
        for name, p in part._parameters.items():
            if p is not None:
                part._parameters[name] = nn.Parameter(fake(p), requires_grad=p.requires_grad)
        for name, b in part._buffers.items():
            if b is not None:
                part._buffers[name] = fake(b)
