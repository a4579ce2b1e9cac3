"""Network interpolation: a point between two generators of one architecture (Wang et al., 2018, 3.4)."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from datasets.errors import UserError
from trainers.models.batch_norm import recalibrate_batch_norm


@torch.no_grad()
def interpolate(psnr: nn.Module, gan: nn.Module, alpha: float, lr_images: Iterable[Tensor] = ()) -> nn.Module:
    """Return (1 - alpha) times the weights of `psnr` plus alpha times those of `gan`, in eval mode.

    alpha is on the GAN, as in the paper. Statistics of batch norm do not interpolate: they are measured again
    on `lr_images` (N, 3, h, w) in [0, 1].

    Raises:
        UserError: if the architectures differ, or alpha is outside [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise UserError(f"alpha must be in [0, 1], but got {alpha}")
    first, second = psnr.state_dict(), gan.state_dict()
    if [(k, v.shape) for k, v in first.items()] != [(k, v.shape) for k, v in second.items()]:
        raise UserError("only two networks of one architecture can be interpolated")
    mixed = copy.deepcopy(psnr)
    mixed.load_state_dict(
        {k: torch.lerp(v, second[k], alpha) if v.is_floating_point() else v for k, v in first.items()}
    )
    recalibrate_batch_norm(mixed, lr_images)
    return mixed
