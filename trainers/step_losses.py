"""The losses of one training step, computed from the (compiled) networks under the run's precision.

`StepLosses` turns settings into weighted loss terms; trainers/losses.py holds the formulas and
trainers/train_step.py the order of the updates.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from datasets.errors import UserError
from datasets.upload import upload
from trainers import losses, plugins
from trainers.config import TrainConfig
from trainers.distributed import ALONE, Ranks
from trainers.mixed_precision import ComputeCopy
from trainers.models.batch_norm import has_batch_norm, joined_batches
from trainers.numerics import training_numerics
from trainers.state import TrainState
from trainers.vgg_features import VGGFeatures
from trainers.weights import NEEDS, obtain


class StepLosses:
    """The networks of a `TrainState` as functions, and the losses that its settings enable.

    `features` is the network of the content loss (`build_features`), None without one; the network of the
    perceptual loss is built here. Discriminator outputs are logits. Relativistic losses average logits over
    all `ranks`.
    """

    def __init__(
        self, config: TrainConfig, state: TrainState, features: nn.Module | None, ranks: Ranks = ALONE
    ) -> None:
        self.config, self.ranks = config, ranks
        self.device = next(state.generator.parameters()).device
        if config.run.compile:
            _prepare_compiler(config)
        perceptual = _perceptual(config, self.device) if state.phase == "gan" else None
        self.g_copy, self.d_copy, features_copy, perceptual_copy = (
            module and ComputeCopy(module, bf16=config.run.precision == "bf16")
            for module in (state.generator, state.discriminator, features, perceptual)
        )
        batch_norm = self.d_copy is not None and has_batch_norm(self.d_copy.module)
        self.joins = ranks.world > 1 and batch_norm
        self.generator = _compiled(self.g_copy, config)
        self.discriminator = _compiled(self.d_copy, config)
        self.features = _compiled(features_copy, config)
        self.perceptual = _compiled(perceptual_copy, config)

    def generate(self, lr_image: Tensor) -> Tensor:
        """Return the generator's output for `lr_image`, in the input's dtype."""
        with self.autocast():
            return self.generator(lr_image).to(lr_image.dtype)

    def judge(self, image: Tensor) -> Tensor:
        """Return the discriminator's logits for `image`, in the input's dtype."""
        with self.autocast():
            return self.discriminator(image).to(image.dtype)

    def judge_both(self, one: Tensor, other: Tensor, *, constant: bool = False) -> tuple[Tensor, Tensor]:
        """Return `judge` of two batches of equal size, each normalised by its own moments.

        Several ranks with batch norm judge them in one call, for one message per layer and direction.
        `constant`: the logits of the other batch need no gradient.
        """
        if self.joins:
            assert self.d_copy is not None
            with joined_batches(self.d_copy.module, 2):
                first, second = self.judge(torch.cat([one, other])).chunk(2)
        else:
            first = self.judge(one)
            with torch.set_grad_enabled(not constant):
                second = self.judge(other)
        return first, second.detach() if constant else second

    def content_of(self, hr: Tensor) -> Tensor:
        """Return the content features of real images `hr` (N, 3, H, W) in [0, 1], without a gradient."""
        with torch.no_grad(), self.numerics():
            return self._content(hr.contiguous(memory_format=torch.channels_last))

    def _content(self, image: Tensor) -> Tensor:
        with self.autocast():
            return self.features(image)

    def numerics(self) -> AbstractContextManager[None]:
        """Return the context of cuDNN in which all of this is computed."""
        return training_numerics(self.config.run, self.device)

    def autocast(self) -> torch.autocast:
        """Return the context of run.precision: bf16 autocast, or one that changes nothing."""
        enabled = self.config.run.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def generator_terms(
        self, sr: Tensor, hr: Tensor, fake: Tensor | None, real: Tensor | None, target: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the enabled generator losses of the GAN phase, weighted, by name.

        `fake` and `real` are the discriminator's logits of `sr` and `hr`; `real` is only read by relativistic
        losses. `target` holds the content features of `hr` if they were computed before.
        """
        loss, terms = self.config.loss, {}
        if loss.pixel_weight:
            terms["pixel"] = loss.pixel_weight * self.pixel(sr, hr)
        if loss.content_weight:
            target = self.content_of(hr) if target is None else target
            terms["content"] = loss.content_weight * losses.content_loss(
                self._content(sr), target, loss.content_scale, loss.content_criterion
            )
        if loss.perceptual_weight:
            with self.autocast():
                terms["perceptual"] = loss.perceptual_weight * self.perceptual(2 * sr - 1, 2 * hr - 1).mean()
        if loss.adversarial_weight:
            assert fake is not None
            terms["adversarial"] = loss.adversarial_weight * losses.adversarial_g(
                loss.adversarial, real, fake, average=self.ranks.means
            )
        if loss.color_weight:
            terms["color"] = loss.color_weight * losses.color_loss(sr, hr)
        if loss.grid_weight:
            terms["grid"] = loss.grid_weight * losses.grid_loss(sr, hr, self.config.generator.scale)
        if loss.extra_weight:
            terms["extra"] = loss.extra_weight * extra_loss(loss.extra, sr, hr)
        if loss.tv_weight:
            terms["tv"] = loss.tv_weight * losses.total_variation(sr)
        return terms

    def pixel(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the pixel loss without a weight: the only loss of the PSNR phase."""
        return losses.pixel_loss(self.config.loss.pixel, sr, hr, self.config.loss.pixel_colors)

    def differentiable(self, hr: Tensor) -> Tensor:
        """Return `hr` with a gradient if R1 needs it, else unchanged."""
        return hr.detach().requires_grad_() if self.config.loss.r1_weight else hr

    def discriminator_loss(
        self, hr: Tensor, sr: Tensor, real: Tensor, fake: Tensor, step: int, part: int = 0
    ) -> Tensor:
        """Return the discriminator's loss with the penalties that are enabled.

        With R1, `real` must have been computed from `differentiable(hr)`. `step` and `part`, the index among
        the parts of this rank's batch, decide the points of the gradient penalty.
        """
        loss = self.config.loss
        total = losses.adversarial_d(
            loss.adversarial, real, fake, smoothing=loss.label_smoothing, average=self.ranks.means
        )
        if loss.r1_weight:
            total = total + loss.r1_weight * losses.r1_penalty(real, hr)
        if loss.gradient_penalty_weight:
            penalty = losses.gradient_penalty(self.judge, hr, sr, self._points(hr, step, part))
            total = total + loss.gradient_penalty_weight * penalty
        return total

    def _points(self, hr: Tensor, step: int, part: int) -> Tensor:
        """Return this part's points of the gradient penalty, uniform in [0, 1), (N, 1, 1, 1).

        They are drawn for the batch of all ranks by run.seed and `step`: ranks and parts draw what one
        process would, and a resumed run draws equal points without a saved state.
        """
        n, (rank, world) = len(hr), (self.ranks.rank, self.ranks.world)
        draw = torch.Generator().manual_seed((self.config.run.seed << 32 | step) % 2**64)
        count = n * self.config.optim.micro_batches * world
        share = torch.rand(count, 1, 1, 1, generator=draw, dtype=hr.dtype)
        return upload(share[rank::world][part * n : (part + 1) * n].contiguous(), self.device)


def build_features(config: TrainConfig, device: torch.device) -> nn.Module | None:
    """Return the frozen network of the content loss on `device`, or None if loss.content_weight is 0."""
    loss = config.loss
    if not loss.content_weight:
        return None
    features = VGGFeatures(
        loss.content_network,
        loss.content_layer,
        loss.content_activation,
        loss.content_weights,
        normalise=loss.content_normalise,
        criterion=loss.content_criterion,
    )
    return features.to(device=device, memory_format=torch.channels_last)


def _perceptual(config: TrainConfig, device: torch.device) -> nn.Module | None:
    """Return the metric that is a loss, on `device`: two batches in [-1, 1] -> distances (N,); else None."""
    if not config.loss.perceptual_weight:
        return None
    from trainers.metrics.dists import load_dists
    from trainers.metrics.lpips import load_lpips

    name = config.loss.perceptual
    for weights in NEEDS[name]:
        obtain(weights)  # downloaded once, as those of the content loss
    return load_dists(device) if name == "dists" else load_lpips(name, device)


def extra_loss(name: str, sr: Tensor, hr: Tensor) -> Tensor:
    """Return the user's own loss; UserError if it raises or does not return one number."""
    value = plugins.call("loss.extra", name, sr, hr)
    if not isinstance(value, Tensor) or value.numel() != 1:
        got = f"one of {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise UserError(f"loss.extra {name} must return a tensor of one number, but got {got}")
    return value.reshape(())


def _compiled(network: ComputeCopy | None, config: TrainConfig) -> Callable[..., Tensor]:
    """Return a network as a function, through torch.compile if run.compile is set."""
    if network is None:
        return _absent
    return torch.compile(network.module) if config.run.compile else network.module


def _prepare_compiler(config: TrainConfig) -> None:
    """Forget former networks of this process, and let backward passes run twice if the update order needs it.

    A process that trains one design after another would otherwise reach torch's limit of recompilations and
    train the next designs without compilation; compiled kernels are found again in the cache on the disk.
    """
    torch._dynamo.reset()
    # simultaneous updates differentiate D(fake) for both networks: its saved tensors must outlive the first
    donated = config.optim.update_order != "simultaneous"
    torch._functorch.config.donated_buffer = donated  # type: ignore[attr-defined]
    # torch's caches do not know that flag: a backward pass made for d_first would overwrite them
    torch.compiler.config.cache_key_tag = f"donated={donated}"


def _absent(*_: Tensor) -> Tensor:
    raise AssertionError("this phase has no discriminator, or no content or perceptual loss")
