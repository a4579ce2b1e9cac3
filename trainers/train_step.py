"""One update of each network: the mathematics of a step, not its cadence (trainers/training.py).

All generator losses are functions of the generator's output, so each term's gradient is taken there and
one backward pass carries their sum through the generator. This costs as much as a single backward pass of
the summed loss, and also yields the gradient norm of every term at the output.
"""

from collections.abc import Sequence
from itertools import chain, islice

import torch
from torch import Tensor, nn

from trainers import losses
from trainers.config import TrainConfig
from trainers.distributed import ALONE, Ranks
from trainers.divergence import DivergenceGuard
from trainers.models.batch_norm import synchronise
from trainers.state import TrainState
from trainers.step_losses import StepLosses, build_features

__all__ = ["TrainStep", "build_features", "gradient_at_output"]

Part = tuple[Tensor, Tensor, Tensor | None]
"""hr, lr_image and the content features of hr, None if they were not computed before."""


class TrainStep:
    """Updates of a `TrainState` for one phase; call it with a batch.

    No method but `check` and `read` waits for the device: losses stay on it, and a value that is not finite
    is recorded there until `check` raises `Diverged`. From the first such step on no network, moment, average
    or running statistic changes, with one exception: under update order d_first, a step at which only a
    generator term is not finite has already updated the discriminator (its weights and moments, from a
    finite loss), because the generator is judged by the updated discriminator.
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
        self.guard = DivergenceGuard(state, one_block=not config.run.compile)
        self.losses = StepLosses(config, state, features, ranks)
        self.g_params = list(state.generator.parameters())
        self.d_params = list(state.discriminator.parameters()) if state.discriminator else []
        self.ema_params = list(state.ema.parameters())
        self.parts = config.optim.micro_batches
        self.output_gradients: dict[str, Tensor] = {}
        self.logits: tuple[Tensor, Tensor] | None = None
        self.images: tuple[Tensor, Tensor] | None = None

    def __call__(self, hr: Tensor, lr_image: Tensor, target: Tensor | None = None) -> None:
        """Update each network of the phase once.

        hr (N, 3, H, W) and lr_image (N, 3, h, w) in [0, 1]; target: the content features of hr if they were
        computed before.
        """
        self.update(hr, lr_image, target, average=self.average_weight())

    def update(
        self, hr: Tensor, lr_image: Tensor, target: Tensor | None = None, *, average: float | Tensor
    ) -> None:
        """Update each network as a call does; `average` is the weight of the new weights in their average."""
        hr = hr.contiguous(memory_format=torch.channels_last)
        lr_image = lr_image.contiguous(memory_format=torch.channels_last)
        with self.losses.numerics():
            self.guard.begin()
            for network in filter(None, (self.losses.g_copy, self.losses.d_copy)):
                network.refresh()
            parts = self._split(hr, lr_image, target)
            if self.state.phase == "psnr":
                self._pixel_only(parts)
            elif self.config.optim.update_order == "d_first" and self.config.loss.adversarial_weight:
                self._d_first(parts)
            else:
                self._simultaneous(parts)
            self._update_ema(average)

    def check(self) -> None:
        """Raise `Diverged` if any update since the start was not finite; waits for the device."""
        self.guard.raise_if_diverged()

    def read(self) -> dict[str, float]:
        """Return the last step's losses, gradient norms and signs of collapse; waits for the device once.

        gradient_norm/TERM is the norm of the term's gradient at the generator's output; output_contrast is
        the standard deviation of generated over that of real pixels: 0 if the output is one flat colour.
        """
        values = dict(self.guard.values)
        values |= {f"gradient_norm/{name}": g.norm() for name, g in self.output_gradients.items()}
        if self.logits is not None:
            real, fake = self.logits
            values["d_real"], values["d_fake"] = real.mean(), fake.mean()
            values["d_accuracy"] = ((real > 0).float().mean() + (fake < 0).float().mean()) / 2
        if self.images is not None:
            values["output_contrast"] = self.images[0].std() / self.images[1].std()
        numbers = torch.stack([v.float() for v in values.values()]).tolist()
        return dict(zip(values, numbers, strict=True))

    # -- the phases and update orders ------------------------------------------------------------------

    def _pixel_only(self, parts: list[Part]) -> None:
        grads = []
        for hr, lr_image, _ in parts:
            sr = self.losses.generate(lr_image)
            grads.append(self._generator_gradients(sr, hr, {"pixel": self.losses.pixel(sr, hr)}))
        self._update_networks(g=grads)

    def _d_first(self, parts: list[Part]) -> None:
        """Update D on this batch first, then judge the batch by the updated D for G, as in the papers."""
        generated, grads = [], []
        for part, (hr, lr_image, _) in enumerate(parts):
            # one part: keep its graph for the generator; several: compute again later, to save memory
            with torch.set_grad_enabled(len(parts) == 1):
                sr = self.losses.generate(lr_image)
            generated.append(sr)
            hr = self.losses.differentiable(hr)
            real, fake = self.losses.judge_both(hr, sr.detach())
            grads.append(self._discriminator_gradients(hr, sr, real, fake, part))
        self._update_networks(d=grads)
        assert self.losses.d_copy is not None
        self.losses.d_copy.refresh()
        grads = []
        for (hr, lr_image, target), sr in zip(parts, generated, strict=True):
            sr = sr if len(parts) == 1 else self.losses.generate(lr_image)
            if losses.needs_real(self.config.loss.adversarial):
                fake, real = self.losses.judge_both(sr, hr, constant=True)
            else:
                fake, real = self.losses.judge(sr), None
            grads.append(self._gan_gradients(sr, hr, fake, real, target))
        self._update_networks(g=grads)

    def _simultaneous(self, parts: list[Part]) -> None:
        """Compute both losses from one D(fake): take both gradients before either network moves."""
        adversarial = bool(self.config.loss.adversarial_weight)
        g_grads, d_grads = [], []
        for part, (hr, lr_image, target) in enumerate(parts):
            sr, real, fake = self.losses.generate(lr_image), None, None
            if adversarial:
                leaf = self.losses.differentiable(hr)
                real, fake = self.losses.judge_both(leaf, sr)
                d_grads.append(self._discriminator_gradients(leaf, sr, real, fake, part, again=True))
                real = real.detach()
            g_grads.append(self._gan_gradients(sr, hr, fake, real, target))
        self._update_networks(g=g_grads, d=d_grads)

    # -- gradients -------------------------------------------------------------------------------------

    def _split(self, hr: Tensor, lr_image: Tensor, target: Tensor | None) -> list[Part]:
        n = self.parts
        targets = [None] * n if target is None else target.chunk(n)
        return list(zip(hr.chunk(n), lr_image.chunk(n), targets, strict=True))

    def _discriminator_gradients(
        self, hr: Tensor, sr: Tensor, real: Tensor, fake: Tensor, part: int, *, again: bool = False
    ) -> Sequence[Tensor]:
        """Return the gradients of one part; `again`: D(sr) will be differentiated for the generator, too."""
        loss = self.losses.discriminator_loss(hr, sr, real, fake, self.state.step, part)
        self.guard.record("discriminator", loss, self.parts)
        self.logits = real.detach(), fake.detach()
        assert self.losses.d_copy is not None
        return torch.autograd.grad(loss, self.losses.d_copy.parameters, retain_graph=again)

    def _gan_gradients(
        self, sr: Tensor, hr: Tensor, fake: Tensor | None, real: Tensor | None, target: Tensor | None
    ) -> Sequence[Tensor]:
        terms = self.losses.generator_terms(sr, hr, fake, real, target)
        return self._generator_gradients(sr, hr, terms)

    def _generator_gradients(self, sr: Tensor, hr: Tensor, terms: dict[str, Tensor]) -> Sequence[Tensor]:
        for name, loss in terms.items():
            self.guard.record(name, loss, self.parts)
        self.output_gradients = {name: gradient_at_output(loss, sr) for name, loss in terms.items()}
        self.images = sr.detach(), hr
        gradients = list(self.output_gradients.values()) or [torch.zeros_like(sr)]
        assert self.losses.g_copy is not None
        at_output = sum(gradients[1:], gradients[0])
        # of a number, because gradients that are handed over import sympy, two seconds of each worker
        return torch.autograd.grad((sr * at_output).sum(), self.losses.g_copy.parameters)

    # -- updates ---------------------------------------------------------------------------------------

    def _update_networks(
        self, *, g: Sequence[Sequence[Tensor]] = (), d: Sequence[Sequence[Tensor]] = ()
    ) -> None:
        """Update the networks whose gradients are given, one item per part; then no more is recorded.

        One message averages all of them over the ranks, and the losses recorded since the last update, from
        which every rank then decides alike if the step was finite.
        """
        networks = [
            ("g_gradient", self.state.opt_g, self.g_params, g),
            ("d_gradient", self.state.opt_d, self.d_params, d),
        ]
        networks = [n for n in networks if n[-1]]
        own = [_as_stored(params, _mean_over(parts)) for *_, params, parts in networks]
        losses = {term: self.guard.values[term] for term in self.guard.pending}
        averaged = iter(self.ranks.average([*chain(*own), *losses.values()]))
        grads = [list(islice(averaged, len(params))) for *_, params, _ in networks]
        self.guard.values |= dict(zip(losses, averaged, strict=True))
        norms = [torch.stack(torch._foreach_norm(g)).norm() for g in grads]
        for (term, *_), norm in zip(networks, norms, strict=True):
            self.guard.record(term, norm)
        self.guard.latch_step(self.state.step + 1)
        for (_, optimizer, params, _), *collected in zip(networks, grads, norms, strict=True):
            self._apply(optimizer, params, *collected)

    def _apply(
        self, optimizer: torch.optim.Optimizer | None, params: list[Tensor], grads: list[Tensor], norm: Tensor
    ) -> None:
        assert optimizer is not None
        limit = self.config.optim.clip_norm
        if limit:
            torch._foreach_mul_(grads, (limit / (norm + 1e-6)).clamp(max=1))  # as torch's clip_grad_norm_
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        # Fused optimizers read this flag as GradScaler sets it: they skip the update if it is 1.
        optimizer.found_inf = self.guard.bad  # type: ignore[attr-defined]
        optimizer.step()
        for p in params:
            p.grad = None

    def average_weight(self) -> float:
        """Return the weight of this step's weights in their average: 1 - run.ema_decay, at first more.

        A young average follows the weights closely, else it would still hold the start.
        """
        step = self.state.step + 1
        return 1 - min(self.config.run.ema_decay, step / (step + 9))

    @torch.no_grad()
    def _update_ema(self, weight: float | Tensor) -> None:
        """Compute ema += weight * (weights - ema); change nothing after a step that was not finite."""
        difference = torch._foreach_sub(self.g_params, self.ema_params)
        torch._foreach_mul_(difference, self.guard.unless_bad(weight, difference[0].dtype))
        torch._foreach_add_(self.ema_params, difference)


def gradient_at_output(loss: Tensor, sr: Tensor) -> Tensor:
    """Return d loss / d sr; zeros if the loss does not depend on the generator's output."""
    if not loss.requires_grad:
        return torch.zeros_like(sr)
    (gradient,) = torch.autograd.grad(loss, sr, allow_unused=True)
    return torch.zeros_like(sr) if gradient is None else gradient


def _mean_over(parts: Sequence[Sequence[Tensor]]) -> Sequence[Tensor]:
    if len(parts) == 1:
        return parts[0]
    total, part = ([torch.empty_like(g, dtype=_at_least_float32(g)) for g in parts[0]] for _ in range(2))
    torch._foreach_copy_(total, list(parts[0]))
    for gradients in parts[1:]:
        torch._foreach_copy_(part, list(gradients))
        torch._foreach_add_(total, part)
    torch._foreach_div_(total, len(parts))
    return total


def _at_least_float32(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _as_stored(params: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor]:
    """Return `grads` in the dtype and with the strides of `params`, as fused optimizers read them.

    What only differs in dtype is copied in few kernels.
    """
    stored = list(grads)
    cast: list[tuple[Tensor, Tensor]] = []
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        if g.stride() != p.stride():
            stored[i] = torch.empty_like(p).copy_(g)
        elif g.dtype != p.dtype:
            stored[i] = torch.empty_like(p)
            cast.append((stored[i], g))
    if cast:
        torch._foreach_copy_(*map(list, zip(*cast, strict=True)))
    return stored
