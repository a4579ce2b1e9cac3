"""Our networks and losses give what the peers' own modules give, with the same weights.

Needs checkouts beside this project: UPSWEEP_PEER_LEFTTHOMAS (github.com/leftthomas/SRGAN) and
UPSWEEP_PEER_BASICSR (github.com/XPixelGroup/BasicSR) name their folders. Only model and loss files are
loaded; what those import of the rest of their package is replaced by empty modules.
"""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from helpers.weights import write_public
from torch import nn

from trainers.config import DiscriminatorConfig
from trainers.losses import adversarial_d, adversarial_g, content_loss, pixel_loss, total_variation
from trainers.models import build_discriminator, build_generator
from trainers.vgg_features import VGGFeatures
from trainers.weight_import import import_generator


def peer(name: str) -> Path:
    folder = os.environ.get(f"UPSWEEP_PEER_{name}")
    if not folder:
        pytest.skip(f"no checkout to compare with: set UPSWEEP_PEER_{name} to its folder")
    return Path(folder)


def load(name: str, path: Path, monkeypatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def leftthomas(monkeypatch):
    folder = peer("LEFTTHOMAS")
    torch.manual_seed(0)
    return SimpleNamespace(
        model=load("leftthomas_model", folder / "model.py", monkeypatch),
        load_loss=lambda: load("leftthomas_loss", folder / "loss.py", monkeypatch),
    )


@pytest.fixture
def basicsr(monkeypatch):
    root = peer("BASICSR") / "basicsr"
    for name in ("basicsr", "basicsr.utils", "basicsr.ops", "basicsr.archs", "basicsr.losses"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, contents in {
        "distutils": dict(),
        "distutils.version": dict(LooseVersion=str),
        "basicsr.ops.dcn": dict(ModulatedDeformConvPack=object, modulated_deform_conv=None),
    }.items():
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        sys.modules[name].__dict__.update(contents)
    sys.modules["basicsr.utils"].get_root_logger = None
    load("basicsr.utils.registry", root / "utils/registry.py", monkeypatch)
    load("basicsr.archs.arch_util", root / "archs/arch_util.py", monkeypatch)
    torch.manual_seed(0)
    return SimpleNamespace(
        **{
            name: load(f"basicsr.{folder}.{name}", root / folder / f"{name}.py", monkeypatch)
            for folder, name in (
                ("archs", "rrdbnet_arch"),
                ("archs", "discriminator_arch"),
                ("losses", "gan_loss"),
            )
        }
    )


def moved(theirs: nn.Module, ours: nn.Module, kinds: tuple[type, ...]) -> None:
    """Copies weights layer by layer; both networks hold the same layers in the same order."""
    sources = [m for m in theirs.modules() if isinstance(m, kinds)]
    targets = [m for m in ours.modules() if isinstance(m, kinds)]
    assert len(sources) == len(targets)
    for source, target in zip(sources, targets, strict=True):
        for name, tensor in target.state_dict().items():
            tensor.copy_(source.state_dict()[name].view_as(tensor))


def perturbed(net: nn.Module) -> nn.Module:
    """Norms and biases away from their neutral start, so that a forgotten one shows."""
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point() and not name.endswith(("_u", "_v", "_orig")):
            tensor.add_(0.02 * torch.rand_like(tensor))
    return net


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("scale", [2, 4])
def test_generator_of_leftthomas(leftthomas, tmp_path, training, scale):
    theirs = perturbed(leftthomas.model.Generator(scale)).train(training)
    torch.save(theirs.state_dict(), tmp_path / "netG.pth")
    config, state = import_generator(tmp_path / "netG.pth")
    assert (config.kind, config.num_blocks, config.scale) == ("leftthomas", 5, scale)
    ours = build_generator(config).train(training)
    ours.load_state_dict(state)
    image = torch.rand(2, 3, 12, 9)
    assert torch.equal(ours(image), theirs(image))
    write_public(ours, config, tmp_path / "back.pth", layout="leftthomas")
    theirs.load_state_dict(torch.load(tmp_path / "back.pth", weights_only=True))


def test_discriminator_of_leftthomas(leftthomas):
    theirs, ours = leftthomas.model.Discriminator(), build_discriminator(DiscriminatorConfig())
    sources = [m for m in theirs.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    targets = [m for m in ours.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
    for source, target in zip(sources, targets, strict=True):
        for name, tensor in target.state_dict().items():
            tensor.copy_(source.state_dict()[name].view_as(tensor))
    image = torch.rand(4, 3, 48, 40)
    # their biases before batch norm vanish in training, so ours has none
    assert torch.allclose(ours(image).sigmoid().flatten(), theirs(image), atol=1e-6)


def test_losses_of_leftthomas(leftthomas, monkeypatch):
    ours = VGGFeatures("vgg16", "pool5", True, "random", normalise=False)
    monkeypatch.setattr(
        "torchvision.models.vgg.vgg16", lambda pretrained: SimpleNamespace(features=ours.features)
    )
    theirs = leftthomas.load_loss().GeneratorLoss()
    sr, hr, logits = torch.rand(2, 3, 48, 40), torch.rand(2, 3, 48, 40), torch.randn(2, 1)
    # their mean squared error is on [0, 1], ours on [-1, 1]: a quarter
    expected = theirs(logits.sigmoid(), sr, hr)
    terms = (
        0.25 * pixel_loss("l2", sr, hr)
        + 0.001 * adversarial_g("linear", None, logits)
        + 0.006 * content_loss(ours(sr), ours(hr), 1.0)
        + 2e-8 * total_variation(sr)
    )
    assert torch.allclose(terms, expected, rtol=1e-6)
    assert torch.allclose(total_variation(sr), theirs.tv_loss(sr), rtol=1e-6)


@pytest.mark.parametrize("scale", [4, 2, 1])
def test_rrdb_of_basicsr(basicsr, tmp_path, scale):
    theirs = basicsr.rrdbnet_arch.RRDBNet(3, 3, scale=scale, num_feat=16, num_block=2, num_grow_ch=8)
    perturbed(theirs)
    torch.save({"params_ema": theirs.state_dict()}, tmp_path / "net.pth")
    config, state = import_generator(tmp_path / "net.pth")
    assert (config.scale, config.num_blocks, config.channels, config.growth) == (scale, 2, 16, 8)
    ours = build_generator(config)
    ours.load_state_dict(state)
    image = torch.rand(2, 3, 12, 8)
    assert torch.allclose(ours(image), theirs(image), atol=1e-6)
    write_public(ours, config, tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)["params"]
    assert all(torch.equal(back[k], v) for k, v in theirs.state_dict().items()) and len(back) == len(state)


@pytest.mark.parametrize("training", [True, False])
def test_esrgan_discriminator_of_basicsr(basicsr, training):
    theirs = perturbed(basicsr.discriminator_arch.VGGStyleDiscriminator(3, 8)).train(training)
    ours = build_discriminator(
        DiscriminatorConfig(kind="esrgan", base_channels=8, image_px=128, num_layers=10)
    )
    # they declare layers in the order conv, conv, norm: the kinds are moved one at a time
    for kind in (nn.Conv2d, nn.BatchNorm2d, nn.Linear):
        moved(theirs, ours, (kind,))
    image = torch.rand(2, 3, 128, 128)
    assert torch.allclose(ours.train(training)(image), theirs(image), atol=1e-5)


def test_unet_of_basicsr(basicsr):
    theirs = basicsr.discriminator_arch.UNetDiscriminatorSN(3, 8)
    config = DiscriminatorConfig(kind="unet_sn", base_channels=8, num_layers=10, norm="spectral")
    ours = build_discriminator(config)
    sources = [m for m in theirs.modules() if isinstance(m, nn.Conv2d)]
    targets = [m for m in ours.modules() if isinstance(m, nn.Conv2d)]
    names = {"weight_orig": "parametrizations.weight.original"}
    names |= {f"weight_{v}": f"parametrizations.weight.0._{v}" for v in "uv"}
    for source, target in zip(sources, targets, strict=True):
        target.load_state_dict({names.get(k, k): v for k, v in source.state_dict().items()})
    image = torch.rand(2, 3, 40, 32)
    assert torch.allclose(ours.eval()(image), theirs.eval()(image), atol=1e-5)


@pytest.mark.parametrize(("kind", "factor"), [("vanilla", 1), ("lsgan", 2), ("hinge", 1)])
def test_games_of_basicsr(basicsr, kind, factor):
    theirs = basicsr.gan_loss.GANLoss(kind)
    real, fake = torch.randn(5, 1), torch.randn(5, 1)
    expected = theirs(real, True, is_disc=True) + theirs(fake, False, is_disc=True)
    assert torch.allclose(factor * adversarial_d(kind, real, fake), expected)
    assert torch.allclose(factor * adversarial_g(kind, None, fake), theirs(fake, True))


def test_relativistic_game_of_basicsr_is_the_halved_one(basicsr):
    theirs = basicsr.gan_loss.GANLoss("vanilla")
    real, fake = torch.randn(5, 1), torch.randn(5, 1)
    generator = (theirs(real - fake.mean(), False) + theirs(fake - real.mean(), True)) / 2
    assert torch.allclose(adversarial_g("relativistic_halved", real, fake), generator)
    discriminator = (theirs(real - fake.mean(), True) + theirs(fake - real.mean(), False)) / 2
    assert torch.allclose(adversarial_d("relativistic_halved", real, fake), discriminator)
