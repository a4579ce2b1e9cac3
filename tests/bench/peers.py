"""The peers' own training steps, loaded from a checkout, and our step's view of the same networks.

Nothing of theirs is copied but the order of calls in leftthomas' loop, which is script-level code.
"""

import copy
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock, patch

import torch
import torchvision.models
import yaml
from torch import Tensor, nn

from experiments.recipes import build
from trainers.config import TrainConfig, override
from trainers.optimizers import build_optimizer
from trainers.state import TrainState


@dataclass
class Rival:
    """A peer's step on one fixed batch, and what our step needs to do the same."""

    config: TrainConfig
    hr: Tensor
    lr_image: Tensor
    step: Callable[[], None]
    gradients: Callable[[], dict[str, Tensor]]
    generator: nn.Module
    discriminator: nn.Module
    features: nn.Module

    def state(self, config: TrainConfig) -> TrainState:
        """A state of ours that holds copies of the peer's networks as they were at the start."""
        on = {"memory_format": torch.channels_last}
        g, d = (copy.deepcopy(m).to(**on).train() for m in (self.generator, self.discriminator))
        ema = copy.deepcopy(g).requires_grad_(False).eval()
        optim = config.optim
        return TrainState(
            "gan", 0, g, ema, build_optimizer(g, optim, optim.lr_g), d, build_optimizer(d, optim, optim.lr_d)
        )


class _Logits(nn.Module):
    """leftthomas' discriminator without the sigmoid that our losses apply themselves."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image).flatten(1)


CPU = torch.device("cpu")


def leftthomas(path: str, device: torch.device = CPU, batch: int = 4) -> Rival:
    """github.com/leftthomas/SRGAN at crop 88: its modules, its loss, its loop."""
    sys.path.insert(0, path)
    random = torchvision.models.vgg16
    with patch("torchvision.models.vgg.vgg16", lambda pretrained: random(weights=None)):
        model, loss = importlib.import_module("model"), importlib.import_module("loss")
        criterion = loss.GeneratorLoss().to(device)
    sys.path.remove(path)
    net_g, net_d = model.Generator(4).train().to(device), model.Discriminator().train().to(device)
    start = copy.deepcopy((net_g, net_d))
    opt_g, opt_d = torch.optim.Adam(net_g.parameters()), torch.optim.Adam(net_d.parameters())
    hr = torch.rand(batch, 3, 88, 88, device=device)
    lr_image = torch.nn.functional.avg_pool2d(hr, 4)

    def step() -> None:
        fake_img = net_g(lr_image)
        opt_g.zero_grad()
        g_loss = criterion(net_d(fake_img).mean(), fake_img, hr)
        g_loss.backward()
        opt_g.step()
        real_out = net_d(hr).mean()
        d_loss = 1 - real_out + net_d(fake_img.detach()).mean()
        opt_d.zero_grad()
        d_loss.backward()
        fake_out = net_d(net_g(lr_image)).mean()
        opt_d.step()
        for value in (g_loss, d_loss, real_out, fake_out):
            value.item()

    config = override(build("srgan_leftthomas"), {"data.crop_px": 88, "data.batch_size": batch})
    networks = start[0], _Logits(start[1].net), criterion.loss_network
    return Rival(config, hr, lr_image, step, _caught(step, opt_g, opt_d), *networks)


def basicsr(path: str, device: torch.device = CPU, batch: int = 2) -> Rival:
    """github.com/XPixelGroup/BasicSR: SRGANModel.optimize_parameters as its options say, crops of 128."""
    values = {"loss.adversarial": "vanilla", "optim.update_order": "simultaneous", "optim.beta2": 0.99}
    return _basicsr(path, "SRResNet_SRGAN/train_MSRGAN_x4.yml", values, device, batch)


def basicsr_esrgan(path: str, device: torch.device = CPU, batch: int = 2) -> Rival:
    """github.com/XPixelGroup/BasicSR: ESRGANModel.optimize_parameters as its options say, crops of 128."""
    values = {"optim.update_order": "simultaneous", "optim.beta2": 0.99}
    return _basicsr(path, "ESRGAN/train_ESRGAN_x4.yml", values, device, batch)


def _basicsr(path: str, options: str, values: dict[str, object], device: torch.device, batch: int) -> Rival:
    model = _basicsr_model(path, options, device)
    hr = torch.rand(batch, 3, 128, 128, device=device)
    lr_image = torch.nn.functional.avg_pool2d(hr, 4)
    model.feed_data({"lq": lr_image, "gt": hr})
    networks = copy.deepcopy((model.net_g, model.net_d))
    # its forward flattens with view(), which a channels_last tensor does not have
    networks[1].bn4_1.register_forward_hook(lambda module, args, out: out.contiguous())
    step = lambda: model.optimize_parameters(1)  # noqa: E731
    config = override(build("esrgan"), {"data.batch_size": batch} | values)
    caught = _caught(step, model.optimizer_g, model.optimizer_d)
    return Rival(config, hr, lr_image, step, caught, *networks, _Layer(model.cri_perceptual.vgg))


class _Layer(nn.Module):
    """The one feature map that the options ask BasicSR's extractor for."""

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, image: Tensor) -> Tensor:
        return self.extractor(image)["conv5_4"]


def _basicsr_model(path: str, file: str, device: torch.device) -> Any:
    for name in "cv2 lmdb tqdm requests scipy scipy.linalg scipy.special scipy.ndimage scipy.stats".split():
        sys.modules[name] = MagicMock()
    for name, contents in {
        "basicsr.version": {"__version__": "0", "__gitsha__": "0"},
        "distutils": {},
        "distutils.version": {
            "LooseVersion": lambda text: tuple(map(int, text.split("+")[0].split(".")[:2]))
        },
        "torchvision.transforms.functional_tensor": {"rgb_to_grayscale": None},
    }.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(contents)
    sys.path.insert(0, path)
    random = torchvision.models.vgg.vgg19
    with open(f"{path}/options/train/{file}") as f:
        options = yaml.safe_load(f)
    options |= {"num_gpu": int(device.type == "cuda"), "dist": False, "is_train": True, "path": {}}
    with patch("torchvision.models.vgg.vgg19", lambda **more: random(weights=None)):
        from basicsr.models import build_model

        model = build_model(options)
    sys.path.remove(path)
    return model


def _caught(step: Callable[[], None], opt_g, opt_d) -> Callable[[], dict[str, Tensor]]:
    """The gradients that one call of the peer's step hands to its optimizers."""

    def gradients() -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}
        hooks = [
            o.register_step_pre_hook(
                lambda o, *_, name=name: kept.update(
                    {name: torch.cat([p.grad.flatten() for p in o.param_groups[0]["params"]])}
                )
            )
            for name, o in (("g", opt_g), ("d", opt_d))
        ]
        step()
        for hook in hooks:
            hook.remove()
        return kept

    return gradients


PEERS = {"leftthomas": leftthomas, "basicsr": basicsr}
TIMED_ONLY = {"basicsr_esrgan": basicsr_esrgan}
"""Their update is not ours: its relativistic means carry no gradient, and D is run twice as often."""
