"""Agreement of a device with the CPU: one training step of a design, computed on both and compared.

Needed for MPS, on which convolutions have returned wrong values and fused optimizers have ignored the flag
that skips an update which is not finite, both without an error (pytorch#180984, #188335, #186360).
"""

import copy

import torch
from torch import Tensor

from datasets.errors import UserError
from trainers.config import TrainConfig, override
from trainers.state import TrainState, new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

TOLERANCE = 1e-2  # of a gradient's norm: far above the rounding of fp32, far below a wrong layout
SMALL = 1e-3  # of the largest gradient's norm: smaller ones may be rounding alone


def check_agreement(config: TrainConfig, device: torch.device) -> None:
    """Raise UserError unless a step on `device` has the gradients of the CPU, and a NaN updates nothing."""
    config = override(config, {"run.compile": False, "run.precision": "fp32"})
    draw = torch.Generator().manual_seed(0)
    count, side = max(2, config.optim.micro_batches), config.data.crop_px
    sides = (side, side // config.generator.scale)
    hr, lr_image = (torch.rand(count, config.generator.image_channels, s, s, generator=draw) for s in sides)
    expected, _ = _gradients(config, torch.device("cpu"), hr, lr_image)
    measured, step = _gradients(config, device, hr, lr_image)
    floor = SMALL * max(float(g.norm()) for g in expected.values())
    for name, wanted in expected.items():
        error = float((measured[name] - wanted).norm()) / max(float(wanted.norm()), floor)
        if not error <= TOLERANCE:
            raise UserError(
                f"run.device {device.type} computes other gradients than the CPU ({name}: {error:.1%} off) "
                f"with torch {torch.__version__}: set run.device cpu, or install another torch"
            )
    before = copy.deepcopy(step.state.generator.state_dict())
    step(torch.full_like(hr, float("nan")).to(device), lr_image.to(device))
    if not all(torch.equal(v, before[k]) for k, v in step.state.generator.named_parameters()):
        raise UserError(
            f"run.device {device.type} applies updates that are not finite with torch {torch.__version__}: "
            f"set run.device cpu, or install torch 2.14 or newer"
        )


def _gradients(
    config: TrainConfig, device: torch.device, hr: Tensor, lr_image: Tensor
) -> tuple[dict[str, Tensor], TrainStep]:
    """Return the gradient of every weight in one step on `device`, on the CPU, as the optimizers kept it."""
    phase = "gan" if config.run.gan_steps else "psnr"
    state = new_state(config, phase, device)
    step = TrainStep(config, state, build_features(config, device) if phase == "gan" else None)
    step(hr.to(device), lr_image.to(device))
    state.step += 1
    return _moments(state), step


def _moments(state: TrainState) -> dict[str, Tensor]:
    """Return the first moment of each weight: after one step, a constant times its gradient."""
    found = {}
    for label, module, optimizer in (
        ("generator", state.generator, state.opt_g),
        ("discriminator", state.discriminator, state.opt_d),
    ):
        if module is None or optimizer is None:
            continue
        for name, weight in module.named_parameters():
            kept = optimizer.state[weight]
            found[f"{label}.{name}"] = kept.get("exp_avg", kept.get("momentum_buffer")).cpu()
    return found
