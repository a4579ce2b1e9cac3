"""One training step: equal to the textbook's, honest about what is not finite, no more work than needed."""

import copy

import pytest
import torch
from helpers.tiny import batch, moments, same, snapshot, tiny

from trainers import losses
from trainers.state import Diverged, new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

CPU = torch.device("cpu")
CONTENT = {"loss__content_weight": 0.3, "loss__content_scale": 0.1, "loss__tv_weight": 1e-3}
GAMES = {
    "vanilla": {"loss__adversarial": "vanilla", **CONTENT},
    "relativistic": {"loss__adversarial": "relativistic", **CONTENT},
    "linear without norm": {
        "loss__adversarial": "linear",
        "generator__norm": "none",
        "discriminator__norm": "none",
    },
    "r1": {"loss__r1_weight": 2.0, **CONTENT},
    "wgan_gp": {
        "loss__adversarial": "wgan_gp",
        "loss__gradient_penalty_weight": 10.0,
        "discriminator__norm": "layer",
    },
    "hinge, transposed, spectral": {
        "loss__adversarial": "hinge",
        "discriminator__norm": "spectral",
        "generator__upsampler": "transposed_conv",
    },
    "clipped": {"optim__clip_norm": 0.05, "loss__adversarial": "lsgan"},
    "sgd": {"optim__kind": "sgd", "optim__lr_tail_factor": 0.1},
}


def start(config, phase="gan", dtype=torch.float32):
    """A state of `dtype` and its step."""
    state = new_state(config, phase, CPU)
    for module in (state.generator, state.ema, state.discriminator):
        if module is not None:
            module.to(dtype)
    features = build_features(config, CPU)
    return state, TrainStep(config, state, features.to(dtype) if features and phase == "gan" else None)


class Textbook:
    """The same update written plainly: every loss its own forward, backward() of the sum, plain Adam."""

    def __init__(self, config, state, features):
        self.config, self.features = config, features
        self.g, self.d, self.ema = (
            copy.deepcopy(m) for m in (state.generator, state.discriminator, state.ema)
        )
        self.opt_g, self.opt_d = (self.optimizer(m) for m in (self.g, self.d))
        self.step = 0

    def optimizer(self, module):
        optim, tail = self.config.optim, getattr(module, "tail", None)
        if optim.kind == "adam":
            return torch.optim.Adam(module.parameters(), optim.lr_g, foreach=False)
        if tail is None:
            return torch.optim.SGD(module.parameters(), optim.lr_d, 0.9, foreach=False)
        body = [p for n, p in module.named_parameters() if not n.startswith("tail.")]
        groups = [{"params": body}, {"params": tail.parameters(), "lr": optim.lr_g * optim.lr_tail_factor}]
        return torch.optim.SGD(groups, optim.lr_g, 0.9, foreach=False)

    def discriminator_loss(self, hr, sr):
        loss = self.config.loss
        hr = hr.clone().requires_grad_()
        real, fake = self.d(hr), self.d(sr.detach())
        total = losses.adversarial_d(loss.adversarial, real, fake)
        if loss.r1_weight:
            (g,) = torch.autograd.grad(real.sum(), hr, create_graph=True)
            total = total + loss.r1_weight * g.square().sum((1, 2, 3)).mean() / 2
        if loss.gradient_penalty_weight:
            draw = torch.Generator().manual_seed(self.config.run.seed << 32 | self.step)
            share = torch.rand(len(hr), 1, 1, 1, generator=draw, dtype=hr.dtype)
            between = (sr.detach() * (1 - share) + hr.detach() * share).requires_grad_()
            (g,) = torch.autograd.grad(self.d(between).sum(), between, create_graph=True)
            norm = g.square().sum((1, 2, 3)).sqrt()
            total = total + loss.gradient_penalty_weight * (norm - 1).square().mean()
        return total

    def generator_loss(self, hr, sr, fake, real):
        loss = self.config.loss
        total = loss.pixel_weight * losses.pixel_loss(loss.pixel, sr, hr)
        if loss.content_weight:
            total = total + loss.content_weight * losses.content_loss(
                self.features(sr), self.features(hr), loss.content_scale
            )
        total = total + loss.adversarial_weight * losses.adversarial_g(loss.adversarial, real, fake)
        return total + loss.tv_weight * losses.total_variation(sr)

    def move(self, module, optimizer):
        if self.config.optim.clip_norm:
            torch.nn.utils.clip_grad_norm_(module.parameters(), self.config.optim.clip_norm)
        optimizer.step()

    def __call__(self, hr, lr_image):
        sr = self.g(lr_image)
        if self.config.optim.update_order == "d_first":
            self.opt_d.zero_grad()
            self.discriminator_loss(hr, sr).backward()
            self.move(self.d, self.opt_d)
            fake, real = self.d(sr), None
            if losses.needs_real(self.config.loss.adversarial):
                real = self.d(hr).detach()
            self.opt_g.zero_grad()
            self.generator_loss(hr, sr, fake, real).backward()
            self.move(self.g, self.opt_g)
        else:
            before = copy.deepcopy(self.d.state_dict())
            for_d = torch.autograd.grad(self.discriminator_loss(hr, sr), list(self.d.parameters()))
            after = copy.deepcopy(self.d.state_dict())
            self.d.load_state_dict(before)
            real, fake = self.d(hr).detach(), self.d(sr)
            self.opt_g.zero_grad()
            self.generator_loss(hr, sr, fake, real).backward()
            self.d.load_state_dict(after)
            for p, g in zip(self.d.parameters(), for_d, strict=True):
                p.grad = g
            self.move(self.g, self.opt_g)
            self.move(self.d, self.opt_d)
        self.step += 1
        decay = min(self.config.run.ema_decay, self.step / (self.step + 9))
        for a, p in zip(self.ema.parameters(), self.g.parameters(), strict=True):
            a.data = decay * a.data + (1 - decay) * p.data


@pytest.mark.parametrize("order", ["d_first", "simultaneous"])
@pytest.mark.parametrize("game", GAMES)
def test_the_least_work_step_equals_the_textbook_step_in_fp64(game, order):
    config = tiny(optim__update_order=order, **GAMES[game])
    state, step = start(config, dtype=torch.float64)
    textbook = Textbook(config, state, step.losses.features)
    ours, theirs = gradients_of(state.opt_g, state.opt_d), gradients_of(textbook.opt_g, textbook.opt_d)
    for index in range(3):
        hr, lr_image = batch(index, dtype=torch.float64)
        step(hr, lr_image)
        state.step += 1
        textbook(hr, lr_image)
    step.check()
    assert len(ours) == len(theirs) == 6
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    moved = snapshot(state.generator, state.discriminator, state.ema)
    for name, value in snapshot(textbook.g, textbook.d, textbook.ema).items():
        # the averaged weights get running statistics of their own when they are measured
        if name.startswith("2.") and ("running" in name or "tracked" in name):
            continue
        # Adam turns a gradient that is 0 but for rounding into a step of its own: hence not 1e-12
        torch.testing.assert_close(moved[name], value, rtol=1e-12, atol=1e-10, msg=name)


def gradients_of(*optimizers):
    """A list that every update of the optimizers adds its gradients to, as one vector."""
    seen = []
    for optimizer in optimizers:
        optimizer.register_step_pre_hook(
            lambda o, *_: seen.append(
                torch.cat([p.grad.flatten() for group in o.param_groups for p in group["params"]])
            )
        )
    return seen


def test_the_psnr_phase_equals_plain_adam_on_the_pixel_loss():
    config = tiny(loss__pixel="charbonnier")
    state, step = start(config, "psnr", torch.float64)
    plain = copy.deepcopy(state.generator)
    optimizer = torch.optim.Adam(plain.parameters(), config.optim.lr_psnr, foreach=False)
    for index in range(3):
        hr, lr_image = batch(index, dtype=torch.float64)
        step(hr, lr_image)
        state.step += 1
        optimizer.zero_grad()
        losses.pixel_loss("charbonnier", plain(lr_image), hr).backward()
        optimizer.step()
    ours, theirs = snapshot(state.generator), snapshot(plain)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-12, atol=1e-12, msg=name)


@pytest.mark.parametrize("order", ["d_first", "simultaneous"])
def test_a_batch_in_two_parts_gives_the_gradients_of_the_whole(order):
    free = {"generator__norm": "none", "discriminator__norm": "none", "optim__update_order": order}
    whole, by_parts = (start(tiny(**free, optim__micro_batches=n), dtype=torch.float64) for n in (1, 2))
    for _, step in (whole, by_parts):
        step(*batch(dtype=torch.float64))
        step.check()
    torch.testing.assert_close(
        snapshot(whole[0].generator, whole[0].discriminator),
        snapshot(by_parts[0].generator, by_parts[0].discriminator),
        rtol=1e-9,
        atol=1e-11,
    )
    assert by_parts[1].read()["pixel"] == pytest.approx(whole[1].read()["pixel"], rel=1e-6)


@pytest.mark.parametrize("term", ["pixel", "content", "adversarial", "tv", "color"])
def test_each_enabled_term_reaches_the_generator_and_leaves_no_gradient_in_the_discriminator(term):
    weights = dict.fromkeys(["pixel", "content", "adversarial", "tv", "color"], 0.0) | {term: 1.0}
    config = tiny(**{f"loss__{name}_weight": value for name, value in weights.items()})
    state, step = start(config)
    hr, lr_image = batch()
    sr = state.generator(lr_image)
    terms = step.losses.generator_terms(sr, hr, state.discriminator(sr), None)
    before, judge = snapshot(state.generator), snapshot(state.discriminator)
    assert list(terms) == [term]
    step._generator_gradients(sr, hr, terms)
    assert step.output_gradients[term].norm() > 0
    assert all(p.grad is None for p in state.discriminator.parameters())
    step(hr, lr_image)
    step.check()
    assert not same(before, snapshot(state.generator))
    if term != "adversarial":
        assert same(judge, snapshot(state.discriminator)), "nobody asked the discriminator"


def not_a_number(images):
    images = images.clone()
    images[0, 0, 0, 0] = float("nan")
    return images


POISON = {
    "target": ("discriminator", lambda hr, lr_image: (not_a_number(hr), lr_image)),
    "input": ("discriminator", lambda hr, lr_image: (hr, not_a_number(lr_image))),
}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("order", ["d_first", "simultaneous"])
@pytest.mark.parametrize("poison", POISON)
def test_a_value_that_is_not_finite_is_named_later_and_nothing_moved_since(poison, order, optimizer):
    config = tiny(optim__update_order=order, optim__kind=optimizer, **CONTENT)
    state, step = start(config)
    everything = (state.generator, state.discriminator, state.ema)
    for index in range(50):
        hr, lr_image = batch(index)
        if index == 6:
            before = snapshot(*everything), moments(state.opt_g), moments(state.opt_d)
            hr, lr_image = POISON[poison][1](hr, lr_image)
        step(hr, lr_image)
        state.step += 1
    with pytest.raises(Diverged, match="diverged at step 7: discriminator is not finite") as caught:
        step.check()
    assert (caught.value.step, caught.value.term) == (7, POISON[poison][0])
    assert state.step == 6
    assert same(before[0], snapshot(*everything))
    assert same(before[1], moments(state.opt_g)) and same(before[2], moments(state.opt_d))


def test_the_psnr_phase_names_the_pixel_loss():
    state, step = start(tiny(), "psnr")
    for index in range(9):
        hr, lr_image = batch(index)
        if index == 3:
            before = snapshot(state.generator, state.ema), moments(state.opt_g)
        step(not_a_number(hr) if index >= 3 else hr, lr_image)
        state.step += 1
    with pytest.raises(Diverged, match="step 4: pixel"):
        step.check()
    assert same(before[0], snapshot(state.generator, state.ema)) and same(before[1], moments(state.opt_g))


@pytest.mark.parametrize("order", ["d_first", "simultaneous"])
def test_a_bad_generator_term_alone_leaves_d_first_one_update_of_d_ahead_and_nothing_else(order):
    config = tiny(optim__update_order=order, **CONTENT)
    state, step = start(config)
    terms = step.losses.generator_terms
    for index in range(6):
        if index == 3:
            step.losses.generator_terms = lambda *args: (
                terms(*args) | {"content": terms(*args)["content"] * float("inf")}
            )
            before = snapshot(state.generator, state.ema), moments(state.opt_g)
            judge = {k: v.clone() for k, v in state.discriminator.named_parameters()}
            judged = moments(state.opt_d)
        step(*batch(index))
        state.step += 1
        if index == 3:
            one_ahead = {k: v.clone() for k, v in state.discriminator.named_parameters()}
    with pytest.raises(Diverged, match="step 4: content"):
        step.check()
    assert same(before[0], snapshot(state.generator, state.ema)) and same(before[1], moments(state.opt_g))
    now = dict(state.discriminator.named_parameters())
    if order == "simultaneous":
        assert same(judge, now) and same(judged, moments(state.opt_d))
    else:
        assert same(one_ahead, now) and not same(judge, now)


def test_what_nobody_asks_about_is_checked_all_the_same(monkeypatch):
    monkeypatch.setattr("trainers.divergence.MAX_ROWS", 10)
    state, step = start(tiny(), "psnr")
    hr, lr_image = batch()
    with pytest.raises(Diverged, match="step 1: pixel"):
        for _ in range(20):
            step(not_a_number(hr), lr_image)
            state.step += 1


def test_the_log_shows_losses_gradient_norms_and_signs_of_collapse():
    config = tiny(**CONTENT)
    state, step = start(config)
    step(*batch())
    values = step.read()
    assert {"pixel", "content", "adversarial", "tv", "discriminator", "g_gradient", "d_gradient"} < set(
        values
    )
    assert {"gradient_norm/pixel", "gradient_norm/content", "d_real", "d_fake"} < set(values)
    assert {"d_accuracy", "output_contrast"} < set(values)
    assert 0 <= values["d_accuracy"] <= 1
    with torch.no_grad():
        state.generator.tail.weight.zero_()
        state.generator.tail.bias.zero_()
    step(*batch())
    assert step.read()["output_contrast"] == pytest.approx(0, abs=1e-6)


def test_content_features_computed_before_give_the_same_update():
    config = tiny(**CONTENT)
    hr, lr_image = batch()
    updated = []
    for given in (False, True):
        state, step = start(config)
        step(hr, lr_image, step.losses.features(hr) if given else None)
        updated.append(snapshot(state.generator, state.discriminator))
    assert same(*updated)


def test_no_step_waits_for_the_device():
    from torch.utils._python_dispatch import TorchDispatchMode

    class Ops(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.names = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.names.append(func.name())
            return func(*args, **(kwargs or {}))

    state, step = start(tiny(**CONTENT))
    step(*batch())
    with Ops() as ops:
        step(*batch(1))
    assert not [n for n in ops.names if "_local_scalar_dense" in n or "nonzero" in n]


@pytest.mark.parametrize("kind", ["srresnet", "leftthomas", "rrdb"])
def test_bf16_keeps_the_image_the_losses_and_the_weights_in_float32(kind):
    norm = "none" if kind == "rrdb" else "batch"
    config = tiny(generator__kind=kind, generator__norm=norm, run__precision="bf16", **CONTENT)
    state, step = start(config)
    seen, computing = {}, step.losses.generator
    computing.tail.register_forward_hook(lambda m, i, out: seen.update(tail=out.dtype))
    conv = next(m for m in computing.blocks.modules() if isinstance(m, torch.nn.Conv2d))
    conv.register_forward_hook(lambda m, i, out: seen.update(trunk=out.dtype))
    norms = [m for m in state.discriminator.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for index in range(3):
        step(*batch(index))
        state.step += 1
    step.check()
    assert seen == {"tail": torch.float32, "trunk": torch.bfloat16}
    assert all(v.dtype == torch.float32 for v in step.guard.values.values())
    assert all(p.dtype == torch.float32 for p in state.generator.parameters())
    assert all(m.running_var.dtype == torch.float32 for m in norms)
    assert all(v.dtype == torch.float32 for v in moments(state.opt_g).values())
    exact, exact_step = start(tiny(generator__kind=kind, generator__norm=norm, **CONTENT))
    exact_step(*batch(0))
    near, near_step = start(config)
    near_step(*batch(0))
    assert near_step.read()["pixel"] == pytest.approx(exact_step.read()["pixel"], rel=0.02)
