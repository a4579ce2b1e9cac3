"""LPIPS and DISTS against their authors' code on the same weights, and published values on Set5."""

import numpy as np
import pytest
import torch
from helpers.paths import DATA
from PIL import Image
from torch import nn
from torchvision import models

from trainers import weights
from trainers.metrics import METRICS, dists, lpips
from trainers.metrics.image_view import View, Views

TAPS = {"alex": lpips.ALEX_RELUS, "vgg": lpips.VGG_RELUS}


def _pairs(count=2, side=72):
    """Smooth images in [-1, 1] and noisy copies, (N, 3, H, W): all layers respond to such differences."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(count, 3, 9, 9, generator=generator)
    a = nn.functional.interpolate(coarse, (side, side - 8), mode="bicubic").clamp(0, 1)
    b = (a + 0.1 * torch.randn(a.shape, generator=generator)).clamp(0, 1)
    return 2 * a - 1, 2 * b - 1


def _real(name):
    """Whether the published weights are on this machine; the formula is tested without them."""
    return not weights.missing(weights.NEEDS[name])


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_equals_its_authors_code_on_the_same_weights(net, monkeypatch):
    package = pytest.importorskip("lpips", reason="the authors' package is not installed; pip install lpips")
    torch.manual_seed(0)
    make = {"alex": models.alexnet, "vgg": models.vgg16}[net]
    features = make(weights=None).features.eval()
    if _real(f"lpips_{net}"):
        features = lpips.backbone({"alex": "alexnet", "vgg": "vgg16"}[net], torch.device("cpu"))
    with pytest.MonkeyPatch.context() as patch:  # their trunk is built without a download
        whole = nn.Module()
        whole.features = features
        patch.setattr(package.pretrained_networks.tv, make.__name__, lambda **_: whole)
        theirs = package.LPIPS(net=net, verbose=False)
    heads = [theirs.state_dict()[f"lin{k}.model.1.weight"] for k in range(5)]
    ours = lpips.Lpips(features, TAPS[net], heads)
    a, b = _pairs()
    with torch.inference_mode():
        mine, expected = ours(a, b), theirs(a, b).flatten()
    assert expected.min() > 1e-3 and (mine - expected).abs().max() < 1e-6
    if _real(f"lpips_{net}"):
        stored = weights.load(f"lpips_{net}_heads")
        assert all(torch.equal(stored[f"lin{k}.model.1.weight"], heads[k]) for k in range(5))


def test_dists_equals_its_authors_code_on_the_same_weights():
    package = pytest.importorskip(
        "DISTS_pytorch.DISTS_pt", reason="the authors' package is not installed; pip install DISTS-pytorch"
    )
    torch.manual_seed(0)
    whole = models.vgg16(weights=None)
    features, state = whole.features.eval(), {k: torch.rand(1, 1475, 1, 1) for k in ("alpha", "beta")}
    if _real("dists"):
        features = lpips.backbone("vgg16", torch.device("cpu"))
        state = weights.load("dists_alpha_beta")
    whole.features = features
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package.models, "vgg16", lambda **_: whole)
        theirs = package.DISTS(load_weights=False)
    theirs.load_state_dict(state, strict=False)
    ours = dists.Dists(features, state["alpha"], state["beta"])
    a, b = _pairs()
    with torch.inference_mode():
        mine, expected = ours(a, b), theirs((a + 1) / 2, (b + 1) / 2)
    assert expected.min() > 1e-3 and (mine - expected).abs().max() < 1e-6


PUBLISHED = {"lpips_alex": 0.3398, "lpips_vgg": 0.2798, "dists": 0.2119}
"""Bicubic x4 (Pillow's cubic on the shipped inputs) on Set5; published LPIPS-alex: 0.3407."""


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no test images in {DATA}; set UPSWEEP_TEST_DATA")
@pytest.mark.parametrize("name", PUBLISHED)
def test_bicubic_on_set5_has_the_published_value(name):
    if not _real(name):
        pytest.skip(f"no weights; run upsweep weights {name}")
    sr, hr = [], []
    for path in sorted((DATA / "Set5/x4/HR").iterdir()):
        with Image.open(path) as real, Image.open(DATA / "Set5/x4/LR" / path.name) as small:
            hr.append(View(np.array(real.convert("RGB"))))
            sr.append(View(np.array(small.convert("RGB").resize(real.size, Image.Resampling.BICUBIC))))
    values = METRICS[name].function(Views(sr), Views(hr))
    assert np.mean(values) == pytest.approx(PUBLISHED[name], abs=1e-4)
