"""One update of each network: the heart. Knows the mathematics of a step, not its cadence.

The generator's losses meet at its output: each term's gradient is taken there, and one backward pass
carries their sum through the generator. The work equals that of a single backward of the summed loss,
and the size of every term's pull on the generator comes for free.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from trainers import losses
from trainers.config import TrainConfig
from trainers.distributed import ALONE, Ranks
from trainers.divergence import DivergenceGuard
from trainers.models.batch_norm import synchronise
from trainers.state import TrainState

Part = tuple[Tensor, Tensor, Tensor | None]
"""hr, lr_image and, where they are at hand, the content features of hr."""


class TrainStep:
    """Updates of a `TrainState` for one phase; call it with a batch.

    Nothing here waits for the device: losses stay on it, and what was not finite is latched there until
    `check` raises it as `Diverged`. From the first such step on no network, moment, average or running
    statistic changes, with one exception: under update order d_first a step at which only a generator
    term is not finite has already updated the discriminator (its weights and moments, from a finite
    loss), since the generator is judged by the updated one.
    """

    def __init__(
        self,
        config: TrainConfig,
        state: TrainState,
        features: nn.Module | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.config, self.state, self.ranks = config, state, ranks
        for module in filter(None, (state.generator, state.ema, state.discriminator)):
            synchronise(module, ranks)
        self.device = next(state.generator.parameters()).device
        self.generator = _compiled(state.generator, config)
        self.discriminator = _compiled(state.discriminator, config)
        self.features = _compiled(features, config)
        self.g_params = list(state.generator.parameters())
        self.d_params = list(state.discriminator.parameters()) if state.discriminator else []
        self.ema_params = list(state.ema.parameters())
        self.latch = DivergenceGuard(state, ranks)
        self.parts = config.optim.micro_batches
        self.pulls: dict[str, Tensor] = {}
        self.logits: tuple[Tensor, Tensor] | None = None
        self.images: tuple[Tensor, Tensor] | None = None

    def __call__(self, hr: Tensor, lr_image: Tensor, target: Tensor | None = None) -> None:
        """One update of each network of the phase.

        hr (N,3,H,W) and lr_image (N,3,h,w) in [0, 1]; target: the content features of hr, where they were
        computed before.
        """
        hr = hr.contiguous(memory_format=torch.channels_last)
        lr_image = lr_image.contiguous(memory_format=torch.channels_last)
        self.latch.begin()
        if self.state.phase == "psnr":
            self._pixel_only(self._split(hr, lr_image, target))
        elif self.config.optim.update_order == "d_first" and self.config.loss.adversarial_weight:
            self._d_first(self._split(hr, lr_image, target))
        else:
            self._simultaneous(self._split(hr, lr_image, target))
        self._update_ema()

    def check(self) -> None:
        """Raise `Diverged` if any update since the start was not finite; waits for the device."""
        self.latch.check()

    def read(self) -> dict[str, float]:
        """The last step's losses, pulls and signs of collapse as numbers; waits for the device once.

        pull/TERM is the norm of the term's gradient at the generator's output; output_contrast is the
        standard deviation of generated over that of real pixels: 0 where the output is one flat colour.
        """
        values = dict(self.latch.values)
        values |= {f"pull/{name}": pull.norm() for name, pull in self.pulls.items()}
        if self.logits is not None:
            real, fake = self.logits
            values["d_real"], values["d_fake"] = real.mean(), fake.mean()
            values["d_accuracy"] = ((real > 0).float().mean() + (fake < 0).float().mean()) / 2
        if self.images is not None:
            values["output_contrast"] = self.images[0].std() / self.images[1].std()
        numbers = torch.stack([v.float() for v in values.values()]).tolist()
        return dict(zip(values, numbers, strict=True))

    def content_of(self, hr: Tensor) -> Tensor:
        """What the generated images' features are compared with; no gradient."""
        with torch.no_grad(), self._autocast():
            return self.features(hr.contiguous(memory_format=torch.channels_last))

    def terms(
        self,
        sr: Tensor,
        hr: Tensor,
        fake: Tensor | None,
        real: Tensor | None,
        target: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The enabled generator losses of the GAN phase, weighted. fake, real: logits of D."""
        loss, terms = self.config.loss, {}
        if loss.pixel_weight:
            terms["pixel"] = loss.pixel_weight * self._pixel(sr, hr)
        if loss.content_weight:
            terms["content"] = loss.content_weight * self._content(sr, hr, target)
        if loss.adversarial_weight:
            assert fake is not None
            terms["adversarial"] = loss.adversarial_weight * losses.adversarial_g(
                loss.adversarial, real, fake, mean=self.ranks.mean
            )
        if loss.tv_weight:
            terms["tv"] = loss.tv_weight * losses.total_variation(sr)
        return terms

    # -- the phases and update orders ------------------------------------------------------------------

    def _pixel_only(self, parts: list[Part]) -> None:
        grads = []
        for hr, lr_image, _ in parts:
            sr = self._forward(lr_image)
            grads.append(self._generator_gradients(sr, hr, {"pixel": self._pixel(sr, hr)}))
        collected = self._collect(self.g_params, grads, "g_gradient")
        self.latch.close(self.state.step + 1)
        self._apply(self.state.opt_g, self.g_params, collected)

    def _d_first(self, parts: list[Part]) -> None:
        """As in the papers: D learns from this batch, then judges it for the generator."""
        made, grads = [], []
        for hr, lr_image, _ in parts:
            # the graph of one part is kept for the generator; of several parts none is, to save memory
            with torch.set_grad_enabled(len(parts) == 1):
                sr = self._forward(lr_image)
            made.append(sr)
            hr = self._differentiable(hr)
            real, fake = self._judge(hr), self._judge(sr.detach())
            grads.append(self._discriminator_gradients(hr, sr, real, fake, retain_graph=False))
        collected = self._collect(self.d_params, grads, "d_gradient")
        self.latch.close(self.state.step + 1)
        self._apply(self.state.opt_d, self.d_params, collected)
        grads = []
        for (hr, lr_image, target), sr in zip(parts, made, strict=True):
            sr = sr if len(parts) == 1 else self._forward(lr_image)
            fake, real = self._judge(sr), None
            if losses.needs_real(self.config.loss.adversarial):
                with torch.no_grad():
                    real = self._judge(hr)
            with self._autocast():
                terms = self.terms(sr, hr, fake, real, target)
            grads.append(self._generator_gradients(sr, hr, terms))
        collected = self._collect(self.g_params, grads, "g_gradient")
        self.latch.close(self.state.step + 1)
        self._apply(self.state.opt_g, self.g_params, collected)

    def _simultaneous(self, parts: list[Part]) -> None:
        """Both losses from one D(fake): gradients of both are taken before either network moves."""
        adversarial = bool(self.config.loss.adversarial_weight)
        g_grads, d_grads = [], []
        for hr, lr_image, target in parts:
            sr, real, fake = self._forward(lr_image), None, None
            if adversarial:
                leaf = self._differentiable(hr)
                real, fake = self._judge(leaf), self._judge(sr)
                d_grads.append(self._discriminator_gradients(leaf, sr, real, fake, retain_graph=True))
                real = real.detach()
            with self._autocast():
                terms = self.terms(sr, hr, fake, real, target)
            g_grads.append(self._generator_gradients(sr, hr, terms))
        for_d = self._collect(self.d_params, d_grads, "d_gradient") if adversarial else None
        for_g = self._collect(self.g_params, g_grads, "g_gradient")
        self.latch.close(self.state.step + 1)
        self._apply(self.state.opt_g, self.g_params, for_g)
        if for_d is not None:
            self._apply(self.state.opt_d, self.d_params, for_d)

    # -- parts -----------------------------------------------------------------------------------------

    def _split(self, hr: Tensor, lr_image: Tensor, target: Tensor | None) -> list[Part]:
        n = self.parts
        targets = [None] * n if target is None else target.chunk(n)
        return list(zip(hr.chunk(n), lr_image.chunk(n), targets, strict=True))

    def _forward(self, lr_image: Tensor) -> Tensor:
        with self._autocast():
            return self.generator(lr_image).to(lr_image.dtype)

    def _judge(self, image: Tensor) -> Tensor:
        with self._autocast():
            return self.discriminator(image).to(image.dtype)

    def _autocast(self) -> torch.autocast:
        enabled = self.config.run.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _pixel(self, sr: Tensor, hr: Tensor) -> Tensor:
        loss = self.config.loss
        return losses.pixel_loss(loss.pixel, sr, hr, loss.pixel_colors)

    def _content(self, sr: Tensor, hr: Tensor, target: Tensor | None) -> Tensor:
        loss = self.config.loss
        target = self.content_of(hr) if target is None else target
        return losses.content_loss(self.features(sr), target, loss.content_scale, loss.content_criterion)

    def _differentiable(self, hr: Tensor) -> Tensor:
        """The real images as R1 needs them: with a gradient of their own."""
        return hr.detach().requires_grad_() if self.config.loss.r1_weight else hr

    def _discriminator_gradients(
        self, hr: Tensor, sr: Tensor, real: Tensor, fake: Tensor, retain_graph: bool
    ) -> Sequence[Tensor]:
        config = self.config.loss
        loss = losses.adversarial_d(
            config.adversarial, real, fake, smoothing=config.label_smoothing, mean=self.ranks.mean
        )
        if config.r1_weight:
            loss = loss + config.r1_weight * losses.r1_penalty(real, hr)
        if config.gradient_penalty_weight:
            # seeded by run and step: a resumed run draws the same points without carrying a state
            points = torch.Generator(self.device).manual_seed(self.config.run.seed << 32 | self.state.step)
            penalty = losses.gradient_penalty(self._judge, hr, sr, points)
            loss = loss + config.gradient_penalty_weight * penalty
        self.latch.note("discriminator", loss, self.parts)
        self.logits = real.detach(), fake.detach()
        return torch.autograd.grad(loss, self.d_params, retain_graph=retain_graph)

    def _generator_gradients(self, sr: Tensor, hr: Tensor, terms: dict[str, Tensor]) -> Sequence[Tensor]:
        for name, loss in terms.items():
            self.latch.note(name, loss, self.parts)
        self.pulls = {name: gradient_at_output(loss, sr) for name, loss in terms.items()}
        self.images = sr.detach(), hr
        pulls = list(self.pulls.values()) or [torch.zeros_like(sr)]
        return torch.autograd.grad(sr, self.g_params, sum(pulls[1:], pulls[0]))

    def _collect(
        self, params: list[Tensor], parts: Sequence[Sequence[Tensor]], term: str
    ) -> tuple[list[Tensor], Tensor]:
        """The gradients of all parts and ranks as one list, and their norm, which is noted as `term`."""
        grads = [_laid_out_as(p, g) for p, g in zip(params, _mean_over(parts), strict=True)]
        grads = self.ranks.average(grads)
        norm = torch.stack(torch._foreach_norm(grads)).norm()
        self.latch.note(term, norm)
        return grads, norm

    def _apply(
        self,
        optimizer: torch.optim.Optimizer | None,
        params: list[Tensor],
        collected: tuple[list[Tensor], Tensor],
    ) -> None:
        assert optimizer is not None
        grads, norm = collected
        limit = self.config.optim.clip_norm
        if limit:
            torch._foreach_mul_(grads, (limit / (norm + 1e-6)).clamp(max=1))  # as torch's clip_grad_norm_
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        # Read by fused optimizers as GradScaler sets it: where it is 1, update and moments are skipped.
        optimizer.found_inf = self.latch.bad  # type: ignore[attr-defined]
        optimizer.step()
        for p in params:
            p.grad = None

    @torch.no_grad()
    def _update_ema(self) -> None:
        """ema += (1 - decay) * (weights - ema), and nothing once a step was not finite."""
        step, decay = self.state.step + 1, self.config.run.ema_decay
        # a young average follows the weights closely, else it would still hold the start
        weight = 1 - min(decay, step / (step + 9))
        difference = torch._foreach_sub(self.g_params, self.ema_params)
        torch._foreach_mul_(difference, weight * self.latch.alive(difference[0].dtype))
        torch._foreach_add_(self.ema_params, difference)


def gradient_at_output(loss: Tensor, sr: Tensor) -> Tensor:
    """d loss / d sr, zero where the loss does not reach the generator's output."""
    if not loss.requires_grad:
        return torch.zeros_like(sr)
    (pull,) = torch.autograd.grad(loss, sr, allow_unused=True)
    return torch.zeros_like(sr) if pull is None else pull


def build_features(config: TrainConfig, device: torch.device) -> nn.Module | None:
    """The frozen network of the content loss, or None where its weight is 0."""
    loss = config.loss
    if not loss.content_weight:
        return None
    # brings torchvision: seconds that runs without a network need not wait for
    from trainers.vgg_features import VGGFeatures

    features = VGGFeatures(
        loss.content_network,
        loss.content_layer,
        loss.content_activation,
        loss.content_weights,
        normalise=loss.content_normalise,
    )
    return features.to(device=device, memory_format=torch.channels_last)


def _compiled(module: nn.Module | None, config: TrainConfig) -> Callable[[Tensor], Tensor]:
    """The module as a function, through torch.compile where run.compile asks for it."""
    if module is None:
        return _absent
    return torch.compile(module) if config.run.compile else module


def _absent(image: Tensor) -> Tensor:
    raise AssertionError("this phase has no discriminator or no content loss")


def _mean_over(parts: Sequence[Sequence[Tensor]]) -> Sequence[Tensor]:
    if len(parts) == 1:
        return parts[0]
    return [torch.stack(same).mean(0) for same in zip(*parts, strict=True)]


def _laid_out_as(p: Tensor, grad: Tensor) -> Tensor:
    """`grad` with the strides of `p`: fused optimizers walk both memories side by side."""
    return grad if grad.stride() == p.stride() else torch.empty_like(p).copy_(grad)
