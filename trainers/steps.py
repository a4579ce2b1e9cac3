"""One update of each network: the heart. Knows the mathematics of a step, not its cadence.

The generator's losses meet at its output: each term's gradient is taken there, and one backward pass
carries their sum through the generator. The work equals that of a single backward of the summed loss,
and the size of every term's pull on the generator comes for free.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainers import losses
from trainers.config import TrainConfig
from trainers.perceptual import VGGFeatures, content_loss
from trainers.state import Diverged, TrainState

TERMS = ("pixel", "content", "adversarial", "tv", "discriminator", "g_gradient", "d_gradient")


class Step:
    """Updates of a `TrainState` for one phase; call it with a batch.

    Nothing here waits for the device: losses stay on it, and the first step and term that were not
    finite are latched there and raised as `Diverged` by `check`, which reads them.
    """

    def __init__(self, config: TrainConfig, state: TrainState, features: nn.Module | None = None) -> None:
        self.config, self.state, self.features = config, state, features
        self.device = next(state.generator.parameters()).device
        self.g_params = list(state.generator.parameters())
        self.d_params = list(state.discriminator.parameters()) if state.discriminator else []
        self.ema_params = list(state.ema.parameters())
        self.norm_stats = [_Shadow(m) for m in (state.generator, state.discriminator) if m is not None]
        self.values: dict[str, Tensor] = {}
        self.unchecked: list[str] = []
        # bad: 0 while all is finite; then 1, and every later update is skipped on the device
        self.bad = torch.zeros((), device=self.device)
        self.bad_step = torch.full((), -1, dtype=torch.int64, device=self.device)
        self.bad_term = torch.full((), -1, dtype=torch.int64, device=self.device)

    def __call__(self, hr: Tensor, lr_image: Tensor) -> None:
        """hr (N,3,H,W) and lr_image (N,3,h,w) in [0, 1]: one update of each network of the phase."""
        hr = hr.contiguous(memory_format=torch.channels_last)
        lr_image = lr_image.contiguous(memory_format=torch.channels_last)
        for stats in self.norm_stats:
            stats.remember(self.bad)
        self.values = {}
        sr = self._forward_generator(lr_image)
        if self.state.phase == "psnr":
            self._update_generator(sr, {"pixel": self._pixel(sr, hr)})
        elif self.config.optim.update_order == "d_first":
            self._d_first(sr, hr)
        else:
            self._simultaneous(sr, hr)
        self._update_ema()

    def check(self) -> None:
        """Raise `Diverged` if any update since the start was not finite; waits for the device."""
        step = int(self.bad_step.item())
        if step >= 0:
            for stats in self.norm_stats:
                stats.restore()
            raise Diverged(step, TERMS[int(self.bad_term.item())])

    def read(self) -> dict[str, float]:
        """The last step's losses and gradient shares as numbers; waits for the device once."""
        names = list(self.values)
        return dict(zip(names, torch.stack([self.values[n] for n in names]).tolist(), strict=True))

    def terms(self, sr: Tensor, hr: Tensor, fake: Tensor | None, real: Tensor | None) -> dict[str, Tensor]:
        """The enabled generator losses of the GAN phase, weighted. fake, real: logits of D."""
        loss, terms = self.config.loss, {}
        if loss.pixel_weight:
            terms["pixel"] = loss.pixel_weight * self._pixel(sr, hr)
        if loss.content_weight:
            assert self.features is not None
            with torch.no_grad():
                target = self.features(hr)
            terms["content"] = loss.content_weight * content_loss(
                self.features(sr), target, loss.content_scale, loss.content_criterion
            )
        if loss.adversarial_weight:
            assert fake is not None
            terms["adversarial"] = loss.adversarial_weight * losses.adversarial_g(
                loss.adversarial, real, fake
            )
        if loss.tv_weight:
            terms["tv"] = loss.tv_weight * losses.total_variation(sr)
        return terms

    # -- the two update orders ------------------------------------------------------------------------

    def _d_first(self, sr: Tensor, hr: Tensor) -> None:
        """As in the papers: D learns from this batch, then judges it for the generator."""
        discriminator = self.state.discriminator
        assert discriminator is not None
        if self.config.loss.adversarial_weight:
            hr = self._differentiable(hr)
            with self._autocast():
                real, fake = discriminator(hr).float(), discriminator(sr.detach()).float()
            grads = self._discriminator_gradients(hr, sr, real, fake, retain_graph=False)
            self._apply(self.state.opt_d, self.d_params, grads, "d_gradient")
            hr = hr.detach()
            with self._autocast():
                fake = discriminator(sr).float()
                real = self._real_for_generator(hr)
        else:
            real = fake = None
        with self._autocast():
            terms = self.terms(sr, hr, fake, real)
        self._update_generator(sr, terms)

    def _simultaneous(self, sr: Tensor, hr: Tensor) -> None:
        """Both losses from one D(fake): gradients of both are taken before either network moves."""
        discriminator = self.state.discriminator
        assert discriminator is not None
        real = fake = None
        if self.config.loss.adversarial_weight:
            hr = self._differentiable(hr)
            with self._autocast():
                real, fake = discriminator(hr).float(), discriminator(sr).float()
            d_grads = self._discriminator_gradients(hr, sr, real, fake, retain_graph=True)
            hr = hr.detach()
        with self._autocast():
            terms = self.terms(sr, hr, fake, None if real is None else real.detach())
        self._update_generator(sr, terms)
        if self.config.loss.adversarial_weight:
            self._apply(self.state.opt_d, self.d_params, d_grads, "d_gradient")

    def _real_for_generator(self, hr: Tensor) -> Tensor | None:
        if not losses.needs_real(self.config.loss.adversarial):
            return None
        assert self.state.discriminator is not None
        with torch.no_grad():
            return self.state.discriminator(hr).float()

    # -- parts -----------------------------------------------------------------------------------------

    def _forward_generator(self, lr_image: Tensor) -> Tensor:
        with self._autocast():
            return self.state.generator(lr_image).float()

    def _autocast(self) -> torch.autocast:
        enabled = self.config.run.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _pixel(self, sr: Tensor, hr: Tensor) -> Tensor:
        loss = self.config.loss
        return losses.pixel_loss(loss.pixel, sr, hr, loss.pixel_colors)

    def _differentiable(self, hr: Tensor) -> Tensor:
        """The real images as R1 needs them: with a gradient of their own."""
        return hr.detach().requires_grad_() if self.config.loss.r1_weight else hr

    def _discriminator_gradients(
        self, hr: Tensor, sr: Tensor, real: Tensor, fake: Tensor, retain_graph: bool
    ) -> Sequence[Tensor]:
        config = self.config.loss
        loss = losses.adversarial_d(config.adversarial, real, fake, smoothing=config.label_smoothing)
        if config.r1_weight:
            loss = loss + config.r1_weight * losses.r1_penalty(real, hr)
        if config.gradient_penalty_weight:
            # seeded by run and step: a resumed run draws the same points without carrying a state
            points = torch.Generator(self.device).manual_seed(self.config.run.seed << 32 | self.state.step)
            assert self.state.discriminator is not None
            penalty = losses.gradient_penalty(self.state.discriminator, hr, sr, points)
            loss = loss + config.gradient_penalty_weight * penalty
        self._note("discriminator", loss)
        self.values["d_real"], self.values["d_fake"] = real.detach().mean(), fake.detach().mean()
        self.values["d_accuracy"] = ((real > 0).float().mean() + (fake < 0).float().mean()).detach() / 2
        return torch.autograd.grad(loss, self.d_params, retain_graph=retain_graph)

    def _update_generator(self, sr: Tensor, terms: dict[str, Tensor]) -> None:
        total = torch.zeros_like(sr)
        for name, loss in terms.items():
            self._note(name, loss)
            pull = gradient_at_output(loss, sr)
            self.values[f"pull/{name}"] = pull.norm()
            total = total + pull
        grads = torch.autograd.grad(sr, self.g_params, total)
        self._apply(self.state.opt_g, self.g_params, grads, "g_gradient")

    def _apply(self, optimizer: object, params: list[Tensor], grads: Sequence[Tensor], term: str) -> None:
        assert isinstance(optimizer, torch.optim.Optimizer)
        norm = torch.stack(torch._foreach_norm(list(grads))).norm()
        self._note(term, norm)
        self._latch()
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        # Read by fused Adam as GradScaler sets it: where it is 1 the update and its moments are skipped.
        optimizer.found_inf = self.bad  # type: ignore[attr-defined]
        optimizer.step()
        for p in params:
            p.grad = None

    def _note(self, term: str, value: Tensor) -> None:
        """Keep `value` for the log and for the next `_latch`."""
        self.values[term] = value.detach().float()
        self.unchecked.append(term)

    def _latch(self) -> None:
        """Remember the first step and term that were not finite, without waiting for the device."""
        finite = torch.isfinite(torch.stack([self.values[t] for t in self.unchecked]))
        index = torch.tensor([TERMS.index(t) for t in self.unchecked], device=self.device)
        bad = 1 - finite.all().float()
        first = torch.logical_and(bad > 0, self.bad == 0)
        self.bad_step = torch.where(first, self.state.step + 1, self.bad_step)
        self.bad_term = torch.where(first, index[finite.int().argmin()], self.bad_term)
        self.bad = torch.maximum(self.bad, bad)
        self.unchecked.clear()

    @torch.no_grad()
    def _update_ema(self) -> None:
        """ema += (1 - decay) * (weights - ema), and nothing once a step was not finite."""
        step, decay = self.state.step + 1, self.config.run.ema_decay
        # a young average follows the weights closely, else it would still hold the start
        weight = (1 - min(decay, step / (step + 9))) * (1 - self.bad)
        difference = torch._foreach_sub(self.g_params, self.ema_params)
        torch._foreach_mul_(difference, weight)
        torch._foreach_add_(self.ema_params, difference)


def gradient_at_output(loss: Tensor, sr: Tensor) -> Tensor:
    """d loss / d sr, zero where the loss does not reach the generator's output."""
    if not loss.requires_grad:
        return torch.zeros_like(sr)
    (pull,) = torch.autograd.grad(loss, sr, allow_unused=True, retain_graph=False)
    return torch.zeros_like(sr) if pull is None else pull


def build_features(config: TrainConfig, device: torch.device) -> nn.Module | None:
    """The frozen network of the content loss, or None where its weight is 0."""
    loss = config.loss
    if not loss.content_weight:
        return None
    features = VGGFeatures(
        loss.content_network,
        loss.content_layer,
        loss.content_activation,
        loss.content_weights,
        normalise=loss.content_normalise,
    )
    return features.to(device=device, memory_format=torch.channels_last)


class _Shadow:
    """BN statistics as they were before the last finite step, kept on the device without waiting for it."""

    def __init__(self, module: nn.Module) -> None:
        self.buffers = [b for b in module.buffers() if b.is_floating_point()]
        self.kept = torch.cat([b.flatten() for b in self.buffers]) if self.buffers else None

    def remember(self, bad: Tensor) -> None:
        if self.kept is not None:
            now = torch.cat([b.flatten() for b in self.buffers])
            self.kept = torch.where(bad > 0, self.kept, now)

    def restore(self) -> None:
        if self.kept is not None:
            sizes = [b.numel() for b in self.buffers]
            for b, kept in zip(self.buffers, self.kept.split(sizes), strict=True):
                b.copy_(kept.view_as(b))
